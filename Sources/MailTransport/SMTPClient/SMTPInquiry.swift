public import DNS
import MailMessage
public import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
public import SMTP
public import TransportSecurity

/// A conversation with a server that only asks: what it says at the beginning, what it offers, which envelopes it would take. Nothing is ever sent:
/// the words DATA and BDAT aren't spoken.
///
///     S: 220 mx.kartapuce.test ESMTP
///     C: EHLO mail.gmail.test
///     C: STARTTLS
///     C: MAIL FROM:<> / RCPT TO:<…> / RSET
///     C: QUIT
public struct SMTPInquiry: Sendable {
    /// An envelope to try.
    public struct Envelope: Sendable {
        /// The argument of MAIL FROM, without brackets.
        public var sender: String
        /// The argument of RCPT TO, without brackets.
        public var recipient: String

        /// Makes an envelope.
        public init(sender: String, recipient: String) {
            self.sender = sender
            self.recipient = recipient
        }
    }

    /// What came of it.
    public struct Result: Sendable {
        /// Why there was no connection.
        public var connectionFailure: String?
        /// The greeting, whatever its code.
        public var greeting: SMTPReply?
        /// What EHLO was answered, the server's name first.
        public var hello: SMTPReply?
        /// What is known of TLS.
        public var tls = TLSObservation(isOffered: false)
        /// The answers to the envelopes: that to RCPT, or to MAIL where that was refused.
        public var answers: [SMTPReply] = []
        /// Why the conversation ended before its time.
        public var interruption: String?
    }

    private let group: any EventLoopGroup
    private let tls: TLSClientContext
    private let timeLimit: Duration
    private let helloName: String

    /// - Parameters:
    ///   - helloName: what we call ourselves.
    ///   - timeLimit: for connecting, and for each answer.
    /// - Throws: ``TLSFailure``.
    public init(helloName: String, timeLimit: Duration = .seconds(15), group: any EventLoopGroup) throws {
        self.group = group
        tls = try .observing()
        self.timeLimit = timeLimit
        self.helloName = helloName
    }

    /// Asks.
    public func ask(_ address: IPAddress, port: Int = 25, serverName: String?, envelopes: [Envelope]) async -> Result {
        var result = Result()
        let channel: any Channel
        let line: NIOLoopBound<SMTPInquiryHandler>
        do {
            (channel, line) = try await connect(address, port)
        } catch {
            result.connectionFailure = SMTPClientConnection.reason(error)
            return result
        }
        do {
            try await converse(Wire(channel: channel, handler: line, timeLimit: timeLimit), serverName, envelopes, &result)
        } catch {
            result.interruption = "\(error)"
        }
        channel.close(promise: nil)
        return result
    }

    private func converse(_ wire: Wire, _ serverName: String?, _ envelopes: [Envelope], _ result: inout Result) async throws {
        let greeting = try await wire.reply()
        result.greeting = greeting
        guard greeting.isPositive else { return try await wire.quit() }
        var hello = try await wire.command("EHLO \(helloName)")
        result.hello = hello
        if hello.lines.dropFirst().contains(where: { $0.uppercased() == "STARTTLS" }) {
            result.tls.isOffered = true
            let go = try await wire.command("STARTTLS")
            if go.isPositive {
                do {
                    result.tls = try await wire.startTLS(tls, serverName: serverName)
                } catch {
                    result.tls.handshakeFailure = "\(error)"
                    return
                }
                hello = try await wire.command("EHLO \(helloName)")
            } else {
                result.tls.handshakeFailure = "STARTTLS was refused: \(go)"
            }
        }
        for envelope in envelopes {
            var answer = try await wire.command("MAIL FROM:<\(envelope.sender)>")
            if answer.isPositive { answer = try await wire.command("RCPT TO:<\(envelope.recipient)>") }
            result.answers.append(answer)
            // A server that has had enough says so and goes.
            if answer.code == 421 { return }
            _ = try await wire.command("RSET")
        }
        try await wire.quit()
    }

    private func connect(_ address: IPAddress, _ port: Int) async throws -> (any Channel, NIOLoopBound<SMTPInquiryHandler>) {
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

    /// One connection.
    private struct Wire {
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
    }
}

/// Reads replies for whoever waits for them.
private final class SMTPInquiryHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private struct Ended: Error, CustomStringConvertible {
        var description: String
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
            self.finish(Ended(description: "no answer in time"))
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
