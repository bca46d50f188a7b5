import CryptoExtras
import DNS
import FoundationEssentials
import SwiftASN1
import TransportSecurity
import X509

/// Encryption, certificates and the records that name them.
extension PostureChecker {
    // MARK: DANE

    func daneRecords(_ server: Server, _ subject: PostureSubject) -> [PostureFinding] {
        let name = server.host.name.ascii
        let evidence = server.daneLookups.map(PostureFinding.Evidence.init)
        let isPublished = server.daneLookups.contains { $0.answer?.outcome == .records }
        switch server.dane.outcome {
        case .unavailable(let reason): return [PostureFinding(.daneUnknown, name, reason, evidence)]
        case .notApplicable(.secureDenial): return [PostureFinding(.daneMissing, name, "has no TLSA records, and could have them", evidence)]
        case .notApplicable:
            if isPublished { return [PostureFinding(.daneUnsigned, name, "has TLSA records in a zone that isn't signed", evidence)] }
            return [PostureFinding(.daneImpossible, name, "has no DANE, as its zone isn't signed", evidence)]
        case .encrypt:
            let reason = server.dane.records.compactMap(\.unusable).first.map { "\($0)" } ?? ""
            return [PostureFinding(.daneUnusable, name, "has TLSA records, none of which can be used: \(reason)", evidence)]
        case .authenticate: break
        }
        let usable = server.dane.records.filter { $0.unusable == nil }
        let forms = usable.map { "\($0.usage) \($0.selector) \($0.matchingType)" }
        var findings = [
            PostureFinding(
                .daneGood, name, "has \(usable.count) TLSA record\(usable.count == 1 ? "" : "s") (\(Set(forms).sorted().joined(separator: ", ")))", evidence)
        ]
        if let bad = server.dane.records.compactMap(\.unusable).first {
            findings.append(PostureFinding(.danePartlyUnusable, name, "has TLSA records that can't be used: \(bad)", evidence))
        }
        if !forms.contains(where: { $0 == "3 1 1" || $0 == "2 1 1" }) {
            findings.append(PostureFinding(.daneForm, name, "has only the forms \(Set(forms).sorted().joined(separator: ", "))", evidence))
        }
        if usable.count == 1 { findings.append(PostureFinding(.daneSpare, name, "has one TLSA record, and none for a next key", evidence)) }
        if let time = server.daneLookups.compactMap({ $0.answer?.outcome == .records ? $0.answer?.timeToLive : nil }).max(), time > 3600 {
            findings.append(PostureFinding(.daneTimeToLive, name, "has TLSA records that are kept for \(time) seconds", evidence))
        }
        return findings
    }

    // MARK: The session

    func encryption(
        _ server: Server, _ address: IPAddress, _ said: PostureSMTPObservation, policy: MTASTSPolicy?, _ now: Date
    ) -> [PostureFinding] {
        let name = server.host.name.ascii
        let tls = said.tls
        let evidence = [PostureFinding.Evidence(.smtp, "EHLO to \(address)", said.extensions.joined(separator: ", "))]
        guard tls.isOffered else {
            var findings = [PostureFinding(.tlsNotOffered, name, "offers no STARTTLS", evidence)]
            if server.dane.outcome == .authenticate || server.dane.outcome == .encrypt {
                findings.append(PostureFinding(.daneNoTLS, name, "has TLSA records and offers no STARTTLS", evidence))
            }
            return findings
        }
        guard tls.isEncrypted else {
            return [PostureFinding(.tlsFailed, name, "offers STARTTLS, and it fails: \(tls.handshakeFailure ?? "nothing was agreed on")", evidence)]
        }
        let version = tls.protocolVersion ?? ""
        let details = [tls.protocolVersion, tls.cipherSuite, tls.keyExchangeGroup].compactMap { $0 }.joined(separator: ", ")
        let session = [PostureFinding.Evidence(.smtp, "STARTTLS at \(address)", details)]
        var findings: [PostureFinding] = []
        if version.hasSuffix("1.3") {
            findings.append(PostureFinding(.tlsGood, name, "encrypts (\(details))", session))
        } else if version.hasSuffix("1.2") {
            findings.append(PostureFinding(.tlsVersion12, name, "encrypts, with TLS 1.2 (\(details))", session))
        } else {
            findings.append(PostureFinding(.tlsOld, name, "agrees on \(version)", session))
        }
        let dane = server.dane.verifier?.verify(chain: tls.chain, at: now)
        let chain = chainEvidence(tls.chain, address)
        if let dane {
            if dane.result == .pass {
                findings.append(PostureFinding(.daneMatches, name, "shows the certificate that its TLSA records name", chain))
            } else {
                let records = server.daneLookups.map(PostureFinding.Evidence.init)
                findings.append(PostureFinding(.daneMismatch, name, "shows a certificate that its TLSA records don't name", chain + records))
            }
        }
        return findings + certificate(name, server.host.name, tls.chain, chain, isNamedByDANE: dane?.result == .pass, policy: policy, now)
    }

