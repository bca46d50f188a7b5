import FoundationEssentials
import NIOCore
import Testing

@testable import SMTP

/// Replies of real servers, kept by another project's tests.
@Suite(
    "Client: transcripts of real servers",
    .enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct ClientTranscriptTests {
    private func transcript(_ name: String) throws -> String {
        let folder = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let data = try Data(contentsOf: URL(filePath: "\(folder)/smtp/mailkit-transcripts/\(name)"))
        return String(decoding: data, as: UTF8.self)
    }

    private func names() throws -> [String] {
        let folder = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        return try FileManager.default.contentsOfDirectory(atPath: "\(folder)/smtp/mailkit-transcripts").filter { $0.hasSuffix(".txt") }
    }

    @Test("every transcript, in every pair of pieces, gives the same replies")
    func all() throws {
        let names = try names()
        #expect(names.count == 36)
        for name in names {
            let bytes = Array(try transcript(name).utf8)
            var whole = SMTPReplyParser()
            whole.append(ByteBuffer(bytes: bytes))
            var expected: [SMTPReply] = []
            while let reply = try whole.next() { expected.append(reply) }
            #expect(!expected.isEmpty, "\(name)")
            #expect(!whole.holdsOctets, "\(name)")
            // The code that the file's lines begin with.
            #expect(expected.map { "\($0.code)" }.allSatisfy { code in String(decoding: bytes, as: UTF8.self).contains(code) })
            for split in bytes.indices {
                var parser = SMTPReplyParser()
                var replies: [SMTPReply] = []
                for part in [bytes[..<split], bytes[split...]] {
                    parser.append(ByteBuffer(bytes: part))
                    while let reply = try parser.next() { replies.append(reply) }
                }
                #expect(replies == expected, "\(name) split at \(split)")
            }
        }
    }

    @Test("what the EHLO replies offer")
    func ehlo() throws {
        for (suffix, check) in [
            ("", { $0.eightBitMIME && $0.startTLS && $0.sizeLimit == 36_700_160 && $0.authenticationMechanisms == ["LOGIN", "PLAIN"] }),
            ("+binarymime", { $0.binaryMIME && $0.chunking }), ("+digest-md5", { $0.authenticationMechanisms.contains("DIGEST-MD5") }),
            ("+dsn", { $0.dsn && $0.pipelining }), ("+pipelining", { $0.pipelining && !$0.dsn }), ("+requiretls", { $0.requireTLS }),
            ("+smtputf8", { $0.smtpUTF8 }), ("+x-exps", { $0.keywords["X-EXPS"] == "LOGIN PLAIN" }),
        ] as [(String, (SMTPExtensions) -> Bool)] {
            var dialogue = ClientDialogue()
            _ = dialogue.connect()
            _ = dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("comcast-greeting.txt")), at: .zero))
            let text = try transcript("comcast-ehlo\(suffix).txt")
            #expect(dialogue.run(dialogue.session.received(ByteBuffer(string: text), at: .zero)) == ["(ready)"])
            #expect(check(dialogue.session.extensions), "\(suffix)")
        }
    }

    @Test("a whole message against the recorded replies")
    func message() throws {
        var dialogue = ClientDialogue {
            $0.hasImplicitTLS = true
            $0.credentials = SMTPCredentials(username: "bob", password: "secret")
        }
        _ = dialogue.connect()
        for name in ["comcast-greeting", "comcast-ehlo", "comcast-auth-plain"] {
            _ = dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("\(name).txt")), at: .zero))
        }
        #expect(dialogue.start(to: ["tom@gmail.test"]).first == "MAIL FROM:<bob@kartapuce.test> SIZE=22")
        for name in ["comcast-mail-from", "comcast-rcpt-to", "comcast-data", "comcast-data-done"] {
            _ = dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("\(name).txt")), at: .zero))
        }
        #expect(dialogue.answers == ["250"])
        _ = dialogue.run(dialogue.session.quit(at: .zero))
        #expect(dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("comcast-quit.txt")), at: .zero)) == ["(close)"])
    }

    @Test("servers that refuse to begin")
    func refusals() throws {
        var dialogue = ClientDialogue()
        _ = dialogue.connect()
        _ = dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("greeting-not-ready.txt")), at: .zero))
        #expect(dialogue.failures.first?.stage == .greeting)
        dialogue = ClientDialogue()
        _ = dialogue.connect()
        _ = dialogue.server("220 hi")
        #expect(
            dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("ehlo-failed.txt")), at: .zero))
                == ["HELO smtp.kartapuce.test"])
        #expect(dialogue.run(dialogue.session.received(ByteBuffer(string: try transcript("helo.txt")), at: .zero)) == ["(ready)"])
    }
}
