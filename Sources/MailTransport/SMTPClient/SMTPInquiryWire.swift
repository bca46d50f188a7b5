import DNS
import MailMessage
import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
import SMTP
import TransportSecurity

/// One connection of whoever only asks.
struct SMTPInquiryWire {
    let channel: any Channel
    let handler: NIOLoopBound<SMTPInquiryHandler>
    let timeLimit: Duration

    /// The next reply.
    func reply() async throws -> SMTPReply {
        try await channel.eventLoop.flatSubmit { [handler, timeLimit] in handler.value.nextReply(within: TimeAmount(timeLimit)) }.get()
    }

    func command(_ text: String) async throws -> SMTPReply {
        try await channel.eventLoop.flatSubmit { [handler, timeLimit] in
            handler.value.write(text)
            return handler.value.nextReply(within: TimeAmount(timeLimit))
        }.get()
    }

    /// Says goodbye, and doesn't mind what the server says.
    func quit() async throws { _ = try? await command("QUIT") }

    func startTLS(_ context: TLSClientContext, serverName: String?) async throws -> TLSObservation {
        try await channel.eventLoop.flatSubmit { [handler, timeLimit] in
            handler.value.startTLS(context, serverName: serverName, within: TimeAmount(timeLimit))
        }.get()
    }

    /// - Throws: where nobody can be connected to.
    static func connect(
        _ address: IPAddress, _ port: Int, group: any EventLoopGroup, timeLimit: Duration
    ) async throws -> (any Channel, NIOLoopBound<SMTPInquiryHandler>) {
        let remote = try address.socketAddress(port: port)
        let bootstrap = ClientBootstrap(group: group).connectTimeout(TimeAmount(timeLimit))
        return try await bootstrap.connect(to: remote) { channel in
            channel.eventLoop.makeCompletedFuture {
                let handler = SMTPInquiryHandler()
                try channel.pipeline.syncOperations.addHandler(handler)
                return (channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
            }
        }
    }
}

/// Reads replies for whoever waits for them.
final class SMTPInquiryHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// Why nothing more comes.
    struct Ended: Error, CustomStringConvertible {
        var description: String
        /// Whether it is only that nothing came in time.
        var isLate = false
    }

    private var parser = SMTPReplyParser()
    private var context: ChannelHandlerContext?
    private var waiting: EventLoopPromise<SMTPReply>?
    private var handshake: EventLoopPromise<TLSObservation>?
    private var deadline: Scheduled<Void>?
    private var end: Ended?
    private let chain = PeerChain()
    private var client: (context: TLSClientContext, serverName: String?)?

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func handlerRemoved(context: ChannelHandlerContext) {
        finish(Ended(description: "the connection was closed"))
        self.context = nil
    }

    func write(_ line: String) {
        guard let context else { return }
        // The names come from a configuration or from the DNS; a line break would be another command.
        let text = line.filter { $0 != "\r" && $0 != "\n" && $0 != "\r\n" }
        context.writeAndFlush(wrapOutboundOut(ByteBuffer(string: text + "\r\n")), promise: nil)
    }

    func nextReply(within limit: TimeAmount) -> EventLoopFuture<SMTPReply> {
        guard let context else { return MultiThreadedEventLoopGroup.singleton.any().makeFailedFuture(end ?? Ended(description: "the connection was closed")) }
        let promise = context.eventLoop.makePromise(of: SMTPReply.self)
        if let end {
            promise.fail(end)
            return promise.futureResult
        }
        waiting = promise
        expire(after: limit, context)
        look()
        return promise.futureResult
    }

    func startTLS(_ tls: TLSClientContext, serverName: String?, within limit: TimeAmount) -> EventLoopFuture<TLSObservation> {
        guard let context, end == nil, !parser.holdsOctets else {
            // What comes before the handshake was put in by somebody else (RFC 3207 §6).
            return MultiThreadedEventLoopGroup.singleton.any().makeFailedFuture(end ?? Ended(description: "the server said more before the handshake"))
        }
        let promise = context.eventLoop.makePromise(of: TLSObservation.self)
        handshake = promise
        client = (tls, serverName)
        expire(after: limit, context)
        do {
            let handler = try tls.makeHandler(serverHostname: serverName, keeping: chain)
            try TLSHandshakeObserver.add(handler, isServer: false, to: context.pipeline.syncOperations, before: self)
        } catch {
            finish(Ended(description: "\(error)"))
        }
        return promise.futureResult
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        parser.append(unwrapInboundIn(data))
        look()
    }

    func channelInactive(context: ChannelHandlerContext) {
        finish(Ended(description: "the connection was closed"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if let error = error as? NIOSSLError, error == .uncleanShutdown { return }
        finish(Ended(description: "\(error)"))
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event, let client,
            let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
        {
            let summary = TLSSummary(handler: handler, in: context.pipeline.syncOperations, client: client.context, serverName: client.serverName)
            let promise = handshake
            handshake = nil
            deadline?.cancel()
            promise?.succeed(
                TLSObservation(
                    isOffered: true, protocolVersion: summary.version, cipherSuite: summary.cipher.isEmpty ? nil : summary.cipher,
                    keyExchangeGroup: summary.group, chain: chain.certificates))
        }
        context.fireUserInboundEventTriggered(event)
    }

    private func look() {
        guard let promise = waiting else { return }
        do {
            guard let reply = try parser.next(enhanced: false) else { return }
            waiting = nil
            deadline?.cancel()
            promise.succeed(reply)
        } catch {
            finish(Ended(description: "\(error)"))
        }
    }

    private func expire(after limit: TimeAmount, _ context: ChannelHandlerContext) {
        deadline?.cancel()
        deadline = context.eventLoop.assumeIsolated().scheduleTask(in: limit) {
            self.finish(Ended(description: "no answer in time", isLate: true))
            self.context?.close(promise: nil)
        }
    }

    private func finish(_ end: Ended) {
        if self.end == nil { self.end = end }
        deadline?.cancel()
        let (reply, hello) = (waiting, handshake)
        waiting = nil
        handshake = nil
        reply?.fail(end)
        hello?.fail(end)
    }
}
