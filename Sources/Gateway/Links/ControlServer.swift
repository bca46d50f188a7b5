import DNS
import Logging
import MailTransport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Answers control requests of our other hosts.
protocol ControlService: Sendable {
    func answer(_ request: ControlRequest, roles: Set<String>) async -> ControlResponse
}

/// The control listener: HTTP/1.1 over mutual TLS 1.3. A certificate that names no permitted role gets 403 and nothing else, before
/// anything of the request's body is read.
final class ControlServer: Sendable {
    private let tls: TLSServerContext
    private let service: any ControlService
    private let group: any EventLoopGroup
    private let timeout: TimeAmount
    private let limiter: ConnectionLimiter
    private let logger: Logger

    /// - Parameters:
    ///   - timeout: how long a connection may last, from its first octet to the end of the answer.
    ///   - limiter: how many there may be. Only our few hosts come here, one connection for each request.
    init(
        tls: TLSServerContext, service: any ControlService, group: any EventLoopGroup, timeout: TimeAmount = .seconds(60),
        limiter: ConnectionLimiter = ConnectionLimiter(total: 128, perNetwork: 64), logger: Logger
    ) {
        self.tls = tls
        self.service = service
        self.group = group
        self.timeout = timeout
        self.limiter = limiter
        self.logger = logger
    }

    /// Listens until the channel is closed.
    func bind(address: IPAddress, port: Int) async throws -> any Channel {
        try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { [tls, service, timeout, limiter, logger] channel in
                channel.eventLoop.makeCompletedFuture {
                    guard let remote = channel.remoteAddress?.internetAddress, limiter.admit(remote) else {
                        return channel.close(promise: nil)
                    }
                    channel.closeFuture.whenComplete { _ in limiter.release(remote) }
                    try channel.pipeline.syncOperations.addHandler(tls.makeHandler())
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(
                        ControlServerHandler(tls: tls, service: service, timeout: timeout, logger: logger))
                }
            }
            .bind(host: "\(address)", port: port).get()
    }
}

/// Gathers a request, has it answered, and writes the answer. Each connection serves one.
private final class ControlServerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    private let tls: TLSServerContext
    private let service: any ControlService
    private let timeout: TimeAmount
    private let logger: Logger
    /// The request that is permitted and whose body is gathered; `nil` before it, and once it is being answered.
    private var head: (request: HTTPRequestHead, bodyLimit: Int, roles: Set<String>)?
    private var body: [UInt8] = []
    private var isAnswered = false
    private var lifetime: Scheduled<Void>?

    init(tls: TLSServerContext, service: any ControlService, timeout: TimeAmount, logger: Logger) {
        self.tls = tls
        self.service = service
        self.timeout = timeout
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        lifetime = context.eventLoop.scheduleTask(in: timeout) { channel.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        lifetime?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isAnswered else { return }
        switch unwrapInboundIn(data) {
        case .head(let head): begin(head, context: context)
        case .body(var buffer):
            guard let head else { return }
            guard body.count + buffer.readableBytes <= head.bodyLimit else { return answer(.tooLarge, context: context) }
            body += buffer.readBytes(length: buffer.readableBytes) ?? []
        case .end:
            guard let head else { return }
            guard let request = ControlRequest(method: head.request.method.rawValue, target: head.request.uri, body: body) else {
                return answer(.malformed, context: context)
            }
            body = []
            isAnswered = true
            let channel = context.channel
            let service = service
            let roles = head.roles
            Task {
                let response = await service.answer(request, roles: roles)
                await response.write(to: channel)
            }
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("control connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    /// Judges a request by its head alone.
    private func begin(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        guard let request = ControlRequest(method: head.method.rawValue, target: head.uri, body: []) else {
            return answer(.malformed, context: context)
        }
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
        let roles = handler.map { TLSSummary(handler: $0, in: context.pipeline.syncOperations, server: tls).peerRoles } ?? []
        guard !request.permittedRoles.isDisjoint(with: roles) else {
            logger.warning("control request refused", metadata: ["roles": "\(roles.sorted())", "target": "\(head.uri)"])
            return answer(.forbidden, context: context)
        }
        if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > request.bodyLimit {
            return answer(.tooLarge, context: context)
        }
        self.head = (head, request.bodyLimit, roles)
    }

    private func answer(_ response: ControlResponse, context: ChannelHandlerContext) {
        isAnswered = true
        body = []
        let channel = context.channel
        Task { await response.write(to: channel) }
    }
}

extension ControlResponse {
    /// Writes the answer and closes.
    fileprivate func write(to channel: any Channel) async {
        let headers: HTTPHeaders = ["content-length": "\(body.count)", "connection": "close"]
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: status), headers: headers)
        channel.write(HTTPServerResponsePart.head(head), promise: nil)
        channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: body))), promise: nil)
        try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
        try? await channel.close().get()
    }
}
