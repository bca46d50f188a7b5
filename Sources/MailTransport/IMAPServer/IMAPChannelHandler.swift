import NIOCore
import NIOSSL
import NIOTLS
import PosternMetrics

/// Hands a channel's events to the one task that serves the connection, one at a time. Nothing is read while nobody waits for it.
final class IMAPChannelHandler: ChannelDuplexHandler, Expiring {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    /// What the task can wait for.
    enum Received: Sendable {
        case octets(ByteBuffer)
        /// The connection is ready: what is written before may lie about until something else is. Comes first, where TLS doesn't.
        case opened
        /// TLS has begun.
        case secured(TLSSummary)
        /// ``wake()`` was called.
        case woken
        case timedOut
        /// The server stops. Comes once.
        case shutdown
        /// Nothing more comes.
        case ended
    }

    /// How long a connection that we close may take to take notice.
    private static let lingering = TimeAmount.seconds(2)

    private let tls: TLSServerContext?
    private var context: ChannelHandlerContext?
    private weak var tlsHandler: NIOSSLServerHandler?
    private var waiter: CheckedContinuation<Received, Never>?
    private var wheel: DeadlineWheel?
    /// Where the task's waiting ends: for the client's words, or until it has taken ours.
    private var expiry: DeadlineWheel.Place?
    private var isWriting = false
    private var pending = ByteBuffer()
    private var summary: TLSSummary?
    /// TLS was established; ``summary`` is there only until it is handed over.
    private var isSecured = false
    private var isOpened = false
    private var isReadWanted = false
    private var isWoken = false
    private var isShutDown = false
    private var isEnded = false
    private var isClosing = false

    /// - Parameter tlsHandler: is in the pipeline already, where TLS begins with the connection.
    init(tls: TLSServerContext?, tlsHandler: NIOSSLServerHandler?) {
        self.tls = tls
        self.tlsHandler = tlsHandler
    }

    // MARK: - The task's side, on the event loop

    func receive(until deadline: NIODeadline, _ continuation: CheckedContinuation<Received, Never>) {
        waiter = continuation
        deliver()
        guard waiter != nil, context != nil else { return }
        expire(at: deadline)
        readIfWanted()
    }

