public import SASL

/// The server's side of one SASL exchange, whatever the mechanism is.
public struct AuthenticationExchange: Sendable {
    /// What the exchange needs or says next.
    public enum Step: Sendable {
        /// Send these octets; the client's answer goes to ``AuthenticationExchange/receive(_:)``.
        case challenge([UInt8])
        /// The user is known by name now: give the verifier by ``AuthenticationExchange/provide(verifier:)``.
        case needsVerifier(username: String)
        /// The client is who it says.
        case succeeded(username: String)
        /// The client is not, or broke the mechanism's rules.
        case failed(username: String)
    }

    /// What is sent where the client gave no initial response.
    let firstChallenge: Step

    /// `nil` for a mechanism that is not known, or that needs a channel binding where there is none.
    init?(mechanism: String, channelBinding: [UInt8]?, nonce: String) { return nil }

    mutating func receive(_ octets: [UInt8]) -> Step { .failed(username: "") }

    /// Gives the verifier of the user; `nil` for an unknown user, which takes as long. Costs milliseconds for PLAIN and LOGIN.
    public mutating func provide(verifier: SCRAMVerifier?) -> Step { .failed(username: "") }
}
