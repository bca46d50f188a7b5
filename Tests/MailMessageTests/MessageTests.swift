import MailMessage
import MailTesting
import NIOCore
import Testing

/// A tree in one line: `type/subtype[octets,lines](children)`.
func outline(_ part: MIMEPart) -> String {
    let children = part.children.map(outline).joined(separator: " ")
    return "\(part.contentType.mediaType)[\(part.octetCount),\(part.lineCount)]"
        + (children.isEmpty ? "" : "(\(children))")
}

func message(_ lines: [String], limits: MessageLimits = MessageLimits()) -> Message {
    Message(parsing: ByteBuffer(string: lines.joined(separator: "\r\n")), limits: limits)
}

@Suite("Messages and their parts")
struct MessageTests {
    @Test("without MIME are text/plain") func plain() {
        let read = message([
            "From: Bob <bob@kartapuce.test>", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Message-ID: <1@kartapuce.test>",
            "", "Hello", "Jack", "",
        ])
        #expect(outline(read.root) == "text/plain[13,2]")
        #expect(read.subject == "Grüße")
        #expect(read.messageID == "<1@kartapuce.test>")
        #expect(read.from.mailboxes.first?.displayName == "Bob")
        #expect(read.root.text() == "Hello\r\nJack\r\n")
        #expect(read.part(at: [1]).map(outline) == "text/plain[13,2]")
        #expect(read.part(at: [1, 1]) == nil)
        #expect(read.part(at: [2]) == nil)
        #expect(read.part(at: [0]) == nil)
        #expect(read.deviations.isEmpty)
    }

    static let nested = [
        "Content-Type: multipart/mixed; boundary=\"outer\"", "", "preamble", "--outer",
        "Content-Type: multipart/alternative; boundary=inner", "", "--inner", "", "text", "--inner",
        "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: quoted-printable", "", "<p>caf=C3=A9</p>",
        "--inner--", "epilogue",
        "--outer  ", "Content-Type: message/rfc822", "Content-Description: forwarded", "", "Subject: inside",
        "Content-Type: multipart/digest; boundary=deep", "",
        "--deep", "", "Subject: digest one", "", "one", "--deep--", "--outer",
        "Content-Type: application/pdf; name=old.pdf", "Content-Disposition: attachment; filename=\"new.pdf\"",
        "Content-Transfer-Encoding: base64",
        "Content-ID: <c@x>", "Content-Language: en, de", "Content-MD5: Q2hlY2s=", "Content-Location: http://x.test/",
        "", "JVBERg==", "--outer--", "",
    ]

