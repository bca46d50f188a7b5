public import FoundationEssentials

/// What is known of one domain's policy, and what is to be done about it: a value without a clock, a network or a disk (RFC 8461 §5.1).
///
/// The owner asks the DNS, calls ``plan(_:at:limits:)``, fetches where the plan says so, tells the result to ``fetched(_:record:at:)``, and
/// keeps the value for later. A domain can take its policy back by another one only (RFC 8461 §8.3): neither a record that is gone nor a fetch
/// that fails shortens the time for which a policy counts.
public struct MTASTSPolicyState: Hashable, Sendable {
    /// When policies are fetched again.
    public struct Limits: Hashable, Sendable {
        /// After this time a policy is fetched again though its edition is the same (RFC 8461 §3.3 suggests a day).
        public var refreshSeconds: Double
        /// So long a fetch isn't tried again after one that failed, for the same edition (RFC 8461 §3.3: at least five minutes).
        public var retrySeconds: Double
        /// After this time a policy is fetched again whose edition changed and whose text didn't: the record may have been published before the
        /// policy (RFC 8461 §8.1).
        public var unchangedSeconds: Double

        /// Makes limits.
        public init(refreshSeconds: Double = 86_400, retrySeconds: Double = 300, unchangedSeconds: Double = 3600) {
            self.refreshSeconds = refreshSeconds
            self.retrySeconds = retrySeconds
            self.unchangedSeconds = unchangedSeconds
        }
    }

    /// A policy that was fetched.
    public struct Entry: Hashable, Sendable {
        /// The policy.
        public var policy: MTASTSPolicy
        /// The edition that the record named when it was fetched.
        public var recordID: String
        /// When.
        public var fetchedAt: Date
        /// Whether its text was that of the edition before.
        public var isUnchanged: Bool

        /// Takes up what was kept.
        public init(policy: MTASTSPolicy, recordID: String, fetchedAt: Date, isUnchanged: Bool) {
            self.policy = policy
            self.recordID = recordID
            self.fetchedAt = fetchedAt
            self.isUnchanged = isUnchanged
        }

        /// Whether its time hasn't passed. A clock that was set back makes no policy expire.
        public func isValid(at now: Date) -> Bool { now.timeIntervalSince(fetchedAt) <= Double(policy.maximumAgeSeconds) }
    }

    /// A fetch that failed.
    public struct Failure: Hashable, Sendable {
        /// The edition that was wanted.
        public var recordID: String
        /// When.
        public var at: Date
        /// Why.
        public var error: MTASTSFetchError
    }

    /// The policy that was fetched last with success.
    public private(set) var entry: Entry?
    /// The latest failure since.
    public private(set) var failure: Failure?

    /// Nothing is known.
    public init() {}

    /// Takes up what was kept.
    public init(entry: Entry?, failure: Failure?) {
        self.entry = entry
        self.failure = failure
    }

    /// When a fetch is due.
    public enum Fetch: Hashable, Sendable {
        /// None is.
        case none
        /// Before mail is sent: there is another edition than the one that is known, or none is known.
        case before(recordID: String)
        /// Beside: the policy that is known applies meanwhile.
        case beside(recordID: String)
    }

    /// What applies, and what is to be fetched.
    public struct Plan: Hashable, Sendable {
        /// The policy that applies; `nil` for none, also where a policy says that there is none.
        public var policy: MTASTSPolicy?
        /// What is to be fetched.
        public var fetch: Fetch
        /// Whether the domain's current edition isn't known, so that mail that can't be sent under this one must not be returned for good
        /// before another look (RFC 8461 §5).
        public var isOutdated: Bool
        /// What reports are to name beside the outcome of the session (RFC 8461 §6).
        public var reportable: TLSResultType?
        /// Why, in words.
        public var reason: String
    }

