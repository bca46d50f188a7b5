import DNS
import FoundationEssentials
import MailMessage
import MailStore
import MailTransport

extension Host {
    /// The queue of this host with its delivery agents, and with what becomes of the outcomes.
    func queueRunner(pool: SMTPClientPool, resolver: any Resolver, now: @escaping @Sendable () -> Date) -> QueueRunner {
        let remote = SMTPDeliveryAgent(
            pool: pool, resolver: resolver, peers: configuration.peers, routes: configuration.routes, port: configuration.outboundPort,
            hostname: configuration.hostname, reachesInternet: configuration.roles.contains(.relay), now: now)
        let mailbox = mailboxes.map { MailboxDelivery(accounts: $0, store: $0, router: router, now: now, logger: logger) }
        let postmasterDomain = configuration.domains.first?.ascii ?? configuration.hostname
        let notices = Notices(
            router: router, hostname: configuration.hostname, postmaster: EmailAddress(localPart: "postmaster", domain: postmasterDomain),
            logger: logger)
        let settlement = Settlement(
            spool: spool, recorder: recorder, notices: notices, schedule: RetrySchedule(configuration.queue), role: queueRole,
            holdsFailures: configuration.roles == [.mx], now: now, logger: logger)
        return QueueRunner(
            spool: spool, mailbox: mailbox, remote: remote, settlement: settlement, settings: configuration.queue, now: now,
            storage: storage, executors: EventLoopTaskExecutors(group).all, logger: logger)
    }
}
