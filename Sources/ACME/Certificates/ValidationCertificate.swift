public import Crypto
import DNS
public import FoundationEssentials
import SwiftASN1
public import X509

extension ACMEChallengeTask {
    /// The protocol's name in ALPN under which the certificate is shown (RFC 8737 §4).
    public static let alpnProtocol = "acme-tls/1"

    /// The certificate that a server shows for tls-alpn-01, and only to clients that ask for ``alpnProtocol`` (RFC 8737 §3): signed by its own
    /// key, with the name and the digest of the key authorization.
    /// - Parameters:
    ///   - key: a key of its own, not the one of the certificate that is ordered.
    ///   - time: now.
    public func validationCertificate(key: P256.Signing.PrivateKey, at time: Date) throws(ACMEError) -> Certificate {
        do {
            let subject = try DistinguishedName { CommonName("Postern ACME challenge") }
            let key = Certificate.PrivateKey(key)
            var digest = DER.Serializer()
            try digest.serialize(ASN1OctetString(contentBytes: self.digest[...]))
            return try Certificate(
                version: .v3, serialNumber: Certificate.SerialNumber(), publicKey: key.publicKey, notValidBefore: time.addingTimeInterval(-3600),
                notValidAfter: time.addingTimeInterval(7 * 86_400), issuer: subject, subject: subject,
                signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    Critical(BasicConstraints.notCertificateAuthority)
                    SubjectAlternativeNames([.dnsName(name.ascii)])
                    // RFC 8737 §3: id-pe-acmeIdentifier, critical.
                    Certificate.Extension(oid: [1, 3, 6, 1, 5, 5, 7, 1, 31], critical: true, value: digest.serializedBytes[...])
                }, issuerPrivateKey: key)
        } catch {
            throw ACMEError(.invalidInput, "no certificate for tls-alpn-01 of \(name): \(error)")
        }
    }
}
