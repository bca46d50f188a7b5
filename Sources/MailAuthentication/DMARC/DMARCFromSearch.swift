import NIOCore

/// Looks for lines that some mail program could take for a From field: behind a bare CR, LF or NUL, with control characters in the name, or
/// behind a line that is no field.
enum DMARCFromSearch {
    /// How many there are in the header section, but at most 2 are counted.
    /// - Parameter limit: how many octets are looked at.
    static func count(in message: ByteBuffer, limit: Int) -> Int {
        let octets = message.readableBytesUInt8Span
        let end = min(octets.count, limit)
        var found = 0
        // NUL is nothing for some programs, and the end of a line for those written in C.
        var droppingNUL = NameMatch(skipsBlanks: true)
        var endingAtNUL = NameMatch(skipsBlanks: true)
        var index = 0
        while index < end, found < 2 {
            let octet = octets[index]
            if octet == 0x0D || octet == 0x0A {
                droppingNUL = NameMatch(skipsBlanks: false)
                endingAtNUL = droppingNUL
                if isHeaderEnd(octets, index, end) { break }
            } else {
                if octet == 0 { endingAtNUL = NameMatch(skipsBlanks: false) }
                let dropping = droppingNUL.take(octet)
                let ending = endingAtNUL.take(octet)
                if dropping || ending { found += 1 }
                if droppingNUL.isOver, endingAtNUL.isOver {
                    // Nothing on this line counts any more.
                    index = lineEnd(octets, from: index + 1, end)
                    continue
                }
            }
            index += 1
        }
        return found
    }

    /// The first place from `start` on at which somebody may see the end of a line; `end` where there is none.
    private static func lineEnd(_ octets: Span<UInt8>, from start: Int, _ end: Int) -> Int {
        var index = start
        while end - index >= DKIMOctetBlock.size {
            // Safe: sixteen octets are there, and every bit pattern is a value of each.
            let block = DKIMOctetBlock(unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: DKIMOctetBlock.Octets.self))
            let place = DKIMBlockMask(block.places(of: 0x0A) | block.places(of: 0x0D) | block.places(of: 0)).first
            index += place
            if place < DKIMOctetBlock.size { return index }
        }
        while index < end, !isLineEnd(octets[index]) { index += 1 }
        return index
    }

    /// What somebody may take for the end of a line.
    private static func isLineEnd(_ octet: UInt8) -> Bool { octet == 0x0A || octet == 0x0D || octet == 0 }

    /// Whether an empty line follows that nobody can take for something else: LF, then LF or CR LF.
    private static func isHeaderEnd(_ octets: Span<UInt8>, _ index: Int, _ end: Int) -> Bool {
        guard octets[index] == 0x0A else { return false }
        if index + 1 < end, octets[index + 1] == 0x0A { return true }
        return index + 2 < end && octets[index + 1] == 0x0D && octets[index + 2] == 0x0A
    }

    /// `from`, blanks, a colon; control characters don't count, nor do octets beyond ASCII, which programs may drop.
    private struct NameMatch {
        /// `from`, its first letter lowest.
        private static let name: UInt32 = 0x6D6F_7266
        private static let length = 4
        /// How many letters of the name have come; `nil` where the line has another name.
        private var matched: Int? = 0
        /// Whether blanks may stand in front: on the first line, which continues no other one.
        private let skipsBlanks: Bool

        init(skipsBlanks: Bool) { self.skipsBlanks = skipsBlanks }

        /// Whether no colon can count before the line ends.
        var isOver: Bool { matched == nil }

        /// Whether this octet is the colon behind the name.
        mutating func take(_ octet: UInt8) -> Bool {
            guard let count = matched else { return false }
            switch octet {
            case 0x20, 0x09:
                if count == 0 ? !skipsBlanks : count < Self.length { matched = nil }
            case 0..<0x20, 0x7F...0xFF: break
            default:
                if count == Self.length {
                    matched = nil
                    return octet == UInt8(ascii: ":")
                }
                matched = UInt32(octet | 0x20) == Self.name &>> UInt32(8 &* count) & 0xFF ? count + 1 : nil
            }
            return false
        }
    }
}
