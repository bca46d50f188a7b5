import MailMessage
import NIOCore

/// Brings header fields into their canonical form (RFC 6376 §3.4.1, §3.4.2), one after the other.
///
/// A line end of LF alone is taken as CRLF, as in ``DKIMBodyHasher``.
struct DKIMHeaderCanonicalizer {
    let canonicalization: DKIMCanonicalization
    /// The canonical form, and room behind it.
    private var room: [UInt8]
    private var filled = 0

    /// - Parameter size: about how many octets will come; more is made room for as needed.
    init(_ canonicalization: DKIMCanonicalization, size: Int = 2048) {
        self.canonicalization = canonicalization
        room = Array(repeating: 0, count: size)
    }

    /// The canonical form of what was appended.
    var octets: ArraySlice<UInt8> { room[..<filled] }

    /// Appends a field.
    /// - Parameters:
    ///   - cut: octets of the value that are left out: those of `b=` in the field that is verified (§3.7).
    ///   - isTerminated: whether CRLF follows; it doesn't after the field that is verified.
    mutating func append(_ field: HeaderField, cutting cut: Range<Int>? = nil, isTerminated: Bool = true) {
        append(field.message.readableBytesUInt8Span, name: field.nameRange, value: field.valueRange, cut: cut, isTerminated: isTerminated)
    }

    /// Appends a field that is being made: its text without the last line end.
    mutating func append(line: String, isTerminated: Bool) {
        let octets = Array(line.utf8)
        let colon = octets.firstIndex(of: UInt8(ascii: ":")) ?? octets.count
        append(octets.span, name: 0..<colon, value: min(colon + 1, octets.count)..<octets.count, cut: nil, isTerminated: isTerminated)
    }

    /// Appends a field of a header section, as above.
    mutating func append(_ header: HeaderSection, at place: Int, cutting cut: Range<Int>? = nil, isTerminated: Bool = true) {
        let (name, value) = header.ranges(at: place)
        append(header.message.readableBytesUInt8Span, name: name, value: value, cut: cut, isTerminated: isTerminated)
    }

    /// Appends a field of which the name and the value are known to be at these octets of a message, as above.
    mutating func append(_ message: Span<UInt8>, name: Range<Int>, value: Range<Int>, cut: Range<Int>? = nil, isTerminated: Bool = true) {
        // What stays of the value stands before and behind this.
        let cut = cut.map { value.lowerBound + $0.lowerBound..<value.lowerBound + $0.upperBound } ?? value.upperBound..<value.upperBound
        // The line gets its colon and its end, and whole blocks are written.
        let count = value.upperBound - name.lowerBound + 3 + DKIMOctetBlock.size
        switch canonicalization {
        case .simple:
            // Each LF may get a CR.
            makeRoom(2 * count)
            filled = Self.copy(message, name.lowerBound..<value.upperBound, without: cut, to: &room, from: filled)
        case .relaxed:
            makeRoom(count)
            filled = Self.relax(message, name, value, without: cut, to: &room, from: filled)
        }
        guard isTerminated else { return }
        room[filled] = 0x0D
        room[filled + 1] = 0x0A
        filled += 2
    }

    private mutating func makeRoom(_ count: Int) {
        guard filled + count > room.count else { return }
        room.append(contentsOf: repeatElement(0, count: max(room.count, count)))
    }

    /// As written, but for line ends of LF alone.
    /// - Returns: where the room is free.
    private static func copy(
        _ message: Span<UInt8>, _ field: Range<Int>, without cut: Range<Int>, to room: inout [UInt8], from start: Int
    ) -> Int {
        var room = room.mutableSpan
        var filled = start
        for index in field where !cut.contains(index) {
            if message[index] == 0x0A, index == field.lowerBound || message[index - 1] != 0x0D {
                room[filled] = 0x0D
                filled += 1
            }
            room[filled] = message[index]
            filled += 1
        }
        return filled
    }

