import NIOCore
import NIOPosix
import Synchronization

/// A man in the middle of DNS: he listens where an authoritative server should, hands questions on to the real one, and forges the answers that he likes. He has no
/// keys: what is signed he can change, hold back or deny, and not sign.
final class DNSInterceptor: Sendable {
    /// What he makes of the answer to a question.
    enum Forgery: Sendable {
        /// Other data of the records that were asked for.
        case records([[UInt8]])
        /// No such data, without any proof.
        case nothing
        /// SERVFAIL.
        case failure
        /// The real answer, signatures included, with these octets put in the place of others of the same number.
        case replacing([UInt8], with: [UInt8])
    }

    private struct Question: Hashable {
        var name: String
        var type: UInt16
    }

    private struct Waiting {
        var client: SocketAddress
        var identifier: UInt16
        var question: Question
    }

    private struct State {
        var forgeries: [Question: Forgery] = [:]
        /// Questions that the real server hasn't answered yet, by the number under which it was asked.
        var waiting: [UInt16: Waiting] = [:]
        var next: UInt16 = 0
        var answers: (any Channel)?
        var questions: (any Channel)?
    }

    private let state = Mutex(State())
    private let real: SocketAddress

    /// - Parameter real: the address of the real server, which nobody else knows.
    init(real: String) throws { self.real = try SocketAddress(ipAddress: real, port: 53) }

    /// Listens.
    func start(at address: String) async throws {
        let loop = MultiThreadedEventLoopGroup.singleton.next()
        let asked = try await DatagramBootstrap(group: loop)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DatagramReader { self.asked($0) }) }
            }
            .bind(host: address, port: 53).get()
        let asking = try await DatagramBootstrap(group: loop)
            .channelInitializer { [self] channel in
                channel.eventLoop.makeCompletedFuture { try channel.pipeline.syncOperations.addHandler(DatagramReader { self.answered($0) }) }
            }
            .bind(host: address, port: 0).get()
        state.withLock {
            $0.questions = asked
            $0.answers = asking
        }
    }

    func stop() async {
        let channels = state.withLock { [$0.questions, $0.answers] }
        for channel in channels { try? await channel?.close().get() }
    }

    /// Forges the answer to a question from now on; `nil`: not any more.
    func forge(_ name: String, _ type: UInt16, _ forgery: Forgery?) {
        state.withLock { $0.forgeries[Question(name: name, type: type)] = forgery }
    }

    // MARK: Questions and answers

    private func asked(_ packet: AddressedEnvelope<ByteBuffer>) {
        guard let (question, end) = Self.question(of: packet.data), let identifier = packet.data.getInteger(at: packet.data.readerIndex, as: UInt16.self)
        else { return }
        let forgery = state.withLock { $0.forgeries[question] }
        switch forgery {
        case .records(let data): reply(to: packet, Self.answer(packet.data, end, code: 0, type: question.type, data))
        case .nothing: reply(to: packet, Self.answer(packet.data, end, code: 0, type: question.type, []))
        case .failure: reply(to: packet, Self.answer(packet.data, end, code: 2, type: question.type, []))
        case .replacing, nil:
            let (number, channel) = state.withLock { state in
                state.next &+= 1
                state.waiting[state.next] = Waiting(client: packet.remoteAddress, identifier: identifier, question: question)
                return (state.next, state.answers)
            }
            var data = packet.data
            data.setInteger(number, at: data.readerIndex)
            channel?.writeAndFlush(AddressedEnvelope(remoteAddress: real, data: data), promise: nil)
        }
    }

    private func answered(_ packet: AddressedEnvelope<ByteBuffer>) {
        guard let number = packet.data.getInteger(at: packet.data.readerIndex, as: UInt16.self) else { return }
        let (waiting, forgery, channel) = state.withLock { state in
            let waiting = state.waiting.removeValue(forKey: number)
            return (waiting, waiting.flatMap { state.forgeries[$0.question] }, state.questions)
        }
        guard let waiting else { return }
        var octets = Array(packet.data.readableBytesView)
        octets[0...1] = [UInt8(waiting.identifier >> 8), UInt8(waiting.identifier & 0xFF)]
        if case .replacing(let old, let new) = forgery { octets.replace(old, with: new) }
        channel?.writeAndFlush(AddressedEnvelope(remoteAddress: waiting.client, data: ByteBuffer(bytes: octets)), promise: nil)
    }

    private func reply(to packet: AddressedEnvelope<ByteBuffer>, _ answer: ByteBuffer) {
        state.withLock { $0.questions }?.writeAndFlush(AddressedEnvelope(remoteAddress: packet.remoteAddress, data: answer), promise: nil)
    }

    /// The one question of a message, and where it ends (RFC 1035 §4.1.2).
    private static func question(of message: ByteBuffer) -> (Question, end: Int)? {
        let octets = Array(message.readableBytesView)
        var place = 12
        var labels: [String] = []
        while place < octets.count, octets[place] > 0, octets[place] < 64, place + 1 + Int(octets[place]) <= octets.count {
            labels.append(String(decoding: octets[(place + 1)..<(place + 1 + Int(octets[place]))], as: UTF8.self).lowercased())
            place += 1 + Int(octets[place])
        }
        guard place + 5 <= octets.count, octets[place] == 0 else { return nil }
        return (Question(name: labels.joined(separator: "."), type: UInt16(octets[place + 1]) << 8 | UInt16(octets[place + 2])), place + 5)
    }

    /// A message with records that nobody signed. They live for a second.
    private static func answer(_ query: ByteBuffer, _ end: Int, code: UInt8, type: UInt16, _ records: [[UInt8]]) -> ByteBuffer {
        let octets = Array(query.readableBytesView.prefix(end))
        var message = ByteBuffer(bytes: octets.prefix(2))
        // An authoritative response (RFC 1035 §4.1.1): one question, the answers, no authority, and OPT (RFC 6891 §6.1.2).
        message.writeBytes([0x84, code, 0, 1, 0, UInt8(records.count), 0, 0, 0, 1])
        message.writeBytes(octets.dropFirst(12))
        for data in records {
            message.writeBytes([0xC0, 12])
            message.writeMultipleIntegers(type, UInt16(1), UInt32(1), UInt16(data.count))
            message.writeBytes(data)
        }
        message.writeBytes([0, 0, 41, 0x04, 0xD0, 0, 0, 0x80, 0, 0, 0])
        return message
    }

    /// The data of a TXT record with one short text.
    static func text(_ text: String) -> [UInt8] { [UInt8(text.utf8.count)] + Array(text.utf8) }

    /// The data of an MX record.
    static func exchanger(_ host: String) -> [UInt8] {
        [0, 10] + host.split(separator: ".").flatMap { [UInt8($0.utf8.count)] + Array($0.utf8) } + [0]
    }

    /// The data of an A record.
    static func address(_ address: String) -> [UInt8] { address.split(separator: ".").compactMap { UInt8($0) } }
}

private final class DatagramReader: ChannelInboundHandler {
    typealias InboundIn = AddressedEnvelope<ByteBuffer>

    private let read: (AddressedEnvelope<ByteBuffer>) -> Void

    init(_ read: @escaping (AddressedEnvelope<ByteBuffer>) -> Void) { self.read = read }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) { read(unwrapInboundIn(data)) }
}
