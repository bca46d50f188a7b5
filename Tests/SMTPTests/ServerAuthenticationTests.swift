import MailMessage
import SASL
import SMTP
import Testing

@Suite struct ServerAuthenticationTests {
    static let verifier = try? SCRAMVerifier(password: "secret", salt: [1, 2, 3, 4, 5, 6, 7, 8], iterations: 4096)

    private func dialogue(
        secured: Bool = true, security: SMTPServerConfiguration.Security = .startTLS,
        authentication: SMTPServerConfiguration.Authentication = .required, binding: [UInt8]? = [7, 7, 7]
    ) -> ServerDialogue {
        let configuration = SMTPServerConfiguration(hostname: "msa.kartapuce.test", authentication: authentication, security: security)
        var dialogue = ServerDialogue(configuration)
        dialogue.verifiers = ["bob": Self.verifier].compactMapValues { $0 }
        if secured { dialogue.session.tlsEstablished(channelBinding: binding, peerRoles: []) }
        return dialogue
    }

    private func base64(_ text: String) -> String { Base64.encode(Array(text.utf8)) }

    @Test func offersFitTheSession() {
        var clear = dialogue(secured: false)
        #expect(clear.say("EHLO x.test").contains("250-AUTH SCRAM-SHA-256"))
        var required = dialogue(secured: false, security: .startTLSRequired)
        #expect(!required.say("EHLO x.test").contains { $0.contains("AUTH") })
        var secured = dialogue()
        #expect(secured.say("EHLO x.test").contains("250-AUTH SCRAM-SHA-256-PLUS SCRAM-SHA-256 PLAIN LOGIN"))
        var unbound = dialogue(binding: nil)
        #expect(unbound.say("EHLO x.test").contains("250-AUTH SCRAM-SHA-256 PLAIN LOGIN"))
    }

    @Test func mailWaitsForAuthentication() {
        var dialogue = dialogue()
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<bob@kartapuce.test>").last == "530 5.7.0 Authentication required")
    }

    @Test func tlsIsRequired() {
        var dialogue = dialogue(secured: false, security: .startTLSRequired)
        for command in ["AUTH PLAIN \(base64("\0bob\0secret"))", "MAIL FROM:<a@x.test>", "HELO x.test", "RSET", "VRFY a"] {
            #expect(dialogue.say("EHLO x.test", command).last == "530 5.7.0 Must issue a STARTTLS command first", "\(command)")
        }
        #expect(dialogue.say("NOOP", "QUIT").map { $0.prefix(3) } == ["250", "221"])
    }

    @Test func passwordsAreRefusedInClear() {
        var dialogue = dialogue(secured: false)
        #expect(dialogue.say("EHLO x.test", "AUTH PLAIN \(base64("\0bob\0secret"))").last?.hasPrefix("538 5.7.11") == true)
        #expect(dialogue.say("AUTH LOGIN").last?.hasPrefix("538 5.7.11") == true)
        #expect(!dialogue.records.contains { $0.text.contains(base64("\0bob\0secret")) })
    }

    @Test(arguments: ["AUTH PLAIN AGJvYgBzZWNyZXQ=", " AUTH PLAIN AGJvYgBzZWNyZXQ=", "AUTHPLAIN AGJvYgBzZWNyZXQ=", "AUTH AGJvYgBzZWNyZXQ="])
    func recordsHoldNoPassword(line: String) {
        var dialogue = dialogue(secured: false)
        _ = dialogue.say("EHLO x.test", line)
        // Greeting, EHLO and the line.
        #expect(dialogue.records.count == 3)
        #expect(!dialogue.records.contains { $0.text.contains("AGJvYgBzZWNyZXQ=") })
    }

    @Test func plainSucceeds() {
        var dialogue = dialogue()
        #expect(dialogue.say("EHLO x.test", "AUTH PLAIN \(base64("\0bob\0secret"))").last == "235 2.7.0 Authentication successful")
        #expect(dialogue.session.authenticatedUser == "bob")
        #expect(dialogue.authentications.map(\.username) == ["bob"])
        #expect(dialogue.say("AUTH PLAIN").last?.hasPrefix("503 5.5.1") == true)
        #expect(dialogue.say("MAIL FROM:<bob@kartapuce.test> AUTH=<>").last?.hasPrefix("250") == true)
    }

