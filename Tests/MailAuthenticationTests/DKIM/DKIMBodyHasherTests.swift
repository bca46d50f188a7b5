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

    @Test func longBodiesInPiecesAtRandom() {
        var generator = DKIMSeededGenerator(seed: 11)
        let word = "word "
        let parts = [
            String(repeating: word, count: 400), String(repeating: "z", count: 9000), "short line\r\n", "<td  class=\"x\">\ta  b</td> \r\n", "\t\tx\r\n",
            String(repeating: " ", count: 40), String(repeating: "\r\n", count: 30), String(repeating: "\n", count: 30), " \r\n \t\r\n", "\r\r\n", "a\r b",
            "\u{0}", " \u{B}", "\t\u{0}", "\u{E9} \u{20AC}", "\r", "\n", " ",
        ]
        for _ in 0..<120 {
            let chosen = (0..<Int.random(in: 1...5, using: &generator)).map { _ in parts[Int.random(in: 0..<parts.count, using: &generator)] }
            let body = (0..<Int.random(in: 0...60, using: &generator)).flatMap { _ in Array(chosen[Int.random(in: 0..<chosen.count, using: &generator)].utf8) }
            let longest = [20, 100, 3000, 100_000][Int.random(in: 0..<4, using: &generator)]
            let pieces = (0..<40).map { _ in Int.random(in: 1...longest, using: &generator) }
            let lengths = (0..<3).map { _ in Int.random(in: 0...(body.count + 2), using: &generator) }
            Self.check(body, pieces: pieces, lengths: lengths)
        }
    }

    /// A run that is hashed in parts may be cut between CR and LF, or within line ends that are those of the body.
    @Test func runsOfEveryLengthAroundTheirLimit() {
        for end in ["\r\n", "\r\nx", "\r\n\r\n\r\n", "\r\n\r\n\r\ny\r\n", " \r\n", "  z", "\r", "\n\nx", "\r\r\nx"] {
            for count in [1024, 8192, 32768] {
                for shift in -18...2 {
                    let body = Array((String(repeating: "q", count: count + shift) + end + String(repeating: "r", count: shift & 1 == 0 ? 40 : 0)).utf8)
                    Self.check(body, pieces: [], lengths: shift == 0 ? [count] : [])
                }
            }
        }
    }

    /// Blanks and line ends at every place of a block, and at the borders of pieces.
    @Test func changesAtEveryPlace() {
        for change in ["\t", "  ", " \t ", "\n", "\r", "\r\n", " \r\n", "\t\n", "\n\n", "\r\r\n", "\r \n", " \r "] {
            for before in 0...40 {
                let body = Array((String(repeating: "b", count: before) + change + String(repeating: "c", count: 40)).utf8)
                Self.check(body, pieces: [], lengths: [])
                Self.check(body, pieces: [before], lengths: [])
                Self.check(body, pieces: [before + 1], lengths: [])
            }
        }
    }

    /// Every word of three octets that mean something, around the borders of blocks, of parts that are hashed, and of pieces.
    @Test func everyCombinationAtTheBorders() {
        let alphabet: [UInt8] = [0x20, 0x09, 0x0D, 0x0A, 0x61]
        let words = alphabet.flatMap { first in alphabet.flatMap { second in alphabet.map { [first, second, $0] } } }
        for word in words {
            for before in [0, 29, 61, 62, 63, 64, 126] {
                let body = Array(repeating: 0x62, count: before) + word + Array(repeating: 0x63, count: 110)
                Self.check(body, pieces: [], lengths: [])
                Self.check(body, pieces: [before + 1, 1], lengths: [])
                // At the end as well, where octets are taken one by one.
                Self.check(body + word + word, pieces: [before + 2], lengths: [])
            }
            let body = Array(repeating: 0x62, count: 4094) + word + word + Array(repeating: 0x63, count: 110)
            Self.check(body, pieces: [], lengths: [])
        }
    }

    /// Octets at random out of few sorts, in pieces at random: every mask that a block can have comes up.
    @Test func octetsAtRandom() {
        var generator = DKIMSeededGenerator(seed: 13)
        let alphabets: [[UInt8]] = [
            [0x20, 0x0D, 0x0A, 0x09, 0x61], [0x20, 0x61, 0x61, 0x62], [0x0D, 0x0A], [0x0D], [0x0A, 0x61], [0x09, 0x61, 0x0A, 0x0D], [0x20, 0x09],
            [0x20, 0x0A, 0x61, 0x61, 0x61, 0x61], [0x00, 0x20, 0x0B, 0xFF],
        ]
        for round in 0..<400 {
            let alphabet = alphabets[Int.random(in: 0..<alphabets.count, using: &generator)]
            let lineEnds = Bool.random(using: &generator)
            let count = round % 40 == 0 ? 9000 : Int.random(in: 0...400, using: &generator)
            var body: [UInt8] = []
            while body.count < count {
                body.append(alphabet[Int.random(in: 0..<alphabet.count, using: &generator)])
                if lineEnds, Int.random(in: 0..<8, using: &generator) == 0 { body += [0x0D, 0x0A] }
            }
            let longest = [1, 70, 130, 500, 20000][Int.random(in: 0..<5, using: &generator)]
            let pieces = (0..<60).map { _ in Int.random(in: 1...longest, using: &generator) }
            Self.check(body, pieces: pieces, lengths: [Int.random(in: 0...(body.count + 2), using: &generator)])
        }
    }
}