    private func chainEvidence(_ chain: [[UInt8]], _ address: IPAddress) -> [PostureFinding.Evidence] {
        chain.prefix(5).enumerated().map { depth, octets in
            let summary = PeerCertificate(octets: octets).summary
            let names = summary.names.isEmpty ? summary.subject ?? "?" : summary.names.prefix(10).joined(separator: ", ")
            let end = summary.notValidAfter.map { $0.formatted(.iso8601) } ?? "?"
            return .init(
                .smtp, depth == 0 ? "certificate of \(address)" : "certificate \(depth) above it",
                "\(names), by \(summary.issuer ?? "?"), until \(end), key SHA-256 \(summary.keyFingerprint)")
        }
    }

    private func certificate(
        _ name: String, _ host: DomainName, _ chain: [[UInt8]], _ evidence: [PostureFinding.Evidence], isNamedByDANE: Bool, policy: MTASTSPolicy?, _ now: Date
    ) -> [PostureFinding] {
        let certificates = chain.map { PeerCertificate(octets: $0) }
        let evaluation = PKIXVerifier(roots: probes.roots).verify(certificates, names: [host], takesCommonName: false, at: now)
        var findings: [PostureFinding] = []
        // Where a policy of MTA-STS is in force, its senders look at authorities, names and times; DANE looks at the key alone.
        if isNamedByDANE, policy == nil, !evaluation.isValid {
            let reasons = evaluation.problems.map(\.reason).joined(separator: "; ")
            findings.append(PostureFinding(.certificateDane, name, "has a certificate that counts by DANE only: \(reasons)", evidence))
        } else {
            for problem in evaluation.problems {
                findings.append(PostureFinding(Self.code(of: problem.code), name, problem.reason, evidence))
            }
        }
        if let end = certificates.first?.summary.notValidAfter, end > now, end.timeIntervalSince(now) < options.certificateDays * 86_400 {
            findings.append(PostureFinding(.certificateExpiring, name, "has a certificate until \(end.formatted(.iso8601))", evidence))
        }
        if let weakness = Self.weakness(of: chain.first) { findings.append(PostureFinding(.certificateWeak, name, weakness, evidence)) }
        if findings.isEmpty {
            let until = certificates.first?.summary.notValidAfter.map { ", until \($0.formatted(.iso8601))" } ?? ""
            findings.append(PostureFinding(.certificateGood, name, "has a valid certificate with its name\(until)", evidence))
        }
        return findings
    }

    private static func code(of code: CertificateProblem.Code) -> PostureCode {
        switch code {
        case .expired, .notYetValid: .certificateExpired
        case .nameMismatch: .certificateName
        case .untrusted, .tooMuchWork, .noMatch, .fingerprintMismatch: .certificateUntrusted
        case .weakSignature: .certificateWeak
        case .noCertificate, .unreadable, .notAuthority, .mayNotSign, .pathTooLong, .wrongPurpose, .unknownCriticalExtension, .nameConstraint,
            .malformedExtension:
            .certificateInvalid
        }
    }

    /// RFC 9325 §4.5: RSA keys have 2048 bits at least.
    private static func weakness(of octets: [UInt8]?) -> String? {
        guard let octets, let certificate = try? Certificate(derEncoded: octets), let key = _RSA.Signing.PublicKey(certificate.publicKey),
            key.keySizeInBits < 2048
        else { return nil }
        return "has a certificate with an RSA key of \(key.keySizeInBits) bits"
    }
}
