public import DNS
import FoundationEssentials
public import Logging
public import MailMessage
public import NIOCore
import NIOPosix
import PosternMetrics
public import SMTP
import Synchronization

/// Accepts connections and runs an ``SMTPServerSession`` on each. One server is one listener of the configuration.
public final class SMTPServer: Sendable {
    /// What the transport adds to what the protocol has.
    public struct Settings: Sendable {
        /// How SMTP is spoken, with its limits.
        public var session: SMTPServerConfiguration
        /// Messages larger than this are written to a file while they arrive, in octets.
        public var memoryPerMessage = 256 * 1024
        /// How long the greeting is held back; who speaks before it is refused.
        public var greetingDelay: Duration = .zero
        /// How long a client may be silent in a TLS handshake.
        public var handshakeTimeout: Duration = .seconds(60)
        /// Clients of these networks may end lines with LF alone.
        public var bareLineFeedNetworks: [IPNetwork] = []
        /// Keeps what unknown users are told the same from one attempt to the next. Random, and the same for all servers.
        /// The default is made anew for each settings.
        public var authenticationSecret: [UInt8]

        /// Makes settings.
        public init(session: SMTPServerConfiguration) {
            self.session = session
            var generator = SystemRandomNumberGenerator()
            authenticationSecret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
    }

    /// What a session is served by from its first word to its last, whatever is changed meanwhile.
    final class Terms: Sendable {
        let settings: Settings
        let session: SMTPServerTerms
        let service: any SMTPService

        init(settings: Settings, service: any SMTPService) {
            self.settings = settings
            session = SMTPServerTerms(settings.session)
            self.service = service
        }
    }

    let listenerName: String
    /// Connections from these networks begin with a header of the PROXY protocol.
    private let proxies: [IPNetwork]
    private let currentTerms: Mutex<Terms>
    let tls: TLSServerContext?
    let group: any EventLoopGroup
    let executors: EventLoopTaskExecutors
    let budget: MemoryBudget
    let limiter: ConnectionLimiter
    let makeIncomingFile: (@Sendable () async throws -> any IncomingFile)?
    let logger: Logger

    private struct State {
        var listeners: [any Channel] = []
        var connections: [UInt64: any Channel] = [:]
        var isShuttingDown = false
    }
    private let state = Mutex(State())
    /// Sessions of all listeners are counted together: an identity is unique within the process.
    private static let nextIdentity = Atomic<UInt64>(1)

    /// What an open session is taken to cost apart from its message, in octets.
    static let octetsPerSession = 8 * 1024

    /// Makes a server that doesn't listen yet.
    /// - Parameters:
    ///   - listenerName: the listener's name in the configuration.
    ///   - settings: how it speaks.
    ///   - proxies: networks whose connections begin with a header of the PROXY protocol, which is believed.
    ///   - service: who decides.
    ///   - tls: certificate and key; needed for every security but `.none`.
    ///   - group: where connections run.
    ///   - budget: shared with the other servers of the process.
    ///   - limiter: shared with the other servers of the process.
    ///   - makeIncomingFile: where large messages go; without it they stay in memory.
    ///   - logger: for what an operator may want to see.
    public init(
        listenerName: String, settings: Settings, proxies: [IPNetwork] = [], service: any SMTPService, tls: TLSServerContext?, group: any EventLoopGroup,
        budget: MemoryBudget, limiter: ConnectionLimiter, makeIncomingFile: (@Sendable () async throws -> any IncomingFile)?,
        logger: Logger
    ) {
        precondition(tls != nil || settings.session.security == .none, "a listener with TLS needs a TLS context")
        self.listenerName = listenerName
        self.proxies = proxies
        currentTerms = Mutex(Terms(settings: settings, service: service))
        self.tls = tls
        self.group = group
        executors = EventLoopTaskExecutors(group)
        self.budget = budget
        self.limiter = limiter
        self.makeIncomingFile = makeIncomingFile
        self.logger = logger
    }

    /// The terms of sessions that begin now.
    var terms: Terms { currentTerms.withLock { $0 } }

    /// Serves sessions that begin from now on in another way; those that are open go on as they began. The security stays as it is.
    public func change(settings: Settings, service: any SMTPService) {
        var settings = settings
        currentTerms.withLock { terms in
            settings.session.security = terms.settings.session.security
            terms = Terms(settings: settings, service: service)
        }
    }

    /// Begins to listen. May be called for several addresses.
    /// - Parameter port: 0 for any free port.
    /// - Returns: the port.
    /// - Throws: when the address cannot be bound.
    public func bind(address: IPAddress, port: Int) async throws -> Int {
        let channels = try await LoopListeners.bind(
            to: SocketAddress(address, port: port), on: group, name: listenerName, logger: logger, accept: accept)
        state.withLock { $0.listeners += channels }
        let bound = channels.first?.localAddress?.port ?? port
        logger.debug("listening", metadata: ["smtp.listener": "\(listenerName)", "net.port": "\(bound)"])
        return bound
    }

