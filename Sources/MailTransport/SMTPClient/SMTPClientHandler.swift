import MailMessage
import NIOCore
import NIOSSL
import NIOTLS
import PosternMetrics
import SASL
import SMTP
import TransportSecurity

/// How one connection is to be opened.
struct SMTPConnectionPlan: Sendable {
    var session: SMTPClientSession.Configuration
    /// For STARTTLS, or for TLS from the first octet if the session says so.
    var tls: TLSClientContext?
    /// What is asked for by SNI and compared with the certificate.
    var serverName: String?
    /// The role that the peer's certificate must name.
    var requiredRole: String?
    /// Every certificate is taken, and the chain is kept for a judge.
    var isObserved = false
    var timeouts: SMTPClientConfiguration.Timeouts
}

/// What came of a transaction on a connection.
struct SMTPSentMessage: Sendable {
    var result: SMTPClientResult
    /// The connection may serve another message.
    var canContinue: Bool
    var exchanges: [SMTPClientExchange]
}

/// Runs a client session on a channel: carries out its actions, reads the clock, keeps its timer.
final class SMTPClientHandler: ChannelInboundHandler, Expiring {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private let plan: SMTPConnectionPlan
    private var session: SMTPClientSession
    private var context: ChannelHandlerContext?
    private var wheel: DeadlineWheel?
    private var expiry: DeadlineWheel.Place?
    /// When what is waited for must have come.
    private var deadline: NIODeadline?
    private var readiness: EventLoopPromise<Void>?
    private var isReadinessKnown = false
    private var sending: EventLoopPromise<SMTPSentMessage>?
    private var content: (any MessageContent)?
    /// Distinguishes the octets of this message from octets that were asked for on behalf of one before.
    private var contentGeneration = 0
    /// A piece of the message that waits for the channel to be writable.
    private var awaitedRange: Range<Int>?
    private var awaitsImplicitTLS: Bool
    private var maxIdle = Duration.zero

    private let chain = PeerChain()

    /// The TLS session, once there is one.
    private(set) var tls: TLSSummary?

    init(plan: SMTPConnectionPlan) {
        self.plan = plan
        var configuration = plan.session
        if configuration.credentials != nil {
            var generator = SystemRandomNumberGenerator()
            let octets = (0..<24).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
            configuration.authenticationNonce = Base64.encode(octets)
        }
        session = SMTPClientSession(configuration: configuration)
        awaitsImplicitTLS = plan.session.hasImplicitTLS
    }

    // MARK: Calls of the connection, on its event loop

    /// Succeeds when a transaction can begin; fails with ``SMTPClientFailure``.
    func whenReady() -> EventLoopFuture<Void>? { readiness?.futureResult }

    /// What the peer answered to STARTTLS if it refused it.
    var startTLSRefusal: SMTPReply? { session.startTLSRefusal }

    /// What a judge sees of the session.
    var observation: TLSObservation {
        var observation = TLSObservation(isOffered: tls != nil || session.startTLSRefusal != nil || session.extensions.startTLS)
        observation.handshakeFailure = session.startTLSRefusal.map { "STARTTLS was refused: \($0)" }
        observation.protocolVersion = tls?.version
        observation.cipherSuite = tls.flatMap { $0.cipher.isEmpty ? nil : $0.cipher }
        observation.keyExchangeGroup = tls?.group
        observation.chain = chain.certificates
        observation.offersRequireTLS = session.extensions.requireTLS
        return observation
    }

    func takeExchanges() -> [SMTPClientExchange] { session.takeExchanges() }

    func send(_ transaction: SMTPClientTransaction, _ content: any MessageContent, _ promise: EventLoopPromise<SMTPSentMessage>) {
        // Only a judge lets a message that requires TLS come so far.
        if plan.isObserved, transaction.envelope.requiresTLS { session.peerWasVerified() }
        sending = promise
        self.content = content
        contentGeneration += 1
        perform(session.start(transaction, at: now))
    }

    /// Keeps the connection for another message, at most for this long.
    func becomeIdle(for duration: Duration) {
        maxIdle = duration
        rearm()
    }

    func quit() { perform(session.quit(at: now)) }

