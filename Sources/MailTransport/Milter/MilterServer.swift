public import DNS
import FoundationEssentials
public import Logging
public import MailMessage
public import Milter
public import NIOCore
import NIOPosix
import Synchronization

/// Accepts connections of MTAs and runs a ``MilterSession`` on each.
///
/// The protocol knows no password and no encryption: whoever can connect is believed. So only sockets of the file system and clients of
/// ``Settings/clients`` are served.
public final class MilterServer: Sendable {
    /// What the transport adds to what the protocol has.
    public struct Settings: Sendable {
        /// What is wanted of MTAs, with the limits.
        public var session: MilterConfiguration
        /// MTAs of these networks are served. The default is this host.
        public var clients: [IPNetwork] = [
            IPNetwork(address: .v4(0x7F00_0000), prefixLength: 8), IPNetwork(address: .v6(0, 1), prefixLength: 128),
        ]
        /// Connections at a time. Postfix has one for each of its SMTP server processes, 100 by default.
        public var connections = 1_000
        /// Messages larger than this are written to a file while they arrive, in octets.
        public var memoryPerMessage = 256 * 1024
        /// How often the MTA is told that the verdict takes time yet. Postfix waits five minutes without a word (`milter_content_timeout`).
        public var progressInterval: Duration = .seconds(20)
        /// How long the service may take for a message; then it is refused for now.
        public var verdictTimeout: Duration = .seconds(240)
        /// How long the service may take for a decision before the message; then it is refused for now. Postfix waits 30 seconds
        /// (`milter_command_timeout`).
        public var decisionTimeout: Duration = .seconds(25)

        /// Makes settings.
        public init(session: MilterConfiguration = MilterConfiguration()) { self.session = session }
    }

    let listenerName: String
    let settings: Settings
    let service: any MilterService
    let executors: EventLoopTaskExecutors
    let budget: MemoryBudget
    let makeIncomingFile: (@Sendable () async throws -> any IncomingFile)?
    private let group: any EventLoopGroup
    private let logger: Logger

    private struct State {
        var listeners: [any Channel] = []
        var paths: [String] = []
        var connections: [UInt64: any Channel] = [:]
        var isShuttingDown = false
    }
    private let state = Mutex(State())
    private static let nextIdentity = Atomic<UInt64>(1)

    /// Makes a server that doesn't listen yet.
    /// - Parameters:
    ///   - listenerName: the listener's name in the configuration.
    ///   - settings: what it wants, and its limits.
    ///   - service: who decides.
    ///   - group: where connections run.
    ///   - budget: shared with the other servers of the process.
    ///   - makeIncomingFile: where large messages go; without it they stay in memory.
    ///   - logger: for what an operator may want to see.
    public init(
        listenerName: String, settings: Settings, service: any MilterService, group: any EventLoopGroup, budget: MemoryBudget,
        makeIncomingFile: (@Sendable () async throws -> any IncomingFile)?, logger: Logger
    ) {
        self.listenerName = listenerName
        self.settings = settings
        self.service = service
        self.group = group
        executors = EventLoopTaskExecutors(group)
        self.budget = budget
        self.makeIncomingFile = makeIncomingFile
        self.logger = logger
    }

    /// Begins to listen at an address (`inet:port@address` for an MTA). May be called several times.
    /// - Parameter port: 0 for any free port.
    /// - Returns: the port.
    /// - Throws: when the address cannot be bound.
    public func bind(address: IPAddress, port: Int) async throws -> Int {
        let channel = try await bootstrap.childChannelOption(.tcpOption(.tcp_nodelay), value: 1).bind(to: SocketAddress(address, port: port)).get()
        state.withLock { $0.listeners.append(channel) }
        return channel.localAddress?.port ?? port
    }

