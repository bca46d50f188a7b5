import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// A name server that answers as a test wants it: over UDP, and over TCP what is too long for that.
final class LyingNameServer: Sendable {
    struct Question: Sendable {
        let identity: UInt16
        let name: String
        let type: UInt16
        /// The question as it came, for the answer.
        let octets: ByteBuffer
        /// How often this was asked before.
        let times: Int
        let isTCP: Bool
    }

    static let address: UInt16 = 1
    static let alias: UInt16 = 5
    static let exchanger: UInt16 = 15

    /// The replies to a question, none to leave it without one.
    typealias Script = @Sendable (Question) -> [ByteBuffer]

    private let channels: [any Channel]
    private let counter: Counter

    private final class Counter: Sendable {
        let asked = Mutex<[String: Int]>([:])
    }

    static func start(host: String, port: Int, _ script: @escaping Script) async throws -> LyingNameServer {
        let group = MultiThreadedEventLoopGroup.singleton
        let counter = Counter()
        let datagrams = try await DatagramBootstrap(group: group)
            .channelInitializer { channel in channel.pipeline.addHandler(DatagramHandler(counter: counter, script: script)) }
            .bind(host: host, port: port).get()
        let stream = try await ServerBootstrap(group: group)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1)
            .childChannelInitializer { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHandler(StreamHandler(counter: counter, script: script))
                }
            }
            .bind(host: host, port: port).get()
        return LyingNameServer([datagrams, stream], counter)
    }

    private init(_ channels: [any Channel], _ counter: Counter) {
        self.channels = channels
        self.counter = counter
    }

    func stop() async { for channel in channels { try? await channel.close().get() } }

    /// How many questions came for a name, of all types.
    func questions(for name: String) -> Int { counter.asked.withLock { asked in asked.filter { $0.key.hasPrefix("\(name) ") }.values.reduce(0, +) } }

    // MARK: Answers

    /// A reply (RFC 1035 §4.1).
    static func reply(
        to question: Question, identity: UInt16? = nil, code: UInt16 = 0, isTruncated: Bool = false, question octets: ByteBuffer? = nil,
        answers: [ByteBuffer] = []
    ) -> ByteBuffer {
        var buffer = ByteBuffer()
        buffer.writeInteger(identity ?? question.identity)
        // QR, RD, RA.
        buffer.writeInteger(0x8180 | (isTruncated ? 0x0200 : 0) | code)
        buffer.writeInteger(UInt16(1))
        buffer.writeInteger(UInt16(answers.count))
        buffer.writeInteger(UInt32(0))
        buffer.writeImmutableBuffer(octets ?? question.octets)
        for answer in answers { buffer.writeImmutableBuffer(answer) }
        return buffer
    }

    static func name(_ text: String) -> ByteBuffer {
        var buffer = ByteBuffer()
        for label in text.split(separator: ".") {
            buffer.writeInteger(UInt8(label.utf8.count))
            buffer.writeString(String(label))
        }
        buffer.writeInteger(UInt8(0))
        return buffer
    }

    static func record(_ owner: String, _ type: UInt16, seconds: UInt32 = 0, _ data: ByteBuffer) -> ByteBuffer {
        var buffer = name(owner)
        buffer.writeInteger(type)
        buffer.writeInteger(UInt16(1))
        buffer.writeInteger(seconds)
        buffer.writeInteger(UInt16(data.readableBytes))
        buffer.writeImmutableBuffer(data)
        return buffer
    }

    static func exchangerRecord(_ owner: String, _ preference: UInt16, _ exchange: String) -> ByteBuffer {
        var data = ByteBuffer(integer: preference)
        data.writeImmutableBuffer(name(exchange))
        return record(owner, exchanger, data)
    }

    static func addressRecord(_ owner: String, _ address: String) -> ByteBuffer {
        record(owner, Self.address, ByteBuffer(bytes: address.split(separator: ".").compactMap { UInt8($0) }))
    }

    // MARK: Questions

    private static func question(_ message: ByteBuffer, _ counter: Counter, isTCP: Bool) -> Question? {
        var rest = message
        guard let identity = rest.readInteger(as: UInt16.self), rest.readSlice(length: 10) != nil else { return nil }
        let start = rest.readerIndex
        var labels: [String] = []
        while let length = rest.readInteger(as: UInt8.self), length > 0 {
            guard let label = rest.readString(length: Int(length)) else { return nil }
            labels.append(label.lowercased())
        }
        guard let type = rest.readInteger(as: UInt16.self), rest.readInteger(as: UInt16.self) != nil,
            let octets = message.getSlice(at: start, length: rest.readerIndex - start)
        else { return nil }
        let name = labels.joined(separator: ".")
        let times = counter.asked.withLock { asked in
            defer { asked["\(name) \(type)", default: 0] += 1 }
            return asked["\(name) \(type)", default: 0]
        }
        return Question(identity: identity, name: name, type: type, octets: octets, times: times, isTCP: isTCP)
    }

    private final class DatagramHandler: ChannelInboundHandler, Sendable {
        typealias InboundIn = AddressedEnvelope<ByteBuffer>
        typealias OutboundOut = AddressedEnvelope<ByteBuffer>
        let counter: Counter
        let script: Script

        init(counter: Counter, script: @escaping Script) {
            self.counter = counter
            self.script = script
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            let envelope = unwrapInboundIn(data)
            guard let question = LyingNameServer.question(envelope.data, counter, isTCP: false) else { return }
            for reply in script(question) {
                context.writeAndFlush(wrapOutboundOut(AddressedEnvelope(remoteAddress: envelope.remoteAddress, data: reply)), promise: nil)
            }
        }
    }

    private final class StreamHandler: ChannelInboundHandler {
        typealias InboundIn = ByteBuffer
        typealias OutboundOut = ByteBuffer
        let counter: Counter
        let script: Script
        private var buffer = ByteBuffer()

        init(counter: Counter, script: @escaping Script) {
            self.counter = counter
            self.script = script
        }

        func channelRead(context: ChannelHandlerContext, data: NIOAny) {
            buffer.writeImmutableBuffer(unwrapInboundIn(data))
            while let message = buffer.readLengthPrefixedSlice(as: UInt16.self) {
                guard let question = LyingNameServer.question(message, counter, isTCP: true) else { continue }
                for reply in script(question) {
                    var out = ByteBuffer(integer: UInt16(reply.readableBytes))
                    out.writeImmutableBuffer(reply)
                    context.writeAndFlush(wrapOutboundOut(out), promise: nil)
                }
            }
        }
    }
}
