import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

struct DKIMHeaderCanonicalizerTests {
    /// RFC 6376 §3.4.1 and §3.4.2 as they are written, without a thought for speed.
    private static func canonical(_ name: [UInt8], _ value: [UInt8], _ canonicalization: DKIMCanonicalization) -> [UInt8] {
        var lines: [[UInt8]] = [[]]
        for octet in value {
            if octet == 0x0A {
                if lines[lines.count - 1].last == 0x0D { lines[lines.count - 1].removeLast() }
                lines.append([])
            } else {
                lines[lines.count - 1].append(octet)
            }
        }
        guard canonicalization == .relaxed else { return name + [0x3A] + Array(lines.joined(separator: [0x0D, 0x0A])) + [0x0D, 0x0A] }
        let words = Array(lines.joined()).split { $0 == 0x20 || $0 == 0x09 }
        return name.map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 } + [0x3A] + Array(words.joined(separator: [0x20])) + [0x0D, 0x0A]
    }

    @Test func fieldsAtRandom() {
        var generator = DKIMSeededGenerator(seed: 17)
        let parts = [
            "a", "Bc", "word-of-letters", "x=y;", String(repeating: "Z", count: 40), " ", "  ", "\t", "\r\n ", "\n\t", "\r\n \r\n ", "\r", "\u{1}", "é",
        ]
        for _ in 0..<2000 {
            let value = (0..<Int.random(in: 0...30, using: &generator)).flatMap { _ in Array(parts[Int.random(in: 0..<parts.count, using: &generator)].utf8) }
            let name = Array(["Subject", "X-Long-Name-Of-A-Field", "to"][Int.random(in: 0..<3, using: &generator)].utf8)
            // A field ends at its own line end, whatever is in front of it.
            guard value.last != 0x0D else { continue }
            let header = HeaderSection(parsing: ByteBuffer(bytes: name + [0x3A] + value + Array("\r\nEnd: here\r\n\r\n".utf8)))
            for canonicalization in DKIMCanonicalization.allCases {
                var canonicalizer = DKIMHeaderCanonicalizer(canonicalization, size: 8)
                canonicalizer.append(header, at: 0)
                canonicalizer.append(header[1])
                let end = canonicalization == .relaxed ? "end:here\r\n" : "End: here\r\n"
                #expect(Array(canonicalizer.octets) == Self.canonical(name, value, canonicalization) + Array(end.utf8), "\(value)")
            }
        }
    }

    /// What `b=` takes is left out, and the blanks around it are no more than one.
    @Test func aCutInTheMiddle() {
        let header = HeaderSection(parsing: ByteBuffer(string: "DKIM-Signature: a=1; b=abc\r\n def ;\r\n\tc=2\r\n\r\n"))
        let value = header[0].rawValue.readableBytesView
        let start = (value.firstIndex(of: UInt8(ascii: "b")) ?? 0) - value.startIndex + 2
        let end = (value.lastIndex(of: UInt8(ascii: ";")) ?? 0) - value.startIndex
        var relaxed = DKIMHeaderCanonicalizer(.relaxed)
        relaxed.append(header[0], cutting: start..<end, isTerminated: false)
        #expect(String(decoding: relaxed.octets, as: UTF8.self) == "dkim-signature:a=1; b=; c=2")
        var simple = DKIMHeaderCanonicalizer(.simple)
        simple.append(header[0], cutting: start..<end, isTerminated: false)
        #expect(String(decoding: simple.octets, as: UTF8.self) == "DKIM-Signature: a=1; b=;\r\n\tc=2")
    }
}
