import Synchronization

/// How much is done at once, in total and for one user. What doesn't get in is told to come back; nothing queues up.
final class WorkGate: Sendable {
    private let total: Int
    private let perUser: Int
    private let users = Mutex<[String: Int]>([:])

    init(total: Int, perUser: Int) {
        self.total = total
        self.perUser = perUser
    }

    /// Counts a piece of work, or refuses it. Whoever got in leaves once.
    func enter(_ user: String) -> Bool {
        users.withLock { users in
            guard users.values.reduce(0, +) < total, users[user, default: 0] < perUser else { return false }
            users[user, default: 0] += 1
            return true
        }
    }

    /// A piece of work ended.
    func leave(_ user: String) {
        users.withLock { users in
            let left = users[user, default: 1] - 1
            users[user] = left > 0 ? left : nil
        }
    }
}
