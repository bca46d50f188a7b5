import DNS
import MailMessage
import NIOCore
import Testing

@testable import Milter

@Suite struct MilterVerdictTests {
    private static let all = MilterConfiguration(actions: .known(inVersion: 6))

    /// A session that waits for the verdict about a message.
    private func complete(_ configuration: MilterConfiguration = Self.all, offer: MilterNegotiation = MilterClient.fullOffer) -> Dialogue {
        var dialogue = Dialogue.negotiated(configuration, offer: offer)
        dialogue.say(.client, .bob, .jack, .field("A", " b"), .endOfHeader, .endOfMessage(ByteBuffer()))
        return dialogue
    }

    @Test(
        arguments: [
            (.continue, [.continue]), (.accept, [.accept]), (.reject, [.reject]), (.tempFail, [.tempFail]), (.discard, [.discard]),
            (.reply(.messageTooLarge), [.replyCode("552 5.3.4 The message is too large for the filter")]),
            (.quarantine(reason: "odd"), [.quarantine("odd"), .continue]),
        ] as [(MilterVerdict.Decision, [MilterResponse])])
    func decisionsAreSaid(decision: MilterVerdict.Decision, expected: [MilterResponse]) throws {
        var dialogue = complete()
        #expect(try responses(in: dialogue.answer(MilterVerdict(decision))) == expected)
    }

