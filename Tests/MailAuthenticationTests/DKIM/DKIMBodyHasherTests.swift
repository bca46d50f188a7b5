import Crypto
import Foundation
import MailAuthentication
import NIOCore
import Testing

struct DKIMBodyHasherTests {
    /// RFC 6376 §3.4.3 and §3.4.4 as they are written, without a thought for speed.
    private static func canonical(_ body: [UInt8], _ canonicalization: DKIMCanonicalization) -> [UInt8] {
        var lines: [[UInt8]] = [[]]
        var index = 0
        while index < body.count {
            if body[index] == 0x0A {
                lines.append([])
            } else if body[index] == 0x0D, index + 1 < body.count, body[index + 1] == 0x0A {
                lines.append([])
                index += 1
            } else {
                lines[lines.count - 1].append(body[index])
            }
            index += 1
        }
        if canonicalization == .relaxed {
            lines = lines.map { line in
                var result: [UInt8] = []
                for octet in line {
                    if octet == 0x20 || octet == 0x09 {
                        if result.last != 0x20 { result.append(0x20) }
                    } else {
                        result.append(octet)
                    }
                }
                if result.last == 0x20 { result.removeLast() }
                return result
            }
        }
        while lines.last == [] { lines.removeLast() }
        if lines.isEmpty { return canonicalization == .simple ? [0x0D, 0x0A] : [] }
        return lines.flatMap { $0 + [0x0D, 0x0A] }
    }

    private static func check(_ body: [UInt8], pieces: [Int], lengths: [Int]) {
        for canonicalization in DKIMCanonicalization.allCases {
            let expected = canonical(body, canonicalization)
            let requirements = [DKIMBodyRequirement(canonicalization)] + lengths.map { DKIMBodyRequirement(canonicalization, length: UInt64($0)) }
            var hasher = DKIMBodyHasher(requirements)
            var position = 0
            for piece in pieces where position < body.count {
                let end = min(body.count, position + piece)
                hasher.update(ByteBuffer(bytes: body[position..<end]))
                position = end
            }
            hasher.update(ByteBuffer(bytes: body[position...]))
            let digests = hasher.finish()
            for requirement in requirements {
                let part = expected.prefix(requirement.length.map { Int($0) } ?? .max)
                let digest = digests[requirement]
                #expect(digest?.sha256 == Array(SHA256.hash(data: Array(part))), "\(requirement) of \(body.count) octets in \(pieces)")
                #expect(digest?.canonicalOctets == UInt64(expected.count))
                #expect(digest?.hashedOctets == UInt64(part.count))
            }
        }
    }

    @Test(arguments: [
        "", "\r\n", "\n", "\r\n\r\n", " ", " \r\n", "\t \r\n \r\n", " C \r\nD \t E\r\n\r\n\r\n", "a", "a\r", "a\r\r\n", "\r", "a \r b", "a\n\nb\n", "\r\r\n",
    ])
    func shortBodiesInEverySplit(body: String) {
        let octets = Array(body.utf8)
        for split in 0...octets.count { Self.check(octets, pieces: [split], lengths: [0, 1, 2, 5, 100]) }
        Self.check(octets, pieces: Array(repeating: 1, count: octets.count), lengths: [])
    }

    @Test func theExampleOfTheStandard() {
        // RFC 6376 §3.4.5: the canonical form is " C\r\nD E\r\n".
        var hasher = DKIMBodyHasher([DKIMBodyRequirement(.relaxed)])
        hasher.update(ByteBuffer(string: " C \r\nD \t E\r\n\r\n\r\n"))
        #expect(hasher.finish()[DKIMBodyRequirement(.relaxed)]?.sha256 == Array(SHA256.hash(data: Array(" C\r\nD E\r\n".utf8))))
    }

    @Test func bodiesAtRandomInPiecesAtRandom() {
        var generator = DKIMSeededGenerator(seed: 7)
        let parts = [
            "a", "bc", String(repeating: "x", count: 70), String(repeating: "y", count: 2000), " ", "  ", "\t", "\r\n", "\r\n", "\r\n\r\n", " \r\n", "\n", "\r",
        ]
        for _ in 0..<300 {
            // Few sorts of parts each, so that long runs without a change come up.
            let chosen = (0..<Int.random(in: 2...parts.count, using: &generator)).map { _ in parts[Int.random(in: 0..<parts.count, using: &generator)] }
            let body = (0..<Int.random(in: 0...120, using: &generator)).flatMap { _ in Array(chosen[Int.random(in: 0..<chosen.count, using: &generator)].utf8) }
            let pieces = (0..<20).map { _ in Int.random(in: 1...200, using: &generator) }
            let lengths = (0..<3).map { _ in Int.random(in: 0...(body.count + 2), using: &generator) }
            Self.check(body, pieces: pieces, lengths: lengths)
        }
    }
}
