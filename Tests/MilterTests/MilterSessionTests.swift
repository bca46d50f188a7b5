import DNS
import MailMessage
import NIOCore
import Testing

@testable import Milter

@Suite struct MilterSessionTests {
    static let queue = MilterCommand.macros(for: UInt8(ascii: "E"), ["i": "4XyZ"])
    static let conversation: [MilterCommand] = [
        .negotiate(MilterClient.fullOffer), .macros(for: UInt8(ascii: "C"), ["j": "mx.kartapuce.test", "{daemon_name}": "smtpd"]), .client,
        .helo("mail.gmail.test"), .macros(for: UInt8(ascii: "M"), ["{mail_addr}": "bob@kartapuce.test"]), .bob,
        .macros(for: UInt8(ascii: "R"), ["{rcpt_addr}": "jack@gmail.test"]), .jack, .field("From", " Bob <bob@kartapuce.test>"),
        .field("Subject", " folded\n\there\n  and there"), .field("X-Empty", ""), .field("X-Tab", "\tvalue"), .endOfHeader,
        .body(ByteBuffer(string: "Hello,\r\n\r\n")), queue, .endOfMessage(ByteBuffer(string: "Bob\r\n")),
    ]
    static let message =
        "From: Bob <bob@kartapuce.test>\r\nSubject: folded\r\n\there\r\n  and there\r\nX-Empty:\r\nX-Tab:\tvalue\r\n\r\nHello,\r\n\r\nBob\r\n"

    @Test func aMessageComesOutAsItWasSent() throws {
        var dialogue = Dialogue()
        let actions = dialogue.receive(octets(of: Self.conversation))
        #expect(dialogue.message == Self.message)
        // Everything that isn't decided here was negotiated away: the only answer so far is the negotiation's.
        #expect(try responses(in: actions).count == 1)
        guard case .requestVerdict(let macros, let octets) = actions.last else {
            Issue.record("no verdict is asked for")
            return
        }
        #expect(octets == Self.message.utf8.count)
        #expect(macros.queueID == "4XyZ")
        #expect(macros["j"] == "mx.kartapuce.test")
        #expect(macros["{daemon_name}"] == "smtpd")
        #expect(macros.senderAddress == "bob@kartapuce.test")
        #expect(macros.recipientAddress == "jack@gmail.test")
        #expect(macros[stage: .connect].count == 2)
        #expect(dialogue.session.isAwaitingAnswer)
        #expect(try responses(in: dialogue.answer(MilterVerdict(.accept))) == [.accept])
        #expect(dialogue.session.messages == 1)
        #expect(dialogue.session.macros.queueID == nil)
        #expect(dialogue.session.macros.hostName == "mx.kartapuce.test")
    }

    @Test func eachWayToCutTheOctetsGivesTheSame() {
        let octets = octets(of: Self.conversation)
        var whole = Dialogue()
        whole.receive(octets)
        for place in 1..<octets.readableBytes {
            var cut = Dialogue()
            cut.receive(octets.getSlice(at: 0, length: place) ?? ByteBuffer())
            cut.receive(octets.getSlice(at: place, length: octets.readableBytes - place) ?? ByteBuffer())
            #expect(cut.actions == whole.actions, "cut at \(place)")
        }
        var single = Dialogue()
        for place in 0..<octets.readableBytes { single.receive(octets.getSlice(at: place, length: 1) ?? ByteBuffer()) }
        #expect(single.actions == whole.actions)
    }

    @Test func octetsOver127AndBareReturnsStay() {
        var dialogue = Dialogue.negotiated()
        let value = ByteBuffer(bytes: [0x20, 0xE4, 0xF6, 0x0D, 0xFF])
        dialogue.say(.client, .bob, .jack, .header(name: ByteBuffer(string: "Subject"), value: value), .endOfHeader, .endOfMessage(ByteBuffer()))
        #expect(content(of: dialogue.actions) == ByteBuffer(bytes: Array("Subject:".utf8) + [0x20, 0xE4, 0xF6, 0x0D, 0xFF] + Array("\r\n\r\n".utf8)))
    }

