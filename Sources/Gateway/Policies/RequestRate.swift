import DNS
import FoundationEssentials
import Synchronization

/// How many requests the clients of a network make in a minute. A window that begins anew each minute: twice the limit can come around its end, which does no harm
/// here.
final class RequestRate: Sendable {
    /// Networks that are counted in a minute; whoever comes beyond them waits for the next one.
    static let networkLimit = 10_000

    private struct State {
        var minute = 0
        var counts: [IPNetwork: Int] = [:]
    }
    private let state = Mutex(State())

    /// Counts a request.
    /// - Returns: `nil` where it may be served; otherwise the seconds until another one may.
    func excess(of client: IPAddress, limit: Int, at time: Date) -> Int? {
        let seconds = Int(time.timeIntervalSince1970)
        let network = client.network(v4Prefix: 24, v6Prefix: 48)
        return state.withLock { state in
            if state.minute != seconds / 60 { state = State(minute: seconds / 60) }
            let count = state.counts[network] ?? 0
            guard count < limit, count > 0 || state.counts.count < Self.networkLimit else { return 60 - seconds % 60 }
            state.counts[network] = count + 1
            return nil
        }
    }
}
