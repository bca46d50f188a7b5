import Crypto
public import DNS
import FoundationEssentials

/// The algorithms that sign requests here (RFC 8945 §6). MD5 and SHA-1 aren't among them.
public enum TransactionKeyAlgorithm: String, Hashable, Sendable, Codable, CaseIterable {
    case hmacSHA256 = "hmac-sha256"
    case hmacSHA384 = "hmac-sha384"
    case hmacSHA512 = "hmac-sha512"

    /// Octets of a signature.
    public var macSize: Int {
        switch self {
        case .hmacSHA256: 32
        case .hmacSHA384: 48
        case .hmacSHA512: 64
        }
    }

    /// The algorithm's name in a TSIG record.
    var labels: [[UInt8]] { [Array(rawValue.utf8)] }
}

/// A secret that a client shares with a name server (RFC 8945 §2). Its description doesn't tell it.
public struct TransactionKey: Sendable, CustomStringConvertible {
    /// The name under which both sides know it.
    public let name: DomainName
    /// How it signs.
    public let algorithm: TransactionKeyAlgorithm
    private let secret: SymmetricKey

    /// Makes a key.
    /// - Throws: ``DNSUpdateError`` for a secret of fewer than 16 octets or more than 1024.
    public init(name: DomainName, algorithm: TransactionKeyAlgorithm, secret: [UInt8]) throws(DNSUpdateError) {
        guard (16...1024).contains(secret.count) else {
            throw DNSUpdateError(.invalidKey, "the secret of \(name) has \(secret.count) octets; 16 to 1024 are taken (RFC 8945 §8)")
        }
        self.name = name
        self.algorithm = algorithm
        self.secret = SymmetricKey(data: secret)
    }

    public var description: String { "\(name) \(algorithm.rawValue)" }

    func code(for octets: [UInt8]) -> [UInt8] {
        switch algorithm {
        case .hmacSHA256: Array(HMAC<SHA256>.authenticationCode(for: octets, using: secret))
        case .hmacSHA384: Array(HMAC<SHA384>.authenticationCode(for: octets, using: secret))
        case .hmacSHA512: Array(HMAC<SHA512>.authenticationCode(for: octets, using: secret))
        }
    }

    /// In a time that doesn't tell how much of it was right.
    func isValid(_ code: [UInt8], for octets: [UInt8]) -> Bool {
        switch algorithm {
        case .hmacSHA256: HMAC<SHA256>.isValidAuthenticationCode(code, authenticating: octets, using: secret)
        case .hmacSHA384: HMAC<SHA384>.isValidAuthenticationCode(code, authenticating: octets, using: secret)
        case .hmacSHA512: HMAC<SHA512>.isValidAuthenticationCode(code, authenticating: octets, using: secret)
        }
    }
}

extension TransactionKey {
    /// Reads a key as name servers' tools write it: `key "name" { algorithm hmac-sha256; secret "…"; };` (tsig-keygen), the three
    /// settings `id`, `algorithm` and `secret` with colons (keymgr), or `hmac-sha256:name:secret` in one line.
    /// - Throws: ``DNSUpdateError`` for anything else.
    public init(text: String) throws(DNSUpdateError) {
        guard text.utf8.count <= 8192 else { throw DNSUpdateError(.invalidKey, "a key's file of \(text.utf8.count) octets") }
        let words = Self.words(text)
        let name: String
        let algorithm: String
        let secret: String
        if words.count == 1, let parts = Self.parts(words[0]) {
            (algorithm, name, secret) = parts
        } else {
            func value(_ key: String) -> String? {
                words.indices.first { words[$0] == key && $0 + 1 < words.count }.map { words[$0 + 1] }
            }
            let named = words.first == "key" && words.count > 1 && words[1] != "id" ? words[1] : value("id")
            guard let first = named, let second = value("algorithm"), let third = value("secret") else {
                throw DNSUpdateError(.invalidKey, "no key with a name, an algorithm and a secret in the text")
            }
            (name, algorithm, secret) = (first, second, third)
        }
        var trimmed = algorithm.lowercased()
        if trimmed.hasSuffix(".") { trimmed.removeLast() }
        guard let algorithm = TransactionKeyAlgorithm(rawValue: trimmed) else {
            throw DNSUpdateError(.invalidKey, "“\(algorithm.prefix(64))” is none of hmac-sha256, hmac-sha384 and hmac-sha512 (RFC 8945 §6)")
        }
        guard let name = try? DomainName(name) else { throw DNSUpdateError(.invalidKey, "the key's name “\(name.prefix(64))” is no domain name") }
        guard let octets = Data(base64Encoded: secret) else { throw DNSUpdateError(.invalidKey, "the secret of \(name) isn't base64") }
        try self.init(name: name, algorithm: algorithm, secret: Array(octets))
    }

    /// What stands between blanks, quotes, braces and semicolons; a colon at the end of a word is dropped, comments are passed over.
    private static func words(_ text: String) -> [String] {
        let separators: Set<Character> = [" ", "\t", "\"", "{", "}", ";"]
        var words: [String] = []
        for line in text.split(whereSeparator: \.isNewline) {
            let content = line.prefix { $0 != "#" }
            for word in content.split(whereSeparator: separators.contains) where word != "-" {
                words.append(String(word.hasSuffix(":") ? word.dropLast() : word))
            }
        }
        return words
    }

    private static func parts(_ word: String) -> (String, String, String)? {
        let parts = word.split(separator: ":", omittingEmptySubsequences: false)
        return parts.count == 3 ? (String(parts[0]), String(parts[1]), String(parts[2])) : nil
    }
}
