import SASL

/// The client's side of one AUTH exchange (RFC 4954 §4).
struct SMTPClientAuthentication: Sendable {
    /// The mechanism's name.
    let mechanism: String
    /// The initial response for the AUTH command in base64; `nil` where the mechanism begins with the server's challenge.
    let initialResponse: String?
    private var client: SASLClient

    /// Chooses the best mechanism that the server offers. PLAIN and LOGIN show the password to the server and are used under
    /// TLS only; SCRAM needs a nonce, and its bound form the TLS session's binding.
    /// - Returns: `nil` when the server offers none that may be used here.
    init?(_ credentials: SMTPCredentials, offered: [String], isEncrypted: Bool, binding: ChannelBinding?, nonce: String) {
        let known: [SASLMechanism] = [.scramSHA256Plus, .scramSHA256, .plain, .login]
        let chosen = known.first { mechanism in
            guard offered.contains(mechanism.rawValue) else { return false }
            switch mechanism {
            case .scramSHA256Plus: return isEncrypted && binding != nil && !nonce.isEmpty
            case .scramSHA256: return !nonce.isEmpty
            case .plain, .login: return isEncrypted
            }
        }
        guard let chosen else { return nil }
        client = SASLClient(
            mechanism: chosen, username: credentials.username, password: credentials.password, channelBinding: binding,
            nonce: nonce)
        mechanism = chosen.rawValue
        initialResponse = client.initialResponse().map(Base64.encode)
    }

    /// The response to a challenge; both in base64.
    /// - Throws: when the server's part is wrong; the session must be given up.
    mutating func respond(to challenge: String) throws(SASLError) -> String {
        // Deliberate: servers exist whose LOGIN asks without base64. What LOGIN's challenges say means nothing, so none is refused.
        let octets = Base64.decode(challenge) ?? (client.mechanism == .login ? [] : Array(challenge.utf8))
        return Base64.encode(try client.respond(to: octets))
    }

    /// The server has proved itself as far as the mechanism asks for it.
    var isComplete: Bool { client.hasVerifiedServer }
}
