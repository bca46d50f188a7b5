import DNS
import Synchronization

/// Slows down those who guess passwords: by address, by user, and in number at once.
///
/// An attempt counts as failed from its beginning, so that many at once don't slip through; success takes it back.
final class LoginLimiter: Sendable {
    /// What is allowed.
    struct Limits: Sendable, Hashable {
        /// Failures of one address (IPv6: /64) within the window.
        var failuresPerAddress = 20
        /// Failures of one user within the window, from anywhere.
        var failuresPerUser = 10
        var window = Duration.seconds(15 * 60)
        /// Addresses and users that are remembered.
        var entries = 20_000
        /// Attempts at the same time.
        var attempts = 32
        /// What an answer to a failure waits at least; doubled with each failure of the user.
        var firstDelay = Duration.milliseconds(500)
        var largestDelay = Duration.seconds(8)
    }

    /// Whether an attempt may be made.
    enum Decision: Hashable, Sendable {
        /// It may; if it fails, the answer comes no earlier than this after its beginning.
        case go(delay: Duration)
        case tooMany
        case busy
    }

    private struct Count {
        var failures = 0
        var began: ContinuousClock.Instant
    }

    private struct State {
        var counts: [String: Count] = [:]
        var underWay = 0
    }

    private let limits: Limits
    private let now: @Sendable () -> ContinuousClock.Instant
    private let state = Mutex(State())

    init(limits: Limits = Limits(), now: @escaping @Sendable () -> ContinuousClock.Instant) {
        self.limits = limits
        self.now = now
    }

    /// Counts an attempt. Whoever is told to go calls ``ended(_:user:succeeded:)`` once.
    func begin(_ address: IPAddress, user: String) -> Decision {
        let (addressKey, userKey) = (Self.key(address), "u:" + user)
        return state.withLock { state in
            guard state.underWay < limits.attempts else { return .busy }
            let now = now()
            forgetOld(&state, now)
            let byAddress = state.counts[addressKey] ?? Count(began: now)
            let byUser = state.counts[userKey] ?? Count(began: now)
            guard byAddress.failures < limits.failuresPerAddress, byUser.failures < limits.failuresPerUser else { return .tooMany }
            state.counts[addressKey] = Count(failures: byAddress.failures + 1, began: byAddress.began)
            state.counts[userKey] = Count(failures: byUser.failures + 1, began: byUser.began)
            state.underWay += 1
            return .go(delay: min(limits.largestDelay, limits.firstDelay * (1 << min(byUser.failures, 10))))
        }
    }

    /// An attempt ended.
    /// - Parameter counts: whether it says something about the password; a store that is down does not.
    func ended(_ address: IPAddress, user: String, succeeded: Bool, counts: Bool = true) {
        state.withLock { state in
            state.underWay -= 1
            if succeeded {
                state.counts["u:" + user] = nil
                release(Self.key(address), &state)
            } else if !counts {
                release("u:" + user, &state)
                release(Self.key(address), &state)
            }
        }
    }

    private func release(_ key: String, _ state: inout State) {
        guard var count = state.counts[key] else { return }
        count.failures -= 1
        state.counts[key] = count.failures > 0 ? count : nil
    }

    private func forgetOld(_ state: inout State, _ now: ContinuousClock.Instant) {
        state.counts = state.counts.filter { now - $0.value.began < limits.window }
        // Those with the fewest failures go first: whoever floods the table with names doesn't wash himself clean.
        guard state.counts.count >= limits.entries else { return }
        let kept = state.counts.sorted { $0.value.failures > $1.value.failures }.prefix(limits.entries / 2)
        state.counts = Dictionary(uniqueKeysWithValues: kept.map { ($0.key, $0.value) })
    }

    private static func key(_ address: IPAddress) -> String {
        switch address {
        case .v4(let value): "4:\(value)"
        // One customer has a /64.
        case .v6(let high, _): "6:\(high)"
        }
    }
}
