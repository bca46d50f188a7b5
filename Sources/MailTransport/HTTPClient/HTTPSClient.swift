public import DNS
public import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL
import Synchronization

/// Speaks HTTPS with the web servers of other organisations: for policies, indicators and reports.
///
/// Its peers are chosen by whoever sends mail, so that it trusts them with nothing: it looks the name up once, leaves out addresses that only this house
/// reaches, connects to exactly those that it has looked at, asks only after the certificate is proven to be the host's, follows nothing, and ends with
/// its limits of time and octets. Each request has a connection of its own.
public struct HTTPSClient: Sendable {
    /// The most octets of the status line and the fields.
    static let headerLimit = 32 * 1024

    /// How much is done for one request.
    public struct Limits: Sendable, Hashable {
        /// For all of it: the lookup, the connections, the answer.
        public var total = Duration.seconds(10)
        /// For the connection to one address.
        public var connect = Duration.seconds(3)
        /// The most addresses that are tried.
        public var addresses = 4

        /// The defaults.
        public init() {}
    }

    private let resolver: any DNS.Resolver
    private let tls: TLSClientContext
    private let group: any EventLoopGroup
    private let limits: Limits
    private let isAllowed: @Sendable (IPAddress) -> Bool

    /// - Parameters:
    ///   - resolver: looks names up.
    ///   - tls: made by ``TLSClientContext/web(authorityFile:)``.
    ///   - isAllowed: whether an address may be connected to; by default none of those that `IPAddress.isSpecial` knows.
    public init(
        resolver: any DNS.Resolver, tls: TLSClientContext, group: any EventLoopGroup, limits: Limits = Limits(),
        isAllowed: @escaping @Sendable (IPAddress) -> Bool = { !$0.isSpecial }
    ) {
        self.resolver = resolver
        self.tls = tls
        self.group = group
        self.limits = limits
        self.isAllowed = isAllowed
    }

    /// Asks, and waits for the answer or for the time limit. The task's cancellation ends it at once.
    public func send(_ request: HTTPSRequest) async -> HTTPSExchange {
        let start = ContinuousClock.now
        var exchange = HTTPSExchange(request)
        if let problem = request.problem {
            exchange.outcome = .failure(HTTPSFailure(.invalidRequest, problem))
            return exchange
        }
        let initial = exchange
        let isLate = Flag()
        exchange = await withTaskGroup(of: HTTPSExchange?.self) { group in
            group.addTask {
                var exchange = initial
                await run(request, &exchange)
                return exchange
            }
            group.addTask {
                if (try? await Task.sleep(for: limits.total)) != nil { isLate.value.store(true, ordering: .relaxed) }
                return nil
            }
            var found: HTTPSExchange?
            for await result in group {
                // The first one ends the other: the time is up, or the work is done.
                group.cancelAll()
                if let result { found = result }
            }
            return found ?? initial
        }
        exchange.duration = ContinuousClock.now - start
        if case .failure = exchange.outcome {
            if isLate.value.load(ordering: .relaxed) {
                exchange.outcome = .failure(HTTPSFailure(.timeout, "it took longer than \(limits.total)"))
            } else if Task.isCancelled {
                exchange.outcome = .failure(HTTPSFailure(.cancelled, "nobody waits for the answer any more"))
            }
        }
        return exchange
    }

    private final class Flag: Sendable { let value = Atomic<Bool>(false) }

