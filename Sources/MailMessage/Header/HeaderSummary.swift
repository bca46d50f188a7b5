public import NIOCore

/// The fields of a header that lists of messages show and searches ask for, as they are written: a header section of its own, in which each
/// of these fields is found as in the message's.
public enum HeaderSummary {
    /// The fields that are kept, in lower case: those of IMAP's ENVELOPE (RFC 9051 §7.5.2).
    public static let fieldNames: Set<String> = [
        "date", "subject", "from", "sender", "reply-to", "to", "cc", "bcc", "in-reply-to", "message-id",
    ]
    private static let names = fieldNames.map { Array($0.utf8) }

    /// The longest summary in octets; a message with more of such fields has none.
    public static let longest = 16 * 1024

    /// The summary of a message.
    /// - Parameters:
    ///   - beginning: the message, or its beginning.
    ///   - isWhole: nothing follows.
    /// - Returns: `nil` where the header doesn't end within `beginning`, or the summary is too long.
    public static func octets(of beginning: ByteBuffer, isWhole: Bool) -> ByteBuffer? {
        let header = HeaderSection(reading: beginning)
        guard isWhole || header.endsWithEmptyLine else { return nil }
        var summary = ByteBuffer()
        for field in header where isKept(field) {
            guard summary.readableBytes + field.range.count <= longest else { return nil }
            summary.writeImmutableBuffer(field.rawField)
            // The last field of a message may lack its line end; another line must not stick to it.
            if field.valueRange.upperBound == field.range.upperBound { summary.writeStaticString("\r\n") }
        }
        summary.writeStaticString("\r\n")
        return summary
    }

    /// Whether a summary answers for fields of this name as the message does.
    public static func keeps(_ name: some StringProtocol) -> Bool { fieldNames.contains(name.lowercased()) }

    private static func isKept(_ field: HeaderField) -> Bool {
        let octets = field.message.readableBytesUInt8Span
        let start = field.nameRange.lowerBound
        return names.contains { name in
            guard name.count == field.nameRange.count else { return false }
            var place = 0
            while place < name.count, octets[start + place].asciiLowercased == name[place] { place += 1 }
            return place == name.count
        }
    }
}
