import FoundationEssentials

/// When a deferred recipient is tried again (RFC 5321 §4.5.4.1), when its sender is warned, and when it is given up.
struct RetrySchedule: Sendable {
    private let waits: [Int]
    private let expiry: TimeInterval
    private let warning: TimeInterval

    init(_ settings: Configuration.QueueSettings) {
        waits = settings.retrySeconds.isEmpty ? [900] : settings.retrySeconds
        expiry = TimeInterval(settings.expireSeconds)
        warning = TimeInterval(settings.delayWarningSeconds)
    }

    /// The time of the next attempt, with up to 15 % of jitter either way so that what failed together isn't tried together.
    /// - Parameter attempts: the attempts made so far, this one included.
    func nextAttempt(after attempts: Int, at time: Date, using generator: inout some RandomNumberGenerator) -> Date {
        let wait = Double(waits[min(max(attempts, 1), waits.count) - 1])
        return time.addingTimeInterval(wait * Double.random(in: 0.85...1.15, using: &generator))
    }

    /// No wait is longer than this, in seconds.
    var longestWait: TimeInterval { Double(waits.max() ?? 900) * 1.15 }

    /// Whether a message of that arrival is to be given up at `time`.
    func isExpired(arrival: Date, at time: Date) -> Bool { time.timeIntervalSince(arrival) >= expiry }

    /// Whether the sender is to be warned of the delay by now.
    func isDelayed(arrival: Date, at time: Date) -> Bool { time.timeIntervalSince(arrival) >= warning }

    /// When a message of that arrival is given up.
    func expiry(of arrival: Date) -> Date { arrival.addingTimeInterval(expiry) }
}
