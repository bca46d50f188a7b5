/// The character sets that are decoded to text: those of nearly all mail. Others stay as they are written.
enum Charset: Hashable, Sendable {
    case utf8
    case latin1
    case latin9
    case windows1252

    /// Finds a set by its name or an alias (IANA character sets registry).
    init?(name: some StringProtocol) {
        // Most by far.
        if name == "utf-8" || name == "UTF-8" {
            self = .utf8
            return
        }
        switch name.lowercased() {
        case "utf-8", "utf8", "us-ascii", "ascii", "ansi_x3.4-1968", "unicode-1-1-utf-8": self = .utf8
        // Deliberate: Latin 1 is read as Windows-1252, as all mail programs and browsers do; they differ only in octets
        // that Latin 1 gives to control characters.
        case "iso-8859-1", "iso8859-1", "iso_8859-1", "latin1", "l1": self = .latin1
        case "iso-8859-15", "iso8859-15", "iso_8859-15", "latin-9", "latin9": self = .latin9
        case "windows-1252", "cp1252", "cp-1252", "x-cp1252": self = .windows1252
        default: return nil
        }
    }

    /// Reads ASCII octets of a set that is not decoded but is known to begin with ASCII; `nil` for others.
    init?(name: some StringProtocol, ofASCII octets: [UInt8]) {
        let name = name.lowercased()
        let isSuperset = ["iso-8859-", "windows-125", "koi8-", "gb2312", "gbk", "big5", "euc-"].contains {
            name.hasPrefix($0)
        }
        guard isSuperset, octets.allSatisfy({ $0 < 0x80 }) else { return nil }
        self = .utf8
    }

    /// Decodes octets; what is not valid becomes U+FFFD.
    func decode(_ octets: some Sequence<UInt8>) -> String {
        switch self {
        case .utf8: return String(decoding: Array(octets), as: UTF8.self)
        case .latin1, .latin9, .windows1252:
            var text = String.UnicodeScalarView()
            for octet in octets { text.append(scalar(octet)) }
            return String(text)
        }
    }

    /// Decodes octets as ``decode(_:)``, to UTF-8.
    func decode(_ octets: [UInt8], into result: inout [UInt8]) {
        // Nearly all words are UTF-8, and most are valid.
        if self == .utf8, (try? UTF8Span(validating: octets.span)) != nil {
            result += octets
        } else {
            result += decode(octets).utf8
        }
    }

    private func scalar(_ octet: UInt8) -> Unicode.Scalar {
        if self == .latin9 {
            switch octet {
            case 0xA4: return "\u{20AC}"
            case 0xA6: return "\u{160}"
            case 0xA8: return "\u{161}"
            case 0xB4: return "\u{17D}"
            case 0xB8: return "\u{17E}"
            case 0xBC: return "\u{152}"
            case 0xBD: return "\u{153}"
            case 0xBE: return "\u{178}"
            default: return Unicode.Scalar(octet)
            }
        }
        guard (0x80...0x9F).contains(octet) else { return Unicode.Scalar(octet) }
        return Charset.windows1252Controls[Int(octet) - 0x80]
    }

    /// U+0080 to U+009F of Windows-1252; the five unassigned octets keep their number.
    private static let windows1252Controls: [Unicode.Scalar] = [
        "\u{20AC}", "\u{81}", "\u{201A}", "\u{192}", "\u{201E}", "\u{2026}", "\u{2020}", "\u{2021}",
        "\u{2C6}", "\u{2030}", "\u{160}", "\u{2039}", "\u{152}", "\u{8D}", "\u{17D}", "\u{8F}",
        "\u{90}", "\u{2018}", "\u{2019}", "\u{201C}", "\u{201D}", "\u{2022}", "\u{2013}", "\u{2014}",
        "\u{2DC}", "\u{2122}", "\u{161}", "\u{203A}", "\u{153}", "\u{9D}", "\u{17E}", "\u{178}",
    ]

    /// Header octets as text: UTF-8 (RFC 6532 §3), or Windows-1252 where they are not.
    static func headerText(_ octets: [UInt8]) -> String {
        String(validating: octets, as: UTF8.self) ?? Charset.windows1252.decode(octets)
    }

    /// ``headerText(_:)`` as UTF-8.
    static func headerText(_ octets: ArraySlice<UInt8>, into result: inout [UInt8]) {
        if octets.allSatisfy({ $0 < 0x80 }) { result += octets } else { result += headerText(Array(octets)).utf8 }
    }
}
