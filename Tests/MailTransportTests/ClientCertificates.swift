import Crypto
import FoundationEssentials
import NIOSSL
import SwiftASN1
import X509

@testable import MailTransport

/// Certificates of a small authority in a temporary folder.
final class ClientCertificates: Sendable {
    let folder: URL
    var authorityFile: String { folder.appending(path: "ca.pem").path }

    init() throws {
        folder = FileManager.default.temporaryDirectory.appending(path: "postern-client-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        let key = Certificate.PrivateKey(P256.Signing.PrivateKey())
        let name = try DistinguishedName { CommonName("Kartapuce internal CA") }
        let authority = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: key.publicKey, notValidBefore: Date() - 60, notValidAfter: Date() + 3600,
            issuer: name, subject: name, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: key)
        try Self.write(authority.serializeAsPEM().pemString, "ca.pem", folder)
        for (host, role) in [("store", "store"), ("mx", "mx")] {
            let leafKey = P256.Signing.PrivateKey()
            let leaf = try Certificate(
                version: .v3, serialNumber: .init(), publicKey: Certificate.PrivateKey(leafKey).publicKey,
                notValidBefore: Date() - 60, notValidAfter: Date() + 3600, issuer: name,
                subject: try DistinguishedName { CommonName("\(host).kartapuce.test") }, signatureAlgorithm: .ecdsaWithSHA256,
                extensions: try Certificate.Extensions {
                    SubjectAlternativeNames([
                        .dnsName("\(host).kartapuce.test"), .uniformResourceIdentifier("urn:postern:role:\(role)"),
                    ])
                }, issuerPrivateKey: key)
            try Self.write(leaf.serializeAsPEM().pemString, "\(host).pem", folder)
            try Self.write(leafKey.pemRepresentation, "\(host).key", folder)
        }
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    private static func write(_ text: String, _ name: String, _ folder: URL) throws {
        try Data(text.utf8).write(to: folder.appending(path: name))
    }

    func file(_ name: String) -> String { folder.appending(path: name).path }

    func server(_ host: String) throws -> NIOSSLContext {
        try TLSServerContext(certificateFile: file("\(host).pem"), keyFile: file("\(host).key"), audience: .internet).context
    }

    func linkServer(_ host: String) throws -> NIOSSLContext {
        try TLSServerContext(
            certificateFile: file("\(host).pem"), keyFile: file("\(host).key"), audience: .link(authorityFile: authorityFile)
        ).context
    }

    func client() throws -> SMTPClientTLS {
        SMTPClientTLS(
            opportunistic: try .opportunistic(), verified: try .verified(additionalAuthorityFiles: [authorityFile]), observing: try .observing(),
            link: try .link(certificateFile: file("mx.pem"), keyFile: file("mx.key"), authorityFile: authorityFile))
    }
}
