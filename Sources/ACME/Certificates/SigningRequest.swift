import SwiftASN1
import X509

/// The request that is sent to have a certificate signed (RFC 8555 §7.4, RFC 2986).
enum SigningRequest {
    /// The names stand in the extension for alternative names only: the common name is no place for them any more (RFC 9525 §2).
    static func octets(_ names: [CertificateName], key: Certificate.PrivateKey) throws(ACMEError) -> [UInt8] {
        do {
            let extensions = try Certificate.Extensions { SubjectAlternativeNames(names.map { .dnsName($0.description) }) }
            let request = try CertificateSigningRequest(
                version: .v1, subject: DistinguishedName(), privateKey: key,
                attributes: CertificateSigningRequest.Attributes([.init(ExtensionRequest(extensions: extensions))]))
            var serializer = DER.Serializer()
            try serializer.serialize(request)
            return serializer.serializedBytes
        } catch {
            throw ACMEError(.invalidInput, "no certificate can be asked for with this key: \(error)")
        }
    }
}
