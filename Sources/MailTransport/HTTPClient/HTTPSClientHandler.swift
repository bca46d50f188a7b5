import DNS
import NIOCore
import NIOHTTP1
import NIOSSL
import NIOTLS
import SwiftASN1
import X509

/// One request on one connection: waits for the handshake, looks at the certificate's names, and only then asks. Always has a result in the end.
final class HTTPSClientHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPClientResponsePart
    typealias OutboundOut = HTTPClientRequestPart

    /// What is known when it is over.
    struct Finding: Sendable {
        var tls: TLSSummary?
        var certificateName: String?
        var outcome: Result<HTTPSExchange.Response, HTTPSFailure>
    }

    /// connecting → asked → reading → done; each can transition to done.
    private enum State {
        case connecting
        case asked
        case reading(HTTPSExchange.Response)
        case done(Finding)
    }

    private let request: HTTPSRequest
    private let tls: TLSClientContext
    private let tlsHandler: NIOSSLClientHandler
    private var state = State.connecting
    private var summary: TLSSummary?
    private var certificateName: String?
    private var promise: EventLoopPromise<Finding>?
    /// `nil` outside of a pipeline.
    private var context: ChannelHandlerContext?

    init(request: HTTPSRequest, tls: TLSClientContext, handler: NIOSSLClientHandler) {
        self.request = request
        self.tls = tls
        tlsHandler = handler
    }

    /// Hands over the result when it is there.
    func whenDone(_ promise: EventLoopPromise<Finding>) {
        if case .done(let finding) = state { promise.succeed(finding) } else { self.promise = promise }
    }

    /// Nobody waits for the result any more.
    func abort() {
        guard let context else { return }
        fail(.cancelled, "nobody waits for the answer any more", context)
    }

    // MARK: Events

    func handlerAdded(context: ChannelHandlerContext) { self.context = context }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        if case .handshakeCompleted = event as? TLSUserEvent { ask(context) }
        context.fireUserInboundEventTriggered(event)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let part = unwrapInboundIn(data)
        switch (state, part) {
        case (.asked, .head(let head)): begin(head, context)
        case (.reading(var response), .body(let piece)):
            // Without a second owner the octets are appended in place.
            state = .asked
            guard response.body.readableBytes + piece.readableBytes <= request.responseLimit else { return tooLarge(context) }
            response.body.writeImmutableBuffer(piece)
            state = .reading(response)
        case (.reading(let response), .end): finish(.success(response), context)
        case (.done, _): break
        case (.connecting, _), (.asked, .body), (.asked, .end), (.reading, .head):
            fail(.invalidResponse, "the server answers what nobody has asked for", context)
        }
    }

    func channelInactive(context: ChannelHandlerContext) {
        fail(.connectionClosed, closingReason, context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        fail(.connectionClosed, closingReason, context)
        self.context = nil
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        case let error as NIOSSLError:
            switch error {
            case .handshakeFailed(let reason): handshakeFailed(reason, context)
            // RFC 9112 §9.8: without an announcement of the end what came is incomplete.
            case .uncleanShutdown: fail(.connectionClosed, closingReason, context)
            default: fail(.tlsFailed, "\(error)", context)
            }
        case let error as HTTPParserError:
            switch error {
            case .invalidEOFState, .closedConnection: fail(.connectionClosed, closingReason, context)
            case .headerOverflow: fail(.headerTooLarge, "the fields are longer than \(HTTPSClient.headerLimit) octets", context)
            default: fail(.invalidResponse, "the answer is no HTTP/1.1: \(error)", context)
            }
        case is HTTPSOctetLimit.Exceeded: tooLarge(context)
        case is BoringSSLError: fail(.tlsFailed, "\(error)", context)
        default: fail(summary == nil ? .connectionFailed : .connectionClosed, "\(error)", context)
        }
    }

    private var closingReason: String {
        switch state {
        case .connecting: "the connection was closed before TLS was established"
        case .asked: "the connection was closed before an answer"
        case .reading(let response): "the connection was closed after \(response.body.readableBytes) octets of the content"
        case .done: ""
        }
    }

    // MARK: Asking

    private func ask(_ context: ChannelHandlerContext) {
        guard case .connecting = state else { return }
        let host = request.host.ascii
        summary = TLSSummary(handler: tlsHandler, in: context.pipeline.syncOperations, client: tls, serverName: host)
        let names: [String]
        do {
            names = try LinkCertificate(derBytes: tlsHandler.peerCertificate?.toDERBytes() ?? []).hostNames
        } catch {
            return fail(.untrustedCertificate, "\(error)", context)
        }
        switch HTTPSIdentity.match(names, host: request.host) {
        case .name(let name): certificateName = name
        case .wildcard(let pattern):
            certificateName = pattern
            guard request.allowsWildcards else {
                return fail(.wildcardCertificate, "the certificate is for \(pattern), and no wildcard is taken for \(host)", context)
            }
        case .none:
            let shown = names.prefix(5).joined(separator: ", ") + (names.count > 5 ? "…" : "")
            return fail(.wrongName, "the certificate is for \(shown.isEmpty ? "no host" : shown), not for \(host)", context)
        }
        var headers: HTTPHeaders = [
            "Host": request.authority, "User-Agent": "Postern", "Accept": request.accept, "Accept-Encoding": "identity", "Connection": "close",
        ]
        if request.method == .post {
            headers.add(name: "Content-Length", value: "\(request.body.readableBytes)")
            if let type = request.contentType { headers.add(name: "Content-Type", value: type) }
        }
        let head = HTTPRequestHead(version: .http1_1, method: HTTPMethod(rawValue: request.method.rawValue), uri: request.target, headers: headers)
        state = .asked
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if request.body.readableBytes > 0 { context.write(wrapOutboundOut(.body(.byteBuffer(request.body))), promise: nil) }
        context.writeAndFlush(wrapOutboundOut(.end(nil)), promise: nil)
    }

    private func begin(_ head: HTTPResponseHead, _ context: ChannelHandlerContext) {
        guard head.status.code >= 200 else { return fail(.invalidResponse, "the server wants to change the protocol (\(head.status.code))", context) }
        if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }), length > request.responseLimit { return tooLarge(context) }
        func single(_ name: String) -> String? {
            let values = head.headers[name]
            return values.count == 1 ? values.first.map { String($0.prefix(2048)) } : nil
        }
        let isRedirection = (300..<400).contains(head.status.code)
        state = .reading(
            HTTPSExchange.Response(
                status: Int(head.status.code), contentType: single("Content-Type"), contentEncoding: single("Content-Encoding")?.lowercased(),
                location: isRedirection ? single("Location") : nil,
                fields: head.headers.map { HTTPSExchange.Field(name: $0.name, value: $0.value) }, body: ByteBuffer()))
    }

    private func tooLarge(_ context: ChannelHandlerContext) {
        fail(.bodyTooLarge, "there are more than \(request.responseLimit) octets", context)
    }

    // MARK: Ending

    private func handshakeFailed(_ reason: BoringSSLError, _ context: ChannelHandlerContext) {
        guard "\(reason)".contains("CERTIFICATE_VERIFY_FAILED") else {
            return fail(.tlsFailed, "no TLS session: \(Self.words(reason))", context)
        }
        fail(.untrustedCertificate, Self.doubt(about: try? tlsHandler.peerCertificate?.toDERBytes()), context)
    }

    /// The library's own words without the place in its source.
    private static func words(_ error: BoringSSLError) -> String {
        guard case .sslError(let stack) = error, let first = stack.first else { return "\(error)" }
        return "\(first)".split(separator: ":").map(String.init).first { $0.allSatisfy { $0.isUppercase || $0 == "_" || $0.isNumber } && $0.contains("_") }
            ?? "\(first)"
    }

    /// What may be wrong with a certificate that nobody vouches for.
    private static func doubt(about der: [UInt8]?) -> String {
        guard let der, let certificate = try? Certificate(derEncoded: der) else { return "no trusted root vouches for the certificate" }
        let subject = "the certificate of “\(certificate.subject)” from “\(certificate.issuer)”"
        if certificate.issuer == certificate.subject { return "\(subject) was signed by itself, or no trusted root vouches for it" }
        return "no trusted root vouches for \(subject), or not now: it is valid from \(certificate.notValidBefore) to \(certificate.notValidAfter)"
    }

    private func fail(_ code: HTTPSFailure.Code, _ reason: String, _ context: ChannelHandlerContext) {
        finish(.failure(HTTPSFailure(code, reason)), context)
    }

    private func finish(_ outcome: Result<HTTPSExchange.Response, HTTPSFailure>, _ context: ChannelHandlerContext) {
        if case .done = state { return }
        let finding = Finding(tls: summary, certificateName: certificateName, outcome: outcome)
        state = .done(finding)
        promise?.succeed(finding)
        promise = nil
        close(context)
    }

    /// Below TLS: its farewell would go on reading what the peer sends for seconds, and nothing of that is wanted any more.
    private func close(_ context: ChannelHandlerContext) {
        guard let below = try? context.pipeline.syncOperations.context(handler: tlsHandler) else { return context.close(promise: nil) }
        below.close(promise: nil)
    }
}
