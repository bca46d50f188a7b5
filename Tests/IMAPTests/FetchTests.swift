import FoundationEssentials
import NIOCore
import Testing

@testable import IMAP

/// What FETCH answers for a message of these lines; `items` as a client writes them.
func fetch(_ items: String, of lines: [String], uid: Bool = false) -> String {
    fetch(items, of: ByteBuffer(string: lines.joined(separator: "\r\n")), uid: uid)
}

func fetch(_ items: String, of octets: ByteBuffer?, uid: Bool = false) -> String {
    guard case .fetch(_, let items, _)? = command("FETCH 1 \(items)") else { return "not read" }
    let message = IMAPMessage(
        sequenceNumber: 3, uid: 42, flags: ["$Junk", "\\Seen", "\\Draft", "a", "\\Answered"], internalDate: Date(timeIntervalSince1970: 837_596_665),
        size: octets?.readableBytes ?? 7, content: octets)
    var out = ByteBuffer()
    message.writeFetch(items, includesUID: uid, into: &out)
    return String(buffer: out)
}

/// The same without what stands around the items.
func item(_ items: String, of lines: [String]) -> String {
    let answer = fetch(items, of: lines)
    return answer.hasPrefix("* 3 FETCH (") && answer.hasSuffix(")\r\n") ? String(answer.dropFirst(11).dropLast(2)) : "no answer: \(answer)"
}