    @Test func changesComeBeforeTheDecisionInTheirOrder() throws {
        var dialogue = complete()
        let alice = EmailAddress(localPart: "alice", domain: "kartapuce.test")
        let changes: [MilterChange] = [
            .insertHeader(index: 1, name: "Authentication-Results", value: ByteBuffer(string: " mx.kartapuce.test;\r\n\tspf=pass")),
            .addHeader(name: "X-A", value: ByteBuffer(string: " 1")), .changeHeader(name: "Subject", occurrence: 2, value: ByteBuffer(string: " new")),
            .deleteHeader(name: "X-B", occurrence: 1), .addRecipient(alice), .addRecipient(alice, parameters: ["NOTIFY=NEVER"]),
            .deleteRecipient(MilterPath("<jack@gmail.test>")), .changeSender(nil), .replaceBody(ByteBuffer(repeating: 0x61, count: 70_000)),
        ]
        let actions = dialogue.answer(MilterVerdict(.accept, changes: changes))
        func octets(_ text: String) -> ByteBuffer { ByteBuffer(string: text) }
        #expect(
            try responses(in: actions) == [
                .insertHeader(index: 1, name: octets("Authentication-Results"), value: octets(" mx.kartapuce.test;\n\tspf=pass")),
                .addHeader(name: octets("X-A"), value: octets(" 1")), .changeHeader(index: 2, name: octets("Subject"), value: octets(" new")),
                .changeHeader(index: 1, name: octets("X-B"), value: octets("")), .addRecipient("<alice@kartapuce.test>"),
                .addRecipientWithParameters("<alice@kartapuce.test>", "NOTIFY=NEVER"), .deleteRecipient("<jack@gmail.test>"),
                .changeSender("<>", parameters: nil), .replaceBody(ByteBuffer(repeating: 0x61, count: 65_535)),
                .replaceBody(ByteBuffer(repeating: 0x61, count: 4_465)), .accept,
            ])
        #expect(events(in: actions).isEmpty)
    }

    @Test func whatWasntNegotiatedIsRefusedAndTold() throws {
        var dialogue = complete(offer: MilterNegotiation(version: 6, actions: [.addHeaders], steps: .known(inVersion: 6)))
        let kept = MilterChange.addHeader(name: "X-A", value: ByteBuffer(string: " 1"))
        let refused: [MilterChange] = [.deleteHeader(name: "X-B", occurrence: 1), .changeSender(nil), .replaceBody(ByteBuffer())]
        let actions = dialogue.answer(MilterVerdict(.continue, changes: refused + [kept]))
        #expect(try responses(in: actions) == [.addHeader(name: ByteBuffer(string: "X-A"), value: ByteBuffer(string: " 1")), .continue])
        #expect(events(in: actions) == [.changesRefused(refused)])
    }

    @Test(arguments: ["1\r\nBcc: tom@kartapuce.test", "1\n", "1\r\n", "1\r2", "1\u{0}2", "1\n\n 2"])
    func aFieldNeverBreaksTheHeader(value: String) throws {
        var dialogue = complete()
        let change = MilterChange.insertHeader(index: 0, name: "X-A", value: ByteBuffer(string: value))
        let actions = dialogue.answer(MilterVerdict(.accept, changes: [change]))
        #expect(try responses(in: actions) == [.accept])
        #expect(events(in: actions) == [.changesRefused([change])])
    }

    @Test(arguments: ["", "X A", "X:A", "X\r\nB", "X\u{0}"]) func aNameNeverBreaksTheHeader(name: String) throws {
        var dialogue = complete()
        let change = MilterChange.addHeader(name: name, value: ByteBuffer(string: " 1"))
        #expect(try responses(in: dialogue.answer(MilterVerdict(.accept, changes: [change]))) == [.accept])
    }

    @Test func anOldMTAWritesTheFirstBlankItself() throws {
        var dialogue = complete(offer: MilterNegotiation(version: 2, actions: .known(inVersion: 2), steps: []))
        let actions = dialogue.answer(MilterVerdict(.accept, changes: [.addHeader(name: "X-A", value: ByteBuffer(string: " 1"))]))
        #expect(try responses(in: actions) == [.addHeader(name: ByteBuffer(string: "X-A"), value: ByteBuffer(string: "1")), .accept])
    }

    @Test func aMessageIsNeverLetThroughInsteadOfPutAside() throws {
        var dialogue = complete(MilterConfiguration(actions: [.addHeaders]))
        #expect(try responses(in: dialogue.answer(MilterVerdict(.quarantine(reason: "odd")))) == [.tempFail])
    }

    @Test func changesToARefusedMessageAreNotSaid() throws {
        var dialogue = complete()
        let change = MilterChange.addHeader(name: "X-A", value: ByteBuffer(string: " 1"))
        #expect(try responses(in: dialogue.answer(MilterVerdict(.reject, changes: [change]))) == [.reject])
    }

    @Test func progressIsSaidWhileTheVerdictIsAwaited() throws {
        var dialogue = complete()
        dialogue.session.progress()
        #expect(try responses(in: dialogue.drain()) == [.progress])
        _ = dialogue.answer(MilterVerdict(.accept))
        dialogue.session.progress()
        #expect(dialogue.drain().isEmpty)
    }

    @Test func fieldsAreTakenAsTheyStandInAMessage() {
        #expect(
            MilterChange.insertField(ByteBuffer(string: "A: b\r\n\tc\r\n"), at: 1)
                == .insertHeader(index: 1, name: "A", value: ByteBuffer(string: " b\r\n\tc")))
        #expect(MilterChange.addField(ByteBuffer(string: "A:")) == .addHeader(name: "A", value: ByteBuffer()))
        #expect(MilterChange.addField(ByteBuffer(string: "A")) == nil)
    }

    // MARK: - Decisions before the message

    @Test func stagesThatAreDecidedWait() throws {
        var dialogue = Dialogue.negotiated(MilterConfiguration(decisions: [.connect, .helo, .mail, .recipient, .data]))
        #expect(dialogue.session.negotiation?.steps.isDisjoint(with: [.noReplyToConnect, .noReplyToHelo, .noReplyToMail, .noData]) == true)
        for command in [MilterCommand.client, .helo("a"), .bob, .jack, .data] {
            #expect(dialogue.say(command).count == 1)
            #expect(dialogue.session.isAwaitingAnswer)
            #expect(try responses(in: dialogue.decide(.continue)) == [.continue])
        }
    }

    @Test func aRefusedRecipientLeavesTheOthers() throws {
        var dialogue = Dialogue.negotiated(MilterConfiguration(decisions: [.recipient]))
        dialogue.say(.client, .bob, .jack)
        #expect(try responses(in: dialogue.decide(.reject)) == [.reject])
        #expect(dialogue.say(.recipient(MilterPath("<tom@gmail.test>"))).count == 1)
        #expect(try responses(in: dialogue.decide(.continue)) == [.continue])
        #expect(events(in: dialogue.say(.endOfHeader)).count == 2)
    }

    @Test func aRefusedSenderEndsTheMessageAndNotTheClient() throws {
        var dialogue = Dialogue.negotiated(MilterConfiguration(decisions: [.mail]))
        dialogue.say(.client, .bob)
        #expect(try responses(in: dialogue.decide(.reply(.messageTooLarge))).count == 1)
        #expect(dialogue.say(.abort).isEmpty)
        #expect(dialogue.say(.mail(MilterPath("<tom@gmail.test>"))).count == 1)
        #expect(dialogue.session.isAwaitingAnswer)
    }

    @Test func discardingAClientCountsAsRefusedForNow() throws {
        var dialogue = Dialogue.negotiated(MilterConfiguration(decisions: [.connect]))
        dialogue.say(.client)
        #expect(try responses(in: dialogue.decide(.discard)) == [.tempFail])
    }

    // MARK: - Limits

    private func limited(_ change: (inout MilterLimits) -> Void) -> Dialogue {
        var limits = MilterLimits()
        change(&limits)
        return Dialogue.negotiated(MilterConfiguration(limits: limits))
    }

    private func overrun(_ dialogue: inout Dialogue, _ commands: MilterCommand...) throws -> (MilterOverrun?, [MilterResponse]) {
        let actions = dialogue.receive(octets(of: [.client, .bob] + commands + [.endOfMessage(ByteBuffer())]))
        #expect(dialogue.session.isAwaitingAnswer == false)
        let overruns = actions.compactMap { if case .contentRefused(let overrun) = $0 { overrun } else { nil } }
        #expect(overruns.count == 1)
        return (overruns.first, try responses(in: actions))
    }

    private let tooLarge = [MilterResponse.replyCode("552 5.3.4 The message is too large for the filter")]

    @Test func messagesOverALimitGetTheirDecisionAtTheirEnd() throws {
        let body = MilterCommand.body(ByteBuffer(repeating: 0x61, count: 40))
        var long = limited { $0.messageLength = 100 }
        #expect(try overrun(&long, .jack, .endOfHeader, body, body, body, body) == (.messageLength, tooLarge))
        #expect(content(of: long.actions).readableBytes == 82)
        var fields = limited { $0.headerFields = 2 }
        #expect(try overrun(&fields, .jack, .field("A", " 1"), .field("B", " 2"), .field("C", " 3"), .endOfHeader, body) == (.headerFields, tooLarge))
        var header = limited { $0.headerLength = 12 }
        #expect(try overrun(&header, .jack, .field("A", " 1"), .field("B", " 2"), .field("C", " 3"), .endOfHeader) == (.headerLength, tooLarge))
        var recipients = limited { $0.recipients = 1 }
        #expect(try overrun(&recipients, .jack, .jack, .jack, .field("A", " 1"), .endOfHeader, body) == (.recipients, tooLarge))
        // The next message is another one.
        #expect(events(in: recipients.say(.bob, .jack, .endOfHeader)).count == 4)
    }

    @Test func whatCantBeKeptIsRefusedForNow() throws {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .endOfHeader)
        dialogue.session.contentFailed()
        let actions = dialogue.say(.body(ByteBuffer(string: "x")), .endOfMessage(ByteBuffer()))
        #expect(try responses(in: actions) == [.tempFail])
        #expect(events(in: actions) == [.messageAbandoned(reason: "over the limit: storage")])
    }
}
