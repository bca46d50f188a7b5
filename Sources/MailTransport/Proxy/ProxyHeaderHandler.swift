import Logging
import NIOCore

/// Waits for the header of a trusted proxy, the first octets of a connection; only then the connection begins for everybody else.
final class ProxyHeaderHandler: ChannelInboundHandler, RemovableChannelHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// How long a proxy may take. It sends the header at once.
    static let patience = TimeAmount.seconds(10)

    private let ends: ConnectionEnds
    private let logger: Logger
    /// Puts the handlers in place that serve the client.
    private let begin: (ConnectionEnds) throws -> Void
    private var input = ByteBuffer()
    private var isDone = false

    init(ends: ConnectionEnds, logger: Logger, begin: @escaping (ConnectionEnds) throws -> Void) {
        self.ends = ends
        self.logger = logger
        self.begin = begin
    }

    func channelActive(context: ChannelHandlerContext) {
        let channel = context.channel
        let bound = NIOLoopBound(self, eventLoop: context.eventLoop)
        let timer = context.eventLoop.scheduleTask(in: Self.patience) { if !bound.value.isDone { channel.close(promise: nil) } }
        channel.closeFuture.whenComplete { _ in timer.cancel() }
        context.fireChannelActive()
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        input.writeImmutableBuffer(unwrapInboundIn(data))
        guard !isDone else { return }
        do {
            guard let header = try ProxyHeader.read(from: &input) else { return }
            isDone = true
            try begin(ends.told(by: header))
        } catch {
            isDone = true
            logger.warning("a proxy's connection is closed", metadata: ["net.peer": "\(ends.remote.address)", "error": "\(error)"])
            return context.close(promise: nil)
        }
        // What the client has said already is for the handlers that are there now.
        if input.readableBytes > 0 {
            context.fireChannelRead(wrapInboundOut(input))
            context.fireChannelReadComplete()
        }
        input = ByteBuffer()
        context.pipeline.syncOperations.removeHandler(self, promise: nil)
    }
}
