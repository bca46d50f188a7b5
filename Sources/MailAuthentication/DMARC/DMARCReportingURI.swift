public import MailMessage

/// Where reports are to be sent (RFC 9989 §4.6 and §4.8, `dmarc-uri`).
public struct DMARCReportingURI: Sendable, Hashable, Codable {
    /// The URI without the obsolete size.
    public let uri: String
    /// The address of a `mailto:` URI; `nil` for other schemes, to which nothing is sent.
    public let mailbox: EmailAddress?
    /// The size that RFC 7489 let owners ask for (`!10m`), in octets. RFC 9989 §4.8: it is to be ignored.
    public let obsoleteSizeLimit: UInt64?

    /// The octets of the longest URI that is read.
    public static let octetLimit = 2048

    /// Reads one URI; `nil` for what is none (RFC 3986 §3), has a comma or an exclamation mark in it, or is a `mailto:` without one usable
    /// address. Addresses are conventional, not internationalised (RFC 8616 §6).
    public init?(parsing text: String) {
        guard text.utf8.count <= Self.octetLimit else { return nil }
        if let address = Self.plainAddress(text.utf8Span.span) {
            uri = text
            mailbox = address
            obsoleteSizeLimit = nil
            return
        }
        let octets = Array(text.utf8)
        var end = octets.count
        var size: UInt64?
        if let mark = octets.firstIndex(of: UInt8(ascii: "!")) {
            guard let limit = Self.size(octets[(mark + 1)...]) else { return nil }
            size = limit
            end = mark
        }
        guard let colon = octets[..<end].firstIndex(of: UInt8(ascii: ":")), colon > 0, colon + 1 < end,
            Self.isScheme(octets[..<colon]), let rest = Self.decoded(octets[(colon + 1)..<end])
        else { return nil }
        uri = String(decoding: octets[..<end], as: UTF8.self)
        obsoleteSizeLimit = size
        guard octets[..<colon].map(Self.lowercased) == Array("mailto".utf8) else {
            mailbox = nil
            return
        }
        // RFC 6068 §2: what follows a question mark are header fields, which no report needs.
        guard let address = EmailAddress(String(decoding: rest, as: UTF8.self)), address.isASCII, !address.domain.hasPrefix("[") else {
            return nil
        }
        mailbox = address
    }

    /// The address of a URI that is `mailto:` and an address of letters, digits and a few signs that stand for themselves; `nil` for all others.
    private static func plainAddress(_ octets: Span<UInt8>) -> EmailAddress? {
        let scheme = "mailto:".utf8
        guard octets.count > scheme.count else { return nil }
        for (index, octet) in scheme.enumerated() where octets[index] != octet { return nil }
        let address = octets.extracting(scheme.count..<octets.count)
        for index in address.indices {
            switch address[index] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "@"): break
            default: return nil
            }
        }
        return try? EmailAddress(parsing: address)
    }

    /// `1*DIGIT [ "k" / "m" / "g" / "t" ]`; a number too large for 64 bits is the largest one.
    private static func size(_ octets: ArraySlice<UInt8>) -> UInt64? {
        let digits = octets.prefix { (0x30...0x39).contains($0) }
        guard !digits.isEmpty else { return nil }
        let factor: UInt64
        switch octets[digits.endIndex...].map(lowercased) {
        case []: factor = 1
        case [UInt8(ascii: "k")]: factor = 1 << 10
        case [UInt8(ascii: "m")]: factor = 1 << 20
        case [UInt8(ascii: "g")]: factor = 1 << 30
        case [UInt8(ascii: "t")]: factor = 1 << 40
        default: return nil
        }
        let number = UInt64(String(decoding: digits, as: UTF8.self)) ?? .max
        let (product, overflows) = number.multipliedReportingOverflow(by: factor)
        return overflows ? .max : product
    }

    /// RFC 3986 §3.1.
    private static func isScheme(_ octets: ArraySlice<UInt8>) -> Bool {
        guard let first = octets.first, (0x61...0x7A).contains(lowercased(first)) else { return false }
        return octets.allSatisfy { octet in
            (0x61...0x7A).contains(lowercased(octet)) || (0x30...0x39).contains(octet)
                || octet == UInt8(ascii: "+") || octet == UInt8(ascii: "-") || octet == UInt8(ascii: ".")
        }
    }

    /// The octets up to the query, percent-encoding decoded; `nil` where others stand than those of RFC 3986 §2.
    private static func decoded(_ octets: ArraySlice<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var isQuery = false
        var index = octets.startIndex
        while index < octets.endIndex {
            var octet = octets[index]
            guard isURIOctet(octet) else { return nil }
            if octet == UInt8(ascii: "?") { isQuery = true }
            if octet == UInt8(ascii: "%") {
                guard index + 2 < octets.endIndex, let high = hexadecimal(octets[index + 1]), let low = hexadecimal(octets[index + 2]) else {
                    return nil
                }
                octet = high << 4 | low
                index += 2
            }
            if !isQuery { result.append(octet) }
            index += 1
        }
        return result
    }

    private static func isURIOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: "-._~:/?#[]@$&'()*+;=%".utf8.contains(octet)
        }
    }

    private static func hexadecimal(_ octet: UInt8) -> UInt8? {
        switch octet {
        case 0x30...0x39: octet - 0x30
        case 0x41...0x46: octet - 0x41 + 10
        case 0x61...0x66: octet - 0x61 + 10
        default: nil
        }
    }

    private static func lowercased(_ octet: UInt8) -> UInt8 { (0x41...0x5A).contains(octet) ? octet | 0x20 : octet }
}
