import Crypto
import FoundationEssentials
import MailMessage
import MailTransport
import NIOCore
import SwiftASN1
import X509

/// Signs capsules with the key of this host's link certificate, which says what roles the host plays. A host without links authenticates them with
/// a secret of its own (RFC 2104), for nobody but itself.
struct CapsuleSealer: Sendable {
    private enum Key {
        /// The key with its certificate in Base64.
        case link(P256.Signing.PrivateKey, certificate: [UInt8])
        case own(SymmetricKey)
    }

    private let key: Key

    /// - Throws: ``HostError`` that names the file.
    init(_ link: Configuration.LinkFiles?, dataFolder: String) throws {
        guard let link else {
            key = .own(try Self.ownKey(folder: dataFolder))
            return
        }
        let signing: P256.Signing.PrivateKey
        do {
            signing = try P256.Signing.PrivateKey(pemRepresentation: String(contentsOfFile: link.key, encoding: .utf8))
        } catch {
            throw HostError("\(link.key) holds no P-256 key in PEM, which postern pki issue makes: \(error)")
        }
        do {
            let document = try PEMDocument(pemString: String(contentsOfFile: link.certificate, encoding: .utf8))
            key = .link(signing, certificate: Array(Data(document.derBytes).base64EncodedData()))
        } catch {
            throw HostError("\(link.certificate) holds no certificate in PEM: \(error)")
        }
    }

    /// The secret that this host believes itself with; `nil` where it has links.
    var ownKey: SymmetricKey? { if case .own(let key) = key { key } else { nil } }

    private static func ownKey(folder: String) throws -> SymmetricKey {
        let path = "\(folder)/capsule.key"
        if FileManager.default.fileExists(atPath: path) {
            guard let text = try? String(contentsOfFile: path, encoding: .utf8), let octets = Data(base64Encoded: String(text.prefix { $0 != "\n" })),
                octets.count == 32
            else { throw HostError("\(path) holds no 32 octets in Base64; remove it, and a new key is made") }
            return SymmetricKey(data: octets)
        }
        let key = SymmetricKey(size: .bits256)
        // Written once, when the host starts.
        let text = unsafe key.withUnsafeBytes { unsafe Data($0) }.base64EncodedString()
        try PrivateFile.write(text + "\n", to: path)
        return key
    }

    /// The header field with the capsule, with its line end.
    func field(_ capsule: AuthenticationCapsule) throws -> ByteBuffer {
        let payload = Data(capsule.json)
        var text = Array(payload.base64EncodedData())
        text.append(UInt8(ascii: "."))
        switch key {
        case .link(let key, let certificate):
            text += certificate
            text.append(UInt8(ascii: "."))
            text += try key.signature(for: CapsuleText.signed(payload)).derRepresentation.base64EncodedData()
        case .own(let key):
            text.append(UInt8(ascii: "."))
            text += Data(HMAC<SHA256>.authenticationCode(for: CapsuleText.signed(payload), using: key)).base64EncodedData()
        }
        var buffer = ByteBuffer()
        buffer.reserveCapacity(text.count + text.count / 16 + 64)
        buffer.writeString(AuthenticationCapsule.fieldName + ":")
        for start in stride(from: 0, to: text.count, by: CapsuleText.columns) {
            buffer.writeStaticString("\r\n ")
            buffer.writeBytes(text[start..<min(start + CapsuleText.columns, text.count)])
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

/// Opens capsules: those of hosts whose link certificate names the role `mx`, or the role of the capsule's author, and this host's own.
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
            case .role: "its certificate doesn't name the role that writes such capsules"
            case .otherMessage(let reason): "it belongs to another message: \(reason)"
            }
        }
    }

    private let authority: Certificate?
    private let own: SymmetricKey?

    /// - Throws: ``HostError`` that names the file.
    init(_ link: Configuration.LinkFiles?, own: SymmetricKey?) throws {
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
            let proof = Data(base64Encoded: Data(parts[2]))
        else { throw .unreadable }
        guard let capsule = try? JSONDecoder().decode(AuthenticationCapsule.self, from: payload) else { throw .unreadable }
        let role = capsule.author?.role ?? .mx
        guard try isProof(proof, of: CapsuleText.signed(payload), certificate: Array(der), role: role, at: time) else { throw .signature }
        return capsule
    }

    /// Whether a host with a role signed these octets, by its certificate; without a certificate this host itself.
    private func isProof(
        _ proof: Data, of octets: Data, certificate der: [UInt8], role: Configuration.Role, at time: Date
    ) throws(Doubt) -> Bool {
        guard der.isEmpty else {
            guard let signature = try? P256.Signing.ECDSASignature(derRepresentation: proof) else { throw .unreadable }
            return try key(der, of: role, at: time).isValidSignature(signature, for: octets)
        }
        guard let own else { throw .certificate("there is none") }
        return HMAC<SHA256>.isValidAuthenticationCode(proof, authenticating: octets, using: own)
    }

    /// The key of a certificate that our authority gave to a host with a role.
    private func key(_ der: [UInt8], of role: Configuration.Role, at time: Date) throws(Doubt) -> P256.Signing.PublicKey {
        guard let authority else { throw .certificate("this host knows no authority") }
        guard let certificate = try? Certificate(derEncoded: der) else { throw .certificate("it can't be read") }
        guard certificate.issuer == authority.subject, authority.publicKey.isValidSignature(certificate.signature, for: certificate) else {
            throw .certificate("another one signed it")
        }
        guard certificate.notValidBefore <= time, time <= certificate.notValidAfter else { throw .certificate("it isn't valid now") }
        guard let roles = try? LinkCertificate.roles(ofDER: der), roles.contains(role.rawValue) else { throw .role }
        guard let key = P256.Signing.PublicKey(certificate.publicKey) else { throw .certificate("its key isn't of P-256") }
        return key
    }
}
