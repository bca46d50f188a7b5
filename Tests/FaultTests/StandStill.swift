import Synchronization

/// The spans of time in which nothing went on in this process, as on a machine that was stopped or had no time for it. The hosts under test
/// stood still too, or waited for a peer of ours that did; when they go on, their time limits have passed, and what a peer has taken is
/// sent again (RFC 1047). Such a duplicate says nothing about the host.
final class StandStill: Sendable {
    /// Half of the time that the hosts of the tests give a peer.
    static let least = Duration.seconds(1)
    private let found = Mutex<[ClosedRange<ContinuousClock.Instant>]>([])

    /// All spans so far.
    var spans: [ClosedRange<ContinuousClock.Instant>] { found.withLock { $0 } }

    /// Watches while `body` runs.
    static func watched<T>(_ body: (StandStill) async throws -> T) async throws -> T {
        let standStill = StandStill()
        let watch = Task { await standStill.watch() }
        defer { watch.cancel() }
        return try await body(standStill)
    }

    private func watch() async {
        var last = ContinuousClock.now
        while !Task.isCancelled {
            await pause(milliseconds: 100)
            note(from: last, to: .now)
            last = .now
        }
    }

    /// Notes a span that was longer than it should have been.
    func note(from start: ContinuousClock.Instant, to end: ContinuousClock.Instant) {
        guard end - start >= Self.least else { return }
        found.withLock { $0.append(start...end) }
    }

    /// Whether a copy is to be expected: the peer took it in a span, within the time that it has for its reply before it, or just after it.
    func explains(_ earlier: ContinuousClock.Instant) -> Bool {
        spans.contains { $0.lowerBound - .seconds(2) <= earlier && earlier <= $0.upperBound + .seconds(1) }
    }
}
