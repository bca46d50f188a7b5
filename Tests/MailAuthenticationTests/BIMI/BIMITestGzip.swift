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
        func literal() { put(0x30 + Int(octet), 8) }
        literal()
        var left = count - 1
        while left >= 258 {
            put(0b1100_0101, 8)  // length 258: code 285
            put(0, 5)  // distance 1
            left -= 258
        }
        for _ in 0..<left { literal() }
        put(0, 7)
        var result = [UInt8](repeating: 0, count: (bits.count + 7) / 8)
        for (index, bit) in bits.enumerated() { result[index / 8] |= bit << UInt8(index % 8) }
        return result
    }

    private static func checksum(_ octets: [UInt8]) -> UInt32 {
        var table: [UInt32] = []
        for index in 0..<256 {
            var value = UInt32(index)
            for _ in 0..<8 { value = value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
            table.append(value)
        }
        var sum = UInt32.max
        for octet in octets { sum = table[Int((sum ^ UInt32(octet)) & 255)] ^ (sum >> 8) }
        return ~sum
    }
}
