import FoundationEssentials
import Logging
import MailStore
import ServiceLifecycle

/// Counts, sends and forgets reports as time goes on.
struct ReportService: Service {
    let accountant: ReportAccountant
    let dispatch: ReportDispatch
    let spool: SpoolStore
    let settings: Configuration.ReportSettings
    var interval = Duration.seconds(10)
    let now: @Sendable () -> Date
    let logger: Logger

    /// What a day is told by.
    var kinds: [ReportKind] { (settings.aggregates ? [.aggregate] : []) + (settings.tls ? [.tls] : []) }

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await work()
                try await Task.sleep(for: interval)
            }
        }
    }

    /// Does what is to be done now. A failure is told, and mended by the next time: nothing of this is remembered but in the store.
    func work() async {
        do {
            try await accountant.run()
            let today = ReportDay.containing(now())
            let hour = (now().timeIntervalSince1970 - Double(ReportDay.bounds(today).begin)) / 3600
            try await dispatch.close(kinds, .through(today - (hour >= Double(settings.hour) ? 1 : 2)))
            _ = try await dispatch.sendDue()
            let count =
                try await spool.forgetReports(before: today - settings.keepDays)
                + spool.forgetStoredReports(before: now().addingTimeInterval(-Double(settings.keepDays) * 86_400))
            if count > 0 { logger.info("old reports forgotten", metadata: ["rows": "\(count)", "days": "\(settings.keepDays)"]) }
        } catch is CancellationError {
            return
        } catch {
            logger.warning("reports can't be worked on now", metadata: ["error": "\(error)"])
        }
    }
}
