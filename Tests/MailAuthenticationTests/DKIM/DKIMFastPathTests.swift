import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

/// What is read many octets at a time is read as it would be one octet after the other, wherever blocks begin and end.
struct DKIMFastPathTests {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

    /// RFC 4648 §4 with the blanks and the freedoms of RFC 6376 §2.10, bit by bit.
    private static func decoded(_ text: [UInt8]) -> [UInt8]? {
        let text = text.filter { ![0x20, 0x09, 0x0D, 0x0A].contains($0) }
        let end = text.firstIndex(of: UInt8(ascii: "=")) ?? text.count
        let padding = text.count - end
        guard text[end...].allSatisfy({ $0 == UInt8(ascii: "=") }), padding == 0 || (padding <= 2 && text.count % 4 == 0) else { return nil }
        var bits: [Bool] = []
        for octet in text[..<end] {
            guard let value = alphabet.firstIndex(of: octet) else { return nil }
            for shift in (0..<6).reversed() { bits.append(value >> shift & 1 == 1) }
        }
        guard end % 4 != 1 else { return nil }
        return (0..<bits.count / 8).map { place in bits[8 * place..<8 * place + 8].reduce(0) { $0 << 1 | ($1 ? 1 : 0) } }
    }

    @Test func base64AtRandom() {
        var generator = DKIMSeededGenerator(seed: 3)
        for round in 0..<4000 {
            var text = (0..<Int.random(in: 0...90, using: &generator)).map { _ in Self.alphabet[Int.random(in: 0..<64, using: &generator)] }
            for _ in 0..<Int.random(in: 0...2, using: &generator) { text.append(UInt8(ascii: "=")) }
            for _ in 0..<Int.random(in: 0...3, using: &generator) {
                let blank = ([" ", "\t", "\r\n ", "\n"].randomElement(using: &generator) ?? "").utf8
                text.insert(contentsOf: blank, at: Int.random(in: 0...text.count, using: &generator))
            }
            // Every octet that isn't of the alphabet is somewhere in some text.
            if round % 3 == 0, !text.isEmpty { text[Int.random(in: 0..<text.count, using: &generator)] = UInt8(truncatingIfNeeded: round / 3) }
            #expect(DKIMBase64.decode(text) == Self.decoded(text), "\(text)")
        }
    }

    @Test func eachOctetAtEachPlaceOfABlock() {
        for octet in UInt8.min...UInt8.max {
            for place in 0..<20 {
                var text = Array("QUJDREVGR0hJSktMTU5P".utf8)
                text[place] = octet
                #expect(DKIMBase64.decode(text) == Self.decoded(text), "\(octet) at \(place)")
            }
        }
    }

    /// Values with blanks, folds and what ends them, at every distance from where they begin.
    @Test func valuesOfTagsAtEveryPlace() throws {
        for first in 0..<40 {
            for second in 0..<40 {
                let (head, tail) = (String(repeating: "a", count: first), String(repeating: "B", count: second))
                let list = try TagList(parsing: "x=\(head) \r\n\t\(tail) ; y=\(tail)é\(head);z=\(head)")
                #expect(list["x"] == "\(head) \r\n\t\(tail)".trimmingBlanks)
                #expect(list.tag("x")?.compactValue == head + tail)
                #expect(list["y"] == "\(tail)é\(head)")
                #expect(list["z"] == head)
            }
        }
    }

    @Test func forbiddenOctetsInTagsAtEveryPlace() {
        for octet: UInt8 in [0x00, 0x08, 0x0B, 0x1F, 0x7F, 0x80, 0xFF] {
            for place in 0..<40 {
                var text = Array("x=\(String(repeating: "a", count: 40)); y=1".utf8)
                text[2 + place] = octet
                #expect(throws: TagListError(.invalidValue, offset: octet < 0x80 ? 2 + place : 2)) { try TagList(parsing: text) }
            }
        }
    }

