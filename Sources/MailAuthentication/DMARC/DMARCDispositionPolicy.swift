public import DNS

/// What this receiver does with what DMARC says: pure, and each departure from the owner's wish is recorded (RFC 9989 §5.4).
public struct DMARCDispositionPolicy: Sendable, Hashable, Codable {
    /// How far an owner's wish is followed.
    public enum Mode: String, Sendable, Hashable, Codable, CaseIterable {
        /// As it is asked for.
        case enforce
        /// Never refused, but quarantined. RFC 9989 §7.4: whoever knows nothing more of a message than this policy must do so.
        case quarantineInsteadOfReject = "quarantine_instead_of_reject"
        /// Nothing is done; it is recorded what would have been.
        case observe
    }

    /// An exception for mail that fails. It is bound to an identifier that SPF or DKIM has authenticated, never to the From field, which
    /// anybody can write.
    public struct AllowEntry: Sendable, Hashable, Codable {
        /// The authenticated domain, exactly.
        public var identifier: DomainName
        /// The mechanism that must have authenticated it; `nil` for either one.
        public var mechanism: DMARCIdentifierEvidence.Mechanism?
        /// The authors' domains for which the exception holds, with their subdomains; `nil` for all.
        public var authors: [DomainName]?
        /// Whether the identifier is a mailing list's.
        public var isMailingList: Bool
        /// Why, for people.
        public var comment: String

        /// Makes an exception.
        public init(
            identifier: DomainName, mechanism: DMARCIdentifierEvidence.Mechanism? = nil, authors: [DomainName]? = nil,
            isMailingList: Bool = false, comment: String = ""
        ) {
            self.identifier = identifier
            self.mechanism = mechanism
            self.authors = authors
            self.isMailingList = isMailingList
            self.comment = comment
        }
    }

    /// The mode where ``domainModes`` says nothing.
    public var mode: Mode = .quarantineInsteadOfReject
    /// The mode for an author's domain and what lies below it; the longest name counts.
    public var domainModes: [DomainName: Mode] = [:]
    /// Domains whose ARC seals are believed.
    public var trustedSealers: Set<DomainName> = []
    /// Exceptions.
    public var allowlist: [AllowEntry] = []
    /// What is done with a message that could be read as coming from several authors (RFC 9989 §11.5).
    public var ambiguousAuthor: DMARCDisposition = .reject
    /// What is done with a message without an author's domain.
    public var missingAuthor: DMARCDisposition = .quarantine
    /// Whether a message is to come again later when the DNS doesn't answer (“fail closed”, RFC 9989 §4.10.1).
    public var defersTemporaryErrors = false

    /// A policy that quarantines what its owners want to be refused.
    public init() {}

    /// What is to be done.
    public struct Decision: Sendable, Hashable, Codable {
        /// What is to be done.
        public var disposition: DMARCDisposition
        /// What would have been done without ``Mode/observe``, where that was in the way.
        public var observed: DMARCDisposition?
        /// Whether the message is to be refused for now (4yz).
        public var isDeferred: Bool
        /// The mode that counted.
        public var mode: Mode
        /// Each reason why something else is done than the owner asks for, in the order in which they applied.
        public var overrides: [DMARCPolicyOverride]
    }

    /// Decides.
    public func decide(_ evaluation: DMARCEvaluation, arc: DMARCForwarderEvidence? = nil) -> Decision {
        let mode = mode(for: evaluation.author?.domain)
        var decision = Decision(disposition: .none, observed: nil, isDeferred: false, mode: mode, overrides: [])
        switch evaluation.result {
        case .none, .pass: return decision
        case .temperror: decision.isDeferred = defersTemporaryErrors && mode != .observe
        case .permerror:
            guard let error = evaluation.authorError else { return decision }
            decision.disposition = error.isAmbiguous ? ambiguousAuthor : missingAuthor
            if decision.disposition != .none { decision.overrides.append(DMARCPolicyOverride(.localPolicy, "\(error)")) }
            observe(&decision)
        case .fail: decideFailure(evaluation, arc, &decision)
        }
        return decision
    }

    private func decideFailure(_ evaluation: DMARCEvaluation, _ arc: DMARCForwarderEvidence?, _ decision: inout Decision) {
        let requested = evaluation.requestedPolicy ?? .none
        let effective = evaluation.effectivePolicy ?? .none
        decision.disposition = DMARCDisposition(effective)
        if effective != requested {
            decision.overrides.append(
                DMARCPolicyOverride(.policyTestMode, "t=y: \(effective.rawValue) in place of \(requested.rawValue) (RFC 9989 §4.7)"))
        }
        guard decision.disposition != .none else { return }
        if let override = forwarderOverride(evaluation, arc) ?? allowance(evaluation) {
            decision.disposition = .none
            decision.overrides.append(override)
            return
        }
        if decision.mode == .quarantineInsteadOfReject, decision.disposition == .reject {
            decision.disposition = .quarantine
            decision.overrides.append(DMARCPolicyOverride(.localPolicy, "quarantine in place of reject (RFC 9989 §7.4)"))
        }
        observe(&decision)
    }

    private func observe(_ decision: inout Decision) {
        guard decision.mode == .observe, decision.disposition != .none else { return }
        decision.observed = decision.disposition
        decision.overrides.append(DMARCPolicyOverride(.localPolicy, "observed only; it would have been: \(decision.disposition.rawValue)"))
        decision.disposition = .none
    }

    private func mode(for author: DomainName?) -> Mode {
        var current = author
        while let domain = current {
            if let mode = domainModes[domain] { return mode }
            current = domain.parent
        }
        return mode
    }

    /// A chain vouches only for what its last sealer got. So from the newest seal down each one must be trusted, up to the one that saw the
    /// message pass: whoever sealed in between could have changed it.
    private func forwarderOverride(_ evaluation: DMARCEvaluation, _ arc: DMARCForwarderEvidence?) -> DMARCPolicyOverride? {
        guard let arc, arc.chainStatus.lowercased() == "pass", !trustedSealers.isEmpty else { return nil }
        for seal in arc.seals.sorted(by: { $0.instance > $1.instance }) {
            guard let sealer = try? DomainName(seal.sealer), trustedSealers.contains(sealer) else { return nil }
            guard seal.dmarcResult?.lowercased() == "pass" else { continue }
            if let from = seal.headerFrom, (try? DomainName(from)) != evaluation.author?.domain { continue }
            return DMARCPolicyOverride(.trustedForwarder, "arc=pass as[\(seal.instance)].d=\(sealer) dmarc=pass")
        }
        return nil
    }

    private func allowance(_ evaluation: DMARCEvaluation) -> DMARCPolicyOverride? {
        guard let author = evaluation.author?.domain else { return nil }
        for entry in allowlist {
            if let authors = entry.authors, !authors.contains(where: { author.isEqualOrSubdomain(of: $0) }) { continue }
            let authenticated = evaluation.identifiers.first { identifier in
                identifier.finding != .notAuthenticated && identifier.finding != .heloIdentity
                    && (entry.mechanism == nil || entry.mechanism == identifier.mechanism)
                    && (try? DomainName(identifier.domain)) == entry.identifier
            }
            guard let authenticated else { continue }
            let comment = entry.comment.isEmpty ? "" : ": \(entry.comment)"
            return DMARCPolicyOverride(
                entry.isMailingList ? .mailingList : .localPolicy,
                "allowed by \(authenticated.mechanism.rawValue.uppercased()) domain \(entry.identifier)\(comment)")
        }
        return nil
    }
}
