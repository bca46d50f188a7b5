import MailMessage

/// The names of fields that a signature lists in `h=`: kept as octets, as texts of them are for people only.
struct DKIMFieldNames: Sendable, Hashable {
    /// The names in lower case and without blanks, a colon behind each, and ``padding`` octets that mean nothing.
    let octets: [UInt8]
    /// How many names there are.
    let count: Int
    /// Whether one of them is empty.
    let hasEmptyName: Bool
    /// A bit for each length that one of them has; the highest one is for all that are longer.
    private let lengths: UInt64

    /// Whoever reads eight octets at a time may do so at every name.
    private static let padding = 8

    /// Reads what stands between colons.
    /// - Returns: `nil` where an octet is neither visible nor a blank.
    init?(_ text: Span<UInt8>) {
        var octets = [UInt8](repeating: 0, count: text.count + 1 + Self.padding)
        var room = octets.mutableSpan
        guard let filled = Self.compact(text, to: &room) else { return nil }
        room[filled] = UInt8(ascii: ":")
        if filled < text.count { octets.removeLast(text.count - filled) }
        self.octets = octets
        var (count, lengths): (Int, UInt64) = (0, 0)
        var cursor = Cursor()
        let names = octets.span
        while let name = cursor.next(names) {
            count += 1
            lengths |= Self.bit(ofLength: name.count)
        }
        (self.count, self.lengths, hasEmptyName) = (count, lengths, lengths & 1 == 1)
    }

    private static func bit(ofLength length: Int) -> UInt64 { 1 &<< UInt64(min(length, 63)) }

    /// Whether one of them has a length.
    func hasName(ofLength length: Int) -> Bool { lengths & Self.bit(ofLength: length) != 0 }

    /// Names that are given as texts.
    init?(_ names: [String]) { self.init(Array(names.joined(separator: ":").utf8).span) }

    /// Writes the visible octets in lower case.
    /// - Returns: how many they are; `nil` for octets that are neither visible nor blanks.
    private static func compact(_ text: Span<UInt8>, to room: inout MutableSpan<UInt8>) -> Int? {
        var filled = 0
        var index = 0
        while index < text.count {
            // Names and colons for the most part.
            if text.count - index >= 8 {
                // Safe: the octets are there, and every bit pattern is a value of the integer.
                let word = unsafe text.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
                if word.isVisibleASCII {
                    // Safe: octets are written, and the room is as long as is checked there.
                    var octets = unsafe room.mutableBytes
                    octets.storeBytes(of: word.asciiLowercased, toByteOffset: filled, as: UInt64.self)
                    filled += 8
                    index += 8
                    continue
                }
            }
            let octet = text[index]
            index += 1
            if (0x21...0x7E).contains(octet) {
                room[filled] = (0x41...0x5A).contains(octet) ? octet | 0x20 : octet
                filled += 1
            } else if !TagList.isSpace(octet) {
                return nil
            }
        }
        return filled
    }

    /// Goes from one name to the next.
    struct Cursor {
        private var start = 0

        /// Where the next name is in the octets; `nil` behind the last one.
        mutating func next(_ octets: Span<UInt8>) -> Range<Int>? {
            let colons = 0x0101_0101_0101_0101 &* UInt64(UInt8(ascii: ":"))
            var index = start
            while octets.count - index > DKIMFieldNames.padding {
                // Safe: the octets are there, and every bit pattern is a value of the integer.
                let word = unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self).littleEndian ^ colons
                // The highest bit of the first octet that is a colon is set; those of others behind it may be.
                let found = (word &- 0x0101_0101_0101_0101) & ~word & 0x8080_8080_8080_8080
                guard found == 0 else {
                    let end = index + found.trailingZeroBitCount >> 3
                    defer { start = end + 1 }
                    return start..<end
                }
                index += 8
            }
            return nil
        }
    }

    /// Whether a name is among them.
    /// - Parameter name: in lower case.
    func contains(_ name: String) -> Bool {
        let (octets, name) = (octets.span, name.utf8Span.span)
        var cursor = Cursor()
        while let place = cursor.next(octets) {
            if TagList.areEqual(octets.extracting(place), name) { return true }
        }
        return false
    }

    /// The names as texts.
    var texts: [String] {
        var texts: [String] = []
        texts.reserveCapacity(count)
        var cursor = Cursor()
        while let place = cursor.next(octets.span) { texts.append(text(place)) }
        return texts
    }

    /// One of them as text.
    func text(_ place: Range<Int>) -> String { String(decoding: octets[place], as: UTF8.self) }
}

extension UInt64 {
    /// Whether eight octets are ASCII without blanks and controls; `false` may be said of others, which costs a closer look.
    @inline(__always) var isVisibleASCII: Bool {
        let ones: UInt64 = 0x0101_0101_0101_0101
        // The highest bit of an octet is set by what is below 0x21, by DEL and by what isn't ASCII; a borrow may set it as well.
        return (self | (self &- 0x21 &* ones) | (self &+ ones)) & (0x80 &* ones) == 0
    }
}
