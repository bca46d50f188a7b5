import Crypto

/// A request's body: a JSON Web Signature in its flattened form (RFC 8555 §6.2, RFC 7515 §7.2.2).
enum SignedBody {
    /// Who signs.
    enum Identity {
        /// An account, by its URL.
        case account(String)
        /// The key itself, where there is no account yet, or for a key that has none.
        case key
    }

    /// Signs a payload; `nil` is the empty payload of POST-as-GET (RFC 8555 §6.3), which is another thing than `{}`.
    static func sign(
        _ payload: JSONValue?, url: String, nonce: String?, identity: Identity, key: AccountKey
    ) throws(ACMEError) -> String {
        var header: [String: JSONValue] = ["alg": .string("ES256"), "url": .string(url)]
        // RFC 8555 §6.2: one of the two, never both.
        switch identity {
        case .account(let account): header["kid"] = .string(account)
        case .key: header["jwk"] = key.publicJWK
        }
        if let nonce { header["nonce"] = .string(nonce) }
        return try flattened(header: .object(header), payload: payload) { octets throws(ACMEError) in try key.signature(octets) }
    }

    /// The binding of a new account to one that its owner has with the authority already (RFC 8555 §7.3.4): the account's public key,
    /// under a MAC whose key the authority gave.
    static func binding(_ external: ExternalAccount, key: AccountKey, url: String) throws(ACMEError) -> JSONValue {
        let header: JSONValue = .object(["alg": .string("HS256"), "kid": .string(external.identifier), "url": .string(url)])
        let text = try flattened(header: header, payload: key.publicJWK) { octets in external.code(octets) }
        return try JSONReader.value(Array(text.utf8))
    }

    private static func flattened(
        header: JSONValue, payload: JSONValue?, signature: ([UInt8]) throws(ACMEError) -> [UInt8]
    ) throws(ACMEError) -> String {
        let protected = Base64URL.encode(Array(header.text.utf8))
        let payload = payload.map { Base64URL.encode(Array($0.text.utf8)) } ?? ""
        let signed = try signature(Array("\(protected).\(payload)".utf8))
        return JSONValue.object(["protected": .string(protected), "payload": .string(payload), "signature": .string(Base64URL.encode(signed))]).text
    }
}

/// What a certificate authority gives its customers so that they can make an account (RFC 8555 §7.3.4). Its description doesn't tell the secret.
public struct ExternalAccount: Sendable, CustomStringConvertible {
    /// The authority's name for its customer.
    public let identifier: String
    private let secret: SymmetricKey

    /// Takes what the authority gave.
    /// - Parameters:
    ///   - identifier: its name for the customer.
    ///   - encodedSecret: the secret in base64url, as authorities write it; padding is dropped.
    public init(identifier: String, encodedSecret: String) throws(ACMEError) {
        let trimmed = encodedSecret.filter { !$0.isWhitespace && $0 != "=" }.map { $0 == "+" ? "-" : $0 == "/" ? "_" : $0 }
        guard let octets = Base64URL.decode(String(trimmed)), octets.count >= 16, octets.count <= 1024 else {
            throw ACMEError(.invalidInput, "the secret of the external account “\(identifier)” isn't base64url of 16 to 1024 octets (RFC 8555 §7.3.4)")
        }
        self.identifier = identifier
        secret = SymmetricKey(data: octets)
    }

    public var description: String { identifier }

    func code(_ octets: [UInt8]) -> [UInt8] { Array(HMAC<SHA256>.authenticationCode(for: octets, using: secret)) }
}
