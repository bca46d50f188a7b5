import Foundation
package import NIOCore
import NIOPosix
package import NIOSSL
import Synchronization

/// A web server on loopback that says exactly the octets that a test wants, under TLS.
package final class ScriptedWebServer: Sendable {
    /// What it does when it has read a request.
    package enum Answer: Sendable {
        /// These octets.
        case say(String)
        /// These octets, then close_notify and the end.
        case sayAndClose(String)
        /// These octets, then the end of the connection without a word of TLS.
        case sayAndCut(String)
        /// This status with this content, as it should be.
        case content(Int, type: String, body: [UInt8])
        /// Nothing, for ever.
        case stall
        /// The first, then the second again and again as long as the client listens.
        case endless(String, String)
        /// Nothing until the test lets it go on, then this.
        case gated(Gate, then: [UInt8])
    }

    /// Something that a test opens.
    package final class Gate: Sendable {
        private let promise: EventLoopPromise<Void>
        package init(_ group: any EventLoopGroup = MultiThreadedEventLoopGroup.singleton) { promise = group.next().makePromise() }
        package func open() { promise.succeed() }
        fileprivate func whenOpen(on eventLoop: any EventLoop, _ body: @escaping @Sendable () -> Void) {
            promise.futureResult.hop(to: eventLoop).whenComplete { _ in body() }
        }
        deinit { promise.succeed() }
    }

    private final class Shared: Sendable {
        let requests = Mutex<[String]>([])
        let answers: Mutex<[String: Answer]>
        let tls: NIOSSLContext?
        init(_ answers: [String: Answer], tls: NIOSSLContext?) {
            self.answers = Mutex(answers)
            self.tls = tls
        }
    }

    package let channel: any Channel
    private let shared: Shared

    /// Also when it has stopped.
    package let port: Int
    /// The requests, whole.
    package var requests: [String] { shared.requests.withLock { $0 } }

    private init(_ channel: any Channel, _ shared: Shared) {
        self.channel = channel
        port = channel.localAddress?.port ?? 0
        self.shared = shared
    }

    /// Starts.
    /// - Parameters:
    ///   - tls: `nil`: it speaks in clear, as no server on port 443 does.
    ///   - answers: by the target of the request; `*` for all others.
    package static func start(
        tls: NIOSSLContext?, host: String = "127.0.0.1", port: Int = 0, answers: [String: Answer]
    ) async throws -> ScriptedWebServer {
        let shared = Shared(answers, tls: tls)
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls = shared.tls { try channel.pipeline.syncOperations.addHandler(NIOSSLServerHandler(context: tls)) }
                    try channel.pipeline.syncOperations.addHandler(Handler(shared))
                }
            }
            .bind(host: host, port: port).get()
        return ScriptedWebServer(channel, shared)
    }

    /// Changes what is said at a target.
    package func set(_ target: String, _ answer: Answer) { shared.answers.withLock { $0[target] = answer } }

    /// Once or again.
    package func stop() async throws {
        if channel.isActive { try await channel.close() }
    }

    private final class Handler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        private let shared: Shared
        private var text = ""
        private var isAnswered = false

        init(_ shared: Shared) { self.shared = shared }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            guard shared.tls != nil else {
                // What a web server says to the beginning of a TLS session on its port for HTTP.
                write(Array("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".utf8), context)
                return context.close(promise: nil)
            }
            text += String(buffer: unwrapInboundIn(data))
            guard !isAnswered, let end = text.range(of: "\r\n\r\n") else { return }
            let length =
                text[..<end.lowerBound].split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
                .flatMap { Int($0.dropFirst(15).filter { !$0.isWhitespace }) } ?? 0
            guard text[end.upperBound...].utf8.count >= length else { return }
            isAnswered = true
            shared.requests.withLock { $0.append(text) }
            let target = text.split(separator: " ").dropFirst().first.map(String.init) ?? ""
            let answer = shared.answers.withLock { $0[target] ?? $0["*"] } ?? .content(404, type: "text/plain", body: [])
            switch answer {
            case .say(let octets): write(Array(octets.utf8), context)
            case .sayAndClose(let octets):
                write(Array(octets.utf8), context)
                context.close(promise: nil)
            case .sayAndCut(let octets):
                let loop = context.loopBound
                context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: octets))).whenComplete { _ in
                    // Past the handler of TLS, which would say goodbye.
                    loop.value.channel.pipeline.syncOperations.removeTLS()
                }
            case .content(let status, let type, let body): write(Self.response(status, type, body), context)
            case .stall: break
            case .endless(let first, let piece):
                write(Array(first.utf8), context)
                repeated(piece, context.loopBound)
            case .gated(let gate, let body):
                let bound = context.loopBound
                let handler = NIOLoopBound(self, eventLoop: context.eventLoop)
                gate.whenOpen(on: context.eventLoop) { handler.value.write(Self.response(200, "image/svg+xml", body), bound.value) }
            }
        }

        static func response(_ status: Int, _ type: String, _ body: [UInt8]) -> [UInt8] {
            Array("HTTP/1.1 \(status) Word\r\nContent-Type: \(type)\r\nContent-Length: \(body.count)\r\n\r\n".utf8) + body
        }

        private func write(_ octets: [UInt8], _ context: ChannelHandlerContext) {
            context.writeAndFlush(wrapOutboundOut(ByteBuffer(bytes: octets)), promise: nil)
        }

        private func repeated(_ piece: String, _ context: NIOLoopBound<ChannelHandlerContext>) {
            let handler = NIOLoopBound(self, eventLoop: context.value.eventLoop)
            context.value.writeAndFlush(wrapOutboundOut(ByteBuffer(string: piece))).whenSuccess {
                // Not at once: where nothing has to be waited for, that would go ever deeper.
                context.value.eventLoop.execute { handler.value.repeated(piece, context) }
            }
        }

        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }
}

extension ChannelHandlerContext {
    fileprivate var loopBound: NIOLoopBound<ChannelHandlerContext> { NIOLoopBound(self, eventLoop: eventLoop) }
}

extension ChannelPipeline.SynchronousOperations {
    /// Closes the connection below TLS.
    fileprivate func removeTLS() {
        guard let context = try? self.context(handlerType: NIOSSLServerHandler.self) else { return }
        context.close(mode: .all, promise: nil)
    }
}
