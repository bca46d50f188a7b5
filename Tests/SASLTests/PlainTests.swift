import SASL
import Testing

private let verifier = try? SCRAMVerifier(password: "pencil", salt: Array(0..<16), iterations: 4096)

private func accounts(_ username: String) -> SCRAMVerifier? { username == "bob" ? verifier : nil }

/// What PLAIN (RFC 4616) and LOGIN make of a message.
@Suite struct PlainTests {
    private func answer(_ message: String) -> SASLServer.Step {
        var server = makeServer(.plain)
        let step = server.receive(Array(message.utf8))
        guard case .needsVerifier(let username) = step else { return step }
        return server.provide(verifier: accounts(username))
    }

    @Test func passwords() {
        #expect(answer("\0bob\0pencil") == .succeeded(username: "bob", finalMessage: nil))
        #expect(answer("bob\0bob\0pencil") == .succeeded(username: "bob", finalMessage: nil))
        #expect(answer("\0bob\0pen") == answer("\0jack\0pencil"))
        #expect(answer("\0bob\0pen").failure == .badCredentials)
        #expect(answer("\0Bob\0pencil").failure == .badCredentials)
    }

    /// RFC 4616 §2: who acts for another needs the right to; nobody has it here.
    @Test func authorizationIdentity() {
        #expect(answer("tom\0bob\0pencil").failure == .authorization)
        #expect(answer("Bob\0bob\0pencil").failure == .authorization)
        // Prepared alike, the two are the same (RFC 4616 §2).
        #expect(answer("b\u{AD}ob\0bob\0pencil") == .succeeded(username: "bob", finalMessage: nil))
    }

    @Test(arguments: ["", "\0", "\0\0", "bob\0pencil", "\0bob", "\0bob\0", "\0\0pencil", "\0bob\0pencil\0", "\0bob\0pen\0cil", "\0bo\u{7}b\0pencil"])
    func malformed(_ message: String) {
        #expect(answer(message).failure == .malformed)
    }

    @Test func noText() {
        var server = makeServer(.plain)
        #expect(server.receive([0] + Array("bob".utf8) + [0, 0xC3, 0x28]).failure == .malformed)
    }

    @Test func clientSpeaks() {
        let exchange = Exchange.run(
            SASLClient(mechanism: .plain, username: "bob", password: "pencil", nonce: ""), makeServer(.plain), accounts: accounts)
        #expect(exchange.outcome == .succeeded(username: "bob", finalMessage: nil))
    }

    @Test func loginInTwoSteps() {
        var server = makeServer(.login)
        #expect(server.start().text == "Username:")
        #expect(server.receive(Array("bob".utf8)).text == "Password:")
        #expect(server.receive(Array("pencil".utf8)) == .needsVerifier(username: "bob"))
        #expect(server.provide(verifier: verifier) == .succeeded(username: "bob", finalMessage: nil))
        #expect(server.receive([]).failure == .outOfOrder)
    }

    @Test func loginWithTheNameInTheCommand() {
        var server = makeServer(.login)
        #expect(server.receive(Array("bob".utf8)).text == "Password:")
        #expect(server.receive(Array("pen".utf8)) == .needsVerifier(username: "bob"))
        #expect(server.provide(verifier: verifier).failure == .badCredentials)
    }

    @Test func loginFromBothSides() {
        func run(_ user: String, _ password: String) -> SASLServer.Step {
            Exchange.run(SASLClient(mechanism: .login, username: user, password: password, nonce: ""), makeServer(.login), accounts: accounts).outcome
        }
        #expect(run("bob", "pencil") == .succeeded(username: "bob", finalMessage: nil))
        #expect(run("bob", "pen") == run("jack", "pencil"))
    }

    @Test func verifierBeforeItIsDue() {
        var server = makeServer(.plain)
        #expect(server.provide(verifier: verifier).failure == .outOfOrder)
    }
}
