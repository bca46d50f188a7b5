import FoundationEssentials

/// Base64 for URLs without padding (RFC 7515 §2, RFC 4648 §5).
enum Base64URL {
    static func encode(_ octets: some Collection<UInt8>) -> String {
        String(
            Data(octets).base64EncodedString().compactMap { character -> Character? in
                switch character {
                case "+": "-"
                case "/": "_"
                case "=": nil
                default: character
                }
            })
    }

    /// `nil` for padding, blanks and characters of the other alphabet (RFC 8555 §6.1).
    static func decode(_ text: String) -> [UInt8]? {
        var plain = ""
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "-"): plain += "+"
            case UInt8(ascii: "_"): plain += "/"
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"):
                plain.unicodeScalars.append(Unicode.Scalar(octet))
            default: return nil
            }
        }
        guard plain.utf8.count % 4 != 1 else { return nil }
        plain += String(repeating: "=", count: (4 - plain.utf8.count % 4) % 4)
        guard let octets = Data(base64Encoded: plain).map({ [UInt8]($0) }) else { return nil }
        // Bits that nobody reads must be zero: otherwise two texts are one value.
        return encode(octets) == text ? octets : nil
    }
}
