import NIOCore

/// Ends a connection on which more comes than a message of the allowed length could need, however it is written: chunks of one octet, endless
/// trailers, interim answers one after the other. Stands before the decoder, which keeps what it hasn't handed on.
final class HTTPSOctetLimit: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias InboundOut = ByteBuffer

    /// More came.
    struct Exceeded: Error {}

    private var rest: Int
    private var isExceeded = false

    /// - Parameter bodyLimit: the most octets of the content. A chunk of one octet takes six.
    init(bodyLimit: Int) { rest = 2 * HTTPSClient.headerLimit + min(bodyLimit, 1 << 30) * 8 }

    /// For a server, which decides about the content when it has seen the head.
    /// - Parameter headLimit: the most octets of the head.
    init(headLimit: Int) { rest = 2 * headLimit }

    /// A content is welcome.
    func allow(bodyLimit: Int) { rest += min(bodyLimit, 1 << 30) * 8 }

    /// Hands on what is allowed: what is behind it may allow more when it has seen that.
    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        while rest > 0, let piece = buffer.readSlice(length: min(rest, buffer.readableBytes)), piece.readableBytes > 0 {
            rest -= piece.readableBytes
            context.fireChannelRead(wrapInboundOut(piece))
        }
        guard buffer.readableBytes > 0, !isExceeded else { return }
        isExceeded = true
        context.fireErrorCaught(Exceeded())
    }
}
