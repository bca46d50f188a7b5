package import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// A server on loopback that follows a script and keeps what it was told: as obedient or as broken as a test wants it.
package final class ScriptedServer: Sendable {
    /// What the server does when it has read a line; the first rule whose prefix fits.
    package struct Rule: Sendable {
        package enum Answer: Sendable {
            /// Lines; CRLF is added.
            case say(String)
            /// Lines, then the connection is closed.
            case sayAndClose(String)
            case close
            /// Nothing, for ever.
            case stall
            /// 220, then a TLS handshake.
            case startTLS
            /// 354, then the message up to the final dot, then this.
            case data(then: String)
            /// The chunk, then this.
            case chunk(String)
        }
        package var prefix: String
        package var answer: Answer
        package init(_ prefix: String, _ answer: Answer) {
            self.prefix = prefix
            self.answer = answer
        }
    }

    package struct Record: Sendable {
        package var connections = 0
        package var commands: [String] = []
        package var messages: [ByteBuffer] = []
    }

    package let channel: any Channel
    private let shared: Shared

    private final class Shared: Sendable {
        let record = Mutex(Record())
        /// For each connection in turn; the last one serves all that follow.
        let scripts: [[Rule]]
        let greeting: String?
        let tls: NIOSSLContext?
        init(scripts: [[Rule]], greeting: String?, tls: NIOSSLContext?) {
            self.scripts = scripts
            self.greeting = greeting
            self.tls = tls
        }
    }

    package var record: Record { shared.record.withLock { $0 } }
    package var port: Int { channel.localAddress?.port ?? 0 }

    package static let obedient: [Rule] = [
        Rule("EHLO", .say("250-mx.gmail.test\r\n250-PIPELINING\r\n250 8BITMIME")), Rule("MAIL", .say("250 2.1.0 ok")),
        Rule("RCPT TO:<nobody", .say("550 5.1.1 unknown")), Rule("RCPT TO:<full", .say("452 4.2.2 full")),
        Rule("RCPT", .say("250 2.1.5 ok")), Rule("DATA", .data(then: "250 2.0.0 queued")), Rule("BDAT", .chunk("250 2.0.0 ok")),
        Rule("RSET", .say("250 ok")), Rule("QUIT", .sayAndClose("221 bye")),
    ]

    /// The obedient server with some rules in front.
    package static func script(_ rules: Rule...) -> [Rule] { rules + obedient }

    package static func start(
        _ group: any EventLoopGroup, scripts: [[Rule]] = [obedient], greeting: String? = "220 mx.gmail.test ESMTP",
        tls: NIOSSLContext? = nil, implicitTLS: Bool = false
    ) async throws -> ScriptedServer {
        let shared = Shared(scripts: scripts, greeting: greeting, tls: tls)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if implicitTLS, let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(Handler(shared))
                }
            }
            .bind(host: "127.0.0.1", port: 0).get()
        return ScriptedServer(channel, shared)
    }

    private init(_ channel: any Channel, _ shared: Shared) {
        self.channel = channel
        self.shared = shared
    }

    package func stop() async throws { try await channel.close().get() }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let shared: Shared
        private var rules: [Rule] = []
        private var buffer = ByteBuffer()
        private var message: ByteBuffer?
        private var chunkAnswer: (octets: Int, isLast: Bool, reply: String)?
        private var dataAnswer: String?
        private var chunks = ByteBuffer()

        init(_ shared: Shared) { self.shared = shared }

        func channelActive(context: ChannelHandlerContext) {
            let number = shared.record.withLock { record in
                record.connections += 1
                return record.connections
            }
            rules = shared.scripts[min(number, shared.scripts.count) - 1]
            if let greeting = shared.greeting { say(greeting, context) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            buffer.writeImmutableBuffer(unwrapInboundIn(data))
            while step(context) {}
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

        private func line() -> String? {
            guard let end = buffer.readableBytesView.firstIndex(of: 10) else { return nil }
            var line = buffer.readString(length: end - buffer.readableBytesView.startIndex + 1) ?? ""
            line = String(decoding: line.utf8.filter { $0 != 13 && $0 != 10 }, as: UTF8.self)
            return line
        }

        private func step(_ context: ChannelHandlerContext) -> Bool {
            if let chunk = chunkAnswer {
                guard var octets = buffer.readSlice(length: chunk.octets) else { return false }
                chunkAnswer = nil
                chunks.writeBuffer(&octets)
                if chunk.isLast { finish(chunks) }
                say(chunk.reply, context)
                return true
            }
            if dataAnswer != nil { return dataStep(context) }
            guard let command = line() else { return false }
            shared.record.withLock { $0.commands.append(command) }
            guard let rule = rules.first(where: { command.hasPrefix($0.prefix) }) else {
                say("500 5.5.1 what?", context)
                return true
            }
            switch rule.answer {
            case .say(let text): say(text, context)
            case .sayAndClose(let text):
                say(text, context)
                context.close(promise: nil)
            case .close: context.close(promise: nil)
            case .stall: return false
            case .startTLS:
                say("220 go", context)
                guard let tls = shared.tls else { return true }
                try? context.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls), position: .first)
            case .data(let reply):
                dataAnswer = reply
                message = ByteBuffer()
                say("354 go", context)
            case .chunk(let reply):
                let words = command.split(separator: " ")
                chunkAnswer = (Int(words[1]) ?? 0, words.count > 2, reply)
            }
            return true
        }

        /// Undoes the doubling of dots line by line, apart from the client's own code.
        private func dataStep(_ context: ChannelHandlerContext) -> Bool {
            let view = buffer.readableBytesView
            guard let end = view.firstIndex(of: 10), var line = buffer.readSlice(length: end - view.startIndex + 1) else { return false }
            if line == ByteBuffer(string: ".\r\n"), let reply = dataAnswer {
                finish(message ?? ByteBuffer())
                dataAnswer = nil
                say(reply, context)
                return true
            }
            if line.readableBytesView.first == UInt8(ascii: ".") { line.moveReaderIndex(forwardBy: 1) }
            message?.writeBuffer(&line)
            return true
        }

        private func finish(_ whole: ByteBuffer) {
            shared.record.withLock { $0.messages.append(whole) }
            chunks = ByteBuffer()
        }

        private func say(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
        }
    }
}
