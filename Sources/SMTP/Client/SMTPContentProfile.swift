public import NIOCore

/// What must be known of a message's octets before they are sent, found in one pass over them.
public struct SMTPContentProfile: Hashable, Sendable {
    /// The number of octets.
    public private(set) var byteCount = 0
    /// An octet over 127 occurs (RFC 6152).
    public private(set) var hasEightBit = false
    /// An octet over 127 occurs before the first empty line (RFC 6532).
    public private(set) var hasEightBitHeader = false
    /// A CR without LF or an LF without CR occurs (RFC 5321 §2.3.8), so a peer may see line ends where there are none.
    public private(set) var hasBareLineEnd = false
    /// A line begins with NUL octets and a dot, which a peer that drops NUL takes for the end of the message.
    public private(set) var hasHiddenDot = false

    private var previous: UInt8 = 0
    private var inHeader = true
    private var lineIsEmpty = true
    private var lineIsNUL = true

    /// A profile of no octets yet.
    public init() {}

    /// The profile of a whole message in memory.
    public init(_ buffer: ByteBuffer) {
        consume(buffer)
        finish()
    }

    /// The message may be sent by DATA, or by BDAT without BINARYMIME.
    public var isUnambiguousText: Bool { !hasBareLineEnd && !hasHiddenDot }

    /// The last octets are CRLF; an empty message counts as such, for the line of the final dot follows a line end in it.
    public var endsWithLineEnd: Bool { byteCount == 0 || (previous == UInt8(ascii: "\n") && lineIsEmpty) }

    /// Takes the next octets.
    public mutating func consume(_ buffer: ByteBuffer) {
        let span = buffer.readableBytesUInt8Span
        byteCount += span.count
        // Local copies: the loop is the hot path, and the fields of self would be stored for every octet.
        var previous = previous
        var lineIsEmpty = lineIsEmpty
        var lineIsNUL = lineIsNUL
        var bits: UInt8 = 0
        for index in span.indices {
            let byte = span[index]
            if byte == UInt8(ascii: "\n") {
                if previous != UInt8(ascii: "\r") { hasBareLineEnd = true }
                if inHeader {
                    if bits & 0x80 != 0 { hasEightBitHeader = true }
                    if lineIsEmpty { inHeader = false }
                }
                lineIsEmpty = true
                lineIsNUL = true
            } else {
                if previous == UInt8(ascii: "\r") {
                    hasBareLineEnd = true
                    lineIsEmpty = false
                }
                bits |= byte
                if byte != UInt8(ascii: "\r") {
                    if lineIsNUL, byte == UInt8(ascii: "."), !lineIsEmpty { hasHiddenDot = true }
                    lineIsEmpty = false
                    if byte != 0 { lineIsNUL = false }
                }
            }
            previous = byte
        }
        if bits & 0x80 != 0 {
            hasEightBit = true
            if inHeader { hasEightBitHeader = true }
        }
        self.previous = previous
        self.lineIsEmpty = lineIsEmpty
        self.lineIsNUL = lineIsNUL
    }

    /// All octets have been taken.
    public mutating func finish() {
        if previous == UInt8(ascii: "\r"), byteCount > 0 { hasBareLineEnd = true }
    }
}

/// Doubles the dots at the beginning of lines (RFC 5321 §4.5.2), in text that is known to have no bare CR or LF.
struct SMTPDotStuffing: Sendable {
    private var atLineStart = true

    /// The octets with their dots doubled.
    mutating func encode(_ buffer: ByteBuffer, into output: inout ByteBuffer) {
        let span = buffer.readableBytesUInt8Span
        var start = 0
        var lineStart = atLineStart
        for index in span.indices {
            let byte = span[index]
            if lineStart, byte == UInt8(ascii: ".") {
                append(buffer, start..<index, to: &output)
                output.writeInteger(UInt8(ascii: "."))
                start = index
            }
            lineStart = byte == UInt8(ascii: "\n")
        }
        append(buffer, start..<span.count, to: &output)
        atLineStart = lineStart
    }

    private func append(_ buffer: ByteBuffer, _ range: Range<Int>, to output: inout ByteBuffer) {
        guard !range.isEmpty, let slice = buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) else {
            return
        }
        output.writeImmutableBuffer(slice)
    }
}
