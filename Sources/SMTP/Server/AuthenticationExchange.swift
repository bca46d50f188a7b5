public import SASL

/// The server's side of one SASL exchange as SMTP carries it (RFC 4954 §4), whatever the mechanism is.
public struct AuthenticationExchange: Sendable {
    /// What the exchange needs or says next.
    public enum Step: Sendable {
        /// Send these octets; the client's response comes next.
        case challenge([UInt8])
        /// The user is known by name now: give the verifier by ``AuthenticationExchange/provide(verifier:)``.
        case needsVerifier(username: String)
        /// The client is who it says.
        case succeeded(username: String)
        /// The client is not, or broke the mechanism's rules; the name is empty where it isn't known.
        case failed(username: String)
    }

    private var server: SASLServer
    /// The user as far as it is known.
    private var username = ""
    /// The mechanism's last word was sent as a challenge, because 235 cannot carry it (RFC 4954 §4): an empty response must follow.
    private var hasSucceeded = false

    /// `nil` for a mechanism that is not known.
    init?(mechanism: String, channelBinding: [UInt8]?, offersPlus: Bool, nonce: String, secret: [UInt8]) {
        guard let mechanism = SASLMechanism(rawValue: mechanism) else { return nil }
        server = SASLServer(
            mechanism: mechanism, channelBinding: channelBinding.map { .tlsServerEndPoint($0) }, offersPlus: offersPlus, nonce: nonce,
            secret: secret)
    }

    /// What is sent where the client gave no initial response.
    mutating func start() -> Step { step(server.start()) }

    /// Takes a response of the client.
    mutating func receive(_ octets: [UInt8]) -> Step {
        guard hasSucceeded else { return step(server.receive(octets)) }
        return octets.isEmpty ? .succeeded(username: username) : .failed(username: username)
    }

    /// Gives the verifier of the user; `nil` for an unknown user, which takes as long. Costs many milliseconds for PLAIN and LOGIN.
    public mutating func provide(verifier: SCRAMVerifier?) -> Step { step(server.provide(verifier: verifier)) }

    private mutating func step(_ step: SASLServer.Step) -> Step {
        switch step {
        case .challenge(let octets): return .challenge(octets)
        case .needsVerifier(let username):
            self.username = username
            return .needsVerifier(username: username)
        case .succeeded(let username, let finalMessage):
            self.username = username
            guard let finalMessage else { return .succeeded(username: username) }
            hasSucceeded = true
            return .challenge(finalMessage)
        case .failed: return .failed(username: username)
        }
    }
}
