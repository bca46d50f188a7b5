/// The client's side of one AUTH exchange (RFC 4954 §4).
struct SMTPClientAuthentication: Sendable {
    /// The mechanisms known here, best first. PLAIN and LOGIN show the password to the server and are used under TLS only.
    private enum Mechanism: String, CaseIterable {
        case plain = "PLAIN"
        case login = "LOGIN"
    }

    let mechanism: String
    /// The initial response for the AUTH command in base64; `nil` where the mechanism begins with the server's challenge.
    let initialResponse: String?
    private var responses: [String]

    /// Chooses a mechanism.
    /// - Returns: `nil` when the server offers none that may be used here.
    init?(_ credentials: SMTPCredentials, offered: [String], isEncrypted: Bool) {
        guard isEncrypted, let chosen = Mechanism.allCases.first(where: { offered.contains($0.rawValue) }) else { return nil }
        mechanism = chosen.rawValue
        switch chosen {
        case .plain:
            // RFC 4616 §2: no authorization identity, NUL, user, NUL, password.
            initialResponse = Self.base64(Array("\0\(credentials.username)\0\(credentials.password)".utf8))
            responses = []
        case .login:
            initialResponse = nil
            responses = [Self.base64(Array(credentials.password.utf8)), Self.base64(Array(credentials.username.utf8))]
        }
    }

    /// The response to a challenge, in base64.
    /// - Returns: `nil` when the server asks for more than the mechanism has to say; the exchange must be cancelled.
    mutating func respond(to challenge: String) -> String? {
        responses.popLast()
    }

    /// Base64 with padding (RFC 4648 §4).
    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        var index = 0
        while index < bytes.count {
            let group = bytes[index..<min(index + 3, bytes.count)]
            var bits = 0
            for byte in group { bits = bits << 8 | Int(byte) }
            bits <<= 8 * (3 - group.count)
            for position in 0..<4 {
                text.append(position <= group.count ? alphabet[bits >> (18 - 6 * position) & 63] : UInt8(ascii: "="))
            }
            index += 3
        }
        return String(decoding: text, as: UTF8.self)
    }
}
