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
        var lineStart = 0
        var isFirstLine = true
        while lineStart < end, found < 2 {
            var lineEnd = lineStart
            while lineEnd < end, !isLineEnd(octets[lineEnd]) { lineEnd += 1 }
            if isFrom(octets, lineStart, lineEnd, skipsBlanks: isFirstLine) { found += 1 }
            isFirstLine = false
            if isHeaderEnd(octets, lineEnd, end) { break }
            lineStart = lineEnd + 1
        }
        return found
    }

    /// NUL ends a line for programs written in C.
    private static func isLineEnd(_ octet: UInt8) -> Bool { octet == 0x0D || octet == 0x0A || octet == 0 }

    /// Whether an empty line follows that nobody can take for something else: LF, then LF or CR LF.
    private static func isHeaderEnd(_ octets: Span<UInt8>, _ index: Int, _ end: Int) -> Bool {
        guard index < end, octets[index] == 0x0A else { return false }
        if index + 1 < end, octets[index + 1] == 0x0A { return true }
        return index + 2 < end && octets[index + 1] == 0x0D && octets[index + 2] == 0x0A
    }

    private static let name = Array("from".utf8)

    /// `from`, blanks, a colon; control characters don't count, nor do octets beyond ASCII, which programs may drop.
    private static func isFrom(_ octets: Span<UInt8>, _ start: Int, _ end: Int, skipsBlanks: Bool) -> Bool {
        var matched = 0
        for index in start..<end {
            let octet = octets[index]
            if octet == 0x20 || octet == 0x09 {
                if matched == 0, !skipsBlanks { return false }
                if matched == 0 || matched == name.count { continue }
                return false
            }
            if octet < 0x20 || octet >= 0x7F { continue }
            if matched == name.count { return octet == UInt8(ascii: ":") }
            guard octet | 0x20 == name[matched] else { return false }
            matched += 1
        }
        return false
    }
}