@Suite("FETCH")
struct FetchTests {
    @Test("what needs no octets") func metadata() {
        #expect(
            fetch("FAST", of: nil as ByteBuffer?)
                == "* 3 FETCH (FLAGS (\\Seen \\Answered \\Draft $Junk a) INTERNALDATE \"17-Jul-1996 09:44:25 +0000\" RFC822.SIZE 7)\r\n")
        #expect(fetch("RFC822.SIZE", of: nil as ByteBuffer?, uid: true) == "* 3 FETCH (UID 42 RFC822.SIZE 7)\r\n")
        #expect(fetch("(RFC822.SIZE UID RFC822.SIZE)", of: nil as ByteBuffer?, uid: false) == "* 3 FETCH (RFC822.SIZE 7 UID 42)\r\n")
        #expect(fetch("(RFC822.SIZE UID)", of: nil as ByteBuffer?, uid: true) == "* 3 FETCH (UID 42 RFC822.SIZE 7)\r\n")
    }

    static let plain = ["Subject: A", " B", "From: bob@kartapuce.test", "X: y", "", "one", "two", ""]
    static let header = "Subject: A\r\n B\r\nFrom: bob@kartapuce.test\r\nX: y\r\n\r\n"

    static let plainSections: [(String, String)] = [
        ("BODY[]", "BODY[] {\(header.utf8.count + 10)}\r\n\(header)one\r\ntwo\r\n"),
        ("(BODY[] BODY.PEEK[])", "BODY[] {\(header.utf8.count + 10)}\r\n\(header)one\r\ntwo\r\n"),
        ("RFC822", "RFC822 {\(header.utf8.count + 10)}\r\n\(header)one\r\ntwo\r\n"),
        ("RFC822.HEADER", "RFC822.HEADER {\(header.utf8.count)}\r\n\(header)"), ("RFC822.TEXT", "RFC822.TEXT {10}\r\none\r\ntwo\r\n"),
        ("BODY[HEADER]", "BODY[HEADER] {\(header.utf8.count)}\r\n\(header)"), ("BODY[TEXT]", "BODY[TEXT] {10}\r\none\r\ntwo\r\n"),
        ("BODY.PEEK[1]", "BODY[1] {10}\r\none\r\ntwo\r\n"), ("BODY[1.MIME]", "BODY[1.MIME] {\(header.utf8.count)}\r\n\(header)"),
        ("BODY[2]", "BODY[2] NIL"), ("BODY[1.1]", "BODY[1.1] NIL"), ("BODY[1.TEXT]", "BODY[1.TEXT] NIL"), ("BODY[1.HEADER]", "BODY[1.HEADER] NIL"),
        ("BODY[TEXT]<0.3>", "BODY[TEXT]<0> {3}\r\none"), ("BODY[TEXT]<8.9>", "BODY[TEXT]<8> {2}\r\n\r\n"),
        ("BODY[TEXT]<10.1>", "BODY[TEXT]<10> \"\""), ("BODY[]<4294967295.4294967295>", "BODY[]<4294967295> \"\""),
        ("(BODY[1]<0.1> BODY[1]<0.2>)", "BODY[1]<0> {1}\r\no BODY[1]<0> {2}\r\non"),
        ("BODY[HEADER.FIELDS (subject x none)]", "BODY[HEADER.FIELDS (subject x none)] {24}\r\nSubject: A\r\n B\r\nX: y\r\n\r\n"),
        ("BODY[HEADER.FIELDS.NOT (SUBJECT From)]", "BODY[HEADER.FIELDS.NOT (SUBJECT From)] {8}\r\nX: y\r\n\r\n"),
        ("BODY[HEADER.FIELDS (none)]", "BODY[HEADER.FIELDS (none)] {2}\r\n\r\n"),
    ]

    static let encoded = [
        "Content-Type: multipart/mixed; boundary=b", "", "--b", "Content-Type: text/plain; charset=utf-8", "Content-Transfer-Encoding: quoted-printable",
        "", "=C3=A9=", "t", "--b", "Content-Type: application/octet-stream", "Content-Transfer-Encoding: base64", "", "AQAC", "--b",
        "Content-Type: image/x", "Content-Transfer-Encoding: x-own", "", "zzz", "--b--", "",
    ]

    /// RFC 3516, RFC 9051 §6.4.5: parts without their transfer encoding.
    static let binarySections: [(String, String)] = [
        ("BINARY.PEEK[1]", "BINARY[1] {3}\r\nét"), ("BINARY.SIZE[1]", "BINARY.SIZE[1] 3"), ("BINARY[2]", "BINARY[2] ~{3}\r\n\u{1}\0\u{2}"),
        ("BINARY[2]<0.1>", "BINARY[2]<0> {1}\r\n\u{1}"), ("BINARY.SIZE[2]", "BINARY.SIZE[2] 3"), ("BINARY[3]", "BINARY[3] NIL"),
        ("BINARY[4]", "BINARY[4] NIL"), ("BINARY.SIZE[4]", "BINARY.SIZE[4] 0"), ("BODY.PEEK[2]", "BODY[2] {4}\r\nAQAC"),
    ]

    @Test("parts without their encoding", arguments: binarySections) func readBinary(items: String, expected: String) {
        #expect(item(items, of: Self.encoded) == expected)
    }

    @Test("BINARY sets \\Seen, its PEEK and SIZE don't; it has no sections but numbers") func binaryGrammar() {
        for (text, isSeen) in [("BINARY[1]", true), ("BINARY[]", true), ("BINARY.PEEK[1.2]<3.4>", false), ("BINARY.SIZE[1]", false)] {
            guard case .fetch(_, let items, _)? = command("FETCH 1 \(text)") else {
                Issue.record("\(text) is not read")
                continue
            }
            #expect(items.map(\.setsSeen) == [isSeen], "\(text)")
            #expect(items.map(\.need) == [.content], "\(text)")
        }
        for text in ["BINARY", "BINARY[HEADER]", "BINARY[1.MIME]", "BINARY[1", "BINARY.SIZE[1]<0.1>", "BINARY[0]", "BINARY[1.]"] {
            #expect(command("FETCH 1 \(text)") == nil, "\(text)")
        }
    }

    @Test("sections of a plain message", arguments: plainSections) func readPlain(items: String, expected: String) {
        #expect(item(items, of: Self.plain) == expected)
    }

    static let nested = [
        "Subject: outer", "Content-Type: multipart/mixed; boundary=X", "", "preamble", "--X", "", "first", "--X", "Content-Type: message/rfc822",
        "Content-Description: a letter", "", "Subject: inner", "Content-Type: multipart/alternative; boundary=Y", "", "--Y", "", "plain", "--Y",
        "Content-Type: text/html", "", "<p>", "--Y--", "--X", "Content-Type: message/rfc822", "", "Subject: third", "", "deep", "", "--X--", "epilogue", "",
    ]

    static let nestedSections: [(String, String)] = [
        ("BODY[HEADER]", "BODY[HEADER] {61}\r\nSubject: outer\r\nContent-Type: multipart/mixed; boundary=X\r\n\r\n"), ("BODY[1]", "BODY[1] {5}\r\nfirst"),
        ("BODY[1.MIME]", "BODY[1.MIME] {2}\r\n\r\n"),
        ("BODY[2.MIME]", "BODY[2.MIME] {63}\r\nContent-Type: message/rfc822\r\nContent-Description: a letter\r\n\r\n"),
        ("BODY[2.HEADER]", "BODY[2.HEADER] {67}\r\nSubject: inner\r\nContent-Type: multipart/alternative; boundary=Y\r\n\r\n"),
        ("BODY[2.TEXT]", "BODY[2.TEXT] {56}\r\n--Y\r\n\r\nplain\r\n--Y\r\nContent-Type: text/html\r\n\r\n<p>\r\n--Y--"),
        ("BODY[2.1]", "BODY[2.1] {5}\r\nplain"), ("BODY[2.2]", "BODY[2.2] {3}\r\n<p>"),
        ("BODY[2.2.MIME]", "BODY[2.2.MIME] {27}\r\nContent-Type: text/html\r\n\r\n"),
        ("BODY[2.HEADER.FIELDS (Subject)]", "BODY[2.HEADER.FIELDS (Subject)] {18}\r\nSubject: inner\r\n\r\n"),
        ("BODY[3]", "BODY[3] {24}\r\nSubject: third\r\n\r\ndeep\r\n"), ("BODY[3.1]", "BODY[3.1] {6}\r\ndeep\r\n"),
        ("BODY[3.TEXT]", "BODY[3.TEXT] {6}\r\ndeep\r\n"),
        ("BODY[3.HEADER]", "BODY[3.HEADER] {18}\r\nSubject: third\r\n\r\n"), ("BODY[2.3]", "BODY[2.3] NIL"), ("BODY[2.1.HEADER]", "BODY[2.1.HEADER] NIL"),
        ("BODY[4]", "BODY[4] NIL"), ("BODY[1.1]", "BODY[1.1] NIL"),
    ]

    @Test("sections of messages within a message", arguments: nestedSections) func readNested(items: String, expected: String) {
        #expect(item(items, of: Self.nested) == expected)
    }

    @Test("octets come out as they are stored") func octets() {
        let all = ByteBuffer(bytes: Array("A: b\n\n".utf8) + (0...255).map { UInt8($0) })
        guard case .fetch(_, let items, _)? = command("FETCH 1 (BODY[] BODY[TEXT])") else {
            Issue.record("not read")
            return
        }
        let message = IMAPMessage(sequenceNumber: 1, uid: 1, flags: [], internalDate: Date(timeIntervalSince1970: 0), size: 262, content: all)
        var out = ByteBuffer()
        message.writeFetch(items, includesUID: false, into: &out)
        let body = all.readableBytesView.dropFirst(6)
        let expected =
            Array("* 1 FETCH (BODY[] {262}\r\n".utf8) + Array(all.readableBytesView) + Array(" BODY[TEXT] {256}\r\n".utf8) + Array(body)
            + Array(")\r\n".utf8)
        #expect(Array(out.readableBytesView) == expected)
    }

    @Test("sections count from the first readable octet") func movedBuffer() {
        var octets = ByteBuffer(string: "passed over" + Self.plain.joined(separator: "\r\n"))
        octets.moveReaderIndex(forwardBy: 11)
        #expect(
            fetch("(BODY[1]<0.3> BODY[HEADER.FIELDS (X)])", of: octets) == "* 3 FETCH (BODY[1]<0> {3}\r\none BODY[HEADER.FIELDS (X)] {8}\r\nX: y\r\n\r\n)\r\n")
    }

    @Test("an empty message has an answer for every item") func empty() {
        #expect(
            item("(ENVELOPE BODY BODYSTRUCTURE BODY[] BODY[HEADER] BODY[1])", of: [""]) == "ENVELOPE (NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL) "
                + "BODY (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0) "
                + "BODYSTRUCTURE (\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 0 0 NIL NIL NIL NIL) BODY[] \"\" BODY[HEADER] \"\" BODY[1] \"\""
        )
    }
}

