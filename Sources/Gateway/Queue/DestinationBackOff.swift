import FoundationEssentials

/// Destinations that can't be reached, and until when each is left alone: 1 s at first, twice as long each time, 60 s at most. A
/// recipient's own retry schedule is longer; this keeps the other recipients of the same destination from trying in vain.
struct DestinationBackOff: Sendable {
    private var closedUntil: [String: (time: Date, wait: Double)] = [:]

    /// After this time in seconds without another failure a destination counts as new, and is forgotten.
    private static let memory: Double = 3600

    /// Notes what an attempt showed.
    mutating func note(_ destination: String, unreachable: Bool, at time: Date) {
        guard unreachable else {
            closedUntil[destination] = nil
            return
        }
        let wait = min(60, (closedUntil[destination]?.wait ?? 0.5) * 2)
        closedUntil[destination] = (time.addingTimeInterval(wait), wait)
    }

    /// The destinations that are left alone now.
    mutating func closed(at time: Date) -> Set<String> {
        closedUntil = closedUntil.filter { $0.value.time.addingTimeInterval(Self.memory) > time }
        return Set(closedUntil.filter { $0.value.time > time }.keys)
    }
}
