import Foundation

/// Gzip for tests without a compressor: stored blocks, and a run of one octet as repeated matches, which is what a bomb is.
enum BIMITestGzip {
    static func pack(_ octets: [UInt8]) -> [UInt8] {
        var result: [UInt8] = [0x1F, 0x8B, 8, 0, 0, 0, 0, 0, 0, 255]
        if octets.count > 100_000, let first = octets.first, octets.allSatisfy({ $0 == first }) {
            result += run(of: first, count: octets.count)
        } else {
            var index = 0
            repeat {
                let end = min(index + 65535, octets.count)
                let length = UInt16(end - index)
                result += [end == octets.count ? 1 : 0, UInt8(length & 255), UInt8(length >> 8), UInt8(~length & 255), UInt8(~length >> 8)]
                result += octets[index..<end]
                index = end
            } while index < octets.count
        }
        for value in [checksum(octets), UInt32(truncatingIfNeeded: octets.count)] { result += (0..<4).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) } }
        return result
    }

    /// RFC 1951 §3.2.6, fixed codes: one literal, then matches of 258 octets at the distance 1.
    private static func run(of octet: UInt8, count: Int) -> [UInt8] {
        var bits: [UInt8] = []
        func put(_ value: Int, _ length: Int) { for bit in stride(from: length - 1, through: 0, by: -1) { bits.append(UInt8(value >> bit & 1)) } }
        bits += [1, 1, 0]
        func literal() { precondition(octet < 144); put(0x30 + Int(octet), 8) }
        literal()
        var left = count - 1
        while left >= 258 {
            put(0b1100_0101, 8)  // length 258: code 285
            put(0, 5)  // distance 1
            left -= 258
        }
        for _ in 0..<left { literal() }
        put(0, 7)
        return stride(from: 0, to: bits.count, by: 8).map { start in
            (0..<8).reduce(UInt8(0)) { $0 | (start + $1 < bits.count ? bits[start + $1] << UInt8($1) : 0) }
        }
    }

    private static func checksum(_ octets: [UInt8]) -> UInt32 {
        let table = (0..<256).map { index in (0..<8).reduce(UInt32(index)) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 } }
        return ~octets.reduce(UInt32.max) { table[Int(($0 ^ UInt32($1)) & 255)] ^ ($0 >> 8) }
    }
}
