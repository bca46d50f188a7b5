import Crypto
import DNS
import FoundationEssentials
import IMAP
import Logging
import MailAuthentication
import MailStore
import MailTransport
import NIOCore
import SMTP
import ServiceLifecycle
import Synchronization

/// The listeners of a host: each kind with its policy, its security and its limits.
struct Listeners: Sendable {
    private(set) var host: Host
    /// Hands what was stored to the queue.
    let offer: @Sendable (QueuedMessage) -> Void
    let now: @Sendable () -> Date

    let budget: MemoryBudget
    private let limiter: ConnectionLimiter
    /// Of the listener `policy`: whoever fetches policies takes no place from mail.
    private let policyLimiter: ConnectionLimiter
    /// Of reports that come by HTTPS; a reload doesn't begin anew.
    private let reportRate = RequestRate()
    private let authenticationSecret: [UInt8]
    private let resolver: any Resolver

    /// - Parameter resolver: another one than the host's, for tests.
    init(host: Host, resolver: (any Resolver)? = nil, now: @escaping @Sendable () -> Date, offer: @escaping @Sendable (QueuedMessage) -> Void) {
        self.host = host
        self.resolver = resolver ?? host.resolver
        self.now = now
        self.offer = offer
        let limits = host.configuration.limits
        budget = MemoryBudget(limit: limits.memoryBudgetBytes)
        let connections = DescriptorLimit.connections(
            configured: limits.connections, deliveries: host.configuration.queue.deliveries, descriptors: DescriptorLimit.raise())
        if connections < limits.connections {
            host.logger.warning(
                "fewer connections than limits.connections says: the process may not open so many files; raise its limit (LimitNOFILE)",
                metadata: ["connections": "\(connections)", "limits.connections": "\(limits.connections)"])
        }
        limiter = ConnectionLimiter(total: connections, perNetwork: limits.connectionsPerNetwork, trusted: limits.trustedNetworks)
        policyLimiter = ConnectionLimiter(
            total: min(Self.policyConnections, connections), perNetwork: min(Self.policyConnectionsPerNetwork, limits.connectionsPerNetwork))
        // The octets are copied while they are borrowed.
        authenticationSecret = unsafe SymmetricKey(size: .bits256).withUnsafeBytes { unsafe Array($0) }
    }

    /// Policies are fetched once a day by each organisation, from one or a few hosts of it.
    private static let policyConnections = 512
    private static let policyConnectionsPerNetwork = 32

    /// The listeners under another configuration. The limits of connections and memory change at once.
    func reconfigured(_ host: Host) -> Listeners {
        var listeners = self
        listeners.host = host
        let limits = host.configuration.limits
        budget.limit = limits.memoryBudgetBytes
        let connections = DescriptorLimit.connections(
            configured: limits.connections, deliveries: host.configuration.queue.deliveries, descriptors: DescriptorLimit.raise())
        limiter.change(total: connections, perNetwork: limits.connectionsPerNetwork, trusted: limits.trustedNetworks)
        return listeners
    }

    /// An SMTP server for a listener; `nil` where the listener speaks something else.
    func smtpServer(for listener: Configuration.Listener) throws -> SMTPServer? {
        guard let reception = try reception(for: listener.kind) else { return nil }
        let spool = host.spool
        return SMTPServer(
            listenerName: listener.kind.rawValue, settings: settings(for: listener.kind), proxies: listener.proxies, service: reception,
            tls: listener.kind == .link ? try host.linkServerTLS() : host.publicTLS, group: host.group, budget: budget, limiter: limiter,
            makeIncomingFile: { try await spool.makeIncomingFile() }, logger: host.logger)
    }

    /// Changes what sessions that begin from now on are served by.
    func change(_ server: SMTPServer, _ kind: Configuration.Listener.Kind) throws {
        guard let reception = try reception(for: kind) else { return }
        server.change(settings: settings(for: kind), service: reception)
    }

    /// Changes what connections that begin from now on are served by.
    func change(_ server: IMAPServer, _ kind: Configuration.Listener.Kind) throws {
        guard let mailboxes = host.mailboxes else { return }
        server.change(settings: imapSettings(server.security), backend: try backend(mailboxes))
    }

    private func reception(for kind: Configuration.Listener.Kind) throws -> Reception? {
        guard let policy = try policy(for: kind) else { return nil }
        return Reception(
            policy: policy, router: host.router, spool: host.spool, recorder: host.recorder, hostname: host.configuration.hostname,
            hopLimit: host.configuration.limits.hops, now: now, offer: offer, repetitions: host.repetitions, storage: host.storage,
            authentication: authentication(for: kind, role: policy.role), logger: host.logger)
    }

