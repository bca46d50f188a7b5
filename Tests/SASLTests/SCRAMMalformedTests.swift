import SASL
import Testing

@Suite struct SCRAMMalformedTests {
    @Test(arguments: [
        // No GS2 header, or a broken one (RFC 5802 §7).
        "", "n", "n,", "n,,", "n=bob,r=x", "n,b=bob,n=bob,r=x", "n,a,n=bob,r=x",
        // Attributes missing, in the wrong order, without a name, a mandatory extension (RFC 5802 §5.1).
        "n,,n=bob", "n,,r=x", "n,,r=x,n=bob", "n,,n=bob,r=", "n,,n=,r=x", "n,,=bob,r=x", "n,,1=bob,r=x", "n,,nbob,r=x", "n,,n=bob,,r=x",
        "n,,m=ext,n=bob,r=x", "n,,n=bob,r=x,",
        // Escapes in names.
        "n,,n=b=ob,r=x", "n,,n=bob=,r=x", "n,,n=bob=2,r=x", "n,,n=bob=2c,r=x", "n,,n=bob=3d,r=x",
        // Nonces with what can't be printed.
        "n,,n=bob,r=a b", "n,,n=bob,r=a\u{7}", "n,,n=bob,r=\u{E9}", "n,,n=bob,r=a\0",
        // Names that can't be (RFC 4013 §2.3).
        "n,,n=bo\u{7}b,r=x", "n,,n=bob\0,r=x", "n,,n=\u{AD},r=x",
        // A comma with a combining mark is still a comma.
        "n,\u{301},n=bob,r=x",
    ])
    func firstMessage(_ message: String) {
        var server = makeServer(.scramSHA256)
        #expect(server.receive(Array(message.utf8)).failure == .malformed, "\(message)")
        // Nothing comes after a failure.
        #expect(server.receive(Array("n,,n=bob,r=x".utf8)).failure == .outOfOrder)
        #expect(server.provide(verifier: nil).failure == .outOfOrder)
    }

    @Test func tooLongOrNoText() {
        var long = makeServer(.scramSHA256)
        #expect(long.receive(Array("n,,n=bob,r=\(String(repeating: "x", count: 5000))".utf8)).failure == .malformed)
        var nonce = makeServer(.scramSHA256)
        #expect(nonce.receive(Array("n,,n=bob,r=\(String(repeating: "x", count: 513))".utf8)).failure == .malformed)
        var noText = makeServer(.scramSHA256)
        #expect(noText.receive(Array("n,,n=b".utf8) + [0xFF] + Array(",r=x".utf8)).failure == .malformed)
        var name = makeServer(.scramSHA256)
        #expect(name.receive(Array("n,,n=\(String(repeating: "b", count: 2000)),r=x".utf8)).failure == .malformed)
    }

    @Test func actingForAnotherIsRefused() {
        var other = makeServer(.scramSHA256)
        #expect(other.receive(Array("n,a=tom,n=bob,r=x".utf8)).failure == .authorization)
        var same = makeServer(.scramSHA256)
        #expect(same.receive(Array("n,a=bob,n=bob,r=x".utf8)) == .needsVerifier(username: "bob"))
    }

    private static let proof = Base64.encode(Array(repeating: 0, count: 32))

