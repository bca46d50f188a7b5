import ACME
import Crypto
import FoundationEssentials
import SwiftASN1
import X509

/// The files of the certificate, its key and the account's, each written whole or not at all, mode 0600.
///
/// A certificate and a new key for it change together: both are first written beside their places, the certificate last; whoever
/// starts next finishes what a crash left between. So no crash leaves a key without its certificate.
struct CertificateFiles: Sendable {
    let certificate: String
    let key: String
    let accountKey: String
    private let folder: String

    private var pendingCertificate: String { "\(folder)/pending-certificate.pem" }
    private var pendingKey: String { "\(folder)/pending-key.pem" }
    private var nextKey: String { "\(folder)/next-key.pem" }

    /// `nil` where no certificate is had by ACME.
    init?(_ configuration: Configuration) {
        guard let files = configuration.certificate, let acme = configuration.acme else { return nil }
        certificate = files.certificate
        key = files.key
        folder = "\(configuration.dataFolder)/acme"
        accountKey = acme.accountKey ?? "\(folder)/account-key.pem"
    }

    /// The certificate that is in use; `nil` where there is none yet.
    func chain() -> CertificateChain? { Self.contents(certificate).flatMap { try? CertificateChain(pem: $0) } }

    /// The key of the certificate, made where there is none.
    func certificateKey() throws -> Certificate.PrivateKey { try Self.readOrMake(key) }

    /// The key of the account, made where there is none.
    func account() throws -> AccountKey {
        if let text = Self.contents(accountKey) {
            do { return try AccountKey(pem: text) } catch { throw HostError("\(accountKey): \(error)") }
        }
        let key = AccountKey(P256.Signing.PrivateKey())
        try PrivateFile.createFolder(folder)
        try PrivateFile.write(key.pem, to: accountKey)
        return key
    }

    /// The key of the next certificate, made where there is none.
    func following() throws -> Certificate.PrivateKey {
        try PrivateFile.createFolder(folder)
        return try Self.readOrMake(nextKey)
    }

    func removeFollowing() { try? FileManager.default.removeItem(atPath: nextKey) }

    private static func contents(_ path: String) -> String? {
        FileManager.default.contents(atPath: path).flatMap { $0.count <= 1 << 20 ? String(validating: $0, as: UTF8.self) : nil }
    }

    private static func readOrMake(_ path: String) throws -> Certificate.PrivateKey {
        if FileManager.default.fileExists(atPath: path) {
            guard let text = contents(path), let key = try? Certificate.PrivateKey(pemEncoded: text) else {
                throw HostError("\(path) is no private key in PEM; nothing is overwritten: move it away")
            }
            return key
        }
        let key = P256.Signing.PrivateKey()
        try PrivateFile.write(key.pemRepresentation + "\n", to: path)
        return Certificate.PrivateKey(key)
    }

    /// Puts a certificate into use, with the next key where it has that one.
    func install(_ chain: CertificateChain, withFollowingKey isFollowing: Bool) throws {
        try PrivateFile.createFolder(folder)
        if isFollowing {
            guard let text = Self.contents(nextKey) else { throw HostError("\(nextKey) is gone: the rollover can't go on; call it off") }
            try PrivateFile.write(text, to: pendingKey)
        }
        try PrivateFile.write(try chain.pem, to: pendingCertificate)
        try finishInstallation()
    }

    /// Finishes what a crash left undone.
    func finishInstallation() throws {
        guard let text = Self.contents(pendingCertificate) else {
            // Without its certificate the key was never meant to be used.
            try? FileManager.default.removeItem(atPath: pendingKey)
            return
        }
        if let newKey = Self.contents(pendingKey) { try PrivateFile.write(newKey, to: key) }
        try PrivateFile.write(text, to: certificate)
        // In this order: a key alone is thrown away, a certificate alone is written once more.
        try? FileManager.default.removeItem(atPath: pendingCertificate)
        try? FileManager.default.removeItem(atPath: pendingKey)
    }
}