    /// Names in `h=` as `split` and `lowercased` read them.
    @Test func namesAtRandom() {
        var generator = DKIMSeededGenerator(seed: 11)
        let parts = ["From", ":", ":", ":", " ", "\r\n\t", "Content-Transfer-Encoding", "to", "X-\u{7E}{}", "É", "\u{1}", "\u{7F}", ";", "List-Id"]
        for _ in 0..<5000 {
            let text = (0..<Int.random(in: 0...12, using: &generator)).map { _ in
                // What can't be in a name is rare, or nothing else would be seen.
                let part = Int.random(in: 0..<parts.count * 8, using: &generator)
                return part < parts.count ? parts[part] : parts[part % 9]
            }.joined()
            let octets = Array(text.utf8)
            let isValid = octets.allSatisfy { (0x21...0x7E).contains($0) || [0x20, 0x09, 0x0D, 0x0A].contains($0) }
            let expected = octets.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false).map { name in
                String(decoding: name.filter { (0x21...0x7E).contains($0) }, as: UTF8.self).lowercased()
            }
            let names = DKIMFieldNames(octets.span)
            #expect(names?.texts == (isValid ? expected : nil), "\(octets)")
            guard let names else { continue }
            #expect(names.count == expected.count && names.hasEmptyName == expected.contains(""))
            for name in ["from", "to", "list-id", "absent", ""] { #expect(names.contains(name) == expected.contains(name)) }
        }
    }

    /// RFC 6376 §5.4.2 as it is written: each name takes the lowest field that is left, and counts what it doesn't take.
    @Test func selectionsAtRandom() {
        var generator = DKIMSeededGenerator(seed: 29)
        let names = ["a", "From", "To", "DKIM-Signature", "Content-Transfer-Encoding", "X-Twenty-Octets-Long", "Received", "B"]
        for round in 0..<1500 {
            let fields = (0..<Int.random(in: 1...30, using: &generator)).map { number in
                (name: names.randomElement(using: &generator) ?? "", value: "\(number)")
            }
            let header = HeaderSection(parsing: ByteBuffer(string: fields.map { "\($0.name): \($0.value)\r\n" }.joined() + "\r\n"))
            var listed = (0..<Int.random(in: 1...40, using: &generator)).map { _ in names.randomElement(using: &generator) ?? "" }
            // More absent names than are searched one by one, each of them twice.
            if round % 5 == 0 { listed += (0..<60).map { "absent-\($0 % 30)" } }
            let own = fields.lastIndex { $0.name == "DKIM-Signature" } ?? -1

            var left = Array(fields.indices)
            var (text, expected): (String, [DKIMSignedField]) = ("", [])
            for name in listed.map({ $0.lowercased() }) {
                if !expected.contains(where: { $0.name == name }) { expected.append(DKIMSignedField(name: name, signedCount: 0, unsignedCount: 0)) }
                guard let place = left.last(where: { $0 != own && fields[$0].name.lowercased() == name }) else { continue }
                left.removeAll { $0 == place }
                text += "\(name):\(fields[place].value)\r\n"
                for index in expected.indices where expected[index].name == name { expected[index].signedCount += 1 }
            }
            for index in expected.indices {
                expected[index].unsignedCount = left.count { $0 != own && fields[$0].name.lowercased() == expected[index].name }
            }
            var canonicalizer = DKIMHeaderCanonicalizer(.relaxed)
            guard let list = DKIMFieldNames(listed) else {
                Issue.record("\(listed) are names")
                continue
            }
            let selection = DKIMFieldIndex(header).select(list, except: own, into: &canonicalizer)
            #expect(selection.fields == expected)
            #expect(String(decoding: canonicalizer.octets, as: UTF8.self) == text)
        }
    }

    /// What deviates is seen at every place of a line, and nothing else is.
    @Test func oddOctetsInHeaderLines() {
        for count in 1..<40 {
            for place in 0..<count {
                let odd: [(UInt8, MessageDeviation.Code)] = [(0x00, .nulOctet), (0x0D, .bareCarriageReturn), (0xC3, .eightBitHeader)]
                for (octet, code) in odd {
                    var value = [UInt8](repeating: 0x7E, count: count)
                    value[place] = octet
                    // CR before the line end is another one's.
                    guard octet != 0x0D || place + 1 < count else { continue }
                    let header = HeaderSection(parsing: ByteBuffer(bytes: Array("X:".utf8) + value + Array("\r\n\r\n".utf8)))
                    #expect(header.deviations == [MessageDeviation(code, at: 2 + place)])
                }
            }
            let plain = HeaderSection(parsing: ByteBuffer(string: "X:\(String(repeating: "\u{1}", count: count))\r\n\r\n"))
            #expect(plain.deviations.isEmpty)
        }
    }
}

extension String {
    fileprivate var trimmingBlanks: String {
        let blanks: Set<Character> = [" ", "\t", "\r\n", "\r", "\n"]
        guard let start = firstIndex(where: { !blanks.contains($0) }), let end = lastIndex(where: { !blanks.contains($0) }) else { return "" }
        return String(self[start...end])
    }
}
