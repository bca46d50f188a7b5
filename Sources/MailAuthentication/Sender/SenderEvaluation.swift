public import DNS

/// Who handed a message in, as SMTP knows it.
public struct SenderClient: Sendable, Hashable {
    /// The client's address.
    public var address: IPAddress
    /// What it said in HELO or EHLO.
    public var helo: String
    /// The reverse-path without its brackets; empty for the null one.
    public var mailFrom: String

    public init(address: IPAddress, helo: String, mailFrom: String) {
        self.address = address.unmapped
        self.helo = helo
        self.mailFrom = mailFrom
    }
}

/// Everything that is found out about who sent a message, with its evidence.
public struct SenderEvaluation: Sendable {
    /// The client; `nil` where only the message is known.
    public var client: SenderClient?
    public var reverseName: ReverseNameEvaluation?
    /// MAIL FROM, or HELO where the reverse-path is null.
    public var spf: SPFEvaluation?
    /// Each signature, the topmost first.
    public var dkim: [DKIMEvaluation]
    public var arc: ARCEvaluation
    public var dmarc: DMARCEvaluation

    /// What the chain of ARC says that its sealers found, for ``DMARCDispositionPolicy``.
    public var forwarders: DMARCForwarderEvidence {
        DMARCForwarderEvidence(
            chainStatus: arc.result.rawValue,
            seals: arc.instances.map { instance in
                let results = try? AuthenticationResults(parsing: instance.authenticationResults.results)
                let dmarc = results?.results(of: "dmarc").first
                return DMARCForwarderSeal(
                    instance: instance.instance, sealer: instance.sealHeader.domain.ascii, dmarcResult: dmarc?.result,
                    headerFrom: dmarc?.value("header", "from"))
            })
    }

    /// All of it as a header field says it (RFC 8601).
    /// - Parameters:
    ///   - identifier: who says so.
    ///   - disposition: what is done about DMARC's result (`policy.dmarc`).
    public func results(identifier: String, disposition: DMARCDisposition? = nil) -> AuthenticationResults {
        var results = AuthenticationResults(identifier: identifier)
        results.results.reserveCapacity(5 + dkim.count)
        if let reverseName {
            results.results.append(
                .iprev(reverseName.result.rawValue, address: reverseName.address.description, comment: reverseName.names.first?.ascii))
        }
        if let spf, let client {
            let isHELO = spf.identity == .helo
            results.results.append(
                .spf(spf.result.rawValue, mailFrom: isHELO ? nil : client.mailFrom, helo: isHELO ? client.helo : nil, reason: spf.problem))
        }
        appendSignatures(to: &results)
        results.results.append(
            .arc(
                arc.result.rawValue, oldestPass: arc.oldestPass, remoteIP: client?.address.description, reason: arc.failure.map { "\($0)" }))
        results.results.append(
            .dmarc(
                dmarc.result.rawValue, headerFrom: dmarc.headerFrom, appliedPolicy: disposition?.rawValue, recordPolicy: dmarc.requestedPolicy?.rawValue,
                recordDomain: dmarc.recordDomain?.ascii, reason: dmarc.result == .pass || dmarc.result == .none ? nil : dmarc.reason))
        return results
    }

    /// A result for each signature, or one that says that there is none.
    private func appendSignatures(to results: inout AuthenticationResults) {
        if dkim.isEmpty { results.results.append(.dkim("none")) }
        // A signature alone has none to be told from: its whole text isn't asked for.
        let signatures = dkim.count > 1 ? dkim.compactMap { $0.signature?.tags["b"] } : []
        for evaluation in dkim {
            let tags = evaluation.signature?.tags
            let signature =
                signatures.isEmpty
                ? tags?.compactPrefix("b", AuthenticationResults.MethodResult.signaturePrefixLength)
                : tags?["b"].map { AuthenticationResults.MethodResult.signaturePrefix($0, among: signatures) }
            results.results.append(
                .dkim(
                    evaluation.result.rawValue, domain: evaluation.domain?.ascii, identity: evaluation.signature?.identity,
                    selector: evaluation.selector?.ascii, algorithm: tags?["a"], signature: signature, reason: evaluation.failure.map { "\($0)" }))
        }
    }
}
