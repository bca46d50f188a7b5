import ACME
import Crypto
import DNS
import FoundationEssentials
import SwiftASN1
import X509

/// The answers to challenges that are under way, as files: the host that serves and the command that orders are two processes.
struct ChallengeFolder: Sendable {
    let path: String

    /// - Parameter dataFolder: the host's.
    init(dataFolder: String) { path = "\(dataFolder)/acme/challenges" }

    /// Puts the answer to a challenge into place.
    func put(_ task: ACMEChallengeTask, at time: Date) throws {
        try PrivateFile.createFolder(path)
        switch task.kind {
        case .http01: try PrivateFile.write(task.keyAuthorization, to: "\(path)/\(task.token)")
        case .tlsALPN01:
            let key = P256.Signing.PrivateKey()
            let certificate = try task.validationCertificate(key: key, at: time).serializeAsPEM().pemString
            try PrivateFile.write("\(certificate)\n\(key.pemRepresentation)\n", to: certificatePath(task.name))
        case .dns01: break
        }
    }

    /// Takes it away.
    func remove(_ task: ACMEChallengeTask) {
        switch task.kind {
        case .http01: try? FileManager.default.removeItem(atPath: "\(path)/\(task.token)")
        case .tlsALPN01: try? FileManager.default.removeItem(atPath: certificatePath(task.name))
        case .dns01: break
        }
    }

    /// What is answered to http-01; `nil` where nobody asked for it. The token is a stranger's text.
    func keyAuthorization(token: String) -> String? {
        guard (22...512).contains(token.utf8.count), token.utf8.allSatisfy(Self.isTokenOctet) else { return nil }
        return FileManager.default.contents(atPath: "\(path)/\(token)").flatMap { String(validating: $0, as: UTF8.self) }
    }

    /// The certificate and its key in PEM that are shown to tls-alpn-01; `nil` where nobody asked for it.
    func certificate(name: DomainName) -> [UInt8]? { FileManager.default.contents(atPath: certificatePath(name)).map { Array($0) } }

    /// A dot is in no token, so that the two kinds can't be taken for each other.
    private func certificatePath(_ name: DomainName) -> String { "\(path)/\(name.ascii).pem" }

    private static func isTokenOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"),
            UInt8(ascii: "_"):
            true
        default: false
        }
    }
}
