import GRDB
import Synchronization

/// Who waits for changes of which mailbox. While somebody does, other processes' commits are looked for once a second.
final class MailboxChanges: Sendable {
    private struct State {
        var nextListener = 0
        var listeners: [Int64: [Int: AsyncStream<Void>.Continuation]] = [:]
        var poll: Task<Void, Never>?
    }

    private let database: StoreDatabase
    private let state = Mutex(State())

    init(database: StoreDatabase) { self.database = database }

    func stream(of mailbox: Int64) -> AsyncStream<Void> {
        AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let number = state.withLock { state in
                let number = state.nextListener
                state.nextListener += 1
                state.listeners[mailbox, default: [:]][number] = continuation
                if state.poll == nil { state.poll = Task { [weak self] in await self?.watchOtherProcesses() } }
                return number
            }
            continuation.onTermination = { [weak self] _ in self?.remove(number, mailbox) }
        }
    }

    func wake(_ mailboxes: Set<Int64>) {
        let woken = state.withLock { state in mailboxes.flatMap { Array((state.listeners[$0] ?? [:]).values) } }
        for continuation in woken { continuation.yield() }
    }

    func finish(_ mailboxes: Set<Int64>) {
        // Outside the lock: ending a stream calls back into remove(_:_:).
        let ended = state.withLock { state in mailboxes.flatMap { Array((state.listeners.removeValue(forKey: $0) ?? [:]).values) } }
        for continuation in ended { continuation.finish() }
        stopIfIdle()
    }

    func finishAll() { finish(Set(state.withLock { Array($0.listeners.keys) })) }

    private func remove(_ number: Int, _ mailbox: Int64) {
        state.withLock { state in
            state.listeners[mailbox]?[number] = nil
            if state.listeners[mailbox]?.isEmpty == true { state.listeners[mailbox] = nil }
        }
        stopIfIdle()
    }

    private func stopIfIdle() {
        let poll = state.withLock { state -> Task<Void, Never>? in
            guard state.listeners.isEmpty else { return nil }
            let poll = state.poll
            state.poll = nil
            return poll
        }
        poll?.cancel()
    }

    private func watchOtherProcesses() async {
        // The first look always wakes: what was committed since the stream began would otherwise count as known.
        var lastVersion: Int64?
        while !Task.isCancelled {
            if let version = try? await database.dataVersion(), version != lastVersion {
                lastVersion = version
                await wakeAll()
            }
            guard (try? await Task.sleep(for: .seconds(1))) != nil else { return }
        }
    }

    /// Wakes who watches a mailbox that is there, and ends the others.
    private func wakeAll() async {
        // Which mailbox it was isn't known; to wake one too many does no harm, its session finds nothing new.
        let watched = state.withLock { Array($0.listeners.keys) }
        let existing = try? await database.read { db in
            try Set(watched.filter { try Int.fetchOne(db, sql: "SELECT 1 FROM mailbox WHERE id = ?", arguments: [$0]) != nil })
        }
        guard let existing else { return }
        wake(existing)
        finish(Set(watched).subtracting(existing))
    }
}
