import DNS
import Logging
import MailMessage
import MailTransport
import NIOCore
import NIOPosix
import SASL
import SMTP
import Synchronization
import Testing

/// Takes every message and remembers what it was asked.
final class ServerRecordingService: SMTPService {
    struct Memory {
        var messages: [(transaction: SMTPTransaction, content: String)] = []
        var abandoned: [String] = []
        var summaries: [SMTPSessionSummary] = []
        var authentications: [(String, SMTPReply)] = []
        var sessions: [SMTPSessionInfo] = []
    }
    private let memory = Mutex(Memory())
    let verifiers: [String: SCRAMVerifier]
    let delay: Duration
    /// Awaited before the verdict on a message.
    let gate: @Sendable () async -> Void

    init(verifiers: [String: SCRAMVerifier] = [:], delay: Duration = .zero, gate: @escaping @Sendable () async -> Void = {}) {
        self.verifiers = verifiers
        self.delay = delay
        self.gate = gate
    }

    var seen: Memory { memory.withLock { $0 } }

    func connectionOpened(_ session: SMTPSessionInfo) async -> SMTPReply? {
        memory.withLock { $0.sessions.append(session) }
        return nil
    }
    func verifier(forUser username: String, session: SMTPSessionInfo) async throws -> SCRAMVerifier? { verifiers[username] }
    func authenticationEnded(username: String, mechanism: String, reply: SMTPReply, session: SMTPSessionInfo) async {
        memory.withLock { $0.authentications.append((username, reply)) }
    }
    func reversePath(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) async -> SMTPReply {
        SMTPReply(250, EnhancedStatusCode(2, 1, 0), "Sender ok")
    }
    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        SMTPReply(250, EnhancedStatusCode(2, 1, 5), "Recipient ok")
    }
    func message(_ transaction: SMTPTransaction) async -> SMTPReply {
        try? await Task.sleep(for: delay)
        await gate()
        guard let buffer = try? await transaction.content.readAll() else { return SMTPReply(451, EnhancedStatusCode(4, 3, 0), "Unreadable") }
        memory.withLock { $0.messages.append((transaction, String(buffer: buffer))) }
        return SMTPReply(250, EnhancedStatusCode(2, 0, 0), "Taken")
    }
    func transactionAbandoned(_ transaction: SMTPTransaction, reason: String) async { memory.withLock { $0.abandoned.append(reason) } }
    func connectionClosed(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) async {
        memory.withLock { $0.summaries.append(summary) }
    }
}

/// A file of a message, in memory, that counts how it is used.
final class ServerTestFile: IncomingFile {
    struct State {
        var content = ByteBuffer()
        var appends = 0
        var discarded = false
    }
    let state = Mutex(State())
    let fails: Bool
    init(fails: Bool = false) { self.fails = fails }

    struct DiskFull: Error {}
    func append(_ buffer: ByteBuffer) async throws {
        if fails { throw DiskFull() }
        try await Task.sleep(for: .milliseconds(1))
        state.withLock {
            $0.content.writeImmutableBuffer(buffer)
            $0.appends += 1
        }
    }
    func finish() async throws -> any MessageContent { BufferedContent(state.withLock { $0.content }) }
    func discard() async { state.withLock { $0.discarded = true } }
}

/// A server on a free port of the loopback address for the time of `body`.
func withServer(
    _ configuration: SMTPServerConfiguration = SMTPServerConfiguration(hostname: "mail.kartapuce.test"), service: ServerRecordingService,
    tls: TLSServerContext? = nil, limiter: ConnectionLimiter = ConnectionLimiter(total: 1000, perNetwork: 1000),
    budget: MemoryBudget = MemoryBudget(limit: 64 << 20), makeFile: (@Sendable () async throws -> any IncomingFile)? = nil,
    proxies: [IPNetwork] = [], change: (inout SMTPServer.Settings) -> Void = { _ in }, body: (SMTPServer, Int) async throws -> Void
) async throws {
    var settings = SMTPServer.Settings(session: configuration)
    change(&settings)
    let server = SMTPServer(
        listenerName: "smtp", settings: settings, proxies: proxies, service: service, tls: tls, group: MultiThreadedEventLoopGroup.singleton, budget: budget,
        limiter: limiter, makeIncomingFile: makeFile, logger: Logger(label: "test"))
    let port = try await server.bind(address: .v4(0x7f00_0001), port: 0)
    do { try await body(server, port) } catch {
        await server.shutdown(grace: .zero)
        throw error
    }
    await server.shutdown(grace: .milliseconds(200))
    #expect(server.openSessions == 0)
}
