import DNS
import Milter
import NIOCore
import NIOPosix

/// An MTA that says commands of the milter protocol and hears responses.
final class MilterTestClient {
    let channel: any Channel
    private var incoming: AsyncStream<ByteBuffer>.Iterator
    private(set) var client: MilterClient

    private final class Listener: ChannelInboundHandler, Sendable {
        typealias InboundIn = ByteBuffer
        let continuation: AsyncStream<ByteBuffer>.Continuation
        init(_ continuation: AsyncStream<ByteBuffer>.Continuation) { self.continuation = continuation }
        func channelRead(context: ChannelHandlerContext, data: NIOAny) { continuation.yield(unwrapInboundIn(data)) }
        func channelInactive(context: ChannelHandlerContext) { continuation.finish() }
        func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }
    }

    private init(offer: MilterNegotiation, connect: (ClientBootstrap) async throws -> any Channel) async throws {
        let (stream, continuation) = AsyncStream<ByteBuffer>.makeStream()
        incoming = stream.makeAsyncIterator()
        client = MilterClient(offer: offer)
        let bootstrap = ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).channelInitializer { channel in
            channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(Listener(continuation)) }
        }
        channel = try await connect(bootstrap)
    }

    /// Connects to a port of the loopback address.
    convenience init(port: Int, offer: MilterNegotiation = MilterClient.fullOffer) async throws {
        try await self.init(offer: offer) { try await $0.connect(host: "127.0.0.1", port: port).get() }
    }

    /// Connects to a socket of the file system.
    convenience init(path: String) async throws {
        try await self.init(offer: MilterClient.fullOffer) { try await $0.connect(unixDomainSocketPath: path).get() }
    }

    func push(_ octets: ByteBuffer) { channel.writeAndFlush(octets, promise: nil) }

    /// Negotiates.
    func begin() async throws -> MilterResponse? {
        push(client.begin())
        return try await response()
    }

    /// The next response; `nil` when the filter closed.
    func response() async throws -> MilterResponse? {
        while true {
            if let response = try client.next() { return response }
            guard let octets = await incoming.next(isolation: #isolation) else { return nil }
            client.receive(octets)
        }
    }

    /// Says commands, and hears all responses up to the final one where the last of them is answered.
    @discardableResult
    func say(_ commands: MilterCommand...) async throws -> [MilterResponse] {
        var found: [MilterResponse] = []
        for command in commands {
            guard let octets = client.octets(of: command) else { continue }
            push(octets)
            guard client.awaitsReply(to: command) else { continue }
            while let response = try await response() {
                found.append(response)
                if response.isFinal { break }
            }
        }
        return found
    }

    func close() async { try? await channel.close() }
}

extension MilterCommand {
    static func field(_ name: String, _ value: String) -> MilterCommand {
        .header(name: ByteBuffer(string: name), value: ByteBuffer(string: value))
    }
    static let client = MilterCommand.connect(MilterConnection(hostName: "mail.gmail.test", peer: .internet(.v4(0xC633_6407), port: 40_000)))
    static let bob = MilterCommand.mail(MilterPath("<bob@kartapuce.test>"))
    static let jack = MilterCommand.recipient(MilterPath("<jack@gmail.test>"))
}
