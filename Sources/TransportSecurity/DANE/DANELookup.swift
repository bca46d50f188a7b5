public import DNS

/// Finds the TLSA records that apply to a host (RFC 7672 §2.2).
public struct DANELookup: Sendable {
    private let resolver: any Resolver
    private let followsInsecureExchangers: Bool

    /// - Parameters:
    ///   - resolver: answers, with what DNSSEC says of them.
    ///   - followsInsecureExchangers: whether hosts that insecure MX records name are authenticated too (RFC 7672 §2.2.1 allows it): that
    ///     protects the way to the host, and not the choice of the host.
    public init(resolver: any Resolver, followsInsecureExchangers: Bool = false) {
        self.resolver = resolver
        self.followsInsecureExchangers = followsInsecureExchangers
    }

    /// Finds out what applies.
    /// - Parameters:
    ///   - destination: the host.
    ///   - known: the questions for the host's addresses that were asked already; what is missing is asked.
    public func decide(_ destination: DANEDestination, known: [DNSLookup] = []) async -> DANEDecision {
        var decision = DANEDecision(
            outcome: .notApplicable(.insecureExchangers), records: [], referenceIdentifiers: [], isRedirectionInsecure: false, lookups: [])
        if case .exchanger(.insecure, _) = destination.origin {
            decision.isRedirectionInsecure = true
            guard followsInsecureExchangers else { return decision }
        }
        let candidates: [DomainName]
        switch await candidateDomains(destination.host, known, &decision.lookups) {
        case .found(let domains): candidates = domains
        case .decided(let outcome):
            decision.outcome = outcome
            return decision
        }
        var isDenialSecure = true
        for candidate in candidates {
            // A name that would be too long has no records.
            guard let name = try? DomainName("_\(destination.port)._tcp.\(candidate.ascii)") else { continue }
            let lookup = await DNSLookup(name, .tlsa, using: resolver)
            decision.lookups.append(lookup)
            switch lookup.result {
            case .failure(let error):
                decision.outcome = .unavailable("the TLSA records of \(candidate) can't be found out: \(error)")
                return decision
            case .success(let answer):
                guard answer.security == .secure else {
                    isDenialSecure = false
                    continue
                }
                let records = answer.records.compactMap(TLSARecord.init)
                if answer.outcome == .records, records.isEmpty {
                    // A malformed reply is a failure (RFC 7672 §2.1.2).
                    decision.outcome = .unavailable("no TLSA record of \(candidate) can be read")
                    return decision
                }
                guard !records.isEmpty else { continue }
                decision.baseDomain = candidate
                decision.records = records
                decision.referenceIdentifiers = Self.references(destination, candidate)
                let isUsable = records.prefix(DANEVerifier.recordLimit).contains { $0.unusable == nil }
                decision.outcome = isUsable ? .authenticate : .encrypt
                return decision
            }
        }
        decision.outcome = .notApplicable(isDenialSecure ? .secureDenial : .insecureRecords)
        return decision
    }

    private enum Candidates {
        case found([DomainName])
        case decided(DANEDecision.Outcome)
    }

    /// The names whose records are looked for, in order (RFC 7672 §2.2.2). Addresses come first: servers that break at questions for TLSA
    /// are in unsigned zones.
    private func candidateDomains(_ host: DomainName, _ known: [DNSLookup], _ lookups: inout [DNSLookup]) async -> Candidates {
        var answers: [DNSAnswer] = []
        var failure: DNSError?
        for type in [DNSRecordType.aaaa, .a] {
            let lookup: DNSLookup
            if let found = known.first(where: { $0.name == host && $0.type == type }) {
                lookup = found
            } else {
                lookup = await DNSLookup(host, type, using: resolver)
                lookups.append(lookup)
            }
            switch lookup.result {
            case .failure(let error): failure = error
            case .success(let answer): if answer.outcome == .records { answers.append(answer) }
            }
        }
        guard !answers.isEmpty else {
            return .decided(.unavailable(failure.map { "the addresses of \(host) can't be found out: \($0)" } ?? "\(host) has no address"))
        }
        // Secure where the way to either kind of address is: an attacker who can forge one answer gains nothing by a question more.
        let secure = answers.first { $0.security == .secure }
        let canonical = (secure ?? answers[0]).canonicalName
        guard let canonical, canonical != host else {
            return secure == nil ? .decided(.notApplicable(.insecureAddresses)) : .found([host])
        }
        if secure != nil { return .found([canonical, host]) }
        // RFC 7672 §2.1.3: the alias itself may be in a signed zone.
        let alias = await DNSLookup(host, .cname, using: resolver)
        lookups.append(alias)
        switch alias.result {
        case .failure(let error): return .decided(.unavailable("the alias of \(host) can't be found out: \(error)"))
        case .success(let answer): return answer.security == .secure ? .found([host]) : .decided(.notApplicable(.insecureAddresses))
        }
    }

    /// RFC 7672 §3.2.2.
    private static func references(_ destination: DANEDestination, _ baseDomain: DomainName) -> [DomainName] {
        var names = [baseDomain]
        switch destination.origin {
        case .exchanger(.secure, let canonical):
            names.append(destination.nextHop)
            if let canonical { names.append(canonical) }
        case .exchanger(.insecure, _): break
        case .nextHop: names.append(destination.nextHop)
        }
        var seen: Set<DomainName> = []
        return names.filter { seen.insert($0).inserted }
    }
}
