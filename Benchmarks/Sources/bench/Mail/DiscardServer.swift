import ArgumentParser
import Foundation
import NIOCore
import NIOPosix

/// `bench discard`: an SMTP server that answers and keeps nothing, the least that any server on NIO has to do.
///
/// It is a process of its own, so that its CPU time can be told from the benchmark's.
struct DiscardCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(commandName: "discard", abstract: "Serve SMTP on loopback, and keep nothing.", shouldDisplay: false)

    @Option var port: Int
    @Option var loops: Int = 1

    func run() async throws {
        let group = MultiThreadedEventLoopGroup(numberOfThreads: loops)
        let channel = try await ServerBootstrap(group: group)
            .serverChannelOption(.backlog, value: 1024)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelOption(.socketOption(.tcp_nodelay), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DiscardHandler()) }
            }
            .bind(host: "127.0.0.1", port: port).get()
        try await channel.closeFuture.get()
    }
}

/// Recognises commands by their first letter and a message's end by its five octets.
private final class DiscardHandler: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    private var pending = ByteBuffer()
    private var isInMessage = false
    /// What of `pending` was searched for a message's end already.
    private var searched = 0

    func channelActive(context: ChannelHandlerContext) { reply("220 discard.kartapuce.test ESMTP\r\n", context) }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var buffer = unwrapInboundIn(data)
        pending.writeBuffer(&buffer)
        while isInMessage ? skipMessage(context) : takeCommand(context) {}
        pending.discardReadBytes()
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) { context.close(promise: nil) }

    private func takeCommand(_ context: ChannelHandlerContext) -> Bool {
        guard let end = pending.readableBytesView.firstIndex(of: 0x0A) else { return false }
        let verb = pending.getInteger(at: pending.readerIndex, as: UInt8.self).map { $0 & 0xDF }
        pending.moveReaderIndex(to: end + 1)
        switch verb {
        case UInt8(ascii: "D"):
            isInMessage = true
            searched = 0
            reply("354 go on\r\n", context)
        case UInt8(ascii: "Q"):
            reply("221 bye\r\n", context)
            context.close(promise: nil)
        default: reply("250 yes\r\n", context)
        }
        return true
    }

    /// Finds CR LF dot CR LF; the first two may be those of the DATA command, but no client of the benchmarks sends an empty message.
    private func skipMessage(_ context: ChannelHandlerContext) -> Bool {
        let view = pending.readableBytesView
        var from = view.startIndex + max(0, searched - 4)
        while let dot = view[from...].firstIndex(of: UInt8(ascii: ".")) {
            guard dot + 2 < view.endIndex else { break }
            if dot >= view.startIndex + 2, view[dot + 1] == 0x0D, view[dot + 2] == 0x0A, view[dot - 1] == 0x0A, view[dot - 2] == 0x0D {
                pending.moveReaderIndex(to: dot + 3)
                isInMessage = false
                reply("250 gone\r\n", context)
                return true
            }
            from = dot + 1
        }
        // Of what has been searched only the last octets can begin an end.
        pending.moveReaderIndex(forwardBy: max(0, view.count - 8))
        searched = pending.readableBytes
        return false
    }

    private func reply(_ text: String, _ context: ChannelHandlerContext) {
        context.writeAndFlush(wrapOutboundOut(context.channel.allocator.buffer(string: text)), promise: nil)
    }
}

/// The discarding server as a peer.
struct DiscardServer: MailServer {
    let name: String
    let port: Int
    private let child: ChildProcess

    static func start(_ workshop: Workshop, loops: Int) async throws -> DiscardServer {
        let port = try await workshop.freePort()
        let program = CommandLine.arguments[0]
        let child = try ChildProcess(
            program.contains("/") ? program : "/proc/self/exe", ["discard", "--port", "\(port)", "--loops", "\(loops)"],
            log: workshop.logFile("discard"))
        try await workshop.awaitServer(child, port: port)
        return DiscardServer(name: "loops\(loops)", port: port, child: child)
    }

    func usage() -> ProcessUsage { .of(child.processIdentifier) }
    func stop() async { await child.stop() }
}
