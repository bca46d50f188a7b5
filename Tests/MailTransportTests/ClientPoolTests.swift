import DNS
import Logging
import MailMessage
import MailTesting
import NIOCore
import NIOPosix
import SMTP
import Testing

@testable import MailTransport

@Suite("Client pool", .serialized, .timeLimit(.minutes(2)))
struct ClientPoolTests {
    private let group = MultiThreadedEventLoopGroup.singleton

    private func pool(
        tls: SMTPClientTLS? = nil, _ change: (inout SMTPClientConfiguration) -> Void = { _ in }
    ) throws -> SMTPClientPool {
        var configuration = SMTPClientConfiguration(hostname: "smtp.kartapuce.test")
        configuration.shutdownGrace = .seconds(2)
        change(&configuration)
        let contexts = try tls ?? SMTPClientTLS(opportunistic: .opportunistic(), verified: .verified(), observing: .observing())
        return SMTPClientPool(configuration: configuration, tls: contexts, group: group, logger: Logger(label: "test"))
    }

    private func message(
        to recipients: [String] = ["tom"], content: any MessageContent = BufferedContent(ByteBuffer(string: "Subject: x\r\n\r\nhi\r\n"))
    ) -> OutboundMessage {
        let envelope = Envelope(
            reversePath: EmailAddress(localPart: "bob", domain: "kartapuce.test"),
            recipients: recipients.map { EnvelopeRecipient(address: EmailAddress(localPart: $0, domain: "gmail.test")) })
        return OutboundMessage(envelope: envelope, content: content, trace: .random())
    }

    /// Content that is read in pieces, later: what comes from files.
    private struct SlowContent: MessageContent {
        let base: BufferedContent
        var byteCount: Int { base.byteCount }
        func read(_ range: Range<Int>) async throws -> ByteBuffer {
            await Task.yield()
            return try await base.read(range)
        }
    }

    @Test("a message goes out, and the next one over the same connection")
    func reuse() async throws {
        let server = try await ScriptedServer.start(group)
        let pool = try pool()
        let first = await pool.deliver(message(), to: server.target())
        #expect(first.outcomes.map(\.result) == [.delivered] && !first.reusedConnection)
        #expect(first.outcomes.first?.reply.description == "250 2.0.0 queued")
        #expect(first.remoteAddress == .v4(0x7F00_0001))
        #expect(first.exchanges.map(\.command).prefix(3) == ["(connect)", "EHLO smtp.kartapuce.test", "MAIL FROM:<bob@kartapuce.test>"])
        #expect(first.exchanges.last?.command == "(message, 18 octets)")
        let second = await pool.deliver(message(), to: server.target())
        #expect(second.outcomes.map(\.result) == [.delivered] && second.reusedConnection)
        #expect(server.record.connections == 1 && server.record.messages.count == 2)
        let other = await pool.deliver(message(), to: server.target(hostname: "other.gmail.test"))
        #expect(!other.reusedConnection, "another target, another connection")
        await pool.shutdown()
        #expect(server.record.commands.last == "QUIT")
        let late = await pool.deliver(message(), to: server.target())
        #expect(late.outcomes.map(\.reply.code) == [451])
        try await server.stop()
    }

