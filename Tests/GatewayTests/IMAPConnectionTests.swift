import IMAP
import MailStore
import MailTransport
import NIOCore
import Testing

/// Logging in, TLS, and clients that misbehave, over real connections.
@Suite(.timeLimit(.minutes(2))) struct IMAPConnectionTests {
    @Test func loginAndLogout() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.connect()
            #expect(try await client.say("LOGIN bob@kartapuce.test wrong") == ["NO [AUTHENTICATIONFAILED] Wrong name or password"])
            #expect(try await client.say("LOGIN nobody@kartapuce.test wrong") == ["NO [AUTHENTICATIONFAILED] Wrong name or password"])
            // Names of users don't depend on case.
            #expect(try await client.say("LOGIN BOB@Kartapuce.TEST \"correct horse\"").last?.hasSuffix("] Logged in") == true)
            #expect(try await client.say("SELECT INBOX").last == "OK [READ-WRITE] Selected")
            #expect(try await client.say("LOGOUT") == ["* BYE Until next time", "OK Logged out"])
            #expect(await client.line() == nil)
        }
    }

    @Test func threeFailuresEndTheConnection() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.connect()
            for _ in 0..<2 { _ = try await client.say("LOGIN bob@kartapuce.test wrong") }
            #expect(try await client.say("LOGIN bob@kartapuce.test wrong").first?.hasPrefix("NO") == true)
            #expect(await client.line() == "* BYE Too many failed logins")
            #expect(await client.line() == nil)
        }
    }

    @Test func noLoginBeforeTLS() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await IMAPTestClient(port: house.clearPort)
            #expect(await client.line()?.contains("STARTTLS LOGINDISABLED") == true)
            #expect(try await client.say("LOGIN bob@kartapuce.test \"correct horse\"").last?.hasPrefix("NO [PRIVACYREQUIRED]") == true)
            #expect(try await client.say("STARTTLS") == ["OK Begin TLS"])
            try await client.startTLS(house.clientTLS)
            #expect(try await client.say("LOGIN bob@kartapuce.test \"correct horse\"").last?.hasSuffix("] Logged in") == true)
            await client.close()
        }
    }

    @Test func whatIsInjectedBeforeTLSIsNeverHeard() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await IMAPTestClient(port: house.clearPort)
            _ = await client.line()
            try await client.send("a STARTTLS\r\nb LOGIN bob@kartapuce.test \"correct horse\"\r\nc CREATE Injected\r\n")
            #expect(await client.line()?.hasPrefix("a BAD") == true)
            #expect(await client.line() == "* BYE Commands before TLS")
            #expect(await client.line() == nil)
            #expect(try await house.store.mailbox(named: "Injected", of: IMAPTestHouse.bob) == nil)
        }
    }

    @Test func garbageAndOversizeEndOnlyTheirOwnConnection() async throws {
        try await IMAPTestHouse.open { house in
            let witness = try await house.logIn(selecting: "INBOX")
            let garbage = try await house.connect()
            var octets = ByteBuffer()
            for number in 0..<200_000 { octets.writeInteger(UInt8(truncatingIfNeeded: number &* 31)) }
            try? await garbage.send(octets)
            var last: String?
            while let line = await garbage.line() { last = line }
            #expect(last?.hasPrefix("* BYE") == true)

            let huge = try await house.connect()
            try await huge.send("a LOGIN {90000000+}\r\n")
            #expect(await huge.line()?.hasPrefix("* BYE") == true)
            let waiting = try await house.connect()
            #expect(try await waiting.say("LOGIN {90000000}").last?.hasPrefix("BAD") == true)
            #expect(try await waiting.say("NOOP") == ["OK Nothing done"])
            let large = try await house.logIn()
            try await large.send("a APPEND INBOX {99999999}\r\n")
            #expect(await large.line()?.hasPrefix("a NO [TOOBIG]") == true)

            #expect(try await witness.say("NOOP") == ["OK Nothing done"])
            for client in [witness, waiting, large] { await client.close() }
        }
    }

    @Test func silenceEndsAConnection() async throws {
        try await IMAPTestHouse.open(loginTimeout: .seconds(2)) { house in
            let stranger = try await house.connect()
            #expect(await stranger.line() == "* BYE Too long without a command")
            #expect(await stranger.line() == nil)
        }
        try await IMAPTestHouse.open(idleTimeout: .seconds(4)) { house in
            let user = try await house.logIn(selecting: "INBOX")
            try await user.send("a IDLE\r\n")
            #expect(await user.line() == "+ Idling")
            #expect(await user.line() == "* BYE Too long without a command")
            #expect(await user.line() == nil)
        }
    }

    @Test func shutdownSaysGoodbye() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.logIn(selecting: "INBOX")
            try await client.send("a IDLE\r\n")
            #expect(await client.line() == "+ Idling")
            async let stopped: Void = house.server.shutdown(grace: .seconds(5))
            #expect(await client.line() == "* BYE The server is shutting down")
            await client.close()
            await stopped
            #expect(house.server.openConnections == 0)
        }
    }

    @Test func nothingIsHeldWhenAllIsOver() async throws {
        try await IMAPTestHouse.open { house in
            let client = try await house.logIn(selecting: "INBOX")
            _ = try await client.append(ByteBuffer(string: "Subject: x\r\n\r\nx"), to: "INBOX")
            try await client.send("z APPEND INBOX {1000}\r\n")
            _ = await client.line()
            try await client.send("half of it")
            await client.close()
            while house.server.openConnections > 0 || house.budget.octetsInUse > 0 { try await Task.sleep(for: .milliseconds(10)) }
            #expect(try await house.store.mailbox(named: "INBOX", of: IMAPTestHouse.bob)?.messageCount == 1)
        }
    }
}
