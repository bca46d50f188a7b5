public import Crypto
import FoundationEssentials

/// The key of an account at a certificate authority: P-256, signing with ES256 (RFC 8555 §6.2, RFC 7518 §3.4).
///
/// Whoever has it can order certificates for all names of the account, and revoke them.
public struct AccountKey: Sendable, CustomStringConvertible {
    private let key: P256.Signing.PrivateKey

    /// Takes a key, also a new one: `P256.Signing.PrivateKey()`.
    public init(_ key: P256.Signing.PrivateKey) { self.key = key }

    /// Reads a key in PEM.
    public init(pem: String) throws(ACMEError) {
        do {
            key = try P256.Signing.PrivateKey(pemRepresentation: pem)
        } catch {
            throw ACMEError(.invalidInput, "the account's key is no P-256 key in PEM")
        }
    }

    /// The key in PEM.
    public var pem: String { key.pemRepresentation + "\n" }

    /// The thumbprint of the public key (RFC 7638); anybody may know it.
    public var thumbprint: String { Base64URL.encode(Array(SHA256.hash(data: Array(publicJWK.text.utf8)))) }

    public var description: String { "P-256 \(thumbprint)" }

    /// The public key with the members that its thumbprint needs, and no others.
    var publicJWK: JSONValue {
        let raw = Array(key.publicKey.rawRepresentation)
        return .object([
            "crv": .string("P-256"), "kty": .string("EC"), "x": .string(Base64URL.encode(raw.prefix(32))), "y": .string(Base64URL.encode(raw.suffix(32))),
        ])
    }

    /// What proves to whoever holds the challenge's token that the account's owner answered it (RFC 8555 §8.1).
    public func authorization(token: String) -> String { "\(token).\(thumbprint)" }

    func signature(_ octets: [UInt8]) throws(ACMEError) -> [UInt8] {
        do {
            return Array(try key.signature(for: octets).rawRepresentation)
        } catch {
            throw ACMEError(.invalidInput, "the account's key doesn't sign: \(error)")
        }
    }
}
