import MailMessage
import NIOCore
import Testing

@testable import SMTP

@Suite("Replies as the client reads them")
struct ClientReplyTests {
    static let readable: [(String, SMTPReply)] = [
        ("220 mx.gmail.test ESMTP\r\n", SMTPReply(220, nil, "mx.gmail.test ESMTP")),
        ("250 2.1.5 Ok\r\n", SMTPReply(250, EnhancedStatusCode(2, 1, 5), "Ok")),
        ("250\r\n", SMTPReply(250, nil, "")),
        ("250 \r\n", SMTPReply(250, nil, "")),
        ("250 2.0.0\r\n", SMTPReply(250, EnhancedStatusCode(2, 0, 0), "")),
        ("550 5.1.1 No such user\n", SMTPReply(550, EnhancedStatusCode(5, 1, 1), "No such user")),
        ("550-5.1.1 No\r\n550 5.1.1 such user\r\n", SMTPReply(550, EnhancedStatusCode(5, 1, 1), lines: ["No", "such user"])),
        ("550-No\r\n550 5.1.1 such\r\n", SMTPReply(550, nil, lines: ["No", "such"])),
        // The class must agree with the code (RFC 2034 §4), and the numbers have one to three digits (RFC 3463 §2).
        ("550 4.1.1 x\r\n", SMTPReply(550, nil, "4.1.1 x")),
        ("550 5.1 x\r\n", SMTPReply(550, nil, "5.1 x")),
        ("550 5.1234.1 x\r\n", SMTPReply(550, nil, "5.1234.1 x")),
        ("550 5.7.123x\r\n", SMTPReply(550, nil, "5.7.123x")),
        ("354 3.0.0 go\r\n", SMTPReply(354, nil, "3.0.0 go")),
        ("554 bell\u{7} and\ttab\r\n", SMTPReply(554, nil, "bell? and tab")),
    ]

    @Test("whole, and in every pair of pieces", arguments: readable)
    func reads(_ text: String, _ expected: SMTPReply) throws {
        let bytes = Array(text.utf8)
        for split in 0...bytes.count {
            var parser = SMTPReplyParser()
            parser.append(ByteBuffer(bytes: bytes[..<split]))
            let early = try parser.next()
            if split < bytes.count { #expect(early == nil, "split at \(split)") }
            parser.append(ByteBuffer(bytes: bytes[split...]))
            #expect(try early ?? parser.next() == expected, "split at \(split)")
            #expect(try parser.next() == nil)
            #expect(!parser.holdsOctets)
        }
    }

    @Test("octet by octet, several replies")
    func octets() throws {
        var parser = SMTPReplyParser()
        var replies: [SMTPReply] = []
        for byte in "250-2.1.0 a\r\n250 2.1.0 b\r\n550 5.1.0 c\r\n354 d\r\n".utf8 {
            parser.append(ByteBuffer(bytes: [byte]))
            while let reply = try parser.next() { replies.append(reply) }
        }
        #expect(replies.map(\.description) == ["250 2.1.0 a / b", "550 5.1.0 c", "354 d"])
    }

    static let broken: [(String, SMTPReplyError.Code)] = [
        ("hello\r\n", .noCode), ("25\r\n", .noCode), ("\r\n", .noCode), ("250x\r\n", .noCode), ("2500 x\r\n", .noCode),
        ("150 x\r\n", .noCode), ("650 x\r\n", .noCode), ("-50 x\r\n", .noCode), ("\u{663}50 x\r\n", .noCode),
        ("250-a\r\n251 b\r\n", .codesDiffer), ("250-a\r\n550 b\r\n", .codesDiffer),
        ("250 " + String(repeating: "x", count: 4096) + "\r\n", .lineTooLong),
        (String(repeating: "2", count: 5000), .lineTooLong),
        (String(repeating: "250-x\r\n", count: 201), .replyTooLong),
        (String(repeating: "250-" + String(repeating: "x", count: 4000) + "\r\n", count: 17), .replyTooLong),
    ]

    @Test("what is no reply", arguments: broken)
    func refuses(_ text: String, _ code: SMTPReplyError.Code) {
        var parser = SMTPReplyParser()
        parser.append(ByteBuffer(string: text))
        #expect(throws: SMTPReplyError(code)) { while try parser.next() != nil {} }
    }

    @Test("EHLO keywords in any case, with their parameters")
    func extensions() {
        let extensions = SMTPExtensions(ehloLines: [
            "mx.gmail.test PIPELINING", "Size 35882577", "8bitmime", "AUTH plain LOGIN scram-sha-256", "ENHANCEDSTATUSCODES",
            "CHUNKING", "BINARYMIME", "SMTPUTF8", "DSN", "STARTTLS", "REQUIRETLS", "XTRACE",
            "LIMITS RCPTMAX=20 MAILMAX=5 rcptdomainmax=1 OTHER=x", "X-NEW thing",
        ])
        #expect(!extensions.pipelining, "the first line is the server's name")
        #expect(extensions.size && extensions.sizeLimit == 35_882_577)
        #expect(extensions.eightBitMIME && extensions.chunking && extensions.binaryMIME && extensions.smtpUTF8 && extensions.dsn)
        #expect(extensions.startTLS && extensions.requireTLS && extensions.xtrace && extensions.enhancedStatusCodes)
        #expect(extensions.authenticationMechanisms == ["PLAIN", "LOGIN", "SCRAM-SHA-256"])
        #expect(extensions.recipientLimit == 20 && extensions.mailLimit == 5 && extensions.recipientDomainLimit == 1)
        #expect(extensions.keywords["X-NEW"] == "thing")
        #expect(SMTPExtensions(ehloLines: ["a", "SIZE 0"]).sizeLimit == nil, "RFC 1870 §4")
        #expect(SMTPExtensions(ehloLines: ["a", "SIZE"]).size)
    }

    @Test("What was read takes no memory, even where no piece ends with a line")
    func memory() throws {
        var parser = SMTPReplyParser()
        parser.append(ByteBuffer(string: "25"))
        for _ in 0..<20_000 {
            parser.append(ByteBuffer(string: "0 ok\r\n25"))
            #expect(try parser.next() != nil)
        }
        #expect(parser.octetsHeld < 64 * 1024)
    }
}
