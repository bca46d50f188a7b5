public import DNS

/// The least that an operator wants of TLS for a destination.
public enum LocalTLSPolicy: Hashable, Sendable {
    /// TLS isn't tried, unless the destination publishes a policy.
    case none
    /// TLS where it is offered.
    case opportunistic
    /// Never without TLS.
    case encrypt
    /// Never without a certificate that an authority gave for the destination's name.
    case verified
    /// Never without DANE (RFC 7672 §6).
    case dane
    /// Never without a certificate, or its key, of one of these SHA-256 digests, in hexadecimal digits.
    case fingerprint(Set<String>)
}

/// What is known before an attempt at one host.
public struct TransportPolicyInput: Sendable {
    /// The domain that the mail is for, or the relay that the operator named.
    public var nextHop: DomainName
    /// The host.
    public var host: DomainName
    /// Whether the host stands in MX records, and what DNSSEC says of them; `nil` where it is the next hop itself.
    public var exchangerSecurity: DNSSECStatus?
    /// The least that the operator wants.
    public var local: LocalTLSPolicy
    /// What the DNS says about DANE; `nil` where nobody asked.
    public var dane: DANEDecision?
    /// The policy of MTA-STS that applies, from ``MTASTSPolicyState/Plan/policy``.
    public var sts: MTASTSPolicy?
    /// What the message says.
    public var tag: TLSTag
    /// Whether the reverse path is empty.
    public var isNotice: Bool
    /// Whether this is a report on TLS: it is sent whatever becomes of TLS (RFC 8460 §5.3).
    public var isReport: Bool

    /// Makes an input; what isn't given isn't known.
    public init(
        nextHop: DomainName, host: DomainName, exchangerSecurity: DNSSECStatus?, local: LocalTLSPolicy = .opportunistic, dane: DANEDecision? = nil,
        sts: MTASTSPolicy? = nil, tag: TLSTag = .none, isNotice: Bool = false, isReport: Bool = false
    ) {
        self.nextHop = nextHop
        self.host = host
        self.exchangerSecurity = exchangerSecurity
        self.local = local
        self.dane = dane
        self.sts = sts
        self.tag = tag
        self.isNotice = isNotice
        self.isReport = isReport
    }
}

/// What an attempt at one host must check, and who wants it.
public struct TLSRequirement: Sendable {
    /// Who wants it.
    public enum Source: String, Hashable, Sendable, Codable, CaseIterable {
        /// The domain, by TLSA records.
        case dane
        /// The domain, by a policy of MTA-STS.
        case mtaSTS = "mta-sts"
        /// The sender, by REQUIRETLS.
        case requireTLS = "requiretls"
        /// The operator.
        case local
        /// Nobody: TLS is used because it is offered.
        case opportunistic
    }

    /// How much of TLS there must be.
    public enum Level: Int, Hashable, Sendable, Codable, Comparable, CaseIterable {
        /// TLS isn't tried.
        case none
        /// TLS where it is offered.
        case opportunistic
        /// Never without TLS.
        case encrypted
        /// Never without knowing whom one speaks with.
        case authenticated

        public static func < (left: Level, right: Level) -> Bool { left.rawValue < right.rawValue }
    }

    /// How the host is authenticated.
    public enum Method: Hashable, Sendable {
        /// By TLSA records.
        case dane
        /// By an authority, for one of these names.
        case authority(names: [DomainName], takesCommonName: Bool)
        /// By a digest that the operator gave.
        case fingerprint(Set<String>)
    }

    /// One thing to check.
    public struct Check: Hashable, Sendable {
        /// Who wants it.
        public var source: Source
        /// How.
        public var method: Method
        /// Whether what fails keeps the message back; otherwise it is reported, and no more.
        public var isBinding: Bool
    }

    /// Why the host isn't even to be tried.
    public struct Refusal: Hashable, Sendable {
        /// Who doesn't want it.
        public var source: Source
        /// What a report calls it.
        public var resultType: TLSResultType
        /// In words.
        public var reason: String
    }

