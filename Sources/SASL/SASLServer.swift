/// The server's side of an authentication, without I/O: responses go in, challenges and the outcome come out.
///
/// ```
/// waiting ──receive──▸ (needs the verifier) ──provide──▸ waiting … ──▸ done
/// ```
/// An unknown user can't be told from a wrong password: a verifier is made up for the name, the same each time, and the
/// exchange goes its way to the failure at the end.
public struct SASLServer: Sendable {
    /// What to do next.
    public enum Step: Hashable, Sendable {
        /// Send these octets to the client and wait for its response.
        case challenge([UInt8])
        /// Look the user up and call ``provide(verifier:)``; for a plain password that takes the time of all rounds.
        case needsVerifier(username: String)
        /// The user is who they say; `finalMessage` goes along with the success where the protocol can carry it, or as a challenge
        /// that the client answers with an empty response (RFC 4422 §3.6).
        case succeeded(username: String, finalMessage: [UInt8]?)
        /// Authentication failed.
        case failed(SASLError)
    }

    private enum State: Sendable {
        case initial
        case loginName
        case loginPassword(username: String)
        case password(username: String, password: String)
        case scramFirst(username: String, clientFirstBare: String, header: String, clientNonce: String)
        case scramFinal(username: String, verifier: SCRAMVerifier, isKnown: Bool, clientFirstBare: String, serverFirst: String, header: String, nonce: String)
        case done
    }

    private var state: State = .initial
    private let mechanism: SASLMechanism
    private let channelBinding: ChannelBinding?
    private let offersPlus: Bool
    private let nonce: String
    private let secret: [UInt8]

    /// Begins an authentication.
    /// - Parameters:
    ///   - channelBinding: the TLS session's binding; `nil` without TLS.
    ///   - offersPlus: SCRAM-SHA-256-PLUS was offered, so that a client that thinks it wasn't has been deceived (RFC 5802 §6).
    ///   - nonce: the server's part of the nonce: printable ASCII without a comma, from a source of randomness.
    ///   - secret: kept for the life of the process; made-up salts for unknown users come from it.
    public init(mechanism: SASLMechanism, channelBinding: ChannelBinding?, offersPlus: Bool, nonce: String, secret: [UInt8]) {
        self.mechanism = mechanism
        self.channelBinding = channelBinding
        self.offersPlus = offersPlus
        self.nonce = nonce
        self.secret = secret
    }

    /// The challenge that comes before any response: empty, but for LOGIN (RFC 4954 §4).
    public mutating func start() -> Step {
        if mechanism == .login, case .initial = state {
            state = .loginName
            return .challenge(Array("Username:".utf8))
        }
        return .challenge([])
    }

    /// Takes a response of the client, decoded from Base64.
    public mutating func receive(_ response: [UInt8]) -> Step {
        do throws(SASLError) {
            guard response.count <= SCRAM.messageLimit else { throw SASLError(.malformed, "a response of \(response.count) octets") }
            guard let text = String(validating: response, as: UTF8.self) else { throw SASLError(.malformed, "a response that is no UTF-8") }
            switch (state, mechanism) {
            case (.initial, .plain): return try receivePlain(response)
            case (.initial, .login), (.loginName, .login):
                state = .loginPassword(username: try SCRAM.prepare(text))
                return .challenge(Array("Password:".utf8))
            case (.loginPassword(let username), .login):
                state = .password(username: username, password: text)
                return .needsVerifier(username: username)
            case (.initial, .scramSHA256), (.initial, .scramSHA256Plus): return try receiveClientFirst(text)
            case (.scramFinal, _): return try receiveClientFinal(text)
            case (.initial, _), (.loginName, _), (.loginPassword, _), (.password, _), (.scramFirst, _), (.done, _):
                throw SASLError(.outOfOrder, "a response that isn't due")
            }
        } catch {
            return fail(error)
        }
    }

    /// Takes the verifier that was asked for; `nil` for an unknown user.
    public mutating func provide(verifier: SCRAMVerifier?) -> Step {
        switch state {
        case .password(let username, let password):
            state = .done
            let isRight = (verifier ?? madeUpVerifier(for: username)).verify(password: password)
            return isRight && verifier != nil ? .succeeded(username: username, finalMessage: nil) : .failed(Self.refused)
        case .scramFirst(let username, let clientFirstBare, let header, let clientNonce):
            let used = verifier ?? madeUpVerifier(for: username)
            let nonce = clientNonce + nonce
            let serverFirst = "r=\(nonce),s=\(Base64.encode(used.salt)),i=\(used.iterations)"
            state = .scramFinal(
                username: username, verifier: used, isKnown: verifier != nil, clientFirstBare: clientFirstBare, serverFirst: serverFirst,
                header: header, nonce: nonce)
            return .challenge(Array(serverFirst.utf8))
        case .initial, .loginName, .loginPassword, .scramFinal, .done:
            return fail(SASLError(.outOfOrder, "no verifier was asked for"))
        }
    }

    private static let refused = SASLError(.badCredentials, "unknown user or wrong password")

    private mutating func fail(_ error: SASLError) -> Step {
        state = .done
        return .failed(error)
    }

