import Foundation
import MailMessage
import NIOCore
import Testing

@Suite("Header sections of RFC 5322 §2.2")
struct HeaderSectionTests {
    @Test("give fields, folds and places") func fields() {
        let text =
            "Received: from a\r\n\tby b; date\r\nSubject :  Hello\r\n  there \r\nX-Empty:\r\nreceived: two\r\n\r\nBody: none\r\n"
        let buffer = ByteBuffer(string: text)
        let header = HeaderSection(parsing: buffer)
        #expect(header.map(\.name) == ["Received", "Subject", "X-Empty", "received"])
        #expect(header.map(\.value) == ["from a\tby b; date", "Hello  there", "", "two"])
        #expect(header.count(named: "RECEIVED") == 2)
        #expect(header.first(named: "subject")?.isNamed("SUBJECT") == true)
        #expect(header.first(named: "Sub") == nil)
        #expect(header.deviations.isEmpty)
        #expect(String(buffer: header[0].rawField) == "Received: from a\r\n\tby b; date\r\n")
        #expect(String(buffer: header[1].rawValue) == "  Hello\r\n  there ")
        #expect(header.range == 0..<(text.utf8.count - "Body: none\r\n".utf8.count))
        #expect(header.fieldsRange.upperBound == header.range.upperBound - 2)
        #expect(
            String(buffer: header.octets(ofFieldsNamed: ["x-empty", "SUBJECT"]))
                == "Subject :  Hello\r\n  there \r\nX-Empty:\r\n\r\n"
        )
        #expect(
            String(buffer: header.octets(ofFieldsNotNamed: ["received"]))
                == "Subject :  Hello\r\n  there \r\nX-Empty:\r\n\r\n"
        )
        #expect(HeaderSection.countReceived(inPrefix: buffer) == 2)
    }

    @Test(
        "name what deviates",
        arguments: [
            ("A: b\nC: d\n\nx", 2, MessageDeviation.Code.bareLineFeed, 4),
            ("A: b\rc\r\n\r\n", 1, .bareCarriageReturn, 4),
            ("A: \u{0}\r\n\r\n", 1, .nulOctet, 3),
            ("A: é\r\n\r\n", 1, .eightBitHeader, 3),
            ("A: b\r\nno field\r\nC: d\r\n\r\n", 1, .malformedHeaderLine, 6),
            ("From bob Mon Nov 23\r\nA: b\r\n\r\n", 1, .mailboxFromLine, 0),
            (" A: b\r\nC: d\r\n\r\n", 1, .malformedHeaderLine, 0),
            ("A: b\r\nC: d", 2, .missingHeaderBodySeparator, 10),
            ("A: " + String(repeating: "x", count: 1000) + "\r\n\r\n", 1, .lineTooLong, 0),
        ]
    )
    func deviations(text: String, count: Int, code: MessageDeviation.Code, offset: Int) {
        let header = HeaderSection(parsing: ByteBuffer(string: text))
        #expect(header.count == count)
        #expect(header.deviations.contains(MessageDeviation(code, at: offset)), "\(header.deviations)")
    }

    @Test("keep their limits and still find the body") func limits() {
        let text = String(repeating: "A: b\r\n", count: 20) + "\r\nbody"
        let few = HeaderSection(parsing: ByteBuffer(string: text), limits: MessageLimits(headerFieldCount: 5))
        #expect(few.count == 5)
        #expect(few.range.upperBound == 122)
        #expect(few.deviations.contains { $0.code == .tooManyHeaderFields })
        let small = HeaderSection(parsing: ByteBuffer(string: text), limits: MessageLimits(headerSectionOctets: 30))
        #expect(small.count == 5)
        #expect(small.range.upperBound == 122)
        #expect(small.deviations.contains { $0.code == .headerSectionTooLarge })
    }

    @Test(
        "count Received fields",
        arguments: [
            ("", 0), ("Received: a\r\n", 1), ("RECEIVED : a\r\n b\r\nReceived-SPF: x\r\n received: no\r\nReceived:", 2),
            ("A: b\r\n\r\nReceived: in the body\r\n", 0), ("A: b\n\nReceived: in the body\n", 0),
        ]
    )
    func received(text: String, count: Int) {
        #expect(HeaderSection.countReceived(inPrefix: ByteBuffer(string: text)) == count)
    }
}

