import DNS
import MailMessage
import NIOCore
import Testing

@testable import Milter

@Suite struct MilterPacketTests {
    @Test func packetsAreCutByTheirLength() throws {
        var decoder = MilterPacketDecoder()
        decoder.receive(ByteBuffer(bytes: [0, 0, 0, 1, 0x41, 0, 0, 0, 3, 0x42, 1, 2, 0, 0]))
        #expect(try decoder.next() == MilterPacket(command: 0x41))
        #expect(try decoder.next() == MilterPacket(command: 0x42, payload: ByteBuffer(bytes: [1, 2])))
        #expect(try decoder.next() == nil)
        decoder.receive(ByteBuffer(bytes: [0, 1, 0x43]))
        #expect(try decoder.next() == MilterPacket(command: 0x43))
        #expect(decoder.octetsHeld == 0)
    }

    @Test(
        arguments: [
            ([0, 0, 0, 0], MilterError.Code.emptyPacket), ([0x00, 0x10, 0x00, 0x02], .packetTooLong), ([0xFF, 0xFF, 0xFF, 0xFF, 0x42], .packetTooLong),
            ([0x80, 0, 0, 0], .packetTooLong), ([0x48, 0x45, 0x4C, 0x4F], .packetTooLong),
        ] as [([UInt8], MilterError.Code)])
    func hostileLengthsAreRefusedBeforeAnythingIsKept(octets: [UInt8], code: MilterError.Code) {
        var decoder = MilterPacketDecoder(limit: 1_048_577)
        decoder.receive(ByteBuffer(bytes: octets))
        let error = #expect(throws: MilterError.self) { try decoder.next() }
        #expect(error?.code == code)
        // The same in pieces.
        var cut = MilterPacketDecoder(limit: 1_048_577)
        cut.receive(ByteBuffer(bytes: octets.prefix(4)))
        let again = #expect(throws: MilterError.self) { try cut.next() }
        #expect(again == error)
    }

    @Test func aPacketOfTheLimitsLengthIsTaken() throws {
        var decoder = MilterPacketDecoder(limit: 5)
        decoder.receive(ByteBuffer(bytes: [0, 0, 0, 5, 0x42, 1, 2, 3, 4, 0, 0, 0, 6]))
        #expect(try decoder.next()?.payload.readableBytes == 4)
        #expect(throws: MilterError.self) { try decoder.next() }
    }

    static let commands: [MilterCommand] = [
        .negotiate(MilterNegotiation(version: 6, actions: [.addHeaders], steps: [.skip], macroRequests: [.connect: ["j", "{client_addr}"]])),
        .macros(for: UInt8(ascii: "C"), ["j": "mx.kartapuce.test", "{client_addr}": "198.51.100.7"]), .client,
        .connect(MilterConnection(hostName: "six.gmail.test", peer: .internet(.v6(0x2001_0DB8_0000_0000, 1), port: 25))),
        .connect(MilterConnection(hostName: "localhost", peer: .local(path: "/run/mta"))),
        .connect(MilterConnection(hostName: "localhost", peer: .unknown)), .helo("mail.gmail.test"), .bob, .jack, .data,
        .field("Subject", " Hello"), .endOfHeader, .body(ByteBuffer(string: "Hello\r\n")), .endOfMessage(ByteBuffer()),
        .endOfMessage(ByteBuffer(string: "end\r\n")), .abort, .quit, .quitNewConnection, .unknown("XYZZY 1"),
    ]

    @Test(arguments: commands) func commandsComeBackAsTheyWent(command: MilterCommand) throws {
        #expect(try MilterCommand(command.packet) == command)
    }

    static let responses: [MilterResponse] = [
        .negotiate(MilterNegotiation(version: 6, actions: [.quarantine], steps: [.noData], macroRequests: [.endOfMessage: ["i"]])), .continue,
        .accept, .reject, .discard, .tempFail, .replyCode("550-5.7.1 100% sure\r\n550 5.7.1 %%"), .skip, .progress,
        .addHeader(name: ByteBuffer(string: "X-A"), value: ByteBuffer(string: " 1")),
        .insertHeader(index: 1, name: ByteBuffer(string: "X-A"), value: ByteBuffer(string: " 1\n 2")),
        .changeHeader(index: 2, name: ByteBuffer(string: "X-A"), value: ByteBuffer()), .quarantine("looked odd"),
        .addRecipient("<alice@kartapuce.test>"), .addRecipientWithParameters("<alice@kartapuce.test>", "NOTIFY=NEVER"),
        .deleteRecipient("<tom@kartapuce.test>"), .changeSender("<>", parameters: nil), .changeSender("<bob@gmail.test>", parameters: "RET=HDRS"),
        .replaceBody(ByteBuffer(string: "new\r\n")), .shutdown, .connectionFailed,
    ]

    @Test(arguments: responses) func responsesComeBackAsTheyWent(response: MilterResponse) throws {
        #expect(try MilterResponse(response.packet) == response)
    }

