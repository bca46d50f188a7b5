/// Base64 as DKIM writes it: blanks and folds anywhere, the padding may be absent (RFC 6376 §2.10).
enum DKIMBase64 {
    /// The octets; `nil` for octets outside of the alphabet, padding that doesn't fit, and text that ends within an octet.
    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        // Safe: the octets are read while they are borrowed.
        if let result = text.withContiguousStorageIfAvailable({ unsafe decode($0.span) }) { return result }
        return decode(Array(text).span)
    }

    private static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        let values = values
        var result: [UInt8] = []
        result.reserveCapacity(text.count / 4 * 3 + 3)
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        for index in text.indices {
            let value = values[Int(text[index])]
            guard value < 64 else {
                if TagList.isSpace(text[index]) { continue }
                guard text[index] == UInt8(ascii: "=") else { return nil }
                padding += 1
                continue
            }
            guard padding == 0 else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 1
            if count & 3 == 0 {
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

    /// The value of each octet; 255 where it has none.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, octet) in alphabet.enumerated() { values[Int(octet)] = UInt8(value) }
        return values
    }()

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