    /// The host.
    public var host: DomainName
    /// The domain that the mail is for.
    public var nextHop: DomainName
    /// How much of TLS there must be.
    public var level: Level
    /// Who wants that much.
    public var source: Source
    /// What to check after the handshake; all that bind must hold.
    public var checks: [Check]
    /// Why the host isn't even to be tried; `nil` where it may be.
    public var refusal: Refusal?
    /// What is wrong with the host before it is tried, and doesn't keep the message back: reports tell it (RFC 8461 §5).
    public var shortcoming: Refusal?
    /// The name to ask for in the handshake: the base domain of TLSA records, otherwise the host (RFC 7671 §10.2, RFC 8461 §7.1).
    public var serverName: DomainName
    /// The policy that reports name.
    public var reportedPolicy: TLSRPTPolicy
    /// What DNSSEC says of the way to the host; `nil` where there is none but the operator's.
    public var exchangerSecurity: DNSSECStatus?
    /// Whether the host must offer REQUIRETLS, and the message goes with that parameter.
    public var needsRequireTLS: Bool
    /// Whether the message goes with that parameter where the host offers it: a notice about one that requires TLS (RFC 8689 §5).
    public var prefersRequireTLS = false
    /// Whether the message is to arrive whatever the domain's policies say.
    public var isOptional: Bool
    /// Whether somebody vouches for the host's name: DNSSEC for the MX record, or MTA-STS, or it is the next hop's own.
    public var isNameAuthentic: Bool
    /// How the requirement came about, in words.
    public var steps: [String]
    /// The verifier of the TLSA records.
    var verifier: DANEVerifier?

    /// Decides what an attempt must check. DANE outranks MTA-STS (RFC 8461 §2): where TLSA records authenticate the host, the policy isn't
    /// looked at. The operator's least holds beside either.
    public init(_ input: TransportPolicyInput) {
        host = input.host
        nextHop = input.nextHop
        level = input.local == .none ? .none : .opportunistic
        source = .opportunistic
        checks = []
        serverName = input.host
        reportedPolicy = .noPolicyFound(domain: input.nextHop)
        exchangerSecurity = input.exchangerSecurity
        needsRequireTLS = false
        let isInPolicy = input.sts.map { $0.mode != .none && $0.allows(input.host) } ?? false
        isNameAuthentic = input.exchangerSecurity != .insecure || isInPolicy
        steps = []
        isOptional = input.tag == .optional || input.isReport
        // RFC 8689 §3, RFC 8460 §5.3: a domain's policies are followed, and don't keep such a message back. The operator's own do.
        let isBinding = !isOptional
        if !isBinding { steps.append("the message is to arrive whatever the domain's policies say (\(input.isReport ? "RFC 8460 §5.3" : "RFC 8689 §3"))") }
        applyDANE(input, isBinding)
        applySTS(input, isBinding)
        applyLocal(input)
        applyRequireTLS(input)
    }

    private mutating func raise(_ level: Level, _ source: Source) {
        guard level > self.level else { return }
        self.level = level
        self.source = source
    }

    private mutating func refuse(_ source: Source, _ resultType: TLSResultType, _ reason: String) {
        steps.append(reason)
        if refusal == nil { refusal = Refusal(source: source, resultType: resultType, reason: reason) }
    }

    private mutating func note(_ source: Source, _ resultType: TLSResultType, _ reason: String) {
        steps.append(reason)
        if shortcoming == nil { shortcoming = Refusal(source: source, resultType: resultType, reason: reason) }
    }

