import Logging
import MailMessage
import MailStore
import SMTP
import Synchronization

/// Watches whether the store can be written, and says so: one line `storage.failed` when it begins to fail, another one each minute as
/// long as it does, and `storage.recovered` when something was stored again. Under load every message fails; a line for each would bury
/// the reason, and help to fill the disk. On a disk that is almost full small things can be stored between large ones that can't: what fails again
/// within the minute is counted, and not said anew.
///
/// Metrics take ``failures`` and ``isRaised``.
final class StorageAlarm: Sendable {
    /// How often a failure that lasts is said again.
    static let interval = Duration.seconds(60)

    private struct State {
        var failuresSinceRaised = 0
        /// This failure was said, so that its end is said too.
        var isSaid = false
        var lastSaid: ContinuousClock.Instant?
    }

    private let logger: Logger
    private let raised = Atomic<Bool>(false)
    private let count = Atomic<Int>(0)
    private let state = Mutex(State())

    init(logger: Logger) { self.logger = logger }

    /// Whether the last that was tried could not be stored.
    var isRaised: Bool { raised.load(ordering: .relaxed) }

    /// What could not be stored since the process began.
    var failures: Int { count.load(ordering: .relaxed) }

    /// Something could not be stored. Nothing else but errors of the store counts.
    /// - Parameter doing: what was to be stored, in few words.
    func failed(_ error: any Error, doing: String) {
        guard let error = error as? StoreError, error.code != .notFound else { return }
        count.add(1, ordering: .relaxed)
        let (failures, isDue) = state.withLock { state in
            state.failuresSinceRaised += 1
            // Under the lock, so that a success at the same time can't leave an alarm behind that nobody takes back.
            raised.store(true, ordering: .relaxed)
            let now = ContinuousClock.now
            let isDue = state.lastSaid.map { now - $0 >= Self.interval } ?? true
            if isDue {
                state.lastSaid = now
                state.isSaid = true
            }
            return (state.failuresSinceRaised, isDue)
        }
        guard isDue else { return }
        logger.error(
            "storage.failed",
            metadata: ["storage.code": "\(error.code)", "storage.failures": "\(failures)", "doing": "\(doing)", "error": "\(error)"])
    }

    /// Something was stored.
    func succeeded() {
        guard isRaised else { return }
        let failures = state.withLock { state -> Int in
            defer { state = State(lastSaid: state.lastSaid) }
            raised.store(false, ordering: .relaxed)
            return state.isSaid ? state.failuresSinceRaised : 0
        }
        if failures > 0 { logger.notice("storage.recovered", metadata: ["storage.failures": "\(failures)"]) }
    }

    /// What a client is told whose message could not be stored (RFC 3463 §3.4: 4.3.1 is a full system, 4.3.0 anything else).
    static func reply(to error: any Error) -> SMTPReply {
        if let error = error as? StoreError, error.code == .full { return SMTPReply(452, .init(4, 3, 1), "Insufficient system storage") }
        return SMTPReply(451, .init(4, 3, 0), "The message could not be stored; try again later")
    }
}
