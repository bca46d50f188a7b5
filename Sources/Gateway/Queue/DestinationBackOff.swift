import FoundationEssentials

/// Destinations that can't be reached, and until when each is left alone: 1 s at first, twice as long each time, 60 s at most. A
/// recipient's own retry schedule is longer; this keeps the other recipients of the same destination from trying in vain.
struct DestinationBackOff: Sendable {
    private var closedUntil: [String: (time: Date, wait: Double)] = [:]

    /// The longest wait, in seconds.
    private static let longest: Double = 60

    /// After this time in seconds without another failure a destination counts as new, and is forgotten.
    private static let memory: Double = 3600

    /// Notes what an attempt showed.
    mutating func note(_ destination: String, unreachable: Bool, at time: Date) {
        guard unreachable else {
            closedUntil[destination] = nil
            return
        }
        let wait = min(Self.longest, (closedUntil[destination]?.wait ?? 0.5) * 2)
        closedUntil[destination] = (time.addingTimeInterval(wait), wait)
    }

    /// The destinations that are left alone now.
    mutating func closed(at time: Date) -> Set<String> {
        // A time further ahead than any wait is long is one of a clock that was put back since: it would keep the destination closed for
        // as long as the clock was wrong.
        closedUntil = closedUntil.filter { entry in
            entry.value.time.addingTimeInterval(Self.memory) > time && entry.value.time.timeIntervalSince(time) <= Self.longest
        }
        return Set(closedUntil.filter { $0.value.time > time }.keys)
    }
}
