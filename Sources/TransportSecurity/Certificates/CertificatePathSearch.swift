internal import FoundationEssentials
internal import SwiftASN1
internal import X509

/// Looks for a path from a server's certificate to a trust anchor among the certificates that the server sent.
///
/// The verifier of swift-certificates isn't used here: its anchors are certificates with a name, but a TLSA record may give a bare key; its
/// answer doesn't tell an expired chain from a foreign one, which a report on TLS must (RFC 8460 §4.3.1); and it looks at no key usage. The
/// certificates, their keys and the check of a signature are its.
struct CertificatePathSearch {
    /// The most signatures that are checked for one chain: a server could send certificates of the same name that make trees of paths.
    static let signatureLimit = 64
    /// The most certificates in a path.
    static let depthLimit = 16

    /// What came out.
    struct Outcome {
        /// The path that leads to an anchor: without problems, or that with the fewest.
        var path: CertificatePath?
        /// The problems of that path, or why there is none.
        var problems: [CertificateProblem]
    }

    /// Certificates that the server sent, and others that may stand between it and an anchor.
    private let pool: [Certificate]
    /// Certificates of a name that are trusted wherever they come from.
    private let anchors: (DistinguishedName) -> [Certificate]
    /// Whether a certificate of the path is one.
    private let isAnchor: (Certificate, _ depth: Int) -> Bool
    /// Keys without a certificate that may have signed the last one.
    private let keys: [Certificate.PublicKey]
    private let now: Date
    private var signatures = 0
    private var best: Outcome?

    init(
        pool: [Certificate], anchors: @escaping (DistinguishedName) -> [Certificate] = { _ in [] }, keys: [Certificate.PublicKey] = [], at now: Date,
        isAnchor: @escaping (Certificate, _ depth: Int) -> Bool
    ) {
        self.pool = pool
        self.anchors = anchors
        self.keys = keys
        self.now = now
        self.isAnchor = isAnchor
    }

    /// Searches from the server's certificate.
    mutating func run(from leaf: Certificate) -> Outcome {
        if isAnchor(leaf, 0), consider([leaf], endsInAnchor: true) { return result }
        if extend([leaf], withKeys: false) { return result }
        // RFC 7671 §5.2.3: bare keys count where no certificate of the chain matches.
        if best == nil, !keys.isEmpty, extend([leaf], withKeys: true) { return result }
        return result
    }

    private var result: Outcome {
        if let best { return best }
        guard signatures < Self.signatureLimit else {
            return Outcome(
                path: nil,
                problems: [CertificateProblem(.tooMuchWork, "no path was found after the check of \(Self.signatureLimit) signatures")])
        }
        return Outcome(path: nil, problems: [CertificateProblem(.untrusted, "no path leads to a trust anchor")])
    }

    /// Takes a path that ends in an anchor.
    /// - Returns: Whether it is without problems.
    private mutating func consider(_ certificates: [Certificate], endsInAnchor: Bool) -> Bool {
        let path = CertificatePath(certificates: certificates, endsInAnchor: endsInAnchor)
        let problems = path.problems(at: now)
        if best.map({ problems.count < $0.problems.count }) ?? true { best = Outcome(path: path, problems: problems) }
        return problems.isEmpty
    }

    /// Goes on from the last certificate of a path.
    /// - Returns: Whether a path without problems was found.
    private mutating func extend(_ path: [Certificate], withKeys: Bool) -> Bool {
        guard let top = path.last, path.count < Self.depthLimit else { return false }
        var issuers: [Certificate] = []
        for candidate in anchors(top.issuer) + pool.filter({ $0.subject.isSame(as: top.issuer) })
        where !path.contains(candidate) && !issuers.contains(candidate) {
            issuers.append(candidate)
        }
        // The shortest path first.
        let depth = path.count
        var isDeadEnd = true
        for wantsAnchor in [true, false] {
            for issuer in issuers where isAnchor(issuer, depth) == wantsAnchor {
                guard let isSigned = isSigned(top, by: issuer.publicKey) else { return false }
                guard isSigned else { continue }
                isDeadEnd = false
                if wantsAnchor ? consider(path + [issuer], endsInAnchor: true) : extend(path + [issuer], withKeys: withKeys) { return true }
            }
        }
        guard withKeys, isDeadEnd else { return false }
        for key in keys {
            guard let isSigned = isSigned(top, by: key) else { return false }
            if isSigned, consider(path, endsInAnchor: false) { return true }
        }
        return false
    }

    /// `nil` when there were too many.
    private mutating func isSigned(_ certificate: Certificate, by key: Certificate.PublicKey) -> Bool? {
        guard signatures < Self.signatureLimit else { return nil }
        signatures += 1
        return key.isValidSignature(certificate.signature, for: certificate)
    }
}