    @Test func foldsByCRLFAreNotDoubled() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .field("A", " b\r\n c"), .endOfHeader)
        #expect(dialogue.message == "A: b\r\n c\r\n\r\n")
    }

    @Test func withoutLeadingSpaceTheBlankThatTheMTATookComesBack() {
        let offer = MilterNegotiation(version: 2, actions: .known(inVersion: 2), steps: .known(inVersion: 2))
        var dialogue = Dialogue.negotiated(offer: offer)
        dialogue.say(.client, .bob, .jack, .field("A", "b"), .field("C", " two blanks"), .field("D", "\ttab"), .field("E", "\n folded"), .endOfHeader)
        #expect(dialogue.message == "A: b\r\nC:  two blanks\r\nD:\ttab\r\nE:\r\n folded\r\n\r\n")
    }

    @Test func aMessageWithoutAnEndOfTheHeaderHasNoEmptyLine() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .field("A", " b"), .endOfMessage(ByteBuffer()))
        #expect(dialogue.message == "A: b\r\n")
        #expect(dialogue.session.isAwaitingAnswer)
    }

    // MARK: - Negotiation

    @Test(arguments: [2, 3, 4, 5, 6, 7, 99] as [UInt32])
    func nothingIsAskedForThatTheVersionDoesntHave(version: UInt32) throws {
        var dialogue = Dialogue()
        // An MTA that offers every bit there is, whatever its version.
        let offer = MilterNegotiation(version: version, actions: MilterActionFlags(rawValue: .max), steps: MilterStepFlags(rawValue: .max))
        let actions = dialogue.say(.negotiate(offer))
        guard case .negotiate(let answer) = try #require(try responses(in: actions).first) else {
            Issue.record("no answer")
            return
        }
        #expect(answer.version == min(version, 6))
        #expect(answer.actions == (version >= 6 ? [.addHeaders, .changeHeaders, .quarantine, .requestMacros] : [.addHeaders, .changeHeaders, .quarantine]))
        #expect(answer.steps.contains(.leadingSpace) == (version >= 6))
        #expect(answer.steps.contains(.noReplyToBody) == (version >= 6))
        #expect(answer.steps.contains(.noUnknown) == (version >= 3))
        #expect(answer.steps.contains(.noData) == (version >= 4))
        #expect(!answer.steps.contains(.noConnect) && !answer.steps.contains(.skip))
        #expect(answer.macroRequests.isEmpty == (version < 6))
        #expect(dialogue.session.negotiation == answer)
    }

    @Test func nothingIsAskedForThatIsntOffered() throws {
        var dialogue = Dialogue()
        let actions = dialogue.say(.negotiate(MilterNegotiation(version: 6, actions: [.changeBody], steps: [])))
        #expect(try responses(in: actions) == [.negotiate(MilterNegotiation(version: 6))])
    }

    @Test(arguments: [0, 1] as [UInt32]) func oldestVersionsAreRefused(version: UInt32) {
        var dialogue = Dialogue()
        let actions = dialogue.say(.negotiate(MilterNegotiation(version: version)))
        #expect(
            actions == [
                .failed(MilterError(.versionTooOld, command: 0x4F, at: 1, state: "the negotiation is expected")), .close(reason: "protocol error"),
            ])
    }

    @Test func anMTAThatWantsAnswersGetsOneForEachCommand() throws {
        var dialogue = Dialogue.negotiated(offer: MilterNegotiation(version: 2, actions: [.addHeaders], steps: []))
        let actions = dialogue.say(
            .client, .helo("a"), .bob, .jack, .field("A", "b"), .endOfHeader, .body(ByteBuffer(string: "c\r\n")), .endOfMessage(ByteBuffer()))
        #expect(try responses(in: actions) == Array(repeating: .continue, count: 7))
        #expect(dialogue.message == "A: b\r\n\r\nc\r\n")
    }

    @Test func skippingIsSaidWhereItIsUnderstood() throws {
        var dialogue = Dialogue.negotiated(MilterConfiguration(maySkipBody: true))
        #expect(dialogue.session.negotiation?.steps.contains(.skip) == true)
        #expect(try responses(in: dialogue.say(.client, .bob, .jack, .field("A", " b"), .endOfHeader)).isEmpty)
        #expect(try responses(in: dialogue.say(.body(ByteBuffer(string: "one")))) == [.continue])
        dialogue.session.skipBody()
        #expect(try responses(in: dialogue.say(.body(ByteBuffer(string: "two")))) == [.skip])
        #expect(events(in: dialogue.say(.endOfMessage(ByteBuffer()))).count == 1)
        #expect(dialogue.message == "A: b\r\n\r\none")
    }

    // MARK: - Order

    static let disorders: [([MilterCommand], MilterError.Code, UInt8)] = [
        ([.client], .negotiationExpected, 0x43), ([.negotiate(MilterClient.fullOffer), .negotiate(MilterClient.fullOffer)], .unexpectedNegotiation, 0x4F),
        ([.negotiate(MilterClient.fullOffer), .helo("a")], .outOfOrder, 0x48), ([.negotiate(MilterClient.fullOffer), .bob], .outOfOrder, 0x4D),
        ([.negotiate(MilterClient.fullOffer), .client, .client], .outOfOrder, 0x43),
        ([.negotiate(MilterClient.fullOffer), .client, .jack], .outOfOrder, 0x52),
        ([.negotiate(MilterClient.fullOffer), .client, .data], .outOfOrder, 0x54),
        ([.negotiate(MilterClient.fullOffer), .client, .field("A", "b")], .outOfOrder, 0x4C),
        ([.negotiate(MilterClient.fullOffer), .client, .endOfMessage(ByteBuffer())], .outOfOrder, 0x45),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .body(ByteBuffer(string: "x"))], .outOfOrder, 0x42),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .jack, .field("A", "b"), .jack], .outOfOrder, 0x52),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .jack, .endOfHeader, .field("A", "b")], .outOfOrder, 0x4C),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .jack, .endOfHeader, .endOfHeader], .outOfOrder, 0x4E),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .jack, .endOfHeader, .bob], .outOfOrder, 0x4D),
        ([.negotiate(MilterClient.fullOffer), .client, .bob, .endOfMessage(ByteBuffer(string: "x"))], .outOfOrder, 0x45),
    ]

    @Test(arguments: disorders) func commandsOutOfOrderSayWhatAndWhere(commands: [MilterCommand], code: MilterError.Code, letter: UInt8) throws {
        var dialogue = Dialogue()
        dialogue.receive(octets(of: commands))
        let errors = dialogue.actions.compactMap { if case .failed(let error) = $0 { error } else { nil } }
        #expect(errors.map(\.code) == [code])
        #expect(errors.first?.command == letter)
        #expect(errors.first?.state?.isEmpty == false)
        #expect(dialogue.actions.last == .close(reason: "protocol error"))
        #expect(dialogue.say(.quit).isEmpty)
    }

    @Test func anUnknownCommandEndsTheConnectionAndTheMessage() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob)
        let actions = dialogue.receive(ByteBuffer(bytes: [0, 0, 0, 1, 0x21]))
        #expect(
            actions == [
                .failed(MilterError(.unknownCommand, command: 0x21, state: "recipients are named")), .messageAbandoned(reason: "protocol error"),
                .disconnected, .close(reason: "protocol error"),
            ])
    }

    @Test func abortEndsTheMessageAndNotTheConnection() throws {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .helo("a"), .bob, .jack, .field("A", " b"), .endOfHeader, .body(ByteBuffer(string: "x")))
        #expect(dialogue.say(.abort) == [.messageAbandoned(reason: "aborted")])
        #expect(dialogue.say(.abort).isEmpty)
        let actions = dialogue.say(.bob, .jack, .field("C", " d"), .endOfHeader, .endOfMessage(ByteBuffer()))
        #expect(String(buffer: content(of: actions)) == "C: d\r\n\r\n")
        #expect(try responses(in: dialogue.answer(MilterVerdict(.continue))) == [.continue])
    }

    @Test func anotherMailOrHeloEndsTheEnvelopeAndKeepsItsOwnMacros() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .macros(for: 0x4D, ["i": "1"]), .bob, .macros(for: 0x52, ["{rcpt_addr}": "jack@gmail.test"]), .jack)
        let actions = dialogue.say(.macros(for: 0x4D, ["{mail_addr}": "tom@kartapuce.test"]), .mail(MilterPath("<tom@kartapuce.test>")))
        #expect(actions.first == .messageAbandoned(reason: "another MAIL"))
        #expect(dialogue.session.macros.senderAddress == "tom@kartapuce.test")
        #expect(dialogue.session.macros.recipientAddress == nil)
        #expect(dialogue.session.macros.queueID == nil)
        #expect(dialogue.say(.helo("b")).first == .messageAbandoned(reason: "HELO"))
    }

    @Test func severalMessagesCome() throws {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client)
        for number in 1...3 {
            let actions = dialogue.say(.bob, .jack, .field("N", " \(number)"), .endOfHeader, .endOfMessage(ByteBuffer()))
            #expect(String(buffer: content(of: actions)) == "N: \(number)\r\n\r\n")
            #expect(try responses(in: dialogue.answer(MilterVerdict(.accept))) == [.accept])
        }
        #expect(dialogue.say(.quit) == [.disconnected, .close(reason: "quit")])
        #expect(dialogue.session.messages == 3)
    }

    @Test func anotherClientBeginsAnew() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.macros(for: 0x43, ["{client_addr}": "198.51.100.7"]), .client, .bob)
        #expect(dialogue.say(.quitNewConnection) == [.messageAbandoned(reason: "the client is gone"), .disconnected])
        #expect(dialogue.session.macros.isEmpty)
        let second = MilterConnection(hostName: "second.gmail.test", peer: .unknown)
        #expect(dialogue.say(.connect(second)) == [.connected(second, MilterMacros())])
        #expect(events(in: dialogue.say(.bob)).count == 1)
    }

    @Test func whatComesBeforeAnAnswerWaits() throws {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer()), .bob, .jack, .field("X", " 2"), .endOfHeader)
        #expect(dialogue.message == "\r\n")
        #expect(dialogue.session.timeout == nil)
        _ = dialogue.answer(MilterVerdict(.accept))
        #expect(dialogue.message == "\r\nX: 2\r\n\r\n")
        #expect(dialogue.session.timeout == MilterLimits().messageTimeout)
    }

    @Test func theEndTellsWhatWasOpen() {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .endOfHeader, .endOfMessage(ByteBuffer()))
        dialogue.session.connectionLost()
        #expect(dialogue.drain() == [.messageAbandoned(reason: "lost"), .disconnected, .close(reason: "lost")])
        // A verdict that comes too late says nothing.
        #expect(dialogue.answer(MilterVerdict(.accept)).isEmpty)
    }

    @Test func aStopWaitsForTheMessage() throws {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack, .endOfHeader)
        dialogue.session.shutdown()
        #expect(dialogue.drain().isEmpty)
        dialogue.say(.endOfMessage(ByteBuffer()))
        let actions = dialogue.answer(MilterVerdict(.accept))
        #expect(try responses(in: actions) == [.accept])
        #expect(events(in: actions) == [.disconnected, .close(reason: "shutdown")])
    }

    @Test(arguments: [.helo("b"), .bob, .abort, .quitNewConnection] as [MilterCommand])
    func aStopEndsWithTheEnvelopeToo(command: MilterCommand) {
        var dialogue = Dialogue.negotiated()
        dialogue.say(.client, .bob, .jack)
        dialogue.session.shutdown()
        #expect(dialogue.drain().isEmpty)
        let actions = dialogue.say(command, .client)
        #expect(actions.count == 3)
        #expect(actions.suffix(2) == [.disconnected, .close(reason: "shutdown")])
        #expect(dialogue.session.timeout == nil)
    }
}
