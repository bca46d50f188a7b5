import DNS
import FoundationEssentials
import Logging
import MailTransport
import NIOCore
import NIOHTTP1
import NIOPosix
import PosternMetrics
import ServiceLifecycle
import Synchronization

/// Tells programs on this machine how the host is: `/metrics` for Prometheus, `/healthz` (the process lives) and `/readyz` (it can work: 200,
/// or 503 with a line for each reason why it can't). HTTP/1.1 on a loopback address, GET only, nothing secret.
final class MonitoringServer: Service {
    private let readings: HostReadings
    private let settings: Configuration.MonitoringSettings
    private let group: any EventLoopGroup
    private let now: @Sendable () -> Date
    private let logger: Logger
    /// All listeners but this one listen, and nothing stops.
    private let isServing: @Sendable () -> Bool
    private let isStopping = Atomic(false)
    /// Who asks is few.
    private let limiter = ConnectionLimiter(total: 32, perNetwork: 32)

    init(
        readings: HostReadings, settings: Configuration.MonitoringSettings, group: any EventLoopGroup, isServing: @escaping @Sendable () -> Bool,
        now: @escaping @Sendable () -> Date, logger: Logger
    ) {
        self.readings = readings
        self.settings = settings
        self.group = group
        self.isServing = isServing
        self.now = now
        self.logger = logger
    }

    /// Listens until the channel is closed.
    func bind() async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let remote = channel.remoteAddress?.internetAddress, self.limiter.admit(remote) else { return channel.close(promise: nil) }
                    channel.closeFuture.whenComplete { _ in self.limiter.release(remote) }
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(MonitoringHandler(server: self))
                }
            }
            .bind(host: "\(settings.address)", port: settings.port).get()
    }

    func run() async throws {
        let channel = try await bind()
        logger.info(
            "listening", metadata: ["listener": "monitoring", "address": "\(settings.address)", "port": "\(channel.localAddress?.port ?? 0)"])
        try? await gracefulShutdown()
        // It goes on answering until the process ends: who asks now learns that the host stops.
        isStopping.store(true, ordering: .relaxed)
        try? await Task.sleep(for: .milliseconds(200))
        try? await channel.close()
    }

    fileprivate func answer(_ head: HTTPRequestHead) async -> (status: HTTPResponseStatus, type: String, body: String) {
        let plain = "text/plain; charset=utf-8"
        guard head.method == .GET || head.method == .HEAD else { return (.methodNotAllowed, plain, "GET only\n") }
        switch head.uri.prefix(while: { $0 != "?" }) {
        case "/metrics": return (.ok, Exposition.contentType, await readings.exposition(at: now()))
        case "/healthz": return (.ok, plain, "alive\n")
        case "/readyz":
            var obstacles = await readings.obstacles()
            if isStopping.load(ordering: .relaxed) { obstacles.insert("stopping", at: 0) }
            if !isServing() { obstacles.insert("listeners: not all of them listen", at: 0) }
            return obstacles.isEmpty ? (.ok, plain, "ready\n") : (.serviceUnavailable, plain, obstacles.joined(separator: "\n") + "\n")
        default: return (.notFound, plain, "/metrics, /healthz or /readyz\n")
        }
    }
}

/// One request and its answer; then the connection is closed.
private final class MonitoringHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// How long a connection may last.
    private static let lifetime = TimeAmount.seconds(30)
    private let server: MonitoringServer
    private var isAnswered = false

    init(server: MonitoringServer) { self.server = server }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let closing = context.eventLoop.scheduleTask(in: Self.lifetime) { channel.close(promise: nil) }
        channel.closeFuture.whenComplete { _ in closing.cancel() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard case .head(let head) = unwrapInboundIn(data), !isAnswered else { return }
        isAnswered = true
        let channel = context.channel
        let server = server
        Task {
            let (status, type, body) = await server.answer(head)
            let headers: HTTPHeaders = ["content-type": type, "content-length": "\(body.utf8.count)", "connection": "close", "cache-control": "no-store"]
            channel.write(HTTPServerResponsePart.head(.init(version: .http1_1, status: status, headers: headers)), promise: nil)
            if head.method != .HEAD { channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(string: body))), promise: nil) }
            try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
            try? await channel.close().get()
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
}
