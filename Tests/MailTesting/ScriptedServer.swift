package import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// A server on loopback that follows a script and keeps what it was told: as obedient or as broken as a test wants it.
package final class ScriptedServer: Sendable {
    /// What the server does when it has read a line; the first rule whose prefix fits.
    package struct Rule: Sendable {
        package indirect enum Answer: Sendable {
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
            /// 354, then the message up to the final dot, then this.
            case message(then: Answer)
            /// 354, then so many octets of the message, then this.
            case partOfMessage(octets: Int, then: Answer)
            /// Exactly these octets.
            case octets(ByteBuffer)
            /// The lines, one octet after the other with a pause between them.
            case drip(String, every: TimeAmount)
            /// The line again and again as long as the client listens.
            case endless(String)
            /// 220, then this instead of a TLS handshake.
            case breakTLS(Answer)
            /// The connection is reset.
            case reset
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
        /// How each message came.
        package var arrivals: [Arrival] = []
    }

    /// How a message came.
    package struct Arrival: Sendable {
        /// When its connection was opened.
        package let opened: ContinuousClock.Instant
        /// When it was complete, a moment before it was answered.
        package let completed: ContinuousClock.Instant
        package init(opened: ContinuousClock.Instant, completed: ContinuousClock.Instant) {
            self.opened = opened
            self.completed = completed
        }
    }

    package let channel: any Channel
    private let shared: Shared

    private final class Shared: Sendable {
        let record = Mutex(Record())
        /// For each connection in turn; the last one serves all that follow.
        let scripts: [[Rule]]
        let greeting: Rule.Answer?
        let tls: NIOSSLContext?
        init(scripts: [[Rule]], greeting: Rule.Answer?, tls: NIOSSLContext?) {
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
        _ group: any EventLoopGroup, host: String = "127.0.0.1", port: Int = 0, scripts: [[Rule]] = [obedient],
        greeting: String? = "220 mx.gmail.test ESMTP", tls: NIOSSLContext? = nil, implicitTLS: Bool = false
    ) async throws -> ScriptedServer {
        try await start(
            group, host: host, port: port, scripts: scripts, greetingAnswer: greeting.map { .say($0) }, tls: tls, implicitTLS: implicitTLS)
    }

    /// As the other, with whatever the server does when a client has connected.
    package static func start(
        _ group: any EventLoopGroup, host: String, port: Int, scripts: [[Rule]], greetingAnswer: Rule.Answer?, tls: NIOSSLContext? = nil,
        implicitTLS: Bool = false
    ) async throws -> ScriptedServer {
        let shared = Shared(scripts: scripts, greeting: greetingAnswer, tls: tls)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelOption(.backlog, value: 1024)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if implicitTLS, let tls {
                        try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls))
                    }
                    try channel.pipeline.syncOperations.addHandler(Handler(shared))
                }
            }
            .bind(host: host, port: port).get()
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
        private var dataAnswer: Rule.Answer?
        private var dataLimit: (octets: Int, answer: Rule.Answer)?
        private var isDeaf = false
        private var chunks = ByteBuffer()
        private var opened = ContinuousClock.now

        init(_ shared: Shared) { self.shared = shared }

        func channelActive(context: ChannelHandlerContext) {
            opened = .now
            let number = shared.record.withLock { record in
                record.connections += 1
                return record.connections
            }
            rules = shared.scripts[min(number, shared.scripts.count) - 1]
            if let greeting = shared.greeting { _ = answer(greeting, to: "", context) }
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard !isDeaf else { return }
            buffer.writeImmutableBuffer(unwrapInboundIn(data))
            while !isDeaf, step(context) {}
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
            if let (octets, then) = dataLimit {
                guard buffer.readableBytes >= octets else { return false }
                dataLimit = nil
                isDeaf = true
                return answer(then, to: "", context)
            }
            if dataAnswer != nil { return dataStep(context) }
            guard let command = line() else { return false }
            shared.record.withLock { $0.commands.append(command) }
            guard let rule = rules.first(where: { command.hasPrefix($0.prefix) }) else {
                say("500 5.5.1 what?", context)
                return true
            }
            return answer(rule.answer, to: command, context)
        }

        private func answer(_ answer: Rule.Answer, to command: String, _ context: ChannelHandlerContext) -> Bool {
            switch answer {
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
                dataAnswer = .say(reply)
                message = ByteBuffer()
                say("354 go", context)
            case .message(let then):
                dataAnswer = then
                message = ByteBuffer()
                say("354 go", context)
            case .partOfMessage(let octets, let then):
                dataLimit = (octets, then)
                say("354 go", context)
            case .octets(let octets): context.writeAndFlush(wrapOutboundOut(octets), promise: nil)
            case .drip(let text, let pause): drip(ByteBuffer(string: text + "\r\n"), pause, context)
            case .endless(let line): pour(ByteBuffer(string: String(repeating: line + "\r\n", count: 200)), context)
            case .breakTLS(let then):
                say("220 go", context)
                isDeaf = true
                return self.answer(then, to: command, context)
            case .reset:
                (context.channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0))
                    .assumeIsolated().whenComplete { _ in context.close(promise: nil) }
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
            if line == ByteBuffer(string: ".\r\n"), let then = dataAnswer {
                finish(message ?? ByteBuffer())
                dataAnswer = nil
                return answer(then, to: "", context)
            }
            if line.readableBytesView.first == UInt8(ascii: ".") { line.moveReaderIndex(forwardBy: 1) }
            message?.writeBuffer(&line)
            return true
        }

        private func finish(_ whole: ByteBuffer) {
            shared.record.withLock {
                $0.messages.append(whole)
                $0.arrivals.append(Arrival(opened: opened, completed: .now))
            }
            chunks = ByteBuffer()
        }

        private func drip(_ octets: ByteBuffer, _ pause: TimeAmount, _ context: ChannelHandlerContext) {
            var rest = octets
            guard context.channel.isActive, let next = rest.readSlice(length: 1) else { return }
            context.writeAndFlush(wrapOutboundOut(next), promise: nil)
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.eventLoop.scheduleTask(in: pause) { [rest] in bound.value.0.drip(rest, pause, bound.value.1) }
        }

        private func pour(_ lines: ByteBuffer, _ context: ChannelHandlerContext) {
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            context.writeAndFlush(wrapOutboundOut(lines)).whenSuccess { bound.value.0.pour(lines, bound.value.1) }
        }

        private func say(_ text: String, _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
        }
    }
}
