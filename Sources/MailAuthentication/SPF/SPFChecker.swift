public import DNS
public import FoundationEssentials

/// Asks whether a client may send under a domain: check_host() of RFC 7208 §4.
public struct SPFChecker: Sendable {
    let resolver: any Resolver
    let limits: SPFLimits
    let receivingHost: String

    /// - Parameters:
    ///   - resolver: where names are looked up.
    ///   - receivingHost: this host's name, for `%{r}`.
    public init(resolver: any Resolver, receivingHost: String, limits: SPFLimits = SPFLimits()) {
        self.resolver = resolver
        self.receivingHost = receivingHost
        self.limits = limits
    }

    /// Evaluates MAIL FROM, or HELO where the reverse-path is null (§2.4).
    /// - Parameters:
    ///   - address: the client's; an IPv4-mapped one is the IPv4 address.
    ///   - helo: what it said in HELO or EHLO.
    ///   - mailFrom: the reverse-path without its brackets; empty or `nil` for the null one.
    ///   - time: for `%{t}`.
    public func check(address: IPAddress, helo: String, mailFrom: String?, at time: Date) async -> SPFEvaluation {
        guard let mailFrom, !mailFrom.isEmpty else { return await checkHELO(address: address, helo: helo, at: time) }
        let at = mailFrom.lastIndex(of: "@")
        let localPart = at.map { String(mailFrom[..<$0]) } ?? ""
        let domain = at.map { String(mailFrom[mailFrom.index(after: $0)...]) } ?? mailFrom
        return await evaluate(.mailfrom, address: address, helo: helo, localPart: localPart, domain: domain, at: time)
    }

    /// Evaluates HELO (§2.3).
    public func checkHELO(address: IPAddress, helo: String, at time: Date) async -> SPFEvaluation {
        await evaluate(.helo, address: address, helo: helo, localPart: "", domain: helo, at: time)
    }

    private func evaluate(
        _ identity: SPFIdentity, address: IPAddress, helo: String, localPart: String, domain: String, at time: Date
    ) async -> SPFEvaluation {
        var evaluation = SPFRun(
            checker: self, address: address.unmapped, helo: helo, localPart: localPart.isEmpty ? "postmaster" : localPart, senderDomain: domain,
            time: Int(time.timeIntervalSince1970.rounded(.down)))
        let verdict = await evaluation.checkHost(domain, depth: 0)
        var explanation: String?
        if verdict.result == .fail, let source = verdict.explanation { explanation = await evaluation.explanation(of: source.text, domain: source.domain) }
        return SPFEvaluation(
            result: verdict.result, identity: identity, domain: (try? DomainName(domain))?.ascii ?? domain, explanation: explanation,
            mechanism: verdict.mechanism, problem: verdict.problem, terms: evaluation.terms, lookups: evaluation.lookups,
            voidLookups: evaluation.voidLookups)
    }
}