@Suite("ENVELOPE")
struct EnvelopeTests {
    static let bob = #"(("Bob" NIL "bob" "kartapuce.test"))"#

    static let envelopes: [([String], String)] = [
        (
            [
                "Date: Wed, 17 Jul 1996 02:23:25 -0700 (PDT)", "Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "  folded ", "From: Bob <bob@kartapuce.test>",
                "To: jack@gmail.test, \"Tom \\\"T\\\"\" <tom@gmail.test>", "Message-ID: <1@kartapuce.test>", "In-Reply-To: <0@gmail.test> (yours)",
            ],
            #"("Wed, 17 Jul 1996 02:23:25 -0700 (PDT)" "=?utf-8?q?Gr=C3=BC=C3=9Fe?=  folded" "#
                + "\(bob) \(bob) \(bob) "
                + #"((NIL NIL "jack" "gmail.test")("Tom \"T\"" NIL "tom" "gmail.test")) NIL NIL "<0@gmail.test> (yours)" "<1@kartapuce.test>")"#
        ),
        (
            ["Subject:", "From: Bob <bob@kartapuce.test>", "Sender: alice@kartapuce.test", "Reply-To: ", "Cc: , ", "Message-ID: "],
            #"(NIL "" \#(bob) ((NIL NIL "alice" "kartapuce.test")) \#(bob) NIL NIL NIL NIL "")"#
        ),
        (
            [
                "To: Friends: jack@gmail.test, Tom <tom@gmail.test>;, bob@kartapuce.test", "Cc: undisclosed-recipients:;",
                "Bcc: root, <@a.test,@b.test:mike@c.test>",
            ],
            #"(NIL NIL NIL NIL NIL ((NIL NIL "Friends" NIL)(NIL NIL "jack" "gmail.test")("Tom" NIL "tom" "gmail.test")(NIL NIL NIL NIL)"#
                + #"(NIL NIL "bob" "kartapuce.test")) ((NIL NIL "undisclosed-recipients" NIL)(NIL NIL NIL NIL)) "#
                + #"((NIL NIL "root" "")(NIL "@a.test,@b.test" "mike" "c.test")) NIL NIL)"#
        ),
        (["Subject: Grüße\u{0}x"], "(NIL {9}\r\nGrüße x NIL NIL NIL NIL NIL NIL NIL NIL)"),
        (["Subject: a \"quoted\" \\ one"], #"(NIL "a \"quoted\" \\ one" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        (["Subject: first", "Subject: second"], #"(NIL "first" NIL NIL NIL NIL NIL NIL NIL NIL)"#),
        (
            ["From: Bob <bob@kartapuce.test>, jack@gmail.test (Jack)"],
            #"(NIL NIL (("Bob" NIL "bob" "kartapuce.test")("Jack" NIL "jack" "gmail.test")) (("Bob" NIL "bob" "kartapuce.test")("Jack" NIL "jack" "gmail.test"))"#
                + #" (("Bob" NIL "bob" "kartapuce.test")("Jack" NIL "jack" "gmail.test")) NIL NIL NIL NIL NIL)"#
        ),
    ]

    @Test("is the header as it is written", arguments: envelopes) func envelope(header: [String], expected: String) {
        #expect(item("ENVELOPE", of: header + ["", "Subject: none"]) == "ENVELOPE " + expected)
    }

    @Test("a CR in a field makes a literal of it") func carriageReturn() {
        #expect(item("ENVELOPE", of: ["Subject: a\rb", "", ""]) == "ENVELOPE (NIL {3}\r\na\rb NIL NIL NIL NIL NIL NIL NIL NIL)")
    }
}

@Suite("BODYSTRUCTURE")
struct BodyStructureTests {
    static let text = #"("text" "plain" ("charset" "us-ascii") NIL NIL "7bit" "#
    static let none = "(NIL NIL NIL NIL NIL NIL NIL NIL NIL NIL)"

