/// What a domain's owner asks receivers to do with mail that fails (RFC 9989 §4.7, `p`), from the weakest to the strictest.
public enum DMARCPolicy: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// No preference.
    case none
    /// Such mail is suspicious.
    case quarantine
    /// Such mail isn't the domain's.
    case reject

    /// One step weaker: what `t=y` asks for (RFC 9989 §4.7).
    public var oneStepWeaker: DMARCPolicy {
        switch self {
        case .none, .quarantine: .none
        case .reject: .quarantine
        }
    }

    private var strength: Int {
        switch self {
        case .none: 0
        case .quarantine: 1
        case .reject: 2
        }
    }

    public static func < (left: DMARCPolicy, right: DMARCPolicy) -> Bool { left.strength < right.strength }
}

/// How an authenticated identifier must match the author's domain (RFC 9989 §3.2.10).
public enum DMARCAlignmentMode: String, Sendable, Hashable, Codable {
    /// Both have the same organizational domain.
    case relaxed = "r"
    /// Both are the same domain.
    case strict = "s"
}

/// Whether a domain is one below which others register theirs (RFC 9989 §4.7, `psd`).
public enum DMARCPublicSuffixFlag: String, Sendable, Hashable, Codable {
    /// It is.
    case yes = "y"
    /// It isn't; it is the organizational domain of itself and of what lies below it.
    case no = "n"
    /// Nothing is said; the tree walk finds out.
    case unknown = "u"
}

/// When a domain's owner wants a failure report (RFC 9989 §4.7, `fo`).
public enum DMARCFailureOption: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// When no mechanism gave an aligned pass.
    case allFail = "0"
    /// When one of the mechanisms gave no aligned pass.
    case anyFails = "1"
    /// When a DKIM signature failed, aligned or not.
    case dkim = "d"
    /// When SPF failed, aligned or not.
    case spf = "s"

    public static func < (left: DMARCFailureOption, right: DMARCFailureOption) -> Bool { left.rawValue < right.rawValue }
}

/// Which tag of a record a policy was taken from (RFC 9989 §4.10.1).
public enum DMARCPolicyTag: String, Sendable, Hashable, Codable {
    /// The domain itself has the record, or it says nothing else for what lies below it.
    case p
    /// The author's domain is a subdomain that exists.
    case sp
    /// The author's domain is a subdomain that doesn't exist.
    case np
}
