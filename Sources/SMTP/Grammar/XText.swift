/// The `xtext` of RFC 3461 §4: printable US-ASCII in which `+`, `=` and everything else is written as `+` and two hexadecimal digits.
public enum XText {
    /// Decodes xtext.
    /// - Returns: `nil` where the text is no xtext, or hides a control character or an octet over 127: neither has a place in what
    ///   xtext is used for, and a line break in it would end up in a header field.
    public static func decode(_ octets: some Sequence<UInt8>) -> String? {
        var result = [UInt8]()
        var iterator = octets.makeIterator()
        while let octet = iterator.next() {
            switch octet {
            case UInt8(ascii: "+"):
                guard let high = iterator.next().flatMap(hexadecimal), let low = iterator.next().flatMap(hexadecimal) else { return nil }
                let value = high << 4 | low
                guard (0x20...0x7e).contains(value) else { return nil }
                result.append(value)
            case UInt8(ascii: "="): return nil
            case 0x21...0x7e: result.append(octet)
            default: return nil
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Encodes text; octets over 127 are encoded as well, so the result is always US-ASCII without spaces.
    public static func encode(_ text: String) -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var result = [UInt8]()
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "+"), UInt8(ascii: "="), 0x00...0x20, 0x7f...:
                result += [UInt8(ascii: "+"), digits[Int(octet >> 4)], digits[Int(octet & 15)]]
            default: result.append(octet)
            }
        }
        return String(decoding: result, as: UTF8.self)
    }

    /// Upper case only (RFC 3461 §4: `hexchar = "+" 2("0"…"9" / "A"…"F")`).
    private static func hexadecimal(_ octet: UInt8) -> UInt8? {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): octet - UInt8(ascii: "0")
        case UInt8(ascii: "A")...UInt8(ascii: "F"): octet - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
