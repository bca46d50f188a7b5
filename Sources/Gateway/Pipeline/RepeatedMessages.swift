import Synchronization

/// Tells a message that a client sends again because our 250 got lost (RFC 1047, RFC 5321 §4.5.3.2.6) from one that it sends twice on
/// purpose: whoever went on with another command after the 250 has seen it, and means what it does.
///
/// Only the present process is remembered. After a crash, what was stored just before counts as unanswered.
final class RepeatedMessages: Sendable {
    private struct State {
        /// The message that a session got its last 250 for.
        var unanswered: [UInt64: String] = [:]
        var answered: Set<String> = []
        /// The same in the order of their coming, to forget the oldest.
        var order: [String] = []
    }
    private let state = Mutex(State())
    private let limit: Int

    /// - Parameter limit: how many messages are remembered.
    init(limit: Int = 20_000) { self.limit = limit }

    /// A message was stored, and its 250 goes out.
    func accepted(_ key: String, session: UInt64) {
        state.withLock {
            $0.answered.remove(key)
            $0.unanswered[session] = key
        }
    }

    /// The session goes on, so the client has read our reply.
    func replyWasSeen(session: UInt64) {
        state.withLock { state in
            guard let key = state.unanswered.removeValue(forKey: session) else { return }
            if state.answered.insert(key).inserted { state.order.append(key) }
            if state.order.count > limit {
                state.answered.subtract(state.order.prefix(limit / 2))
                state.order.removeFirst(limit / 2)
            }
        }
    }

    /// Nothing more comes from the session.
    func connectionClosed(session: UInt64) {
        _ = state.withLock { $0.unanswered.removeValue(forKey: session) }
    }

    /// Whether the client of the last such message knows that we have it.
    func wasAnswered(_ key: String) -> Bool { state.withLock { $0.answered.contains(key) } }
}
