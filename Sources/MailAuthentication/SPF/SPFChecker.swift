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

    /// Evaluates MAIL FROM, or HELO where the reverse-path is null (§2.4). ``SPFEvaluation/identity`` tells which.
    /// - Parameters:
    ///   - address: the client's; an IPv4-mapped one is the IPv4 address.
    ///   - helo: what it said in HELO or EHLO.
    ///   - mailFrom: the reverse-path without its brackets; empty or `nil` for the null one.
    ///   - time: for `%{t}`.
    public func check(address: IPAddress, helo: String, mailFrom: String?, at time: Date) async -> SPFEvaluation {
        guard let mailFrom, !mailFrom.isEmpty else { return await checkHELO(address: address, helo: helo, at: time) }
        return await checkMailFrom(address: address, helo: helo, mailFrom: mailFrom, at: time)
    }

    /// Evaluates MAIL FROM (§2.4). A path without a local part has the local part “postmaster” (§4.3).
    public func checkMailFrom(address: IPAddress, helo: String, mailFrom: String, at time: Date) async -> SPFEvaluation {
        let at = mailFrom.utf8.lastIndex(of: UInt8(ascii: "@"))
        let localPart = at.map { String(mailFrom[..<$0]) } ?? ""
        let domain = at.map { String(mailFrom[mailFrom.index(after: $0)...]) } ?? mailFrom
        return await evaluate(.mailfrom, address: address, helo: helo, localPart: localPart, domain: domain, at: time)
    }

    /// Evaluates HELO (§2.3), as if postmaster of that host were the sender.
    public func checkHELO(address: IPAddress, helo: String, at time: Date) async -> SPFEvaluation {
        await evaluate(.helo, address: address, helo: helo, localPart: "", domain: helo, at: time)
    }

    private func evaluate(
        _ identity: SPFIdentity, address: IPAddress, helo: String, localPart: String, domain: String, at time: Date
    ) async -> SPFEvaluation {
        let domain = Self.withALabels(domain)
        var run = SPFRun(
            checker: self, address: address.unmapped, helo: Self.withALabels(helo), localPart: localPart.isEmpty ? "postmaster" : localPart,
            senderDomain: domain, time: Int64(exactly: time.timeIntervalSince1970.rounded(.down)) ?? 0)
        let verdict = await run.checkHost(domain, depth: 0)
        var explanation: String?
        if verdict.result == .fail, let source = verdict.explanation {
            explanation = await run.explanation(of: source.text, domain: source.domain)
        }
        return SPFEvaluation(
            result: verdict.result, identity: identity, domain: (try? DomainName(domain))?.ascii ?? domain, explanation: explanation,
            mechanism: verdict.mechanism, problem: verdict.problem.map { String($0.prefix(SPFRun.sentenceLimit)) }, terms: run.terms,
            omittedTerms: run.omittedTerms, lookups: run.lookups,
            voidLookups: run.voidLookups)
    }

    /// U-labels as A-labels (RFC 8616 §4); ASCII as it is written, for macros show it.
    private static func withALabels(_ domain: String) -> String {
        domain.utf8.allSatisfy { $0 < 0x80 } ? domain : (try? DomainName(domain))?.ascii ?? domain
    }
}