    /// The name in lower case, the value unfolded, and nothing around the colon.
    /// - Returns: where the room is free.
    private static func relax(
        _ message: Span<UInt8>, _ name: Range<Int>, _ value: Range<Int>, without cut: Range<Int>, to room: inout [UInt8], from start: Int
    ) -> Int {
        var room = room.mutableSpan
        var filled = start
        var next = name.lowerBound
        while name.upperBound - next >= 8 {
            // Safe, here and below: the octets are there, and the room is as long as is checked there; every bit pattern is a value.
            let word = unsafe message.bytes.unsafeLoadUnaligned(fromByteOffset: next, as: UInt64.self)
            var octets = unsafe room.mutableBytes
            octets.storeBytes(of: word.asciiLowercased, toByteOffset: filled, as: UInt64.self)
            filled += 8
            next += 8
        }
        for index in next..<name.upperBound {
            room[filled] = lowercased(message[index])
            filled += 1
        }
        room[filled] = UInt8(ascii: ":")
        filled += 1
        let first = filled
        var holdsBlank = false
        unfold(message, value.lowerBound..<cut.lowerBound, end: value.upperBound, to: &room, &filled, from: first, &holdsBlank)
        unfold(message, cut.upperBound..<value.upperBound, end: value.upperBound, to: &room, &filled, from: first, &holdsBlank)
        return filled
    }

    /// Without line ends, each run of blanks as one space, none at the ends.
    /// - Parameters:
    ///   - first: where the value begins in the room.
    ///   - holdsBlank: whether blanks were left out before, and are one space if something follows.
    @inline(__always)
    private static func unfold(
        _ message: Span<UInt8>, _ part: Range<Int>, end: Int, to room: inout MutableSpan<UInt8>, _ filled: inout Int, from first: Int,
        _ holdsBlank: inout Bool
    ) {
        var next = part.lowerBound
        while next < part.upperBound {
            let index = next
            let octet = message[index]
            next += 1
            if octet <= 0x20 {
                if octet == 0x20 || octet == 0x09 {
                    holdsBlank = true
                    continue
                }
                // The line end of a fold.
                if octet == 0x0A || (octet == 0x0D && index + 1 < end && message[index + 1] == 0x0A) { continue }
            }
            if holdsBlank {
                holdsBlank = false
                if filled > first {
                    room[filled] = 0x20
                    filled += 1
                }
            }
            room[filled] = octet
            filled += 1
            // What follows, sixteen octets at once, as long as nothing changes. The last octet of a part is left to the above.
            while part.upperBound - next > 1, message.count - next > DKIMOctetBlock.size {
                // Safe: sixteen octets are there and another one, and every bit pattern is a value of each.
                let block = unsafe message.bytes.unsafeLoadUnaligned(fromByteOffset: next, as: DKIMOctetBlock.Octets.self)
                let behind = unsafe message.bytes.unsafeLoadUnaligned(fromByteOffset: next + 1, as: DKIMOctetBlock.Octets.self)
                let count = min(DKIMBlockMask(changes(block, behind)).first, part.upperBound - next - 1)
                // Safe: octets are written, and the room is as long as is checked there.
                var octets = unsafe room.mutableBytes
                octets.storeBytes(of: block, toByteOffset: filled, as: DKIMOctetBlock.Octets.self)
                filled += count
                next += count
                guard count == DKIMOctetBlock.size else { break }
            }
        }
    }

    /// The places of what doesn't stay as it is: line ends and tabs, as all controls, and spaces before another blank or a line end.
    /// - Parameter behind: the block that begins one octet later.
    @inline(__always)
    private static func changes(_ block: DKIMOctetBlock.Octets, _ behind: DKIMOctetBlock.Octets) -> DKIMOctetBlock.Octets {
        DKIMOctetBlock(block).places(upTo: 0x1F) | DKIMOctetBlock(block).places(of: 0x20) & DKIMOctetBlock(behind).places(upTo: 0x20)
    }

    private static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5A).contains(octet) ? octet | 0x20 : octet }
}
