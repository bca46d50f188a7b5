import MailTransport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import NIOTLS

/// Asks another host of ours. One connection for each request: requests are rare, and a connection that isn't kept can't go stale.
struct ControlClient: Sendable {
    let peer: Configuration.Peer
    /// The role that the peer's certificate must name.
    let role: Configuration.Role
    let tls: TLSClientContext
    let group: any EventLoopGroup

    private static let responseLimit = 64 * 1024 * 1024

    /// Sends a request and returns the answer.
    /// - Throws: ``DirectoryUnavailable`` when the peer can't be reached, isn't who it should be, or doesn't answer within 30 s.
    func send(_ request: ControlRequest) async throws -> ControlResponse {
        guard let port = peer.controlPort else {
            throw DirectoryUnavailable(description: "no control port is configured for \(peer.host)")
        }
        do {
            return try await exchange(request, port: port)
        } catch let error as DirectoryUnavailable {
            throw error
        } catch {
            throw DirectoryUnavailable(description: "\(peer.host) (\(role.rawValue)) can't be asked: \(error)")
        }
    }

    private func exchange(_ request: ControlRequest, port: Int) async throws -> ControlResponse {
        let promise = group.next().makePromise(of: ControlResponse.self)
        let tls = tls
        let host = peer.host
        let role = role.rawValue
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group)
                .connectTimeout(.seconds(5))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHandler(tls.makeHandler(serverHostname: host))
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        try channel.pipeline.syncOperations.addHandler(
                            ControlClientHandler(tls: tls, request: request, host: host, role: role, limit: Self.responseLimit, promise: promise))
                    }
                }
                .connect(host: "\(peer.address)", port: port).get()
        } catch {
            promise.fail(error)
            return try await promise.futureResult.get()
        }
        let timeout = channel.eventLoop.scheduleTask(in: .seconds(30)) {
            promise.fail(DirectoryUnavailable(description: "\(host) doesn't answer"))
        }
        defer {
            timeout.cancel()
            channel.close(promise: nil)
        }
        return try await promise.futureResult.get()
    }
}

/// Sends one request once TLS stands and the peer has shown its role; gathers the answer.
private final class ControlClientHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let tls: TLSClientContext
    private let request: ControlRequest
    private let host: String
    private let role: String
    private let limit: Int
    private let promise: EventLoopPromise<ControlResponse>
    private var status = 0
    private var body: [UInt8] = []

    init(
        tls: TLSClientContext, request: ControlRequest, host: String, role: String, limit: Int, promise: EventLoopPromise<ControlResponse>
    ) {
        self.tls = tls
        self.request = request
        self.host = host
        self.role = role
        self.limit = limit
        self.promise = promise
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case TLSUserEvent.handshakeCompleted = event { start(context: context) }
        context.fireUserInboundEventTriggered(event)
    }

    private func start(context: ChannelHandlerContext) {
        let handler = try? context.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self)
        let roles = handler.map { TLSSummary(handler: $0, in: context.pipeline.syncOperations, client: tls, serverName: host).peerRoles } ?? []
        guard roles.contains(role) else {
            promise.fail(DirectoryUnavailable(description: "the certificate of \(host) doesn't name the role \(role)"))
            context.close(promise: nil)
            return
        }
        let line = request.line
        let body = request.body
        let headers: HTTPHeaders = ["host": host, "content-length": "\(body.count)", "connection": "close"]
        let head = HTTPRequestHead(version: .http1_1, method: .init(rawValue: line.method), uri: line.target, headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !body.isEmpty { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch unwrapInboundIn(data) {
        case .head(let head): status = Int(head.status.code)
        case .body(var buffer):
            guard body.count + buffer.readableBytes <= limit else {
                promise.fail(DirectoryUnavailable(description: "the answer of \(host) is too long"))
                context.close(promise: nil)
                return
            }
            body += buffer.readBytes(length: buffer.readableBytes) ?? []
        case .end: promise.succeed(ControlResponse(status: status, body: body))
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        promise.fail(DirectoryUnavailable(description: "\(host) closed the connection"))
        context.fireChannelInactive()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        promise.fail(error)
        context.close(promise: nil)
    }
}
