import NIOCore
import NIOSSL
import TransportSecurity

/// Stands between the socket and TLS until the handshake is complete, and reads what the client asked for and what the server chose: NIOSSL doesn't
/// tell it.
final class TLSHandshakeObserver: ChannelDuplexHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var inbound: TLSHandshakeReader
    private var outbound: TLSHandshakeReader

    /// - Parameter isServer: we are the server.
    init(isServer: Bool) {
        inbound = TLSHandshakeReader(isServer ? .client : .server)
        outbound = TLSHandshakeReader(isServer ? .server : .client)
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        if !inbound.isFinished { inbound.read(unwrapInboundIn(data).readableBytesView) }
        context.fireChannelRead(data)
    }

    func write(context: ChannelHandlerContext, data: NIOAny, promise: EventLoopPromise<Void>?) {
        if !outbound.isFinished { outbound.read(unwrapOutboundIn(data).readableBytesView) }
        context.write(data, promise: promise)
    }

    /// What was in the clear.
    struct Findings {
        var serverName: String?
        var choice: TLSChoice?
    }

    private var findings: Findings {
        Findings(serverName: inbound.serverName ?? outbound.serverName, choice: inbound.choice ?? outbound.choice)
    }

    /// Puts TLS with its observer into a pipeline, before a handler or at its end so far.
    static func add(
        _ handler: NIOSSLHandler, isServer: Bool, to pipeline: ChannelPipeline.SynchronousOperations, before next: (any ChannelHandler)? = nil
    )
        throws
    {
        let observer = TLSHandshakeObserver(isServer: isServer)
        if let next {
            try pipeline.addHandlers([observer, handler], position: .before(next))
        } else {
            try pipeline.addHandlers([observer, handler])
        }
    }

    /// What was in the clear; the observer is gone afterwards.
    static func take(from pipeline: ChannelPipeline.SynchronousOperations) -> Findings {
        guard let observer = try? pipeline.handler(type: TLSHandshakeObserver.self) else { return Findings() }
        pipeline.removeHandler(observer, promise: nil)
        return observer.findings
    }
}
