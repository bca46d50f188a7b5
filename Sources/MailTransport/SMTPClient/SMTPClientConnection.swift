import DNS
import MailMessage
import NIOCore
import NIOPosix
import SMTP
import Synchronization
import TransportSecurity

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// One connection to a peer, on which transactions follow one another.
final class SMTPClientConnection: Sendable {
    /// What was learnt while the connection was opened.
    struct Opening: Sendable {
        var tls: TLSSummary?
        var startTLSRefusal: SMTPReply?
        var exchanges: [SMTPClientExchange]
        var observation: TLSObservation
    }

    /// Why a connection could not be opened, and what was said until then.
    struct OpeningFailure: Error, Sendable {
        var failure: SMTPClientFailure
        var exchanges: [SMTPClientExchange]
        /// Our end, where the connection came about.
        var localAddress: IPAddress?
    }

    let address: IPAddress
    let channel: any Channel
    let opening: Opening
    private let handler: NIOLoopBound<SMTPClientHandler>
    private let count = Atomic<Int>(0)

    private init(address: IPAddress, channel: any Channel, handler: NIOLoopBound<SMTPClientHandler>, opening: Opening) {
        self.address = address
        self.channel = channel
        self.handler = handler
        self.opening = opening
    }

    /// Connects to an address and goes as far as a transaction can begin.
    static func open(
        _ address: IPAddress, port: Int, from localAddress: IPAddress?, plan: SMTPConnectionPlan, group: any EventLoopGroup
    ) async throws(OpeningFailure) -> SMTPClientConnection {
        let (channel, handler) = try await connect(address, port: port, from: localAddress, plan: plan, group: group)
        do {
            try await channel.eventLoop.flatSubmit {
                handler.value.whenReady() ?? channel.eventLoop.makeSucceededVoidFuture()
            }.get()
            let opening = try await channel.eventLoop.submit {
                let handler = handler.value
                return Opening(
                    tls: handler.tls, startTLSRefusal: handler.startTLSRefusal, exchanges: handler.takeExchanges(),
                    observation: handler.observation)
            }.get()
            return SMTPClientConnection(address: address, channel: channel, handler: handler, opening: opening)
        } catch {
            let localAddress = channel.localAddress?.internetAddress
            channel.close(promise: nil)
            let exchanges = try? await channel.eventLoop.submit { handler.value.takeExchanges() }.get()
            throw OpeningFailure(
                failure: error as? SMTPClientFailure ?? Self.failure("\(error)"), exchanges: exchanges ?? [], localAddress: localAddress)
        }
    }

    /// Where the channel's initializer leaves the handler. The pipeline is no place to look for it: a peer that closes at
    /// once takes the handlers away with the reason why.
    private final class HandlerBox: Sendable {
        let handler = Mutex<NIOLoopBound<SMTPClientHandler>?>(nil)
    }

    private static func connect(
        _ address: IPAddress, port: Int, from localAddress: IPAddress?, plan: SMTPConnectionPlan, group: any EventLoopGroup
    ) async throws(OpeningFailure) -> (any Channel, NIOLoopBound<SMTPClientHandler>) {
        var place = "port \(port)"
        do {
            let remote = try address.socketAddress(port: port)
            place = remote.text
            let box = HandlerBox()
            var bootstrap = ClientBootstrap(group: group)
                .connectTimeout(TimeAmount(plan.timeouts.connect))
                .channelInitializer { channel in
                    channel.eventLoop.makeCompletedFuture {
                        let pipeline = channel.pipeline.syncOperations
                        if plan.session.hasImplicitTLS, let tls = plan.tls {
                            try TLSHandshakeObserver.add(try tls.makeHandler(serverHostname: plan.serverName), isServer: false, to: pipeline)
                        }
                        let handler = SMTPClientHandler(plan: plan)
                        try pipeline.addHandler(handler)
                        box.handler.withLock { $0 = NIOLoopBound(handler, eventLoop: channel.eventLoop) }
                    }
                }
            if let local = try localAddress?.socketAddress(port: 0), local.protocol == remote.protocol {
                bootstrap = bootstrap.bind(to: local)
            }
            let channel = try await bootstrap.connect(to: remote).get()
            guard let handler = box.handler.withLock({ $0 }) else { throw ChannelError.ioOnClosedChannel }
            return (channel, handler)
        } catch {
            throw OpeningFailure(failure: failure("connect to \(place): \(reason(error))"), exchanges: [])
        }
    }

    private static func failure(_ text: String) -> SMTPClientFailure {
        SMTPClientFailure(stage: .greeting, reply: SMTPReply(451, EnhancedStatusCode(4, 4, 1), text), isLocal: true)
    }

    /// The system's reason in few words.
    static func reason(_ error: any Error) -> String {
        if let error = error as? IOError {
            switch error.errnoCode {
            case ECONNREFUSED: return "refused"
            case ENETUNREACH, EHOSTUNREACH: return "unreachable"
            case ETIMEDOUT: return "timed out"
            default: return "\(error)"
            }
        }
        if case .connectTimeout = error as? ChannelError { return "timed out" }
        return "\(error)"
    }

    /// The connection, for those who are to know why it has no TLS though the host offered it.
    func withoutTLS(because reason: String) -> SMTPClientConnection {
        var opening = opening
        opening.observation.isOffered = true
        opening.observation.handshakeFailure = reason
        return SMTPClientConnection(address: address, channel: channel, handler: handler, opening: opening)
    }

    /// Messages that went over the connection.
    var messageCount: Int { count.load(ordering: .relaxed) }

    /// The connection was still there a moment ago.
    var isActive: Bool { channel.isActive }

    /// Runs one transaction.
    func send(_ transaction: SMTPClientTransaction, content: any MessageContent) async -> SMTPSentMessage {
        count.add(1, ordering: .relaxed)
        let promise = channel.eventLoop.makePromise(of: SMTPSentMessage.self)
        channel.eventLoop.execute { [handler] in handler.value.send(transaction, content, promise) }
        do {
            return try await promise.futureResult.get()
        } catch {
            // The handler only succeeds the promise; this is the event loop's own end.
            let reply = SMTPReply(451, EnhancedStatusCode(4, 4, 2), "the connection ended: \(error)")
            let result = SMTPClientResult(
                answers: transaction.envelope.recipients.map { _ in .local(reply) }, peerHandlesDSN: false,
                connectionIsUsable: false, nothingWasAnswered: false)
            return SMTPSentMessage(result: result, canContinue: false, exchanges: [])
        }
    }

    /// Keeps the connection open for at most this long without a message.
    func becomeIdle(for duration: Duration) {
        channel.eventLoop.execute { [handler] in handler.value.becomeIdle(for: duration) }
    }

    /// Ends the connection with QUIT where that is possible.
    func quit() {
        channel.eventLoop.execute { [handler] in handler.value.quit() }
    }
}

extension IPAddress {
    /// The address for the socket calls.
    func socketAddress(port: Int) throws -> SocketAddress {
        var packed = ByteBuffer()
        switch self {
        case .v4(let value): packed.writeInteger(value)
        case .v6(let high, let low):
            packed.writeInteger(high)
            packed.writeInteger(low)
        }
        return try SocketAddress(packedIPAddress: packed, port: port)
    }
}

extension SocketAddress {
    /// `127.0.0.1:25`, `[2001:db8::1]:25`.
    var text: String {
        let address = ipAddress ?? "?"
        return (address.contains(":") ? "[\(address)]" : address) + ":\(port ?? 0)"
    }
}