    @Test("give their tree, sizes and IMAP's numbers") func tree() throws {
        let read = message(MessageTests.nested)
        #expect(
            outline(read.root)
                == "multipart/mixed[682,38](multipart/alternative[150,10](text/plain[4,1] text/html[16,1]) "
                + "message/rfc822[112,9](multipart/digest[46,6](message/rfc822[26,3](text/plain[3,1]))) application/pdf[8,1])"
        )
        #expect(read.deviations.isEmpty, "\(read.deviations)")
        #expect(read.part(at: [1, 2])?.text() == "<p>café</p>")
        #expect(read.part(at: [2])?.contentDescription == "forwarded")
        #expect(read.part(at: [2])?.nestedMessage?.header.first(named: "subject")?.value == "inside")
        #expect(read.part(at: [2, 1])?.contentType.mediaType == "message/rfc822")
        #expect(read.part(at: [2, 1])?.nestedMessage?.header.first(named: "subject")?.value == "digest one")
        #expect(read.part(at: [2, 1, 1]).map { String(buffer: $0.body) } == "one")
        let pdf = try #require(read.part(at: [3]))
        #expect(pdf.filename == "new.pdf")
        #expect(String(buffer: pdf.decodedBody().octets) == "%PDF")
        #expect(pdf.contentID == "<c@x>")
        #expect(pdf.contentLanguages == ["en", "de"])
        #expect(pdf.contentMD5 == "Q2hlY2s=")
        #expect(pdf.contentLocation == "http://x.test/")
        #expect(read.part(at: [4]) == nil)
        #expect(read.allParts.count == 9)
    }

    @Test(
        "are read although they deviate",
        arguments: [
            (["Content-Type: multipart/mixed", "", "text"], "text/plain[4,1]", MessageDeviation.Code.missingBoundary),
            (["Content-Type: multipart/mixed; boundary=b", "", "text"], "text/plain[4,1]", .multipartWithoutParts),
            (
                ["Content-Type: multipart/mixed; boundary=b", "", "--b--", "text"], "text/plain[11,2]",
                .multipartWithoutParts
            ),
            (
                ["Content-Type: multipart/mixed; boundary=b", "", "--b", "", "text"],
                "multipart/mixed[11,3](text/plain[4,1])", .missingClosingDelimiter
            ),
            (["Content-Type: nonsense", "", "text"], "text/plain[4,1]", .malformedContentType),
            (["Content-Type: a/b", "Content-Type: c/d", "", "text"], "a/b[4,1]", .duplicateField),
            (
                ["Content-Type: message/rfc822", "Content-Transfer-Encoding: base64", "", "QQ=="],
                "application/octet-stream[4,1]", .encodedComposite
            ),
            (
                ["Content-Type: text/x", "Content-Transfer-Encoding: rot13", "", "x"], "text/x[1,1]",
                .unknownTransferEncoding
            ),
            (
                ["Content-Type: multipart/mixed; boundary=b", "", "--b", "X: y", "--b--"],
                "multipart/mixed[16,3](text/plain[0,0])", .missingHeaderBodySeparator
            ),
        ] as [([String], String, MessageDeviation.Code)]
    )
    func deviating(lines: [String], expected: String, code: MessageDeviation.Code) {
        let read = message(lines)
        #expect(outline(read.root) == expected)
        #expect(read.deviations.contains { $0.code == code }, "\(read.deviations)")
    }

    @Test("an enclosing delimiter ends what is inside") func enclosing() {
        let read = message([
            "Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: multipart/mixed; boundary=b-in", "",
            "--b-in", "", "x", "--b", "", "y", "--b--",
        ])
        #expect(outline(read.root).hasSuffix("(multipart/mixed[11,3](text/plain[1,1]) text/plain[1,1])"))
    }

    @Test("an empty part whose header ends where the enclosing delimiter begins lies within the part around it") func emptyLast() {
        let read = message([
            "Content-Type: multipart/mixed; boundary=x", "", "--x", "Content-Type: multipart/mixed; boundary=xx", "", "--xx", "", "--x--", "--xx--", "",
        ])
        checkTree(read, "an empty last part")
        let (inner, last) = (read.part(at: [1]), read.part(at: [1, 1]))
        #expect(inner.map { String(buffer: $0.body) } == "--xx\r\n\r\n")
        #expect(last?.octetCount == 0)
        #expect(inner?.bodyRange.upperBound == last?.bodyRange.upperBound)
    }

    @Test("lines that only begin like a delimiter end nothing") func similar() {
        let read = message([
            "Content-Type: multipart/mixed; boundary=b", "", "--b", "", "--bb", "--b-", "-- b", "--b--x", "--b--",
        ])
        #expect(read.part(at: [1]).map { String(buffer: $0.body) } == "--bb\r\n--b-\r\n-- b\r\n--b--x")
    }

    @Test("are not followed past the limits") func limits() {
        var lines = [String]()
        for depth in 0..<100 { lines += ["Content-Type: multipart/mixed; boundary=b\(depth)", "", "--b\(depth)"] }
        let deep = message(lines)
        #expect(deep.allParts.count == 51)
        #expect(deep.isIncomplete)
        #expect(deep.deviations.contains { $0.code == .nestingTooDeep })
        let chain = message((0..<500).flatMap { _ in ["Content-Type: message/rfc822", ""] })
        #expect(chain.allParts.count == 51)
        let wide = message(
            ["Content-Type: multipart/mixed; boundary=b", ""]
                + Array(repeating: ["--b", ""], count: 3000).flatMap { $0 }
        )
        #expect(wide.allParts.count == 1000)
        #expect(wide.deviations.contains { $0.code == .tooManyParts })
        let few = message(MessageTests.nested, limits: MessageLimits(partDepth: 1, partCount: 3))
        #expect(few.allParts.count == 3)
        #expect(few.isIncomplete)
    }

    @Test("an empty one has a header section and a body") func empty() {
        let read = Message(parsing: ByteBuffer())
        #expect(read.header.isEmpty)
        #expect(outline(read.root) == "text/plain[0,0]")
    }

    @Test("in a buffer with a reader index count from the first readable octet") func offset() {
        var buffer = ByteBuffer(string: "skippedSubject: x\r\n\r\nbody")
        buffer.moveReaderIndex(forwardBy: 7)
        let read = Message(parsing: buffer)
        #expect(read.subject == "x")
        #expect(read.bodyRange == 14..<18)
        #expect(String(buffer: read.root.body) == "body")
    }
}