    // MARK: Channel

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        wheel = DeadlineWheel.current(of: context.eventLoop)
        readiness = context.eventLoop.makePromise()
        if context.channel.isActive { begin() }
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        perform(session.closed())
        if !isReadinessKnown { knowReadiness(.failure(Self.closedFailure)) }
        if let expiry { wheel?.cancel(self, expiry) }
        expiry = nil
        self.context = nil
    }

    func channelActive(context: ChannelHandlerContext) {
        begin()
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        perform(session.closed())
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        perform(session.received(unwrapInboundIn(data), at: now))
    }

    func channelWritabilityChanged(context: ChannelHandlerContext) {
        if context.channel.isWritable, let range = awaitedRange {
            awaitedRange = nil
            perform([.readContent(range)])
        }
        context.fireChannelWritabilityChanged()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if let event = event as? TLSUserEvent, case .handshakeCompleted = event { handshakeCompleted() }
        context.fireUserInboundEventTriggered(event)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if isHandshaking {
            failHandshake("\(error)")
        } else if let error = error as? NIOSSLError, error == .uncleanShutdown {
            // Many servers close without TLS's own farewell. Every reply has its end, so nothing can be cut off unseen.
            perform(session.closed())
        } else {
            perform(session.closed(reason: "\(error)"))
        }
    }

    // MARK: Connection and TLS

    private func begin() {
        if awaitsImplicitTLS {
            rearm()
        } else {
            perform(session.connected(at: now))
        }
    }

    private var isHandshaking: Bool { awaitsImplicitTLS || session.wait == .handshake }

    private func handshakeCompleted() {
        guard isHandshaking, let context, let client = plan.tls else { return }
        guard let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self) else {
            return failHandshake("the TLS handler is gone")
        }
        let summary = TLSSummary(handler: handler, in: context.pipeline.syncOperations, client: client, serverName: plan.serverName)
        tls = summary
        Metrics.countHandshake(isServer: false, version: summary.version, group: summary.group)
        if let role = plan.requiredRole, !summary.peerRoles.contains(role) {
            let roles = summary.peerRoles.sorted().joined(separator: ", ")
            return failHandshake("the peer's certificate names the roles [\(roles)], but not \(role)")
        }
        let isVerified = summary.verification == .verified
        let binding: ChannelBinding? = plan.session.credentials.flatMap { _ in
            let certificate = handler.peerCertificate.flatMap { try? $0.toDERBytes() }
            return certificate.flatMap { try? .tlsServerEndPoint(TLSServerContext.endPointBinding(derBytes: $0)) }
        }
        if awaitsImplicitTLS {
            awaitsImplicitTLS = false
            perform(session.connected(isVerified: isVerified, channelBinding: binding, at: now))
        } else {
            perform(session.tlsEstablished(isVerified: isVerified, channelBinding: binding, at: now))
        }
    }

    private func failHandshake(_ reason: String) {
        Metrics.handshakes.add(.clientFailed)
        perform(session.abort(SMTPReply(451, EnhancedStatusCode(4, 7, 5), "TLS failed: \(reason)")))
    }

    private func startTLS() {
        guard let context, let client = plan.tls else { return failHandshake("no TLS context") }
        do {
            let handler =
                plan.isObserved
                ? try client.makeHandler(serverHostname: plan.serverName, keeping: chain) : try client.makeHandler(serverHostname: plan.serverName)
            try TLSHandshakeObserver.add(handler, isServer: false, to: context.pipeline.syncOperations, before: self)
        } catch {
            failHandshake("\(error)")
        }
    }

    // MARK: Actions

    private var now: Duration { .nanoseconds(Int64(clamping: NIODeadline.now().uptimeNanoseconds)) }

    private func perform(_ actions: [SMTPClientSession.Action]) {
        var queue = CircularBuffer<SMTPClientSession.Action>()
        queue.append(contentsOf: actions)
        while let action = queue.popFirst() {
            switch action {
            case .write(let bytes): context?.writeAndFlush(wrapOutboundOut(bytes), promise: nil)
            case .startTLS: startTLS()
            case .ready: knowReadiness(.success(()))
            case .readContent(let range):
                if let bytes = bytesAtOnce(range) { queue.append(contentsOf: session.content(bytes, at: now)) }
            case .finished(let result): finish(result)
            case .failed(let failure): knowReadiness(.failure(failure))
            case .close: context?.close(promise: nil)
            }
        }
        rearm()
    }

    private func knowReadiness(_ result: Result<Void, any Error>) {
        isReadinessKnown = true
        readiness?.completeWith(result)
    }

    private static let closedFailure = SMTPClientFailure(
        stage: .greeting, reply: SMTPReply(451, EnhancedStatusCode(4, 4, 2), "the connection was closed"), isLocal: true)

    private func finish(_ result: SMTPClientResult) {
        content = nil
        awaitedRange = nil
        let promise = sending
        sending = nil
        maxIdle = .zero
        promise?.succeed(
            SMTPSentMessage(result: result, canContinue: session.canBegin, exchanges: session.takeExchanges()))
    }

    /// The octets if they can be had and written now; otherwise they come later.
    private func bytesAtOnce(_ range: Range<Int>) -> ByteBuffer? {
        guard let context, let content else { return nil }
        guard context.channel.isWritable else {
            awaitedRange = range
            return nil
        }
        if let buffered = content as? BufferedContent {
            let buffer = buffered.buffer
            return buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
        }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let eventLoop = context.eventLoop
        let generation = contentGeneration
        // The task reads and hands over; what becomes of the message is decided here, and by whoever waits for the result.
        Task {
            do {
                let bytes = try await content.read(range)
                eventLoop.execute { bound.value.contentArrived(bytes, generation) }
            } catch {
                let reason = "\(error)"
                eventLoop.execute { bound.value.contentFailed(reason, generation) }
            }
        }
        return nil
    }

    private func contentArrived(_ bytes: ByteBuffer, _ generation: Int) {
        guard generation == contentGeneration, content != nil else { return }
        perform(session.content(bytes, at: now))
    }

    private func contentFailed(_ reason: String, _ generation: Int) {
        guard generation == contentGeneration, content != nil else { return }
        perform(session.contentFailed(reason))
    }

    // MARK: Time

    /// Every event begins the waiting anew, for as long as what is waited for now may take.
    private func rearm() {
        deadline = nil
        guard let context, context.channel.isActive else { return }
        let duration: Duration
        if awaitsImplicitTLS {
            duration = plan.timeouts.handshake
        } else if let wait = session.wait {
            duration = plan.timeouts.duration(for: wait)
        } else if maxIdle > .zero {
            duration = maxIdle
        } else {
            return
        }
        let time = NIODeadline.now() + TimeAmount(duration)
        deadline = time
        // Called too early, it waits for the rest: that happens once in many messages.
        if let expiry, expiry.isBefore(time) { return }
        expiry = wheel?.expire(self, at: time, instead: expiry)
    }

    func timeIsUp() {
        expiry = nil
        guard let deadline else { return }
        guard deadline <= .now() else {
            expiry = wheel?.expire(self, at: deadline)
            return
        }
        if awaitsImplicitTLS || session.wait != nil {
            perform(session.timedOut())
        } else {
            quit()
        }
    }
}
