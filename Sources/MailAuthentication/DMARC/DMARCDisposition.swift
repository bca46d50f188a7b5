/// What is to be done with a message because of DMARC, in the words of RFC 9990 (`ActionDispositionType`).
public enum DMARCDisposition: String, Sendable, Hashable, Codable, Comparable {
    /// Nothing.
    case none
    /// Deliver it as suspicious.
    case quarantine
    /// Refuse it.
    case reject

    /// The disposition that a policy asks for.
    public init(_ policy: DMARCPolicy) {
        switch policy {
        case .none: self = .none
        case .quarantine: self = .quarantine
        case .reject: self = .reject
        }
    }

    private var strength: Int {
        switch self {
        case .none: 0
        case .quarantine: 1
        case .reject: 2
        }
    }

    public static func < (left: DMARCDisposition, right: DMARCDisposition) -> Bool { left.strength < right.strength }
}

/// Why something else was done than the domain's owner asked for (RFC 9990 §3.1.6).
public struct DMARCPolicyOverride: Sendable, Hashable, Codable {
    /// The words of RFC 9990's `PolicyOverrideType`.
    public enum Kind: String, Sendable, Hashable, Codable, CaseIterable {
        /// This receiver's own policy.
        case localPolicy = "local_policy"
        /// The message came over a mailing list.
        case mailingList = "mailing_list"
        /// Something else; the comment says what.
        case other
        /// The record has `t=y`.
        case policyTestMode = "policy_test_mode"
        /// A known forwarder had the message, and says that it passed there.
        case trustedForwarder = "trusted_forwarder"
    }

    /// Which kind of reason.
    public var kind: Kind
    /// The details.
    public var comment: String

    /// Makes a reason.
    public init(_ kind: Kind, _ comment: String) {
        self.kind = kind
        self.comment = comment
    }
}

/// One set of a validated chain (RFC 8617 §4.2.2), for DMARC: who sealed it, and what that sealer saw.
public struct DMARCForwarderSeal: Sendable, Hashable, Codable {
    /// The instance, from 1.
    public var instance: Int
    /// The domain of the seal (`d=` of ARC-Seal).
    public var sealer: String
    /// The result of DMARC in the set's ARC-Authentication-Results; `nil` where there is none.
    public var dmarcResult: String?
    /// The author's domain in that result (`header.from`); `nil` where it isn't said.
    public var headerFrom: String?

    /// Makes a set.
    public init(instance: Int, sealer: String, dmarcResult: String?, headerFrom: String?) {
        self.instance = instance
        self.sealer = sealer
        self.dmarcResult = dmarcResult
        self.headerFrom = headerFrom
    }
}

/// What ARC said of a message, for DMARC.
public struct DMARCForwarderEvidence: Sendable, Hashable, Codable {
    /// The chain's validation status: `none`, `fail` or `pass` (RFC 8617 §4.4).
    public var chainStatus: String
    /// The sets.
    public var seals: [DMARCForwarderSeal]

    /// Makes evidence.
    public init(chainStatus: String, seals: [DMARCForwarderSeal]) {
        self.chainStatus = chainStatus
        self.seals = seals
    }
}
