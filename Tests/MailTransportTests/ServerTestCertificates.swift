import Crypto
import Foundation
import SwiftASN1
import X509

/// A certificate authority and certificates of its own, as PEM files in a folder that is deleted with this object.
final class ServerTestCertificates {
    let folder: URL
    private let authorityKey = P256.Signing.PrivateKey()
    private let authorityName: DistinguishedName

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("certificates-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        authorityName = try DistinguishedName { CommonName("Authority") }
        let authority = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(authorityKey.publicKey), notValidBefore: .now - 60,
            notValidAfter: .now + 3600, issuer: authorityName, subject: authorityName, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.isCertificateAuthority(maxPathLength: nil))
                Critical(KeyUsage(keyCertSign: true))
            }, issuerPrivateKey: .init(authorityKey))
        try authority.serializeAsPEM().pemString.write(to: folder.appendingPathComponent("authority.pem"), atomically: true, encoding: .utf8)
    }

    deinit { try? FileManager.default.removeItem(at: folder) }

    var authorityFile: String { folder.appendingPathComponent("authority.pem").path }

    /// Makes a certificate for a host with roles; returns the files of certificate and key.
    func issue(_ host: String, roles: [String] = []) throws -> (certificate: String, key: String) {
        let key = P256.Signing.PrivateKey()
        let names: [GeneralName] = [.dnsName(host)] + roles.map { .uniformResourceIdentifier("urn:postern:role:\($0)") }
        let certificate = try Certificate(
            version: .v3, serialNumber: .init(), publicKey: .init(key.publicKey), notValidBefore: .now - 60, notValidAfter: .now + 3600,
            issuer: authorityName, subject: try DistinguishedName { CommonName(host) }, signatureAlgorithm: .ecdsaWithSHA256,
            extensions: try Certificate.Extensions {
                Critical(BasicConstraints.notCertificateAuthority)
                SubjectAlternativeNames(names)
            }, issuerPrivateKey: .init(authorityKey))
        let stem = UUID().uuidString
        let certificateFile = folder.appendingPathComponent("\(stem).pem")
        let keyFile = folder.appendingPathComponent("\(stem).key")
        try certificate.serializeAsPEM().pemString.write(to: certificateFile, atomically: true, encoding: .utf8)
        try key.pemRepresentation.write(to: keyFile, atomically: true, encoding: .utf8)
        return (certificateFile.path, keyFile.path)
    }
}
