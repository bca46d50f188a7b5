import Synchronization

/// The messages of a mailbox, without their octets, in memory: one for all who have the mailbox open.
///
/// It follows the database. What this process changes is looked for before the next use; what another process changes is found by a look at
/// the mailbox's number of its last modification, which everybody who needs to be sure takes.
public final class MailboxTable: Sendable {
    private struct State {
        var snapshot: MailboxSnapshot
        /// How often this process has changed the mailbox, and how much of that was looked for.
        var changes = 0
        var seenChanges = 0
        var lookedAt: ContinuousClock.Instant
    }

    /// What is known when somebody begins to look into the database.
    struct Look {
        let changes: Int
        let began: ContinuousClock.Instant
    }

    /// The mailbox.
    public let mailbox: Int64
    private let state: Mutex<State>

    init(mailbox: Int64, snapshot: MailboxSnapshot, look: Look) {
        self.mailbox = mailbox
        state = Mutex(State(snapshot: snapshot, lookedAt: look.began))
    }

    /// The messages as they are known now. Not to be held across an `await`: the next change would have to copy them.
    public var snapshot: MailboxSnapshot { state.withLock { $0.snapshot } }

    /// Up to where changes are known.
    public var modSeq: UInt64 { state.withLock { $0.snapshot.modSeq } }

    /// This process has changed the mailbox.
    func noteChange() { state.withLock { $0.changes += 1 } }

    /// Begins to look into the database.
    func beginLook() -> Look { Look(changes: state.withLock { $0.changes }, began: .now) }

    /// Whether nothing is known to be missing, and the last look is not older than `age`.
    func isFresh(within age: Duration) -> Bool {
        state.withLock { $0.changes == $0.seenChanges && (age > .zero ? .now - $0.lookedAt < age : false) }
    }

    /// Whether this process has changed the mailbox since the last look.
    var isBehind: Bool { state.withLock { $0.changes != $0.seenChanges } }

    /// Takes what a look found: all that changed after a modification.
    func apply(changed: [StoredMessage], vanished: [UInt32], after modSeq: UInt64, upTo newModSeq: UInt64, _ look: Look) {
        state.withLock { state in
            // What lies between would be missing.
            guard modSeq <= state.snapshot.modSeq else { return }
            state.snapshot.apply(changed: changed, vanished: vanished, modSeq: newModSeq)
            state.seenChanges = max(state.seenChanges, look.changes)
            state.lookedAt = max(state.lookedAt, look.began)
        }
    }
}

/// The tables of mailboxes that are in use, and of those that were used last.
final class MailboxTables: Sendable {
    /// The messages of all mailboxes together that are remembered without being in use; about 44 octets each.
    private static let messagesRemembered = 1_250_000

    private struct Weak {
        weak var table: MailboxTable?
    }

    /// A mailbox that somebody reads.
    private struct Reading {
        /// Who waits until it is read.
        var waiting: [CheckedContinuation<Void, Never>] = []
        /// It was changed since the reading began.
        var isChanged = false
    }

    private struct State {
        var known: [Int64: Weak] = [:]
        /// The one that was used last comes last.
        var remembered: [MailboxTable] = []
        var reading: [Int64: Reading] = [:]
        var pruneAt = 64
    }

    private let state = Mutex(State())

    /// The table of a mailbox that is in memory.
    private enum Claim {
        case known(MailboxTable)
        /// The caller reads the mailbox, and tells it by ``finish(_:_:)``.
        case mine
        case others
    }

    /// The table of a mailbox; reads it by `load` where it isn't in memory. Many who ask at once have it read once.
    func table(of mailbox: Int64, load: () async throws -> MailboxTable) async throws -> MailboxTable {
        while true {
            switch claim(mailbox) {
            case .known(let table): return table
            case .mine:
                do {
                    let table = try await load()
                    finish(mailbox, table)
                    return table
                } catch {
                    finish(mailbox, nil)
                    throw error
                }
            case .others: await waitForOthers(mailbox)
            }
        }
    }

    private func claim(_ mailbox: Int64) -> Claim {
        state.withLock { state in
            if let table = state.known[mailbox]?.table {
                Self.remember(table, &state)
                return .known(table)
            }
            if state.reading[mailbox] != nil { return .others }
            state.reading[mailbox] = Reading()
            return .mine
        }
    }

    private func waitForOthers(_ mailbox: Int64) async {
        await withCheckedContinuation { continuation in
            let isOver = state.withLock { state in
                guard state.reading[mailbox] != nil else { return true }
                state.reading[mailbox]?.waiting.append(continuation)
                return false
            }
            if isOver { continuation.resume() }
        }
    }

    private func finish(_ mailbox: Int64, _ table: MailboxTable?) {
        let woken = state.withLock { state in
            let reading = state.reading.removeValue(forKey: mailbox)
            if let table {
                if reading?.isChanged == true { table.noteChange() }
                state.known[mailbox] = Weak(table: table)
                Self.remember(table, &state)
                if state.known.count >= state.pruneAt {
                    state.known = state.known.filter { $0.value.table != nil }
                    state.pruneAt = max(64, 2 * state.known.count)
                }
            }
            return reading?.waiting ?? []
        }
        for continuation in woken { continuation.resume() }
    }

    private static func remember(_ table: MailboxTable, _ state: inout State) {
        if state.remembered.last === table { return }
        state.remembered.removeAll { $0 === table }
        state.remembered.append(table)
        var messages = 0
        let kept = state.remembered.reversed().prefix { table in
            // An empty mailbox costs something, too.
            messages += table.snapshot.count + 64
            return messages <= messagesRemembered
        }
        if kept.count < state.remembered.count { state.remembered = kept.reversed() }
    }

    /// This process has changed these mailboxes.
    func noteChange(of mailboxes: Set<Int64>) {
        for mailbox in mailboxes {
            let table = state.withLock { state in
                state.reading[mailbox]?.isChanged = true
                return state.known[mailbox]?.table
            }
            table?.noteChange()
        }
    }

    /// These mailboxes are gone.
    func forget(_ mailboxes: Set<Int64>) {
        guard !mailboxes.isEmpty else { return }
        // Who has one open looks, and finds it gone.
        noteChange(of: mailboxes)
        state.withLock { state in
            for mailbox in mailboxes { state.known[mailbox] = nil }
            state.remembered.removeAll { mailboxes.contains($0.mailbox) }
        }
    }
}
