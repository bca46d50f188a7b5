import DNS
import FoundationEssentials
import Logging
import MailMessage
import MailStore
import MailTransport
import TransportSecurity

extension Host {
    /// How this host delivers, and what becomes of the outcomes.
    struct DeliveryMeans: Sendable {
        let mailbox: MailboxDelivery?
        let remote: SMTPDeliveryAgent
        let settlement: Settlement
    }

    /// - Parameters:
    ///   - resolver: another one than the host's, for tests.
    ///   - fetcher: fetches policies of MTA-STS another way, for tests.
    func deliveryMeans(
        pool: SMTPClientPool, resolver: (any Resolver)? = nil, fetcher: (any MTASTSFetcher)? = nil, now: @escaping @Sendable () -> Date
    ) -> DeliveryMeans {
        let resolver = resolver ?? self.resolver
        let isRelay = configuration.roles.contains(.relay)
        let planner = TransportPlanner(
            settings: configuration.transport, resolver: resolver,
            policies: (fetcher ?? policyFetcher).map { PolicyMemory(resolver: resolver, fetcher: $0, spool: spool, now: now, logger: logger) },
            hosts: hostMemory,
            roots: isRelay ? PKIXRoots.trusted(by: configuration, logger: logger) : PKIXRoots(), now: now, logger: logger)
        let remote = SMTPDeliveryAgent(
            pool: pool, resolver: resolver, peers: configuration.peers, routes: configuration.routes, port: configuration.outboundPort,
            hostname: configuration.hostname, reachesInternet: isRelay, planner: planner,
            wishes: notesSessions ? ReportWishes(resolver: resolver, now: now) : nil, outboundAddress: configuration.outboundAddress, now: now)
        let mailbox = mailboxes.map { MailboxDelivery(accounts: $0, store: $0, router: router, reports: reportReception(now: now), now: now, logger: logger) }
        let postmasterDomain = configuration.domains.first?.ascii ?? configuration.hostname
        let notices = Notices(
            router: router, hostname: configuration.hostname, postmaster: EmailAddress(localPart: "postmaster", domain: postmasterDomain),
            logger: logger)
        let settlement = Settlement(
            spool: spool, recorder: recorder, notices: notices, schedule: RetrySchedule(configuration.queue), role: queueRole,
            holdsFailures: configuration.roles == [.mx], now: now, logger: logger)
        return DeliveryMeans(mailbox: mailbox, remote: remote, settlement: settlement)
    }

    /// Whether journeys get what reports on TLS need. Where this host makes the reports itself, its own section decides.
    private var notesSessions: Bool {
        guard configuration.roles.contains(.relay), configuration.journeys.enabled, configuration.transport.reports else { return false }
        return !configuration.roles.contains(.store) || configuration.reports?.tls ?? false
    }

    /// `nil` where policies of MTA-STS aren't followed: only the relay asks for them.
    private var policyFetcher: (any MTASTSFetcher)? {
        guard configuration.transport.mtaSTS, configuration.roles.contains(.relay) else { return nil }
        do {
            return try WebPolicyFetcher(configuration.web, resolver: resolver, group: group)
        } catch {
            logger.error("policies of MTA-STS can't be fetched", metadata: ["error": "\(error)"])
            return nil
        }
    }

    /// The queue of this host.
    func queueRunner(_ means: DeliveryMeans, now: @escaping @Sendable () -> Date) -> QueueRunner {
        QueueRunner(
            spool: spool, mailbox: means.mailbox, remote: means.remote, settlement: means.settlement, settings: configuration.queue, now: now,
            storage: storage, executors: EventLoopTaskExecutors(group).all, logger: logger)
    }
}
