import DNS
import FoundationEssentials
import Logging
import MailStore
import MailTransport
import NIOCore
import ServiceLifecycle

/// What a filter has for reports: the store that it counts in, and, where no host of ours sends them from there, a queue of its own.
struct MilterOffice: Sendable {
    /// Where judged messages are noted.
    let ledger: MilterLedger
    let spool: SpoolStore
    /// `nil` where another process sends what is counted here.
    let mail: Mail?

    /// What sends reports.
    struct Mail: Sendable {
        let host: Host
        let pool: SMTPClientPool
        let queue: QueueRunner
        let reports: ReportService
        let lock: HostLock
    }

    /// Opens the data folder.
    /// - Parameter resolver: another one than the host's, for tests.
    /// - Returns: `nil` where the filter takes part in no reports.
    /// - Throws: what an operator has to mend.
    static func open(
        _ configuration: Configuration, _ settings: Configuration.MilterSettings, resolver: (any Resolver)? = nil, group: any EventLoopGroup,
        now: @escaping @Sendable () -> Date, logger: Logger
    ) async throws -> MilterOffice? {
        guard configuration.filterCounts, let reports = configuration.reports else { return nil }
        guard configuration.filterSendsReports else {
            let spool = try await SpoolStore.open(folder: configuration.dataFolder, host: configuration.hostname)
            let accountant = try ReportAccountant(configuration, reports, spool: spool, now: now, logger: logger)
            return MilterOffice(ledger: MilterLedger(accountant: accountant, logger: logger), spool: spool, mail: nil)
        }
        let configuration = configuration.filterOffice(settings)
        let lock = try HostLock(folder: configuration.dataFolder)
        let host = try await Host(configuration: configuration, group: group, logger: logger)
        do {
            var client = SMTPClientConfiguration(hostname: configuration.hostname)
            client.shutdownGrace = .seconds(configuration.limits.stopSeconds)
            client.timeouts.limit(to: .seconds(configuration.outboundTimeoutSeconds))
            let pool = SMTPClientPool(configuration: client, tls: host.clientTLS, group: group, logger: logger)
            let queue = host.queueRunner(host.deliveryMeans(pool: pool, now: now), now: now)
            guard let service = try host.reportService(isFilter: true, resolver: resolver, now: now, offer: { queue.offer($0) }) else {
                throw HostError("reports can't be sent from here")
            }
            return MilterOffice(
                ledger: MilterLedger(accountant: service.accountant, logger: logger), spool: host.spool,
                mail: Mail(host: host, pool: pool, queue: queue, reports: service, lock: lock))
        } catch {
            try await host.close()
            throw error
        }
    }

    /// What runs as long as the filter does; what notes is the last, so that it ends first.
    func services(now: @escaping @Sendable () -> Date, logger: Logger) -> [any Service] {
        guard let mail else { return [ledger] }
        let days = mail.host.configuration.journeys.keepDays
        return [
            mail.queue, JourneyExpiry(log: spool, spool: spool, keepDays: { days }, now: now, logger: logger), mail.reports, ledger,
        ]
    }

    /// Closes what was opened, when nothing uses it any more.
    func close() async throws {
        guard let mail else { return try await spool.close() }
        await mail.pool.shutdown()
        try await mail.host.close()
        withExtendedLifetime(mail.lock) {}
    }
}
