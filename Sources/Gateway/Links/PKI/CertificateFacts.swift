import Crypto
public import DNS
public import FoundationEssentials
import SwiftASN1
public import X509

/// What a certificate says, for people and for decisions about links.
public struct CertificateFacts: Sendable, Hashable {
    /// The URI that names a role in a link certificate begins so.
    public static let rolePrefix = "urn:postern:role:"

    /// Its subject as RFC 4514 writes it.
    public var subject: String
    /// Its issuer.
    public var issuer: String
    /// The serial number in hexadecimal digits.
    public var serial: String
    /// From when on it holds.
    public var notBefore: Date
    /// Until when it holds.
    public var notAfter: Date
    /// Whether it may issue certificates.
    public var isAuthority: Bool
    /// The DNS names that it is for.
    public var hosts: [String]
    /// The addresses that it is for.
    public var addresses: [IPAddress]
    /// The roles that it names. They mean something only where the internal authority has issued it.
    public var roles: [Configuration.Role]
    /// SHA-256 of its DER form in hexadecimal digits.
    public var fingerprint: String

    /// Reads a parsed certificate.
    public init(_ certificate: Certificate) throws(PKIError) {
        subject = certificate.subject.description
        issuer = certificate.issuer.description
        serial = certificate.serialNumber.bytes.map { Self.hexadecimal($0) }.joined()
        notBefore = certificate.notValidBefore
        notAfter = certificate.notValidAfter
        hosts = []
        addresses = []
        roles = []
        do {
            switch try certificate.extensions.basicConstraints {
            case .isCertificateAuthority: isAuthority = true
            case .notCertificateAuthority, nil: isAuthority = false
            }
            for name in try certificate.extensions.subjectAlternativeNames ?? SubjectAlternativeNames() {
                switch name {
                case .dnsName(let host): hosts.append(host)
                case .ipAddress(let octets): if let address = IPAddress(networkOrder: Array(octets.bytes)) { addresses.append(address) }
                case .uniformResourceIdentifier(let identifier):
                    if identifier.hasPrefix(Self.rolePrefix),
                        let role = Configuration.Role(rawValue: String(identifier.dropFirst(Self.rolePrefix.count)))
                    {
                        roles.append(role)
                    }
                default: continue
                }
            }
            var serializer = DER.Serializer()
            try serializer.serialize(certificate)
            fingerprint = SHA256.hash(data: serializer.serializedBytes).map { Self.hexadecimal($0) }.joined()
        } catch {
            throw PKIError(.invalid, "the certificate of \(certificate.subject) can't be understood: \(error)")
        }
    }

    /// Reads the first certificate of a PEM file.
    public init(file: String) throws(PKIError) {
        try self.init(LinkAuthority.readCertificate(file: file))
    }

    private static func hexadecimal(_ octet: UInt8) -> String {
        let text = String(octet, radix: 16)
        return octet < 16 ? "0\(text)" : text
    }
}

extension IPAddress {
    /// Reads 4 or 16 octets in network order; `nil` for any other number.
    init?(networkOrder octets: [UInt8]) {
        func number(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
        switch octets.count {
        case 4: self = .v4(UInt32(truncatingIfNeeded: number(octets[...])))
        case 16: self = .v6(number(octets[..<8]), number(octets[8...]))
        default: return nil
        }
    }

    /// The address as 4 or 16 octets in network order, as an iPAddress name holds it (RFC 5280 §4.2.1.6).
    var networkOrder: [UInt8] {
        func octets(_ number: UInt64, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: number >> UInt64(8 * (count - 1 - $0))) }
        }
        switch self {
        case .v4(let number): return octets(UInt64(number), 4)
        case .v6(let high, let low): return octets(high, 8) + octets(low, 8)
        }
    }
}
