/// The message identifiers of Message-ID, In-Reply-To or References (RFC 5322 §3.6.4).
public struct MessageIDList: Hashable, Sendable {
    /// The identifiers with their angle brackets, in order; what stands between them (old phrases, comments) is left
    /// out.
    public let identifiers: [String]

    /// The first one.
    public var first: String? { identifiers.first }

    /// The most identifiers that are read from one field.
    static let limit = 10_000

    /// Reads a field's unfolded value. An identifier without brackets is taken where it is all that the field has.
    public init(parsing octets: [UInt8]) {
        var found = [String]()
        var scanner = StructuredFieldScanner(octets)
        while found.count < MessageIDList.limit {
            scanner.skipCFWS()
            guard let octet = scanner.peek else { break }
            if octet == UInt8(ascii: "\"") {
                _ = scanner.quotedString()
                continue
            }
            guard octet == UInt8(ascii: "<") else {
                scanner.position += 1
                continue
            }
            var text: [UInt8] = [octet]
            scanner.position += 1
            while let next = scanner.peek, next != UInt8(ascii: ">"), next != UInt8(ascii: "<") {
                if next > 0x20, next != 0x7F { text.append(next) }
                scanner.position += 1
            }
            guard scanner.peek == UInt8(ascii: ">") else { continue }
            scanner.position += 1
            text.append(UInt8(ascii: ">"))
            if text.count > 2 { found.append(Charset.headerText(text)) }
        }
        if found.isEmpty {
            let isBare =
                octets.contains(UInt8(ascii: "@")) && octets.allSatisfy { $0 > 0x20 && $0 != 0x7F && $0 != UInt8(ascii: "<") && $0 != UInt8(ascii: ">") }
            if isBare { found.append("<" + Charset.headerText(octets) + ">") }
        }
        identifiers = found
    }
}
