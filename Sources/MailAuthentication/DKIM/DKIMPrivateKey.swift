public import Crypto
public import CryptoExtras
import FoundationEssentials
import SwiftASN1

/// A private key that mail is signed with. It never shows itself: neither its text nor its reflection has a secret in it.
public struct DKIMPrivateKey: Sendable {
    private enum Backing: Sendable {
        case rsa(_RSA.Signing.PrivateKey)
        case ed25519(Curve25519.Signing.PrivateKey)
    }

    private let backing: Backing

    /// Takes an RSA key.
    /// - Throws: ``DKIMPrivateKeyError`` where it has less than 1024 bits, or more than 4096 (RFC 8301 §3.2: not every verifier goes
    ///   further).
    public init(rsa key: _RSA.Signing.PrivateKey) throws(DKIMPrivateKeyError) {
        guard (1024...4096).contains(key.keySizeInBits) else { throw .size(bits: key.keySizeInBits) }
        backing = .rsa(key)
    }

    /// Takes an Ed25519 key.
    public init(ed25519 key: Curve25519.Signing.PrivateKey) { backing = .ed25519(key) }

    /// Reads a key: PEM of RSA (PKCS #1 or PKCS #8) or of Ed25519 (RFC 8410), or the 32 octets of an Ed25519 key in base64
    /// (RFC 8463 §A.2).
    /// - Throws: ``DKIMPrivateKeyError``.
    public init(parsing text: some StringProtocol) throws(DKIMPrivateKeyError) {
        let octets = Array(text.utf8)
        guard octets.count <= 65536 else { throw .malformed }
        let text = String(decoding: octets, as: UTF8.self)
        guard text.contains("-----BEGIN") else {
            guard let seed = DKIMBase64.decode(octets), seed.count == 32, let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else {
                throw .malformed
            }
            self.init(ed25519: key)
            return
        }
        guard !text.contains("ENCRYPTED") else { throw .encrypted }
        guard let document = try? PEMDocument(pemString: text) else { throw .malformed }
        switch document.discriminator {
        case "RSA PRIVATE KEY":
            try self.init(rsaDER: document.derBytes)
        case "PRIVATE KEY":
            if let seed = try? Self.ed25519Seed(document.derBytes) {
                guard let key = try? Curve25519.Signing.PrivateKey(rawRepresentation: seed) else { throw .malformed }
                self.init(ed25519: key)
            } else {
                try self.init(rsaDER: document.derBytes)
            }
        default: throw .unsupported(String(document.discriminator.prefix(64)))
        }
    }

    private init(rsaDER der: [UInt8]) throws(DKIMPrivateKeyError) {
        guard let key = try? _RSA.Signing.PrivateKey(unsafeDERRepresentation: der) else { throw .malformed }
        try self.init(rsa: key)
    }

    /// RFC 8410 §7: the key is an OCTET STRING in the OCTET STRING of PKCS #8.
    private static func ed25519Seed(_ der: [UInt8]) throws -> [UInt8] {
        try DER.sequence(try DER.parse(der), identifier: .sequence) { nodes in
            _ = try Int(derEncoded: &nodes)
            guard let second = nodes.next() else { throw DKIMPrivateKeyError.malformed }
            let algorithm = try DER.sequence(second, identifier: .sequence) { parts in
                let identifier = try ASN1ObjectIdentifier(derEncoded: &parts)
                _ = parts.next()
                return identifier
            }
            guard algorithm == [1, 3, 101, 112] else { throw DKIMPrivateKeyError.malformed }
            let seed = try ASN1OctetString(derEncoded: try DER.parse(Array(try ASN1OctetString(derEncoded: &nodes).bytes)))
            while nodes.next() != nil {}
            return Array(seed.bytes)
        }
    }

    /// The algorithm it signs with.
    public var algorithm: DKIMAlgorithm {
        switch backing {
        case .rsa: .rsaSHA256
        case .ed25519: .ed25519SHA256
        }
    }