    /// What a listener does about who sent a message.
    private func authentication(for kind: Configuration.Listener.Kind, role: Configuration.Role) -> ReceptionAuthentication {
        let configuration = host.configuration
        var authentication = ReceptionAuthentication()
        switch kind {
        case .smtp:
            authentication.border = HeaderBorder(configuration)
            // Without checks a capsule is needed only where what an alias leads outside takes a way over other hosts.
            let staysHere = configuration.roles.isSuperset(of: [.store, .relay])
            if configuration.authentication.mode != .off || configuration.link != nil && !staysHere, let sealer = host.capsuleSealer {
                let verifier = SenderVerifier(resolver: resolver, receivingHost: configuration.hostname, keyCache: host.keyCache)
                let assessor = SenderAssessor(
                    verifier: verifier, settings: configuration.authentication, hostname: configuration.hostname,
                    indicators: host.indicators?.judge(configuration, resolver: resolver, group: host.group),
                    keepsFailures: configuration.reports?.failures.enabled ?? false)
                authentication.judge = SenderJudge(assessor: assessor, sealer: sealer)
            }
        case .submission, .submissions:
            authentication.border = HeaderBorder(configuration)
            // A host that is the relay as well hands its own mail to nobody before it leaves.
            if configuration.roles.contains(.relay) { authentication.signer = signer }
        case .link:
            authentication.capsules = host.capsuleReader
            if role == .relay { authentication.signer = signer }
        case .imap, .imaps, .control, .https, .policy: break
        }
        return authentication
    }

    private var signer: OutboundSigner? { host.signer }

    /// An IMAP server for a listener; `nil` where the listener speaks something else.
    func imapServer(for listener: Configuration.Listener) throws -> IMAPServer? {
        let security: IMAPSession.Security
        switch listener.kind {
        case .imap: security = .startTLS
        case .imaps: security = .implicit
        case .smtp, .submission, .submissions, .link, .control, .https, .policy: return nil
        }
        guard let mailboxes = host.mailboxes else {
            throw HostError("A listener \(listener.kind.rawValue) needs the mailboxes: give this host the role store")
        }
        guard let tls = host.publicTLS else {
            throw HostError("A listener \(listener.kind.rawValue) needs the section “certificate”: passwords are taken under TLS only")
        }
        return IMAPServer(
            listenerName: listener.kind.rawValue, settings: imapSettings(security), proxies: listener.proxies, backend: try backend(mailboxes), tls: tls,
            group: host.group,
            budget: budget, limiter: limiter, logger: host.logger)
    }

    /// A server of policies for a listener; `nil` where the listener speaks something else.
    func policyServer(for listener: Configuration.Listener) throws -> HTTPSServer? {
        guard listener.kind == .policy else { return nil }
        guard let tls = host.publicTLS else { throw HostError("A listener policy needs the section “certificate”: policies are fetched by HTTPS only") }
        return HTTPSServer(
            listenerName: listener.kind.rawValue, service: policyService, tls: tls, group: host.group, budget: budget, limiter: policyLimiter,
            logger: host.logger)
    }

    /// Changes what requests that come from now on are answered with.
    func change(_ server: HTTPSServer) { server.change(service: policyService) }

    private var policyService: PolicyService {
        let configuration = host.configuration
        guard let settings = configuration.reports, settings.httpsPath != nil, let address = configuration.firstReportAddress else {
            return PolicyService(configuration, reports: nil)
        }
        let reports = PostedReports(
            address: address, domains: configuration.domains, hostname: configuration.hostname, router: host.router, spool: host.spool,
            recorder: host.recorder, role: .mx, storage: host.storage, rate: reportRate, perMinute: settings.httpsPerMinute, now: now, offer: offer,
            logger: host.logger)
        return PolicyService(configuration, reports: reports)
    }

    private func imapSettings(_ security: IMAPSession.Security) -> IMAPServer.Settings {
        let limits = host.configuration.limits
        var session = IMAPSession.Configuration(hostname: host.configuration.hostname, security: security)
        session.errors = limits.errorsPerSession
        session.limits.messageLength = limits.messageSizeBytes
        var settings = IMAPServer.Settings(session: session)
        settings.dataTimeout = .seconds(limits.dataTimeoutSeconds)
        settings.messageTimeout = .seconds(limits.messageTimeoutSeconds)
        settings.authenticationSecret = authenticationSecret
        return settings
    }

    private func backend(_ mailboxes: MailboxStore) throws -> MailboxBackend {
        let limits = host.configuration.limits
        return MailboxBackend(
            directory: try host.directory(), store: mailboxes, budget: budget, messageSize: limits.messageSizeBytes,
            memoryPerMessage: limits.memoryPerMessageBytes, logger: host.logger)
    }

