public import FoundationEssentials

/// The change of a certificate's key where TLSA records (3 1 1) name it: at no time does somebody see a key that no record names
/// (RFC 7671 §8.1).
///
/// ```
/// settled ──begin──▶ publishing ──both records are seen──▶ waiting ──2·TTL──▶ switching ──in use──▶ withdrawing ──one record──▶ settled
/// ```
///
/// The state is kept over restarts; each step can be done twice without harm. Until the switch it can be called off.
public struct KeyRollover: Hashable, Sendable, Codable {
    /// Where it stands.
    public enum State: Hashable, Sendable, Codable {
        /// One key, one record.
        case settled
        /// The next key is made, and its record is being published beside the present one's.
        case publishing
        /// Both records are published; copies of the old record set die out.
        case waiting(since: Date)
        /// The next key may be used: its certificate is being had and installed.
        case switching
        /// The new key is in use; the old one's record is being withdrawn.
        case withdrawing
    }

    /// What is to be done.
    public enum Action: Hashable, Sendable {
        /// Nothing.
        case none
        /// Make these digests the whole of the TLSA record set, then call ``published(at:)`` or ``withdrawn()``.
        case publish([[UInt8]])
        /// Come again then.
        case wait(until: Date)
        /// Have a certificate for the next key, put both into use everywhere, then call ``switched()``.
        case switchCertificate
    }

    /// Where it stands.
    public private(set) var state = State.settled
    /// The digest of the key in use.
    public private(set) var current: [UInt8]
    /// The digest of the next key, or of the former one while its record is withdrawn.
    public private(set) var other: [UInt8]?
    /// The lifetime of the records, in seconds.
    public private(set) var timeToLive: UInt32

    /// A key in use, its record published.
    public init(current: [UInt8], timeToLive: UInt32) {
        self.current = current
        self.timeToLive = timeToLive
    }

    /// Whether nothing is under way.
    public var isSettled: Bool { state == .settled }

    /// The digests that the record set must have now.
    public var digests: [[UInt8]] {
        switch state {
        case .settled, .withdrawing: [current]
        case .publishing, .waiting, .switching: [current] + (other.map { [$0] } ?? [])
        }
    }

    /// Begins with the next key.
    /// - Returns: Whether it began: not while another change is under way, and not with the same key.
    public mutating func begin(next: [UInt8], timeToLive: UInt32) -> Bool {
        guard isSettled, next != current else { return false }
        // The copies that must die out may still have the former lifetime.
        self.timeToLive = max(timeToLive, self.timeToLive)
        other = next
        state = .publishing
        return true
    }

    /// What is to be done now.
    public func action(at time: Date) -> Action {
        switch state {
        case .settled: .none
        case .publishing, .withdrawing: .publish(digests)
        case .waiting(let since):
            // A clock that was set back doesn't shorten it.
            time >= end(since) ? .switchCertificate : .wait(until: end(since))
        case .switching: .switchCertificate
        }
    }

    /// Deliberate: twice the lifetime, so that a secondary server that is late by one lifetime does no harm.
    private func end(_ since: Date) -> Date { since.addingTimeInterval(2 * TimeInterval(timeToLive)) }

    /// All servers of the zone have both records.
    public mutating func published(at time: Date) {
        if state == .publishing { state = .waiting(since: time) }
    }

    /// The new certificate is being had; from here on there is no way back.
    public mutating func switching(at time: Date) {
        if case .waiting(let since) = state, time >= end(since) { state = .switching }
    }

    /// The new certificate and its key are in use.
    public mutating func switched() {
        guard state == .switching, let next = other else { return }
        other = current
        current = next
        state = .withdrawing
    }

    /// The former key's record is gone; its key can be destroyed.
    public mutating func withdrawn() {
        guard state == .withdrawing else { return }
        other = nil
        state = .settled
    }

    /// Calls it off, while the next key isn't in use.
    /// - Returns: Whether it could be. Then the record set is ``digests`` again, which is to be published.
    public mutating func cancel() -> Bool {
        switch state {
        case .publishing, .waiting:
            other = nil
            state = .withdrawing
            return true
        case .settled, .switching, .withdrawing: return false
        }
    }
}
