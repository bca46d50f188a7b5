public import DNS
import FoundationEssentials
public import IMAP
public import Logging
public import NIOCore
import NIOPosix
import NIOSSL
import PosternMetrics
import Synchronization

/// Accepts connections and runs an ``IMAP/IMAPSession`` on each. One server is one listener of the configuration.
public final class IMAPServer: Sendable {
    /// What the transport adds to what the protocol has.
    public struct Settings: Sendable {
        /// How IMAP is spoken, with its limits.
        public var session: IMAPSession.Configuration
        /// How long a client may take from one command to the next before it has logged in, and a third of what it has for that in all.
        public var loginTimeout: Duration = .seconds(60)
        /// How long a client may give no command. RFC 9051 §5.4 demands 30 minutes.
        public var idleTimeout: Duration = .seconds(1_800)
        /// How long a client may pause within a message.
        public var dataTimeout: Duration = .seconds(180)
        /// How long a whole message may take.
        public var messageTimeout: Duration = .seconds(1_800)
        /// How long a client may take nothing of what it is sent.
        public var writeTimeout: Duration = .seconds(180)
        /// How long the answer to a failed login is held back.
        public var failureDelay: Duration = .seconds(2)
        /// Keeps what unknown users are told the same from one attempt to the next. Random, and the same for all servers.
        /// The default is made anew for each settings.
        public var authenticationSecret: [UInt8]

        /// Makes settings.
        public init(session: IMAPSession.Configuration) {
            self.session = session
            var generator = SystemRandomNumberGenerator()
            authenticationSecret = (0..<32).map { _ in UInt8.random(in: 0...255, using: &generator) }
        }
    }

    /// What a connection is served by from its first word to its last, whatever is changed meanwhile.
    struct Terms: Sendable {
        let settings: Settings
        let backend: any IMAPBackend
    }

    let listenerName: String
    /// Connections from these networks begin with a header of the PROXY protocol.
    private let proxies: [IPNetwork]
    private let currentTerms: Mutex<Terms>
    let tls: TLSServerContext
    let group: any EventLoopGroup
    private let executors: EventLoopTaskExecutors
    let budget: MemoryBudget
    let limiter: ConnectionLimiter
    let logger: Logger

    private struct State {
        var listeners: [any Channel] = []
        var connections: [UInt64: IMAPConnection] = [:]
        var isShuttingDown = false
    }
    private let state = Mutex(State())
    /// Connections that wait to be served.
    private let arrivals: AsyncStream<IMAPConnection>
    private let arrived: AsyncStream<IMAPConnection>.Continuation
    /// Connections of all listeners are counted together: an identity is unique within the process.
    private static let nextIdentity = Atomic<UInt64>(1)

    /// A connection keeps the last buffer that it read into: commands are short, and what is long makes it grow.
    private static let receiveBuffers = AdaptiveRecvByteBufferAllocator(minimum: 128, initial: 256, maximum: 65_536)
    /// What an open connection is taken to cost apart from messages, in octets.
    static let octetsPerConnection = 16 * 1024

    /// Makes a server that doesn't listen yet.
    /// - Parameters:
    ///   - listenerName: the listener's name in the configuration.
    ///   - settings: how it speaks.
    ///   - proxies: networks whose connections begin with a header of the PROXY protocol, which is believed.
    ///   - backend: who knows users and mailboxes.
    ///   - tls: certificate and key.
    ///   - group: where connections run.
    ///   - budget: shared with the other servers of the process.
    ///   - limiter: shared with the other servers of the process.
    ///   - logger: for what an operator may want to see.
    public init(
        listenerName: String, settings: Settings, proxies: [IPNetwork] = [], backend: any IMAPBackend, tls: TLSServerContext, group: any EventLoopGroup,
        budget: MemoryBudget, limiter: ConnectionLimiter, logger: Logger
    ) {
        self.listenerName = listenerName
        self.proxies = proxies
        (arrivals, arrived) = AsyncStream.makeStream()
        currentTerms = Mutex(Terms(settings: settings, backend: backend))
        self.tls = tls
        self.group = group
        executors = EventLoopTaskExecutors(group)
        self.budget = budget
        self.limiter = limiter
        self.logger = logger
    }

    /// The terms of connections that begin now.
    var terms: Terms { currentTerms.withLock { $0 } }

    /// How connections are secured.
    public var security: IMAPSession.Security { terms.settings.session.security }

    /// Serves connections that begin from now on in another way; those that are open go on as they began. The security stays as it is.
    public func change(settings: Settings, backend: any IMAPBackend) {
        var settings = settings
        currentTerms.withLock { terms in
            settings.session.security = terms.settings.session.security
            terms = Terms(settings: settings, backend: backend)
        }
    }

