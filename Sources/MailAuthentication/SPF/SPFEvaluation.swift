public import DNS

/// The results of RFC 7208 §2.6, in the words of RFC 8601 §2.7.2.
public enum SPFResult: String, Sendable, Hashable, Codable, CaseIterable {
    case none, neutral, pass, fail, softfail, temperror, permerror
}

/// What was evaluated (RFC 7208 §2.3, §2.4).
public enum SPFIdentity: String, Sendable, Hashable, Codable {
    case helo, mailfrom
}

/// What SPF says of a client, and how it came to that.
public struct SPFEvaluation: Sendable {
    /// A term of a record, as it was evaluated.
    public struct Term: Sendable {
        /// The domain whose record it stands in.
        public var domain: String
        /// The term as it is written; the whole record where the record itself was looked up.
        public var text: String
        /// How deep in includes and redirects, from 0.
        public var depth: Int
        /// The name that was asked for, with macros replaced.
        public var target: String?
        /// The questions to the DNS, in order.
        public var lookups: [DNSLookup]
        /// Whether it matched; `nil` for a record or modifier.
        public var matched: Bool?
        /// What came of it, in words.
        public var note: String
    }

    public var result: SPFResult
    public var identity: SPFIdentity
    /// The domain that is responsible: that of MAIL FROM, or HELO's.
    public var domain: String
    /// What the domain says about the failure, to strangers' text (RFC 7208 §6.2); of printable ASCII.
    public var explanation: String?
    /// The mechanism that matched, as it is written; `nil`: none did.
    public var mechanism: String?
    /// Why the result is `none`, `temperror` or `permerror`.
    public var problem: String?
    /// Everything that was evaluated, in order.
    public var terms: [Term]
    /// How many more terms were evaluated than ``terms`` has room for (``SPFLimits/evidence``).
    public var omittedTerms: Int
    /// Terms that took questions to the DNS; at most 10 (§4.6.4).
    public var lookups: Int
    /// Terms with a question that has no answer; at most 2 (§4.6.4).
    public var voidLookups: Int
}

/// How much an evaluation may take (RFC 7208 §4.6.4).
public struct SPFLimits: Sendable, Hashable {
    /// Terms that ask the DNS.
    public var lookups = 10
    /// Terms with a question that has no answer.
    public var voidLookups = 2
    /// Hosts of an `mx` term, and names of an address.
    public var names = 10
    /// What all questions may take together; no further one is asked then. The RFC wants 20 seconds at least.
    public var time = Duration.seconds(20)
    /// Octets of an explanation, macros replaced.
    public var explanation = 1_000
    /// Terms that are kept as evidence.
    public var evidence = 1_000
    public init() {}
}
