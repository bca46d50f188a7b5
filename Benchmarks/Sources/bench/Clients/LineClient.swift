import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// A client that sends lines and reads until the answer is complete, without looking at what is in it: it must never be the limit.
final class LineClient: Sendable {
    private let channel: any Channel
    private let handler: NIOLoopBound<AnswerHandler>

    private init(channel: any Channel, handler: NIOLoopBound<AnswerHandler>) {
        self.channel = channel
        self.handler = handler
    }

    /// When an answer is complete.
    enum Completion: Sendable {
        /// IMAP's answer with this tag (RFC 9051 §2.2.2); it is the last line.
        case tagged(String)
        /// A whole line: a greeting of IMAP.
        case line
        /// SMTP's reply of one or more lines (RFC 5321 §4.2.1).
        case reply
    }

    /// Connects; TLS where a context is given.
    /// - Parameter source: the local address to come from; nil lets the system choose.
    static func connect(
        port: Int, tls: NIOSSLContext?, source: String? = nil, group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton
    ) async throws -> LineClient {
        var bootstrap = ClientBootstrap(group: group)
            .channelOption(.socketOption(.tcp_nodelay), value: 1)
            .connectTimeout(.seconds(60))
        if let source { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0)) }
        let (channel, handler) = try await bootstrap.connect(host: "127.0.0.1", port: port) { channel in
            channel.eventLoop.makeCompletedFuture {
                if let tls { try channel.pipeline.syncOperations.addHandler(try NIOSSLClientHandler(context: tls, serverHostname: nil)) }
                let handler = AnswerHandler()
                try channel.pipeline.syncOperations.addHandler(handler)
                return (channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
            }
        }
        return LineClient(channel: channel, handler: handler)
    }

    /// Sends text, which may be empty, and waits for the whole answer.
    func exchange(_ text: ByteBuffer, until completion: Completion) async throws -> ByteBuffer {
        let (channel, handler) = (channel, handler)
        return try await channel.eventLoop.flatSubmit {
            let promise = channel.eventLoop.makePromise(of: ByteBuffer.self)
            handler.value.wait(for: completion, promise)
            if text.readableBytes > 0 { channel.writeAndFlush(text, promise: nil) }
            return promise.futureResult
        }.get()
    }

    func close() async { try? await channel.close().get() }

    /// A context that trusts whoever answers: the benchmarks' servers have certificates that they made themselves.
    static func trustingContext() throws -> NIOSSLContext {
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.certificateVerification = .none
        configuration.minimumTLSVersion = .tlsv13
        return try NIOSSLContext(configuration: configuration)
    }
}

/// Collects octets until an answer is complete.
private final class AnswerHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer

    private var collected = ByteBuffer()
    private var waiting: (completion: LineClient.Completion, promise: EventLoopPromise<ByteBuffer>)?
    private var failure: (any Error)?

    func wait(for completion: LineClient.Completion, _ promise: EventLoopPromise<ByteBuffer>) {
        if let failure { return promise.fail(failure) }
        waiting = (completion, promise)
        check()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        collected.writeBuffer(&buffer)
    }

    func channelReadComplete(context: ChannelHandlerContext) { check() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        fail(error)
        context.close(promise: nil)
    }

    func channelInactive(context: ChannelHandlerContext) { fail(BenchError("the server closed the connection")) }

    private func fail(_ error: any Error) {
        failure = failure ?? error
        waiting?.promise.fail(error)
        waiting = nil
    }

    private func check() {
        guard let (completion, promise) = waiting, isComplete(completion) else { return }
        waiting = nil
        let answer = collected
        collected = ByteBuffer()
        promise.succeed(answer)
    }

    private func isComplete(_ completion: LineClient.Completion) -> Bool {
        let view = collected.readableBytesView
        guard view.count >= 2, view.last == 0x0A else { return false }
        switch completion {
        case .line: return true
        case .tagged(let tag): return Array(lastLine(view).prefix(tag.utf8.count + 1)) == Array("\(tag) ".utf8)
        case .reply:
            let line = Array(lastLine(view).prefix(4))
            return line.count == 4 && line[3] == UInt8(ascii: " ")
        }
    }

    /// The last line; where it is very long, its end.
    private func lastLine(_ view: ByteBufferView) -> ByteBufferView.SubSequence {
        var start = view.endIndex - 1
        let limit = max(view.startIndex, view.endIndex - 8192)
        while start > limit, view[start - 1] != 0x0A { start -= 1 }
        return view[start...]
    }
}
