import Crypto
import FoundationEssentials
import MailMessage
import MailTransport
import NIOCore
import SwiftASN1
import X509

/// Signs capsules with the key of this host's link certificate, which says that the host plays the role `mx`. A host without links signs with a key
/// of its own, which only itself believes.
struct CapsuleSealer: Sendable {
    private let key: P256.Signing.PrivateKey
    /// The link certificate in DER; empty where there is none.
    private let certificate: [UInt8]

    /// - Throws: ``HostError`` that names the file.
    init(_ link: Configuration.LinkFiles?, dataFolder: String) throws {
        guard let link else {
            key = try Self.ownKey(folder: dataFolder)
            certificate = []
            return
        }
        do {
            key = try P256.Signing.PrivateKey(pemRepresentation: String(contentsOfFile: link.key, encoding: .utf8))
        } catch {
            throw HostError("\(link.key) holds no P-256 key in PEM, which postern pki issue makes: \(error)")
        }
        do {
            certificate = try PEMDocument(pemString: String(contentsOfFile: link.certificate, encoding: .utf8)).derBytes
        } catch {
            throw HostError("\(link.certificate) holds no certificate in PEM: \(error)")
        }
    }

    /// The key that this host believes itself with.
    var ownPublicKey: P256.Signing.PublicKey { key.publicKey }

    private static func ownKey(folder: String) throws -> P256.Signing.PrivateKey {
        let path = "\(folder)/capsule-key.pem"
        if FileManager.default.fileExists(atPath: path) {
            do {
                return try P256.Signing.PrivateKey(pemRepresentation: String(contentsOfFile: path, encoding: .utf8))
            } catch {
                throw HostError("\(path) holds no P-256 key in PEM; remove it, and a new one is made: \(error)")
            }
        }
        let key = P256.Signing.PrivateKey()
        try PrivateFile.write(key.pemRepresentation + "\n", to: path)
        return key
    }

    /// The header field with the capsule, with its line end.
    func field(_ capsule: AuthenticationCapsule) throws -> ByteBuffer {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        let payload = try encoder.encode(capsule)
        let signature = try key.signature(for: CapsuleText.signed(payload))
        let text = [payload, Data(certificate), signature.derRepresentation].map { $0.base64EncodedString() }.joined(separator: ".")
        var buffer = ByteBuffer()
        buffer.writeString(AuthenticationCapsule.fieldName + ":")
        var rest = Substring(text)
        while !rest.isEmpty {
            buffer.writeString("\r\n ")
            buffer.writeSubstring(rest.prefix(CapsuleText.columns))
            rest = rest.dropFirst(CapsuleText.columns)
        }
        buffer.writeStaticString("\r\n")
        return buffer
    }
}

/// What sealing and opening have in common.
enum CapsuleText {
    static let columns = 76
    /// The longest field that is read.
    static let limit = 64 * 1024

    /// The octets that are signed: nothing else that the key signs begins so.
    static func signed(_ payload: Data) -> Data { Data("postern capsule 1\n".utf8) + payload }
}

/// Opens capsules: those of hosts whose link certificate names the role `mx`, and this host's own.
struct CapsuleReader: Sendable {
    /// Why a capsule isn't believed.
    enum Doubt: Error, CustomStringConvertible {
        case unreadable
        case certificate(String)
        case signature
        case role
        case otherMessage(String)

        var description: String {
            switch self {
            case .unreadable: "it can't be read"
            case .certificate(let reason): "its certificate isn't one of our authority's: \(reason)"
            case .signature: "its signature is not that of its certificate's key"
            case .role: "its certificate doesn't name the role mx"
            case .otherMessage(let reason): "it belongs to another message: \(reason)"
            }
        }
    }

    private let authority: Certificate?
    private let own: P256.Signing.PublicKey?

    /// - Throws: ``HostError`` that names the file.
    init(_ link: Configuration.LinkFiles?, own: P256.Signing.PublicKey?) throws {
        self.own = own
        do {
            authority = try link.map { try Certificate(pemEncoded: String(contentsOfFile: $0.authority, encoding: .utf8)) }
        } catch {
            throw HostError("\(link?.authority ?? "") holds no certificate in PEM: \(error)")
        }
    }

    /// Opens a capsule and compares it with the message that it stands in.
    /// - Parameters:
    ///   - field: the topmost field of the capsule's name.
    ///   - content: the whole message.
    /// - Throws: ``Doubt``, or what reading the message throws.
    func open(_ field: HeaderField, of content: any MessageContent, at time: Date) async throws -> AuthenticationCapsule {
        let capsule = try open(field, at: time)
        guard capsule.byteCount >= 0, capsule.byteCount <= content.byteCount else {
            throw Doubt.otherMessage("that one has \(capsule.byteCount) octets")
        }
        var hash = SHA256()
        try await content.pieces(from: content.byteCount - capsule.byteCount) { piece in
            // The bytes are read while they are borrowed.
            unsafe piece.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
        }
        guard HexDigits.text(Array(hash.finalize())) == capsule.sha256 else { throw Doubt.otherMessage("the digests differ") }
        return capsule
    }

    private func open(_ field: HeaderField, at time: Date) throws(Doubt) -> AuthenticationCapsule {
        guard field.valueRange.count <= CapsuleText.limit else { throw .unreadable }
        let octets = field.rawValue.readableBytesView.filter { $0 > 0x20 }
        let parts = octets.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let payload = Data(base64Encoded: Data(parts[0])), let der = Data(base64Encoded: Data(parts[1])),
            let signed = Data(base64Encoded: Data(parts[2])), let signature = try? P256.Signing.ECDSASignature(derRepresentation: signed)
        else { throw .unreadable }
        let key = try key(Array(der), at: time)
        guard key.isValidSignature(signature, for: CapsuleText.signed(payload)) else { throw .signature }
        guard let capsule = try? JSONDecoder().decode(AuthenticationCapsule.self, from: payload) else { throw .unreadable }
        return capsule
    }

    /// The key of a certificate that our authority gave to a host with the role `mx`; without a certificate this host's own.
    private func key(_ der: [UInt8], at time: Date) throws(Doubt) -> P256.Signing.PublicKey {
        if der.isEmpty {
            guard let own else { throw .certificate("there is none") }
            return own
        }
        guard let authority else { throw .certificate("this host knows no authority") }
        guard let certificate = try? Certificate(derEncoded: der) else { throw .certificate("it can't be read") }
        guard certificate.issuer == authority.subject, authority.publicKey.isValidSignature(certificate.signature, for: certificate) else {
            throw .certificate("another one signed it")
        }
        guard certificate.notValidBefore <= time, time <= certificate.notValidAfter else { throw .certificate("it isn't valid now") }
        guard let roles = try? LinkCertificate.roles(ofDER: der), roles.contains(Configuration.Role.mx.rawValue) else { throw .role }
        guard let key = P256.Signing.PublicKey(certificate.publicKey) else { throw .certificate("its key isn't of P-256") }
        return key
    }
}
