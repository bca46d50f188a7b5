import MailMessage
import NIOCore

/// Brings header fields into their canonical form (RFC 6376 §3.4.1, §3.4.2), one after the other.
///
/// A line end of LF alone is taken as CRLF, as in ``DKIMBodyHasher``.
struct DKIMHeaderCanonicalizer {
    let canonicalization: DKIMCanonicalization
    private(set) var octets: [UInt8] = []

    init(_ canonicalization: DKIMCanonicalization) {
        self.canonicalization = canonicalization
        // As much as most messages need.
        octets.reserveCapacity(4096)
    }

    /// Appends a field.
    /// - Parameters:
    ///   - cut: octets of the value that are left out: those of `b=` in the field that is verified (§3.7).
    ///   - isTerminated: whether CRLF follows; it doesn't after the field that is verified.
    mutating func append(_ field: HeaderField, cutting cut: Range<Int>? = nil, isTerminated: Bool = true) {
        let raw = field.rawField
        let start = field.range.lowerBound
        append(
            raw.readableBytesUInt8Span, nameEnd: field.nameRange.upperBound - start, valueStart: field.valueRange.lowerBound - start,
            valueEnd: field.valueRange.upperBound - start, cut: cut, isTerminated: isTerminated)
    }

    /// Appends a field that is being made: its text without the last line end.
    mutating func append(line: String, isTerminated: Bool) {
        let octets = Array(line.utf8)
        let colon = octets.firstIndex(of: UInt8(ascii: ":")) ?? octets.count
        append(octets.span, nameEnd: colon, valueStart: min(colon + 1, octets.count), valueEnd: octets.count, cut: nil, isTerminated: isTerminated)
    }

    private mutating func append(
        _ field: Span<UInt8>, nameEnd: Int, valueStart: Int, valueEnd: Int, cut: Range<Int>?, isTerminated: Bool
    ) {
        let cut = cut.map { valueStart + $0.lowerBound..<valueStart + $0.upperBound } ?? valueEnd..<valueEnd
        switch canonicalization {
        case .simple:
            appendAsWritten(field, 0..<cut.lowerBound)
            appendAsWritten(field, cut.upperBound..<valueEnd)
        case .relaxed:
            for index in 0..<nameEnd { octets.append(Self.lowercased(field[index])) }
            octets.append(UInt8(ascii: ":"))
            appendUnfolded(field, valueStart, cut, valueEnd)
        }
        if isTerminated {
            octets.append(0x0D)
            octets.append(0x0A)
        }
    }

    private mutating func appendAsWritten(_ field: Span<UInt8>, _ range: Range<Int>) {
        for index in range {
            if field[index] == 0x0A, index == 0 || field[index - 1] != 0x0D { octets.append(0x0D) }
            octets.append(field[index])
        }
    }

    /// Without line ends, each run of blanks as one space, none at the ends.
    private mutating func appendUnfolded(_ field: Span<UInt8>, _ start: Int, _ cut: Range<Int>, _ end: Int) {
        let first = octets.count
        var holdsBlank = false
        var index = start
        while index < end {
            if index == cut.lowerBound, !cut.isEmpty {
                index = cut.upperBound
                continue
            }
            let octet = field[index]
            if octet == 0x20 || octet == 0x09 {
                holdsBlank = true
            } else if octet == 0x0A || (octet == 0x0D && index + 1 < end && field[index + 1] == 0x0A) {
                // The line end of a fold.
            } else {
                if holdsBlank, octets.count > first { octets.append(0x20) }
                holdsBlank = false
                octets.append(octet)
            }
            index += 1
        }
    }

    private static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5A).contains(octet) ? octet | 0x20 : octet }
}
