public import NIOCore

/// A packet of the milter protocol: a letter and what belongs to it.
public struct MilterPacket: Hashable, Sendable {
    /// The letter of the command or the response.
    public let command: UInt8
    /// The octets behind the letter.
    public let payload: ByteBuffer

    /// Makes a packet.
    public init(command: UInt8, payload: ByteBuffer = ByteBuffer()) {
        self.command = command
        self.payload = payload
    }

    /// Writes the packet with its length in front.
    public func write(into buffer: inout ByteBuffer) {
        buffer.writeInteger(UInt32(clamping: payload.readableBytes + 1))
        buffer.writeInteger(command)
        buffer.writeImmutableBuffer(payload)
    }
}

/// Cuts a stream of octets into packets: four octets of length in network order, a letter, and what belongs to it.
///
/// How the octets are cut into pieces makes no difference to what comes out. At most one packet of the limit's length is kept.
public struct MilterPacketDecoder: Sendable {
    private let limit: Int
    private var input = ByteBuffer()

    /// Makes a decoder for packets of at most `limit` octets behind their length.
    public init(limit: Int = MilterLimits().packetLength) { self.limit = limit }

    /// Takes octets.
    public mutating func receive(_ buffer: ByteBuffer) {
        if input.readableBytes == 0 {
            input = buffer
        } else {
            if input.readerIndex > 65_536 { input.discardReadBytes() }
            input.writeImmutableBuffer(buffer)
        }
    }

    /// The octets that are kept and not used yet.
    public var octetsHeld: Int { input.readableBytes }

    /// The next packet; `nil` where octets are missing.
    /// - Throws: ``MilterError`` for a length that no packet has. Nothing can be read behind it.
    public mutating func next() throws(MilterError) -> MilterPacket? {
        guard let length = input.getInteger(at: input.readerIndex, as: UInt32.self) else { return nil }
        guard length > 0 else { throw MilterError(.emptyPacket, command: nil) }
        guard length <= limit else {
            // Without its letter, which may not be there yet: the error is the same however the octets are cut.
            throw MilterError(.packetTooLong, command: nil, state: "a packet of \(length) octets was announced")
        }
        guard input.readableBytes >= 4 + Int(length) else { return nil }
        input.moveReaderIndex(forwardBy: 4)
        guard let command = input.readInteger(as: UInt8.self), let payload = input.readSlice(length: Int(length) - 1) else { return nil }
        if input.readableBytes == 0 { input = ByteBuffer() }
        return MilterPacket(command: command, payload: payload)
    }
}
