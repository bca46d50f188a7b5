public import FoundationEssentials
import Synchronization

/// Keeps what was fetched by its location (draft-fetch-validation-vmc-wchuang-11 §3.3): a logo that thousands of messages show is fetched once.
///
/// The clock is the caller's. What is kept is judged again whenever it is used: a certificate may have ended meanwhile.
public final class BIMICache: Sendable {
    /// How much is kept and for how long.
    public struct Limits: Sendable, Hashable {
        /// The seconds for which something is kept; the draft leaves the figure open.
        public var timeToLiveSeconds: Double
        /// The most locations.
        public var entryLimit: Int
        /// The most octets in all.
        public var octetLimit: Int

        /// Makes limits.
        public init(timeToLiveSeconds: Double = 3600, entryLimit: Int = 1000, octetLimit: Int = 16 << 20) {
            self.timeToLiveSeconds = timeToLiveSeconds
            self.entryLimit = entryLimit
            self.octetLimit = octetLimit
        }
    }

    private struct Entry {
        var octets: [UInt8]
        var storedAt: Date
        /// Grows with every use: the smallest one is the one that goes first.
        var lastUse: UInt64
    }

    private struct State {
        var entries: [String: Entry] = [:]
        var octets = 0
        var uses: UInt64 = 0

        mutating func remove(_ key: String) {
            if let entry = entries.removeValue(forKey: key) { octets -= entry.octets.count }
        }
    }

    /// How much later than now something may have been stored.
    private static let skewSeconds: Double = 60

    private let limits: Limits
    private let state = Mutex(State())

    /// An empty cache.
    public init(limits: Limits = Limits()) { self.limits = limits }

    /// What was fetched from a location, where it is fresh at this time.
    public func octets(of location: BIMILocation, at now: Date) -> [UInt8]? {
        state.withLock { state in
            guard var entry = state.entries[location.text] else { return nil }
            let age = now.timeIntervalSince(entry.storedAt)
            // A clock that was set back would keep an entry for ever. A message that came in before something was fetched for another one may use it.
            guard age >= -Self.skewSeconds, age < limits.timeToLiveSeconds else {
                state.remove(location.text)
                return nil
            }
            state.uses += 1
            entry.lastUse = state.uses
            state.entries[location.text] = entry
            return entry.octets
        }
    }

    /// Keeps what was fetched; the location that wasn't used for the longest time makes room.
    public func store(_ octets: [UInt8], of location: BIMILocation, at now: Date) {
        guard octets.count <= limits.octetLimit, limits.entryLimit > 0 else { return }
        state.withLock { state in
            state.remove(location.text)
            state.uses += 1
            state.entries[location.text] = Entry(octets: octets, storedAt: now, lastUse: state.uses)
            state.octets += octets.count
            while state.octets > limits.octetLimit || state.entries.count > limits.entryLimit {
                guard let oldest = state.entries.min(by: { $0.value.lastUse < $1.value.lastUse })?.key else { return }
                state.remove(oldest)
            }
        }
    }

    /// How many locations are kept, and their octets.
    public var size: (entries: Int, octets: Int) { state.withLock { ($0.entries.count, $0.octets) } }
}
