public import FoundationEssentials

/// What is wrong with evidence.
public enum BIMIMarkProblem: Sendable, Hashable, CustomStringConvertible {
    /// The document has more octets than the limit.
    case tooLarge(octets: Int, limit: Int)
    /// It isn't PEM.
    case notPEM(String)
    /// It has no certificate.
    case noCertificate
    /// It has more certificates than the limit.
    case tooManyCertificates(limit: Int)
    /// A certificate can't be read; from 0.
    case invalidCertificate(Int, String)
    /// A certificate comes twice.
    case duplicate(Int)
    /// A certificate isn't the issuer of the one before it.
    case outOfOrder(Int)
    /// There is more than one mark certificate.
    case severalMarks
    /// The first certificate is that of an authority.
    case authorityFirst
    /// A certificate isn't valid yet.
    case notYetValid(subject: String)
    /// A certificate is valid no more.
    case expired(subject: String)
    /// No chain of signatures leads to a trusted root.
    case untrusted(String)
    /// The certificate isn't for indicators: the extended key usage is missing.
    case notForMarks
    /// An issuer's certificate isn't for indicators.
    case issuerNotForMarks(subject: String)
    /// The certificate has no domain names.
    case noDomain
    /// The domain names are those of others.
    case otherDomain([String])
    /// There is no logo that can be used.
    case logotype(BIMILogotypeError)
    /// There is no logotype extension.
    case noLogotype
    /// The certificate says that it was logged nowhere.
    case noTimestamps
    /// The certificate doesn't say where revocations are published.
    case noRevocationPoint

    public var description: String {
        let draft = "draft-fetch-validation-vmc-wchuang-11"
        return switch self {
        case .tooLarge(let octets, let limit): "the evidence has \(octets) octets, more than \(limit)"
        case .notPEM(let reason): "the evidence isn't PEM: \(reason) (\(draft) §3.3)"
        case .noCertificate: "the evidence has no certificate (\(draft) §3.3)"
        case .tooManyCertificates(let limit): "the evidence has more than \(limit) certificates"
        case .invalidCertificate(let index, let reason): "the certificate \(index + 1) can't be read: \(reason) (RFC 5280 §4.1)"
        case .duplicate(let index): "the certificate \(index + 1) is there already (\(draft) §3.3)"
        case .outOfOrder(let index): "the certificate \(index + 1) isn't the issuer of the one before it (\(draft) §3.3)"
        case .severalMarks: "there is more than one mark certificate (\(draft) §3.3)"
        case .authorityFirst: "the first certificate is an authority's and no mark certificate (\(draft) §3.3)"
        case .notYetValid(let subject): "the certificate of “\(subject)” isn't valid yet (\(draft) §5.1, 2)"
        case .expired(let subject): "the certificate of “\(subject)” is valid no more (\(draft) §5.1, 2)"
        case .untrusted(let reason): "no chain leads to a trusted root: \(reason) (\(draft) §5.1, 1)"
        case .notForMarks: "the certificate hasn't the extended key usage for indicators (\(draft) §4.4)"
        case .issuerNotForMarks(let subject): "the certificate of “\(subject)” hasn't the extended key usage for indicators (\(draft) §4.4)"
        case .noDomain: "the certificate has no domain name (\(draft) §4.3)"
        case .otherDomain(let names): "the certificate is for \(names.joined(separator: ", ")) (\(draft) §5.2)"
        case .logotype(let error): "\(error)"
        case .noLogotype: "the certificate has no logotype extension (\(draft) §4.1)"
        case .noTimestamps: "the certificate has no certificate-transparency timestamp (\(draft) §4.6)"
        case .noRevocationPoint: "the certificate doesn't say where revocations are published (\(draft) §4.5)"
        }
    }

    /// The rule as a word for programs.
    public var code: String {
        switch self {
        case .tooLarge: "tooLarge"
        case .notPEM: "notPEM"
        case .noCertificate: "noCertificate"
        case .tooManyCertificates: "tooManyCertificates"
        case .invalidCertificate: "invalidCertificate"
        case .duplicate: "duplicate"
        case .outOfOrder: "outOfOrder"
        case .severalMarks: "severalMarks"
        case .authorityFirst: "authorityFirst"
        case .notYetValid: "notYetValid"
        case .expired: "expired"
        case .untrusted: "untrusted"
        case .notForMarks: "notForMarks"
        case .issuerNotForMarks: "issuerNotForMarks"
        case .noDomain: "noDomain"
        case .otherDomain: "otherDomain"
        case .logotype: "logotype"
        case .noLogotype: "noLogotype"
        case .noTimestamps: "noTimestamps"
        case .noRevocationPoint: "noRevocationPoint"
        }
    }
}

/// What a mark certificate certifies.
public enum BIMIMarkKind: String, Sendable, Hashable, Codable {
    /// A Verified Mark Certificate: of a registered trade mark, or a government's.
    case verified
    /// A Common Mark Certificate: of a mark that was long in use, or a variant of a registered one.
    case common
    /// The certificate doesn't say.
    case unknown
}

/// One certificate of the evidence, for people.
public struct BIMICertificateSummary: Sendable, Hashable {
    /// Whose it is.
    public var subject: String
    /// Who issued it.
    public var issuer: String
    /// From when it is valid.
    public var notValidBefore: Date
    /// Until when it is valid.
    public var notValidAfter: Date
    /// SHA-256 of the certificate, in hexadecimal digits.
    public var fingerprint: String
}

/// What came of evidence, and why.
public struct BIMIMarkReport: Sendable {
    /// Everything that is wrong; empty where the evidence is valid.
    public internal(set) var problems: [BIMIMarkProblem] = []
    /// The certificates of the document, in its order.
    public internal(set) var certificates: [BIMICertificateSummary] = []
    /// The subject of the root that the chain leads to; `nil` where none does.
    public internal(set) var root: String?
    /// What is certified.
    public internal(set) var kind: BIMIMarkKind = .unknown
    /// The kind of mark as the certificate says it, for example `Registered Mark`.
    public internal(set) var markType: String?
    /// The domain names of the certificate, as it has them.
    public internal(set) var domains: [String] = []
    /// The one of them that counts for the record.
    public internal(set) var matchedDomain: String?
    /// The logo.
    public internal(set) var logotype: BIMILogotype?
    /// How many signed timestamps of certificate transparency there are. Their signatures are not checked.
    public internal(set) var timestampCount = 0
    /// Whether the certificate says where revocations are published. Nobody looks there: the evidence says so, and an operator may.
    public internal(set) var hasRevocationPoint = false
    /// Whether revocation was checked: never.
    public var isRevocationChecked: Bool { false }

    /// Whether the evidence vouches for its logo.
    public var isValid: Bool { problems.isEmpty && logotype != nil }
}
