public import FoundationEssentials

/// What a destination offered before: a value, kept by its owner for each host.
///
/// Whoever sits between two hosts can take the word STARTTLS away. Where nobody published a policy, memory is all that shows it: a host that had
/// TLS every time and suddenly has none is waited for, as long as the operator wants, and no longer.
public struct DestinationHistory: Hashable, Sendable, Codable {
    /// When a host without TLS is suspicious, and for how long its mail waits.
    public struct Limits: Hashable, Sendable {
        /// So many sessions under TLS in a row make a host known for it.
        public var sessions: UInt64
        /// So long after the last of them it is known for it.
        public var memorySeconds: Double
        /// So long after the first session without TLS mail waits; 0: never.
        public var deferralSeconds: Double

        /// Makes limits.
        public init(sessions: UInt64 = 5, memorySeconds: Double = 30 * 86_400, deferralSeconds: Double = 4 * 3600) {
            self.sessions = sessions
            self.memorySeconds = memorySeconds
            self.deferralSeconds = deferralSeconds
        }
    }

    /// What is to be thought of a host without TLS.
    public enum Suspicion: Hashable, Sendable {
        /// Nothing: it isn't known for TLS.
        case none
        /// Mail waits until this time.
        case wait(until: Date)
        /// Mail has waited long enough: it goes without TLS.
        case waited
    }

    /// Sessions under TLS in a row.
    public private(set) var encryptedSessions: UInt64 = 0
    /// Those of them whose certificate an authority or DANE vouched for.
    public private(set) var authenticatedSessions: UInt64 = 0
    /// When the first of them was.
    public private(set) var encryptedSince: Date?
    /// When the last of them was.
    public private(set) var lastEncrypted: Date?
    /// When TLS was missing first after them.
    public private(set) var missingSince: Date?

    /// Nothing is known.
    public init() {}

    /// Takes a session under TLS.
    public mutating func encrypted(isAuthenticated: Bool, at now: Date) {
        if encryptedSince == nil { encryptedSince = now }
        encryptedSessions += 1
        if isAuthenticated { authenticatedSessions += 1 }
        lastEncrypted = now
        missingSince = nil
    }

    /// Takes a session in which TLS was missing.
    /// - Returns: What is to be thought of it.
    public mutating func missing(at now: Date, limits: Limits) -> Suspicion {
        guard encryptedSessions >= limits.sessions, let lastEncrypted, now.timeIntervalSince(lastEncrypted) <= limits.memorySeconds,
            limits.deferralSeconds > 0
        else { return .none }
        let since = missingSince ?? now
        missingSince = since
        let end = since.addingTimeInterval(limits.deferralSeconds)
        return now < end ? .wait(until: end) : .waited
    }

    /// Takes note that mail went without TLS: the host isn't known for it any more.
    public mutating func sentInClear() { self = DestinationHistory() }

    /// Whether the value says nothing any more.
    public func isForgettable(at now: Date, limits: Limits) -> Bool {
        lastEncrypted.map { now.timeIntervalSince($0) > limits.memorySeconds } ?? true
    }
}