    /// Decides what applies.
    /// - Parameters:
    ///   - discovery: what the DNS says now.
    ///   - now: the time.
    ///   - limits: when policies are fetched again.
    public func plan(_ discovery: MTASTSDiscovery, at now: Date, limits: Limits = Limits()) -> Plan {
        let valid = entry.flatMap { $0.isValid(at: now) ? $0 : nil }
        let policy = valid.flatMap { $0.policy.mode == .none ? nil : $0.policy }
        guard case .record(let record) = discovery else {
            guard let valid else { return Plan(policy: nil, fetch: .none, isOutdated: false, reportable: nil, reason: Self.words(discovery)) }
            // RFC 8461 §3.3: what is known applies until its time has passed, and is fetched again before.
            let fetch = isDue(valid, valid.recordID, now, limits) ? Fetch.beside(recordID: valid.recordID) : .none
            return Plan(
                policy: policy, fetch: fetch, isOutdated: policy != nil, reportable: reportable(valid, now, limits),
                reason: "\(Self.words(discovery)); the policy that was fetched at \(valid.fetchedAt.formatted(.iso8601)) applies (RFC 8461 §3.3)")
        }
        guard let valid else {
            guard mayTry(record.id, now, limits) else {
                return Plan(
                    policy: nil, fetch: .none, isOutdated: true, reportable: failure?.error.resultType,
                    reason: "the policy couldn't be fetched and isn't tried again so soon (RFC 8461 §3.3)")
            }
            return Plan(policy: nil, fetch: .before(recordID: record.id), isOutdated: true, reportable: nil, reason: "no policy is known yet")
        }
        guard valid.recordID == record.id else {
            let fetch = mayTry(record.id, now, limits) ? Fetch.before(recordID: record.id) : .none
            return Plan(
                policy: policy, fetch: fetch, isOutdated: true, reportable: reportable(valid, now, limits),
                reason: "there is the edition “\(record.id)”, and “\(valid.recordID)” is known, which applies until that is fetched")
        }
        let fetch = isDue(valid, record.id, now, limits) ? Fetch.beside(recordID: record.id) : .none
        return Plan(
            policy: policy, fetch: fetch, isOutdated: false, reportable: reportable(valid, now, limits),
            reason: valid.policy.mode == .none ? "the domain has taken its policy back (RFC 8461 §8.3)" : "the edition that is known is current")
    }

    /// Takes the result of a fetch.
    public mutating func fetched(_ result: Result<MTASTSPolicy, MTASTSFetchError>, record id: String, at now: Date) {
        switch result {
        case .success(let policy):
            let isUnchanged = entry.map { $0.recordID != id && $0.policy == policy } ?? false
            entry = Entry(policy: policy, recordID: id, fetchedAt: now, isUnchanged: isUnchanged)
            failure = nil
        case .failure(let error): failure = Failure(recordID: id, at: now, error: error)
        }
    }

    /// Whether the value holds nothing any more that could matter.
    public func isForgettable(at now: Date, limits: Limits = Limits()) -> Bool {
        !(entry?.isValid(at: now) ?? false) && failure.map { now.timeIntervalSince($0.at) > limits.retrySeconds } ?? true
    }

    private func isDue(_ valid: Entry, _ id: String, _ now: Date, _ limits: Limits) -> Bool {
        // A policy that counts for less than a day must be fetched before its end, or it would end.
        let wanted = valid.isUnchanged ? limits.unchangedSeconds : limits.refreshSeconds
        let interval = min(wanted, Double(valid.policy.maximumAgeSeconds) / 2)
        return now.timeIntervalSince(valid.fetchedAt) >= interval && mayTry(id, now, limits)
    }

    private func mayTry(_ id: String, _ now: Date, _ limits: Limits) -> Bool {
        guard let failure, failure.recordID == id else { return true }
        let passed = now.timeIntervalSince(failure.at)
        return passed < 0 || passed >= limits.retrySeconds
    }

    /// RFC 8461 §6: failures to fetch count while a policy is known, except where it says that there is none.
    private func reportable(_ valid: Entry, _ now: Date, _ limits: Limits) -> TLSResultType? {
        valid.policy.mode == .none ? nil : failure?.error.resultType
    }

    private static func words(_ discovery: MTASTSDiscovery) -> String {
        switch discovery {
        case .record(let record): "there is the edition “\(record.id)”"
        case .notFound: "there is no record"
        case .several(let count): "there are \(count) records, which counts as none (RFC 8461 §3.1)"
        case .invalid(let reason): "the record counts as none: \(reason)"
        case .failed(let error): "the record can't be found out: \(error)"
        }
    }
}