    @Test("a connection is given up after its number of messages, and when idle")
    func limits() async throws {
        let server = try await ScriptedServer.start(group)
        let pool = try pool {
            $0.maxMessagesPerConnection = 2
            $0.maxIdle = .milliseconds(500)
        }
        for _ in 0..<3 { _ = await pool.deliver(message(), to: server.target()) }
        #expect(server.record.connections == 2)
        for _ in 0..<500 where server.record.commands.count(where: { $0 == "QUIT" }) < 2 {
            try await Task.sleep(for: .milliseconds(20))
        }
        #expect(server.record.commands.count { $0 == "QUIT" } == 2)
        let next = await pool.deliver(message(), to: server.target())
        #expect(!next.reusedConnection && next.outcomes.first?.result == .delivered)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("recipients with different replies")
    func mixed() async throws {
        let server = try await ScriptedServer.start(group)
        let pool = try pool()
        let report = await pool.deliver(message(to: ["tom", "nobody", "full", "alice"]), to: server.target())
        #expect(report.outcomes.map(\.result) == [.delivered, .failed, .deferred, .delivered])
        #expect(report.outcomes.map(\.reply.code) == [250, 550, 452, 250])
        #expect(report.outcomes.allSatisfy { !$0.isLocal && !$0.peerHandlesDSN })
        await pool.shutdown()
        try await server.stop()
    }

    @Test("5 MB arrive as they were sent", arguments: [true, false], [true, false])
    func large(_ chunking: Bool, _ slow: Bool) async throws {
        var content = ByteBuffer(string: "Subject: large\r\n\r\n")
        var generator = SystemRandomNumberGenerator()
        while content.readableBytes < 5_000_000 {
            let line = UInt64.random(in: .min ... .max, using: &generator)
            content.writeString(line % 7 == 0 ? ".\(line)\r\n" : line % 11 == 0 ? "..\r\n" : "\(line) \(line) \(line)\r\n")
        }
        let server = try await ScriptedServer.start(
            group,
            scripts: [
                ScriptedServer.script(
                    .init("EHLO", .say("250-mx\r\n250-SIZE\r\n\(chunking ? "250-CHUNKING\r\n" : "")250 PIPELINING")))
            ])
        let pool = try pool()
        let buffered = BufferedContent(content)
        let report = await pool.deliver(
            message(content: slow ? SlowContent(base: buffered) as any MessageContent : buffered), to: server.target())
        #expect(report.outcomes.map(\.result) == [.delivered])
        #expect(server.record.messages == [content])
        #expect(server.record.commands.contains { $0.hasPrefix("BDAT") } == chunking)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("a kept connection that died is replaced without a word to the queue")
    func staleConnection() async throws {
        let server = try await ScriptedServer.start(
            group,
            scripts: [
                [.init("RSET", .close)] + ScriptedServer.script(.init("MAIL FROM:<jack", .close)), ScriptedServer.obedient,
            ])
        let pool = try pool()
        _ = await pool.deliver(message(), to: server.target())
        var next = message()
        next.envelope.reversePath = EmailAddress(localPart: "jack", domain: "kartapuce.test")
        let report = await pool.deliver(next, to: server.target())
        #expect(report.outcomes.map(\.result) == [.delivered])
        #expect(!report.reusedConnection && report.failures.count == 1)
        #expect(server.record.connections == 2)
        await pool.shutdown()
        try await server.stop()
    }

    static let failures: [(String, ScriptedServer.Rule.Answer, UInt16, String)] = [
        ("EHLO", .close, 451, "4.4.2"), ("EHLO", .stall, 451, "4.4.2"), ("EHLO", .say("<html>"), 451, "4.5.0"),
        ("EHLO", .say("421 busy"), 421, ""), ("MAIL", .close, 451, "4.4.2"), ("MAIL", .stall, 451, "4.4.2"),
        ("MAIL", .say("250-a\r\n550 b"), 451, "4.5.0"), ("MAIL", .sayAndClose("421 4.3.2 down"), 421, "4.3.2"),
        ("RCPT", .close, 451, "4.4.2"), ("RCPT", .stall, 451, "4.4.2"), ("RCPT", .sayAndClose("421 4.7.0 slow down"), 421, "4.7.0"),
        ("DATA", .close, 451, "4.4.2"), ("DATA", .stall, 451, "4.4.2"), ("DATA", .say("250 what"), 451, "4.5.0"),
        ("DATA", .say("554 5.7.1 no"), 554, "5.7.1"), ("DATA", .data(then: "garbage"), 451, "4.5.0"),
        ("DATA", .data(then: "421 4.3.0 oops"), 421, "4.3.0"), ("DATA", .data(then: "550 5.7.1 spam"), 550, "5.7.1"),
    ]

    @Test("every failure is an outcome", arguments: failures)
    func failure(_ step: String, _ answer: ScriptedServer.Rule.Answer, _ code: UInt16, _ status: String) async throws {
        let server = try await ScriptedServer.start(group, scripts: [ScriptedServer.script(.init(step, answer))])
        // The silent servers alone are given up soon: a busy machine must not turn the others into silent ones.
        let isSilent = if case .stall = answer { true } else { false }
        let pool = try pool {
            guard isSilent else { return }
            $0.timeouts.introduction = .milliseconds(200)
            $0.timeouts.mail = .milliseconds(200)
            $0.timeouts.recipient = .milliseconds(200)
            $0.timeouts.dataInitiation = .milliseconds(200)
        }
        let report = await pool.deliver(message(), to: server.target())
        let outcome = try #require(report.outcomes.first)
        #expect(outcome.reply.code == code)
        #expect((outcome.reply.enhancedStatus?.description ?? "") == status)
        #expect(outcome.result == (code >= 500 ? .failed : .deferred))
        #expect(outcome.isLocal == (code == 451))
        #expect(server.record.connections == 1, "nothing is tried twice behind the queue's back")
        await pool.shutdown()
        try await server.stop()
    }

    @Test("greetings: none, garbage, refusal")
    func greetings() async throws {
        for (greeting, code) in [(nil, 451), ("garbage", 451), ("554 5.7.1 not you", 554), ("421 later", 421)] as [(String?, UInt16)] {
            let server = try await ScriptedServer.start(group, greeting: greeting)
            let pool = try pool { if greeting == nil { $0.timeouts.greeting = .milliseconds(150) } }
            let report = await pool.deliver(message(), to: server.target())
            #expect(report.outcomes.map(\.reply.code) == [code])
            #expect(report.failures.count == 1)
            await pool.shutdown()
            try await server.stop()
        }
    }

    @Test("addresses in order; the refusing one is named")
    func addresses() async throws {
        let server = try await ScriptedServer.start(group)
        let pool = try pool()
        var target = server.target()
        target.addresses = [.v4(0x7F12_3456), .v4(0x7F00_0001)]
        let report = await pool.deliver(message(), to: target)
        #expect(report.outcomes.map(\.result) == [.delivered])
        #expect(report.failures == ["mx.gmail.test (127.18.52.86:\(server.port)): 451 4.4.1 connect to 127.18.52.86:\(server.port): refused"])
        try await server.stop()
        target.hostname = "gone.gmail.test"
        let refused = await pool.deliver(message(), to: target)
        #expect(refused.outcomes.map(\.reply.description) == ["451 4.4.1 connect to 127.0.0.1:\(target.port): refused"])
        target.addresses = []
        #expect(await pool.deliver(message(), to: target).outcomes.map(\.reply.enhancedStatus) == [EnhancedStatusCode(4, 4, 4)])
        await pool.shutdown()
    }

    @Test("MAILMAX: the rest goes over another connection")
    func mailLimit() async throws {
        let ehlo = ScriptedServer.Rule("EHLO", .say("250-mx\r\n250-PIPELINING\r\n250 LIMITS RCPTMAX=2 MAILMAX=1"))
        let server = try await ScriptedServer.start(group, scripts: [ScriptedServer.script(ehlo)])
        let pool = try pool()
        let report = await pool.deliver(message(to: ["a", "b", "c", "d", "e"]), to: server.target())
        #expect(report.outcomes.count { $0.result == .delivered } == 5)
        #expect(server.record.connections == 3 && server.record.messages.count == 3)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("many messages at once")
    func concurrent() async throws {
        let server = try await ScriptedServer.start(group)
        let pool = try pool()
        let delivered = await withTaskGroup(of: Int.self) { tasks in
            for _ in 0..<100 {
                tasks.addTask { await pool.deliver(message(), to: server.target()).outcomes.count { $0.result == .delivered } }
            }
            return await tasks.reduce(0, +)
        }
        #expect(delivered == 100 && server.record.messages.count == 100)
        await pool.shutdown()
        try await server.stop()
    }
}