    private func run(_ request: HTTPSRequest, _ exchange: inout HTTPSExchange) async {
        async let older = DNSLookup(request.host, .a, using: resolver)
        async let newer = DNSLookup(request.host, .aaaa, using: resolver)
        exchange.lookups = await [newer, older]
        var addresses: [IPAddress] = []
        var failure: DNSError?
        for lookup in exchange.lookups {
            switch lookup.result {
            case .success(let answer):
                for case .address(let address) in answer.records { addresses.append(address.unmapped) }
            case .failure(let error): failure = error
            }
        }
        exchange.forbiddenAddresses = addresses.filter { !isAllowed($0) }
        // Where some of a name's addresses are forbidden, the others are still the name's own: only these are connected to.
        let allowed = addresses.filter(isAllowed)
        guard !allowed.isEmpty else {
            exchange.outcome = .failure(
                failure.map { HTTPSFailure(.nameLookupFailed, "\($0)") }
                    ?? (addresses.isEmpty
                        ? HTTPSFailure(.noAddress, "\(request.host) has no address")
                        : HTTPSFailure(
                            .forbiddenAddress,
                            "\(request.host) leads to \(addresses.prefix(3).map { "\($0)" }.joined(separator: ", ")), which is no address of the internet")))
            return
        }
        for address in allowed.prefix(max(1, limits.addresses)) {
            exchange.address = address
            let finding = await HTTPSConversation(request: request, tls: tls, group: group, connectLimit: limits.connect).run(address)
            exchange.tls = finding.tls
            exchange.certificateName = finding.certificateName
            exchange.outcome = finding.outcome
            guard case .failure(let failure) = finding.outcome, failure.code == .connectionFailed, !Task.isCancelled else { return }
            exchange.failedAddresses.append(.init(address: address, failure: failure))
        }
    }
}

/// A request at one address.
private struct HTTPSConversation {
    let request: HTTPSRequest
    let tls: TLSClientContext
    let group: any EventLoopGroup
    let connectLimit: Duration

    /// The channel from its first moment on: it can be closed while it is being connected.
    private final class ChannelBox: Sendable {
        private struct State {
            var channel: (any Channel)?
            var handler: NIOLoopBound<HTTPSClientHandler>?
            var isCancelled = false
        }
        private let state = Mutex(State())

        var handler: NIOLoopBound<HTTPSClientHandler>? { state.withLock { $0.handler } }

        func put(_ channel: any Channel, _ handler: NIOLoopBound<HTTPSClientHandler>) {
            let isCancelled = state.withLock { state in
                state.channel = channel
                state.handler = handler
                return state.isCancelled
            }
            if isCancelled { handler.value.abort() }
        }

        func cancel() {
            let (channel, handler) = state.withLock { state in
                state.isCancelled = true
                return (state.channel, state.handler)
            }
            if let channel, let handler { channel.eventLoop.execute { handler.value.abort() } }
        }
    }

    func run(_ address: IPAddress) async -> HTTPSClientHandler.Finding {
        let box = ChannelBox()
        return await withTaskCancellationHandler {
            await converse(address, box)
        } onCancel: {
            box.cancel()
        }
    }

    private func converse(_ address: IPAddress, _ box: ChannelBox) async -> HTTPSClientHandler.Finding {
        do {
            let bootstrap = ClientBootstrap(group: group)
                .connectTimeout(TimeAmount(connectLimit))
                .channelInitializer { [request, tls] channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        let tlsHandler = try tls.makeHandler(serverHostname: request.host.ascii)
                        var decoder = NIOHTTPDecoderLimitConfiguration()
                        decoder.maxHeaderListSize = HTTPSClient.headerLimit
                        decoder.maxHeaderFieldSize = HTTPSClient.headerLimit
                        let handler = HTTPSClientHandler(request: request, tls: tls, handler: tlsHandler)
                        try TLSHandshakeObserver.add(tlsHandler, isServer: false, to: pipeline)
                        try pipeline.addHandler(HTTPSOctetLimit(bodyLimit: request.responseLimit))
                        try pipeline.addHTTPClientHandlers(decoderLimitConfiguration: decoder)
                        try pipeline.addHandler(handler)
                        box.put(channel, NIOLoopBound(handler, eventLoop: channel.eventLoop))
                    }
                }
            let channel = try await bootstrap.connect(to: try address.socketAddress(port: request.port)).get()
            guard let handler = box.handler else { throw ChannelError.ioOnClosedChannel }
            return try await channel.eventLoop.flatSubmit {
                let promise = channel.eventLoop.makePromise(of: HTTPSClientHandler.Finding.self)
                handler.value.whenDone(promise)
                return promise.futureResult
            }.get()
        } catch {
            let reason = "\(address) port \(request.port): \(SMTPClientConnection.reason(error))"
            return .init(tls: nil, certificateName: nil, outcome: .failure(HTTPSFailure(.connectionFailed, reason)))
        }
    }
}
