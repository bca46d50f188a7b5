import DNS
package import Milter
package import NIOCore
import NIOPosix

/// An MTA that says commands of the milter protocol and hears responses.
package final class MilterTestClient {
    package let channel: any Channel
    private var incoming: AsyncStream<ByteBuffer>.Iterator
    package private(set) var client: MilterClient

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
    package convenience init(port: Int, offer: MilterNegotiation = MilterClient.fullOffer) async throws {
        try await self.init(offer: offer) { try await $0.connect(host: "127.0.0.1", port: port).get() }
    }

    /// Connects to a socket of the file system.
    package convenience init(path: String) async throws {
        try await self.init(offer: MilterClient.fullOffer) { try await $0.connect(unixDomainSocketPath: path).get() }
    }

    package func push(_ octets: ByteBuffer) { channel.writeAndFlush(octets, promise: nil) }

    /// Negotiates.
    package func begin() async throws -> MilterResponse? {
        push(client.begin())
        return try await response()
    }

    /// The next response; `nil` when the filter closed.
    package func response() async throws -> MilterResponse? {
        while true {
            if let response = try client.next() { return response }
            guard let octets = await incoming.next(isolation: #isolation) else { return nil }
            client.receive(octets)
        }
    }

    /// Says commands, and hears all responses up to the final one where the last of them is answered.
    @discardableResult
    package func say(_ commands: MilterCommand...) async throws -> [MilterResponse] { try await say(commands) }

    /// Says commands, and hears all responses up to the final one where the last of them is answered.
    @discardableResult
    package func say(_ commands: [MilterCommand]) async throws -> [MilterResponse] {
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

    /// Says commands without waiting in between, and hears everything that they are answered; an answer that ends the message's way is the last.
    package func sayAtOnce(_ commands: [MilterCommand]) async throws -> [MilterResponse] {
        var octets = ByteBuffer()
        for command in commands {
            if var more = client.octets(of: command) { octets.writeBuffer(&more) }
        }
        push(octets)
        var found: [MilterResponse] = []
        for command in commands where client.awaitsReply(to: command) {
            while let response = try await response() {
                found.append(response)
                if response.isFinal { break }
            }
            guard let last = found.last, [.continue, .accept, .skip].contains(last) else { break }
        }
        return found
    }

    package func close() async { try? await channel.close() }
}

extension MilterCommand {
    package static func field(_ name: String, _ value: String) -> MilterCommand {
        .header(name: ByteBuffer(string: name), value: ByteBuffer(string: value))
    }
    package static let client = MilterCommand.connect(MilterConnection(hostName: "mail.gmail.test", peer: .internet(.v4(0xC633_6407), port: 40_000)))
    package static let bob = MilterCommand.mail(MilterPath("<bob@kartapuce.test>"))
    package static let jack = MilterCommand.recipient(MilterPath("<jack@gmail.test>"))
}
