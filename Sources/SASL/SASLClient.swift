/// The client's side of an authentication, without I/O.
public struct SASLClient: Sendable {
    private enum State: Sendable {
        case initial
        case loginPassword
        case scramFirst(clientFirstBare: String)
        case scramFinal(serverSignature: [UInt8])
        case done
    }

    /// The mechanism.
    public let mechanism: SASLMechanism
    /// The rounds that a server may ask for: a million take about half a second.
    private static let iterationRange = 4096...1_000_000

    private let username: String
    private let password: String
    private let channelBinding: ChannelBinding?
    private let serverOffersPlus: Bool
    private let nonce: String
    private var state: State = .initial

    /// Begins an authentication.
    /// - Parameters:
    ///   - channelBinding: the TLS session's binding; needed for the PLUS mechanism.
    ///   - serverOffersPlus: whether the server's offer names SCRAM-SHA-256-PLUS. A client that can bind and sees no such offer says
    ///     so, and a server that made it knows then that somebody took it out on the way (RFC 5802 §6).
    ///   - nonce: printable ASCII without a comma, from a source of randomness.
    public init(
        mechanism: SASLMechanism, username: String, password: String, channelBinding: ChannelBinding? = nil, serverOffersPlus: Bool = true,
        nonce: String
    ) {
        self.mechanism = mechanism
        // RFC 5802 §5.1 wants the name prepared; a name that can't be is the server's to refuse.
        self.username = (try? SCRAM.prepare(username)) ?? username
        self.password = password
        self.channelBinding = channelBinding
        self.serverOffersPlus = serverOffersPlus
        self.nonce = nonce
    }

    /// The server has proved that it knows the password, or the mechanism has no such proof.
    public var hasVerifiedServer: Bool {
        if case .done = state { return true }
        return mechanism == .plain || mechanism == .login
    }

    /// The response that can be sent with the command; `nil` where the server speaks first, or where the binding that the mechanism
    /// needs is missing.
    public mutating func initialResponse() -> [UInt8]? {
        switch mechanism {
        case .plain:
            state = .done
            return [0] + Array(username.utf8) + [0] + Array(password.utf8)
        case .login: return nil
        case .scramSHA256, .scramSHA256Plus:
            guard mechanism == .scramSHA256 || channelBinding != nil else { return nil }
            let bare = "n=\(SCRAMMessage.encodeName(username)),r=\(nonce)"
            state = .scramFirst(clientFirstBare: bare)
            return Array("\(header)\(bare)".utf8)
        }
    }

    /// The GS2 header (RFC 5802 §7).
    private var header: String {
        switch (mechanism, channelBinding) {
        case (.scramSHA256Plus, let binding?): "p=\(binding.name),,"
        case (_, _?) where !serverOffersPlus: "y,,"
        case (_, _): "n,,"
        }
    }

    /// Answers a challenge.
    /// - Throws: ``SASLError`` when the server's message is malformed or its proof is wrong: then the connection must be given up.
    public mutating func respond(to challenge: [UInt8]) throws(SASLError) -> [UInt8] {
        guard challenge.count <= SCRAM.messageLimit, let text = String(validating: challenge, as: UTF8.self) else {
            throw SASLError(.malformed, "a challenge that is too long or no UTF-8")
        }
        switch state {
        case .initial where mechanism == .login:
            state = .loginPassword
            return Array(username.utf8)
        case .initial:
            guard let response = initialResponse() else {
                throw SASLError(.channelBinding, "\(mechanism.rawValue) needs the binding of the TLS session")
            }
            return response
        case .loginPassword:
            state = .done
            return Array(password.utf8)
        case .scramFirst(let clientFirstBare): return try answerServerFirst(text, clientFirstBare: clientFirstBare)
        case .scramFinal(let serverSignature):
            let message = try SCRAMMessage(parsing: text)
            // RFC 5802 §5.1: the server may say its error here. Its words are not shown: they are the peer's.
            if (try? message.value("e", at: 0)) != nil { throw SASLError(.badCredentials, "the server refused the proof") }
            guard let signature = Base64.decode(try message.value("v", at: 0)), SCRAM.areEqual(signature, serverSignature) else {
                throw SASLError(.serverNotVerified, "the server doesn't know the password")
            }
            state = .done
            return []
        case .done: throw SASLError(.outOfOrder, "a challenge that isn't due")
        }
    }

    private mutating func answerServerFirst(_ text: String, clientFirstBare: String) throws(SASLError) -> [UInt8] {
        let message = try SCRAMMessage(parsing: text)
        let combined = try message.value("r", at: 0)
        guard SCRAMMessage.isNonce(combined), combined.utf8.starts(with: nonce.utf8), combined.utf8.count > nonce.utf8.count else {
            throw SASLError(.malformed, "the nonce differs")
        }
        guard let salt = Base64.decode(try message.value("s", at: 1)), !salt.isEmpty, let iterations = SCRAM.iterations(try message.value("i", at: 2))
        else { throw SASLError(.malformed, "no salt or no iteration count") }
        // RFC 7677 §4: a server that asks for fewer rounds wants a proof that is easier to attack; one that asks for too many, our time.
        guard Self.iterationRange.contains(iterations) else { throw SASLError(.malformed, "an iteration count of \(iterations)") }
        let salted = try SCRAM.saltedPassword(password, salt: salt, iterations: iterations)
        let binding = Array(header.utf8) + (mechanism == .scramSHA256Plus ? channelBinding?.data ?? [] : [])
        let withoutProof = "c=\(Base64.encode(binding)),r=\(combined)"
        let authMessage = "\(clientFirstBare),\(text),\(withoutProof)"
        let clientKey = SCRAM.hmac(salted, "Client Key")
        let proof = SCRAM.xor(clientKey, SCRAM.hmac(SCRAM.hash(clientKey), authMessage))
        state = .scramFinal(serverSignature: SCRAM.hmac(SCRAM.hmac(salted, "Server Key"), authMessage))
        return Array("\(withoutProof),p=\(Base64.encode(proof))".utf8)
    }
}
