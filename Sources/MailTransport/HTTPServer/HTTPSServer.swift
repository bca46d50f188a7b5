public import DNS
public import Logging
public import NIOCore
import NIOHTTP1
import NIOPosix
import PosternMetrics
import Synchronization

/// A listener for HTTPS that everybody may reach: HTTP/1.1 under TLS, one request on each connection, with limits on everything.
public final class HTTPSServer: Sendable {
    /// How much a client may take.
    public struct Limits: Sendable, Hashable {
        /// For the handshake and the request's head.
        public var head = Duration.seconds(10)
        /// For all of a connection.
        public var total = Duration.seconds(60)
        /// Octets of the request line and the fields.
        public var headOctets = 8 * 1024
        /// Fields of a request.
        public var fields = 64
        /// Requests whose content is read or worked on at the same time.
        public var contents = 64

        /// The defaults.
        public init() {}
    }

    let limits: Limits
    let budget: MemoryBudget
    let logger: Logger
    private let listenerName: String
    private let tls: TLSServerContext
    private let group: any EventLoopGroup
    private let limiter: ConnectionLimiter
    private let current: Mutex<any HTTPSService>
    private let contents = Atomic<Int>(0)
    private struct State {
        var listeners: [any Channel] = []
        var connections: [ObjectIdentifier: any Channel] = [:]
        var isShuttingDown = false
    }
    private let state = Mutex(State())

    /// - Parameters:
    ///   - budget: shared with the other servers of the process.
    ///   - limiter: how many connections there may be.
    public init(
        listenerName: String, service: any HTTPSService, tls: TLSServerContext, group: any EventLoopGroup, budget: MemoryBudget, limiter: ConnectionLimiter,
        limits: Limits = Limits(), logger: Logger
    ) {
        self.listenerName = listenerName
        current = Mutex(service)
        self.tls = tls
        self.group = group
        self.budget = budget
        self.limiter = limiter
        self.limits = limits
        self.logger = logger
    }

    /// Answers connections that begin from now on in another way.
    public func change(service: any HTTPSService) { current.withLock { $0 = service } }

    /// Begins to listen.
    /// - Parameter port: 0 for any free port.
    /// - Returns: the port.
    /// - Throws: when the address can't be bound.
    public func bind(address: IPAddress, port: Int) async throws -> Int {
        let bootstrap = ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [listenerName, logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(listener: listenerName, logger: logger))
                }
            }
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try self.accept(channel) } }
        let channel = try await bootstrap.bind(to: SocketAddress(address, port: port)).get()
        state.withLock { $0.listeners.append(channel) }
        return channel.localAddress?.port ?? port
    }

    /// Stops: no new connections; what is being answered may be finished within `grace`.
    public func shutdown(grace: Duration) async {
        let listeners = state.withLock { state in
            state.isShuttingDown = true
            defer { state.listeners = [] }
            return state.listeners
        }
        for listener in listeners { try? await listener.close() }
        let clock = ContinuousClock()
        let end = clock.now + grace
        // Connections without a content have nothing that would be lost.
        while contents.load(ordering: .relaxed) > 0, clock.now < end { try? await clock.sleep(for: .milliseconds(20)) }
        for connection in state.withLock({ Array($0.connections.values) }) { try? await connection.close() }
    }

    private func accept(_ channel: any Channel) throws {
        guard let ends = ConnectionEnds(channel) else { return channel.close(promise: nil) }
        guard !budget.isExhausted, !state.withLock({ $0.isShuttingDown }) else {
            Metrics.refusedConnections.add(.httpsBusy)
            return channel.close(promise: nil)
        }
        guard limiter.admit(ends.remote.address) else {
            Metrics.refusedConnections.add(.httpsNetwork)
            return channel.close(promise: nil)
        }
        Metrics.connections.add(.https)
        Metrics.openConnections.add(.https)
        budget.add(Self.octetsPerConnection)
        let identity = ObjectIdentifier(channel)
        state.withLock { $0.connections[identity] = channel }
        channel.closeFuture.whenComplete { [self] _ in
            limiter.release(ends.remote.address)
            budget.remove(Self.octetsPerConnection)
            Metrics.openConnections.add(.https, -1)
            state.withLock { $0.connections[identity] = nil }
        }
        var decoder = NIOHTTPDecoderLimitConfiguration()
        decoder.maxHeaderListSize = limits.headOctets
        decoder.maxHeaderFieldSize = limits.headOctets
        decoder.maxHeaderFieldCount = limits.fields
        let pipeline = channel.pipeline.syncOperations
        let tlsHandler = tls.makeHandler()
        let octets = HTTPSOctetLimit(headLimit: limits.headOctets)
        try pipeline.addHandler(tlsHandler)
        try pipeline.addHandler(octets)
        try pipeline.configureHTTPServerPipeline(
            withPipeliningAssistance: false, withErrorHandling: false, withEncoderConfiguration: .init(), withDecoderLimitConfiguration: decoder)
        try pipeline.addHandler(HTTPSServerHandler(server: self, service: current.withLock { $0 }, ends: ends, tls: tlsHandler, octets: octets))
    }

    /// What a connection takes at least, TLS included.
    private static let octetsPerConnection = 32 * 1024

    /// Lets a request with a content begin, unless there are too many.
    func beginContent() -> Bool {
        guard !budget.isExhausted, contents.add(1, ordering: .relaxed).newValue <= limits.contents else {
            contents.subtract(1, ordering: .relaxed)
            return false
        }
        return true
    }

    func endContent() { contents.subtract(1, ordering: .relaxed) }
}
