import MailMessage
import NIOCore
import SMTP
import Testing

@Suite struct ServerSmugglingTests {
    static let second = "MAIL FROM:<attacker@gmail.test>\r\nRCPT TO:<bob@kartapuce.test>\r\nDATA\r\nsmuggled\r\n.\r\n"

    @Test(arguments: ["\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r.\r\n", "\r\n\0.\r\n", "\r\n.\n", "\r\n.\r", "\r\r\n.\n", "\n..\r\n"])
    func onlyCRLFDotCRLFEndsData(sequence: String) {
        for tolerant in [false, true] {
            for size in [1, 2, 3, 7, Int.max] {
                var dialogue = ServerDialogue(allowsBareLineFeeds: tolerant)
                _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
                let replies = dialogue.send(Array("one\(sequence)\(Self.second)".utf8), inPiecesOf: size)
                #expect(replies.count == 1, "\(sequence.debugDescription) in pieces of \(size) got \(replies)")
                #expect(dialogue.messages.count <= 1)
                #expect(dialogue.messages.allSatisfy { $0.envelope.reversePath?.localPart == "a" })
            }
        }
    }

    @Test(arguments: ["a\nb", "a\rb", "a\r\r\nb", "\n", "\r"])
    func bareLineEndsAreRefused(text: String) {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.send("\(text)\r\n.\r\n").first?.hasPrefix("550 5.6.11") == true)
        #expect(dialogue.closed == nil)
        #expect(dialogue.messages.isEmpty)
    }

    @Test func toleratedLineFeedsBecomeLineEnds() {
        for size in [1, 2, 5, Int.max] {
            var dialogue = ServerDialogue(allowsBareLineFeeds: true)
            _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
            #expect(dialogue.send(Array("one\n\ntwo\n..three\n.four\r\nfive\r\n.\r\n".utf8), inPiecesOf: size) == ["250 2.0.0 Taken"])
            #expect(dialogue.messages.first?.content == "one\r\n\r\ntwo\r\n.three\r\n.four\r\nfive\r\n")
        }
    }

    @Test func toleranceDoesNotCoverCarriageReturns() {
        var dialogue = ServerDialogue(allowsBareLineFeeds: true)
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.send("a\rb\r\n.\r\n").first?.hasPrefix("550 5.6.11") == true)
    }

    @Test(arguments: ["NOOP\n", "NOOP\rNOOP\r\n", "NOOP\r\r\n", "NO\0OP\r\n"])
    func ambiguousCommandsEndTheSession(text: String) {
        var dialogue = ServerDialogue()
        #expect(dialogue.send(text + "NOOP\r\n").map { String($0.prefix(9)) } == ["500 5.5.2"])
        #expect(dialogue.closed == "ambiguous line ending")
    }

    /// An overlong line that ends in LF alone is as ambiguous as a short one.
    @Test func ambiguousEndsOfLongLinesEndTheSession() {
        for size in [1, 4096, 5000, Int.max] {
            for (end, expected) in [("\n", ["500 5.5.2"]), ("\r\n", ["500 5.5.2", "250 2.0.0"])] {
                var dialogue = ServerDialogue()
                let octets = Array((String(repeating: "x", count: 5000) + end + "NOOP\r\n").utf8)
                #expect(dialogue.send(octets, inPiecesOf: size).map { String($0.prefix(9)) } == expected)
                #expect(dialogue.closed == (expected.count == 1 ? "ambiguous line ending" : nil))
            }
        }
        var tolerant = ServerDialogue(allowsBareLineFeeds: true)
        #expect(tolerant.send(String(repeating: "x", count: 5000) + "\nNOOP\n").map { String($0.prefix(9)) } == ["500 5.5.2", "250 2.0.0"])
    }

    @Test func earlyTalkersAreRefused() {
        var dialogue = ServerDialogue(greets: false)
        #expect(dialogue.say("EHLO x.test").map { String($0.prefix(9)) } == ["554 5.5.0"])
        #expect(dialogue.closed == "spoke before the greeting")
        dialogue.session.greet(refusal: nil)
        #expect(dialogue.takeLines().isEmpty)
    }

    @Test func otherProtocolsAreRefused() {
        var http = ServerDialogue()
        #expect(http.send("POST / HTTP/1.1\r\nHost: x\r\n\r\nEHLO x.test\r\n").count == 1)
        #expect(http.closed == "not SMTP")
        var tls = ServerDialogue()
        #expect(tls.send([0x16, 0x03, 0x01]).count == 1)
        #expect(tls.closed == "TLS where SMTP was expected")
    }

    /// Every way to cut the input gives the same replies and messages.
    @Test func cutsMakeNoDifference() {
        let input =
            "EHLO x.test\r\nMAIL FROM:<a@x.test> BODY=8BITMIME\r\nRCPT TO:<b@x.test>\r\nDATA\r\n..a\r\n.b\r\n\r\n.\r\n"
            + "MAIL FROM:<c@x.test>\r\nRCPT TO:<d@x.test>\r\nBDAT 4\r\na\r\nbBDAT 2 LAST\r\n\r\nFOO\r\nDATA\r\n"
            + "MAIL FROM:<e@x.test>\r\nRCPT TO:<f@x.test>\r\nDATA\r\nx\ny\r\n.\r\n\(String(repeating: "z", count: 5000))\r\nNOOP\r\nQUIT\r\n"
        var whole = ServerDialogue()
        let expected = whole.send(input)
        #expect(whole.messages.map(\.content) == [".a\r\nb\r\n\r\n", "a\r\nb\r\n"])
        #expect(expected.last?.hasPrefix("221") == true)
        for size in 1...64 {
            var cut = ServerDialogue()
            #expect(cut.send(Array(input.utf8), inPiecesOf: size) == expected, "pieces of \(size)")
            #expect(cut.messages.map(\.content) == whole.messages.map(\.content))
        }
        for edge in 1..<input.utf8.count {
            var cut = ServerDialogue()
            let octets = Array(input.utf8)
            var replies = cut.send(Array(octets[..<edge]))
            replies += cut.send(Array(octets[edge...]))
            #expect(replies == expected, "cut at \(edge)")
        }
    }
}
