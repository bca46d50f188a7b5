/// Base64 as DKIM writes it: blanks and folds anywhere, the padding may be absent (RFC 6376 §2.10).
enum DKIMBase64 {
    /// The octets; `nil` for octets outside of the alphabet, padding that doesn't fit, and text that ends within an octet.
    static func decode(_ text: some Sequence<UInt8>) -> [UInt8]? {
        // Safe: the octets are read while they are borrowed.
        if let result = text.withContiguousStorageIfAvailable({ unsafe decode($0.span) }) { return result }
        return decode(Array(text).span)
    }

    static func decode(_ text: Span<UInt8>) -> [UInt8]? {
        var result = [UInt8](repeating: 0, count: text.count / 4 * 3 + 3)
        guard let filled = decode(text, values.span, to: &result) else { return nil }
        result.removeLast(result.count - filled)
        return result
    }

    /// - Returns: how many octets of the result are in use.
    private static func decode(_ text: Span<UInt8>, _ values: Span<UInt8>, to result: inout [UInt8]) -> Int? {
        var result = result.mutableSpan
        var filled = 0
        var bits: UInt32 = 0
        var count = 0
        var padding = 0
        var index = 0
        while index < text.count {
            if count & 3 == 0, padding == 0, index + 16 <= text.count {
                // Safe: sixteen octets are there, and every bit pattern is a value of each.
                let block = unsafe text.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: DKIMOctetBlock.Octets.self)
                let (values, isInside) = Self.values(of: block)
                // As many as are of the alphabet, in fours; the others come below, one after the other.
                let fours = DKIMBlockMask(~isInside).first >> 2
                if fours > 0 {
                    write(values, to: &result, at: filled)
                    filled += 3 * fours
                    count += 4 * fours
                    index += 4 * fours
                    continue
                }
            }
            // Four at once, as long as nothing else is between them.
            if count & 3 == 0, padding == 0, index + 4 <= text.count {
                // Safe: four octets are there, and every bit pattern is a value of the integer.
                let four = unsafe text.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt32.self).littleEndian
                let (first, second) = (values[Int(four & 0xFF)], values[Int(four >> 8 & 0xFF)])
                let (third, fourth) = (values[Int(four >> 16 & 0xFF)], values[Int(four >> 24)])
                if first | second | third | fourth < 64 {
                    result[filled] = first << 2 | second >> 4
                    result[filled + 1] = second << 4 | third >> 2
                    result[filled + 2] = third << 6 | fourth
                    filled += 3
                    count += 4
                    index += 4
                    continue
                }
            }
            let octet = text[index]
            index += 1
            let value = values[Int(octet)]
            guard value < 64 else {
                if TagList.isSpace(octet) { continue }
                guard octet == UInt8(ascii: "=") else { return nil }
                padding += 1
                continue
            }
            guard padding == 0 else { return nil }
            bits = bits << 6 | UInt32(value)
            count += 1
            if count & 3 == 0 {
                result[filled] = UInt8(truncatingIfNeeded: bits >> 16)
                result[filled + 1] = UInt8(truncatingIfNeeded: bits >> 8)
                result[filled + 2] = UInt8(truncatingIfNeeded: bits)
                filled += 3
                bits = 0
            }
        }
        guard padding == 0 || (padding <= 2 && (count + padding) % 4 == 0) else { return nil }
        switch count % 4 {
        case 0: break
        case 2:
            result[filled] = UInt8(truncatingIfNeeded: bits >> 4)
            filled += 1
        case 3:
            result[filled] = UInt8(truncatingIfNeeded: bits >> 10)
            result[filled + 1] = UInt8(truncatingIfNeeded: bits >> 2)
            filled += 2
        default: return nil
        }
        return filled
    }

    /// The values of sixteen octets, and all bits at the places of those that have one.
    @inline(__always)
    private static func values(of block: DKIMOctetBlock.Octets) -> (DKIMOctetBlock.Octets, isInside: DKIMOctetBlock.Octets) {
        typealias Octets = DKIMOctetBlock.Octets
        let capitals = block &- Octets(repeating: UInt8(ascii: "A"))
        let letters = block &- Octets(repeating: UInt8(ascii: "a"))
        let digits = block &- Octets(repeating: UInt8(ascii: "0"))
        let areCapitals = DKIMOctetBlock(capitals).places(upTo: 25)
        let areLetters = DKIMOctetBlock(letters).places(upTo: 25)
        let areDigits = DKIMOctetBlock(digits).places(upTo: 9)
        let arePluses = DKIMOctetBlock(block).places(of: UInt8(ascii: "+"))
        let areSlashes = DKIMOctetBlock(block).places(of: UInt8(ascii: "/"))
        var values = capitals & areCapitals
        values |= (letters &+ Octets(repeating: 26)) & areLetters
        values |= (digits &+ Octets(repeating: 52)) & areDigits
        values |= Octets(repeating: 62) & arePluses | Octets(repeating: 63) & areSlashes
        return (values, areCapitals | areLetters | areDigits | arePluses | areSlashes)
    }

    /// Writes the twelve octets that sixteen values of six bits are; two behind them are overwritten.
    @inline(__always)
    private static func write(_ values: DKIMOctetBlock.Octets, to result: inout MutableSpan<UInt8>, at start: Int) {
        // Safe: all of these are 16 octets without padding, and every bit pattern is a value of the integers.
        let pairs = unsafe unsafeBitCast(values, to: SIMD8<UInt16>.self)
        let twelves = pairs &<< 6 & SIMD8(repeating: 0x0FC0) | pairs &>> 8
        let fours = unsafe unsafeBitCast(twelves, to: SIMD4<UInt32>.self)
        let twentyFours = fours &<< 12 & SIMD4(repeating: 0xFF_F000) | fours &>> 16
        let halves = unsafe unsafeBitCast(twentyFours, to: SIMD2<UInt64>.self)
        let fortyEights = halves &<< 24 & SIMD2(repeating: 0xFFFF_FF00_0000) | halves &>> 32
        // Safe: octets are written, and the room is as long as is checked there.
        var octets = unsafe result.mutableBytes
        octets.storeBytes(of: (fortyEights[0] &<< 16).bigEndian, toByteOffset: start, as: UInt64.self)
        octets.storeBytes(of: (fortyEights[1] &<< 16).bigEndian, toByteOffset: start + 6, as: UInt64.self)
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