    private func policy(for kind: Configuration.Listener.Kind) throws -> (any ListenerPolicy)? {
        let roles = host.configuration.roles
        switch kind {
        case .smtp: return EdgePolicy(directory: try host.directory(), router: host.router)
        case .submission, .submissions:
            return SubmissionPolicy(role: roles.contains(.submission) ? .submission : .internal, directory: try host.directory(), router: host.router)
        case .link: return LinkPolicy(role: host.queueRole, directory: try host.directory(), router: host.router)
        case .imap, .imaps, .control, .https, .policy: return nil
        }
    }

    private func settings(for kind: Configuration.Listener.Kind) -> SMTPServer.Settings {
        let limits = host.configuration.limits
        var session = SMTPServerConfiguration(hostname: host.configuration.hostname)
        // A bare postmaster is the organisation's, not the host's: nobody has a mailbox at the host's own name.
        session.postmasterDomain = host.configuration.domains.first?.ascii
        session.limits.messageSize = limits.messageSizeBytes
        session.limits.recipients = limits.recipients
        session.limits.errors = limits.errorsPerSession
        session.limits.commandTimeout = .seconds(limits.commandTimeoutSeconds)
        session.limits.dataTimeout = .seconds(limits.dataTimeoutSeconds)
        session.limits.messageTimeout = .seconds(limits.messageTimeoutSeconds)
        switch kind {
        case .smtp:
            session.security = host.publicTLS == nil ? .none : .startTLS
            session.offersRequireTLS = true
        case .submission:
            session.security = .startTLSRequired
            session.offersRequireTLS = true
            session.authentication = .required
        case .submissions:
            session.security = .implicit
            session.offersRequireTLS = true
            session.authentication = .required
        case .link:
            session.security = .implicit
            session.offersRequireTLS = true
            session.acceptsTraces = true
        case .imap, .imaps, .control, .https, .policy: break
        }
        var settings = SMTPServer.Settings(session: session)
        settings.memoryPerMessage = limits.memoryPerMessageBytes
        settings.greetingDelay = kind == .smtp ? .milliseconds(limits.greetingDelayMilliseconds) : .zero
        settings.bareLineFeedNetworks = limits.bareLineFeedNetworks
        settings.authenticationSecret = authenticationSecret
        return settings
    }
}

/// How many listeners of those that there should be listen.
final class ListenerCount: Sendable {
    private let listening = Atomic(0)
    private let wanted: Int

    init(wanted: Int) { self.wanted = wanted }

    func add() { listening.add(1, ordering: .relaxed) }
    var isComplete: Bool { listening.load(ordering: .relaxed) >= wanted }
}

/// A server whose connections are served by their own handlers.
protocol ListeningServer: Sendable {
    /// Begins to listen.
    /// - Returns: the port.
    func bind(address: IPAddress, port: Int) async throws -> Int
    /// Ends; what is being done may be finished within `grace`.
    func shutdown(grace: Duration) async
}

extension SMTPServer: ListeningServer {}
extension HTTPSServer: ListeningServer {}

/// A listener for SMTP, or for policies, in the life of the process.
struct ListenerService<Server: ListeningServer>: Service {
    let server: Server
    let listener: Configuration.Listener
    /// How long sessions may take to end.
    let grace: Duration
    let listening: ListenerCount
    let logger: Logger

    func run() async throws {
        let port = try await server.bind(address: listener.address, port: listener.port)
        logger.info("listening", metadata: ["listener": "\(listener.kind.rawValue)", "address": "\(listener.address)", "port": "\(port)"])
        listening.add()
        try? await gracefulShutdown()
        await server.shutdown(grace: grace)
    }
}

/// An IMAP listener in the life of the process.
struct IMAPListenerService: Service {
    let server: IMAPServer
    let listener: Configuration.Listener
    /// How long sessions may take to end.
    let grace: Duration
    let listening: ListenerCount
    let logger: Logger

    func run() async throws {
        let port = try await server.bind(address: listener.address, port: listener.port)
        logger.info("listening", metadata: ["listener": "\(listener.kind.rawValue)", "address": "\(listener.address)", "port": "\(port)"])
        listening.add()
        await withDiscardingTaskGroup { group in
            group.addTask { await server.run() }
            try? await gracefulShutdown()
            await server.shutdown(grace: grace)
        }
    }
}

/// The control listener in the life of the process.
struct ControlListenerService: Service {
    let server: ControlServer
    let listener: Configuration.Listener
    let logger: Logger

    func run() async throws {
        let channel = try await server.bind(address: listener.address, port: listener.port)
        logger.info("listening", metadata: ["listener": "control", "address": "\(listener.address)", "port": "\(listener.port)"])
        try? await gracefulShutdown()
        try? await channel.close()
    }
}
