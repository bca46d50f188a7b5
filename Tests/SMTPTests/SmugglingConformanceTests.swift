import Foundation
import MailMessage
import Testing

/// Runs the forms of end-of-data that others have collected, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct SmugglingConformanceTests {
    private struct Forms: Decodable {
        let inbound_must_not_end_data: [String]
        let outbound_must_not_emit: [String]
    }

    @Test func noFormEndsData() throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let file = URL(fileURLWithPath: suites).appendingPathComponent("smtp/smuggling/eod-sequences.json")
        let forms = try JSONDecoder().decode(Forms.self, from: Data(contentsOf: file))
        #expect(!forms.inbound_must_not_end_data.isEmpty)
        for form in forms.inbound_must_not_end_data + forms.outbound_must_not_emit {
            for pipelined in [true, false] {
                for size in [1, 3, Int.max] {
                    var dialogue = ServerDialogue()
                    if pipelined {
                        _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA")
                    } else {
                        for line in ["EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>", "DATA"] { _ = dialogue.say(line) }
                    }
                    _ = dialogue.send(Array("one\(form)\(ServerSmugglingTests.second)".utf8), inPiecesOf: size)
                    #expect(!dialogue.messages.contains { $0.envelope.reversePath?.localPart == "attacker" }, "\(form.debugDescription)")
                }
            }
        }
    }

    /// In chunks the same forms are octets of a message, which are refused for their line ends and never read as commands.
    @Test func noFormEndsAChunk() throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let file = URL(fileURLWithPath: suites).appendingPathComponent("smtp/smuggling/eod-sequences.json")
        let forms = try JSONDecoder().decode(Forms.self, from: Data(contentsOf: file))
        for form in forms.inbound_must_not_end_data + forms.outbound_must_not_emit {
            let text = "one\(form)\(ServerSmugglingTests.second)"
            for size in [1, 3, Int.max] {
                var dialogue = ServerDialogue()
                _ = dialogue.say("EHLO x.test", "MAIL FROM:<a@x.test>", "RCPT TO:<b@x.test>")
                let replies = dialogue.send(Array("BDAT \(text.utf8.count) LAST\r\n\(text)NOOP\r\n".utf8), inPiecesOf: size)
                #expect(replies.count == 2 && replies.last == "250 2.0.0 OK", "\(form.debugDescription)")
                #expect(dialogue.messages.allSatisfy { $0.envelope.reversePath?.localPart == "a" && $0.content == text }, "\(form.debugDescription)")
            }
        }
    }
}
