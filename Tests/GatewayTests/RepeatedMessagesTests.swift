import MailMessage
import Testing

@testable import Gateway

/// Whether the client of a message knows that we have it.
@Suite struct RepeatedMessagesTests {
    private let trace = TraceID.random()
    private let a: [UInt8] = [1]

    @Test func whoGoesOnHasSeenTheReply() {
        let messages = RepeatedMessages()
        messages.accepted(a, trace: trace, session: 1)
        #expect(messages.trace(of: a) == trace)
        messages.replyWasSeen(session: 1)
        #expect(messages.trace(of: a) == nil)
    }

    @Test func whoVanishesMayNotHaveSeenIt() {
        let messages = RepeatedMessages()
        messages.accepted(a, trace: trace, session: 1)
        messages.connectionClosed(session: 1)
        messages.replyWasSeen(session: 1)
        #expect(messages.trace(of: a) == trace)
    }

    @Test func theSecondTimeCountsAnew() {
        let messages = RepeatedMessages()
        messages.accepted(a, trace: .random(), session: 1)
        messages.replyWasSeen(session: 1)
        messages.accepted(a, trace: trace, session: 2)
        #expect(messages.trace(of: a) == trace)
    }

    @Test func theOldestIsForgotten() {
        let messages = RepeatedMessages(limit: 10)
        for number in 0..<100 {
            messages.accepted([UInt8(number)], trace: trace, session: 1)
            messages.connectionClosed(session: 1)
        }
        #expect(messages.trace(of: [0]) == nil)
        #expect(messages.trace(of: [99]) == trace)
    }

    @Test func anEarlierProcessMayHaveBeenCutOff() {
        let messages = RepeatedMessages(earlier: [(a, trace), (a, .random()), ([2], .random())])
        #expect(messages.trace(of: a) == trace)
        messages.accepted(a, trace: trace, session: 1)
        messages.replyWasSeen(session: 1)
        #expect(messages.trace(of: a) == nil)
        #expect(messages.trace(of: [2]) != nil)
    }
}
