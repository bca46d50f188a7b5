import DNS
import MailMessage
import NIOCore
import Testing

@testable import Milter

@Suite struct MilterClientTests {
    /// Lets a client and a session speak with each other; returns the filter's responses to one command.
    private func exchange(_ client: inout MilterClient, _ session: inout MilterSession, _ octets: ByteBuffer?) throws -> [MilterResponse] {
        guard let octets else { return [] }
        session.receive(octets)
        var found: [MilterResponse] = []
        while let action = session.next() {
            switch action {
            case .write(let octets): client.receive(octets)
            case .requestVerdict:
                session.verdict(MilterVerdict(.accept, changes: [.insertHeader(index: 1, name: "X-A", value: ByteBuffer(string: " 1"))]))
            default: break
            }
        }
        while let response = try client.next() { found.append(response) }
        return found
    }

    @Test(arguments: [2, 3, 4, 5, 6] as [UInt32]) func aClientKnowsWhichCommandsAreAnswered(version: UInt32) throws {
        let offer = MilterNegotiation(version: version, actions: .known(inVersion: version), steps: .known(inVersion: version))
        var client = MilterClient(offer: offer)
        var session = MilterSession()
        #expect(try exchange(&client, &session, client.begin()).count == 1)
        let commands: [MilterCommand] = [
            .client, .helo("a"), .bob, .jack, .unknown("XYZZY"), .data, .field("A", " b"), .field("C", "\r\n d"), .endOfHeader,
            .body(ByteBuffer(string: "x\r\n")), .endOfMessage(ByteBuffer()),
        ]
        for command in commands {
            let found = try exchange(&client, &session, client.octets(of: command))
            #expect(found.contains(where: \.isFinal) == client.awaitsReply(to: command), "\(command)")
        }
        #expect(session.messages == 1)
    }

    @Test func aFilterThatAsksForWhatWasntOfferedIsRefused() throws {
        var client = MilterClient(offer: MilterNegotiation(version: 6, actions: [.addHeaders], steps: []))
        var octets = ByteBuffer()
        MilterResponse.negotiate(MilterNegotiation(version: 6, actions: [.changeBody], steps: [])).packet.write(into: &octets)
        client.receive(octets)
        #expect(throws: MilterError.self) { try client.next() }
    }
}

@Suite struct MilterHostileInputTests {
    /// 20,000 inputs: random octets, and real conversations with octets changed, left out and repeated.
    @Test func nothingThatComesInCrashesASession() {
        var generator = SeededGenerator(seed: 20_261_128)
        let conversation = Array(octets(of: MilterSessionTests.conversation + [.abort, .quitNewConnection, .client, .bob, .jack]).readableBytesView)
        var failures = 0
        var verdicts = 0
        var actionsAfterTheEnd: [Int] = []
        for round in 0..<20_000 {
            var bytes: [UInt8]
            if round.isMultiple(of: 4) {
                bytes = (0..<Int.random(in: 0...200, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }
            } else {
                bytes = conversation
                for _ in 0..<Int.random(in: 0...4, using: &generator) {
                    let place = Int.random(in: 0..<bytes.count, using: &generator)
                    switch Int.random(in: 0..<3, using: &generator) {
                    case 0: bytes[place] = UInt8.random(in: 0...255, using: &generator)
                    case 1: bytes.removeSubrange(place..<min(bytes.count, place + Int.random(in: 0...20, using: &generator)))
                    default: bytes.insert(contentsOf: bytes[place..<min(bytes.count, place + 20)], at: place)
                    }
                    if bytes.isEmpty { bytes = [0] }
                }
            }
            var session = MilterSession(configuration: MilterConfiguration(decisions: round.isMultiple(of: 3) ? [.connect, .mail, .recipient] : []))
            var client = MilterClient()
            var hasEnded = false
            var rest = ByteBuffer(bytes: bytes)
            while rest.readableBytes > 0, let piece = rest.readSlice(length: min(rest.readableBytes, Int.random(in: 1...300, using: &generator))) {
                client.receive(piece)
                _ = try? client.next()
                session.receive(piece)
                while let action = session.next() {
                    if hasEnded { actionsAfterTheEnd.append(round) }
                    switch action {
                    case .failed: failures += 1
                    case .close: hasEnded = true
                    case .requestVerdict:
                        verdicts += 1
                        session.verdict(MilterVerdict(.accept))
                    case .connected, .mailFrom, .rcptTo: session.decide(.continue)
                    default: break
                    }
                }
            }
        }
        #expect(actionsAfterTheEnd.isEmpty, "rounds in which something is done after the end")
        // Both kinds of ends are reached, or the inputs test nothing.
        #expect(failures > 1_000)
        #expect(verdicts > 1_000)
    }
}
