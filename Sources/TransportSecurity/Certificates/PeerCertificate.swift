internal import Crypto
public import FoundationEssentials
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

    /// What people want to know of it.
    public var summary: CertificateSummary {
        CertificateSummary(
            subject: certificate.map { "\($0.subject)" }, issuer: certificate.map { "\($0.issuer)" }, notValidBefore: certificate?.notValidBefore,
            notValidAfter: certificate?.notValidAfter, names: certificate.map { CertificateNames($0).dnsNames } ?? [],
            fingerprint: Hexadecimal.text(SHA256.hash(data: octets)), keyFingerprint: Hexadecimal.text(SHA256.hash(data: subjectPublicKeyInfo)),
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

/// Octets as hexadecimal digits.
enum Hexadecimal {
    static func text(_ octets: some Sequence<UInt8>) -> String {
        let digits = Array("0123456789abcdef".utf8)
        var text: [UInt8] = []
        for octet in octets {
            text.append(digits[Int(octet >> 4)])
            text.append(digits[Int(octet & 15)])
        }
        return String(decoding: text, as: UTF8.self)
    }

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
