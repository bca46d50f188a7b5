import DNS
import FoundationEssentials
public import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import NIOPosix
import ServiceLifecycle
import UnboundDNS
import UnixSignals

/// A Postern host: all the roles that its configuration names, in one process.
///
/// Read ``run()`` from top to bottom to see what a host is made of; the way of a message is `SMTPServer` → ``Reception`` →
/// `Spool` → ``QueueRunner`` → ``MailboxDelivery`` or ``SMTPDeliveryAgent`` → ``Settlement``.
public struct PosternServer: Sendable {
    private let configuration: Configuration
    private let logger: Logger

    /// Makes a host that doesn't run yet.
    public init(configuration: Configuration, logger: Logger) {
        self.configuration = configuration
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; then listeners stop first, deliveries under way are finished, and the stores are closed.
    /// - Throws: when the host can't start, with what an operator has to mend.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let host = try await Host(configuration: configuration, group: group, logger: logger)
        let now: @Sendable () -> Date = { Date.now }
        var client = SMTPClientConfiguration(hostname: configuration.hostname, localAddress: configuration.outboundAddress)
        client.timeouts.limit(to: .seconds(configuration.outboundTimeoutSeconds))
        let pool = SMTPClientPool(
            configuration: client, tls: host.clientTLS, group: group, logger: logger)
        let queue = host.queueRunner(pool: pool, resolver: host.resolver, now: now)
        var services: [any Service] = [DNSSECProof(resolver: host.resolver, settings: configuration.resolver, logger: logger), queue]
        services.append(JourneyExpiry(log: host.spool, spool: host.spool, keepDays: configuration.journeys.keepDays, now: now, logger: logger))
        services += controlServices(host)
        services += try listeners(host, now: now) { queue.offer($0) }
        logger.info(
            "postern serves",
            metadata: ["host": "\(configuration.hostname)", "roles": "\(configuration.roles.map(\.rawValue).sorted().joined(separator: ","))"])
        var settings = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        settings.maximumGracefulShutdownDuration = .seconds(30)
        let result: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: settings).run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await pool.shutdown()
        try await host.close()
        try result.get()
    }

    /// What the inside does to the other hosts: it collects their journeys and tells the edge who its recipients are.
    private func controlServices(_ host: Host) -> [any Service] {
        guard let mailboxes = host.mailboxes else { return [] }
        var services: [any Service] = []
        let interval = Duration.seconds(configuration.journeys.collectSeconds)
        let peers = Configuration.Role.allCases.filter { $0 != .store }.compactMap { host.controlClient(of: $0) }
        if !peers.isEmpty { services.append(JourneyCollector(log: host.spool, peers: peers, interval: interval, logger: logger)) }
        if let edge = host.controlClient(of: .mx) {
            services.append(
                RecipientPublisher(
                    accounts: mailboxes, edge: edge, interval: interval, logger: logger))
        }
        return services
    }

    private func listeners(_ host: Host, now: @escaping @Sendable () -> Date, offer: @escaping @Sendable (QueuedMessage) -> Void) throws -> [any Service] {
        let listeners = Listeners(host: host, now: now, offer: offer)
        return try configuration.listeners.compactMap { listener -> (any Service)? in
            switch listener.kind {
            case .smtp, .submission, .submissions, .link:
                return try listeners.smtpServer(for: listener).map { SMTPListenerService(server: $0, listener: listener, logger: logger) }
            case .control:
                let control = HostControl(
                    journeys: host.spool, digests: host.digests, accounts: host.mailboxes.map { AccountDirectory(accounts: $0) })
                let server = ControlServer(tls: try host.linkServerTLS(), service: control, group: host.group, logger: logger)
                return ControlListenerService(server: server, listener: listener, logger: logger)
            case .https:
                // The webmail is a process of its own, above this target; the configuration is refused before it comes here.
                return nil
            case .imap, .imaps:
                return try listeners.imapServer(for: listener).map { IMAPListenerService(server: $0, listener: listener, logger: logger) }
            }
        }
    }
}
