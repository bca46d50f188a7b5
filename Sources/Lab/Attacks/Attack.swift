/// An attack on the way between Kartapuce's relay and the provider.
public enum Attack: String, Sendable, Hashable, Codable, CaseIterable {
    case starttlsStripped = "starttls-stripped"
    case starttlsRefused = "starttls-refused"
    case handshakeBroken = "handshake-broken"
    case responseInjected = "response-injected"
    case selfSigned = "self-signed"
    case expired
    case otherName = "other-name"
    case exchangerChanged = "exchanger-changed"
    case zoneTampered = "zone-tampered"
    case tlsaRemoved = "tlsa-removed"
    case tlsaBlocked = "tlsa-blocked"
    case recordRemoved = "record-removed"
    case policyHostDown = "policy-host-down"
    case policyHostForged = "policy-host-forged"
    case policyShrunk = "policy-shrunk"
    case policyReplayed = "policy-replayed"

    /// What the attacker does, in words.
    public var summary: String {
        switch self {
        case .starttlsStripped: "STARTTLS is stripped from the reply to EHLO"
        case .starttlsRefused: "STARTTLS is answered with an error"
        case .handshakeBroken: "the connection breaks off whenever TLS begins"
        case .responseInjected: "replies in plain text are injected before TLS"
        case .selfSigned: "TLS with a self-made certificate for the right name"
        case .expired: "TLS with a certificate for the right name that has expired"
        case .otherName: "TLS with a valid certificate for the attacker's own name"
        case .exchangerChanged: "the MX record is changed on its way"
        case .zoneTampered: "the exchanger's address is changed on its way"
        case .tlsaRemoved: "TLSA records are taken out of the answer; self-made certificate"
        case .tlsaBlocked: "questions for TLSA records fail; self-made certificate"
        case .recordRemoved: "the record of MTA-STS is taken out of the answer; self-made certificate"
        case .policyHostDown: "the policy host is down under a new edition; self-made certificate"
        case .policyHostForged: "a forged policy host with a self-made certificate; the same at the exchanger"
        case .policyShrunk: "the policy shrinks to none, the record's edition stays; self-made certificate"
        case .policyReplayed: "the old record and the old policy come back, with an expired certificate; self-made at the exchanger"
        }
    }
}

/// What stands against an attack.
public enum Means: String, Sendable, Hashable, Codable, CaseIterable {
    /// TLS where it is offered, and nothing else.
    case opportunistic = "none"
    case dane
    case mtaSTS = "mta-sts"
    /// MTA-STS at the first contact, while nothing is known yet: what it can't hold (RFC 8461 §10.2).
    case mtaSTSAtFirst = "mta-sts-first"
    /// The least that the relay's operator wants.
    case minimum
    /// What the relay remembers of a host.
    case memory
}

/// One attack against one means, with a domain of the provider's for it alone: what the relay remembers of one plays no part in another.
public struct AttackCase: Sendable, Hashable {
    /// What should come of it.
    public enum Expectation: Sendable, Hashable {
        /// The attacker reads the message, and it arrives.
        case read
        /// Nothing of the message and no recipient reaches the attacker; the message waits with this status until the attack is over.
        case held(status: String)
    }

    public let attack: Attack
    public let means: Means
    public let expectation: Expectation
    /// What the relay's journey must say.
    let sayings: [String]
    /// Messages that go well before the attack begins.
    let warmUps: Int
    /// Which case it is; addresses follow from it.
    let number: Int

    /// Both together, as `--only` takes it.
    public var name: String { "\(attack.rawValue)/\(means.rawValue)" }

    var label: String { "\(attack.rawValue)-\(means.rawValue)" }
    var isSigned: Bool { means == .dane }
    var hasPolicy: Bool { means == .mtaSTS || means == .mtaSTSAtFirst }
    var domain: String { "\(label).\(isSigned ? LabNames.providerDomain : LabNames.unsignedDomain)" }
    var exchanger: String { "mail.\(domain)" }
    var recordName: String { "_mta-sts.\(domain)" }
    var policyName: String { "mta-sts.\(domain)" }
    var attackersExchanger: String { "\(label).\(LabNames.attackersDomain)" }
    var recipient: String { "tom@\(domain)" }
    /// Whose Maildir the provider delivers to.
    var mailbox: String { "tom-\(label)" }

    /// Whether the attacker sits at the exchanger's own address; otherwise the DNS has to lead to him.
    var isOnPath: Bool { attack != .exchangerChanged && attack != .zoneTampered }
    /// Whether the policy host is one for this domain alone.
    var hasOwnPolicyHost: Bool { attack == .policyHostDown && hasPolicy }

    /// The attacker's address.
    func attackersAddress(_ plan: AddressPlan) -> String { plan.intercepted(number) }
    /// Where the DNS says that the exchanger is.
    func exchangersAddress(_ plan: AddressPlan) -> String { isOnPath ? attackersAddress(plan) : plan.provider }
    func policyHost(_ plan: AddressPlan) -> String { hasOwnPolicyHost ? plan.ownPolicyHost(number) : plan.policyHost }

    /// The domain's records, with whole names.
    func records(_ plan: AddressPlan, keyDigest: String) -> [String] {
        var records = ["\(domain). IN MX 10 \(exchanger).", "\(exchanger). IN A \(exchangersAddress(plan))"]
        if means == .dane { records.append("_25._tcp.\(exchanger). IN TLSA 3 1 1 \(keyDigest)") }
        // Nobody keeps these for long: what the attacker forges is seen at once.
        if hasPolicy { records += ["\(recordName). 1 IN TXT \"v=STSv1; id=\(PolicyHost.firstEdition)\"", "\(policyName). 1 IN A \(policyHost(plan))"] }
        return records
    }

    /// The names that the provider's certificate must have for it. Where nobody vouches for the exchanger's name, `verified` wants the domain's own.
    var certificateNames: [String] { means == .minimum ? [exchanger, domain] : [exchanger] }

    /// The entry of the relay's `transport.destinations`.
    var destination: String? {
        guard means == .minimum else { return nil }
        return "\(domain): \(attack == .starttlsStripped || attack == .starttlsRefused ? "encrypt" : "verified")"
    }
}
