import DNS
import MailMessage
import MailTesting
import MailTransport
import NIOCore
import NIOSSL
import SMTP
import Synchronization
import Testing

@Suite(.timeLimit(.minutes(1))) struct ServerTests {
    @Test func servesAPlainSession() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service) { _, port in
            let client = try await ServerTestClient(port: port)
            #expect(await client.reply() == ["220 mail.kartapuce.test ESMTP"])
            #expect(try await client.say("EHLO tom.gmail.test").hasPrefix("250 LIMITS"))
            try await client.send("MAIL FROM:<tom@gmail.test>\r\nRCPT TO:<bob@kartapuce.test>\r\nDATA\r\n")
            #expect(await client.reply() == ["250 2.1.0 Sender ok"])
            #expect(await client.reply() == ["250 2.1.5 Recipient ok"])
            #expect(await client.reply().first?.hasPrefix("354") == true)
            try await client.send("Subject: x\r\n\r\n..body\r\n.\r\nQUIT\r\n")
            #expect(await client.reply() == ["250 2.0.0 Taken"])
            #expect(await client.reply().first?.hasPrefix("221") == true)
            #expect(await client.reply().isEmpty)
            #expect(await eventually { service.seen.summaries.count == 1 })
        }
        let message = try #require(service.seen.messages.first)
        #expect(message.content == "Subject: x\r\n\r\n.body\r\n")
        #expect(message.transaction.session.helo == "tom.gmail.test")
        #expect(message.transaction.session.remoteAddress == .v4(0x7f00_0001))
        #expect(message.transaction.exchanges.map(\.command) == ["MAIL FROM:<tom@gmail.test>", "RCPT TO:<bob@kartapuce.test>", "DATA"])
        #expect(service.seen.summaries.first?.messagesAccepted == 1)
        #expect(service.seen.summaries.first?.reason == "quit")
    }

    @Test func spillsLargeMessages() async throws {
        let service = ServerRecordingService()
        let file = ServerTestFile()
        let body = String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 20_000)
        let budget = MemoryBudget(limit: 64 << 20)
        try await withServer(
            service: service, budget: budget, makeFile: { file }, change: { $0.memoryPerMessage = 100_000 },
            body: { _, port in
                let client = try await ServerTestClient(port: port)
                _ = await client.reply()
                for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
                #expect(try await client.say(body + ".") == "250 2.0.0 Taken")
                await client.close()
            })
        #expect(service.seen.messages.first?.content == body)
        #expect(file.state.withLock { $0.appends } > 2)
        #expect(await eventually { budget.octetsInUse == 0 })
    }

    @Test func aFullDiskDefersTheMessage() async throws {
        let service = ServerRecordingService()
        let file = ServerTestFile(fails: true)
        try await withServer(
            service: service, makeFile: { file }, change: { $0.memoryPerMessage = 1000 },
            body: { _, port in
                let client = try await ServerTestClient(port: port)
                _ = await client.reply()
                for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
                let reply = try await client.say(String(repeating: "0123456789\r\n", count: 1000) + ".")
                #expect(reply.hasPrefix("452 4.3.1"))
                #expect(try await client.say("NOOP") == "250 2.0.0 OK")
            })
        #expect(service.seen.messages.isEmpty)
        #expect(service.seen.abandoned.count == 1)
        #expect(file.state.withLock { $0.discarded })
    }

    @Test func aLostConnectionIsTold() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service) { _, port in
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
            try await client.send("half a mess")
            await client.close()
            #expect(await eventually { !service.seen.summaries.isEmpty })
        }
        #expect(service.seen.abandoned == ["lost"])
        #expect(service.seen.summaries.first?.reason == "lost")
        #expect(service.seen.messages.isEmpty)
    }

    @Test func aTenMebibyteLineIsAnsweredWhileOthersAreServed() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service) { _, port in
            let flooder = try await ServerTestClient(port: port)
            _ = await flooder.reply()
            flooder.push(ByteBuffer(repeating: UInt8(ascii: "x"), count: 10 << 20))
            let other = try await ServerTestClient(port: port)
            _ = await other.reply()
            #expect(try await other.say("NOOP") == "250 2.0.0 OK")
            #expect(await flooder.reply().first?.hasPrefix("500 5.5.2") == true)
            await flooder.close()
            #expect(await eventually { service.seen.summaries.contains { $0.reason == "line too long" } })
        }
    }

    @Test func idleSessionsDoNotHinderOthers() async throws {
        let service = ServerRecordingService()
        var configuration = SMTPServerConfiguration(hostname: "mail.kartapuce.test")
        // Long enough for the busy client on a loaded machine, which is under the same limit as the idle ones.
        configuration.limits.commandTimeout = .seconds(5)
        try await withServer(configuration, service: service) { _, port in
            var idle: [ServerTestClient] = []
            for _ in 0..<50 { idle.append(try await ServerTestClient(port: port)) }
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            #expect(try await client.say("NOOP") == "250 2.0.0 OK")
            for connection in idle {
                #expect(await connection.reply().first?.hasPrefix("220") == true)
                #expect(await connection.reply().first?.hasPrefix("421 4.4.2") == true)
                #expect(await connection.reply().isEmpty)
            }
        }
    }

    @Test func earlyTalkersAreRefused() async throws {
        let service = ServerRecordingService()
        try await withServer(
            service: service, change: { $0.greetingDelay = .milliseconds(300) },
            body: { _, port in
                let client = try await ServerTestClient(port: port)
                try await client.send("EHLO x.test\r\n")
                #expect(await client.reply().first?.hasPrefix("554 5.5.0") == true)
                #expect(await client.reply().isEmpty)
                let patient = try await ServerTestClient(port: port)
                #expect(await patient.reply().first?.hasPrefix("220") == true)
            })
        #expect(service.seen.summaries.contains { $0.reason == "spoke before the greeting" })
    }

    @Test func manyRecipientsAreTaken() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service) { _, port in
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            _ = try await client.say("EHLO x.test")
            client.push(ByteBuffer(string: "MAIL FROM:<a@x.test>\r\n" + (0..<1200).map { "RCPT TO:<u\($0)@kartapuce.test>\r\n" }.joined()))
            var codes: [Substring: Int] = [:]
            for _ in 0..<1201 { codes[await client.reply().last?.prefix(9) ?? "", default: 0] += 1 }
            #expect(codes == ["250 2.1.0": 1, "250 2.1.5": 1000, "452 4.5.3": 200])
            for line in ["DATA", "x\r\n."] { _ = try await client.say(line) }
        }
        #expect(service.seen.messages.first?.transaction.envelope.recipients.count == 1000)
    }

    @Test func limitsConnections() async throws {
        let service = ServerRecordingService()
        let limiter = ConnectionLimiter(total: 100, perNetwork: 2)
        try await withServer(service: service, limiter: limiter) { _, port in
            let one = try await ServerTestClient(port: port)
            let two = try await ServerTestClient(port: port)
            _ = await one.reply()
            _ = await two.reply()
            let three = try await ServerTestClient(port: port)
            #expect(await three.reply().first?.hasPrefix("421 4.7.0") == true)
            await one.close()
            #expect(await eventually { limiter.openConnections == 1 })
            let four = try await ServerTestClient(port: port)
            #expect(await four.reply().first?.hasPrefix("220") == true)
        }
    }

    @Test func aSpentBudgetTurnsClientsAway() async throws {
        let service = ServerRecordingService()
        let budget = MemoryBudget(limit: 1 << 20)
        try await withServer(service: service, budget: budget) { _, port in
            let early = try await ServerTestClient(port: port)
            _ = await early.reply()
            for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>"] { _ = try await early.say(line) }
            budget.add(1 << 20)
            #expect(try await early.say("DATA").hasPrefix("452 4.3.1"))
            let late = try await ServerTestClient(port: port)
            #expect(await late.reply().first?.hasPrefix("421 4.3.2") == true)
            budget.remove(1 << 20)
            #expect(try await early.say("MAIL FROM:<a@x.test>").hasPrefix("250"))
        }
    }

    @Test func shutdownLetsMessagesFinish() async throws {
        let service = ServerRecordingService(delay: .milliseconds(300))
        try await withServer(service: service) { server, port in
            let idle = try await ServerTestClient(port: port)
            _ = await idle.reply()
            let busy = try await ServerTestClient(port: port)
            _ = await busy.reply()
            for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await busy.say(line) }
            try await busy.send("x\r\n.\r\n")
            async let stopped: Void = server.shutdown(grace: .seconds(5))
            #expect(await idle.reply().first?.hasPrefix("421 4.3.2") == true)
            #expect(await busy.reply() == ["250 2.0.0 Taken"])
            #expect(await busy.reply().first?.hasPrefix("421 4.3.2") == true)
            await stopped
        }
        #expect(service.seen.messages.count == 1)
    }

    @Test func theLastReplyArrivesWhateverFollowsQuit() async throws {
        let service = ServerRecordingService()
        try await withServer(service: service) { _, port in
            for rest in ["", "NOOP\r\n", String(repeating: "x", count: 1 << 20)] {
                let client = try await ServerTestClient(port: port)
                _ = await client.reply()
                client.push(ByteBuffer(string: "QUIT\r\n" + rest))
                #expect(await client.reply().first?.hasPrefix("221") == true, "after \(rest.utf8.count) octets")
                #expect(await client.reply().isEmpty)
            }
        }
        #expect(service.seen.summaries.allSatisfy { $0.reason == "quit" })
    }

    @Test func onePieceIsReadWhileAVerdictIsAwaited() async throws {
        let (gate, opener) = AsyncStream<Void>.makeStream()
        let service = ServerRecordingService(gate: { for await _ in gate {} })
        try await withServer(service: service) { _, port in
            defer { opener.finish() }
            let client = try await ServerTestClient(port: port)
            _ = await client.reply()
            for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = try await client.say(line) }
            try await client.send("x\r\n.\r\nNOOP\r\n")
            // More than the sockets' buffers hold.
            let isWritten = Atomic(false)
            let flood = client.channel.eventLoop.makePromise(of: Void.self)
            flood.futureResult.whenSuccess { isWritten.store(true, ordering: .relaxed) }
            client.channel.writeAndFlush(ByteBuffer(repeating: UInt8(ascii: "x"), count: 64 << 20), promise: flood)
            // Long enough for a server that reads on; one that doesn't has all the time that the machine takes.
            try await Task.sleep(for: .seconds(1))
            let wasWritten = isWritten.load(ordering: .relaxed)
            #expect(!wasWritten)
            opener.finish()
            #expect(await client.reply() == ["250 2.0.0 Taken"])
            #expect(await client.reply() == ["250 2.0.0 OK"])
            #expect(await client.reply().first?.hasPrefix("500") == true)
            await client.close()
        }
    }

    @Test func networksCoverAddresses() {
        let limiter = ConnectionLimiter(
            total: 10, perNetwork: 1, trusted: [IPNetwork(address: .v6(0x2001_0db8_0000_0000, 0), prefixLength: 32)])
        #expect(limiter.admit(.v4(0xc633_6401)))
        #expect(!limiter.admit(.v4(0xc633_64ff)))
        #expect(limiter.admit(.v4(0xc633_6501)))
        #expect(limiter.admit(.v6(0x2001_0db8_0000_0000, 1)))
        #expect(limiter.admit(.v6(0x2001_0db8_0000_0000, 2)))
        #expect(limiter.admit(.v6(0x2001_0db9_0000_0000, 1)))
        #expect(!limiter.admit(.v6(0x2001_0db9_0000_0000, 2)))
        #expect(limiter.openConnections == 5)
        let small = ConnectionLimiter(total: 2, perNetwork: 10, trusted: [IPNetwork(address: .v4(0x0a00_0000), prefixLength: 8)])
        #expect(small.admit(.v4(0x0a00_0001)))
        #expect(small.admit(.v4(0xc633_6401)))
        #expect(!small.admit(.v4(0x0a00_0002)))
        small.release(.v4(0xc633_6401))
        #expect(small.admit(.v4(0x0a00_0002)))
    }
}
