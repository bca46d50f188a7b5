import SASL

/// A whole authentication, both sides of it.
struct Exchange {
    /// How it ended for the server.
    var outcome: SASLServer.Step
    /// What the client found wrong.
    var clientError: SASLError?
    /// Whether the client knows that the server knows the password.
    var clientVerified: Bool
    /// What the server said, in order.
    var challenges: [String] = []

    /// Lets both sides speak until one of them is through. `accounts` finds a user's verifier.
    static func run(_ client: SASLClient, _ server: SASLServer, accounts: (String) -> SCRAMVerifier?) -> Exchange {
        var (client, server) = (client, server)
        var exchange = Exchange(outcome: server.start(), clientError: nil, clientVerified: false)
        var response = client.initialResponse()
        // Nobody says more than this.
        for _ in 0..<10 {
            if let octets = response {
                exchange.outcome = server.receive(octets)
                response = nil
            }
            while case .needsVerifier(let username) = exchange.outcome { exchange.outcome = server.provide(verifier: accounts(username)) }
            let challenge: [UInt8]
            switch exchange.outcome {
            case .challenge(let octets): challenge = octets
            case .succeeded(_, let final?): challenge = final
            case .succeeded, .failed, .needsVerifier:
                exchange.clientVerified = client.hasVerifiedServer
                return exchange
            }
            exchange.challenges.append(String(decoding: challenge, as: UTF8.self))
            do {
                response = try client.respond(to: challenge)
            } catch {
                exchange.clientError = error
                exchange.clientVerified = client.hasVerifiedServer
                return exchange
            }
            if case .succeeded = exchange.outcome {
                exchange.clientVerified = client.hasVerifiedServer
                return exchange
            }
        }
        return exchange
    }
}

/// A server with fixed parts.
func makeServer(
    _ mechanism: SASLMechanism, binding: ChannelBinding? = nil, offersPlus: Bool = false, nonce: String = "server", secret: [UInt8] = [7]
) -> SASLServer {
    SASLServer(mechanism: mechanism, channelBinding: binding, offersPlus: offersPlus, nonce: nonce, secret: secret)
}

extension SASLServer.Step {
    /// The code of a failure.
    var failure: SASLError.Code? { if case .failed(let error) = self { error.code } else { nil } }
    /// The text of a challenge.
    var text: String? { if case .challenge(let octets) = self { String(decoding: octets, as: UTF8.self) } else { nil } }
}
