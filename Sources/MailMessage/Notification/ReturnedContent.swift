import NIOCore

/// The last part of a notification: the message that it is about, or its header section (RFC 6522 §3, §4).
struct ReturnedContent {
    private let content: ByteBuffer
    private let isWholeMessage: Bool
    private let hasEightBitHeader: Bool
    private let isEightBit: Bool
    /// The Message-ID of the message.
    let messageID: String?

    /// Deliberate: a message that only BINARYMIME can carry (NUL, bare CR or LF, long lines) is returned by its header
    /// alone, since the notification could not travel otherwise.
    init(_ original: ByteBuffer, all: Bool) {
        let header = HeaderSection(parsing: original)
        messageID = header.first(named: "Message-ID").flatMap { MessageIDList(parsing: $0.unfoldedOctets).first }
        hasEightBitHeader = header.deviations.contains { $0.code == .eightBitHeader }
        isWholeMessage = all && ReturnedContent.isOfLines(original)
        content =
            isWholeMessage
            ? original.slice() : ReturnedContent.withCanonicalLines(original.slice(in: header.fieldsRange))
        isEightBit = content.octets(in: 0..<content.readableBytes).contains { $0 >= 0x80 }
    }

    private static let largestLine = 998

    private static func isOfLines(_ octets: ByteBuffer) -> Bool {
        let span = octets.readableBytesUInt8Span
        if OctetScan.firstIndex(of: 0, in: span, from: 0, to: span.count) != nil { return false }
        var position = 0
        while position < span.count {
            let line = TextLine(span, at: position, to: span.count)
            guard line.contentEnd - line.start <= largestLine, line.lineEndLength != 1 || !line.isTerminated else {
                return false
            }
            if OctetScan.firstIndex(of: 0x0D, in: span, from: line.start, to: line.contentEnd) != nil { return false }
            position = line.next
        }
        return true
    }

    /// Lines that end in CRLF and have at most 998 octets, without NUL and CR.
    private static func withCanonicalLines(_ octets: ByteBuffer) -> ByteBuffer {
        let span = octets.readableBytesUInt8Span
        var result = ByteBuffer()
        result.reserveCapacity(span.count)
        var position = 0
        while position < span.count {
            let line = TextLine(span, at: position, to: span.count)
            let text = octets.octets(in: line.start..<line.contentEnd).filter { $0 != 0 && $0 != 0x0D }
            result.writeBytes(text.prefix(largestLine))
            result.writeStaticString("\r\n")
            position = line.next
        }
        return result
    }

    /// A boundary that is no line of the content.
    func boundary(from wish: String) -> String {
        let base = wish.filter { $0.isASCII && ($0.isLetter || $0.isNumber || $0 == "-" || $0 == "_" || $0 == "=") }
            .prefix(48)
        var boundary = "postern-\(base)"
        var attempt = 0
        while contains(delimiter: boundary) {
            attempt += 1
            boundary = "postern-\(base)-\(attempt)"
        }
        return boundary
    }

    /// Ends after at most as many attempts as the content has lines, since each line is one delimiter at most.
    private func contains(delimiter boundary: String) -> Bool {
        let span = content.readableBytesUInt8Span
        let boundaries = [Array(boundary.utf8)]
        var position = 0
        while position < span.count {
            let line = TextLine(span, at: position, to: span.count)
            if MultipartDelimiter.match(span, line, boundaries) != nil { return true }
            position = line.next
        }
        return false
    }

    func write(_ buffer: inout ByteBuffer, _ boundary: String) {
        guard content.readableBytes > 0 else { return }
        let type =
            switch (isWholeMessage, hasEightBitHeader) {
            case (true, false): "message/rfc822"
            case (true, true): "message/global"
            case (false, false): "text/rfc822-headers"
            case (false, true): "message/global-headers"
            }
        var fields = HeaderWriter()
        fields.structured("Content-Type", type)
        fields.structured("Content-Transfer-Encoding", isEightBit ? "8bit" : "7bit")
        fields.endSection()
        buffer.writeString("\r\n--\(boundary)\r\n")
        buffer.writeImmutableBuffer(fields.buffer)
        buffer.writeImmutableBuffer(content)
    }
}
