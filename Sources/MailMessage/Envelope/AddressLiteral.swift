/// The grammar of address literals between their brackets (RFC 5321 §4.1.3).
enum AddressLiteral {
    /// Whether `content` is a dotted quad or `IPv6:` and an IPv6 address. Other tags are refused: none is registered.
    static func isValid(_ content: Span<UInt8>) -> Bool {
        let tag: [UInt8] = Array("ipv6:".utf8)
        if content.count > tag.count, tag.indices.allSatisfy({ content[$0].asciiLowercased == tag[$0] }) {
            return isIPv6(content.extracting(tag.count..<content.count))
        }
        return isIPv4(content)
    }

    /// `Snum 3("." Snum)`, each of 1 to 3 digits and at most 255.
    static func isIPv4(_ text: Span<UInt8>) -> Bool {
        var numbers = 0
        var digits = 0
        var value = 0
        for index in text.indices {
            let octet = text[index]
            switch octet {
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                digits += 1
                value = value * 10 + Int(octet - UInt8(ascii: "0"))
                guard digits <= 3, value <= 255 else { return false }
            case UInt8(ascii: "."):
                guard digits > 0, numbers < 3 else { return false }
                numbers += 1
                digits = 0
                value = 0
            default:
                return false
            }
        }
        return numbers == 3 && digits > 0
    }

    /// IPv6-full, IPv6-comp, IPv6v4-full and IPv6v4-comp. `::` stands for at least two groups there.
    static func isIPv6(_ text: Span<UInt8>) -> Bool {
        var groups = 0
        var compressed = false
        var index = 0
        if text.count >= 2, text[0] == UInt8(ascii: ":") {
            guard text[1] == UInt8(ascii: ":") else { return false }
            compressed = true
            index = 2
        }
        while index < text.count {
            let start = index
            while index < text.count, isHexadecimal(text[index]) { index += 1 }
            if index < text.count, text[index] == UInt8(ascii: ".") {
                guard isIPv4(text.extracting(start..<text.count)) else { return false }
                groups += 2
                index = text.count
                break
            }
            guard (1...4).contains(index - start) else { return false }
            groups += 1
            guard groups <= 8 else { return false }
            guard index < text.count else { break }
            guard text[index] == UInt8(ascii: ":") else { return false }
            index += 1
            guard index < text.count else { return false }
            if text[index] == UInt8(ascii: ":") {
                guard !compressed else { return false }
                compressed = true
                index += 1
            }
        }
        // RFC 5321 §4.1.3: "The '::' represents at least 2 16-bit groups of zeros."
        return compressed ? groups <= 6 : groups == 8
    }

    private static func isHexadecimal(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }
}