    /// Writes; the promise is kept when the octets have left. A client that takes nothing for `timeout` loses its connection.
    func write(_ buffer: ByteBuffer, timeout: TimeAmount, _ promise: EventLoopPromise<Void>) {
        guard let context else { return promise.fail(ChannelError.ioOnClosedChannel) }
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(buffer), promise: promise)
        isWriting = true
        expire(at: .now() + timeout)
        promise.futureResult.whenComplete { _ in bound.value.written() }
    }

    private func written() {
        isWriting = false
        if !isClosing { cancelExpiry() }
    }

    private func expire(at deadline: NIODeadline) {
        expiry = wheel?.expire(self, at: deadline, instead: expiry)
    }

    private func cancelExpiry() {
        if let expiry { wheel?.cancel(self, expiry) }
        expiry = nil
    }

    func timeIsUp() {
        expiry = nil
        if isWriting || isClosing { context?.close(promise: nil) } else { resume(.timedOut) }
    }

    func wake() {
        isWoken = true
        deliver()
    }

    func shutDown() {
        isShutDown = true
        deliver()
    }

    /// Writes the last words in clear, forgets what came in clear, and lets TLS have what follows.
    func startTLS(reply: ByteBuffer) throws {
        guard let context, let tls else { throw ChannelError.ioOnClosedChannel }
        context.writeAndFlush(wrapOutboundOut(reply), promise: nil)
        pending = ByteBuffer()
        let handler = tls.makeHandler()
        tlsHandler = handler
        try TLSHandshakeObserver.add(handler, isServer: true, to: context.pipeline.syncOperations, before: self)
    }

    /// Closes so that what was written last is heard.
    func close() {
        guard !isClosing, let context else { return }
        isClosing = true
        pending = ByteBuffer()
        // A plain close with octets unread would make the kernel reset the connection, and our last words would be lost with it: end our
        // side, and wait a moment until the client has read.
        if !isEnded { expire(at: .now() + Self.lingering) }
        if tlsHandler == nil, !isEnded { context.close(mode: .output, promise: nil) } else { context.close(promise: nil) }
        readIfWanted()
    }

    private func deliver() {
        guard waiter != nil else { return }
        if isShutDown, !isClosing {
            isShutDown = false
            resume(.shutdown)
        } else if isOpened {
            isOpened = false
            resume(.opened)
        } else if let summary {
            self.summary = nil
            resume(.secured(summary))
        } else if pending.readableBytes > 0 {
            let octets = pending
            pending = ByteBuffer()
            resume(.octets(octets))
        } else if isEnded {
            resume(.ended)
        } else if isWoken {
            isWoken = false
            resume(.woken)
        }
    }

    private func resume(_ received: Received) {
        if !isWriting { cancelExpiry() }
        let resumed = waiter
        waiter = nil
        resumed?.resume(returning: received)
    }

    // MARK: - The channel's side

    func handlerAdded(context: ChannelHandlerContext) {
        self.context = context
        wheel = DeadlineWheel.current(of: context.eventLoop)
        // Behind a proxy the connection began before.
        if context.channel.isActive { opened() }
    }

    func channelActive(context: ChannelHandlerContext) {
        opened()
        context.fireChannelActive()
    }

    private func opened() {
        guard tlsHandler == nil else { return }
        isOpened = true
        deliver()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.context = nil
        cancelExpiry()
        isEnded = true
        deliver()
    }

    func read(context: ChannelHandlerContext) {
        if waiter != nil || isClosing { context.read() } else { isReadWanted = true }
    }

    private func readIfWanted() {
        guard isReadWanted, waiter != nil || isClosing else { return }
        isReadWanted = false
        context?.read()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isClosing else { return }
        pending.writeImmutableBuffer(unwrapInboundIn(data))
        deliver()
    }

    func channelInactive(context: ChannelHandlerContext) {
        isEnded = true
        deliver()
        context.fireChannelInactive()
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case TLSUserEvent.handshakeCompleted:
            guard let tlsHandler, let tls else { return }
            let session = TLSSummary(handler: tlsHandler, in: context.pipeline.syncOperations, server: tls)
            Metrics.countHandshake(isServer: true, version: session.version, group: session.group)
            isSecured = true
            summary = session
            deliver()
        case ChannelEvent.inputClosed:
            isEnded = true
            if isClosing { context.close(promise: nil) } else { deliver() }
        default: context.fireUserInboundEventTriggered(event)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        if tlsHandler != nil, !isSecured, !isEnded { Metrics.handshakes.add(.serverFailed) }
        isEnded = true
        deliver()
        context.close(promise: nil)
    }
}

/// A connection, for the task that serves it.
final class IMAPConnection: Sendable {
    let channel: any Channel
    let info: IMAPConnectionInfo
    private let handler: NIOLoopBound<IMAPChannelHandler>

    /// Call it on the channel's event loop.
    init(channel: any Channel, handler: IMAPChannelHandler, info: IMAPConnectionInfo) {
        self.channel = channel
        self.info = info
        self.handler = NIOLoopBound(handler, eventLoop: channel.eventLoop)
    }

    func receive(until deadline: NIODeadline) async -> IMAPChannelHandler.Received {
        await withCheckedContinuation { continuation in
            onLoop { self.handler.value.receive(until: deadline, continuation) }
        }
    }

    /// Returns when the octets have left. A client that takes nothing for `timeout` loses its connection.
    func write(_ buffer: ByteBuffer, timeout: TimeAmount) async throws {
        let promise = channel.eventLoop.makePromise(of: Void.self)
        onLoop { self.handler.value.write(buffer, timeout: timeout, promise) }
        try await promise.futureResult.get()
    }

    /// The task is on the event loop already, most of the time.
    private func onLoop(_ body: @escaping @Sendable () -> Void) {
        if channel.eventLoop.inEventLoop { body() } else { channel.eventLoop.execute(body) }
    }

    func startTLS(reply: ByteBuffer) async throws {
        try await channel.eventLoop.submit { try self.handler.value.startTLS(reply: reply) }.get()
    }

    func wake() { channel.eventLoop.execute { self.handler.value.wake() } }

    func shutDown() { channel.eventLoop.execute { self.handler.value.shutDown() } }

    func close() { onLoop { self.handler.value.close() } }
}
