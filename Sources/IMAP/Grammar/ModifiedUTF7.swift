/// The encoding of mailbox names in IMAP4rev1: UTF-16 in a Base64 of its own between `&` and `-` (RFC 3501 §5.1.3).
public enum ModifiedUTF7 {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,".utf8)

    /// Encodes a name.
    public static func encode(_ name: String) -> String {
        var result: [UInt8] = []
        var pending: [UInt16] = []
        func flush() {
            guard !pending.isEmpty else { return }
            result.append(UInt8(ascii: "&"))
            var bits: UInt32 = 0
            var count = 0
            for unit in pending {
                bits = bits << 16 | UInt32(unit)
                count += 16
                while count >= 6 {
                    count -= 6
                    result.append(alphabet[Int(bits >> UInt32(count) & 63)])
                }
                bits &= (1 << UInt32(count)) - 1
            }
            if count > 0 { result.append(alphabet[Int(bits << UInt32(6 - count) & 63)]) }
            result.append(UInt8(ascii: "-"))
            pending = []
        }
        for unit in name.utf16 {
            guard (0x20...0x7e).contains(unit) else {
                pending.append(unit)
                continue
            }
            flush()
            result.append(UInt8(truncatingIfNeeded: unit))
            if unit == 0x26 { result.append(UInt8(ascii: "-")) }
        }
        flush()
        return String(decoding: result, as: UTF8.self)
    }

    /// Decodes a name; `nil` for what no encoder makes: two texts must not mean the same mailbox (RFC 3501 §5.1.3).
    public static func decode(_ text: String) -> String? {
        var units: [UInt16] = []
        var octets = Array(text.utf8)[...]
        while let octet = octets.popFirst() {
            guard octet == UInt8(ascii: "&") else {
                guard (0x20...0x7e).contains(octet) else { return nil }
                units.append(UInt16(octet))
                continue
            }
            var bits: UInt32 = 0
            var count = 0
            var isClosed = false
            var isEmpty = true
            while let digit = octets.popFirst() {
                if digit == UInt8(ascii: "-") {
                    isClosed = true
                    break
                }
                guard let value = alphabet.firstIndex(of: digit) else { return nil }
                isEmpty = false
                bits = bits << 6 | UInt32(value)
                count += 6
                if count >= 16 {
                    count -= 16
                    units.append(UInt16(truncatingIfNeeded: bits >> UInt32(count)))
                    bits &= (1 << UInt32(count)) - 1
                }
            }
            guard isClosed else { return nil }
            if isEmpty { units.append(0x26) }
        }
        guard let name = String(validating: units, as: UTF16.self), encode(name) == text else { return nil }
        return name
    }
}
