import MailMessage
import SASL

extension SMTPServerSession {
    /// The mechanisms that AUTH offers now, the best first.
    var offeredMechanisms: [String] {
        guard configuration.authentication != .none else { return [] }
        guard isSecured else {
            // RFC 4954 §4: no password in clear where somebody may listen.
            return configuration.security == .startTLSRequired ? [] : ["SCRAM-SHA-256"]
        }
        return (channelBinding == nil ? [] : ["SCRAM-SHA-256-PLUS"]) + ["SCRAM-SHA-256", "PLAIN", "LOGIN"]
    }

    /// AUTH (RFC 4954 §4).
    mutating func authenticate(_ mechanism: String, _ initialResponse: String?, _ record: SMTPServerCommandRecord) {
        lastWasAuthenticate = true
        guard configuration.authentication != .none else { return refuse(.make(502, (5, 5, 1), "AUTH is not available"), record) }
        guard usesExtensions else { return refuse(.make(503, (5, 5, 1), "Say EHLO first"), record) }
        guard transaction == nil else { return refuse(.make(503, (5, 5, 1), "AUTH cannot stand in a transaction"), record) }
        guard authenticatedUser == nil else { return refuse(.make(503, (5, 5, 1), "You are authenticated already"), record) }
        guard offeredMechanisms.contains(mechanism) else {
            if !isSecured, mechanism == "PLAIN" || mechanism == "LOGIN" {
                return refuse(.make(538, (5, 7, 11), "Encryption required for requested authentication mechanism"), record)
            }
            return refuse(.make(504, (5, 5, 4), "That mechanism is not offered"), record)
        }
        let made = AuthenticationExchange(
            mechanism: mechanism, channelBinding: channelBinding, offersPlus: offeredMechanisms.contains("SCRAM-SHA-256-PLUS"),
            nonce: makeNonce(), secret: authenticationSecret)
        guard var exchange = made else { return refuse(.make(504, (5, 5, 4), "That mechanism is not offered"), record) }
        guard let initialResponse else {
            let step = exchange.start()
            return follow(mechanism, exchange, step)
        }
        // RFC 4954 §4: "=" is an initial response without octets.
        guard let octets = initialResponse == "=" ? [] : Self.decode(initialResponse) else {
            return refuse(.make(501, (5, 5, 2), "The initial response is not base64"), record)
        }
        answer(mechanism, exchange, octets)
    }

    mutating func advanceAuthentication(_ mechanism: String, _ exchange: AuthenticationExchange) -> Bool {
        let record = SMTPServerCommandRecord("AUTH \(mechanism)", isInTransaction: false)
        switch readLine(limit: configuration.limits.authenticationLineLength) {
        case .needsMore: return false
        case .tooLong:
            state = .discardingLine(
                discarded: 0, endsInCarriageReturn: false, refusal: .make(500, (5, 5, 6), "The authentication line is too long"))
        case .fault(let reply, _):
            refuse(reply, record)
            close(reason: "ambiguous line ending")
        case .line(let line):
            if line == [UInt8(ascii: "*")] {
                state = .commands
                refuse(.make(501, (5, 7, 0), "Authentication cancelled"), record)
            } else if let octets = Self.decode(String(decoding: line, as: UTF8.self)) {
                answer(mechanism, exchange, octets)
            } else {
                state = .commands
                refuse(.make(501, (5, 5, 2), "That is not base64"), record)
                lastWasAuthenticate = true
            }
        }
        return true
    }

    static func decode(_ text: String) -> [UInt8]? { Base64.decode(text) }

    private mutating func answer(_ mechanism: String, _ exchange: AuthenticationExchange, _ octets: [UInt8]) {
        var exchange = exchange
        let step = exchange.receive(octets)
        follow(mechanism, exchange, step)
    }

    /// The service has looked for the user, and `exchange` has been given the verifier, or the lack of one.
    public mutating func verifierAnswered(_ exchange: AuthenticationExchange, step: AuthenticationExchange.Step) {
        guard case .awaitingVerifier(let mechanism, _) = state else { return }
        follow(mechanism, exchange, step)
    }

    /// Nobody can tell now whether the user is who it says (RFC 4954 §4, 454).
    public mutating func verifierUnavailable() {
        guard case .awaitingVerifier(let mechanism, let username) = state else { return }
        finish(mechanism, username, .make(454, (4, 7, 0), "Temporary authentication failure"))
    }

    private mutating func follow(_ mechanism: String, _ exchange: AuthenticationExchange, _ step: AuthenticationExchange.Step) {
        switch step {
        case .challenge(let octets):
            // The text of a 334 is base64 without a limit of the reply line's kind (RFC 4954 §4); challenges here are short.
            emit(SMTPReply(334, nil, Base64.encode(octets)))
            state = .authenticating(mechanism: mechanism, exchange)
        case .needsVerifier(let username):
            state = .awaitingVerifier(mechanism: mechanism, username: username)
            ask(.requestVerifier(username: username, exchange: exchange))
        case .succeeded(let username):
            authenticatedUser = username
            finish(mechanism, username, .make(235, (2, 7, 0), "Authentication successful"))
        case .failed(let username):
            finish(mechanism, username, .make(535, (5, 7, 8), "Authentication credentials invalid"))
        }
    }

    private mutating func finish(_ mechanism: String, _ username: String, _ reply: SMTPReply) {
        let record = SMTPServerCommandRecord("AUTH \(mechanism)", isInTransaction: false)
        state = .commands
        if reply.isPositive {
            emit(reply, record)
            ask(.authenticationEnded(username: username, mechanism: mechanism, reply: reply))
        } else {
            ask(.authenticationEnded(username: username, mechanism: mechanism, reply: reply))
            lastWasAuthenticate = true
            authenticationFailures += 1
            refuse(reply, record)
            if authenticationFailures >= configuration.limits.authenticationFailures {
                emit(.make(421, (4, 7, 0), "\(configuration.hostname) Too many failed authentications, closing the connection"))
            }
        }
        returnToCommands()
    }
}
