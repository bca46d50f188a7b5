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

    /// Takes the next octets. Looks from line end to line end; only what a line begins with is looked at octet by octet.
    public mutating func consume(_ buffer: ByteBuffer) {
        ByteScan.over(buffer) { octets in
            byteCount += octets.count
            if !inHeader, octets.hasEightBit(from: 0, to: octets.count) { hasEightBit = true }
            var position = 0
            while position < octets.count {
                let lineEnd = octets.first(UInt8(ascii: "\n"), from: position, to: octets.count)
                let end = lineEnd ?? octets.count
                consumeLine(octets, position..<end)
                if inHeader, octets.hasEightBit(from: position, to: end) {
                    hasEightBit = true
                    hasEightBitHeader = true
                }
                guard lineEnd != nil else { break }
                if previous != UInt8(ascii: "\r") { hasBareLineEnd = true }
                if inHeader, lineIsEmpty {
                    inHeader = false
                    if octets.hasEightBit(from: end, to: octets.count) { hasEightBit = true }
                }
                lineIsEmpty = true
                lineIsNUL = true
                previous = UInt8(ascii: "\n")
                position = end + 1
            }
        }
    }

    /// Takes octets of a line, without the LF at its end.
    private mutating func consumeLine(_ octets: ByteScan, _ range: Range<Int>) {
        var position = range.lowerBound
        while lineIsNUL, position < range.upperBound, let byte = octets[position] {
            noteWhatFollows()
            if byte != UInt8(ascii: "\r") {
                if byte == UInt8(ascii: "."), lineIsNUL, !lineIsEmpty { hasHiddenDot = true }
                lineIsEmpty = false
                if byte != 0 { lineIsNUL = false }
            }
            previous = byte
            position += 1
        }
        guard position < range.upperBound, let last = octets[range.upperBound - 1] else { return }
        noteWhatFollows()
        // A CR that is the last one may belong to the LF that follows.
        if octets.first(UInt8(ascii: "\r"), from: position, to: range.upperBound - 1) != nil { hasBareLineEnd = true }
        previous = last
    }

    /// An octet that is no LF follows: a CR before it stood alone.
    private mutating func noteWhatFollows() {
        guard previous == UInt8(ascii: "\r") else { return }
        hasBareLineEnd = true
        lineIsEmpty = false
        lineIsNUL = false
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
        ByteScan.over(buffer) { octets in
            var start = 0
            var line = atLineStart ? 0 : octets.first(UInt8(ascii: "\n"), from: 0, to: octets.count).map { $0 + 1 } ?? octets.count
            while line < octets.count {
                if octets[line] == UInt8(ascii: ".") {
                    append(buffer, start..<line, to: &output)
                    output.writeInteger(UInt8(ascii: "."))
                    start = line
                }
                line = octets.first(UInt8(ascii: "\n"), from: line, to: octets.count).map { $0 + 1 } ?? octets.count
            }
            append(buffer, start..<octets.count, to: &output)
            if let last = octets[octets.count - 1] { atLineStart = last == UInt8(ascii: "\n") }
        }
    }

    private func append(_ buffer: ByteBuffer, _ range: Range<Int>, to output: inout ByteBuffer) {
        guard !range.isEmpty, let slice = buffer.getSlice(at: buffer.readerIndex + range.lowerBound, length: range.count) else {
            return
        }
        output.writeImmutableBuffer(slice)
    }
}
