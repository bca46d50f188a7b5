import FoundationEssentials
import MailMessage
import MailStore
import Synchronization

/// Tells a message that a client sends again because our 250 got lost (RFC 1047, RFC 5321 §4.5.3.2.6) from one that it sends twice on
/// purpose: whoever went on with another command after the 250 has seen it, and means what it does.
///
/// Of what was accepted before the process began nobody knows whether the 250 was seen; it counts as unseen.
final class RepeatedMessages: Sendable {
    private struct State {
        /// The message that a session got its last 250 for.
        var last: [UInt64: [UInt8]] = [:]
        /// Messages whose 250 may not have been seen.
        var unseen: [[UInt8]: TraceID] = [:]
        /// The same of sessions that ended, in the order of their ending, to forget the oldest.
        var lost: [[UInt8]] = []
    }
    private let state: Mutex<State>
    private let limit: Int

    /// How long a client may go on trying (RFC 5321 §4.5.4.1: four to five days).
    static let memory: TimeInterval = 5 * 24 * 3600
    /// How many messages of an earlier process are remembered.
    static let earlierLimit = 200_000

    /// - Parameters:
    ///   - limit: how many messages of sessions that ended are remembered.
    ///   - earlier: what was accepted before, the latest first.
    init(limit: Int = 20_000, earlier: [(fingerprint: [UInt8], trace: TraceID)] = []) {
        self.limit = limit
        state = Mutex(State(unseen: Dictionary(earlier.map { ($0.fingerprint, $0.trace) }, uniquingKeysWith: { latest, _ in latest })))
    }

    /// Remembers what the spool knows of earlier processes.
    convenience init(spool: any Spool, at time: Date) async throws {
        self.init(earlier: try await spool.accepted(since: time.addingTimeInterval(-Self.memory), limit: Self.earlierLimit))
    }

    /// A message was stored, and its 250 goes out.
    func accepted(_ fingerprint: [UInt8], trace: TraceID, session: UInt64) {
        state.withLock {
            $0.last[session] = fingerprint
            $0.unseen[fingerprint] = trace
        }
    }

    /// The session goes on, so the client has read our reply.
    func replyWasSeen(session: UInt64) {
        state.withLock { state in
            if let fingerprint = state.last.removeValue(forKey: session) { state.unseen[fingerprint] = nil }
        }
    }

    /// Nothing more comes from the session.
    func connectionClosed(session: UInt64) {
        state.withLock { state in
            guard let fingerprint = state.last.removeValue(forKey: session) else { return }
            state.lost.append(fingerprint)
            guard state.lost.count > limit else { return }
            for old in state.lost.prefix(limit / 2) { state.unseen[old] = nil }
            state.lost.removeFirst(limit / 2)
        }
    }

    /// The trace of the same message where its client may not know that we have it.
    func trace(of fingerprint: [UInt8]) -> TraceID? { state.withLock { $0.unseen[fingerprint] } }
}