    /// The same for a name each time, and of the shape of a real one.
    private func madeUpVerifier(for username: String) -> SCRAMVerifier {
        let salt = Array(SCRAM.hmac(secret, "salt \(username)").prefix(16))
        return SCRAMVerifier(
            salt: salt, iterations: SCRAMVerifier.defaultIterations, storedKey: SCRAM.hmac(secret, "stored \(username)"),
            serverKey: SCRAM.hmac(secret, "server \(username)"))
    }

    // MARK: - PLAIN (RFC 4616)

    private mutating func receivePlain(_ response: [UInt8]) throws(SASLError) -> Step {
        let parts = response.split(separator: 0, omittingEmptySubsequences: false).map { String(decoding: $0, as: UTF8.self) }
        guard parts.count == 3, !parts[1].isEmpty, !parts[2].isEmpty else {
            throw SASLError(.malformed, "a PLAIN message has three parts with NUL between (RFC 4616 §2)")
        }
        let username = try SCRAM.prepare(parts[1])
        let authorizationIdentity = try SCRAM.prepare(parts[0])
        guard authorizationIdentity.isEmpty || authorizationIdentity == username else {
            throw SASLError(.authorization, "acting for another user isn't possible")
        }
        state = .password(username: username, password: parts[2])
        return .needsVerifier(username: username)
    }

    // MARK: - SCRAM (RFC 5802)

    private mutating func receiveClientFirst(_ text: String) throws(SASLError) -> Step {
        let parts = Array(text.utf8).split(separator: UInt8(ascii: ","), maxSplits: 2, omittingEmptySubsequences: false)
            .map { String(decoding: $0, as: UTF8.self) }
        guard parts.count == 3 else { throw SASLError(.malformed, "no GS2 header (RFC 5802 §7)") }
        try checkBindingFlag(parts[0])
        let message = try SCRAMMessage(parsing: parts[2])
        let username = try SCRAM.prepare(SCRAMMessage.decodeName(message.value("n", at: 0)))
        let clientNonce = try message.value("r", at: 1)
        guard !username.isEmpty, clientNonce.utf8.count <= 512, SCRAMMessage.isNonce(clientNonce) else {
            throw SASLError(.malformed, "no name or no nonce (RFC 5802 §7)")
        }
        if !parts[1].isEmpty {
            guard parts[1].utf8.starts(with: "a=".utf8) else { throw SASLError(.malformed, "no GS2 header (RFC 5802 §7)") }
            let authorizationIdentity = String(decoding: parts[1].utf8.dropFirst(2), as: UTF8.self)
            guard try SCRAM.prepare(SCRAMMessage.decodeName(authorizationIdentity)) == username else {
                throw SASLError(.authorization, "acting for another user isn't possible")
            }
        }
        state = .scramFirst(
            username: username, clientFirstBare: parts[2], header: "\(parts[0]),\(parts[1]),", clientNonce: clientNonce)
        return .needsVerifier(username: username)
    }

    private func checkBindingFlag(_ flag: String) throws(SASLError) {
        switch (flag, mechanism) {
        case ("n", .scramSHA256): return
        case ("y", .scramSHA256):
            // RFC 5802 §6: the client can bind and thinks that we can't. If we said we can, somebody has taken it out on the way.
            guard !offersPlus else { throw SASLError(.channelBinding, "the offer of channel binding was stripped on the way") }
        case (_, .scramSHA256Plus):
            guard let channelBinding, flag == "p=\(channelBinding.name)" else {
                throw SASLError(.channelBinding, "this channel binding isn't supported: \(flag.prefix(64))")
            }
        default: throw SASLError(.channelBinding, "the channel binding flag doesn't fit the mechanism")
        }
    }

    private mutating func receiveClientFinal(_ text: String) throws(SASLError) -> Step {
        guard case .scramFinal(let username, let verifier, let isKnown, let clientFirstBare, let serverFirst, let header, let nonce) = state
        else { throw SASLError(.outOfOrder, "no client-final-message is due") }
        state = .done
        // The proof is the last attribute, and no comma stands in it.
        guard let end = text.utf8.lastIndex(of: UInt8(ascii: ",")) else { throw SASLError(.malformed, "no proof (RFC 5802 §7)") }
        let withoutProof = text[..<end]
        let message = try SCRAMMessage(parsing: text)
        let expected = Array(header.utf8) + (mechanism == .scramSHA256Plus ? channelBinding?.data ?? [] : [])
        guard Base64.decode(try message.value("c", at: 0)) == expected else {
            throw SASLError(.channelBinding, "the channel binding differs: the TLS session isn't the client's")
        }
        guard try message.value("r", at: 1) == nonce else { throw SASLError(.malformed, "the nonce differs") }
        guard let proof = Base64.decode(try message.lastValue("p")), proof.count == 32 else { throw SASLError(.malformed, "no proof") }
        let authMessage = "\(clientFirstBare),\(serverFirst),\(withoutProof)"
        let clientKey = SCRAM.xor(proof, SCRAM.hmac(verifier.storedKey, authMessage))
        guard SCRAM.areEqual(SCRAM.hash(clientKey), verifier.storedKey), isKnown else { throw Self.refused }
        let signature = Base64.encode(SCRAM.hmac(verifier.serverKey, authMessage))
        return .succeeded(username: username, finalMessage: Array("v=\(signature)".utf8))
    }
}
