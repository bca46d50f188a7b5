import Crypto
import CryptoExtras
import FoundationEssentials
import SwiftASN1

/// A public key that signatures are verified with.
public struct DKIMPublicKey: Sendable {
    private enum Backing: Sendable {
        case rsa(_RSA.Signing.PublicKey)
        case ed25519(Curve25519.Signing.PublicKey)
    }

    private let backing: Backing
    /// The type of the key.
    public let type: DKIMKeyType
    /// The size of the key: of an RSA key's modulus, and 256 for Ed25519.
    public let bits: Int

    /// Reads the key of a record.
    /// - Throws: ``DKIMKeyError``.
    public init(_ record: DKIMKeyRecord, limits: DKIMLimits = DKIMLimits()) throws(DKIMKeyError) {
        guard !record.isRevoked else { throw .revoked }
        try self.init(record.keyType, record.keyData, limits: limits)
    }

    init(_ type: DKIMKeyType, _ data: [UInt8], limits: DKIMLimits) throws(DKIMKeyError) {
        self.type = type
        switch type {
        case .rsa:
            let numbers = try RSANumbers(data)
            bits = numbers.bits
            // RFC 8301 §3.2
            guard bits >= limits.minimumRSABits else { throw .tooSmall(bits: bits, minimum: limits.minimumRSABits) }
            guard bits <= limits.maximumRSABits else { throw .tooLarge(bits: bits, maximum: limits.maximumRSABits) }
            guard let key = try? _RSA.Signing.PublicKey(unsafeDERRepresentation: numbers.subjectPublicKeyInfo()) else { throw .malformed }
            backing = .rsa(key)
        case .ed25519:
            // RFC 8463 §4: the key itself, without a structure around it.
            guard data.count == 32, let key = try? Curve25519.Signing.PublicKey(rawRepresentation: data) else { throw .malformed }
            bits = 256
            backing = .ed25519(key)
        }
    }

    /// Whether a signature is right (RFC 6376 §3.3.2, RFC 8463 §3).
    func isValidSignature(_ signature: [UInt8], for digest: SHA256.Digest) -> Bool {
        switch backing {
        case .rsa(let key):
            key.isValidSignature(.init(rawRepresentation: signature), for: digest, padding: .insecurePKCS1v1_5)
        case .ed25519(let key):
            key.isValidSignature(signature, for: Array(digest))
        }
    }
}

/// Why the data of a key can't be used.
public enum DKIMKeyError: Error, Sendable, Hashable, Codable, CustomStringConvertible {
    /// `p=` is empty.
    case revoked
    /// The data isn't a key of the type that `k=` says.
    case malformed
    /// An RSA key that is too small to mean anything (RFC 8301 §3.2).
    case tooSmall(bits: Int, minimum: Int)
    /// An RSA key that costs too much.
    case tooLarge(bits: Int, maximum: Int)

    public var description: String {
        switch self {
        case .revoked: "the key is revoked (RFC 6376 §3.6.1)"
        case .malformed: "“p=” isn't a key of the type that “k=” says (RFC 6376 §3.6.1, RFC 8463 §4)"
        case .tooSmall(let bits, let minimum): "the key has \(bits) bits, and \(minimum) are the least (RFC 8301 §3.2)"
        case .tooLarge(let bits, let maximum): "the key has \(bits) bits, and \(maximum) are the most that is computed with"
        }
    }
}

/// An RSA public key: SubjectPublicKeyInfo (RFC 5280 §4.1), or RSAPublicKey alone (RFC 8017 §A.1.1), as both are found.
private struct RSANumbers {
    var modulus: [UInt8]
    var exponent: [UInt8]

    var bits: Int { modulus.count * 8 - (modulus.first?.leadingZeroBitCount ?? 0) }

    init(_ der: [UInt8]) throws(DKIMKeyError) {
        guard der.count <= 8192, let numbers = try? Self.read(der) else { throw .malformed }
        (modulus, exponent) = numbers
        guard !modulus.isEmpty, !exponent.isEmpty else { throw .malformed }
    }

    /// The key as a SubjectPublicKeyInfo, whichever form it was read from. The initialiser by numbers would refuse 1024 bits.
    func subjectPublicKeyInfo() throws -> [UInt8] {
        var key = DER.Serializer()
        key.appendConstructedNode(identifier: .sequence) { key in
            for number in [modulus, exponent] {
                key.appendPrimitiveNode(identifier: .integer) { octets in
                    if let first = number.first, first >= 0x80 { octets.append(0) }
                    octets.append(contentsOf: number)
                }
            }
        }
        var info = DER.Serializer()
        try info.appendConstructedNode(identifier: .sequence) { info in
            try info.appendConstructedNode(identifier: .sequence) { algorithm in
                try algorithm.serialize(ASN1ObjectIdentifier.AlgorithmIdentifier.rsaEncryption)
                try algorithm.serialize(ASN1Null())
            }
            try info.serialize(ASN1BitString(bytes: key.serializedBytes[...]))
        }
        return info.serializedBytes
    }

    private static func read(_ octets: [UInt8]) throws -> ([UInt8], [UInt8]) {
        let root = try DER.parse(octets)
        return try DER.sequence(root, identifier: .sequence) { nodes in
            guard let first = nodes.next(), let second = nodes.next() else { throw DKIMKeyError.malformed }
            guard first.identifier == .sequence else { return (try unsigned(first), try unsigned(second)) }
            let algorithm = try DER.sequence(first, identifier: .sequence) { parts in
                let identifier = try ASN1ObjectIdentifier(derEncoded: &parts)
                _ = parts.next()
                return identifier
            }
            guard algorithm == .AlgorithmIdentifier.rsaEncryption else { throw DKIMKeyError.malformed }
            let key = try ASN1BitString(derEncoded: second)
            return try DER.sequence(try DER.parse(Array(key.bytes)), identifier: .sequence) { numbers in
                guard let modulus = numbers.next(), let exponent = numbers.next() else { throw DKIMKeyError.malformed }
                return (try unsigned(modulus), try unsigned(exponent))
            }
        }
    }

    private static func unsigned(_ node: ASN1Node) throws -> [UInt8] {
        guard node.identifier == .integer, case .primitive(let content) = node.content, let first = content.first, first < 0x80 else {
            throw DKIMKeyError.malformed
        }
        return Array(content.drop { $0 == 0 })
    }
}
