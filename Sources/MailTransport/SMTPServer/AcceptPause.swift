import Logging
import NIOCore

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Lets a listener rest for a second when the process or the system has no descriptor left for another connection.
///
/// Without it the listener spins: the waiting connection stays readable, and the same accept fails again and again. Reading is switched off as
/// a whole; NIO's own `AcceptBackoffHandler` only delays calls of `read`, while the descriptor stays registered.
final class AcceptPause: ChannelInboundHandler {
    typealias InboundIn = Channel

    private static let pause = TimeAmount.seconds(1)
    private let logger: Logger
    private let listener: String
    /// Whether the present shortage was told.
    private var isTold = false
    private var isPaused = false

    init(listener: String, logger: Logger) {
        self.listener = listener
        self.logger = logger
    }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        isTold = false
        context.fireChannelRead(data)
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        guard let error = error as? IOError, [EMFILE, ENFILE, ENOBUFS, ENOMEM].contains(error.errnoCode) else { return context.fireErrorCaught(error) }
        guard !isPaused else { return }
        isPaused = true
        if !isTold {
            isTold = true
            logger.error(
                "no descriptors or memory for another connection; new clients wait",
                metadata: ["listener": "\(listener)", "error": "\(error)"])
        }
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        context.channel.setOption(.autoRead, value: false).whenSuccess {
            bound.value.1.eventLoop.scheduleTask(in: Self.pause) {
                let (handler, context) = bound.value
                handler.isPaused = false
                _ = context.channel.setOption(.autoRead, value: true)
            }
        }
    }
}
