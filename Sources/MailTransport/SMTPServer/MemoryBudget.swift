import Synchronization

/// What all sessions together may hold in memory. Over it nobody new is served: the house answers "later" rather than grow.
public final class MemoryBudget: Sendable {
    private let octets: Atomic<Int>
    private let used = Atomic<Int>(0)

    /// Makes a budget of `limit` octets.
    public init(limit: Int) { octets = Atomic(limit) }

    /// Octets. What is held already stays when the limit is lowered.
    public var limit: Int {
        get { octets.load(ordering: .relaxed) }
        set { octets.store(newValue, ordering: .relaxed) }
    }

    /// Octets in use.
    public var octetsInUse: Int { used.load(ordering: .relaxed) }

    /// Nothing new may begin.
    public var isExhausted: Bool { octetsInUse >= limit }

    /// Counts octets that are held now. What is held already is never refused; ask ``isExhausted`` before something begins.
    public func add(_ octets: Int) { used.add(octets, ordering: .relaxed) }

    /// Counts octets that were let go.
    public func remove(_ octets: Int) { used.subtract(octets, ordering: .relaxed) }
}