    @Test(
        arguments: [
            ("", .malformed), ("p=\(proof)", .malformed), ("c=biws,r=xserver", .malformed), ("c=biws,p=\(proof)", .malformed),
            ("r=xserver,c=biws,p=\(proof)", .malformed), ("c=biws,r=xserver,p=", .malformed), ("c=biws,r=xserver,p=AAAA", .malformed),
            ("c=biws,r=xserver,p=\(proof),", .malformed), ("c=biws,r=xserver,p=\(proof),x=1", .malformed), ("c=biws,r=x,p=\(proof)", .malformed),
            ("c=biws,r=Xserver,p=\(proof)", .malformed), ("c=eSws,r=xserver,p=\(proof)", .channelBinding), ("c=biw,r=xserver,p=\(proof)", .channelBinding),
            ("c=,r=xserver,p=\(proof)", .channelBinding), ("c=biws,r=xserver,p=\(proof)", .badCredentials),
            ("c=biws,r=xserver,x=extension,p=\(proof)", .badCredentials),
        ] as [(String, SASLError.Code)])
    func finalMessage(_ message: String, _ code: SASLError.Code) throws {
        let verifier = try SCRAMVerifier(password: "pencil", salt: [1], iterations: 4096)
        var server = makeServer(.scramSHA256)
        _ = server.receive(Array("n,,n=bob,r=x".utf8))
        #expect(server.provide(verifier: verifier).text == "r=xserver,s=AQ==,i=4096")
        #expect(server.receive(Array(message.utf8)).failure == code, "\(message)")
        #expect(server.receive(Array(message.utf8)).failure == .outOfOrder)
    }

    @Test func bindingOfTheHeaderIsCompared() throws {
        // With an authorization identity the header is another one, and so is what `c` must say (RFC 5802 §7).
        let verifier = try SCRAMVerifier(password: "pencil", salt: [1], iterations: 4096)
        var server = makeServer(.scramSHA256)
        _ = server.receive(Array("n,a=bob,n=bob,r=x".utf8))
        _ = server.provide(verifier: verifier)
        #expect(server.receive(Array("c=biws,r=xserver,p=\(Self.proof)".utf8)).failure == .channelBinding)
    }

    @Test(arguments: [
        // Nonces that aren't ours with something behind, no salt, no rounds, rounds out of range.
        "", "r=client,s=AAAA,i=4096", "r=Clientserver,s=AAAA,i=4096", "r=cli,s=AAAA,i=4096", "s=AAAA,r=clientserver,i=4096", "r=clientserver,s=,i=4096",
        "r=clientserver,s=AAA,i=4096", "r=clientserver,i=4096", "r=clientserver,s=AAAA", "r=clientserver,s=AAAA,i=", "r=clientserver,s=AAAA,i=x",
        "r=clientserver,s=AAAA,i=-4096", "r=clientserver,s=AAAA,i=+4096", "r=clientserver,s=AAAA,i=04096", "r=clientserver,s=AAAA,i=4095",
        "r=clientserver,s=AAAA,i=1000001", "r=clientserver,s=AAAA,i=99999999999999999999", "m=ext,r=clientserver,s=AAAA,i=4096", "e=other-error",
        "r=client server,s=AAAA,i=4096", "r=client\u{E9},s=AAAA,i=4096",
    ])
    func serverFirstMessage(_ message: String) {
        var client = SASLClient(mechanism: .scramSHA256, username: "bob", password: "pencil", nonce: "client")
        _ = client.initialResponse()
        let error = #expect(throws: SASLError.self) { try client.respond(to: Array(message.utf8)) }
        #expect(error?.code == .malformed, "\(message)")
        #expect(!client.hasVerifiedServer)
    }

    @Test(
        arguments: [
            ("e=invalid-proof", .badCredentials), ("v=", .serverNotVerified), ("v=%", .serverNotVerified), ("", .malformed), ("x=1", .malformed),
        ] as [(String, SASLError.Code)])
    func serverFinalMessage(_ message: String, _ code: SASLError.Code) throws {
        var client = SASLClient(mechanism: .scramSHA256, username: "bob", password: "pencil", nonce: "client")
        _ = client.initialResponse()
        _ = try client.respond(to: Array("r=clientserver,s=AAAA,i=4096".utf8))
        let error = #expect(throws: SASLError.self) { try client.respond(to: Array(message.utf8)) }
        #expect(error?.code == code, "\(message)")
        #expect(!client.hasVerifiedServer)
    }

    @Test func challengeAfterTheEnd() throws {
        var client = SASLClient(mechanism: .plain, username: "bob", password: "pencil", nonce: "client")
        _ = client.initialResponse()
        let error = #expect(throws: SASLError.self) { try client.respond(to: []) }
        #expect(error?.code == .outOfOrder)
    }
}
