import FoundationEssentials
import Logging
import MailStore
import ServiceLifecycle

/// Forgets journeys that are older than `journeys.keepDays` says: at start, and then every hour. A whole day's records in one
/// transaction would keep the mail waiting that wants to be committed meanwhile.
struct JourneyExpiry: Service {
    let log: any JourneyLog
    let keepDays: Int
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
        do {
            let count = try await log.expire(before: now().addingTimeInterval(-Double(keepDays) * 86_400))
            if count > 0 { logger.info("old journeys forgotten", metadata: ["records": "\(count)", "days": "\(keepDays)"]) }
        } catch {
            logger.warning("old journeys could not be deleted", metadata: ["error": "\(error)"])
        }
    }
}
