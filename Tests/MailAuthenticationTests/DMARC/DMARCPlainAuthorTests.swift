import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

/// A From field in the form that nearly all have is read as by the reader of all forms.
struct DMARCPlainAuthorTests {
    private static func both(_ text: String) -> (Result<DMARCAuthor, DMARCAuthorError>, Result<DMARCAuthor, DMARCAuthorError>) {
        let octets = Array(text.utf8)
        let fast: Result<DMARCAuthor, DMARCAuthorError>
        do throws(DMARCAuthorError) { fast = .success(try DMARCAuthor(from: octets)) } catch { fast = .failure(error) }
        let full: Result<DMARCAuthor, DMARCAuthorError>
        do throws(DMARCAuthorError) { full = .success(try DMARCAuthor(parsing: octets)) } catch { full = .failure(error) }
        return (fast, full)
    }

    @Test func fieldsAtRandom() {
        let pieces = [
            "bob", "Bob", " ", " ", "<", " <", ">", "@", "@", "gmail.test", "evil.test", "GMAIL.test", "xn--caf-dma.test", "a--b.test", "a_b.test", "127.0.0.1",
            ".", "-", "_", "\"", "\"Bob\" ", "'", "?", "=", "+", "/", ",", ";", ":", "(", ")", "\\", "\t", "=?utf-8?q?x?=", "=?utf-8?q?a=40evil.test?= ",
            "=?utf-8?q?x", "?=", "\u{E9}", "bob@gmail.test", " <bob@gmail.test>", "\"bob@evil.test\" ", "\u{7F}", "[1]", "@gmail.test", "<bob@gmail.test",
            String(repeating: "a", count: 63), String(repeating: "b.", count: 100), String(repeating: "c", count: 490),
        ]
        var generator = DKIMSeededGenerator(seed: 13)
        var plain = 0
        for _ in 0..<60_000 {
            let text = (0..<Int.random(in: 1...6, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            let (fast, full) = Self.both(text)
            #expect(fast == full, "\(text.debugDescription)")
            if DMARCAuthor.plain(Array(text.utf8)) != nil { plain += 1 }
        }
        #expect(plain > 500, "\(plain)")
    }

    /// Every octet at every place of a plain field.
    @Test(arguments: ["bob.b@gmail.test", "Bob B <bob@gmail.test>", "\"Bob, B\" <b@a-b.test>", "=?utf-8?Q?T=C3=B6m?= <t@a.test>", "=?utf-8?Q?=40?= <t@a.test>"])
    func eachOctetAtEachPlace(_ field: String) {
        #expect(DMARCAuthor.plain(Array(field.utf8)) != nil)
        for place in field.utf8.indices {
            for octet in UInt8(0x00)..<0x80 {
                let text = "\(field[..<place])\(UnicodeScalar(octet))\(field[field.utf8.index(after: place)...])"
                let (fast, full) = Self.both(text)
                #expect(fast == full, "\(text.debugDescription)")
            }
        }
    }

    @Test(arguments: [1, 62, 63, 64, 65, 66]) func lengthsAtTheirLimits(_ count: Int) {
        let part = String(repeating: "a", count: count)
        let label = String(repeating: "b", count: 61)
        for text in [
            "\(part)@gmail.test", "bob@\(part).test", "\(part)@\(label).\(label).\(label).test", "Bob <\(part)@\(label).\(label).\(label).\(part)>",
            "\(String(repeating: "n", count: 980 + count % 8)) <b@a.test>",
        ] {
            let (fast, full) = Self.both(text)
            #expect(fast == full, "\(text)")
        }
    }

    /// What is skipped many octets at a time ends where it would end one octet after the other.
    @Test func hiddenFieldsAtEveryDistance() {
        for ending in ["\n", "\r\n", "\r", "\0", "\r\r"] {
            for count in 0..<70 {
                let line = "X: " + String(repeating: "y", count: count)
                #expect(
                    DMARCFromSearch.count(in: ByteBuffer(string: "\(line)\(ending)From: a@b.test\r\n\r\n"), limit: 1000) == 1,
                    "\(ending.debugDescription) \(count)")
                #expect(DMARCFromSearch.count(in: ByteBuffer(string: "\(line)From: a@b.test\r\n\(line)\r\n\r\nFrom: x"), limit: 1000) == 0)
                #expect(DMARCFromSearch.count(in: ByteBuffer(string: "\(line)\r\nFrom: a"), limit: line.utf8.count + 6) == 0)
                #expect(DMARCFromSearch.count(in: ByteBuffer(string: "\(line)\r\nFrom:\r\n\(line)\nfrom\u{1} :"), limit: 1000) == 2)
            }
        }
    }
}
