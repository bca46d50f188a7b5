import Testing

@testable import Gateway

/// Whether the client of a message knows that we have it.
@Suite struct RepeatedMessagesTests {
    @Test func whoGoesOnHasSeenTheReply() {
        let messages = RepeatedMessages()
        messages.accepted("a", session: 1)
        #expect(!messages.wasAnswered("a"))
        messages.replyWasSeen(session: 1)
        #expect(messages.wasAnswered("a"))
    }

    @Test func whoVanishesMayNotHaveSeenIt() {
        let messages = RepeatedMessages()
        messages.accepted("a", session: 1)
        messages.connectionClosed(session: 1)
        messages.replyWasSeen(session: 1)
        #expect(!messages.wasAnswered("a"))
    }

    @Test func theSecondTimeCountsAnew() {
        let messages = RepeatedMessages()
        messages.accepted("a", session: 1)
        messages.replyWasSeen(session: 1)
        messages.accepted("a", session: 2)
        #expect(!messages.wasAnswered("a"))
    }

    @Test func theOldestIsForgotten() {
        let messages = RepeatedMessages(limit: 10)
        for number in 0..<100 {
            messages.accepted("\(number)", session: 1)
            messages.replyWasSeen(session: 1)
        }
        #expect(!messages.wasAnswered("0"))
        #expect(messages.wasAnswered("99"))
    }
}