    /// The size of the key.
    public var bits: Int {
        switch backing {
        case .rsa(let key): key.keySizeInBits
        case .ed25519: 256
        }
    }

    /// What the key record's `p=` holds: a SubjectPublicKeyInfo for RSA, the 32 octets alone for Ed25519 (RFC 8463 §4.2).
    public var publicKeyData: [UInt8] {
        switch backing {
        case .rsa(let key): Array(key.publicKey.derRepresentation)
        case .ed25519(let key): Array(key.publicKey.rawRepresentation)
        }
    }

    /// The key as PEM (PKCS #8), for a file that nobody else can read.
    public var pem: String {
        switch backing {
        case .rsa(let key): return key.pkcs8PEMRepresentation + "\n"
        case .ed25519(let key):
            // RFC 8410 §7: version 0, the algorithm 1.3.101.112, the seed.
            let head: [UInt8] = [0x30, 0x2E, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2B, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20]
            return PEMDocument(type: "PRIVATE KEY", derBytes: head + Array(key.rawRepresentation)).pemString + "\n"
        }
    }

    /// The text of a key record for this key.
    public var recordText: String { "v=DKIM1; k=\(algorithm.keyType.rawValue); p=\(DKIMBase64.encode(publicKeyData))" }

    /// Signs a hash (RFC 6376 §3.3.1, RFC 8463 §3).
    func signature(for digest: SHA256.Digest) throws(DKIMPrivateKeyError) -> [UInt8] {
        do {
            switch backing {
            case .rsa(let key): return Array(try key.signature(for: digest, padding: .insecurePKCS1v1_5).rawRepresentation)
            case .ed25519(let key): return Array(try key.signature(for: Array(digest)))
            }
        } catch { throw .signingFailed }
    }
}

extension DKIMPrivateKey: CustomStringConvertible, CustomReflectable {
    public var description: String { "\(bits)-bit \(algorithm.keyType.rawValue) key" }
    public var customMirror: Mirror { Mirror(self, children: ["key": description]) }
}

/// Why a private key can't be used.
public enum DKIMPrivateKeyError: Error, Sendable, Hashable, CustomStringConvertible {
    /// It isn't a key of a known form.
    case malformed
    /// It is protected by a passphrase.
    case encrypted
    /// It is PEM of something else.
    case unsupported(String)
    /// It has too few bits, or too many (RFC 8301 §3.2).
    case size(bits: Int)
    /// The computation failed.
    case signingFailed

    public var description: String {
        switch self {
        case .malformed: "not a private key: PEM of RSA or Ed25519, or 32 octets of Ed25519 in base64"
        case .encrypted: "the private key is protected by a passphrase; DKIM needs one without"
        case .unsupported(let type): "PEM of “\(type)”, where “RSA PRIVATE KEY” or “PRIVATE KEY” is needed"
        case .size(let bits): "an RSA key of \(bits) bits; 1024 are the least and 4096 the most, 2048 are right (RFC 8301 §3.2)"
        case .signingFailed: "the key can't sign"
        }
    }
}

/// Makes keys for signing.
public enum DKIMKeyPair {
    /// A new RSA key.
    /// - Parameter rsaBits: 2048 to 4096 (RFC 8301 §3.2).
    /// - Throws: ``DKIMPrivateKeyError``.
    public static func generate(rsaBits: Int = 2048) throws(DKIMPrivateKeyError) -> DKIMPrivateKey {
        guard (2048...4096).contains(rsaBits), rsaBits % 256 == 0 else { throw .size(bits: rsaBits) }
        guard let key = try? _RSA.Signing.PrivateKey(keySize: .init(bitCount: rsaBits)) else { throw .signingFailed }
        return try DKIMPrivateKey(rsa: key)
    }

    /// A new Ed25519 key (RFC 8463).
    public static func generateEd25519() -> DKIMPrivateKey { DKIMPrivateKey(ed25519: Curve25519.Signing.PrivateKey()) }
}
