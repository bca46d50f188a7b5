import DNS
import FoundationEssentials
import MailMessage
import NIOCore
import NIOHTTP1
import NIOSSL

/// One request and its answer on one connection; then it is closed. Whoever is slow, or says something else than HTTP/1.1, learns nothing.
final class HTTPSServerHandler: ChannelInboundHandler {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart

    /// waiting → reading → answering → done; each can transition to done.
    private enum State {
        case waiting
        /// The content is wanted.
        case reading(HTTPSServerRequest, limit: Int)
        /// The service works, or the answer is being written.
        case answering
        case done
    }

    private let server: HTTPSServer
    private let service: any HTTPSService
    private let ends: ConnectionEnds
    private let tls: NIOSSLServerHandler
    private let octets: HTTPSOctetLimit
    private var state = State.waiting
    /// Whether a content of this connection counts among those that the server works on.
    private var hasContent = false
    /// Octets of the content that the budget knows of.
    private var held = 0
    private var isHead = false
    private var deadlines: [Scheduled<Void>] = []

    init(server: HTTPSServer, service: any HTTPSService, ends: ConnectionEnds, tls: NIOSSLServerHandler, octets: HTTPSOctetLimit) {
        self.server = server
        self.service = service
        self.ends = ends
        self.tls = tls
        self.octets = octets
    }

    func handlerAdded(context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        deadlines = [
            context.eventLoop.scheduleTask(in: TimeAmount(server.limits.head)) {
                if case .waiting = bound.value.0.state { bound.value.0.abort(bound.value.1) }
            },
            context.eventLoop.scheduleTask(in: TimeAmount(server.limits.total)) { bound.value.0.abort(bound.value.1) },
        ]
    }