@Suite("Transfer encodings of RFC 2045 §6")
struct TransferEncodingTests {
    @Test(
        "are decoded",
        arguments: [
            ("base64", "SGVs\r\nbG8=", "Hello", true), ("base64", "SGVsbG8", "Hello", false),
            ("base64", "SGVs*bG8=", "Hello", false),
            ("base64", "SGk=SGk=", "HiHi", true), ("base64", "S", "", false), ("base64", "=", "", true),
            ("base64", "", "", true),
            ("quoted-printable", "a=3Db =\r\nc \t\r\nd=20\r\n", "a=b c\r\nd \r\n", true),
            ("quoted-printable", "a=zz=", "a=zz", false),
            ("quoted-printable", "a=  \r\nb", "ab", true), ("quoted-printable", "=e9", "\u{FFFD}", true),
            ("quoted-printable", "a  \nb", "a\nb", true),
            ("8BIT", "é", "é", true), ("x-unknown", "abc", "abc", false),
        ]
    )
    func decoding(encoding: String, text: String, expected: String, isClean: Bool) {
        let decoded = ContentTransferEncoding(name: encoding).decode(ByteBuffer(string: text))
        #expect(String(buffer: decoded.octets) == expected)
        #expect(decoded.deviations.isEmpty == isClean)
    }
}

/// What holds of every tree, whatever the octets were.
func checkTree(_ read: Message, _ note: String) {
    let all = 0..<read.octets.readableBytes
    for part in read.allParts {
        guard all.contains(part.headerRange), all.contains(part.bodyRange),
            part.headerRange.upperBound <= part.bodyRange.lowerBound
        else {
            Issue.record("a part outside of its message: \(note)")
            return
        }
        for child in part.children
        where child.headerRange.lowerBound < part.bodyRange.lowerBound
            || child.bodyRange.upperBound > part.bodyRange.upperBound
        {
            Issue.record("a part outside of the one around it: \(note)")
            return
        }
        for field in part.header
        where !all.contains(field.range) || !field.range.contains(field.nameRange)
            || !field.range.contains(field.valueRange)
        {
            Issue.record("a field outside of its message: \(note)")
            return
        }
        _ = (
            part.contentDisposition, part.filename, part.contentLanguages, part.decodedBody(), part.text(),
            part.lineCount
        )
    }
    _ = (
        read.subject, read.date, read.messageID, read.references, read.from, read.to, read.cc, read.part(at: [1, 1, 1])
    )
}

extension Range<Int> {
    func contains(_ other: Range<Int>) -> Bool { lowerBound <= other.lowerBound && other.upperBound <= upperBound }
}

@Suite("Damaged messages")
struct DamagedMessageTests {
    @Test("2,000 of them are read within their bounds", arguments: [1, 2, 3, 4] as [UInt64]) func mutations(
        seed: UInt64
    ) {
        let headed = [
            "From: \"Bob, S.\" <bob@kartapuce.test>, A Group: =?utf-8?q?J=C3=B6rg?= <j@x.test>;",
            "Date: Mon, 23 Nov 2026 21:19:03 +0000 (UTC)",
            "Message-ID: <1@x.test>", "References: <a@b> <c@d>",
            "Subject: =?utf-8?b?R3LDvMOfZQ==?= =?iso-8859-1?q?=E9?=",
        ]
        let originals = [
            Array((headed + MessageTests.nested).joined(separator: "\r\n").utf8),
            Array(MessageTests.nested.joined(separator: "\n").utf8),
        ]
        let dictionary: [[UInt8]] = [
            "--outer", "--inner--\r\n", "\r\n\r\n", "\r", "\n", "=?", "?=", "<", ">", "(", "\"", "\\", ";", "\0", "=",
            "Content-Type: multipart/mixed; boundary=outer\r\n",
        ].map { Array($0.utf8) }
        var generator = SeededGenerator(state: seed)
        for round in 0..<500 {
            var octets = originals[Int.random(in: 0..<originals.count, using: &generator)]
            for _ in 0..<Int.random(in: 1...12, using: &generator) {
                let place = Int.random(in: 0..<octets.count, using: &generator)
                switch Int.random(in: 0..<4, using: &generator) {
                case 0: octets[place] = UInt8.random(in: 0...255, using: &generator)
                case 1: octets.insert(contentsOf: dictionary.randomElement(using: &generator) ?? [], at: place)
                case 2:
                    octets.removeSubrange(place..<min(octets.count, place + Int.random(in: 1...20, using: &generator)))
                default: octets += octets[place..<min(octets.count, place + 60)]
                }
                if octets.isEmpty { octets = [0x0A] }
            }
            checkTree(Message(parsing: ByteBuffer(bytes: octets)), "seed \(seed), round \(round)")
        }
    }
}
