import DNS
import MailMessage
import NIOCore

@testable import Milter

/// Plays an MTA against a session, and keeps what comes out.
struct Dialogue {
    var session: MilterSession
    var actions: [MilterAction] = []

    init(_ configuration: MilterConfiguration = MilterConfiguration()) { session = MilterSession(configuration: configuration) }

    /// A session whose negotiation is done.
    static func negotiated(
        _ configuration: MilterConfiguration = MilterConfiguration(), offer: MilterNegotiation = MilterClient.fullOffer
    ) -> Dialogue {
        var dialogue = Dialogue(configuration)
        _ = dialogue.say(.negotiate(offer))
        return dialogue
    }

    /// Says commands; returns what the session wants done.
    @discardableResult
    mutating func say(_ commands: MilterCommand...) -> [MilterAction] { receive(octets(of: commands)) }

    @discardableResult
    mutating func receive(_ octets: ByteBuffer) -> [MilterAction] {
        session.receive(octets)
        return drain()
    }

    mutating func drain() -> [MilterAction] {
        var new: [MilterAction] = []
        while let action = session.next() { new.append(action) }
        actions += new
        return new
    }

    mutating func decide(_ decision: MilterVerdict.Decision) -> [MilterAction] {
        session.decide(decision)
        return drain()
    }

    mutating func answer(_ verdict: MilterVerdict) -> [MilterAction] {
        session.verdict(verdict)
        return drain()
    }

    /// The octets of all messages so far.
    var message: String { String(buffer: content(of: actions)) }
}

func octets(of commands: [MilterCommand]) -> ByteBuffer {
    var buffer = ByteBuffer()
    for command in commands { command.packet.write(into: &buffer) }
    return buffer
}

func content(of actions: [MilterAction]) -> ByteBuffer {
    var buffer = ByteBuffer()
    for action in actions {
        switch action {
        case .header(let octets), .content(let octets): buffer.writeImmutableBuffer(octets)
        default: break
        }
    }
    return buffer
}

/// The responses within what is to be written.
func responses(in actions: [MilterAction]) throws -> [MilterResponse] {
    var decoder = MilterPacketDecoder()
    var found: [MilterResponse] = []
    for case .write(let octets) in actions { decoder.receive(octets) }
    while let packet = try decoder.next() { found.append(try MilterResponse(packet)) }
    return found
}

/// What isn't to be written.
func events(in actions: [MilterAction]) -> [MilterAction] {
    actions.filter { if case .write = $0 { false } else { true } }
}

extension MilterCommand {
    static func field(_ name: String, _ value: String) -> MilterCommand {
        .header(name: ByteBuffer(string: name), value: ByteBuffer(string: value))
    }
    static let client = MilterCommand.connect(MilterConnection(hostName: "mail.gmail.test", peer: .internet(.v4(0xC633_6407), port: 40_000)))
    static let bob = MilterCommand.mail(MilterPath("<bob@kartapuce.test>", parameters: ["SIZE=1000", "BODY=8BITMIME"]))
    static let jack = MilterCommand.recipient(MilterPath("<jack@gmail.test>"))
}

/// A small generator of numbers that gives the same ones each time.
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed &+ 0x9E37_79B9_7F4A_7C15 }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var word = state
        word = (word ^ (word >> 30)) &* 0xBF58_476D_1CE4_E5B9
        word = (word ^ (word >> 27)) &* 0x94D0_49BB_1331_11EB
        return word ^ (word >> 31)
    }
}
