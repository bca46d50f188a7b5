import Crypto
package import Foundation
package import NIOSSL
import SwiftASN1
package import X509

/// An authority for web servers of a test, and the certificates that it makes.
package struct WebAuthority: Sendable {
    package let certificate: Certificate
    private let key = P256.Signing.PrivateKey()

    package init() throws {
        let name = try DistinguishedName { CommonName("Root of the web") }
        certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: Date() - 86400, notValidAfter: Date() + 86400,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: .init(key))
    }

    /// Writes the root as PEM.
    package func write(to path: String) throws { try Data(certificate.serializeAsPEM().pemString.utf8).write(to: URL(filePath: path)) }

    /// What a server needs.
    /// - Parameters:
    ///   - names: the DNS-IDs.
    ///   - commonName: what the subject says.
    ///   - validity: from when until when, in seconds from now.
    ///   - isSelfSigned: nobody but itself vouches for it.
    package func server(
        names: [String], commonName: String = "A web server", validity: ClosedRange<TimeInterval> = -3600...3600, isSelfSigned: Bool = false,
        purposes: [ExtendedKeyUsage.Usage] = [.serverAuth]
    ) throws -> NIOSSLContext {
        let leafKey = P256.Signing.PrivateKey()
        let subject = try DistinguishedName { CommonName(commonName) }
        let leaf = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(leafKey.publicKey), notValidBefore: Date() + validity.lowerBound,
            notValidAfter: Date() + validity.upperBound, issuer: isSelfSigned ? subject : certificate.subject, subject: subject,
            signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                if !names.isEmpty { SubjectAlternativeNames(names.map { .dnsName($0) }) }
                try ExtendedKeyUsage(purposes)
            }, issuerPrivateKey: .init(isSelfSigned ? leafKey : key))
        let chain = try NIOSSLCertificate(bytes: Array(leaf.serializeAsPEM().pemString.utf8), format: .pem)
        let privateKey = try NIOSSLPrivateKey(bytes: Array(leafKey.pemRepresentation.utf8), format: .pem)
        return try NIOSSLContext(
            configuration: .makeServerConfiguration(certificateChain: [.certificate(chain)], privateKey: .privateKey(privateKey)))
    }
}
