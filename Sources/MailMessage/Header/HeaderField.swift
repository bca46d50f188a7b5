public import NIOCore

/// One header field as it stands in the message: a view, nothing is copied until it is asked for (RFC 5322 §2.2).
public struct HeaderField: Sendable {
    package let message: ByteBuffer
    /// The octets of the field with its folds and its last line end, counted from the beginning of the message.
    public let range: Range<Int>
    /// The octets of the name.
    public let nameRange: Range<Int>
    /// The octets between the colon and the last line end.
    public let valueRange: Range<Int>

    /// The name as it is written.
    public var name: String { String(decoding: message.octets(in: nameRange), as: UTF8.self) }

    /// The whole field as it is written, with its last line end. No copy.
    public var rawField: ByteBuffer { message.slice(in: range) }

    /// What stands between the colon and the last line end, with its folds. No copy.
    public var rawValue: ByteBuffer { message.slice(in: valueRange) }

    /// The value without folds and without blanks at its ends (RFC 5322 §2.2.3): what IMAP's ENVELOPE shows.
    public var unfoldedOctets: [UInt8] { HeaderField.unfold(message.octets(in: valueRange)) }

    /// The unfolded value as text; octets that are not UTF-8 are read as Windows-1252, as mail programs do.
    public var value: String { Charset.headerText(unfoldedOctets) }

    /// The unfolded value with its encoded-words decoded (RFC 2047): for unstructured fields such as Subject.
    public var decodedText: String { EncodedWord.decode(unfoldedOctets) }

    /// ``decodedText`` as UTF-8.
    package var decodedOctets: [UInt8] { EncodedWord.decodedOctets(unfoldedOctets) }

    /// Whether the field has this name; the case of letters does not count (RFC 5322 §1.2.2).
    public func isNamed(_ other: some StringProtocol) -> Bool { name.equalsIgnoringASCIICase(other) }

    /// Removes line ends and the blanks at both ends.
    static func unfold(_ octets: [UInt8]) -> [UInt8] {
        guard octets.contains(0x0A) else {
            // Most fields are one line.
            let start = octets.firstIndex { !$0.isBlank } ?? octets.count
            let end = (octets.lastIndex { !$0.isBlank } ?? start - 1) + 1
            return start == 0 && end == octets.count ? octets : Array(octets[start..<max(start, end)])
        }
        var result = [UInt8]()
        result.reserveCapacity(octets.count)
        for (index, octet) in octets.enumerated() {
            if octet == 0x0A { continue }
            if octet == 0x0D, index + 1 < octets.count, octets[index + 1] == 0x0A { continue }
            if result.isEmpty, octet.isBlank { continue }
            result.append(octet)
        }
        while let last = result.last, last.isBlank { result.removeLast() }
        return result
    }
}