    private mutating func applyDANE(_ input: TransportPolicyInput, _ isBinding: Bool) {
        guard let dane = input.dane else { return }
        switch dane.outcome {
        case .authenticate, .encrypt:
            let base = dane.baseDomain ?? input.host
            serverName = base
            reportedPolicy = .tlsa(dane.records, baseDomain: base, host: input.host)
            guard case .authenticate = dane.outcome else {
                steps.append("\(base) has TLSA records, none of which can be used: TLS is required (RFC 7672 §2.2)")
                if isBinding { raise(.encrypted, .dane) } else { raise(.opportunistic, .dane) }
                return
            }
            steps.append("\(base) has TLSA records: the host must be authenticated by them (RFC 7672 §2.2)")
            verifier = dane.verifier
            checks.append(Check(source: .dane, method: .dane, isBinding: isBinding))
            raise(isBinding ? .authenticated : .opportunistic, .dane)
        case .notApplicable(let reason): steps.append("DANE says nothing about \(input.host): \(reason.rawValue)")
        case .unavailable(let reason):
            guard isBinding else { return note(.dane, .dnssecInvalid, "\(reason) (RFC 7672 §2.1.2)") }
            refuse(.dane, .dnssecInvalid, "\(reason) (RFC 7672 §2.1.2)")
        }
    }

    private mutating func applySTS(_ input: TransportPolicyInput, _ isBinding: Bool) {
        guard let policy = input.sts, policy.mode != .none else { return }
        if checks.contains(where: { $0.method == .dane }) {
            steps.append("the policy of MTA-STS isn't looked at: DANE outranks it (RFC 8461 §2)")
            return
        }
        if reportedPolicy.kind == .noPolicyFound { reportedPolicy = .sts(policy, domain: input.nextHop) }
        let binds = isBinding && policy.mode == .enforce
        steps.append("\(input.nextHop) has a policy of MTA-STS in mode “\(policy.mode.rawValue)”")
        guard policy.allows(input.host) else {
            let reason = "none of its patterns means \(input.host) (RFC 8461 §4.1)"
            if binds { refuse(.mtaSTS, .validationFailure, reason) } else { note(.mtaSTS, .validationFailure, reason) }
            return
        }
        checks.append(Check(source: .mtaSTS, method: .authority(names: [input.host], takesCommonName: false), isBinding: binds))
        raise(binds ? .authenticated : .opportunistic, .mtaSTS)
    }

    private mutating func applyLocal(_ input: TransportPolicyInput) {
        switch input.local {
        case .none, .opportunistic: return
        case .encrypt: raise(.encrypted, .local)
        case .verified:
            if isNameAuthentic, checks.contains(where: { $0.isBinding }) { return }
            // A name that somebody else could have put there proves nothing (RFC 7672 §1.3.2).
            let names = isNameAuthentic && input.host != input.nextHop ? [input.nextHop, input.host] : [input.nextHop]
            checks.append(Check(source: .local, method: .authority(names: names, takesCommonName: true), isBinding: true))
            raise(.authenticated, .local)
        case .dane:
            raise(.authenticated, .local)
            guard case .authenticate = input.dane?.outcome, input.dane?.isRedirectionInsecure == false else {
                return refuse(.local, .daneRequired, "the operator requires DANE, and \(input.host) has no usable TLSA records on a secure way (RFC 7672 §6)")
            }
            for index in checks.indices where checks[index].method == .dane { checks[index].isBinding = true }
            raise(.authenticated, .local)
        case .fingerprint(let digests):
            checks.append(Check(source: .local, method: .fingerprint(digests), isBinding: true))
            raise(.authenticated, .local)
        }
        steps.append("the operator wants TLS")
    }

    private mutating func applyRequireTLS(_ input: TransportPolicyInput) {
        guard input.tag == .required else { return }
        if input.isNotice {
            prefersRequireTLS = true
            return
        }
        steps.append("the sender requires TLS up to the end (RFC 8689 §4.2.1)")
        needsRequireTLS = true
        guard isNameAuthentic else {
            return refuse(.requireTLS, .validationFailure, "\(RequireTLSFailure.hostNotAuthentic.text) (RFC 8689 §4.2.1)")
        }
        if !checks.contains(where: { $0.isBinding && $0.method == .dane || $0.source == .mtaSTS && $0.isBinding }) {
            checks.append(Check(source: .requireTLS, method: .authority(names: [input.host], takesCommonName: true), isBinding: true))
        }
        raise(.authenticated, .requireTLS)
    }
}
