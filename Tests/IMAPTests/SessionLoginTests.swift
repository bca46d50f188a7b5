import IMAP
import NIOCore
import SASL
import Testing

/// STARTTLS, LOGIN and AUTHENTICATE (RFC 9051 §6.2).
@Suite struct SessionLoginTests {
    private func connected(_ security: IMAPSession.Security = .implicit) -> SessionDialogue {
        var client = SessionDialogue(security)
        _ = client.hear()
        return client
    }

    @Test func noPasswordInClear() {
        var client = connected(.startTLS)
        #expect(client.line("a LOGIN bob@kartapuce.test x").first?.hasPrefix("a NO [PRIVACYREQUIRED]") == true)
        #expect(client.line("b AUTHENTICATE SCRAM-SHA-256").first?.hasPrefix("b NO [PRIVACYREQUIRED]") == true)
        #expect(client.asked.isEmpty)
        #expect(client.line("c STARTTLS") == ["c OK Begin TLS"])
        // Said before TLS, so it was never said.
        #expect(client.line("d LOGIN bob@kartapuce.test \"correct horse\"").isEmpty)
        client.session.tlsEstablished(channelBinding: nil)
        #expect(client.hear().isEmpty)
        #expect(client.line("e CAPABILITY").first?.hasSuffix("ENABLE AUTH=SCRAM-SHA-256 AUTH=PLAIN") == true)
        #expect(client.line("f LOGIN bob@kartapuce.test \"correct horse\"").first?.contains("] Logged in") == true)
    }

    @Test func commandsBehindStartTLSEndTheConnection() {
        var client = connected(.startTLS)
        let heard = client.say("a STARTTLS\r\nb LOGIN bob@kartapuce.test \"correct horse\"\r\n")
        #expect(heard == ["a BAD Nothing may follow STARTTLS before TLS has begun", "* BYE Commands before TLS"])
        #expect(client.asked == ["close: Commands before TLS"])
    }

    @Test func wrongPasswordAndUnknownUserSoundAlike() {
        var client = connected()
        let wrong = client.line("a LOGIN bob@kartapuce.test wrong")
        let unknown = client.line("a LOGIN nobody@kartapuce.test wrong")
        #expect(wrong == ["a NO [AUTHENTICATIONFAILED] Wrong name or password"] && wrong == unknown)
        #expect(client.line("a LOGIN x \"\"").last == "* BYE Too many failed logins")
        #expect(client.asked.filter { $0.hasSuffix("failed") }.count == 3)
        #expect(client.session.sessionState == .notAuthenticated)
    }

    @Test func plainWithAndWithoutInitialResponse() {
        let response = Base64.encode([0] + Array("bob@kartapuce.test".utf8) + [0] + Array("correct horse".utf8))
        var client = connected()
        #expect(client.line("a AUTHENTICATE PLAIN \(response)").first?.contains("] Logged in") == true)
        var other = connected()
        #expect(other.line("a AUTHENTICATE PLAIN") == ["+ "])
        #expect(other.line("*") == ["a BAD Authentication cancelled"])
        _ = other.line("b AUTHENTICATE PLAIN")
        #expect(other.line("!!") == ["b BAD Base64 expected"])
        _ = other.line("c AUTHENTICATE PLAIN")
        #expect(other.line(response).first?.contains("] Logged in") == true)
        #expect(other.asked.last == "PLAIN of bob@kartapuce.test succeeded")
        #expect(other.session.username == "bob@kartapuce.test")
        var third = connected()
        #expect(third.line("a AUTHENTICATE GSSAPI").first?.hasPrefix("a NO") == true)
    }

    @Test(arguments: [SASLMechanism.scramSHA256, .scramSHA256Plus], ["correct horse", "wrong"])
    func scram(mechanism: SASLMechanism, password: String) throws {
        var session = connected()
        var client = SASLClient(
            mechanism: mechanism, username: "bob@kartapuce.test", password: password,
            channelBinding: mechanism == .scramSHA256Plus ? .tlsServerEndPoint([1, 2, 3]) : nil, nonce: "fyko")
        let initial = client.initialResponse()
        let first = try #require(initial)
        var heard = session.line("a AUTHENTICATE \(mechanism.rawValue) \(Base64.encode(first))")
        while let line = heard.first, line.hasPrefix("+ ") {
            let challenge = try #require(Base64.decode(line.dropFirst(2)))
            heard = session.line(Base64.encode(try client.respond(to: challenge)))
        }
        if password == "wrong" {
            #expect(heard == ["a NO [AUTHENTICATIONFAILED] Wrong name or password"])
            #expect(session.asked.last == "\(mechanism.rawValue) of bob@kartapuce.test failed")
        } else {
            #expect(heard.first?.contains("] Logged in") == true && client.hasVerifiedServer)
        }
    }

    @Test func nobodyIsRefusedWhenNobodyCanTell() {
        var client = connected()
        client.knowsUsers = false
        for _ in 0..<5 { #expect(client.line("a LOGIN bob@kartapuce.test x").first?.hasPrefix("a NO [UNAVAILABLE]") == true) }
        client.knowsUsers = true
        client.logIn()
        #expect(client.session.sessionState == .authenticated)
    }
}
