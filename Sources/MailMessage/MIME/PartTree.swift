import NIOCore

/// The parts of one message as a flat list with indices; made in one pass over the octets, without recursion.
final class PartTree: Sendable {
    struct Record: Sendable {
        var header: HeaderSection
        var bodyRange: Range<Int>
        var contentType: ContentType
        var transferEncoding: ContentTransferEncoding
        var isMessage = false
        var children: [Int] = []
    }

    let message: ByteBuffer
    let records: [Record]
    let deviations: [MessageDeviation]

    init(parsing message: ByteBuffer, limits: MessageLimits) {
        var scan = PartScan(message: message, limits: limits)
        scan.run()
        self.message = message
        records = scan.records
        deviations = scan.log.deviations
    }

    func lineCount(_ range: Range<Int>) -> Int {
        let message = self.message
        let octets = message.readableBytesUInt8Span
        var count = 0
        var position = range.lowerBound
        while let lineFeed = OctetScan.firstIndex(of: 0x0A, in: octets, from: position, to: range.upperBound) {
            count += 1
            position = lineFeed + 1
        }
        return position < range.upperBound ? count + 1 : count
    }

    static func isMessageType(_ type: ContentType) -> Bool {
        // RFC 2046 §5.2.1, RFC 6532 §3.7
        type.type == "message" && (type.subtype == "rfc822" || type.subtype == "global")
    }
}

/// The state of the one pass: which parts are open, and which boundaries would end them.
struct PartScan {
    /// A part that has begun and not ended yet; its parts follow where it is a multipart.
    private struct Open {
        let record: Int
        /// The index in `boundaries` of a multipart's boundary.
        let level: Int?
    }

    let message: ByteBuffer
    let limits: MessageLimits
    var records: [PartTree.Record] = []
    var log = DeviationLog()
    private var open: [Open] = []
    private var boundaries: [[UInt8]] = []
    private var closed: [Bool] = []

    init(message: ByteBuffer, limits: MessageLimits) {
        self.message = message
        self.limits = limits
    }

    mutating func run() {
        let message = self.message
        let octets = message.readableBytesUInt8Span
        let end = octets.count
        var position = begin(octets, at: 0, parent: nil)
        while position < end, !boundaries.isEmpty {
            guard octets[position] == UInt8(ascii: "-") else {
                position = nextLine(octets, after: position, end)
                continue
            }
            let line = TextLine(octets, at: position, to: end)
            guard let delimiter = MultipartDelimiter.match(octets, line, boundaries) else {
                position = line.next
                continue
            }
            position = take(delimiter, line, octets)
        }
        endParts(openedAbove: -1, at: end, octets, isDelimited: false)
    }

    /// The next line that begins with `-`, or the end.
    private func nextLine(_ octets: Span<UInt8>, after start: Int, _ end: Int) -> Int {
        var position = start
        while let lineFeed = OctetScan.firstIndex(of: 0x0A, in: octets, from: position, to: end) {
            position = lineFeed + 1
            if position < end, octets[position] == UInt8(ascii: "-") { return position }
        }
        return end
    }

    private mutating func take(_ delimiter: MultipartDelimiter, _ line: TextLine, _ octets: Span<UInt8>) -> Int {
        guard let multipart = open.lastIndex(where: { $0.level == delimiter.level }) else { return line.next }
        endParts(openedAbove: multipart, at: line.start, octets, isDelimited: true)
        if delimiter.isClosing {
            closed[delimiter.level] = true
            // What follows is the epilogue: only an enclosing delimiter ends it.
            boundaries[delimiter.level] = PartScan.neverMatching
            return line.next
        }
        guard records.count < limits.partCount else {
            log.note(.tooManyParts, at: line.start)
            return line.next
        }
        return begin(octets, at: line.next, parent: open[multipart].record)
    }

    /// No line has a line feed in it.
    private static let neverMatching: [UInt8] = [0x0A]

    /// Reads the header section at `start`, opens the part, and the messages that it directly contains. Where its body
    /// goes on.
    private mutating func begin(_ octets: Span<UInt8>, at start: Int, parent: Int?) -> Int {
        var start = start
        var parent = parent
        while true {
            let digest = parent.map { !records[$0].isMessage && records[$0].contentType.subtype == "digest" } ?? false
            let index = append(octets, at: start, isInDigest: digest)
            if let parent { records[parent].children.append(index) }
            let bodyStart = records[index].bodyRange.lowerBound
            guard let kind = compositeKind(index) else {
                open.append(Open(record: index, level: nil))
                return bodyStart
            }
            guard open.count < limits.partDepth else {
                log.note(.nestingTooDeep, at: start)
                open.append(Open(record: index, level: nil))
                return bodyStart
            }
            switch kind {
            case .multipart(let boundary):
                open.append(Open(record: index, level: boundaries.count))
                boundaries.append(boundary)
                closed.append(false)
                return bodyStart
            case .message:
                open.append(Open(record: index, level: nil))
                guard records.count < limits.partCount else {
                    log.note(.tooManyParts, at: bodyStart)
                    return bodyStart
                }
                records[index].isMessage = true
                parent = index
                start = bodyStart
            }
        }
    }

