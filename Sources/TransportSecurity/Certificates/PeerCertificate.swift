internal import Crypto
public import FoundationEssentials
internal import MailMessage
internal import SwiftASN1
internal import X509

/// A certificate as a server sent it.
public struct PeerCertificate: Sendable {
    /// The DER octets.
    public let octets: [UInt8]
    /// The octets of its public key; empty where the octets are no certificate.
    public let subjectPublicKeyInfo: [UInt8]
    /// The certificate, where it can be read as a whole. One that can't can still match a TLSA record of usage DANE-EE(3).
    let certificate: Certificate?
    /// Why it can't be read.
    public let problem: String?

    /// Takes the octets of one certificate.
    public init(octets: [UInt8]) {
        self.octets = octets
        subjectPublicKeyInfo = DEROctets.subjectPublicKeyInfo(inCertificate: octets).map(Array.init) ?? []
        do {
            certificate = try Certificate(derEncoded: octets)
            problem = nil
        } catch {
            certificate = nil
            problem = "\(error)"
        }
    }

    /// So many scalars of a name are told: no domain name is longer.
    private static let nameLimit = 255
    /// So many names are told.
    private static let namesLimit = 100

    /// What people want to know of it; names are cut where they are longer than any name should be.
    public var summary: CertificateSummary {
        let names = certificate.map { CertificateNames($0).dnsNames } ?? []
        return CertificateSummary(
            subject: certificate.map { "\($0.subject)".clipped(to: Self.nameLimit) }, issuer: certificate.map { "\($0.issuer)".clipped(to: Self.nameLimit) },
            notValidBefore: certificate?.notValidBefore, notValidAfter: certificate?.notValidAfter,
            names: names.prefix(Self.namesLimit).map { $0.clipped(to: Self.nameLimit) },
            fingerprint: HexDigits.text(Array(SHA256.hash(data: octets))), keyFingerprint: HexDigits.text(Array(SHA256.hash(data: subjectPublicKeyInfo))),
            problem: problem)
    }
}

/// A certificate in words.
public struct CertificateSummary: Hashable, Sendable, Codable {
    public var subject: String?
    public var issuer: String?
    public var notValidBefore: Date?
    public var notValidAfter: Date?
    /// The DNS names that it is for.
    public var names: [String]
    /// SHA-256 of the certificate, in hexadecimal digits.
    public var fingerprint: String
    /// SHA-256 of its public key (SubjectPublicKeyInfo), in hexadecimal digits.
    public var keyFingerprint: String
    /// Why it can't be read.
    public var problem: String?
}

extension String {
    /// The first so many scalars.
    func clipped(to limit: Int) -> String {
        guard let end = unicodeScalars.index(unicodeScalars.startIndex, offsetBy: limit, limitedBy: unicodeScalars.endIndex), end < unicodeScalars.endIndex
        else { return self }
        return "\(self[..<end])…"
    }
}

/// Reads hexadecimal digits.
enum Hexadecimal {
    /// The value of a digit.
    static func value(_ digit: UInt8) -> UInt8? {
        switch digit {
        case 0x30...0x39: digit - 0x30
        case 0x41...0x46: digit - 0x41 + 10
        case 0x61...0x66: digit - 0x61 + 10
        default: nil
        }
    }
}
