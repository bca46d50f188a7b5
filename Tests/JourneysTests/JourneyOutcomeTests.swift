import FoundationEssentials
import Journeys
import MailMessage
import SMTP
import Testing

@Suite("Where a message is now")
struct JourneyOutcomeTests {
    private static let bob = "bob@kartapuce.test"
    private static let ok = SampleJourney.ok
    private static let refusal = SMTPReply(550, EnhancedStatusCode(5, 1, 1), "No such user")
    private static let later = SMTPReply(451, EnhancedStatusCode(4, 4, 1), "Later")

    private static func at(_ offset: Double, _ host: String, _ operation: JourneyEvent.Operation) -> JourneyEvent {
        SampleJourney.event(offset, host, "mx", operation)
    }
    private static func attempt(_ offset: Double, _ result: String, _ reply: SMTPReply, next: Double? = nil) -> JourneyEvent {
        at(
            offset, "mail",
            .attempted(
                .init(
                    queueID: "1", recipient: bob, destination: "link:store", host: "imap.kartapuce.test", address: "127.0.0.1",
                    result: result, reply: reply, isLocal: false, attempt: 2,
                    nextAttempt: next.map { Date(timeIntervalSince1970: SampleJourney.start + $0) }, failures: [])))
    }
    private static func rcpt(_ offset: Double, _ reply: SMTPReply, to address: String = bob) -> JourneyEvent {
        at(offset, "mail", .exchanged(.init(peer: "p", outbound: false, command: "RCPT TO:<\(address)>", reply: reply)))
    }
    private static func commit(_ offset: Double, _ host: String = "mail", _ queueID: String = "1") -> JourneyEvent {
        at(offset, host, .committed(.init(queueID: queueID, byteCount: 1, recipients: [bob])))
    }
    private static func queued(_ offset: Double, _ action: String) -> JourneyEvent {
        at(offset, "mail", .queued(.init(action: action, queueID: "1", reason: "because")))
    }
    private static func delivered(_ offset: Double) -> JourneyEvent {
        at(offset, "imap", .delivered(.init(recipient: bob, user: bob, mailbox: "INBOX", uid: 7, uidValidity: 9, isDuplicate: false)))
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var events: [JourneyEvent]
        var state: JourneyOutcome.State
        var words: [String]
        var testDescription: String { name }
        init(_ name: String, _ events: [JourneyEvent], _ state: JourneyOutcome.State, _ words: [String]) {
            self.name = name
            self.events = events
            self.state = state
            self.words = words
        }
    }
    private static let cases: [Case] = [
        .init("refused at RCPT", [rcpt(0, refusal)], .refused, ["mail at RCPT", "550 5.1.1 No such user"]),
        .init("nothing after RCPT", [rcpt(0, ok)], .accepted, ["no evidence of more"]),
        .init("lost connection", [rcpt(0, ok), at(1, "mail", .abandoned(.init(reason: "reset")))], .abandoned, ["never taken over", "reset"]),
        .init("in the queue", [rcpt(0, ok), commit(1)], .waiting, ["queue (1)"]),
        .init(
            "deferred", [commit(1), attempt(2, "deferred", later, next: 60)], .waiting,
            ["2026-11-23T21:14:05.000Z", "451 4.4.1 Later", "attempt 2"]),
        .init(
            "given up and told",
            [
                commit(1), attempt(2, "failed", refusal),
                at(
                    3, "mail",
                    .notified(.init(kind: "failure", recipient: bob, notified: "tom@gmail.test", notificationTrace: nil, reason: ""))),
            ], .failed, ["550 5.1.1", "tom@gmail.test was told (failure)"]),
        .init(
            "delivered, although the sending host's clock says later", [commit(1), delivered(2), attempt(3, "delivered", ok)], .delivered,
            ["INBOX", "UID 7"]),
        .init(
            "delivered after deferrals", [commit(1), attempt(2, "deferred", later), attempt(3, "delivered", ok), delivered(2.9)], .delivered,
            ["imap"]),
        .init("waits at the next host", [commit(1), attempt(2, "delivered", ok), commit(1.9, "imap", "5")], .waiting, ["imap", "(5)"]),
        .init("held", [commit(1), queued(2, "held")], .held, ["because"]),
        .init("released", [commit(1), queued(2, "held"), queued(3, "released")], .waiting, ["released"]),
        .init("deleted", [commit(1), queued(2, "deleted")], .deleted, ["because"]),
        .init("expired", [commit(1), queued(2, "expired")], .failed, ["expired"]),
        .init(
            "a command comes too late", [commit(1), attempt(2, "delivered", ok), queued(3, "deleted")], .handedOver, ["250"]),
        .init(
            "refused after DATA",
            [rcpt(0, ok), at(1, "mail", .decided(.init(recipient: nil, verdict: "reject", reason: "virus", reply: refusal)))], .refused,
            ["virus", "550"]),
    ]

    @Test("The outcome follows from the evidence of all hosts, in whatever order it comes", arguments: cases)
    func outcome(_ item: Case) throws {
        for events in [item.events, item.events.reversed()] {
            let outcomes = JourneyOutcome.outcomes(of: events)
            let outcome = try #require(outcomes.first)
            #expect(outcomes.count == 1)
            #expect(outcome.state == item.state, "\(outcome.explanation)")
            for word in item.words { #expect(outcome.explanation.contains(word)) }
        }
    }

    @Test("Two recipients have two outcomes, in the order of the envelope")
    func twoRecipients() {
        let outcomes = JourneyOutcome.outcomes(of: [
            Self.rcpt(0, Self.refusal, to: "nobody@kartapuce.test"), Self.rcpt(1, Self.ok), Self.commit(2), Self.delivered(3),
        ])
        #expect(outcomes.map(\.recipient) == ["nobody@kartapuce.test", Self.bob])
        #expect(outcomes.map(\.state) == [.refused, .delivered])
    }
}
