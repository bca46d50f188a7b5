import SASL
import Testing

/// Bob's account; few rounds, for speed.
private let bobsVerifier = try? SCRAMVerifier(password: "pencil", salt: Array(0..<16), iterations: 4096)

private func accounts(_ username: String) -> SCRAMVerifier? { username == "bob@kartapuce.test" ? bobsVerifier : nil }

private func client(
    _ mechanism: SASLMechanism = .scramSHA256, user: String = "bob@kartapuce.test", password: String = "pencil", binding: ChannelBinding? = nil,
    serverOffersPlus: Bool = true
) -> SASLClient {
    SASLClient(
        mechanism: mechanism, username: user, password: password, channelBinding: binding, serverOffersPlus: serverOffersPlus, nonce: "client")
}

@Suite struct SCRAMTests {
    /// The exchange of RFC 7677 §3.
    private enum Vector {
        static let clientFirst = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
        static let serverFirst = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
        static let clientFinal =
            "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
        static let serverFinal = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
    }

    @Test func clientOfTheVector() throws {
        var client = SASLClient(mechanism: .scramSHA256, username: "user", password: "pencil", nonce: "rOprNGfwEbeRWgbNEkqO")
        #expect(client.initialResponse() == Array(Vector.clientFirst.utf8))
        #expect(try client.respond(to: Array(Vector.serverFirst.utf8)) == Array(Vector.clientFinal.utf8))
        #expect(!client.hasVerifiedServer)
        #expect(try client.respond(to: Array(Vector.serverFinal.utf8)).isEmpty)
        #expect(client.hasVerifiedServer)
    }

    @Test func serverOfTheVector() throws {
        let salt = try #require(Base64.decode("W22ZaJ0SNY7soEsUEjb6gQ=="))
        let verifier = try SCRAMVerifier(password: "pencil", salt: salt, iterations: 4096)
        var server = makeServer(.scramSHA256, nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0")
        #expect(server.start() == .challenge([]))
        #expect(server.receive(Array(Vector.clientFirst.utf8)) == .needsVerifier(username: "user"))
        #expect(server.provide(verifier: verifier) == .challenge(Array(Vector.serverFirst.utf8)))
        #expect(
            server.receive(Array(Vector.clientFinal.utf8)) == .succeeded(username: "user", finalMessage: Array(Vector.serverFinal.utf8)))
        #expect(server.receive(Array(Vector.clientFinal.utf8)).failure == .outOfOrder)
    }

    @Test func bothSidesAgree() {
        let exchange = Exchange.run(client(), makeServer(.scramSHA256), accounts: accounts)
        guard case .succeeded(let username, _) = exchange.outcome else {
            Issue.record("\(exchange.outcome)")
            return
        }
        #expect(username == "bob@kartapuce.test" && exchange.clientVerified && exchange.clientError == nil)
    }

    @Test func namesWithCommaAndEqualsSign() throws {
        let name = "a,b=c=2C"
        let verifier = try SCRAMVerifier(password: "pencil", salt: [1], iterations: 4096)
        var seen: [String] = []
        let exchange = Exchange.run(client(user: name), makeServer(.scramSHA256)) {
            seen.append($0)
            return verifier
        }
        #expect(seen == [name] && exchange.clientVerified)
    }

    // MARK: - Wrong credentials

    @Test func unknownUserLooksLikeAWrongPassword() throws {
        let strong = try SCRAMVerifier(password: "pencil", salt: Array(0..<16))
        let wrong = Exchange.run(client(password: "pen"), makeServer(.scramSHA256)) { _ in strong }
        let unknown = Exchange.run(client(user: "jack@kartapuce.test"), makeServer(.scramSHA256)) { _ in nil }
        #expect(wrong.outcome == unknown.outcome && wrong.outcome.failure == .badCredentials)
        #expect(!wrong.clientVerified && !unknown.clientVerified)
        // The same attributes of the same lengths and the same number of rounds.
        func shape(_ exchange: Exchange) -> [String] {
            exchange.challenges.flatMap { $0.split(separator: ",").map { $0.hasPrefix("s=") ? "s=\($0.utf8.count)" : String($0) } }
        }
        #expect(shape(wrong) == shape(unknown))
    }

