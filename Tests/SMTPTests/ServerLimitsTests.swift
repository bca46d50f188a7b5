import MailMessage
import NIOCore
import Testing

@testable import SMTP

@Suite struct ServerLimitsTests {
    private func configuration(_ change: (inout SMTPServerLimits) -> Void) -> SMTPServerConfiguration {
        var limits = SMTPServerLimits()
        change(&limits)
        return SMTPServerConfiguration(hostname: "mail.kartapuce.test", limits: limits)
    }

    @Test func recipientsBeyondTheLimitAreDeferred() {
        var dialogue = ServerDialogue(configuration { $0.recipients = 1000 })
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>")
        let replies = dialogue.send((0..<1500).map { "RCPT TO:<u\($0)@kartapuce.test>\r\n" }.joined())
        #expect(replies.count == 1500)
        #expect(replies[..<1000].allSatisfy { $0.hasPrefix("250 2.1.5") })
        #expect(replies[1000...].allSatisfy { $0.hasPrefix("452 4.5.3") })
        #expect(dialogue.say("DATA", "x", ".").last == "250 2.0.0 Taken")
        #expect(dialogue.messages.first?.envelope.recipients.count == 1000)
    }

    @Test func recipientsWithoutEndEndTheSession() {
        var dialogue = ServerDialogue(
            configuration {
                $0.recipients = 2
                $0.surplusRecipients = 3
            })
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>")
        let replies = dialogue.send((0..<10).map { "RCPT TO:<u\($0)@kartapuce.test>\r\n" }.joined())
        #expect(
            replies.map { String($0.prefix(9)) } == ["250 2.1.5", "250 2.1.5", "452 4.5.3", "452 4.5.3", "452 4.5.3", "421 4.7.0"])
        #expect(dialogue.closed?.hasPrefix("421") == true)
    }

    /// Pieces that never end where a line ends must not pile up what was read already.
    @Test func whatWasReadIsLetGo() {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        let piece = Array("\n".utf8) + [UInt8](repeating: UInt8(ascii: "x"), count: 1000) + Array("\r".utf8)
        _ = dialogue.send(Array("x\r".utf8))
        var most = 0
        for _ in 0..<2000 {
            _ = dialogue.send(piece)
            most = max(most, dialogue.session.octetsHeld)
        }
        #expect(most <= 4096)
        #expect(dialogue.send("\n.\r\n") == ["250 2.0.0 Taken"])
    }

    @Test func errorsEndTheSession() {
        var dialogue = ServerDialogue(configuration { $0.errors = 3 })
        #expect(dialogue.say("A", "B", "C", "D").map { String($0.prefix(9)) } == ["500 5.5.1", "500 5.5.1", "500 5.5.1", "421 4.7.0"])
        #expect(dialogue.closed?.hasPrefix("421") == true)
    }

    @Test func idleCommandsEndTheSession() {
        var dialogue = ServerDialogue(configuration { $0.idleCommands = 10 })
        let replies = dialogue.send(String(repeating: "NOOP\r\n", count: 50))
        #expect(replies.count == 12)
        #expect(replies.last?.hasPrefix("421 4.7.0") == true)
    }

    @Test func aLongLineIsRefusedAndTheSessionGoesOn() {
        var dialogue = ServerDialogue()
        #expect(dialogue.say(String(repeating: "x", count: 10_000), "NOOP").map { String($0.prefix(9)) } == ["500 5.5.2", "250 2.0.0"])
        #expect(dialogue.closed == nil)
    }

    @Test func aVeryLongLineEndsTheSession() {
        var dialogue = ServerDialogue()
        let replies = dialogue.send([UInt8](repeating: UInt8(ascii: "x"), count: 10 << 20), inPiecesOf: 65_536)
        #expect(replies.map { String($0.prefix(9)) } == ["500 5.5.2"])
        #expect(dialogue.closed == "line too long")
    }

    @Test func commandLinesUpToTheLimitAreTaken() {
        var dialogue = ServerDialogue(configuration { $0.commandLineLength = 512 })
        #expect(dialogue.say("NOOP " + String(repeating: "x", count: 505)).first?.hasPrefix("250") == true)
        #expect(dialogue.say("NOOP " + String(repeating: "x", count: 506)).first?.hasPrefix("500 5.5.2") == true)
    }

    @Test func aLargeMessageIsReadAndRefused() {
        var dialogue = ServerDialogue(configuration { $0.messageSize = 1000 })
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.send(String(repeating: "xxxxxxxx\r\n", count: 150) + ".\r\n").first?.hasPrefix("552 5.3.4") == true)
        #expect(dialogue.closed == nil)
        #expect(dialogue.messages.isEmpty)
        #expect(dialogue.abandoned.count == 1)
    }

    @Test func aMuchTooLargeMessageEndsTheSession() {
        var dialogue = ServerDialogue(configuration { $0.messageSize = 1000 })
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.send(Array(String(repeating: "xxxxxxxx\r\n", count: 5000).utf8), inPiecesOf: 100).first?.hasPrefix("552 5.3.4") == true)
        #expect(dialogue.closed == "message too large")
        var chunks = ServerDialogue(configuration { $0.messageSize = 1000 })
        _ = chunks.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>")
        #expect(chunks.say("BDAT 999999999999999999").first?.hasPrefix("552 5.3.4") == true)
        #expect(chunks.closed == "chunk too large")
    }

    @Test func longTextLinesAreRefused() {
        var dialogue = ServerDialogue(configuration { $0.textLineLength = 998 })
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.say(String(repeating: "x", count: 999), ".").first?.hasPrefix("554 5.6.0") == true)
        _ = dialogue.say("MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
        #expect(dialogue.say(String(repeating: "x", count: 998), ".") == ["250 2.0.0 Taken"])
    }

    @Test func shortMemoryDefersMessages() {
        var dialogue = ServerDialogue()
        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>")
        dialogue.session.refusesMessages = true
        #expect(dialogue.say("DATA").first?.hasPrefix("452 4.3.1") == true)
        #expect(dialogue.say("MAIL FROM:<a@x.test>").first?.hasPrefix("452 4.3.1") == true)
        dialogue.session.refusesMessages = false
        #expect(dialogue.say("MAIL FROM:<a@x.test>").first?.hasPrefix("250") == true)
    }

    @Test func repliesCannotBeSplit() {
        var buffer = ByteBuffer()
        SMTPReply(550, EnhancedStatusCode(5, 7, 1), "no\r\n250 yes \u{e9}").write(into: &buffer)
        #expect(String(buffer: buffer) == "550 5.7.1 no  250 yes ??\r\n")
        buffer.clear()
        SMTPReply(250, nil, String(repeating: "word ", count: 400)).write(into: &buffer)
        let lines = String(buffer: buffer).components(separatedByCRLF: ()).dropLast()
        #expect(lines.count > 1)
        #expect(lines.allSatisfy { $0.utf8.count + 2 <= 512 })
        #expect(lines.dropLast().allSatisfy { $0.hasPrefix("250-") })
        #expect(lines.last?.hasPrefix("250 ") == true)
        buffer.clear()
        SMTPReply(99, nil, "x").write(into: &buffer)
        #expect(String(buffer: buffer).hasPrefix("451 4.3.0"))
    }
}
