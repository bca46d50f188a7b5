import DNS
import Logging
import MailMessage
import MailTesting
import NIOCore
import NIOPosix
import SMTP
import Testing

@testable import MailTransport

@Suite("Client TLS", .serialized, .timeLimit(.minutes(2)))
struct ClientTLSTests {
    private let group = MultiThreadedEventLoopGroup.singleton
    private let certificates: ClientCertificates

    init() throws { certificates = try ClientCertificates() }

    private static let offersTLS = ScriptedServer.Rule("EHLO", .say("250-mx\r\n250-PIPELINING\r\n250 STARTTLS"))

    private func pool(_ change: (inout SMTPClientConfiguration) -> Void = { _ in }) throws -> SMTPClientPool {
        var configuration = SMTPClientConfiguration(hostname: "smtp.kartapuce.test")
        change(&configuration)
        return SMTPClientPool(
            configuration: configuration, tls: try certificates.client(), group: group, logger: Logger(label: "test"))
    }

    private func message(requiresTLS: Bool = false) -> OutboundMessage {
        let envelope = Envelope(
            reversePath: nil, recipients: [.init(address: EmailAddress(localPart: "tom", domain: "gmail.test"))],
            requiresTLS: requiresTLS)
        return OutboundMessage(envelope: envelope, content: BufferedContent(ByteBuffer(string: "a: b\r\n\r\nc\r\n")), trace: .random())
    }

    @Test("opportunistic: any certificate will do")
    func opportunistic() async throws {
        let server = try await ScriptedServer.start(
            group, scripts: [ScriptedServer.script(Self.offersTLS, .init("STARTTLS", .startTLS))], tls: certificates.server("mx"))
        let pool = try pool()
        let report = await pool.deliver(message(), to: server.target(.opportunistic))
        #expect(report.outcomes.map(\.result) == [.delivered])
        #expect(report.tls?.version == "TLSv1.3" && report.tls?.verification == .unverified)
        #expect(server.record.commands.prefix(3) == ["EHLO smtp.kartapuce.test", "STARTTLS", "EHLO smtp.kartapuce.test"])
        await pool.shutdown()
        try await server.stop()
    }

    /// Promises TLS and doesn't know it; closes; refuses.
    static let broken: [ScriptedServer.Rule.Answer] = [.say("220 go"), .close, .say("454 4.7.0 no")]

    @Test("opportunistic: plain text where TLS fails, and it is said", arguments: [0, 1, 2])
    func fallback(_ index: Int) async throws {
        // No TLS context: after 220 the server reads the handshake as commands.
        let server = try await ScriptedServer.start(
            group, scripts: [ScriptedServer.script(Self.offersTLS, .init("STARTTLS", Self.broken[index]))])
        let pool = try pool { if index == 0 { $0.timeouts.handshake = .milliseconds(500) } }
        let report = await pool.deliver(message(), to: server.target(.opportunistic))
        #expect(report.outcomes.map(\.result) == [.delivered], "\(report.failures)")
        #expect(report.tls == nil)
        #expect(report.failures.count == 1 && report.failures.allSatisfy { $0.contains("plain text") })
        #expect(server.record.connections == (index == 2 ? 1 : 2))
        await pool.shutdown()
        try await server.stop()
    }

