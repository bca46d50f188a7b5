import DNS
import Foundation
import IMAP
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import NIOPosix
import NIOSSL
import SASL

@testable import Gateway

/// An IMAP server with implicit TLS and one with STARTTLS over the same mailboxes, in a folder that goes with them.
struct IMAPTestHouse: Sendable {
    static let password = "correct horse"
    static let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")

    let store: MailboxStore
    /// Where the store is: whoever opens it a second time is to the server what another process is.
    let folder: String
    let server: IMAPServer
    let port: Int
    let clearPort: Int
    let budget: MemoryBudget
    let clientTLS: NIOSSLContext

    /// Opens the house, and closes it after `body`.
    static func open(
        idleTimeout: Duration = .seconds(60), loginTimeout: Duration = .seconds(20), _ body: @Sendable (IMAPTestHouse) async throws -> Void
    ) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("imap-\(UUID().uuidString)").path
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(atPath: folder) }
        let store = try await MailboxStore.open(folder: folder)
        let verifier = try SCRAMVerifier(password: password, salt: [1, 2, 3, 4], iterations: 4096)
        try await store.addUser(bob, verifier: verifier)
        try await store.addUser(EmailAddress(localPart: "jack", domain: "kartapuce.test"), verifier: verifier)
        let issued = try LinkAuthority.create(now: .now).issueServer(
            hosts: ["mail.kartapuce.test"], addresses: [.v4(0x7f00_0001)], now: .now)
        let files = try issued.write(folder: folder, name: "server")
        let tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .clients)
        let budget = MemoryBudget(limit: 64 * 1024 * 1024)
        func makeServer(_ security: IMAPSession.Security) -> IMAPServer {
            let session = IMAPSession.Configuration(hostname: "mail.kartapuce.test", security: security)
            var settings = IMAPServer.Settings(session: session)
            settings.failureDelay = .milliseconds(10)
            settings.idleTimeout = idleTimeout
            settings.loginTimeout = loginTimeout
            let backend = MailboxBackend(
                directory: AccountDirectory(accounts: store), store: store, budget: budget, messageSize: 10 * 1024 * 1024,
                memoryPerMessage: 256 * 1024, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
            return IMAPServer(
                listenerName: "imaps", settings: settings, backend: backend, tls: tls, group: MultiThreadedEventLoopGroup.singleton,
                budget: budget, limiter: ConnectionLimiter(total: 100, perNetwork: 100),
                logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
        }
        let servers = [makeServer(.implicit), makeServer(.startTLS)]
        let ports = [
            try await servers[0].bind(address: .v4(0x7f00_0001), port: 0), try await servers[1].bind(address: .v4(0x7f00_0001), port: 0),
        ]
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.trustRoots = .file(files.authority)
        let house = IMAPTestHouse(
            store: store, folder: folder, server: servers[0], port: ports[0], clearPort: ports[1], budget: budget,
            clientTLS: try NIOSSLContext(configuration: configuration))
        let result = await withDiscardingTaskGroup(returning: Result<Void, any Error>.self) { group in
            for server in servers { group.addTask { await server.run() } }
            let result: Result<Void, any Error>
            do { result = .success(try await body(house)) } catch { result = .failure(error) }
            for server in servers { await server.shutdown(grace: .milliseconds(200)) }
            return result
        }
        try await store.close()
        try result.get()
    }

    /// A client that has heard the greeting.
    func connect() async throws -> IMAPTestClient {
        let client = try await IMAPTestClient(port: port, tls: clientTLS)
        _ = await client.line()
        return client
    }

    /// A client that has logged in.
    func logIn(selecting mailbox: String? = nil, user: String = "bob") async throws -> IMAPTestClient {
        let client = try await connect()
        _ = try await client.say("LOGIN \(user)@kartapuce.test \"\(Self.password)\"")
        if let mailbox { _ = try await client.say("SELECT \(mailbox)") }
        return client
    }

    /// Puts messages into INBOX from outside.
    func deliver(_ texts: String...) async throws {
        for text in texts {
            _ = try await store.deliver(
                BufferedContent(ByteBuffer(string: text)), prefix: ByteBuffer(), to: "INBOX", of: Self.bob, flags: [],
                internalDate: Date(timeIntervalSince1970: 1_795_000_000), deliveryID: nil)
        }
    }
}

/// A client that says octets and hears responses.
final class IMAPTestClient {
    private let channel: any Channel
    private var incoming: AsyncStream<ByteBuffer>.Iterator
    private var heard = ByteBuffer()
    private var count = 0
    /// The literals of the last responses.
    private(set) var literals: [ByteBuffer] = []

    private final class Listener: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let continuation: AsyncStream<ByteBuffer>.Continuation
        init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    init(port: Int, tls: NIOSSLContext? = nil) async throws {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        incoming = stream.makeAsyncIterator()
        channel = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls {
                        try channel.pipeline.syncOperations.addHandler(
                            NIOSSLClientHandler(context: tls, serverHostname: "mail.kartapuce.test"))
                    }
                    try channel.pipeline.syncOperations.addHandler(Listener(continuation))
                }
            }
            .connect(host: "127.0.0.1", port: port).get()
    }

    func send(_ text: String) async throws { try await send(ByteBuffer(string: text)) }
    func send(_ octets: ByteBuffer) async throws { try await channel.writeAndFlush(octets) }

    /// The next line, with `…` where a literal stood; `nil` when the connection is closed.
    func line() async -> String? {
        var line = ""
        while true {
            if let end = heard.readableBytesView.firstIndex(of: 10) {
                line += heard.readString(length: end - heard.readerIndex) ?? ""
                heard.moveReaderIndex(forwardBy: 1)
                line.removeLast()
                guard line.hasSuffix("}"), let open = line.lastIndex(of: "{"), let length = Int(line[open...].dropFirst().dropLast()) else {
                    return line
                }
                while heard.readableBytes < length {
                    guard let more = await incoming.next(isolation: #isolation) else { return nil }
                    heard.writeImmutableBuffer(more)
                }
                literals.append(heard.readSlice(length: length) ?? ByteBuffer())
                line += "…"
            } else if let more = await incoming.next(isolation: #isolation) {
                heard.writeImmutableBuffer(more)
            } else {
                return nil
            }
        }
    }

    /// The lines up to the tagged one, whose tag is left out; ends early when the connection is closed.
    func answer(to tag: String) async -> [String] {
        literals = []
        var lines: [String] = []
        while let line = await line() {
            guard line.hasPrefix("\(tag) ") else {
                lines.append(line)
                continue
            }
            return lines + [String(line.dropFirst(tag.count + 1))]
        }
        return lines
    }

    /// Says a command and hears its answer.
    func say(_ command: String) async throws -> [String] {
        count += 1
        try await send("t\(count) \(command)\r\n")
        return await answer(to: "t\(count)")
    }

    func append(_ message: ByteBuffer, to mailbox: String, _ arguments: String = "") async throws -> [String] {
        count += 1
        try await send("t\(count) APPEND \(mailbox) \(arguments){\(message.readableBytes)}\r\n")
        guard let line = await line(), line.hasPrefix("+") else { return ["refused"] }
        try await send(message)
        try await send("\r\n")
        return await answer(to: "t\(count)")
    }

    func startTLS(_ context: NIOSSLContext) async throws {
        let channel = channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(
                NIOSSLClientHandler(context: context, serverHostname: "mail.kartapuce.test"), position: .first)
        }.get()
    }

    func close() async { try? await channel.close() }
}
