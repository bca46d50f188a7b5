public import DNS

/// The result of DMARC, in the words of RFC 9989 §9.2.
public enum DMARCResult: String, Sendable, Hashable, Codable, CaseIterable {
    /// No policy record applies.
    case none
    /// An authenticated identifier is aligned with the author's domain.
    case pass
    /// None is.
    case fail
    /// The DNS didn't answer.
    case temperror
    /// There is no single author's domain, or the only record there is can't be read.
    case permerror
}

/// What SPF said, for DMARC (RFC 9989 §4.4.2).
public struct DMARCSPFResult: Sendable, Hashable, Codable {
    /// Which identity was checked.
    public enum Identity: String, Sendable, Hashable, Codable {
        /// The domain of the reverse-path.
        case mailFrom
        /// The HELO domain because the reverse-path was null: the MAIL FROM identity is then `postmaster` there (RFC 7208 §2.4).
        case heloOfNullReversePath
        /// The HELO domain beside a reverse-path with a domain: DMARC doesn't look at it (RFC 9989 §3.2.4).
        case helo
    }

    /// The domain that was checked.
    public var domain: String
    /// The result's word (RFC 7208 §2.6).
    public var result: String
    /// Which identity it is.
    public var identity: Identity

    /// Makes a result.
    public init(domain: String, result: String, identity: Identity = .mailFrom) {
        self.domain = domain
        self.result = result
        self.identity = identity
    }
}

/// What DKIM said of one signature, for DMARC (RFC 9989 §4.4.1).
public struct DMARCDKIMResult: Sendable, Hashable, Codable {
    /// The signing domain (`d=`).
    public var domain: String
    /// The selector (`s=`).
    public var selector: String
    /// The result's word (RFC 8601 §2.7.1).
    public var result: String

    /// Makes a result.
    public init(domain: String, selector: String, result: String) {
        self.domain = domain
        self.selector = selector
        self.result = result
    }
}

/// Whether one identifier is aligned with the author's domain, and why (RFC 9989 §4.10.2).
public struct DMARCIdentifierEvidence: Sendable, Hashable, Codable {
    /// The mechanism that authenticated it.
    public enum Mechanism: String, Sendable, Hashable, Codable {
        case spf
        case dkim
    }

    /// What was found.
    public enum Finding: String, Sendable, Hashable, Codable {
        /// It is the author's domain.
        case identical
        /// Its organizational domain is the author's.
        case sameOrganization
        /// The mechanism gave no pass: it isn't authenticated.
        case notAuthenticated
        /// It is the HELO identity, which DMARC doesn't use.
        case heloIdentity
        /// It is no domain name.
        case noDomainName
        /// The record wants strict alignment, and it is another domain.
        case notIdentical
        /// It has another organizational domain.
        case otherOrganization
        /// The DNS didn't tell its organizational domain, or the author's.
        case unknown
        /// There are more identifiers than are looked at.
        case overLimit
    }

    /// The mechanism.
    public var mechanism: Mechanism
    /// The domain as the mechanism gave it.
    public var domain: String
    /// The selector of a DKIM signature.
    public var selector: String?
    /// The mechanism's result.
    public var result: String
    /// Which comparison the record asks for.
    public var mode: DMARCAlignmentMode
    /// Its organizational domain, where it was looked for: not for one that doesn't lie below the author's organizational domain, as its own
    /// can't be that one then.
    public var organizationalDomain: DomainName?
    /// What was found.
    public var finding: Finding

    /// Whether it is authenticated and aligned.
    public var isAligned: Bool { finding == .identical || finding == .sameOrganization }
}

/// What DMARC says of a message, and why.
public struct DMARCEvaluation: Sendable {
    /// The result.
    public internal(set) var result: DMARCResult
    /// Why, in one sentence for people.
    public internal(set) var reason: String
    /// The author; `nil` where there is no single one.
    public internal(set) var author: DMARCAuthor?
    /// Why there is none.
    public internal(set) var authorError: DMARCAuthorError?
    /// The organizational domain of the author's domain, where it had to be known.
    public internal(set) var authorOrganizationalDomain: DomainName?
    /// The record that applies.
    public internal(set) var record: DMARCRecord?
    /// The domain that publishes it.
    public internal(set) var recordDomain: DomainName?
    /// What the record asks for: `p`, `sp` or `np` (RFC 9989 §4.10.1).
    public internal(set) var requestedPolicy: DMARCPolicy?
    /// The tag that says so.
    public internal(set) var requestedPolicyTag: DMARCPolicyTag?
    /// Whether the author's domain exists in the DNS; `nil` where nobody had to know.
    public internal(set) var authorExists: Bool?
    /// Each identifier, SPF first.
    public internal(set) var identifiers: [DMARCIdentifierEvidence] = []
    /// Each question to the DNS, in order.
    public internal(set) var queries: [DMARCQuery] = []
    /// What is unusual in the message or in what the domain publishes.
    public internal(set) var warnings: [String] = []

    init(_ result: DMARCResult, _ reason: String) {
        self.result = result
        self.reason = reason
    }

    /// The author's domain: `header.from` (RFC 9989 §9.1).
    public var headerFrom: String? { author?.domain.ascii }

    /// Whether the record asks for a test (`t=y`).
    public var isTesting: Bool { record?.isTesting ?? false }

    /// The policy to apply to a message that fails: what is asked for, one step weaker in a test (RFC 9989 §4.7, `t`).
    public var effectivePolicy: DMARCPolicy? { isTesting ? requestedPolicy?.oneStepWeaker : requestedPolicy }

    /// Whether an SPF identifier is aligned.
    public var isSPFAligned: Bool { identifiers.contains { $0.mechanism == .spf && $0.isAligned } }

    /// Whether a DKIM identifier is aligned.
    public var isDKIMAligned: Bool { identifiers.contains { $0.mechanism == .dkim && $0.isAligned } }

    /// How many questions were asked.
    public var queryCount: Int { queries.count }
}
