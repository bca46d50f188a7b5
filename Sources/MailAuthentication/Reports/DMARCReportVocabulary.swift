/// A word of a closed list in an aggregate report, kept as it was written where the list doesn't have it: senders of reports invent words, and
/// one of them is no reason to lose a day's report.
public protocol DMARCReportVocabulary: RawRepresentable<String>, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The words that RFC 9990 or RFC 7489 define.
    static var known: [Self] { get }
    /// Takes any word.
    init(rawValue: String)
}

extension DMARCReportVocabulary {
    /// Whether the word is one of the list.
    public var isKnown: Bool { Self.known.contains(self) }
    public var description: String { rawValue }

    /// Reads a word: case and blanks around it don't count.
    init(reading text: String) { self.init(rawValue: text.lowercased()) }

    public init(from decoder: any Decoder) throws { self.init(rawValue: try decoder.singleValueContainer().decode(String.self)) }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(rawValue)
    }
}

/// A policy, or what was done with messages (RFC 9990 Appendix A, `DispositionType` and `ActionDispositionType`).
public struct DMARCReportDisposition: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Nothing was done.
    public static let none = Self(rawValue: "none")
    /// Nothing had to be done: the messages passed. Never a policy.
    public static let pass = Self(rawValue: "pass")
    /// Put aside.
    public static let quarantine = Self(rawValue: "quarantine")
    /// Refused.
    public static let reject = Self(rawValue: "reject")
    public static let known = [none, pass, quarantine, reject]
}

/// How identifiers are compared (RFC 9989 §4.7, `adkim` and `aspf`).
public struct DMARCReportAlignment: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// The organizational domains must be equal.
    public static let relaxed = Self(rawValue: "r")
    /// The domains must be equal.
    public static let strict = Self(rawValue: "s")
    public static let known = [relaxed, strict]
}

/// How the record was found (RFC 9990 §3.1.1.5).
public struct DMARCReportDiscovery: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// By the public suffix list (RFC 7489 §3.2).
    public static let publicSuffixList = Self(rawValue: "psl")
    /// By the DNS tree walk (RFC 9989 §4.10).
    public static let treeWalk = Self(rawValue: "treewalk")
    public static let known = [publicSuffixList, treeWalk]
}

/// Whether a mechanism passed in alignment (RFC 9990 §3.1.1.9).
public struct DMARCReportOutcome: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// Authenticated and aligned.
    public static let pass = Self(rawValue: "pass")
    /// Anything else.
    public static let fail = Self(rawValue: "fail")
    public static let known = [pass, fail]
}

/// What a mechanism itself said (RFC 8601 §2.7.1, §2.7.2).
public struct DMARCReportResult: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let none = Self(rawValue: "none")
    public static let pass = Self(rawValue: "pass")
    public static let fail = Self(rawValue: "fail")
    /// Of SPF alone.
    public static let softfail = Self(rawValue: "softfail")
    public static let policy = Self(rawValue: "policy")
    public static let neutral = Self(rawValue: "neutral")
    public static let temperror = Self(rawValue: "temperror")
    public static let permerror = Self(rawValue: "permerror")
    public static let known = [none, pass, fail, softfail, policy, neutral, temperror, permerror]
}

/// Which identity SPF was evaluated for.
public struct DMARCReportScope: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    /// MAIL FROM, the only one that DMARC uses (RFC 9990 §3.1.1.13).
    public static let mailFrom = Self(rawValue: "mfrom")
    /// HELO, in reports of RFC 7489.
    public static let helo = Self(rawValue: "helo")
    public static let known = [mailFrom, helo]
}

/// Why something else was done than the policy asks for (RFC 9990 §3.1.6, RFC 7489 Appendix C).
public struct DMARCReportOverride: DMARCReportVocabulary {
    public var rawValue: String
    public init(rawValue: String) { self.rawValue = rawValue }
    public static let localPolicy = Self(rawValue: "local_policy")
    public static let mailingList = Self(rawValue: "mailing_list")
    public static let other = Self(rawValue: "other")
    public static let policyTestMode = Self(rawValue: "policy_test_mode")
    public static let trustedForwarder = Self(rawValue: "trusted_forwarder")
    /// RFC 7489 only.
    public static let forwarded = Self(rawValue: "forwarded")
    /// RFC 7489 only.
    public static let sampledOut = Self(rawValue: "sampled_out")
    public static let known = [localPolicy, mailingList, other, policyTestMode, trustedForwarder, forwarded, sampledOut]
}