    func channelInactive(context: ChannelHandlerContext) {
        end()
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) { end() }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        switch error {
        // The answer is on its way; what comes after the request is nobody's.
        case is HTTPSOctetLimit.Exceeded where isDone, is HTTPParserError where isDone: break
        case is HTTPSOctetLimit.Exceeded where isReading: answer(.init(413, "too much\n"), context)
        case is HTTPParserError, is HTTPSOctetLimit.Exceeded: answer(.init(400, "this can't be read\n"), context)
        default: abort(context)
        }
    }

    private var isDone: Bool { if case .done = state { true } else { false } }
    private var isReading: Bool { if case .reading = state { true } else { false } }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        switch (unwrapInboundIn(data), state) {
        case (.head(let head), .waiting): begin(head, context)
        case (.body(var buffer), .reading(var request, let limit)):
            guard request.body.readableBytes + buffer.readableBytes <= limit else { return answer(.init(413, "too much\n"), context) }
            guard !server.budget.isExhausted else { return answer(.init(503, "too busy\n", retryAfter: 600), context) }
            held += buffer.readableBytes
            server.budget.add(buffer.readableBytes)
            request.body.writeBuffer(&buffer)
            state = .reading(request, limit: limit)
        case (.end, .reading(let request, _)):
            state = .answering
            let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
            let service = service
            let eventLoop = context.eventLoop
            Task {
                let response = await service.answer(request)
                eventLoop.execute { bound.value.0.write(response, bound.value.1) }
            }
        // A second request on the same connection is nobody's.
        case (.head, _), (.body, _), (.end, _): break
        }
    }

    // MARK: The head

    private func begin(_ head: HTTPRequestHead, _ context: ChannelHandlerContext) {
        isHead = head.method == .HEAD
        guard head.version.major == 1, let (host, target) = Self.place(head) else { return answer(.init(400, "this can't be read\n"), context) }
        let types = head.headers["content-type"]
        let request = HTTPSServerRequest(
            method: head.method.rawValue, target: target, host: host,
            contentType: types.count == 1 ? types.first.map { Self.word($0.prefix { $0 != ";" }) } : nil,
            contentEncoding: head.headers.first(name: "content-encoding").map { Self.word($0[...]) }, client: ends.remote.address,
            clientPort: Int(ends.remote.port), server: ends.local.address, serverPort: Int(ends.local.port))
        switch service.begin(request) {
        case .answer(let response): answer(response, context)
        case .read(let limit):
            if let length = head.headers.first(name: "content-length").flatMap({ Int($0) }), length > limit {
                return answer(.init(413, "too much\n"), context)
            }
            guard server.beginContent() else { return answer(.init(503, "too busy\n", retryAfter: 600), context) }
            hasContent = true
            octets.allow(bodyLimit: limit)
            state = .reading(request, limit: limit)
            // RFC 9110 §10.1.1
            if head.version.minor >= 1, head.headers["expect"].contains(where: { $0.lowercased() == "100-continue" }) {
                context.writeAndFlush(wrapOutboundOut(.head(.init(version: .http1_1, status: .continue))), promise: nil)
            }
        }
    }

    private static func word(_ text: Substring) -> String { text.filter { $0 != " " && $0 != "\t" }.lowercased() }

    /// Host and target (RFC 9112 §3.2). An absolute target has its own host, which counts.
    private static func place(_ head: HTTPRequestHead) -> (host: String, target: String)? {
        let hosts = head.headers["host"]
        guard hosts.count == 1, let named = hosts.first else { return nil }
        guard head.uri.lowercased().hasPrefix("https://") else { return head.uri.hasPrefix("/") ? (name(named[...]), head.uri) : nil }
        let rest = head.uri.dropFirst(8)
        let authority = rest.prefix { $0 != "/" }
        return authority.count == rest.count ? nil : (name(authority), String(rest.dropFirst(authority.count)))
    }

    /// A host without its port, and without the dot that ends a full name.
    private static func name(_ authority: Substring) -> String {
        var host = authority.prefix { $0 != ":" }.lowercased()
        if host.hasSuffix(".") { host.removeLast() }
        return host
    }

    // MARK: The answer

    private func answer(_ response: HTTPSServerResponse, _ context: ChannelHandlerContext) {
        switch state {
        case .waiting, .reading: write(response, context)
        case .answering, .done: abort(context)
        }
    }

    private func write(_ response: HTTPSServerResponse, _ context: ChannelHandlerContext) {
        if case .done = state { return }
        release()
        state = .done
        guard context.channel.isActive else { return }
        // RFC 9110 §6.6.1 wants Date, and nothing else is anybody's business.
        var headers: HTTPHeaders = [
            "Date": HTTPDate.text(.now), "Content-Type": response.contentType, "Content-Length": "\(response.body.count)", "Connection": "close",
        ]
        if let allow = response.allow { headers.add(name: "Allow", value: allow) }
        if let seconds = response.retryAfter { headers.add(name: "Retry-After", value: "\(seconds)") }
        let head = HTTPResponseHead(version: .http1_1, status: .init(statusCode: response.status), headers: headers)
        context.write(wrapOutboundOut(.head(head)), promise: nil)
        if !isHead { context.write(wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: response.body)))), promise: nil) }
        let bound = NIOLoopBound(context, eventLoop: context.eventLoop)
        context.writeAndFlush(wrapOutboundOut(.end(nil))).whenComplete { _ in bound.value.close(promise: nil) }
    }

    // MARK: Ending

    /// Closes below TLS: its farewell would go on reading what the peer sends.
    private func abort(_ context: ChannelHandlerContext) {
        release()
        state = .done
        guard let below = try? context.pipeline.syncOperations.context(handler: tls) else { return context.close(promise: nil) }
        below.close(promise: nil)
    }

    private func release() {
        if hasContent { server.endContent() }
        hasContent = false
        server.budget.remove(held)
        held = 0
    }

    private func end() {
        for deadline in deadlines { deadline.cancel() }
        deadlines = []
        // Work that goes on belongs to nobody any more; it still counts until its answer would be written.
        if case .answering = state { return }
        release()
        state = .done
    }
}

/// `Mon, 23 Nov 2026 21:19:03 GMT` (RFC 9110 §5.6.7).
enum HTTPDate {
    static func text(_ time: Date) -> String {
        var words = MessageDate(time).description.split(separator: " ").map(String.init)
        if words.count == 6, words[1].count == 1 { words[1] = "0" + words[1] }
        return words.dropLast().joined(separator: " ") + " GMT"
    }
}