    /// Begins to listen; connections wait until ``run()``. To be called once.
    /// - Parameter port: 0 for any free port.
    /// - Returns: the port.
    /// - Throws: when the address cannot be bound.
    public func bind(address: IPAddress, port: Int) async throws -> Int {
        let listeners = try await LoopListeners.bind(
            to: SocketAddress(address, port: port), on: group, name: listenerName, logger: logger, accept: accept)
        for listener in listeners { listener.closeFuture.whenComplete { [arrived] _ in arrived.finish() } }
        state.withLock { $0.listeners = listeners }
        return listeners.first?.localAddress?.port ?? port
    }

    /// Serves connections until ``shutdown(grace:)``, each in a task of its own below this one.
    public func run() async {
        guard !state.withLock({ $0.listeners.isEmpty }) else { return }
        // On a loop too: a thread that is woken for each connection costs more than what it would do.
        await withTaskExecutorPreference(executors.all.first) {
            await withDiscardingTaskGroup { group in
                for await connection in arrivals {
                    group.addTask(executorPreference: executors.executor(of: connection.channel.eventLoop)) { await self.serve(connection) }
                }
            }
        }
    }

    /// Stops: no new connections; those that are open get BYE when their command has ended, at the latest after `grace`.
    public func shutdown(grace: Duration) async {
        let (listeners, connections) = state.withLock { state in
            state.isShuttingDown = true
            return (state.listeners, Array(state.connections.values))
        }
        for listener in listeners { try? await listener.close() }
        for connection in connections { connection.shutDown() }
        let clock = ContinuousClock()
        let deadline = clock.now + grace
        while openConnections > 0, clock.now < deadline { try? await clock.sleep(for: .milliseconds(20)) }
        for connection in state.withLock({ Array($0.connections.values) }) { connection.channel.close(promise: nil) }
    }

    /// Connections that are served.
    public var openConnections: Int { state.withLock { $0.connections.count } }

    private func serve(_ connection: IMAPConnection) async {
        await IMAPConversation(server: self, connection: connection).run()
        connection.close()
        state.withLock { _ = $0.connections.removeValue(forKey: connection.info.id) }
    }

    /// Waits for what a proxy says where the connection comes from one, and begins.
    private func accept(_ channel: any Channel) throws {
        try channel.syncOptions?.setOption(.allowRemoteHalfClosure, value: true)
        try channel.syncOptions?.setOption(.recvAllocator, value: Self.receiveBuffers)
        guard let ends = ConnectionEnds(channel) else { return channel.close(promise: nil) }
        guard proxies.contains(where: { $0.covers(ends.remote.address) }) else { return try begin(channel, ends) }
        try channel.pipeline.syncOperations.addHandler(ProxyHeaderHandler(ends: ends, logger: logger) { try self.begin(channel, $0) })
    }

    /// Puts the handlers in place, or turns the client away. Runs on the connection's event loop.
    private func begin(_ channel: any Channel, _ ends: ConnectionEnds) throws {
        let remote = ends.remote.address
        guard !budget.isExhausted, !state.withLock({ $0.isShuttingDown }) else {
            Metrics.refusedConnections.add(.imapBusy)
            return turnAway(channel, "Too busy, try again later")
        }
        guard limiter.admit(remote) else {
            Metrics.refusedConnections.add(.imapNetwork)
            return turnAway(channel, "Too many connections from your network")
        }
        budget.add(Self.octetsPerConnection)
        Metrics.connections.add(.imap)
        Metrics.openConnections.add(.imap)
        channel.closeFuture.whenComplete { [limiter, budget] _ in
            limiter.release(remote)
            budget.remove(Self.octetsPerConnection)
            Metrics.openConnections.add(.imap, -1)
        }
        var tlsHandler: NIOSSLServerHandler?
        if terms.settings.session.security == .implicit {
            let handler = tls.makeHandler()
            try TLSHandshakeObserver.add(handler, isServer: true, to: channel.pipeline.syncOperations)
            tlsHandler = handler
        }
        let handler = IMAPChannelHandler(tls: tls, tlsHandler: tlsHandler)
        try channel.pipeline.syncOperations.addHandler(handler)
        let identity = Self.nextIdentity.add(1, ordering: .relaxed).oldValue
        let connection = IMAPConnection(
            channel: channel, handler: handler,
            info: IMAPConnectionInfo(
                id: identity, listener: listenerName, remoteAddress: remote, remotePort: ends.remote.port,
                connectedAt: .now))
        let isLate = state.withLock { state in
            state.connections[identity] = connection
            return state.isShuttingDown
        }
        if isLate { handler.shutDown() }
        // Whoever comes while the listener closes finds nobody who serves.
        guard case .terminated = arrived.yield(connection) else { return }
        state.withLock { _ = $0.connections.removeValue(forKey: identity) }
        channel.close(promise: nil)
    }

    /// Says why there is no service, in clear where IMAP begins in clear, and closes.
    private func turnAway(_ channel: any Channel, _ reason: String) {
        guard terms.settings.session.security == .startTLS else {
            return channel.close(promise: nil)
        }
        // The channel isn't active before this returns.
        channel.eventLoop.execute {
            channel.writeAndFlush(ByteBuffer(string: "* BYE \(reason)\r\n")).whenComplete { _ in channel.close(promise: nil) }
        }
    }
}
