import NIOCore

/// The one scan that finds the fields and the end of a header section, for messages and for parts.
struct HeaderScan {
    var entries: [HeaderSection.Entry] = []
    var start = 0
    var fieldsEnd = 0
    var sectionEnd = 0

    /// Reads lines until an empty line, a line that is no field, a delimiter line of `boundaries`, or the end of
    /// `range`.
    static func run(
        _ octets: Span<UInt8>,
        _ range: Range<Int>,
        limits: MessageLimits,
        boundaries: [[UInt8]],
        notesDeviations: Bool = true,
        log: inout DeviationLog
    ) -> HeaderScan {
        var scan = HeaderScan()
        scan.start = range.lowerBound
        scan.entries.reserveCapacity(16)
        var position = range.lowerBound
        let end = min(range.upperBound, octets.count)
        lines: while position < end {
            let line = TextLine(octets, at: position, to: end)
            if line.isEmpty, line.isTerminated {
                if line.lineEndLength == 1 { log.note(.bareLineFeed, at: position) }
                scan.fieldsEnd = position
                scan.sectionEnd = line.next
                return scan
            }
            if MultipartDelimiter.match(octets, line, boundaries) != nil { break lines }
            switch scan.take(line, octets, limits: limits, log: &log) {
            case .field: if notesDeviations { examine(line, octets, limits: limits, log: &log) }
            case .notAField: break lines
            }
            position = line.next
        }
        log.note(.missingHeaderBodySeparator, at: position)
        scan.fieldsEnd = position
        scan.sectionEnd = position
        return scan
    }

    private enum Outcome { case field, notAField }

    private mutating func take(
        _ line: TextLine, _ octets: Span<UInt8>, limits: MessageLimits, log: inout DeviationLog
    )
        -> Outcome
    {
        let isOverLimit = line.next - start > limits.headerSectionOctets
        if octets[line.start].isBlank {
            if isOverLimit {
                log.note(.headerSectionTooLarge, at: line.start)
            } else if let last = entries.indices.last, entries[last].end == UInt32(truncatingIfNeeded: line.start) {
                entries[last].valueEnd = UInt32(truncatingIfNeeded: line.contentEnd)
                entries[last].end = UInt32(truncatingIfNeeded: line.next)
            } else if entries.isEmpty {
                log.note(.malformedHeaderLine, at: line.start)
            }
            return .field
        }
        guard let name = HeaderScan.fieldName(octets, line) else {
            if line.start == start, HeaderScan.isMailboxFromLine(octets, line) {
                log.note(.mailboxFromLine, at: line.start)
                return .field
            }
            log.note(.malformedHeaderLine, at: line.start)
            return .notAField
        }
        if isOverLimit {
            log.note(.headerSectionTooLarge, at: line.start)
        } else if entries.count >= limits.headerFieldCount {
            log.note(.tooManyHeaderFields, at: line.start)
        } else {
            entries.append(
                HeaderSection.Entry(
                    start: UInt32(truncatingIfNeeded: line.start),
                    nameEnd: UInt32(truncatingIfNeeded: name.end),
                    valueStart: UInt32(truncatingIfNeeded: name.colon + 1),
                    valueEnd: UInt32(truncatingIfNeeded: line.contentEnd),
                    end: UInt32(truncatingIfNeeded: line.next)
                )
            )
        }
        return .field
    }

    /// `field-name` is 1*(%d33-57 / %d59-126) (RFC 5322 §3.6.8); blanks before the colon are of RFC 5322 §4.5.
    private static func fieldName(_ octets: Span<UInt8>, _ line: TextLine) -> (end: Int, colon: Int)? {
        var index = line.start
        while index < line.contentEnd, (33...126).contains(octets[index]), octets[index] != UInt8(ascii: ":") {
            index += 1
        }
        let end = index
        while index < line.contentEnd, octets[index].isBlank { index += 1 }
        guard end > line.start, index < line.contentEnd, octets[index] == UInt8(ascii: ":") else { return nil }
        return (end, index)
    }

    private static func isMailboxFromLine(_ octets: Span<UInt8>, _ line: TextLine) -> Bool {
        let start = octets[line.start] == UInt8(ascii: ">") ? line.start + 1 : line.start
        let prefix = Array("From ".utf8)
        guard line.contentEnd - start > prefix.count else { return false }
        return prefix.indices.allSatisfy { octets[start + $0] == prefix[$0] }
    }

    /// Whether octets are ASCII without NUL and CR, as most are; `false` may be said of others, which costs a closer look.
    private static func isPlain(_ octets: Span<UInt8>, _ line: Range<Int>) -> Bool {
        guard line.count >= 8 else { return false }
        var odd: UInt64 = 0
        var next = line.lowerBound
        while line.upperBound - next > 8 {
            // Safe: the octets are there, and every bit pattern is a value of the integer.
            odd |= unsafe oddOctets(octets.bytes.unsafeLoadUnaligned(fromByteOffset: next, as: UInt64.self))
            next += 8
        }
        // Safe: as above. The last eight octets, some of them for the second time.
        odd |= unsafe oddOctets(octets.bytes.unsafeLoadUnaligned(fromByteOffset: line.upperBound - 8, as: UInt64.self))
        return odd == 0
    }

    /// Not zero where one of eight octets may be a NUL, a CR or beyond ASCII.
    @inline(__always)
    private static func oddOctets(_ word: UInt64) -> UInt64 {
        let ones: UInt64 = 0x0101_0101_0101_0101
        let other = word ^ (0x0D &* ones)
        return (word | (word &- ones) | (other &- ones)) & (0x80 &* ones)
    }

    private static func examine(_ line: TextLine, _ octets: Span<UInt8>, limits: MessageLimits, log: inout DeviationLog) {
        if line.isTerminated, line.lineEndLength == 1 { log.note(.bareLineFeed, at: line.contentEnd) }
        if line.contentEnd - line.start > limits.headerLineOctets { log.note(.lineTooLong, at: line.start) }
        guard !isPlain(octets, line.start..<line.contentEnd) else { return }
        var isEightBit = false
        var next = line.start
        while next < line.contentEnd {
            let index = next
            next += 1
            let octet = octets[index]
            if octet == 0 { log.note(.nulOctet, at: index) }
            if octet == 0x0D { log.note(.bareCarriageReturn, at: index) }
            if octet >= 0x80, !isEightBit {
                isEightBit = true
                log.note(.eightBitHeader, at: index)
            }
        }
    }
}

/// The place of one line: it ends in LF, with or without CR, or where the octets end.
struct TextLine {
    let start: Int
    /// Behind the last octet before the line end.
    let contentEnd: Int
    /// Where the next line begins.
    let next: Int
    let isTerminated: Bool

    init(_ octets: Span<UInt8>, at start: Int, to end: Int) {
        self.start = start
        if let lineFeed = OctetScan.firstIndex(of: 0x0A, in: octets, from: start, to: end) {
            contentEnd = lineFeed > start && octets[lineFeed - 1] == 0x0D ? lineFeed - 1 : lineFeed
            next = lineFeed + 1
            isTerminated = true
        } else {
            contentEnd = end
            next = end
            isTerminated = false
        }
    }

    var isEmpty: Bool { start == contentEnd }
    var lineEndLength: Int { next - contentEnd }
}