    private mutating func append(_ octets: Span<UInt8>, at start: Int, isInDigest: Bool) -> Int {
        var headerLog = DeviationLog()
        let scan = HeaderScan.run(octets, start..<octets.count, limits: limits, boundaries: boundaries, log: &headerLog)
        let header = HeaderSection(message: message, scan: scan, deviations: headerLog.deviations)
        for deviation in headerLog.deviations { log.note(deviation.code, at: deviation.offset) }
        noteDuplicates(header)
        let type: ContentType
        if let field = header.first(named: "Content-Type") {
            if let parsed = ContentType(parsing: field.unfoldedOctets) {
                type = parsed
            } else {
                log.note(.malformedContentType, at: field.range.lowerBound)
                type = .plainText
            }
        } else {
            type = isInDigest ? ContentType(type: "message", subtype: "rfc822") : .plainText
        }
        var encoding = ContentTransferEncoding.sevenBit
        if let field = header.first(named: "Content-Transfer-Encoding") {
            var scanner = StructuredFieldScanner(field.unfoldedOctets)
            if let name = scanner.token() { encoding = ContentTransferEncoding(name: name) }
            if case .other = encoding { log.note(.unknownTransferEncoding, at: field.range.lowerBound) }
        }
        records.append(
            PartTree.Record(
                header: header,
                bodyRange: scan.sectionEnd..<octets.count,
                contentType: type,
                transferEncoding: encoding
            )
        )
        return records.count - 1
    }

    private enum CompositeKind {
        case multipart([UInt8])
        case message
    }

    private mutating func compositeKind(_ index: Int) -> CompositeKind? {
        let record = records[index]
        let offset = record.header.range.lowerBound
        if record.contentType.type == "multipart" {
            // Deliberate: an encoding that RFC 2045 §6.4 forbids here is ignored, as mail programs do, so that parts
            // are seen.
            if !record.transferEncoding.isIdentity { log.note(.encodedComposite, at: offset) }
            guard let boundary = record.contentType.parameters["boundary"], (1...256).contains(boundary.utf8.count)
            else {
                log.note(.missingBoundary, at: offset)
                return nil
            }
            return .multipart(Array(boundary.utf8))
        }
        guard PartTree.isMessageType(record.contentType) else { return nil }
        guard record.transferEncoding.isIdentity else {
            // RFC 6532 §3.7 lets message/global be encoded; its parts have no place in the outer message then.
            if record.contentType.subtype == "rfc822" { log.note(.encodedComposite, at: offset) }
            return nil
        }
        return .message
    }

    /// Ends all parts opened after `keep`. Their bodies end before the line end that belongs to the delimiter
    /// (RFC 2046 §5.1.1).
    private mutating func endParts(openedAbove keep: Int, at lineStart: Int, _ octets: Span<UInt8>, isDelimited: Bool) {
        var bodyEnd = lineStart
        if isDelimited, bodyEnd > 0, octets[bodyEnd - 1] == 0x0A {
            bodyEnd -= 1
            if bodyEnd > 0, octets[bodyEnd - 1] == 0x0D { bodyEnd -= 1 }
        }
        while open.count - 1 > keep, let part = open.popLast() {
            let start = records[part.record].bodyRange.lowerBound
            // The line end before the delimiter may have ended the header of an empty part already: that part keeps it, and those around it too.
            let least = records[part.record].children.last.map { records[$0].bodyRange.upperBound } ?? start
            records[part.record].bodyRange = start..<max(start, bodyEnd, least)
            guard let level = part.level else { continue }
            if records[part.record].children.isEmpty {
                log.note(.multipartWithoutParts, at: start)
            } else if !closed[level] {
                log.note(.missingClosingDelimiter, at: records[part.record].bodyRange.upperBound)
            }
            boundaries.removeSubrange(level...)
            closed.removeSubrange(level...)
        }
    }

    private mutating func noteDuplicates(_ header: HeaderSection) {
        let once = [
            "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject",
            "Date", "MIME-Version",
            "Content-Type", "Content-Transfer-Encoding", "Content-Disposition",
        ]
        for name in once {
            let fields = header.all(named: name)
            if fields.count > 1 { log.note(.duplicateField, at: fields[1].range.lowerBound) }
        }
    }
}
