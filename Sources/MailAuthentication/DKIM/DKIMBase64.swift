/// Base64 as DKIM writes it: blanks and folds anywhere, the padding may be absent (RFC 6376 §2.10).
enum DKIMBase64 {
    /// The octets; `nil` for octets outside of the alphabet, padding that doesn't fit, and text that ends within an octet.
    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        var result: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for octet in text where !TagList.isSpace(octet) {
            if octet == UInt8(ascii: "=") {
                padding += 1
                continue
            }
            guard padding == 0, let value = value(of: octet) else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 1
            if count % 4 == 0 {
                result.append(UInt8(truncatingIfNeeded: bits >> 16))
                result.append(UInt8(truncatingIfNeeded: bits >> 8))
                result.append(UInt8(truncatingIfNeeded: bits))
                bits = 0
            }
        }
        guard padding == 0 || (padding <= 2 && (count + padding) % 4 == 0) else { return nil }
        switch count % 4 {
        case 0: break
        case 2: result.append(UInt8(truncatingIfNeeded: bits >> 4))
        case 3:
            result.append(UInt8(truncatingIfNeeded: bits >> 10))
            result.append(UInt8(truncatingIfNeeded: bits >> 2))
        default: return nil
        }
        return result
    }

    private static func value(of octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "A")...UInt8(ascii: "Z"): octet - UInt8(ascii: "A")
        case UInt8(ascii: "a")...UInt8(ascii: "z"): octet - UInt8(ascii: "a") + 26
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0") + 52
        case UInt8(ascii: "+"): 62
        case UInt8(ascii: "/"): 63
        default: nil
        }
    }

    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// The text, with padding and without line ends.
    static func encode(_ octets: some Sequence<UInt8>) -> String {
        var result: [UInt8] = []
        var bits: UInt32 = 0
        var count = 0
        for octet in octets {
            bits = bits << 8 | UInt32(octet)
            count += 1
            if count == 3 {
                for shift in [18, 12, 6, 0] as [UInt32] { result.append(alphabet[Int(bits >> shift & 63)]) }
                bits = 0
                count = 0
            }
        }
        switch count {
        case 1:
            result.append(alphabet[Int(bits >> 2 & 63)])
            result.append(alphabet[Int(bits << 4 & 63)])
            result.append(contentsOf: "==".utf8)
        case 2:
            result.append(alphabet[Int(bits >> 10 & 63)])
            result.append(alphabet[Int(bits >> 4 & 63)])
            result.append(alphabet[Int(bits << 2 & 63)])
            result.append(UInt8(ascii: "="))
        default: break
        }
        return String(decoding: result, as: UTF8.self)
    }
}