    @Test func madeUpSaltIsStable() throws {
        func salt(of user: String, secret: [UInt8]) -> Substring? {
            var server = makeServer(.scramSHA256, secret: secret)
            _ = server.receive(Array("n,,n=\(user),r=x".utf8))
            return server.provide(verifier: nil).text?.split(separator: ",").first { $0.hasPrefix("s=") }
        }
        let first = try #require(salt(of: "jack", secret: [7]))
        #expect(salt(of: "jack", secret: [7]) == first)
        #expect(salt(of: "tom", secret: [7]) != first)
        #expect(salt(of: "jack", secret: [8]) != first)
    }

    @Test func serverThatDoesNotKnowThePasswordIsFoundOut() throws {
        var client = client()
        _ = client.initialResponse()
        _ = try client.respond(to: Array("r=clientserver,s=AAAA,i=4096".utf8))
        let error = #expect(throws: SASLError.self) {
            try client.respond(to: Array("v=\(Base64.encode(Array(repeating: 0, count: 32)))".utf8))
        }
        #expect(error?.code == .serverNotVerified)
        #expect(!client.hasVerifiedServer)
    }

    // MARK: - Channel binding (RFC 5802 §6)

    private let right = ChannelBinding.tlsServerEndPoint([1, 2, 3])

    @Test func boundToTheSession() {
        let server = makeServer(.scramSHA256Plus, binding: right, offersPlus: true)
        let exchange = Exchange.run(client(.scramSHA256Plus, binding: right), server, accounts: accounts)
        #expect(exchange.clientVerified && exchange.outcome.failure == nil)
    }

    @Test func anotherSessionsBindingIsRefused() {
        let server = makeServer(.scramSHA256Plus, binding: right, offersPlus: true)
        let attacked = Exchange.run(client(.scramSHA256Plus, binding: .tlsServerEndPoint([9])), server, accounts: accounts)
        #expect(attacked.outcome.failure == .channelBinding)
        let otherType = Exchange.run(
            client(.scramSHA256Plus, binding: ChannelBinding(name: "tls-exporter", data: [1, 2, 3])), server, accounts: accounts)
        #expect(otherType.outcome.failure == .channelBinding)
    }

    @Test func strippedOfferIsNoticed() {
        // The client could bind and saw no offer; the server had made one.
        let deceived = client(binding: right, serverOffersPlus: false)
        let offering = makeServer(.scramSHA256, binding: right, offersPlus: true)
        #expect(Exchange.run(deceived, offering, accounts: accounts).outcome.failure == .channelBinding)
        let notOffering = makeServer(.scramSHA256, binding: nil, offersPlus: false)
        #expect(Exchange.run(deceived, notOffering, accounts: accounts).clientVerified)
    }

    @Test(arguments: [
        (SASLMechanism.scramSHA256, "p=tls-server-end-point,,n=bob,r=x"), (.scramSHA256Plus, "n,,n=bob,r=x"), (.scramSHA256Plus, "y,,n=bob,r=x"),
        (.scramSHA256Plus, "p=tls-unique,,n=bob,r=x"), (.scramSHA256Plus, "p=,,n=bob,r=x"), (.scramSHA256, "x,,n=bob,r=x"), (.scramSHA256, ",,n=bob,r=x"),
    ])
    func flagMustFitTheMechanism(_ mechanism: SASLMechanism, _ message: String) {
        var server = makeServer(mechanism, binding: right, offersPlus: true)
        #expect(server.receive(Array(message.utf8)).failure == .channelBinding)
    }

    @Test func clientWithoutABindingDoesNotPretend() {
        var client = client(.scramSHA256Plus)
        #expect(client.initialResponse() == nil)
        let error = #expect(throws: SASLError.self) { try client.respond(to: []) }
        #expect(error?.code == .channelBinding)
    }
}
