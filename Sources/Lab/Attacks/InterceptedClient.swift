import NIOCore
import NIOPosix
import NIOSSL

/// The attacker's end of one client's connection. Everything happens on the connection's event loop, and that to the real server is on the same.
final class InterceptedClient: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let play: SMTPInterceptor.Play
    private let transcript: Transcript
    private let upstream: SocketAddress
    private let source: SocketAddress
    private var server: (any Channel)?
    private var client: (any Channel)?
    private var fromClient = LineBuffer()
    private var fromServer = LineBuffer()
    /// What the client said before there was anybody to hand it to.
    private var waiting: [ByteBuffer] = []
    /// Octets are handed on as they are, in both directions.
    private var isRaw: Bool
    /// The attacker speaks TLS with the client.
    private var isSecured = false
    /// The real server's reply to STARTTLS is next.
    private var awaitsStartTLS = false

    init(play: SMTPInterceptor.Play, transcript: Transcript, upstream: SocketAddress, source: SocketAddress) {
        self.play = play
        self.transcript = transcript
        self.upstream = upstream
        self.source = source
        isRaw = if case .pass = play { true } else { false }
    }

    func channelActive(context: ChannelHandlerContext) {
        client = context.channel
        let loop = context.eventLoop
        let this = NIOLoopBound(self, eventLoop: loop)
        ClientBootstrap(group: loop)
            .bind(to: source)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(InterceptedServer(this.value)) }
            }
            .connect(to: upstream)
            .whenComplete { result in
                switch result {
                case .success(let channel): this.value.connected(channel)
                case .failure: this.value.client?.close(promise: nil)
                }
            }
    }

    private func connected(_ channel: any Channel) {
        server = channel
        for buffer in waiting { channel.writeAndFlush(buffer, promise: nil) }
        waiting = []
        if client?.isActive != true { channel.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let octets = unwrapInboundIn(data)
        if isRaw {
            transcript.add("C", octets)
            return toServer(octets)
        }
        for line in fromClient.lines(adding: octets) { handleCommand(line, context) }
    }

    func channelInactive(context: ChannelHandlerContext) { server?.close(promise: nil) }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func handleCommand(_ line: ByteBuffer, _ context: ChannelHandlerContext) {
        transcript.add("C", line)
        guard line.isWord("STARTTLS") else { return toServer(line) }
        switch play {
        case .pass: toServer(line)
        case .strip: toServer(ByteBuffer(string: "XXXXXXXX\r\n"))
        case .refuse: toClient(ByteBuffer(string: "454 4.7.0 TLS not available due to temporary reason\r\n"))
        case .breakOff: context.close(promise: nil)
        case .inject:
            awaitsStartTLS = true
            toServer(line)
        case .impersonate(let tls):
            guard !isSecured else { return toServer(line) }
            isSecured = true
            toClient(ByteBuffer(string: "220 2.0.0 Ready to start TLS\r\n"))
            do {
                try context.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls), position: .first)
            } catch {
                context.close(promise: nil)
            }
        }
    }

    /// The real server said something.
    fileprivate func serverSaid(_ octets: ByteBuffer) {
        if isRaw {
            transcript.add("S", octets)
            return toClient(octets)
        }
        for line in fromServer.lines(adding: octets) { handleReply(line) }
    }

    private func handleReply(_ line: ByteBuffer) {
        transcript.add("S", line)
        if awaitsStartTLS {
            awaitsStartTLS = false
            isRaw = true
            return toClient(ByteBuffer(string: String(buffer: line) + "250-mail.attacker.test\r\n250-AUTH PLAIN LOGIN\r\n250 SIZE\r\n"))
        }
        let hides = if case .strip = play { true } else { isSecured }
        let text = String(buffer: line)
        toClient(hides && text.hasPrefix("250") ? ByteBuffer(string: text.replacing("STARTTLS", with: "XXXXXXXX")) : line)
    }

    fileprivate func serverClosed() { client?.close(promise: nil) }

    private func toClient(_ octets: ByteBuffer) { client?.writeAndFlush(octets, promise: nil) }

    private func toServer(_ octets: ByteBuffer) {
        guard let server else { return waiting.append(octets) }
        server.writeAndFlush(octets, promise: nil)
    }
}

/// The attacker's end of his own connection to the real server.
private final class InterceptedServer: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private let client: InterceptedClient

    init(_ client: InterceptedClient) { self.client = client }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { client.serverSaid(unwrapInboundIn(data)) }
    func channelInactive(context: ChannelHandlerContext) { client.serverClosed() }
    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}

/// Octets on their way into lines.
private struct LineBuffer {
    private var octets = ByteBuffer()

    /// The lines that are whole now, each with its end.
    mutating func lines(adding more: ByteBuffer) -> [ByteBuffer] {
        octets.writeImmutableBuffer(more)
        var lines: [ByteBuffer] = []
        while let end = octets.readableBytesView.firstIndex(of: 0x0A), let line = octets.readSlice(length: end + 1 - octets.readerIndex) { lines.append(line) }
        octets.discardReadBytes()
        return lines
    }
}

extension ByteBuffer {
    /// Whether the line is this word and nothing else.
    fileprivate func isWord(_ word: String) -> Bool { String(buffer: self).trimmingSuffix { $0.isWhitespace }.uppercased() == word }
}

extension String {
    fileprivate func trimmingSuffix(_ isTrimmed: (Character) -> Bool) -> Substring {
        var text = self[...]
        while let last = text.last, isTrimmed(last) { text.removeLast() }
        return text
    }
}