    @Test("plain text after the reply to STARTTLS stops everything")
    func injection() async throws {
        let server = try await ScriptedServer.start(
            group, scripts: [ScriptedServer.script(Self.offersTLS, .init("STARTTLS", .say("220 go\r\n250 evil")))])
        let pool = try pool()
        let report = await pool.deliver(message(), to: server.target(.opportunistic))
        #expect(report.outcomes.map(\.reply.enhancedStatus) == [EnhancedStatusCode(4, 7, 0)])
        #expect(server.record.connections == 1)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("verified: the name must fit, and TLS must be there")
    func verified() async throws {
        let script = ScriptedServer.script(Self.offersTLS, .init("STARTTLS", .startTLS))
        let server = try await ScriptedServer.start(group, scripts: [script], tls: certificates.server("mx"))
        let pool = try pool()
        let good = await pool.deliver(message(), to: server.target(.verified, hostname: "mx.kartapuce.test"))
        #expect(good.outcomes.map(\.result) == [.delivered] && good.tls?.verification == .verified)
        let wrong = await pool.deliver(message(), to: server.target(.verified, hostname: "mx.gmail.test"))
        #expect(wrong.outcomes.map(\.reply.enhancedStatus) == [EnhancedStatusCode(4, 7, 5)])
        #expect(wrong.outcomes.map(\.result) == [.deferred])
        #expect(server.record.messages.count == 1)
        try await server.stop()
        for script in [ScriptedServer.obedient, ScriptedServer.script(Self.offersTLS, .init("STARTTLS", .say("554 no")))] {
            let plain = try await ScriptedServer.start(group, scripts: [script])
            let report = await pool.deliver(message(), to: plain.target(.verified, hostname: "mx.kartapuce.test"))
            #expect(report.outcomes.map(\.reply.enhancedStatus) == [EnhancedStatusCode(4, 7, 5)])
            #expect(plain.record.messages.isEmpty)
            try await plain.stop()
        }
        await pool.shutdown()
    }

    @Test("a handshake that never ends")
    func stalledHandshake() async throws {
        let server = try await ScriptedServer.start(group, scripts: [[.init("", .stall)]], greeting: nil)
        let pool = try pool { $0.timeouts.handshake = .milliseconds(150) }
        let report = await pool.deliver(message(), to: server.target(.link, role: "store"))
        #expect(report.outcomes.map(\.result) == [.deferred])
        #expect(report.outcomes.first?.reply.lines.first?.contains("timed out while negotiating TLS") == true)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("links: TLS 1.3 both ways, and the role counts")
    func link() async throws {
        let rules = ScriptedServer.script(.init("EHLO", .say("250-store\r\n250-PIPELINING\r\n250-CHUNKING\r\n250 XTRACE")))
        let server = try await ScriptedServer.start(
            group, scripts: [rules], tls: certificates.linkServer("store"), implicitTLS: true)
        let pool = try pool()
        let message = message()
        let good = await pool.deliver(message, to: server.target(.link, hostname: "store.kartapuce.test", role: "store"))
        #expect(good.outcomes.map(\.result) == [.delivered])
        #expect(good.tls?.version == "TLSv1.3" && good.tls?.peerRoles == ["store"] && good.tls?.verification == .verified)
        #expect(server.record.commands.contains("MAIL FROM:<> XTRACE=\(message.trace?.description ?? "?")"))
        for role in ["mx", nil] {
            let wrong = await pool.deliver(message, to: server.target(.link, hostname: "store.kartapuce.test", role: role))
            #expect(wrong.outcomes.map(\.reply.enhancedStatus) == [EnhancedStatusCode(4, 7, 5)])
        }
        #expect(server.record.messages.count == 1)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("the trace identity stays at home")
    func noTrace() async throws {
        let server = try await ScriptedServer.start(
            group, scripts: [ScriptedServer.script(.init("EHLO", .say("250-mx\r\n250 XTRACE")))])
        let pool = try pool()
        _ = await pool.deliver(message(), to: server.target())
        #expect(server.record.commands.contains("MAIL FROM:<>"))
        await pool.shutdown()
        try await server.stop()
    }

    @Test("REQUIRETLS is never sent in plain text")
    func requireTLS() async throws {
        let server = try await ScriptedServer.start(
            group, scripts: [ScriptedServer.script(Self.offersTLS, .init("STARTTLS", .close))])
        let pool = try pool()
        var required = message(requiresTLS: true)
        required.envelope.reversePath = EmailAddress(localPart: "bob", domain: "kartapuce.test")
        let report = await pool.deliver(required, to: server.target(.opportunistic))
        #expect(report.outcomes.map(\.result) == [.deferred])
        #expect(server.record.connections == 1 && server.record.messages.isEmpty)
        // A notice isn't lost for want of it (RFC 8689 §5).
        let notice = await pool.deliver(message(requiresTLS: true), to: server.target(.opportunistic))
        #expect(notice.outcomes.map(\.result) == [.delivered])
        #expect(server.record.messages.count == 1)
        await pool.shutdown()
        try await server.stop()
    }

    @Test("a mail client submits with a password", arguments: [SMTPSubmitter.Security.implicitTLS, .startTLS])
    func submit(_ security: SMTPSubmitter.Security) async throws {
        let ehlo =
            security == .startTLS
            ? "250-mx\r\n250-STARTTLS\r\n250 AUTH PLAIN" : "250-mx\r\n250 AUTH PLAIN"
        let server = try await ScriptedServer.start(
            group,
            scripts: [
                ScriptedServer.script(
                    .init("EHLO", .say(ehlo)), .init("STARTTLS", .startTLS),
                    .init("AUTH PLAIN AGJvYgBzZWNyZXQ=", .say("235 2.7.0 welcome")), .init("AUTH", .say("535 5.7.8 wrong")))
            ], tls: certificates.server("mx"), implicitTLS: security == .implicitTLS)
        var submitter = SMTPSubmitter(
            hostname: "mx.kartapuce.test", address: .v4(0x7F00_0001), port: server.port, security: security,
            credentials: SMTPCredentials(username: "bob", password: "secret"), tls: try certificates.client().verified, group: group)
        let message = message()
        let report = try await submitter.send(message.envelope, content: message.content)
        #expect(report.outcomes.map(\.result) == [.delivered])
        #expect(!report.exchanges.contains { $0.command.contains("AGJv") })
        submitter.credentials = SMTPCredentials(username: "bob", password: "guess")
        let error = await #expect(throws: SMTPSubmissionError.self) {
            try await submitter.send(message.envelope, content: message.content)
        }
        #expect(error?.reply.description == "535 5.7.8 wrong")
        var unknown = message.envelope
        unknown.recipients.append(.init(address: EmailAddress(localPart: "nobody", domain: "gmail.test")))
        submitter.credentials = SMTPCredentials(username: "bob", password: "secret")
        let refused = await #expect(throws: SMTPSubmissionError.self) {
            try await submitter.send(unknown, content: message.content)
        }
        #expect(refused?.reply.code == 550 && refused?.report.outcomes.map(\.result) == [.delivered, .failed])
        try await server.stop()
    }
}
