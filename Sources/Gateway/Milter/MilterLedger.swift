import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import Milter
import ServiceLifecycle
import Synchronization

/// Counts what a filter has judged, for reports: in memory while the MTA waits for its verdicts, and every second in the store, all at once.
///
/// A crash loses what wasn't committed yet, a second's messages; nothing is ever counted twice. Equal messages are one row here as there, so that
/// a flood takes no more memory than its rows are different.
final class MilterLedger: Service {
    private struct State {
        var entries: [ReportEntry: Int] = [:]
        var singles: [SingleReport] = []
        /// Messages that found no room.
        var dropped = 0
        var isFailing = false
    }

    /// The place in the store: it is moved by each commit, so that two processes never mistake each other's for theirs.
    static let cursor = "milter"
    /// Different rows that wait at most, where the store can't be written.
    static let rowLimit = 20_000
    /// Reports on single messages that wait at most.
    static let singleLimit = 1000

    private let accountant: ReportAccountant
    private let interval: Duration
    private let logger: Logger
    private let state = Mutex(State())

    init(accountant: ReportAccountant, interval: Duration = .seconds(1), logger: Logger) {
        self.accountant = accountant
        self.interval = interval
        self.logger = logger
    }

    /// Notes what reports will say of a message. Nothing waits for anything here.
    func note(_ judged: JourneyEvent.Judged, to recipients: [MilterPath], at time: Date) {
        // Were reports reported on, two organisations that nobody else writes to would report on their reports for ever.
        let isReport = !recipients.isEmpty && recipients.allSatisfy { $0.address.map { accountant.reportAddresses.contains($0.lowercased) } ?? false }
        guard !isReport else { return }
        let account = accountant.account(judged, at: time)
        state.withLock { state in
            if let entry = account.entry {
                if state.entries[entry] != nil || state.entries.count < Self.rowLimit {
                    state.entries[entry, default: 0] += 1
                } else {
                    state.dropped += 1
                }
            }
            if let single = account.single, state.singles.count < Self.singleLimit { state.singles.append(single) }
        }
    }

    /// Messages that aren't committed yet.
    var waiting: Int { state.withLock { state in state.entries.values.reduce(0, +) } }

    func run() async throws {
        while !Task.isShuttingDownGracefully, !Task.isCancelled {
            // Only the wait is cut short, never a commit.
            try? await cancelWhenGracefulShutdown { [interval] in try await Task.sleep(for: interval) }
            await write()
        }
        // What is cancelled can't read the store any more.
        await Task { await write() }.value
    }

    /// Commits what was noted. Where the store can't be written it waits for the next time.
    func write() async {
        let (noted, singles, dropped) = state.withLock { state in
            defer { (state.entries, state.singles, state.dropped) = ([:], [], 0) }
            return (state.entries, state.singles, state.dropped)
        }
        if dropped > 0 {
            var outcome = ReportAccountOutcome()
            outcome.dropped = dropped
            accountant.tell(outcome)
        }
        guard !noted.isEmpty || !singles.isEmpty else { return }
        do {
            try await commit(noted, singles)
            state.withLock { $0.isFailing = false }
        } catch {
            let wasFailing = state.withLock { state in
                state.entries.merge(noted) { $0 + $1 }
                state.singles = Array((singles + state.singles).prefix(Self.singleLimit))
                defer { state.isFailing = true }
                return state.isFailing
            }
            guard !wasFailing else { return }
            logger.warning("what was judged can't be counted for reports now; it is kept in memory", metadata: ["error": "\(error)"])
        }
    }

    private func commit(_ noted: [ReportEntry: Int], _ singles: [SingleReport]) async throws {
        let entries = noted.map { entry, count in
            var entry = entry
            entry.count = count
            return entry
        }
        while true {
            let place = try await accountant.spool.reportCursor(Self.cursor)
            let outcome = try await accountant.spool.count(
                entries, singles: singles, cursor: Self.cursor, from: place, to: place + 1, limits: accountant.limits, at: accountant.now())
            // Another process came between.
            guard let outcome else { continue }
            return accountant.tell(outcome)
        }
    }
}
