import FoundationEssentials

/// How many messages a destination gets in a minute. A bucket holds what ten seconds allow, at least one message, so that a newsletter
/// flows evenly instead of in bursts of a minute. The mailboxes and links of our own house,
/// and hosts that a route names, have no such limit.
struct DestinationRate: Sendable {
    /// Messages per minute and destination; 0 for no limit.
    private let perMinute: Int
    /// When each destination would be even again, after all that it got. A time in the past is as good as none.
    private var evenAt: [String: Date] = [:]

    init(perMinute: Int) { self.perMinute = perMinute }

    private var interval: Double { 60 / Double(perMinute) }
    /// How far a destination may be ahead of its even flow.
    private var tolerance: Double { max(10, interval) - interval }

    private func isLimited(_ destination: Destination) -> Bool {
        switch destination {
        case .exchangers, .literal: perMinute > 0
        case .mailbox, .link, .route: false
        }
    }

    /// Takes one message's place, where there is one.
    mutating func take(_ destination: Destination, at time: Date) -> Bool {
        guard isLimited(destination) else { return true }
        forgetOthersClock(at: time)
        let even = max(evenAt[destination.key] ?? time, time)
        guard even.timeIntervalSince(time) <= tolerance else { return false }
        evenAt[destination.key] = even.addingTimeInterval(interval)
        return true
    }

    /// Forgets times further ahead than any can be: the clock was put back since.
    private mutating func forgetOthersClock(at time: Date) {
        guard perMinute > 0 else { return }
        let furthest = tolerance + interval + 1
        if evenAt.contains(where: { $0.value.timeIntervalSince(time) > furthest }) {
            evenAt = evenAt.filter { $0.value.timeIntervalSince(time) <= furthest }
        }
    }

    /// The destinations that get nothing now. Those that are even again are forgotten.
    mutating func exhausted(at time: Date) -> Set<String> {
        evenAt = evenAt.filter { $0.value > time }
        forgetOthersClock(at: time)
        return Set(evenAt.filter { $0.value.timeIntervalSince(time) > tolerance }.keys)
    }
}