    @Test func plainTakesItsResponseAfterAChallenge() {
        var dialogue = dialogue()
        #expect(dialogue.say("EHLO x.test", "AUTH plain", base64("\0bob\0secret")).suffix(2) == ["334 ", "235 2.7.0 Authentication successful"])
    }

    @Test func loginSucceeds() {
        var dialogue = dialogue()
        let replies = dialogue.say("EHLO x.test", "AUTH LOGIN", base64("bob"), base64("secret"))
        #expect(replies.suffix(3) == ["334 VXNlcm5hbWU6", "334 UGFzc3dvcmQ6", "235 2.7.0 Authentication successful"])
    }

    /// A wrong password and an unknown user are told the same.
    @Test(arguments: ["\0bob\0wrong", "\0mike\0secret"])
    func wrongCredentialsAreRefused(message: String) {
        var dialogue = dialogue()
        #expect(dialogue.say("EHLO x.test", "AUTH PLAIN \(base64(message))").last == "535 5.7.8 Authentication credentials invalid")
        #expect(dialogue.authentications.map(\.reply) == [535])
        #expect(dialogue.session.authenticatedUser == nil)
    }

    @Test func failuresEndTheSession() {
        var dialogue = dialogue()
        let attempt = "AUTH PLAIN \(base64("\0bob\0wrong"))"
        #expect(dialogue.say("EHLO x.test", attempt, attempt, attempt, attempt).suffix(4).map { $0.prefix(3) } == ["535", "535", "535", "421"])
    }

    @Test func cancelsAndMistakes() {
        var dialogue = dialogue()
        #expect(dialogue.say("EHLO x.test", "AUTH PLAIN", "*").last?.hasPrefix("501 5.7.0") == true)
        #expect(dialogue.say("AUTH PLAIN", "not base64!").last?.hasPrefix("501 5.5.2") == true)
        #expect(dialogue.say("AUTH PLAIN ?").last?.hasPrefix("501 5.5.2") == true)
        #expect(dialogue.say("AUTH CRAM-MD5").last?.hasPrefix("504 5.5.4") == true)
        #expect(dialogue.say("AUTH PLAIN", String(repeating: "A", count: 20_000)).last?.hasPrefix("500 5.5.6") == true)
        #expect(dialogue.say("NOOP") == ["250 2.0.0 OK"])
    }

    @Test func nobodyCanTell() {
        var dialogue = dialogue()
        dialogue.verifierFails = true
        #expect(dialogue.say("EHLO x.test", "AUTH PLAIN \(base64("\0bob\0secret"))").last?.hasPrefix("454 4.7.0") == true)
    }

    @Test(arguments: [SASLMechanism.scramSHA256, .scramSHA256Plus])
    func scramSucceedsAndProvesTheServer(mechanism: SASLMechanism) throws {
        var dialogue = dialogue()
        _ = dialogue.say("EHLO x.test")
        var client = SASLClient(
            mechanism: mechanism, username: "bob", password: "secret", channelBinding: .tlsServerEndPoint([7, 7, 7]), nonce: "clientnonce")
        let initial = client.initialResponse()
        let first = try #require(initial)
        var replies = dialogue.say("AUTH \(mechanism.rawValue) \(Base64.encode(first))")
        var reply = try #require(replies.last)
        #expect(reply.hasPrefix("334 "))
        let serverFirst = try #require(Base64.decode(reply.dropFirst(4)))
        let proof = try client.respond(to: serverFirst)
        replies = dialogue.say(Base64.encode(proof))
        reply = try #require(replies.last)
        let serverFinal = try #require(Base64.decode(reply.dropFirst(4)))
        let last = try client.respond(to: serverFinal)
        #expect(client.hasVerifiedServer)
        #expect(dialogue.session.authenticatedUser == nil)
        #expect(dialogue.say(Base64.encode(last)) == ["235 2.7.0 Authentication successful"])
        #expect(dialogue.session.authenticatedUser == "bob")
    }

