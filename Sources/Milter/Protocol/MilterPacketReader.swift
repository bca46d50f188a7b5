import NIOCore

/// Reads the parts of one packet.
struct MilterPacketReader {
    private let command: UInt8
    private var rest: ByteBuffer
    private let length: Int

    init(_ packet: MilterPacket) {
        command = packet.command
        rest = packet.payload
        length = packet.payload.readableBytes
    }

    /// The position in octets behind the packet's length.
    var offset: Int { 1 + length - rest.readableBytes }
    var isAtEnd: Bool { rest.readableBytes == 0 }

    @inline(never)
    func fault(_ code: MilterError.Code) -> MilterError { MilterError(code, command: command, at: offset) }

    mutating func octet() throws(MilterError) -> UInt8 {
        guard let octet = rest.readInteger(as: UInt8.self) else { throw fault(.truncatedPacket) }
        return octet
    }

    mutating func number16() throws(MilterError) -> UInt16 {
        guard let number = rest.readInteger(as: UInt16.self) else { throw fault(.truncatedPacket) }
        return number
    }

    mutating func number32() throws(MilterError) -> UInt32 {
        guard let number = rest.readInteger(as: UInt32.self) else { throw fault(.truncatedPacket) }
        return number
    }

    /// The octets up to the next NUL, which is passed over.
    mutating func octets(limit: Int) throws(MilterError) -> ByteBuffer {
        guard let length = rest.readableBytesView.firstIndex(of: 0).map({ $0 - rest.readerIndex }), length >= 0 else {
            throw fault(.unterminatedText)
        }
        guard length <= limit else { throw fault(.textTooLong) }
        guard let octets = rest.readSlice(length: length) else { throw fault(.truncatedPacket) }
        rest.moveReaderIndex(forwardBy: 1)
        return octets
    }

    /// The text up to the next NUL; what isn't UTF-8 is repaired.
    mutating func text(limit: Int) throws(MilterError) -> String {
        String(decoding: try octets(limit: limit).readableBytesView, as: UTF8.self)
    }

    /// All texts up to the end of the packet.
    mutating func texts(count: Int, limit: Int) throws(MilterError) -> [String] {
        guard length <= limit else { throw fault(.textTooLong) }
        var texts: [String] = []
        while !isAtEnd {
            guard texts.count < count else { throw fault(.tooMany) }
            texts.append(try text(limit: limit))
        }
        return texts
    }

    mutating func remainder() -> ByteBuffer {
        defer { rest.moveReaderIndex(to: rest.writerIndex) }
        return rest
    }

    func end() throws(MilterError) { guard isAtEnd else { throw fault(.trailingOctets) } }
}

extension ByteBuffer {
    /// Writes a text with NUL behind it. NULs within it would end it for the reader, and are left out.
    mutating func writeTerminated(_ text: some StringProtocol) {
        if text.utf8.contains(0) { writeBytes(text.utf8.filter { $0 != 0 }) } else { writeString(String(text)) }
        writeInteger(UInt8(0))
    }

    /// Writes octets with NUL behind them; the caller has seen to it that they have none within.
    mutating func writeTerminated(_ octets: ByteBuffer) {
        writeImmutableBuffer(octets)
        writeInteger(UInt8(0))
    }
}
