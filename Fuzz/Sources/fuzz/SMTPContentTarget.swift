import NIOCore

@testable import SMTP

/// What the client finds out about a message before it sends it, and the dots that it doubles, against rules of a few lines. Runs with
/// ``SMTPDataTarget``, whose inputs are messages too.
enum SMTPContentTarget {
    static func run(_ octets: [UInt8]) {
        let expected = Rules(octets)
        for cut in [Cut.whole, .single, .random] where cut != .single || octets.count < 4096 {
            var profile = SMTPContentProfile()
            var stuffing = SMTPDotStuffing()
            var written = ByteBuffer()
            for piece in cut.pieces(octets) {
                // Not at the beginning of its memory, so that nothing depends on how the octets lie there.
                var buffer = ByteBuffer(bytes: [0x2E] + piece)
                buffer.moveReaderIndex(forwardBy: 1)
                profile.consume(buffer)
                stuffing.encode(buffer, into: &written)
            }
            profile.finish()
            require(Rules(profile) == expected, "the profile is \(Rules(profile)), expected \(expected), \(cut)")
            guard !expected.hasBareLineEnd else { continue }
            require(profile.endsWithLineEnd == (octets.isEmpty || octets.last == 0x0A), "whether a line end is the last, \(cut)")
            require(written.readableBytesView.elementsEqual(stuffed(octets)), "other dots are doubled, \(cut)")
        }
    }

    private struct Rules: Equatable {
        var byteCount = 0
        var hasEightBit = false
        var hasEightBitHeader = false
        var hasBareLineEnd = false
        var hasHiddenDot = false

        init(_ profile: SMTPContentProfile) {
            byteCount = profile.byteCount
            hasEightBit = profile.hasEightBit
            hasEightBitHeader = profile.hasEightBitHeader
            hasBareLineEnd = profile.hasBareLineEnd
            // Where a line end is missing, lines are anybody's guess, and the message is ambiguous already.
            hasHiddenDot = profile.hasHiddenDot && !hasBareLineEnd
        }

        init(_ octets: [UInt8]) {
            byteCount = octets.count
            var isHeader = true
            var length = 0
            var zeroes = 0
            for (place, octet) in octets.enumerated() {
                if octet >= 0x80 {
                    hasEightBit = true
                    if isHeader { hasEightBitHeader = true }
                }
                let isAfterCR = place > 0 && octets[place - 1] == 0x0D
                if octet == 0x0D, place + 1 == octets.count || octets[place + 1] != 0x0A { hasBareLineEnd = true }
                if octet == 0x0A {
                    if !isAfterCR { hasBareLineEnd = true }
                    if length == 0 || length == 1 && isAfterCR { isHeader = false }
                    (length, zeroes) = (0, 0)
                } else {
                    if octet == 0x2E, length > 0, zeroes == length { hasHiddenDot = true }
                    length += 1
                    if octet == 0 { zeroes += 1 }
                }
            }
            if hasBareLineEnd { hasHiddenDot = false }
        }
    }

    private static func stuffed(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = []
        for (place, octet) in octets.enumerated() {
            if octet == 0x2E, place == 0 || octets[place - 1] == 0x0A { result.append(0x2E) }
            result.append(octet)
        }
        return result
    }
}