@Suite("Encoded-words of RFC 2047")
struct EncodedWordTests {
    @Test(
        "are decoded",
        arguments: [
            ("plain", "plain"),
            ("=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
            ("=?UTF-8?B?R3LDvMOfZQ==?=", "Grüße"),
            ("=?iso-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"),
            ("=?iso-8859-15?q?=A4?=", "€"),
            ("=?windows-1252?q?=80=93=94?=", "€“”"),
            ("=?us-ascii*en?q?hi?=", "hi"),
            ("a =?utf-8?q?b?= c", "a b c"),
            ("=?utf-8?q?a?= =?utf-8?q?b?=", "ab"),
            ("=?utf-8?q?a?= b =?utf-8?q?c?=", "a b c"),
            ("=?utf-8?b?4oI=?= =?utf-8?b?rA==?=", "€"),
            ("=?utf-8?q?a?=\t =?iso-8859-1?q?=E9?=", "aé"),
            ("=?koi8-r?q?=C1?=", "=?koi8-r?q?=C1?="),
            ("=?utf-8?x?a?=", "=?utf-8?x?a?="),
            ("=?utf-8?q?open", "=?utf-8?q?open"),
            ("=?=?utf-8?q?x?=", "=?x"),
            ("1 = 2 =? 3", "1 = 2 =? 3"),
            ("=?koi8-r?q?abc?=", "abc"),
            ("=?iso-2022-jp?q?abc?=", "=?iso-2022-jp?q?abc?="),
        ]
    )
    func decoding(written: String, text: String) { #expect(EncodedWord.decode(written) == text) }

    @Test("a field full of beginnings or of words costs what its length costs", .timeLimit(.minutes(1))) func hostile() {
        let beginnings = String(repeating: "=?a?q?x", count: 100_000)
        #expect(EncodedWord.decode(beginnings) == beginnings)
        #expect(EncodedWord.decode(String(repeating: "=?utf-8?q?x?= ", count: 50_000)).utf8.count == 50_001)
    }
}

@Suite("Dates of RFC 5322 §3.3")
struct MessageDateTests {
    @Test(
        "are read",
        arguments: [
            ("Mon, 23 Nov 2026 21:19:03 +0000", 1_795_468_743, 0, false),
            ("23 Nov 2026 21:19:03 +0000", 1_795_468_743, 0, false),
            ("Mon, 23 Nov 2026 22:19:03 +0100", 1_795_468_743, 3600, false),
            ("Mon, 23 Nov 2026 16:49 -0430", 1_795_468_740, -16_200, false),
            ("Thu, 1 Jan 1970 00:00:00 -0000", 0, 0, true),
            ("Thu, 1 Jan 70 00:00:00 GMT", 0, 0, false),
            ("1 Jan 00 00:00:00 GMT", 946_684_800, 0, false),
            ("1 Jan 100 00:00:00 GMT", 946_684_800, 0, false),
            ("Wed, 31 Dec 1969 19:00:00 EST", 0, -18_000, false),
            ("Thu, 01 Jan 1970 00:00:00 A", 0, 0, true),
            ("Thu, 01 Jan 1970 00:00:00", 0, 0, true),
            (" Thu,\t1 (comment (nested)) Jan 1970 00 : 00 : 00 +0000 (UTC)", 0, 0, false),
            ("29 Feb 2000 12:00:00 +0000", 951_825_600, 0, false),
            ("30 Jun 1997 23:59:60 +0000", 867_715_200, 0, false),
        ] as [(String, Int, Int, Bool)]
    )
    func reading(text: String, seconds: Int, offset: Int, unknown: Bool) throws {
        let date = try #require(MessageDate(parsing: text))
        #expect(Int(date.date.timeIntervalSince1970) == seconds)
        #expect(date.offsetSeconds == offset)
        #expect(date.isZoneUnknown == unknown)
    }

    @Test(
        "are refused",
        arguments: [
            "", "Mon", "Mon,", "32 Nov 2026 00:00:00 +0000", "29 Feb 2100 00:00:00 +0000", "1 Foo 2026 00:00:00 +0000",
            "1 Nov 2026 24:00:00 +0000", "1 Nov 2026 00:60:00 +0000", "1 Nov 2026 00:00:61 +0000",
            "0 Nov 2026 00:00:00 +0000",
            "99999999999999999999 Nov 2026", "1 Nov 99999 00:00:00", "((((", "1 Nov 2026",
        ]
    )
    func refusing(text: String) { #expect(MessageDate(parsing: text) == nil) }

    @Test("are written and read again", arguments: [0, 1_795_468_743, 951_825_600, -1, -2_208_988_800, 4_107_542_400])
    func writing(seconds: Int) throws {
        for offset in [0, 3600, -16_200, 50_400] {
            let date = MessageDate(Date(timeIntervalSince1970: Double(seconds)), offsetSeconds: offset)
            #expect(MessageDate(parsing: date.description) == date, "\(date)")
        }
    }

    @Test("are written as the RFC has them") func form() {
        #expect(
            MessageDate(Date(timeIntervalSince1970: 1_795_468_743)).description == "Mon, 23 Nov 2026 21:19:03 +0000"
        )
        #expect(
            MessageDate(Date(timeIntervalSince1970: 5), offsetSeconds: -3600).description
                == "Wed, 31 Dec 1969 23:00:05 -0100"
        )
        #expect(
            MessageDate(Date(timeIntervalSince1970: 0), isZoneUnknown: true).description
                == "Thu, 1 Jan 1970 00:00:00 -0000"
        )
        #expect(MessageDate(Date(timeIntervalSince1970: .infinity)).description.hasSuffix("9999 00:00:00 +0000"))
    }
}