    /// Stops: no new connections; sessions without a message in transfer get 421, the others may finish within `grace`.
    public func shutdown(grace: Duration) async {
        let (listeners, connections) = state.withLock { state in
            state.isShuttingDown = true
            defer { state.listeners = [] }
            return (state.listeners, Array(state.connections.values))
        }
        for listener in listeners { try? await listener.close() }
        for connection in connections { connection.pipeline.fireUserInboundEventTriggered(SMTPServerShutdown()) }
        let clock = ContinuousClock()
        let deadline = clock.now + grace
        while openSessions > 0, clock.now < deadline { try? await clock.sleep(for: .milliseconds(20)) }
        for connection in state.withLock({ Array($0.connections.values) }) { connection.close(promise: nil) }
        // What is left has only to tell the service that it ended.
        while openSessions > 0, clock.now < deadline + .seconds(2) { try? await clock.sleep(for: .milliseconds(20)) }
    }

    /// Sessions that are open, or whose end the service doesn't know yet.
    public var openSessions: Int { state.withLock { $0.connections.count } }

    /// Waits for what a proxy says where the connection comes from one, and begins.
    private func accept(_ channel: any Channel) throws {
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        ReceiveBuffers.set(ReceiveBuffers.commands, channel)
        guard let ends = ConnectionEnds(channel) else { return channel.close(promise: nil) }
        guard proxies.contains(where: { $0.covers(ends.remote.address) }) else { return try begin(channel, ends) }
        try channel.pipeline.syncOperations.addHandler(ProxyHeaderHandler(ends: ends, logger: logger) { try self.begin(channel, $0) })
    }

    /// Puts the handlers in place, or turns the client away. Runs on the connection's event loop.
    private func begin(_ channel: any Channel, _ ends: ConnectionEnds) throws {
        let terms = terms
        let settings = terms.settings
        let remote = ends.remote.address
        guard !budget.isExhausted, !state.withLock({ $0.isShuttingDown }) else {
            Metrics.refusedConnections.add(.smtpBusy)
            return try turnAway(channel, settings, SMTPReply(421, EnhancedStatusCode(4, 3, 2), "\(settings.session.hostname) is too busy, try again later"))
        }
        guard limiter.admit(remote) else {
            Metrics.refusedConnections.add(.smtpNetwork)
            return try turnAway(
                channel, settings,
                SMTPReply(421, EnhancedStatusCode(4, 7, 0), "\(settings.session.hostname) Too many connections from your network"))
        }
        budget.add(Self.octetsPerSession)
        Metrics.connections.add(.smtp)
        Metrics.openConnections.add(.smtp)
        channel.closeFuture.whenComplete { [limiter, budget] _ in
            limiter.release(remote)
            budget.remove(Self.octetsPerSession)
            Metrics.openConnections.add(.smtp, -1)
        }
        let identity = Self.nextIdentity.add(1, ordering: .relaxed).oldValue
        state.withLock { $0.connections[identity] = channel }
        let information = SMTPSessionInfo(
            id: identity, listener: listenerName, localAddress: ends.local.address, localPort: ends.local.port, remoteAddress: remote,
            remotePort: ends.remote.port, proxyAddress: ends.proxy, connectedAt: .now)
        if settings.session.security == .implicit, let tls {
            try TLSHandshakeObserver.add(tls.makeHandler(), isServer: true, to: channel.pipeline.syncOperations)
        }
        try channel.pipeline.syncOperations.addHandler(SMTPServerHandler(server: self, terms: terms, information: information))
    }

    /// Says why there is no service, in clear where SMTP begins in clear, and closes.
    private func turnAway(_ channel: any Channel, _ settings: Settings, _ reply: SMTPReply) throws {
        guard settings.session.security != .implicit else { return channel.close(promise: nil) }
        try channel.pipeline.syncOperations.addHandler(SMTPTurnAwayHandler(reply: reply))
    }

    /// The service knows that a session ended.
    func ended(_ identity: UInt64) { state.withLock { _ = $0.connections.removeValue(forKey: identity) } }
}

/// Told to all connections when the server stops.
struct SMTPServerShutdown: Sendable {}

/// Says one reply and closes.
final class SMTPTurnAwayHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer
    private let reply: SMTPReply

    init(reply: SMTPReply) { self.reply = reply }

    func handlerAdded(context: ChannelHandlerContext) { if context.channel.isActive { say(context) } }

    func channelActive(context: ChannelHandlerContext) { say(context) }

    private func say(_ context: ChannelHandlerContext) {
        var buffer = ByteBuffer()
        reply.write(into: &buffer)
        let loopBound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(buffer)).whenComplete { _ in loopBound.value.close(promise: nil) }
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {}
}
