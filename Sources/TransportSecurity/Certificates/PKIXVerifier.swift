public import DNS
public import FoundationEssentials
internal import SwiftASN1
internal import X509

/// Authorities that are trusted to certify servers.
public struct PKIXRoots: Sendable {
    private let bySubject: [[[String]]: [Certificate]]
    private let all: Set<Certificate>
    /// How many there are.
    public var count: Int { all.count }

    /// Nobody is trusted.
    public init() {
        bySubject = [:]
        all = []
    }

    /// Takes the octets of certificates; those that can't be read are left out: a system's list may have old ones.
    public init(certificates: [[UInt8]]) {
        let read = certificates.compactMap { try? Certificate(derEncoded: $0) }
        all = Set(read)
        bySubject = Dictionary(grouping: read) { $0.subject.normalized }
    }

    /// Takes the certificates of a text.
    /// - Throws: ``PEMError``.
    public init(parsingPEM text: [UInt8]) throws(PEMError) { self.init(certificates: try PEMCertificates.parse(text)) }

    func named(_ name: DistinguishedName) -> [Certificate] { bySubject[name.normalized] ?? [] }
    func contains(_ certificate: Certificate) -> Bool { all.contains(certificate) }
}

/// What came of the check of a chain by its authorities.
public struct PKIXEvaluation: Hashable, Sendable {
    /// Whether the server is the one that its name says.
    public var isValid: Bool
    /// The name of the certificate's that was compared with success.
    public var matchedName: DomainName?
    /// The authority at the end of the path.
    public var root: String?
    /// How many certificates stand above the server's own.
    public var depth: Int?
    /// What is wrong.
    public var problems: [CertificateProblem]

    /// What a report on TLS says of it (RFC 8460 §4.3.1); `nil` for a success.
    public var resultType: TLSResultType? { isValid ? nil : problems.foremost?.resultType ?? .validationFailure }
}

/// Checks a server's chain by the authorities that are trusted (RFC 5280 §6, RFC 8461 §4.2).
public struct PKIXVerifier: Sendable {
    private let roots: PKIXRoots

    /// - Parameter roots: the authorities.
    public init(roots: PKIXRoots) { self.roots = roots }

    /// Checks a chain.
    /// - Parameters:
    ///   - chain: the certificates as the server sent them, its own first.
    ///   - names: those one of which the certificate must have.
    ///   - takesCommonName: whether the common name counts where there is no DNS name: not for MTA-STS (RFC 8461 §4.2), but for REQUIRETLS
    ///     (RFC 8689 §4.2.1).
    ///   - now: the time at which the chain must be valid.
    public func verify(_ chain: [PeerCertificate], names: [DomainName], takesCommonName: Bool = false, at now: Date) -> PKIXEvaluation {
        guard let leaf = chain.first else {
            return PKIXEvaluation(isValid: false, problems: [CertificateProblem(.noCertificate, "the server sent no certificate")])
        }
        guard let certificate = leaf.certificate else {
            return PKIXEvaluation(
                isValid: false, problems: [CertificateProblem(.unreadable, depth: 0, "the server's certificate can't be used: \(leaf.problem ?? "")")])
        }
        var search = CertificatePathSearch(
            pool: chain.prefix(DANEVerifier.chainLimit).dropFirst().compactMap(\.certificate), anchors: roots.named, at: now,
            isAnchor: { candidate, _ in roots.contains(candidate) })
        let outcome = search.run(from: certificate)
        var problems = outcome.problems
        if outcome.path == nil {
            // Without a path nothing was said yet about the server's own certificate.
            problems += CertificatePath(certificates: [certificate], endsInAnchor: true).problems(at: now)
        }
        let presented = CertificateNames(certificate)
        let matched = presented.match(names, takesCommonName: takesCommonName)
        if matched == nil { problems.append(DANEVerifier.mismatch(presented, names)) }
        return PKIXEvaluation(
            isValid: problems.isEmpty, matchedName: matched, root: outcome.path?.certificates.last.map { "\($0.subject)" },
            depth: outcome.path.map { $0.certificates.count - 1 }, problems: problems)
    }
}
