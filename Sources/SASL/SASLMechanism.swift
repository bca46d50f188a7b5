/// The mechanisms that Postern speaks.
public enum SASLMechanism: String, Hashable, Sendable, CaseIterable {
    /// A password in the clear (RFC 4616): under TLS only.
    case plain = "PLAIN"
    /// The same in two steps (draft-murchison-sasl-login): under TLS only, for old clients.
    case login = "LOGIN"
    /// RFC 5802 with SHA-256 (RFC 7677).
    case scramSHA256 = "SCRAM-SHA-256"
    /// The same, bound to the TLS session (RFC 5802 §6).
    case scramSHA256Plus = "SCRAM-SHA-256-PLUS"
}

/// What ties an authentication to its TLS session (RFC 5056).
public struct ChannelBinding: Hashable, Sendable {
    /// The type's registered name, such as `tls-server-end-point` (RFC 5929 §4).
    public var name: String
    /// The binding's octets.
    public var data: [UInt8]

    /// Makes a binding.
    public init(name: String, data: [UInt8]) {
        self.name = name
        self.data = data
    }

    /// The hash of the server's certificate (RFC 5929 §4).
    public static func tlsServerEndPoint(_ hash: [UInt8]) -> ChannelBinding { ChannelBinding(name: "tls-server-end-point", data: hash) }
}

/// Why an authentication failed. What a peer is told never tells an unknown user from a wrong password.
public struct SASLError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable {
        /// The message breaks the mechanism's grammar.
        case malformed
        /// Unknown user or wrong password.
        case badCredentials
        /// The channel binding differs, or was stripped on the way (RFC 5802 §6).
        case channelBinding
        /// The authorization identity isn't the user's own.
        case authorization
        /// A message came that isn't due.
        case outOfOrder
        /// The server couldn't prove that it knows the password.
        case serverNotVerified
    }

    /// What failed.
    public let code: Code
    /// For logs, without secrets.
    public let description: String

    init(_ code: Code, _ description: String) {
        self.code = code
        self.description = description
    }
}

/// Base64 as SASL profiles use it: RFC 4648 §4, padded, without anything between.
public enum Base64 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// Encodes octets.
    public static func encode(_ octets: [UInt8]) -> String {
        var text: [UInt8] = []
        text.reserveCapacity((octets.count + 2) / 3 * 4)
        var index = 0
        while index < octets.count {
            let piece = octets[index..<min(index + 3, octets.count)]
            let bits = piece.reduce(UInt32(0)) { $0 << 8 | UInt32($1) } << UInt32(8 * (3 - piece.count))
            for position in 0..<4 {
                text.append(position <= piece.count ? alphabet[Int(bits >> UInt32(18 - 6 * position) & 63)] : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Decodes text; `nil` for anything that isn't canonical Base64.
    public static func decode(_ text: some StringProtocol) -> [UInt8]? {
        let digits = Array(text.utf8)
        guard digits.count.isMultiple(of: 4) else { return nil }
        let padding = digits.suffix(2).count { $0 == UInt8(ascii: "=") }
        if digits.count >= 2, padding == 1, digits[digits.count - 2] == UInt8(ascii: "=") { return nil }
        var octets: [UInt8] = []
        octets.reserveCapacity(digits.count / 4 * 3)
        var bits: UInt32 = 0
        for (index, digit) in digits.enumerated() {
            guard let value = index >= digits.count - padding ? 0 : value(of: digit) else { return nil }
            bits = bits << 6 | value
            if index % 4 == 3 {
                octets += [UInt8(bits >> 16 & 255), UInt8(bits >> 8 & 255), UInt8(bits & 255)]
                bits = 0
            }
        }
        // Bits behind the last octet must be zero, or two texts would mean the same.
        guard octets.suffix(padding).allSatisfy({ $0 == 0 }) else { return nil }
        octets.removeLast(padding)
        return octets
    }

    private static func value(of digit: UInt8) -> UInt32? {
        switch digit {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): UInt32(digit - UInt8(ascii: "A"))
        case UInt8(ascii: "a")...UInt8(ascii: "z"): UInt32(digit - UInt8(ascii: "a") + 26)
        case UInt8(ascii: "0")...UInt8(ascii: "9"): UInt32(digit - UInt8(ascii: "0") + 52)
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }
}
