public import DNS
public import FoundationEssentials

/// A policy that sessions were held to, as reports name it (RFC 8460 §4.4, §4.5).
public struct TLSRPTPolicy: Hashable, Sendable, Codable {
    /// The kinds of policy.
    public enum Kind: String, Hashable, Sendable, Codable, CaseIterable {
        case tlsa
        case sts
        case noPolicyFound = "no-policy-found"
    }

    /// Its kind.
    public var kind: Kind
    /// TLSA records in presentation form, or the lines of the policy (RFC 8460 §4.5).
    public var lines: [String]
    /// The domain that the policy is for: of a policy of MTA-STS and of none the recipients' domain, of TLSA records their base domain.
    public var domain: DomainName
    /// The patterns of a policy of MTA-STS; otherwise the MX host.
    public var exchangers: [String]

    /// DANE: the records of a host.
    public static func tlsa(_ records: [TLSARecord], baseDomain: DomainName, host: DomainName) -> TLSRPTPolicy {
        TLSRPTPolicy(kind: .tlsa, lines: records.map(\.description), domain: baseDomain, exchangers: [host.ascii])
    }

    /// MTA-STS.
    public static func sts(_ policy: MTASTSPolicy, domain: DomainName) -> TLSRPTPolicy {
        TLSRPTPolicy(kind: .sts, lines: policy.lines, domain: domain, exchangers: policy.patterns.map(\.description))
    }

    /// A policy of MTA-STS that couldn't be had, so that its lines aren't known.
    public static func unknownSTS(domain: DomainName) -> TLSRPTPolicy { TLSRPTPolicy(kind: .sts, lines: [], domain: domain, exchangers: []) }

    /// No policy was found.
    public static func noPolicyFound(domain: DomainName) -> TLSRPTPolicy {
        TLSRPTPolicy(kind: .noPolicyFound, lines: [], domain: domain, exchangers: [])
    }
}

/// A session that failed, as reports tell it (RFC 8460 §4.4).
public struct TLSRPTFailure: Hashable, Sendable, Codable {
    public var result: TLSResultType
    public var sendingAddress: IPAddress?
    public var receivingHost: DomainName?
    /// What the host called itself.
    public var receivingHELO: String?
    public var receivingAddress: IPAddress?
    /// A URI with more about it.
    public var information: String?
    /// An error's code or words.
    public var reason: String?

    /// Makes a failure.
    public init(
        _ result: TLSResultType, sendingAddress: IPAddress? = nil, receivingHost: DomainName? = nil, receivingHELO: String? = nil,
        receivingAddress: IPAddress? = nil, information: String? = nil, reason: String? = nil
    ) {
        self.result = result
        self.sendingAddress = sendingAddress
        self.receivingHost = receivingHost
        self.receivingHELO = receivingHELO.map(Self.shortened)
        self.receivingAddress = receivingAddress
        self.information = information.map(Self.shortened)
        self.reason = reason.map(Self.shortened)
    }

    /// What a stranger said has an end.
    private static func shortened(_ text: String) -> String {
        text.utf8.count <= 300 ? text : String(decoding: text.utf8.prefix(300), as: UTF8.self)
    }
}

/// What came of the sessions with one domain's hosts on one day (RFC 8460 §4.1, §4.2): a value, kept by its owner.
///
/// The domain that gets the report is that of the recipients (RFC 8460 §3), also where TLSA records of a host elsewhere were applied.
public struct TLSRPTResults: Hashable, Sendable, Codable {
    /// What came of the sessions under one policy.
    public struct Counts: Hashable, Sendable, Codable {
        public var successes: UInt64 = 0
        public var failures: UInt64 = 0
        /// How often each failure came.
        public var details: [TLSRPTFailure: UInt64] = [:]
    }

    /// The most policies of a domain that are told apart on a day; sessions under further ones count for a policy without its lines.
    public static let policyLimit = 100
    /// The most failures of a policy that are told apart; further ones are counted without addresses, names and words.
    public static let detailLimit = 1000

    /// The recipients' domain.
    public let domain: DomainName
    /// The first second of the day, UTC.
    public let day: Date
    /// The counts.
    public private(set) var policies: [TLSRPTPolicy: Counts] = [:]

    /// Nothing has happened yet on the day of a time.
    public init(domain: DomainName, on time: Date) {
        self.domain = domain
        day = Self.day(of: time)
    }

    /// The first second of a time's day, UTC.
    public static func day(of time: Date) -> Date { Date(timeIntervalSince1970: (time.timeIntervalSince1970 / 86_400).rounded(.down) * 86_400) }

    /// Counts a session, or several that were alike.
    /// - Parameters:
    ///   - policy: what it was held to.
    ///   - failures: what was wrong; none for a session that satisfied the policy. Several count as one session that failed.
    ///   - sessions: how many there were.
    public mutating func add(_ policy: TLSRPTPolicy, failures: [TLSRPTFailure], sessions: UInt64 = 1) {
        var key = policy
        if policies[key] == nil, policies.count >= Self.policyLimit {
            key = TLSRPTPolicy(kind: policy.kind, lines: [], domain: domain, exchangers: [])
        }
        var counts = policies[key] ?? Counts()
        if failures.isEmpty {
            counts.successes += sessions
        } else {
            counts.failures += sessions
        }
        var seen: Set<TLSRPTFailure> = []
        for failure in failures where seen.insert(failure).inserted {
            let isKnown = counts.details[failure] != nil || counts.details.count < Self.detailLimit
            counts.details[isKnown ? failure : TLSRPTFailure(failure.result), default: 0] += sessions
        }
        policies[key] = counts
    }

    /// Adds what another process counted of the same domain and day.
    public mutating func merge(_ other: TLSRPTResults) {
        guard other.domain == domain, other.day == day else { return }
        for (policy, counts) in other.policies {
            var sum = policies[policy] ?? Counts()
            sum.successes += counts.successes
            sum.failures += counts.failures
            for (detail, count) in counts.details { sum.details[detail, default: 0] += count }
            policies[policy] = sum
        }
    }

    /// Whether no session was counted.
    public var isEmpty: Bool { policies.isEmpty }
}