@Suite("Address lists of RFC 5322 §3.4")
struct AddressListTests {
    @Test(
        "give names and addresses",
        arguments: [
            ("bob@kartapuce.test", ["|bob@kartapuce.test"], true),
            ("Bob Smith <bob@kartapuce.test>", ["Bob Smith|bob@kartapuce.test"], true),
            (
                "\"Smith, Bob\" <bob@kartapuce.test>, jack@kartapuce.test",
                ["Smith, Bob|bob@kartapuce.test", "|jack@kartapuce.test"], true
            ),
            ("bob@kartapuce.test (Bob Smith)", ["Bob Smith|bob@kartapuce.test"], true),
            ("=?utf-8?q?J=C3=B6rg?= <j@x.test>", ["Jörg|j@x.test"], true),
            ("Who? <one@y.test>", ["Who?|one@y.test"], true),
            ("Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", ["Pete|pete@silly.test"], true),
            ("Mary <@machine.tld:mary@example.test>", ["Mary|mary@example.test"], true),
            ("Mary <@a.test,@b.test:mary@example.test>", ["Mary|mary@example.test"], true),
            ("John Q. Public <jdoe @ example . test>", ["John Q. Public|jdoe@example.test"], true),
            ("\"bob smith\"@x.test", ["|\"bob smith\"@x.test"], true),
            ("jack@[192.0.2.1]", ["|jack@[192.0.2.1]"], true),
            ("A Group: Ed <e@a.test>, joe@b.test; , tom@c.test", ["Ed|e@a.test", "|joe@b.test", "|tom@c.test"], true),
            ("Undisclosed recipients:;", [], true),
            (",, bob@x.test ,,", ["|bob@x.test"], true),
            ("", [], true),
            ("bob@gmail.test <attacker@x.test>", ["bob@gmail.test|attacker@x.test"], false),
            ("<bob@x.test, jack@x.test", ["|bob@x.test", "|jack@x.test"], false),
            ("A: bob@x.test, jack@x.test", ["|bob@x.test", "|jack@x.test"], false),
            ("bob", ["|-"], false),
            ("Bob <>", ["Bob|-"], false),
            ("a@b@c.test", ["|\"a@b\"@c.test"], true),
            ("<bob@x.test> junk, jack@x.test", ["|bob@x.test", "|jack@x.test"], false),
        ] as [(String, [String], Bool)]
    )
    func reading(text: String, expected: [String], wellFormed: Bool) {
        let list = AddressList(parsing: text)
        #expect(list.mailboxes.map { "\($0.displayName ?? "")|\($0.address?.description ?? "-")" } == expected)
        if text != "a@b@c.test" { #expect(list.isWellFormed == wellFormed) }
    }

    @Test("keep groups, routes and written names") func details() {
        let list = AddressList(parsing: "Friends: =?utf-8?q?J=C3=B6rg?= <@a.test:j@x.test>;")
        guard case .group(let name, let members) = list.entries.first else {
            Issue.record("no group")
            return
        }
        #expect(name == "Friends")
        #expect(
            members == [
                HeaderMailbox(
                    writtenDisplayName: "=?utf-8?q?J=C3=B6rg?=",
                    route: "@a.test",
                    localPart: "j",
                    domain: "x.test"
                )
            ]
        )
    }