    static let structures: [([String], String, String)] = [
        (["A: b", "", "one", "two", "three"], text + "15 3)", text + "15 3 NIL NIL NIL NIL)"),
        (
            [
                "Content-Type: image/PNG; Name=\"a \\\"b\\\".png\"; x*0*=utf-8''%C3; x*1=y", "Content-ID: <7@kartapuce.test>",
                "Content-Description: a", "  picture", "Content-Transfer-Encoding: BASE64", "Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==",
                "Content-Disposition: ATTACHMENT; filename=a.png", "Content-Language: en, de-CH", "Content-Location: http://kartapuce.test/a", "", "AAAA",
            ],
            #"("image" "png" ("name" "a \"b\".png" "x*0*" "utf-8''%C3" "x*1" "y") "<7@kartapuce.test>" "a  picture" "base64" 4)"#,
            #"("image" "png" ("name" "a \"b\".png" "x*0*" "utf-8''%C3" "x*1" "y") "<7@kartapuce.test>" "a  picture" "base64" 4 "Q2hlY2sgSW50ZWdyaXR5IQ==" "#
                + #"("attachment" ("filename" "a.png")) ("en" "de-CH") "http://kartapuce.test/a")"#
        ),
        (
            [
                "Content-Type: multipart/Mixed; boundary=X", "Content-Language: en", "", "--X", "", "a", "--X", "Content-Type: text/html; charset=utf-8",
                "Content-Disposition: inline", "", "", "--X--", "",
            ],
            "(\(text)1 1)" + #"("text" "html" ("charset" "utf-8") NIL NIL "7bit" 0 0) "mixed")"#,
            "(\(text)1 1 NIL NIL NIL NIL)"
                + #"("text" "html" ("charset" "utf-8") NIL NIL "7bit" 0 0 NIL ("inline" NIL) NIL NIL) "mixed" ("boundary" "X") NIL ("en") NIL)"#
        ),
        (
            ["Content-Type: message/rfc822", "", "Subject: inner", "", "one", "two", ""],
            #"("message" "rfc822" NIL NIL NIL "7bit" 28 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) \#(text)10 2) 4)"#,
            #"("message" "rfc822" NIL NIL NIL "7bit" 28 (NIL "inner" NIL NIL NIL NIL NIL NIL NIL NIL) \#(text)10 2 NIL NIL NIL NIL) 4 NIL NIL NIL NIL)"#
        ),
        (
            ["Content-Type: multipart/digest; boundary=X", "", "--X", "", "A: b", "", "x", "--X--"],
            #"(("message" "rfc822" NIL NIL NIL "7bit" 9 \#(none) \#(text)1 1) 3) "digest")"#,
            #"(("message" "rfc822" NIL NIL NIL "7bit" 9 \#(none) \#(text)1 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL) "digest" ("boundary" "X") NIL NIL NIL)"#
        ),
        (
            ["Content-Type: message/global", "", "Subject: ü", "", "x"],
            #"("message" "global" NIL NIL NIL "7bit" 16 (NIL {2}"# + "\r\nü NIL NIL NIL NIL NIL NIL NIL NIL) \(text)1 1) 3)",
            #"("message" "global" NIL NIL NIL "7bit" 16 (NIL {2}"# + "\r\nü NIL NIL NIL NIL NIL NIL NIL NIL) \(text)1 1 NIL NIL NIL NIL) 3 NIL NIL NIL NIL)"
        ),
        // A multipart without parts cannot be written as one.
        (["Content-Type: multipart/mixed; boundary=X", "", "x"], text + "1 1)", text + "1 1 NIL NIL NIL NIL)"),
    ]

    @Test("is the tree of parts, with extension data or without", arguments: structures) func structure(lines: [String], body: String, extended: String) {
        #expect(item("BODY", of: lines) == "BODY " + body)
        #expect(item("BODYSTRUCTURE", of: lines) == "BODYSTRUCTURE " + extended)
    }

    @Test("of hostile messages is bounded") func bounded() {
        var lines: [String] = []
        for level in 0..<2000 { lines += ["Content-Type: multipart/mixed; boundary=b\(level)", "", "--b\(level)"] }
        #expect(item("BODYSTRUCTURE", of: lines).utf8.count < 20_000)
        lines = [String](repeating: "Content-Type: message/rfc822\r\n", count: 2000)
        #expect(item("BODYSTRUCTURE", of: lines).utf8.count < 20_000)
        lines = ["Content-Type: multipart/mixed; boundary=b", ""] + [String](repeating: "--b\r\n\r\nx", count: 20_000)
        let answer = item("BODYSTRUCTURE", of: lines)
        #expect(answer.utf8.count < 100_000)
        #expect(answer.filter { $0 == "(" }.count == answer.filter { $0 == ")" }.count)
    }
}