    /// Begins to listen at a socket of the file system (`unix:path` for an MTA). A socket that is left over from an earlier process is
    /// replaced; the socket's file is removed by ``shutdown(grace:)``.
    /// - Parameter permissions: the file's mode. Who may write to it may connect: MTAs that run as another user need a common group.
    /// - Throws: when the path can't be bound, or isn't a socket.
    public func bind(path: String, permissions: Int = 0o660) async throws {
        let channel = try await bootstrap.bind(unixDomainSocketPath: path, cleanupExistingSocketFile: true).get()
        do { try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path) } catch {
            try? await channel.close()
            throw error
        }
        state.withLock { state in
            state.listeners.append(channel)
            state.paths.append(path)
        }
    }

    private var bootstrap: ServerBootstrap {
        ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 256)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .serverChannelInitializer { [listenerName, logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(AcceptPause(listener: listenerName, logger: logger))
                }
            }
            .childChannelOption(.allowRemoteHalfClosure, value: true)
            .childChannelOption(.recvAllocator, value: ReceiveBuffers.content)
            .childChannelInitializer { channel in channel.eventLoop.makeCompletedFuture { try self.accept(channel) } }
    }

    /// Stops: no new connections; those without a message end now, the others may finish within `grace`.
    public func shutdown(grace: Duration) async {
        let (listeners, paths, connections) = state.withLock { state in
            state.isShuttingDown = true
            defer {
                state.listeners = []
                state.paths = []
            }
            return (state.listeners, state.paths, Array(state.connections.values))
        }
        for listener in listeners { try? await listener.close() }
        for path in paths { try? FileManager.default.removeItem(atPath: path) }
        for connection in connections { connection.pipeline.fireUserInboundEventTriggered(MilterServerShutdown()) }
        let clock = ContinuousClock()
        let deadline = clock.now + grace
        while openConnections > 0, clock.now < deadline { try? await clock.sleep(for: .milliseconds(20)) }
        for connection in state.withLock({ Array($0.connections.values) }) { connection.close(promise: nil) }
        while openConnections > 0, clock.now < deadline + .seconds(2) { try? await clock.sleep(for: .milliseconds(20)) }
    }

    /// Connections that are open, or whose end the service doesn't know yet.
    public var openConnections: Int { state.withLock { $0.connections.count } }

    /// Puts the handler in place, or closes: an MTA then does what its own configuration says (`milter_default_action`).
    private func accept(_ channel: any Channel) throws {
        let address = channel.remoteAddress?.internetAddress
        let isLocal = if case .unixDomainSocket = channel.localAddress { true } else { false }
        guard isLocal || settings.clients.contains(where: { network in address.map { network.covers($0) } ?? false }) else {
            logger.notice(
                "an MTA outside of the networks that are served was turned away",
                metadata: ["listener": "\(listenerName)", "address": "\(address.map(\.description) ?? "unknown")"])
            return channel.close(promise: nil)
        }
        let identity = Self.nextIdentity.add(1, ordering: .relaxed).oldValue
        let isAdmitted = state.withLock { state in
            guard !state.isShuttingDown, state.connections.count < settings.connections, !budget.isExhausted else { return false }
            state.connections[identity] = channel
            return true
        }
        guard isAdmitted else { return channel.close(promise: nil) }
        budget.add(SMTPServer.octetsPerSession)
        channel.closeFuture.whenComplete { [budget] _ in budget.remove(SMTPServer.octetsPerSession) }
        let information = MilterSessionInfo(id: identity, listener: listenerName, mtaAddress: address, connectedAt: .now)
        try channel.pipeline.syncOperations.addHandler(MilterServerHandler(server: self, information: information))
    }

    /// The service knows that a connection ended.
    func ended(_ identity: UInt64) { state.withLock { _ = $0.connections.removeValue(forKey: identity) } }

    /// What an operator should know of an MTA that breaks the protocol.
    func tell(_ error: MilterError, _ information: MilterSessionInfo) {
        logger.warning(
            "an MTA's connection was closed: it broke the milter protocol",
            metadata: ["listener": "\(listenerName)", "milter.session": "\(information.id)", "error": "\(error)"])
    }
}

/// Told to all connections when the server stops.
struct MilterServerShutdown: Sendable {}
