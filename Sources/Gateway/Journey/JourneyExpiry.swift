import FoundationEssentials
import Logging
import MailStore
import ServiceLifecycle

/// Forgets journeys that are older than `journeys.keepDays` says: at start, and then every hour. A whole day's records in one
/// transaction would keep the mail waiting that wants to be committed meanwhile.
struct JourneyExpiry: Service {
    let log: any JourneyLog
    /// Where the fingerprints of accepted messages are forgotten too, after their own time.
    var spool: (any Spool)?
    /// Forgets what else has had its time.
    var forgetMore: @Sendable (Date) async throws -> Void = { _ in }
    let keepDays: @Sendable () -> Int
    var interval = Duration.seconds(3600)
    let now: @Sendable () -> Date
    let logger: Logger

    func run() async throws {
        try? await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                await expire()
                try await Task.sleep(for: interval)
            }
        }
    }

    /// Deletes what is too old now. A failure is told, and mended by the next time.
    func expire() async {
        let keepDays = keepDays()
        do {
            let count = try await log.expire(before: now().addingTimeInterval(-Double(keepDays) * 86_400))
            try await spool?.forgetAccepted(before: now().addingTimeInterval(-RepeatedMessages.memory))
            try await forgetMore(now())
            if count > 0 { logger.info("old journeys forgotten", metadata: ["records": "\(count)", "days": "\(keepDays)"]) }
        } catch {
            logger.warning("old journeys could not be deleted", metadata: ["error": "\(error)"])
        }
    }
}