    @Test("end with hostile nesting and many commas") func hostile() {
        #expect(AddressList(parsing: String(repeating: "(", count: 200_000)).isEmpty)
        #expect(AddressList(parsing: String(repeating: "<", count: 50_000)).mailboxes.count <= 10_000)
        #expect(AddressList(parsing: String(repeating: "a@b.test,", count: 30_000)).mailboxes.count == 10_000)
        #expect(AddressList(parsing: String(repeating: "a:", count: 50_000)).mailboxes.isEmpty)
    }
}

@Suite("Message identifiers of RFC 5322 §3.6.4")
struct MessageIDTests {
    @Test(
        arguments: [
            ("<a@b>", ["<a@b>"]), ("<a@b> (c <d@e>)\t<f@g>", ["<a@b>", "<f@g>"]), ("\"x\" <a@b>", ["<a@b>"]),
            ("a@b", ["<a@b>"]),
            ("", []), ("<", []), ("<a <b@c>", ["<b@c>"]), ("a phrase from bob@x.test", []), ("<a\u{0}@\u{7f}b>", ["<a@b>"]), ("a@b>", []), ("a\u{0}@b", []),
        ] as [(String, [String])]
    )
    func reading(text: String, expected: [String]) {
        #expect(MessageIDList(parsing: Array(text.utf8)).identifiers == expected)
    }
}

@Suite("Parameters of RFC 2045 §5.1 and RFC 2231")
struct ParameterTests {
    @Test(
        "are decoded",
        arguments: [
            ("text/plain; charset=us-ascii (Plain text)", "charset", "us-ascii"),
            ("text/plain; CHARSET=\"us-ascii\"", "charset", "us-ascii"),
            ("a/b; name=\"a \\\"b\\\".txt\"", "name", "a \"b\".txt"),
            ("a/b; name*=utf-8''%e2%82%ac%20rates", "name", "€ rates"),
            ("a/b; name*=iso-8859-1'en'%A3", "name", "£"),
            ("a/b; name*0=\"one \"; name*1=two", "name", "one two"),
            ("a/b; name*1=two; name*0=one", "name", "onetwo"),
            ("a/b; name*0*=utf-8''%e2%82; name*1*=%ac; name*2=\" x\"", "name", "€ x"),
            ("a/b; name=plain; name*=utf-8''%C3%A9", "name", "é"),
            ("a/b; name==?utf-8?q?=C3=A9?=", "name", "é"),
            ("a/b; name=my file.txt ; x=y", "name", "my file.txt"),
            ("a/b;; name=x;", "name", "x"),
            ("a/b garbage; name=x", "name", "x"),
            ("a/b; name=\"open", "name", "open"),
            ("a/b; name*=utf-8''%zz%", "name", "%zz%"),
        ]
    )
    func decoding(text: String, name: String, value: String) throws {
        let type = try #require(ContentType(parsing: Array(text.utf8)))
        #expect(type.parameters[name] == value)
    }

    @Test("types are refused where they are none", arguments: ["", "text", "/plain", "text/", ";a=b", "(text/plain"])
    func refusing(text: String) { #expect(ContentType(parsing: Array(text.utf8)) == nil) }

    @Test("stay as they are written for IMAP") func written() {
        let disposition = ContentDisposition(parsing: Array("ATTACHMENT; FileName*0*=utf-8''a; filename*1=\"b\"".utf8))
        #expect(disposition?.type == "attachment")
        #expect(disposition?.filename == "ab")
        #expect(
            disposition?.parameters.written == [
                HeaderParameter(name: "filename*0*", value: "utf-8''a"),
                HeaderParameter(name: "filename*1", value: "b"),
            ]
        )
    }
}
