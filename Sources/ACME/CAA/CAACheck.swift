public import DNS

/// Whether the CAA records of a name let an authority issue a certificate (RFC 8659), and on what grounds.
public struct CAAEvaluation: Hashable, Sendable, Codable {
    /// What the records say.
    public enum Result: String, Hashable, Sendable, Codable {
        /// There are no records that say anything about it: everybody may issue.
        case unrestricted
        /// A record names the authority, with this account and this kind of proof where it names them.
        case allowed
        /// The records name others, or nobody.
        case forbidden
        /// A question has no answer: an authority wouldn't issue either (RFC 8659 §3).
        case undetermined
    }

    /// One question to the DNS.
    public struct Step: Hashable, Sendable, Codable {
        /// The name that was asked for.
        public var name: DomainName
        /// How many CAA records it has; `nil` without an answer.
        public var recordCount: Int?
        /// Whether the answer is signed.
        public var isSecure: Bool
        /// Why there is no answer.
        public var failure: String?
    }

    /// The name in question.
    public var name: String
    /// What the records say.
    public var result: Result
    /// Why, for an operator.
    public var reason: String
    /// The questions, from the name upwards.
    public var steps: [Step]
    /// Where the records that count were found (RFC 8659 §3).
    public var source: DomainName?
    /// The records that count.
    public var records: [CAARecord]

    /// Whether an order has a chance.
    public var isIssuanceExpected: Bool { result == .allowed || result == .unrestricted }
}

/// Checks CAA records before an order, as the authority will (RFC 8659 §3, RFC 8657).
public struct CAACheck: Sendable {
    /// The names by which records call the authority: `caaIdentities` of its directory.
    public var identities: Set<String>
    /// The account's URL, where there is an account already (RFC 8657 §3).
    public var accountURL: String?
    /// How the right to the name will be proven (RFC 8657 §4).
    public var challenge: ACMEChallengeKind

    /// Records of one name that are looked at.
    private static let recordLimit = 256

    /// Says for whom is asked.
    public init(identities: some Sequence<String>, accountURL: String?, challenge: ACMEChallengeKind) {
        self.identities = Set(identities.map { $0.lowercased() })
        self.accountURL = accountURL
        self.challenge = challenge
    }

    /// Climbs from the name towards the root to the first name that has CAA records, and judges those (RFC 8659 §3).
    public func evaluate(_ name: CertificateName, resolver: any Resolver) async -> CAAEvaluation {
        var steps: [CAAEvaluation.Step] = []
        var current: DomainName? = name.domain
        // The root itself isn't asked (RFC 8659 §3).
        while let domain = current, domain != .root {
            current = domain.parent
            let answer: DNSAnswer
            do throws(DNSError) {
                answer = try await resolver.lookup(domain, .caa)
            } catch {
                steps.append(.init(name: domain, recordCount: nil, isSecure: false, failure: "\(error)"))
                return CAAEvaluation(
                    name: name.description, result: .undetermined, reason: "the CAA records of \(domain) can't be looked up: \(error.reason)", steps: steps,
                    source: nil, records: [])
            }
            steps.append(.init(name: domain, recordCount: answer.records.count, isSecure: answer.security == .secure, failure: nil))
            guard !answer.records.isEmpty else { continue }
            return judge(answer.records, at: domain, name, steps)
        }
        return CAAEvaluation(
            name: name.description, result: .unrestricted, reason: "there are no CAA records", steps: steps, source: nil, records: [])
    }

    private func judge(_ data: [DNSRecordData], at source: DomainName, _ name: CertificateName, _ steps: [CAAEvaluation.Step]) -> CAAEvaluation {
        var records: [CAARecord] = []
        var evaluation = CAAEvaluation(name: name.description, result: .forbidden, reason: "", steps: steps, source: source, records: [])
        guard data.count <= Self.recordLimit else {
            evaluation.reason = "\(source) has \(data.count) CAA records"
            return evaluation
        }
        for record in data {
            guard case .other(let octets) = record, let property = CAARecord(octets: octets) else {
                evaluation.reason = "a CAA record of \(source) can't be read (RFC 8659 §4.1)"
                return evaluation
            }
            records.append(property)
        }
        evaluation.records = records
        // RFC 8659 §4.1: what is critical and unknown forbids everything.
        let known: Set<String> = ["issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"]
        if let unknown = records.first(where: { $0.isCritical && !known.contains($0.tag) }) {
            evaluation.reason = "the property “\(unknown.tag)” of \(source) is critical and unknown (RFC 8659 §4.1)"
            return evaluation
        }
        // RFC 8659 §4.3: for wildcards, issuewild counts alone where there is one.
        let wild = records.filter { $0.tag == "issuewild" }
        let tag = name.isWildcard && !wild.isEmpty ? "issuewild" : "issue"
        let properties = records.filter { $0.tag == tag }
        guard !properties.isEmpty else {
            evaluation.result = .unrestricted
            evaluation.reason = "the CAA records of \(source) say nothing about who may issue"
            return evaluation
        }
        var reasons: [String] = []
        for property in properties {
            let (isAllowed, reason) = permits(property)
            guard isAllowed else {
                reasons.append(reason)
                continue
            }
            evaluation.result = .allowed
            evaluation.reason = "“\(tag)” of \(source): \(reason)"
            return evaluation
        }
        evaluation.reason = "“\(tag)” of \(source): \(reasons.joined(separator: "; "))"
        return evaluation
    }

    /// Whether one property allows the issuance.
    private func permits(_ property: CAARecord) -> (Bool, String) {
        guard let issuer = CAAIssuer(property.value) else { return (false, "a value that can't be read allows nobody (RFC 8659 §4.2)") }
        guard identities.contains(issuer.domain) else { return (false, issuer.domain.isEmpty ? "nobody may issue" : "\(issuer.domain) may issue") }
        let accounts = issuer.values("accounturi")
        // RFC 8657 §3: two of them are a mistake, and allow nobody.
        guard accounts.count <= 1 else { return (false, "more than one accounturi (RFC 8657 §3)") }
        if let account = accounts.first, account != accountURL {
            return (false, accountURL == nil ? "only the account \(account) may order, and there is none yet" : "only the account \(account) may order")
        }
        let methods = issuer.values("validationmethods")
        guard methods.count <= 1 else { return (false, "more than one validationmethods (RFC 8657 §4)") }
        if let list = methods.first, !list.split(separator: ",", omittingEmptySubsequences: false).contains(Substring(challenge.rawValue)) {
            return (false, "only the proofs \(list) are allowed, not \(challenge.rawValue)")
        }
        return (true, "\(issuer.domain) may issue")
    }
}
