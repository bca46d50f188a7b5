import DNS
import Foundation
import Logging
import MailMessage
import MailTesting
import MailTransport
import Milter
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Lab

/// Marks every message, refuses one sender when the message is complete and another at MAIL, and puts a third one's mail aside.
final class MarkingService: MilterService {
    let messages = Mutex<[(message: MilterMessage, content: ByteBuffer)]>([])
    let abandoned = Mutex<[String]>([])
    let errors = Mutex<[MilterError]>([])

    func sender(_ envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision {
        guard envelope.sender.address?.localPart == "attacker", let reply = MilterReply(550, EnhancedStatusCode(5, 7, 1), "100% not you") else {
            return .continue
        }
        return .reply(reply)
    }

    func message(_ message: MilterMessage) async -> MilterVerdict {
        guard let content = try? await message.content.readAll() else { return MilterVerdict(.tempFail) }
        messages.withLock { $0.append((message, content)) }
        switch message.envelope.sender.address?.localPart {
        case "mike": return MilterVerdict(.reject)
        case "tom": return MilterVerdict(.quarantine(reason: "looked odd"))
        default: break
        }
        var changes: [MilterChange] = [.deleteHeader(name: "X-Forged", occurrence: 1)]
        let field = ByteBuffer(string: "Authentication-Results: postfix.kartapuce.test;\r\n\tspf=none\r\n")
        if let change = MilterChange.insertField(field, at: 1) { changes.append(change) }
        return MilterVerdict(.accept, changes: changes)
    }

    func messageAbandoned(_ envelope: MilterEnvelope, reason: String, session: MilterSessionInfo) async { abandoned.withLock { $0.append(reason) } }

    func connectionClosed(_ session: MilterSessionInfo, reason: String, error: MilterError?) async {
        if let error { errors.withLock { $0.append(error) } }
    }
}

/// A real Postfix that asks Postern's milter server.
@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: MilterPostfix.isInstalled, "needs Postfix, and root"))
struct MilterPostfixTests {
    static let header: [UInt8] =
        Array(
            """
            From: Bob <bob@gmail.test>\r
            To: bob@kartapuce.test\r
            Date: Sat, 28 Nov 2026 12:00:00 +0000\r
            Message-ID: <1@gmail.test>\r
            X-Forged: one\r
            Subject: folded\r
            \there\r
              and there\r
            X-Forged: two\r
            X-Empty:\r
            X-Blank: \r
            X-Two:  blanks \r
            X-Tab:\ttab\r
            X-Close:value\r
            X-Line:\r
             below\r
            X-Eight: 
            """.utf8) + [0xE4, 0xF6, 0xFC, 0x0D, 0x0A]
    /// With a line longer than Postfix's own records, dots, 8-bit octets, and enough of it for several chunks.
    static let body: [UInt8] =
        Array("Hello,\r\n.\r\n..\r\n\r\n".utf8) + [0xFF, 0xFE, 0x0D, 0x0A] + Array(String(repeating: "long ", count: 2_000).utf8) + Array("\r\n".utf8)
        + Array(String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 3_000).utf8) + Array("\r\n\r\n".utf8)
    static let message = header + [0x0D, 0x0A] + body

    private func withPostfix(version: Int = 6, _ work: (MilterPostfix, MarkingService) async throws -> Void) async throws {
        let service = MarkingService()
        var settings = MilterServer.Settings(session: MilterConfiguration(decisions: [.mail]))
        settings.memoryPerMessage = 1 << 20
        let server = MilterServer(
            listenerName: "milter", settings: settings, service: service, group: MultiThreadedEventLoopGroup.singleton,
            budget: MemoryBudget(limit: 64 << 20), makeIncomingFile: nil, logger: Logger(label: "test"))
        let folder = try LabFiles.temporaryFolder("socket")
        defer { LabFiles.remove(folder) }
        let path = "\(folder)/milter"
        let port = try await server.bind(address: .v4(0x7F00_0001), port: 0)
        do {
            try await server.bind(path: path, permissions: 0o666)
            let postfix = try await MilterPostfix(milterPort: port, milterPath: path, version: version)
            do { try await work(postfix, service) } catch {
                await postfix.stop()
                throw error
            }
            await postfix.stop()
        } catch {
            await server.shutdown(grace: .zero)
            throw error
        }
        await server.shutdown(grace: .seconds(5))
        #expect(server.openConnections == 0)
        #expect(service.errors.withLock { $0 }.isEmpty)
    }

    /// The same octets; where they differ, the place is told. (The difference of long arrays as such would take minutes to find.)
    static func expectSame(_ seen: [UInt8], _ sent: [UInt8]) {
        let place = zip(seen, sent).enumerated().first { $0.element.0 != $0.element.1 }?.offset ?? min(seen.count, sent.count)
        let isSame = seen == sent
        #expect(
            isSame,
            "\(seen.count) octets of \(sent.count), the first difference at \(place): \(String(decoding: seen[max(0, place - 20)..<min(seen.count, place + 20)], as: UTF8.self))"
        )
    }

    /// The octets with the dots that SMTP wants (RFC 5321 §4.5.2).
    static func dotted(_ message: [UInt8]) -> [UInt8] {
        var stuffed: [UInt8] = []
        var isLineStart = true
        for octet in message {
            if isLineStart, octet == UInt8(ascii: ".") { stuffed.append(octet) }
            stuffed.append(octet)
            isLineStart = octet == 0x0A
        }
        return stuffed
    }

    /// Sends a message; returns the last reply.
    private func send(_ client: ServerTestClient, from sender: String) async throws -> String {
        for line in ["MAIL FROM:<\(sender)> BODY=8BITMIME", "RCPT TO:<bob@kartapuce.test>", "DATA"] {
            let reply = try await client.say(line)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        client.push(ByteBuffer(bytes: Self.dotted(Self.message) + Array(".\r\n".utf8)))
        return await client.reply().last ?? ""
    }

    @Test(arguments: [0, 1]) func theServiceSeesWhatWasSentAndPostfixDoesWhatItSays(listener: Int) async throws {
        try await withPostfix { postfix, service in
            let client = try await ServerTestClient(port: postfix.ports[listener])
            _ = await client.reply()
            _ = try await client.say("EHLO mail.gmail.test")
            // A transaction that is given up, one that is refused at MAIL, and one that is taken, on one connection.
            #expect(try await client.say("MAIL FROM:<alice@gmail.test>").hasPrefix("250"))
            #expect(try await client.say("RCPT TO:<bob@kartapuce.test>").hasPrefix("250"))
            #expect(try await client.say("RSET").hasPrefix("250"))
            #expect(try await send(client, from: "attacker@gmail.test") == "550 5.7.1 100% not you")
            #expect(try await send(client, from: "bob@gmail.test").hasPrefix("250 2.0.0 Ok: queued as"))
            #expect(try await send(client, from: "mike@gmail.test").hasPrefix("550 5.7.1"))
            #expect(try await send(client, from: "tom@gmail.test").hasPrefix("250 2.0.0 Ok: queued as"))
            #expect(try await client.say("QUIT").hasPrefix("221"))
            #expect(await eventually { (try? postfix.delivered.count) == 1 && postfix.held == 1 }, "\(postfix.log)")

            let seen = service.messages.withLock { $0 }
            #expect(seen.map { $0.message.envelope.sender.address?.localPart } == ["bob", "mike", "tom"])
            for (_, content) in seen { Self.expectSame(Array(content.readableBytesView), Self.message) }
            let first = try #require(seen.first?.message)
            #expect(first.clientAddress == .v4(0x7F00_0001))
            #expect(first.session.helo == "mail.gmail.test")
            #expect(first.envelope.recipients.map(\.text) == ["<bob@kartapuce.test>"])
            #expect(first.envelope.sender.parameter("BODY") == "8BITMIME")
            #expect(first.macros.queueID?.isEmpty == false)
            #expect(first.macros.hostName == "postfix.kartapuce.test")
            #expect(first.macros.clientAddress == "127.0.0.1")
            #expect(first.session.negotiation?.version == 6)
            #expect(first.session.negotiation?.steps.contains([.leadingSpace, .noReplyToBody]) == true)
            #expect(service.abandoned.withLock { $0 } == ["aborted"])

            // Postfix's Received field, ours behind it, then what came, without the first X-Forged.
            let delivered = try #require(try postfix.delivered.first)
            let text = String(decoding: delivered, as: Unicode.ASCII.self)
            let received = try #require(text.range(of: "Received: "))
            let ours = try #require(text.range(of: "\r\nAuthentication-Results: postfix.kartapuce.test;\r\n\tspf=none\r\nFrom: Bob"))
            #expect(received.lowerBound < ours.lowerBound)
            #expect(!text.contains("X-Forged: one"))
            #expect(text.contains("\r\nX-Forged: two\r\n"))
        }
    }

    @Test(arguments: [2, 3, 4]) func olderVersionsLoseTheBlankBehindTheColonOnly(version: Int) async throws {
        try await withPostfix(version: version) { postfix, service in
            let client = try await ServerTestClient(port: postfix.ports[0])
            _ = await client.reply()
            _ = try await client.say("EHLO mail.gmail.test")
            #expect(try await send(client, from: "bob@gmail.test").hasPrefix("250 2.0.0 Ok: queued as"))
            #expect(try await client.say("QUIT").hasPrefix("221"))
            #expect(await eventually { (try? postfix.delivered.count) == 1 }, "\(postfix.log)")
            let (message, content) = try #require(service.messages.withLock { $0 }.first)
            #expect(message.session.negotiation?.version == UInt32(version))
            let expected = String(String.UnicodeScalarView(Self.message.map { Unicode.Scalar($0) }))
                .replacing("X-Close:value", with: "X-Close: value").replacing("X-Empty:\r\n", with: "X-Empty: \r\n")
            Self.expectSame(Array(content.readableBytesView), expected.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) })
            let text = String(decoding: try #require(try postfix.delivered.first), as: Unicode.ASCII.self)
            #expect(text.contains("\r\nAuthentication-Results: postfix.kartapuce.test;\r\n\tspf=none\r\nFrom: Bob"))
        }
    }

    @Test func mailThatIsHandedInOnTheHostIsSeenToo() async throws {
        try await withPostfix { postfix, service in
            try await postfix.handIn(Self.message.filter { $0 != 0x0D }, from: "bob@gmail.test")
            #expect(await eventually { (try? postfix.delivered.count) == 1 }, "\(postfix.log)")
            let (message, content) = try #require(service.messages.withLock { $0 }.first)
            Self.expectSame(Array(content.readableBytesView), Self.message)
            #expect(message.session.client?.hostName == "localhost")
            #expect(message.envelope.recipients.map { $0.address?.localPart } == ["bob"])
            #expect(message.macros.queueID?.isEmpty == false)
        }
    }
}
