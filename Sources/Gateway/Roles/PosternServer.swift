import ACME
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
    private let reread: @Sendable () throws -> Configuration
    private let setLogLevel: @Sendable (Logger.Level) -> Void
    private let logger: Logger

    /// Makes a host that doesn't run yet.
    /// - Parameters:
    ///   - reread: reads and checks the configuration again, for a reload.
    ///   - setLogLevel: changes the level of all loggers.
    public init(
        configuration: Configuration, reread: @escaping @Sendable () throws -> Configuration,
        setLogLevel: @escaping @Sendable (Logger.Level) -> Void, logger: Logger
    ) {
        self.configuration = configuration
        self.reread = reread
        self.setLogLevel = setLogLevel
        self.logger = logger
    }

    /// Runs until SIGTERM or SIGINT; then listeners stop first, deliveries under way are finished, and the stores are closed.
    /// - Throws: when the host can't start, with what an operator has to mend.
    public func run() async throws {
        let group = MultiThreadedEventLoopGroup.singleton
        let lock = try HostLock(folder: configuration.dataFolder)
        // What a crash left between a certificate and its new key is finished before they are read.
        if let files = CertificateFiles(configuration) {
            try files.finishInstallation()
            guard files.chain() != nil else { throw HostError("\(files.certificate) holds no certificate yet: postern acme renew has the first one") }
        }
        let host = try await Host(configuration: configuration, group: group, logger: logger)
        let now: @Sendable () -> Date = { Date.now }
        var client = SMTPClientConfiguration(hostname: configuration.hostname, localAddress: configuration.outboundAddress)
        client.shutdownGrace = .seconds(configuration.limits.stopSeconds)
        // What may be open at once may be kept: an idle connection costs less than a new one.
        client.maxIdleConnectionsPerTarget = configuration.queue.connectionsPerDestination
        client.timeouts.limit(to: .seconds(configuration.outboundTimeoutSeconds))
        let pool = SMTPClientPool(
            configuration: client, tls: host.clientTLS, group: group, logger: logger)
        let queue = host.queueRunner(host.deliveryMeans(pool: pool, now: now), now: now)
        let listeners = Listeners(host: host, now: now) { queue.offer($0) }
        var means = Reloader.Means(pool: pool, queue: queue)
        let count = ListenerCount(wanted: configuration.listeners.count { $0.kind != .control && $0.kind != .https })
        let listening = try listenerServices(host, listeners, count, &means)
        let reloader = Reloader(
            host: host, listeners: listeners, means: means, reread: reread, setLogLevel: setLogLevel, now: now, logger: logger)
        var services: [any Service] = [DNSSECProof(resolver: host.resolver, settings: configuration.resolver, logger: logger), queue]
        let forgetMore: @Sendable (Date) async throws -> Void = { [spool = host.spool] time in
            try await PolicyMemory.forgetOld(in: spool, at: time)
            try await HostMemory.forgetOld(in: spool, days: reloader.configuration.transport.memoryDays, at: time)
        }
        services.append(
            JourneyExpiry(
                log: host.spool, spool: host.spool, forgetMore: forgetMore, keepDays: { reloader.configuration.journeys.keepDays }, now: now, logger: logger))
        services += controlServices(host)
        if let reports = try host.reportService(current: { reloader.host }, now: now, offer: { queue.offer($0) }) { services.append(reports) }
        services.append(reloader)
        services += try certificateServices(host) { reloader.followCertificates() }
        services += postureServices(host) { reloader.configuration }
        services += listening
        if let settings = configuration.monitoring {
            // The first to be told of the end, so that it can tell others.
            services.append(
                MonitoringServer(
                    readings: HostReadings(host: host, budget: listeners.budget, start: now()), settings: settings, group: group,
                    isServing: { count.isComplete }, now: now, logger: logger))
        }
        logger.info(
            "postern serves",
            metadata: ["host": "\(configuration.hostname)", "roles": "\(configuration.roles.map(\.rawValue).sorted().joined(separator: ","))"])
        var settings = ServiceGroupConfiguration(services: services, gracefulShutdownSignals: [.sigterm, .sigint], logger: logger)
        // Listeners and deliveries have ended by then; what hasn't is in the spool.
        settings.maximumGracefulShutdownDuration = .seconds(configuration.limits.stopSeconds + 5)
        let result: Result<Void, any Error>
        do {
            try await ServiceGroup(configuration: settings).run()
            result = .success(())
        } catch {
            result = .failure(error)
        }
        await pool.shutdown()
        try await host.close()
        withExtendedLifetime(lock) {}
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
                    accounts: mailboxes, further: configuration.reportAddresses, edge: edge, interval: interval, logger: logger))
        }
        return services
    }

    /// What keeps the certificate fresh, and answers the authority's questions.
    private func certificateServices(_ host: Host, installed: @escaping @Sendable () -> Void) throws -> [any Service] {
        guard let settings = configuration.acme else { return [] }
        let keeper = try CertificateKeeper.make(configuration, resolver: host.resolver, isServed: { true }, logger: logger)
        var services: [any Service] = [CertificateService(keeper: keeper, installed: installed)]
        if settings.challenge != .dns01 {
            services.append(ChallengeResponder(folder: keeper.challenges, settings: settings, group: host.group, logger: logger))
        }
        return services
    }

    /// What looks at our domains from outside, once a day: the host that speaks to the internet. Whether there is anything to look at can change by a reload.
    private func postureServices(_ host: Host, _ current: @escaping @Sendable () -> Configuration) -> [any Service] {
        guard configuration.roles.contains(.relay) else { return [] }
        let (resolver, logger) = (host.resolver, logger)
        return [
            PostureService(
                configuration: current, resolver: resolver,
                probes: { try DomainPosture.probes($0, resolver: resolver, logger: logger) }, logger: logger)
        ]
    }

    private func listenerServices(_ host: Host, _ listeners: Listeners, _ count: ListenerCount, _ means: inout Reloader.Means) throws -> [any Service] {
        let grace = Duration.seconds(configuration.limits.stopSeconds)
        var services: [any Service] = []
        for listener in configuration.listeners {
            switch listener.kind {
            case .smtp, .submission, .submissions, .link:
                guard let server = try listeners.smtpServer(for: listener) else { continue }
                means.smtpServers.append((listener.kind, server))
                services.append(ListenerService(server: server, listener: listener, grace: grace, listening: count, logger: logger))
            case .control:
                let control = HostControl(
                    journeys: host.spool, digests: host.digests,
                    accounts: host.mailboxes.map { AccountDirectory(accounts: $0, further: configuration.reportAddresses) },
                    resolver: configuration.roles.isDisjoint(with: [.mx, .relay]) ? nil : host.resolver,
                    poster: configuration.roles.contains(.relay) ? host.reportPoster : nil)
                let server = ControlServer(tls: try host.linkServerTLS(), service: control, group: host.group, logger: logger)
                services.append(ControlListenerService(server: server, listener: listener, logger: logger))
            case .https:
                // The webmail is a process of its own, above this target; the configuration is refused before it comes here.
                continue
            case .policy:
                guard let server = try listeners.policyServer(for: listener) else { continue }
                means.policyServers.append(server)
                services.append(ListenerService(server: server, listener: listener, grace: grace, listening: count, logger: logger))
            case .imap, .imaps:
                guard let server = try listeners.imapServer(for: listener) else { continue }
                means.imapServers.append((listener.kind, server))
                services.append(IMAPListenerService(server: server, listener: listener, grace: grace, listening: count, logger: logger))
            }
        }
        return services
    }
}
