import ACME
import DNS
import FoundationEssentials
import MailTransport
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Speaks HTTPS with a certificate authority: a connection for each request, TLS 1.2 or later, the certificate proven to be the host's,
/// nothing followed, octets and time limited.
struct ACMEConnection: ACMETransport {
    let resolver: any Resolver
    let tls: NIOSSLContext
    let group: any EventLoopGroup
    let limits = ACMELimits()
    var timeLimit = TimeAmount.seconds(30)

    /// - Parameter authorityFile: the only root that may vouch for the authority's certificate; `nil`: the system's.
    init(resolver: any Resolver, authorityFile: String?, group: any EventLoopGroup) throws {
        self.resolver = resolver
        self.group = group
        var configuration = TLSConfiguration.makeClientConfiguration()
        configuration.minimumTLSVersion = .tlsv12
        configuration.certificateVerification = .fullVerification
        configuration.applicationProtocols = ["http/1.1"]
        if let authorityFile { configuration.trustRoots = .certificates(try NIOSSLCertificate.fromPEMFile(authorityFile)) }
        tls = try NIOSSLContext(configuration: configuration)
    }

    func send(_ request: ACMERequest) async throws(ACMETransportFailure) -> ACMEResponse {
        guard let address = ACMEAddress(request.url) else { throw ACMETransportFailure("“\(request.url)” isn't a URL with a host's name") }
        var last = ACMETransportFailure("\(address.host) has no address")
        for place in try await addresses(of: address.host).prefix(4) {
            do {
                return try await exchange(request, address, at: place)
            } catch {
                last = ACMETransportFailure("\(address.host) at \(place), port \(address.port): \(error)")
            }
        }
        throw last
    }

    private func addresses(of host: DomainName) async throws(ACMETransportFailure) -> [IPAddress] {
        var addresses: [IPAddress] = []
        var failure: DNSError?
        for type in [DNSRecordType.aaaa, .a] {
            do throws(DNSError) {
                for case .address(let address) in try await resolver.lookup(host, type).records { addresses.append(address) }
            } catch { failure = error }
        }
        if addresses.isEmpty, let failure { throw ACMETransportFailure("\(failure)") }
        return addresses
    }

    private func exchange(_ request: ACMERequest, _ address: ACMEAddress, at place: IPAddress) async throws -> ACMEResponse {
        let promise = group.any().makePromise(of: ACMEResponse.self)
        let channel: any Channel
        do {
            channel = try await ClientBootstrap(group: group).connectTimeout(.seconds(10))
                .channelInitializer { [tls, limits, timeLimit] channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        try pipeline.addHandler(try NIOSSLClientHandler(context: tls, serverHostname: address.host.ascii))
                        try pipeline.addHTTPClientHandlers()
                        try pipeline.addHandler(
                            ACMEConnectionHandler(request: request, address: address, limits: limits, timeLimit: timeLimit, promise: promise))
                    }
                }
                .connect(to: try place.socketAddress(port: address.port)).get()
        } catch {
            promise.fail(error)
            throw error
        }
        defer { channel.close(promise: nil) }
        return try await promise.futureResult.get()
    }
}

/// One request and its answer.
private final class ACMEConnectionHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    private let request: ACMERequest
    private let address: ACMEAddress
    private let limits: ACMELimits
    private let timeLimit: TimeAmount
    private let promise: EventLoopPromise<ACMEResponse>
    private var response: ACMEResponse?
    private var isDone = false

    init(request: ACMERequest, address: ACMEAddress, limits: ACMELimits, timeLimit: TimeAmount, promise: EventLoopPromise<ACMEResponse>) {
        self.request = request
        self.address = address
        self.limits = limits
        self.timeLimit = timeLimit
        self.promise = promise
    }

    func channelActive(context: ChannelHandlerContext) {
        let promise = promise
        let channel = context.channel
        let deadline = context.eventLoop.scheduleTask(in: timeLimit) {
            promise.fail(ACMETransportFailure("no answer in time"))
            channel.close(promise: nil)
        }
        channel.closeFuture.whenComplete { _ in deadline.cancel() }
        var headers = HTTPHeaders()
        headers.add(name: "Host", value: address.port == 443 ? address.host.ascii : "\(address.host):\(address.port)")
        for header in request.headers { headers.add(name: header.name, value: header.value) }
        headers.add(name: "Connection", value: "close")
        if request.method == .post { headers.add(name: "Content-Length", value: "\(request.body.count)") }
        let method: HTTPMethod =
            switch request.method {
            case .get: .GET
            case .head: .HEAD
            case .post: .POST
            }
        context.write(wrapOutboundOut(.head(.init(version: .http1_1, method: method, uri: address.target, headers: headers))), promise: nil)
        if request.method == .post { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: request.body)))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard !isDone else { return }
        switch unwrapInboundIn(data) {
        case .head(let head):
            // 100 Continue and 103 come before the answer.
            guard head.status.code >= 200 else { return }
            guard head.headers.count <= 100, head.headers.allSatisfy({ $0.value.utf8.count <= limits.headerValueLimit }) else {
                return end(context, .failure(ACMETransportFailure("the answer's header is too long")))
            }
            response = ACMEResponse(status: Int(head.status.code), headers: head.headers.map { ACMEHeader($0.name, $0.value) })
        case .body(let buffer):
            guard let count = response?.body.count, count + buffer.readableBytes <= limits.bodySizeLimit else {
                return end(context, .failure(ACMETransportFailure("the answer is longer than \(limits.bodySizeLimit) octets")))
            }
            response?.body += buffer.readableBytesView
        case .end:
            guard let response else { return }
            end(context, .success(response))
        }
    }

    private func end(_ context: ChannelHandlerContext, _ result: Result<ACMEResponse, any Error>) {
        guard !isDone else { return }
        isDone = true
        promise.completeWith(result)
        context.close(promise: nil)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { end(context, .failure(error)) }

    func channelInactive(context: ChannelHandlerContext) {
        end(context, .failure(ACMETransportFailure("the connection was closed before the answer's end")))
        context.fireChannelInactive()
    }
}
