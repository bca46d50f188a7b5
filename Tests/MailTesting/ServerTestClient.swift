package import NIOCore
import NIOPosix
package import NIOSSL

/// A client that says octets and hears reply lines.
package final class ServerTestClient {
    package let channel: any Channel
    private var incoming: AsyncStream<ByteBuffer>.Iterator
    private var heard: [UInt8] = []

    private final class Listener: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let continuation: AsyncStream<ByteBuffer>.Continuation
        init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    /// Connects to a port, of the loopback address if none is given; with `tls`, TLS begins at once, for this name.
    package init(
        host: String = "127.0.0.1", port: Int, from source: String? = nil, tls: NIOSSLContext? = nil, serverName: String? = nil
    )
        async throws
    {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        incoming = stream.makeAsyncIterator()
        var bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .channelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    if let tls { try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: tls, serverHostname: serverName)) }
                    try channel.pipeline.syncOperations.addHandler(Listener(continuation))
                }
            }
        if let source { bootstrap = bootstrap.bind(to: try SocketAddress(ipAddress: source, port: 0)) }
        channel = try await bootstrap.connect(host: host, port: port).get()
    }

    package func send(_ text: String) async throws { try await channel.writeAndFlush(ByteBuffer(string: text)) }

    /// Sends without caring whether the peer listens still.
    package func push(_ buffer: ByteBuffer) { channel.writeAndFlush(buffer, promise: nil) }

    /// The lines of the next reply; empty when the connection is closed.
    package func reply() async -> [String] {
        var lines: [String] = []
        while true {
            if let end = heard.firstIndex(of: 10) {
                let line = String(decoding: heard[..<end].dropLast(), as: UTF8.self)
                heard.removeSubrange(...end)
                lines.append(line)
                if line.dropFirst(3).first != "-" { return lines }
            } else if let buffer = await incoming.next(isolation: #isolation) {
                heard += Array(buffer.readableBytesView)
            } else {
                return lines
            }
        }
    }

    /// Everything that comes until the peer closes.
    package func rest() async -> String {
        while let buffer = await incoming.next(isolation: #isolation) { heard += Array(buffer.readableBytesView) }
        defer { heard = [] }
        return String(decoding: heard, as: UTF8.self)
    }

    /// Says a line and returns the last line of the reply.
    package func say(_ line: String) async throws -> String {
        try await send(line + "\r\n")
        return await reply().last ?? ""
    }

    /// Begins TLS on the open connection.
    package func startTLS(_ context: NIOSSLContext) async throws {
        let channel = channel
        try await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.addHandler(NIOSSLClientHandler(context: context, serverHostname: nil), position: .first)
        }.get()
    }

    /// The certificate that the server showed, in DER; `nil` without TLS.
    package func peerCertificate() async -> [UInt8]? {
        let channel = channel
        return try? await channel.eventLoop.submit {
            try channel.pipeline.syncOperations.handler(type: NIOSSLClientHandler.self).peerCertificate?.toDERBytes()
        }.get()
    }

    /// Ends our side of the connection; what the server says still arrives.
    package func closeOutput() async throws { try await channel.close(mode: .output) }

    /// Resets the connection.
    package func reset() async {
        try? await (channel as? any SocketOptionProvider)?.setSoLinger(linger(l_onoff: 1, l_linger: 0)).get()
        try? await channel.close()
    }

    package func close() async { try? await channel.close() }
}
