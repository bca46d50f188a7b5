import Foundation
import Testing

@testable import MailMessage

/// What is written is what Foundation's reader reads.
@Suite struct JSONWriterTests {
    private func text(_ body: (inout JSONWriter) -> Void) -> String {
        // The least room, so that it has to grow.
        var writer = JSONWriter(reserving: 0)
        body(&writer)
        return String(decoding: writer.octets, as: UTF8.self)
    }

    @Test func objectsArraysAndFieldsHaveTheirCommas() {
        let written = text {
            $0.object {
                $0.field("a", 1)
                $0.field("absent", nil as String?)
                $0.object("b") { _ in }
                $0.array("c") { writer in
                    writer.object { $0.field("d", true) }
                    writer.object { $0.field("e", false) }
                    writer.text("f")
                }
                $0.field("g", ["h", "i"])
                $0.object(named: "j") { $0.field("k", -0.25) }
            }
        }
        #expect(written == #"{"a":1,"b":{},"c":[{"d":true},{"e":false},"f"],"g":["h","i"],"j":{"k":-0.25}}"#)
    }

    @Test func textsComeBack() throws {
        let octets = (0..<0x80).map { Character(Unicode.Scalar(UInt8($0))) }
        for value in ["", "\"\\\u{0}\u{1F}", String(octets), "grüße 🙂", String(repeating: "\"", count: 1000), String(repeating: "x\n", count: 5000)] {
            let written = text { $0.array { $0.text(value) } }
            #expect(try JSONDecoder().decode([String].self, from: Data(written.utf8)) == [value])
        }
    }

    @Test func numbersComeBackExactly() throws {
        var generator = SystemRandomNumberGenerator()
        var numbers: [Double] = [
            0, -0.0, 0.5, 1, -1, 10, 100, 1e7, 0.1, 0.0000001, 0.00000001, 1e-300, 1e300, 899_999_999_999.9999999, 9e11, 1e12, 123_456_789.0000005,
            .leastNonzeroMagnitude, .greatestFiniteMagnitude, .pi,
        ]
        // Moments of this century, durations, and any number whatever.
        numbers += (0..<2000).map { _ in Double.random(in: 1_000_000_000...4_000_000_000, using: &generator) }
        numbers += (0..<2000).map { _ in Double.random(in: -1...1, using: &generator) }
        numbers += (0..<2000).map { _ in Double(bitPattern: UInt64.random(in: 0...UInt64.max, using: &generator)) }
        for number in numbers where number.isFinite {
            let written = text { $0.object { $0.field("n", number) } }
            let digits = written.dropFirst(5).dropLast()
            #expect(written.hasPrefix(#"{"n":"#) && written.hasSuffix("}"))
            #expect(Double(digits)?.bitPattern == number.bitPattern, "\(number) as \(digits)")
        }
        #expect(text { $0.object { $0.field("n", 0.5) } } == #"{"n":0.5}"#)
        #expect(text { $0.object { $0.field("n", 12.0) } } == #"{"n":12.0}"#)
        #expect(text { $0.object { $0.field("n", Double.infinity) } } == "{}")
    }
}
