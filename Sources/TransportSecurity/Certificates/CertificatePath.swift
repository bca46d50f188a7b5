internal import DNS
internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// A path from a server's certificate to what vouches for it.
struct CertificatePath {
    /// The certificates, the server's own first.
    var certificates: [Certificate]
    /// Whether the last one is the trust anchor itself; otherwise a key outside of the chain has signed it.
    var endsInAnchor: Bool

    /// What is wrong with the path for a TLS server at a time (RFC 5280 §6.1); no names are looked at.
    ///
    /// Revocation isn't checked: nobody can expect it of SMTP clients (RFC 7672 §4). No certificate policies are asked for.
    func problems(at now: Date) -> [CertificateProblem] {
        var problems: [CertificateProblem] = []
        for (depth, certificate) in certificates.enumerated() {
            checkTime(certificate, depth, now, &problems)
            checkExtensions(certificate, depth, &problems)
            if depth > 0 { checkAuthority(certificate, depth, &problems) }
            // An anchor is trusted for itself, and not because of who signed it.
            let isAnchor = endsInAnchor && depth == certificates.count - 1
            if !isAnchor, certificate.signatureAlgorithm == .sha1WithRSAEncryption {
                problems.append(CertificateProblem(.weakSignature, depth: depth, "\(name(depth)) is signed with SHA-1 (RFC 9155 §2)"))
            }
        }
        for depth in certificates.indices.dropFirst() {
            do {
                guard let constraints = try certificates[depth].extensions.nameConstraints else { continue }
                checkNames(NameConstraintCheck(constraints), of: depth, &problems)
            } catch {
                problems.append(CertificateProblem(.malformedExtension, depth: depth, "the name constraints of \(name(depth)) can't be read"))
            }
        }
        return problems
    }

    private func name(_ depth: Int) -> String {
        depth == 0 ? "the server's certificate" : "the certificate of “\(certificates[depth].subject)”"
    }

    private func checkTime(_ certificate: Certificate, _ depth: Int, _ now: Date, _ problems: inout [CertificateProblem]) {
        if now < certificate.notValidBefore {
            problems.append(
                CertificateProblem(.notYetValid, depth: depth, "\(name(depth)) isn't valid before \(certificate.notValidBefore.formatted(.iso8601))"))
        }
        if now > certificate.notValidAfter {
            problems.append(
                CertificateProblem(.expired, depth: depth, "\(name(depth)) has expired at \(certificate.notValidAfter.formatted(.iso8601))"))
        }
    }

    /// Extensions that are checked here, or say nothing that could make a path wrong.
    private static let known: Set<ASN1ObjectIdentifier> = [
        [2, 5, 29, 14],  // subject key identifier
        [2, 5, 29, 15],  // key usage
        [2, 5, 29, 17],  // subject alternative name
        [2, 5, 29, 18],  // issuer alternative name
        [2, 5, 29, 19],  // basic constraints
        [2, 5, 29, 30],  // name constraints
        [2, 5, 29, 31],  // distribution points: not fetched
        [2, 5, 29, 32],  // certificate policies: every one is accepted
        [2, 5, 29, 33],  // policy mappings
        [2, 5, 29, 35],  // authority key identifier: the signature decides
        [2, 5, 29, 36],  // policy constraints: every policy is accepted
        [2, 5, 29, 37],  // extended key usage
        [2, 5, 29, 54],  // inhibit anyPolicy
        [1, 3, 6, 1, 5, 5, 7, 1, 1],  // authority information access
    ]

    private func checkExtensions(_ certificate: Certificate, _ depth: Int, _ problems: inout [CertificateProblem]) {
        for item in certificate.extensions where item.critical && !Self.known.contains(item.oid) {
            problems.append(
                CertificateProblem(.unknownCriticalExtension, depth: depth, "\(name(depth)) has the critical extension \(item.oid), which isn't known"))
        }
        do {
            if let purposes = try certificate.extensions.extendedKeyUsage, !purposes.contains(.serverAuth), !purposes.contains(.any) {
                problems.append(CertificateProblem(.wrongPurpose, depth: depth, "\(name(depth)) isn't for TLS servers (RFC 5280 §4.2.1.12)"))
            }
            if depth == 0, let usage = try certificate.extensions.keyUsage, !usage.digitalSignature, !usage.keyEncipherment, !usage.keyAgreement {
                problems.append(CertificateProblem(.wrongPurpose, depth: 0, "the key usage of \(name(0)) allows no TLS (RFC 5280 §4.2.1.3)"))
            }
        } catch {
            problems.append(CertificateProblem(.malformedExtension, depth: depth, "the key usage of \(name(depth)) can't be read"))
        }
    }

    private func checkAuthority(_ certificate: Certificate, _ depth: Int, _ problems: inout [CertificateProblem]) {
        do {
            let usage = try certificate.extensions.keyUsage
            if let usage, !usage.keyCertSign {
                problems.append(CertificateProblem(.mayNotSign, depth: depth, "the key of “\(certificate.subject)” may not sign certificates"))
            }
            switch try certificate.extensions.basicConstraints {
            case .isCertificateAuthority(let limit):
                guard let limit else { break }
                // RFC 5280 §4.2.1.9: authorities between this one and the server, those aside that issued themselves.
                let between = certificates[1..<depth].count { !$0.subject.isSame(as: $0.issuer) }
                if between > limit {
                    problems.append(
                        CertificateProblem(
                            .pathTooLong, depth: depth, "“\(certificate.subject)” allows \(limit) authorities below it, and there are \(between)"))
                }
            case .notCertificateAuthority:
                problems.append(CertificateProblem(.notAuthority, depth: depth, "“\(certificate.subject)” is no authority (RFC 5280 §4.2.1.9)"))
            case nil:
                // An anchor of the old kind says nothing about itself: its first version has no extensions.
                let isAnchor = endsInAnchor && depth == certificates.count - 1
                if !isAnchor || (certificate.version == .v3 && usage == nil) {
                    problems.append(CertificateProblem(.notAuthority, depth: depth, "“\(certificate.subject)” doesn't say that it is an authority"))
                }
            }
        } catch {
            problems.append(CertificateProblem(.malformedExtension, depth: depth, "the extensions of “\(certificate.subject)” can't be read"))
        }
    }

    private func checkNames(_ check: NameConstraintCheck, of authority: Int, _ problems: inout [CertificateProblem]) {
        for depth in certificates[..<authority].indices {
            let certificate = certificates[depth]
            // RFC 5280 §6.1.3 (b), (c).
            if depth > 0, certificate.subject.isSame(as: certificate.issuer) { continue }
            if let reason = check.violation(by: certificate, isServer: depth == 0) {
                problems.append(
                    CertificateProblem(.nameConstraint, depth: depth, "“\(certificates[authority].subject)” may not certify \(reason) (RFC 5280 §4.2.1.10)"))
            }
        }
    }
}