    @Test func percentSignsOfAReplyAreDoubledOnTheWire() {
        // MTAs use the text as a format; a single percent sign would be eaten.
        #expect(String(buffer: MilterResponse.replyCode("550 5.7.1 50% off").packet.payload) == "550 5.7.1 50%% off\0")
    }

    @Test(
        arguments: [
            ("Z", "", .unknownCommand, 0), ("H", "mail", .unterminatedText, 1), ("H", "a\0b\0", .trailingOctets, 3), ("M", "", .truncatedPacket, 1),
            ("R", "<a@b.test>", .unterminatedText, 1), ("C", "name\0", .truncatedPacket, 6), ("C", "name\0X", .unknownFamily, 7),
            ("C", "name\04\0", .truncatedPacket, 7), ("C", "name\04\0\u{19}10.0.0\0", .invalidAddress, 9), ("L", "A\0b", .unterminatedText, 3),
            ("L", "\0b\0", .invalidHeaderName, 1), ("L", "A B\0c\0", .invalidHeaderName, 1), ("L", "A\0b\nBcc: x\0", .headerLineBreak, 4),
            ("L", "A\0b\n\0", .headerLineBreak, 4), ("T", "x", .trailingOctets, 1), ("D", "", .truncatedPacket, 1), ("D", "Cj\0", .macroWithoutValue, 4),
            ("O", "\0\0\0\u{6}", .truncatedPacket, 5), ("Q", "x", .trailingOctets, 1),
        ] as [(String, String, MilterError.Code, Int)])
    func badCommandsSayWhatAndWhere(letter: String, payload: String, code: MilterError.Code, offset: Int) throws {
        let packet = MilterPacket(command: try #require(letter.utf8.first), payload: ByteBuffer(string: payload))
        let error = #expect(throws: MilterError.self) { try MilterCommand(packet) }
        #expect(error?.code == code)
        #expect(error?.offset == offset)
        #expect(error?.command == letter.utf8.first)
    }

    @Test func sendmailTagsAddressesOfIPv6() throws {
        let packet = MilterPacket(command: UInt8(ascii: "C"), payload: ByteBuffer(string: "a\06\0\u{19}IPv6:2001:db8::1\0"))
        let expected = MilterConnection(hostName: "a", peer: .internet(.v6(0x2001_0DB8_0000_0000, 1), port: 25))
        #expect(try MilterCommand(packet) == .connect(expected))
    }

    @Test func zonesOfAddressesAreLeftOut() throws {
        let packet = MilterPacket(command: UInt8(ascii: "C"), payload: ByteBuffer(string: "a\06\0\u{19}fe80::1%eth0\0"))
        let expected = MilterConnection(hostName: "a", peer: .internet(.v6(0xFE80_0000_0000_0000, 1), port: 25))
        #expect(try MilterCommand(packet) == .connect(expected))
    }

    @Test func limitsOfACommandsPartsHold() {
        var limits = MilterLimits()
        limits.parameters = 1
        limits.macros = 1
        limits.textLength = 20
        func code(_ command: MilterCommand) -> MilterError.Code? {
            #expect(throws: MilterError.self) { try MilterCommand(command.packet, limits: limits) }?.code
        }
        #expect(code(.mail(MilterPath("<a@b>", parameters: ["A=1", "B=2"]))) == .tooMany)
        #expect(code(.macros(for: 0x43, ["a": "1", "b": "2"])) == .tooMany)
        #expect(code(.helo(String(repeating: "a", count: 21))) == .textTooLong)
        #expect(code(.field(String(repeating: "a", count: 21), "")) == .textTooLong)
    }

    @Test func pathsAreReadAsTheyAreWritten() {
        #expect(MilterPath("<bob@kartapuce.test>").address?.description == "bob@kartapuce.test")
        #expect(MilterPath("bob@kartapuce.test").address?.description == "bob@kartapuce.test")
        #expect(MilterPath("<@a.test,@b.test:bob@kartapuce.test>").address?.description == "bob@kartapuce.test")
        #expect(MilterPath("<>").isNull)
        #expect(MilterPath("<>").address == nil)
        #expect(!MilterPath("<root>").isNull)
        #expect(MilterPath("<root>").address == nil)
        #expect(MilterPath("<>", parameters: ["SIZE=12", "SMTPUTF8"]).parameter("size") == "12")
        #expect(MilterPath("<>", parameters: ["SIZE=12", "SMTPUTF8"]).parameter("SMTPUTF8")?.isEmpty == true)
    }

    @Test func repliesHaveTheirOwnClassOnly() throws {
        #expect(MilterReply(250, EnhancedStatusCode(2, 0, 0), "fine") == nil)
        #expect(MilterReply(550, EnhancedStatusCode(4, 7, 1), "no") == nil)
        let reply = try #require(MilterReply(550, EnhancedStatusCode(5, 7, 1), "not you\r\nnor ü\u{0}"))
        #expect(reply.description == "550-5.7.1 not you\r\n550 5.7.1 nor ???")
    }
}
