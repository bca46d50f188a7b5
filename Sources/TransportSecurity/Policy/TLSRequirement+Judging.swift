internal import Crypto
public import FoundationEssentials
internal import MailMessage

extension TLSRequirement {
    /// Judges a session.
    /// - Parameters:
    ///   - observation: what was seen.
    ///   - roots: the authorities that are trusted.
    ///   - history: what the host offered before; it takes note of this session.
    ///   - limits: when a host without TLS is suspicious.
    ///   - now: the time.
    public func judge(
        _ observation: TLSObservation, roots: PKIXRoots, history: inout DestinationHistory, limits: DestinationHistory.Limits = .init(), at now: Date
    ) -> TLSVerdict {
        let certificates = observation.isEncrypted ? observation.chain.prefix(DANEVerifier.chainLimit).map { PeerCertificate(octets: $0) } : []
        var receipt = TLSReceipt(
            nextHop: nextHop, host: host, source: source, level: level, policy: reportedPolicy, exchangerSecurity: exchangerSecurity,
            isEncrypted: observation.isEncrypted, isAuthenticated: false, protocolVersion: observation.protocolVersion,
            cipherSuite: observation.cipherSuite, keyExchangeGroup: observation.keyExchangeGroup, chain: certificates.map(\.summary), checks: [],
            steps: steps, at: now)
        if let refusal {
            receipt.resultType = refusal.resultType
            receipt.resultReason = refusal.reason
            return TLSVerdict(outcome: failure(refusal.source, .hostNotAuthentic, refusal.reason), receipt: receipt, suspicion: .none)
        }
        guard observation.isEncrypted else { return judgeClear(observation, &receipt, &history, limits, now) }
        receipt.checks = checks.map { run($0, certificates, roots, now) }
        // A certificate of a host whose name somebody else could have put there proves nothing; one for the next hop's own name does.
        receipt.isAuthenticated = receipt.checks.contains { $0.holds && (isNameAuthentic || $0.method == "fingerprint" || $0.matchedName == nextHop) }
        let failed = receipt.checks.first { !$0.holds && $0.isBinding } ?? receipt.checks.first { !$0.holds }
        receipt.resultType = failed?.resultType
        receipt.resultReason = failed?.reason
        // RFC 8460 §4.3.2.1: records that can't be used are the domain's fault, also where the mail goes.
        if failed == nil, reportedPolicy.kind == .tlsa, verifier == nil {
            receipt.resultType = .tlsaInvalid
            receipt.resultReason = "no TLSA record can be used"
        }
        if receipt.resultType == nil, let shortcoming {
            receipt.resultType = shortcoming.resultType
            receipt.resultReason = shortcoming.reason
        }
        history.encrypted(isAuthenticated: receipt.isAuthenticated, at: now)
        var outcome = TLSVerdict.Outcome.proceed(withRequireTLS: needsRequireTLS || prefersRequireTLS && observation.offersRequireTLS)
        if let failed, failed.isBinding {
            outcome = failure(failed.source, .certificateNotAuthentic, failed.reason)
        } else if needsRequireTLS, !observation.offersRequireTLS {
            let lack = RequireTLSFailure.notOffered
            outcome = .refuse(enhancedStatus: lack.enhancedStatus, reason: lack.text)
        }
        return TLSVerdict(outcome: outcome, receipt: receipt, suspicion: .none)
    }

    /// A session without TLS.
    private func judgeClear(
        _ observation: TLSObservation, _ receipt: inout TLSReceipt, _ history: inout DestinationHistory, _ limits: DestinationHistory.Limits, _ now: Date
    ) -> TLSVerdict {
        let reason = observation.isOffered ? "TLS failed: \(observation.handshakeFailure ?? "it wasn't begun")" : "the host offers no STARTTLS"
        // RFC 8460 §4.3: of a domain without a policy too, that a host has no TLS is worth knowing.
        if level > .none || reportedPolicy.kind != .noPolicyFound {
            receipt.resultType = observation.isOffered ? .validationFailure : .startTLSNotSupported
            receipt.resultReason = reason
        }
        receipt.steps.append(reason)
        if level >= .encrypted { return TLSVerdict(outcome: failure(source, .noTLS, reason), receipt: receipt, suspicion: .none) }
        let suspicion = level == .none || isOptional ? .none : history.missing(at: now, limits: limits)
        if case .wait(let end) = suspicion {
            let words = "\(reason), and the host had TLS before: the mail waits until \(end.formatted(.iso8601))"
            receipt.steps.append("\(TLSVerdict.downgradeEvent): \(words)")
            return TLSVerdict(outcome: .retry(enhancedStatus: .init(4, 7, 10), reason: words), receipt: receipt, suspicion: suspicion)
        }
        // Not even to a host of which nobody wants anything: what it says may be somebody else's words.
        let outcome = observation.isInjected ? .retry(enhancedStatus: .init(4, 7, 0), reason: reason) : TLSVerdict.Outcome.proceed(withRequireTLS: false)
        return TLSVerdict(outcome: outcome, receipt: receipt, suspicion: suspicion)
    }

    /// What follows from a failure: REQUIRETLS returns the message, everything else waits for better days.
    private func failure(_ source: Source, _ lack: RequireTLSFailure, _ reason: String) -> TLSVerdict.Outcome {
        if needsRequireTLS, source == .requireTLS || lack == .noTLS || lack == .certificateNotAuthentic {
            return .refuse(enhancedStatus: lack.enhancedStatus, reason: "\(lack.text): \(reason)")
        }
        return .retry(enhancedStatus: lack == .noTLS ? .init(4, 7, 10) : .init(4, 7, 5), reason: reason)
    }

    private func run(_ check: Check, _ chain: [PeerCertificate], _ roots: PKIXRoots, _ now: Date) -> TLSReceipt.Check {
        switch check.method {
        case .dane:
            let evaluation = (verifier ?? DANEVerifier(records: [], references: [])).verify(certificates: chain, at: now)
            return TLSReceipt.Check(
                source: check.source, method: "dane", isBinding: check.isBinding, holds: evaluation.result == .pass, reason: evaluation.reason,
                depth: evaluation.depth, matchedName: evaluation.matchedName, resultType: evaluation.result == .pass ? nil : evaluation.resultType)
        case .authority(let names, let takesCommonName):
            let evaluation = PKIXVerifier(roots: roots).verify(chain, names: names, takesCommonName: takesCommonName, at: now)
            let reason = evaluation.isValid ? "“\(evaluation.root ?? "")” vouches for it" : evaluation.problems.map(\.reason).joined(separator: "; ")
            return TLSReceipt.Check(
                source: check.source, method: "authority", isBinding: check.isBinding, holds: evaluation.isValid, reason: reason, depth: evaluation.depth,
                matchedName: evaluation.matchedName, resultType: evaluation.resultType)
        case .fingerprint(let digests):
            let wanted = Set(digests.map { $0.lowercased().filter { $0 != ":" } })
            let holds =
                chain.first.map { leaf in
                    wanted.contains(HexDigits.text(Array(SHA256.hash(data: leaf.octets))))
                        || !leaf.subjectPublicKeyInfo.isEmpty && wanted.contains(HexDigits.text(Array(SHA256.hash(data: leaf.subjectPublicKeyInfo))))
                } ?? false
            return TLSReceipt.Check(
                source: check.source, method: "fingerprint", isBinding: check.isBinding, holds: holds,
                reason: holds ? "the certificate is one that the operator named" : "the certificate is none of those that the operator named",
                depth: holds ? 0 : nil, resultType: holds ? nil : .certificateNotTrusted)
        }
    }
}
