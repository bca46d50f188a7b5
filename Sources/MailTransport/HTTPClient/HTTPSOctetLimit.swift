import NIOCore

/// Ends a connection on which more comes than an answer of the allowed length could need, however it is written: chunks of one octet, endless
/// trailers, interim answers one after the other. Stands before the decoder, which keeps what it hasn't handed on.
final class HTTPSOctetLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// More came.
    struct Exceeded: Error {}

    private var rest: Int

    /// - Parameter bodyLimit: the most octets of the content. A chunk of one octet takes six.
    init(bodyLimit: Int) { rest = 2 * HTTPSClient.headerLimit + min(bodyLimit, 1 << 30) * 8 }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        guard rest >= 0 else { return }
        rest -= unwrapInboundIn(data).readableBytes
        if rest >= 0 { context.fireChannelRead(data) } else { context.fireErrorCaught(Exceeded()) }
    }
}
