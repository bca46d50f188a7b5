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

/// The control listener: HTTP/1.1 over mutual TLS 1.3. A certificate that names no permitted role gets 403 and nothing else.
final class ControlServer: Sendable {
    private let tls: TLSServerContext
    private let service: any ControlService
    private let group: any EventLoopGroup
    private let logger: Logger

    init(tls: TLSServerContext, service: any ControlService, group: any EventLoopGroup, logger: Logger) {
        self.tls = tls
        self.service = service
        self.group = group
        self.logger = logger
    }

    /// Listens until the channel is closed.
    func bind(address: IPAddress, port: Int) async throws -> any Channel {
        let tls = tls
        let service = service
        let logger = logger
        return try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 64)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(tls.makeHandler())
                    try channel.pipeline.syncOperations.configureHTTPServerPipeline(withErrorHandling: true)
                    try channel.pipeline.syncOperations.addHandler(ControlServerHandler(tls: tls, service: service, logger: logger))
                }
            }
            .bind(host: "\(address)", port: port).get()
    }
}

/// Gathers a request, has it answered, and writes the answer.
private final class ControlServerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// A million digests of 16 octets, with room.
    private static let bodyLimit = 64 * 1024 * 1024

    private let tls: TLSServerContext
    private let service: any ControlService
    private let logger: Logger
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var idle: Scheduled<Void>?

    init(tls: TLSServerContext, service: any ControlService, logger: Logger) {
        self.tls = tls
        self.service = service
        self.logger = logger
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        idle = context.eventLoop.scheduleTask(in: .seconds(60)) { channel.close(promise: nil) }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        idle?.cancel()
        context.fireChannelInactive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head):
            self.head = head
            body = []
        case .body(var buffer):
            guard body.count + buffer.readableBytes <= Self.bodyLimit else {
                context.close(promise: nil)
                return
            }
            body += buffer.readBytes(length: buffer.readableBytes) ?? []
        case .end:
            guard let head else { return }
            self.head = nil
            answer(head, context: context)
        }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        logger.debug("control connection failed", metadata: ["error": "\(error)"])
        context.close(promise: nil)
    }

    private func answer(_ head: HTTPRequestHead, context: ChannelHandlerContext) {
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLServerHandler.self)
        let roles = handler.map { TLSSummary(handler: $0, server: tls).peerRoles } ?? []
        let request = ControlRequest(method: head.method.rawValue, target: head.uri, body: body)
        body = []
        let channel = context.channel
        let service = service
        let logger = logger
        Task {
            let response: ControlResponse
            if let request {
                response = request.permittedRoles.isDisjoint(with: roles) ? .forbidden : await service.answer(request, roles: roles)
            } else {
                response = .malformed
            }
            if response.status == 403 {
                logger.warning("control request refused", metadata: ["roles": "\(roles.sorted())", "target": "\(head.uri)"])
            }
            let headers: HTTPHeaders = ["content-length": "\(response.body.count)", "connection": "close"]
            let answerHead = HTTPResponseHead(version: .http1_1, status: .init(statusCode: response.status), headers: headers)
            channel.write(HTTPServerResponsePart.head(answerHead), promise: nil)
            channel.write(HTTPServerResponsePart.body(.byteBuffer(ByteBuffer(bytes: response.body))), promise: nil)
            try? await channel.writeAndFlush(HTTPServerResponsePart.end(nil)).get()
            try? await channel.close().get()
        }
    }
}