    @Test func scramBoundToAnotherSessionFails() throws {
        var dialogue = dialogue()
        _ = dialogue.say("EHLO x.test")
        var client = SASLClient(
            mechanism: .scramSHA256Plus, username: "bob", password: "secret", channelBinding: .tlsServerEndPoint([6, 6, 6]), nonce: "clientnonce")
        let initial = client.initialResponse()
        let first = try #require(initial)
        let replies = dialogue.say("AUTH SCRAM-SHA-256-PLUS \(Base64.encode(first))")
        let reply = try #require(replies.last)
        let serverFirst = try #require(Base64.decode(reply.dropFirst(4)))
        let proof = try client.respond(to: serverFirst)
        #expect(dialogue.say(Base64.encode(proof)) == ["535 5.7.8 Authentication credentials invalid"])
    }

    @Test func tracesAreForPeersOnly() {
        let configuration = SMTPServerConfiguration(hostname: "imap.kartapuce.test", security: .implicit, acceptsTraces: true)
        let trace = "0123456789abcdef0123456789abcdef"
        var peer = ServerDialogue(configuration)
        peer.session.tlsEstablished(channelBinding: nil, peerRoles: ["mx"])
        #expect(peer.say("EHLO x.test").contains("250 XTRACE"))
        #expect(peer.say("MAIL FROM:<a@x.test> XTRACE=\(trace)", "RCPT TO:<b@x.test>", "DATA", ".").last?.hasPrefix("250") == true)
        #expect(peer.messages.first?.trace?.description == trace)
        #expect(peer.say("MAIL FROM:<a@x.test> XTRACE=\(trace.uppercased())").last?.hasPrefix("501 5.5.4") == true)
        var stranger = ServerDialogue(configuration)
        stranger.session.tlsEstablished(channelBinding: nil, peerRoles: [])
        #expect(stranger.say("EHLO x.test", "MAIL FROM:<a@x.test> XTRACE=\(trace)").last?.hasPrefix("555 5.5.4") == true)
    }

    @Test func startTLSForgetsEverything() {
        var dialogue = dialogue(secured: false, authentication: .offered)
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>")
        #expect(dialogue.say("STARTTLS") == ["220 2.0.0 Ready to start TLS"])
        #expect(dialogue.tlsRequests == 1)
        dialogue.session.tlsEstablished(channelBinding: [1], peerRoles: [])
        #expect(dialogue.session.helo == nil)
        #expect(dialogue.say("RCPT TO:<b@x.test>", "MAIL FROM:<a@x.test>").map { $0.prefix(9) } == ["503 5.5.1", "503 5.5.1"])
        #expect(dialogue.say("STARTTLS").first?.hasPrefix("503 5.5.1") == true)
        #expect(dialogue.abandoned == ["STARTTLS"])
    }

    @Test func octetsBehindStartTLSEndTheSession() {
        var together = dialogue(secured: false)
        #expect(together.say("EHLO x.test", "STARTTLS", "MAIL FROM:<a@x.test>").last?.hasPrefix("554 5.5.0") == true)
        #expect(together.closed == "octets in clear after STARTTLS")
        var apart = dialogue(secured: false)
        _ = apart.say("EHLO x.test", "STARTTLS")
        #expect(apart.say("MAIL FROM:<a@x.test>").isEmpty)
        #expect(apart.closed == "octets in clear after STARTTLS")
    }

    @Test func requireTLSIsTakenUnderTLSOnly() {
        let configuration = SMTPServerConfiguration(hostname: "mail.kartapuce.test", security: .startTLS, offersRequireTLS: true)
        var dialogue = ServerDialogue(configuration)
        #expect(dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test> REQUIRETLS").last?.hasPrefix("555 5.5.4") == true)
        dialogue.session.tlsEstablished(channelBinding: nil, peerRoles: [])
        #expect(dialogue.say("EHLO x.test").contains("250 REQUIRETLS"))
        _ = dialogue.say("MAIL FROM:<a@x.test> REQUIRETLS", "RCPT TO:<b@x.test>", "DATA", ".")
        #expect(dialogue.messages.first?.envelope.requiresTLS == true)
    }
}
