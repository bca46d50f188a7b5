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
}
