/// What is wrong with a chain of certificates.
public struct CertificateProblem: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of problem.
    public enum Code: String, Hashable, Sendable, Codable {
        /// The server sent no certificate.
        case noCertificate
        /// The server's certificate can't be read, or its key is of a kind or size that isn't supported.
        case unreadable
        /// No path leads to what is trusted.
        case untrusted
        /// No TLSA record matches a certificate of the chain.
        case noMatch
        /// There were more signatures to check than the limit.
        case tooMuchWork
        /// A certificate is past its time (RFC 5280 §4.1.2.5).
        case expired
        /// A certificate's time hasn't come (RFC 5280 §4.1.2.5).
        case notYetValid
        /// An issuer is no authority (RFC 5280 §4.2.1.9).
        case notAuthority
        /// An issuer's key may not sign certificates (RFC 5280 §4.2.1.3).
        case mayNotSign
        /// There are more authorities below one than it allows (RFC 5280 §4.2.1.9).
        case pathTooLong
        /// A key may not be used for TLS servers (RFC 5280 §4.2.1.3, §4.2.1.12).
        case wrongPurpose
        /// A critical extension isn't known (RFC 5280 §4.2).
        case unknownCriticalExtension
        /// A name is outside of what an authority may certify (RFC 5280 §4.2.1.10).
        case nameConstraint
        /// A signature's algorithm is no longer good enough (RFC 9155 §2, RFC 9325 §4.5).
        case weakSignature
        /// An extension can't be read.
        case malformedExtension
        /// None of the certificate's names is the one that was asked for (RFC 9525 §6, RFC 7672 §3.2.2).
        case nameMismatch
        /// The certificate isn't one of those that the operator named.
        case fingerprintMismatch
    }

    /// What is wrong.
    public var code: Code
    /// With which certificate of the path, from the server's own at 0.
    public var depth: Int?
    /// In words.
    public var reason: String

    /// So many scalars of a reason are kept.
    private static let reasonLimit = 500

    init(_ code: Code, depth: Int? = nil, _ reason: String) {
        self.code = code
        self.depth = depth
        // Subjects and names are whatever the peer likes, and a reason goes into replies, notices and journeys.
        self.reason = reason.clipped(to: Self.reasonLimit)
    }

    /// What a report on TLS calls it (RFC 8460 §4.3.1).
    public var resultType: TLSResultType {
        switch code {
        case .expired: .certificateExpired
        case .nameMismatch: .certificateHostMismatch
        case .noCertificate: .validationFailure
        case .unreadable, .untrusted, .noMatch, .tooMuchWork, .notYetValid, .notAuthority, .mayNotSign, .pathTooLong, .wrongPurpose,
            .unknownCriticalExtension, .nameConstraint, .weakSignature, .malformedExtension, .fingerprintMismatch:
            .certificateNotTrusted
        }
    }

    public var description: String { reason }
}

extension Array where Element == CertificateProblem {
    /// The problem that a report names: a chain that nobody trusts before one that is too old, both before a name.
    var foremost: CertificateProblem? {
        first { $0.resultType != .certificateExpired && $0.resultType != .certificateHostMismatch }
            ?? first { $0.resultType == .certificateExpired } ?? first
    }
}
