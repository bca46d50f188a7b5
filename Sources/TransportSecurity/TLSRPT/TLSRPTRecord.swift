internal import DNS

/// The TXT record at `_smtp._tls`: where a domain wants reports on TLS (RFC 8460 §3).
public struct TLSRPTRecord: Hashable, Sendable {
    /// Where a report goes.
    public enum Destination: Hashable, Sendable, CustomStringConvertible {
        /// By mail, to an address with percent-encoding resolved (RFC 6068 §2).
        case mail(String)
        /// By POST, to a URI as it is written.
        case https(String)

        public var description: String {
            switch self {
            case .mail(let address): "mailto:\(address)"
            case .https(let uri): uri
            }
        }
    }

    /// The destinations that reports can go to, in their order.
    public let destinations: [Destination]
    /// URIs of other schemes.
    public let unsupported: [String]

    /// The most URIs that are read.
    public static let limit = 50

    /// Reads the strings of a TXT record, joined.
    /// - Throws: ``TransportSyntaxError``.
    public init(parsing text: [UInt8]) throws(TransportSyntaxError) {
        let fields = try TransportRecordFields(parsing: text, version: "v=TLSRPTv1", section: "RFC 8460 §3")
        var destinations: [Destination] = []
        var unsupported: [String] = []
        var hasAddress = false
        for (name, value) in fields.fields {
            guard name.elementsEqual("rua".utf8) else {
                try TransportRecordFields.checkExtension(name, value, "RFC 8460 §3")
                continue
            }
            hasAddress = true
            for part in value.split(separator: UInt8(ascii: ","), omittingEmptySubsequences: false) {
                guard destinations.count + unsupported.count < Self.limit else { throw TransportSyntaxError("there are more than \(Self.limit) URIs") }
                let uri = TransportRecordFields.trimmed(part)
                guard !uri.isEmpty else { throw TransportSyntaxError("“rua” has an empty URI (RFC 8460 §3)") }
                if let destination = try Self.destination(uri) {
                    destinations.append(destination)
                } else {
                    unsupported.append(String(decoding: uri, as: UTF8.self))
                }
            }
        }
        guard hasAddress else { throw TransportSyntaxError("the field “rua” is missing (RFC 8460 §3)") }
        self.destinations = destinations
        self.unsupported = unsupported
    }

    /// Chooses among the records of an answer (RFC 8460 §3): those of other kinds are passed over; `nil` where not just one remains.
    /// - Throws: ``TransportSyntaxError`` for the one that remains.
    public static func choose(_ texts: [[UInt8]]) throws(TransportSyntaxError) -> TLSRPTRecord? {
        let candidates = texts.filter { TransportRecordFields.begins($0, with: "v=TLSRPTv1") }
        guard let text = candidates.first, candidates.count == 1 else { return nil }
        return try TLSRPTRecord(parsing: text)
    }

    /// `nil` for a scheme that isn't known (RFC 3986 §3).
    private static func destination(_ uri: ArraySlice<UInt8>) throws(TransportSyntaxError) -> Destination? {
        guard let colon = uri.firstIndex(of: UInt8(ascii: ":")), let first = uri.first, isLetter(first),
            uri[..<colon].allSatisfy({ TransportRecordFields.isAlphanumeric($0) || "+-.".utf8.contains($0) })
        else { throw TransportSyntaxError("“\(TransportRecordFields.word(uri))” is no URI (RFC 3986 §3)") }
        // RFC 3986 §2 lets no other characters stand there; RFC 8460 §3 wants “,”, “!” and “;” encoded.
        guard uri.allSatisfy({ TransportRecordFields.isAlphanumeric($0) || "-._~:/?#[]@$&'()*+=%".utf8.contains($0) }), decoded(uri) != nil else {
            throw TransportSyntaxError("“\(TransportRecordFields.word(uri))” has characters that a URI can't have (RFC 3986 §2, RFC 8460 §3)")
        }
        let rest = uri[(colon + 1)...]
        switch String(decoding: uri[..<colon], as: UTF8.self).lowercased() {
        case "mailto":
            // Header fields that the URI asks for are left away (RFC 6068 §4): reports have their own.
            let encoded = rest.prefix { $0 != UInt8(ascii: "?") && $0 != UInt8(ascii: "#") }
            guard let octets = decoded(encoded), let address = String(validating: octets, as: UTF8.self), isAddress(address) else {
                throw TransportSyntaxError("“\(TransportRecordFields.word(uri))” is no mail address (RFC 6068 §2)")
            }
            return .mail(address)
        case "https":
            let authority = rest.dropFirst(2).prefix { !"/?#".utf8.contains($0) }
            let host = authority.lastIndex(of: UInt8(ascii: "@")).map { authority[($0 + 1)...] } ?? authority
            guard rest.starts(with: "//".utf8), let first = host.first, first != UInt8(ascii: ":") else {
                throw TransportSyntaxError("“\(TransportRecordFields.word(uri))” names no host (RFC 9110 §4.2.2)")
            }
            return .https(String(decoding: uri, as: UTF8.self))
        default: return nil
        }
    }

    private static func isLetter(_ octet: UInt8) -> Bool { (0x41...0x5A).contains(octet & 0xDF) }

    /// An address with one “@”, outside of quotes, and without controls.
    private static func isAddress(_ text: String) -> Bool {
        guard let at = text.lastIndex(of: "@"), at > text.startIndex, text.utf8.count <= 254,
            text.unicodeScalars.allSatisfy({ $0.value > 0x20 && $0.value != 0x7F })
        else { return false }
        let domain = text[text.index(after: at)...]
        if domain.hasPrefix("["), domain.hasSuffix("]") { return domain.count > 2 }
        let local = text[..<at]
        return (try? DomainName(domain)) != nil && (local.hasPrefix("\"") || !local.contains("@"))
    }

    /// RFC 3986 §2.1; `nil` where a percent sign isn't followed by two digits.
    private static func decoded(_ octets: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var rest = octets
        while let octet = rest.popFirst() {
            guard octet == UInt8(ascii: "%") else {
                result.append(octet)
                continue
            }
            guard let first = rest.popFirst(), let high = Hexadecimal.value(first), let second = rest.popFirst(), let low = Hexadecimal.value(second) else {
                return nil
            }
            result.append(high << 4 | low)
        }
        return result
    }
}
