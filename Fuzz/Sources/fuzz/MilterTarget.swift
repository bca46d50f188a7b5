import MailMessage
import NIOCore

@testable import Milter

/// The milter protocol: an MTA's octets into a whole session, with the filter's decisions, and a filter's responses as our own client reads them.
enum MilterTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        packets(input.octets)
        var whole = MilterRun(input)
        whole.feed(Cut.whole.pieces(input.octets))
        for cut in [Cut.single, .random] where cut != .single || input.octets.count < 4_096 {
            var other = MilterRun(input)
            other.feed(cut.pieces(input.octets))
            require(other.actions == whole.actions, "other actions in pieces: \(whole.actions)\n----\n\(other.actions)")
        }
        whole.check()
    }

    /// What is read is written as the same.
    private static func packets(_ octets: [UInt8]) {
        var decoder = MilterPacketDecoder(limit: 4_000)
        decoder.receive(ByteBuffer(bytes: octets))
        var count = 0
        while count < 200, let packet = (try? decoder.next()) ?? nil {
            count += 1
            if let command = try? MilterCommand(packet) {
                require(command.letter == packet.command, "the command \(packet.command) is read as \(command.letter)")
                require((try? MilterCommand(command.packet)) == command, "\(command) is read back as another")
            }
            if let response = try? MilterResponse(packet) {
                require((try? MilterResponse(response.packet)) == response, "\(response) is read back as another")
            }
        }
    }
}

/// A session with a filter that decides by the input's options.
private struct MilterRun {
    private var session: MilterSession
    private let input: Input
    private(set) var actions: [MilterAction] = []
    private var written = ByteBuffer()
    private var content: Int?
    private var questions = 0

    init(_ input: Input) {
        self.input = input
        var limits = MilterLimits()
        limits.packetLength = 3_000
        limits.macros = 8
        limits.macroLength = 300
        limits.parameters = 4
        limits.textLength = 200
        limits.recipients = 4
        limits.headerFields = 8
        limits.headerLength = 600
        limits.messageLength = 2_000
        session = MilterSession(
            configuration: MilterConfiguration(
                decisions: input.has(0) ? [.connect, .helo, .mail, .recipient, .data] : [],
                actions: [.addHeaders, .changeHeaders, .quarantine, .changeBody, .addRecipients, .deleteRecipients, .changeSender], maySkipBody: input.has(1),
                limits: limits))
    }

    mutating func feed(_ pieces: [ArraySlice<UInt8>]) {
        for piece in pieces {
            session.receive(ByteBuffer(bytes: piece))
            perform()
        }
        session.connectionLost()
        perform()
    }

    private mutating func perform() {
        while let action = session.next() {
            if case .close = actions.last { require(false, "an action after the end: \(action)") }
            actions.append(action)
            switch action {
            case .write(let octets): written.writeImmutableBuffer(octets)
            case .connected, .helo, .mailFrom, .rcptTo, .dataCommand: decide()
            case .messageBegan:
                require(content == nil, "a message began within a message")
                content = 0
            case .header(let octets):
                require(content != nil, "a field of no message")
                // Octets over 127 and a bare CR are left as the MTA sent them, for signatures; no more fields come of it.
                let isPlain = octets.readableBytesView.allSatisfy { $0 < 0x80 } && octets.readableBytesView.hasWholeLineEnds
                let section = HeaderSection(parsing: octets)
                require(section.count <= 1 && (section.count == 1 || !isPlain), "\(section.count) fields in one: \(String(buffer: octets))")
                require(octets.readableBytesView.suffix(2).elementsEqual([0x0D, 0x0A]), "a field without its end")
                content? += octets.readableBytes
            case .content(let octets):
                require(content != nil && octets.readableBytes > 0, "octets of no message")
                content? += octets.readableBytes
                if input.has(2) { session.skipBody() }
            case .contentRefused: content = nil
            case .requestVerdict(_, let octets):
                require(content == octets, "the session counts \(octets) octets, \(content ?? -1) were handed out")
                require(octets <= 2_000, "a message over the limit")
                content = nil
                verdict()
            case .messageAbandoned: content = nil
            case .negotiated, .changesRefused, .disconnected, .failed, .close: break
            }
        }
    }

    private mutating func decide() {
        questions += 1
        guard session.isAwaitingAnswer else { return }
        let decisions: [MilterVerdict.Decision] = [.continue, .continue, .reply(.messageTooLarge), .accept, .tempFail, .discard]
        session.decide(input.has(3) ? decisions[questions % decisions.count] : .continue)
    }

    private mutating func verdict() {
        questions += 1
        session.progress()
        let text = ByteBuffer(string: " a\r\nb: c\r\n d \u{fe}")
        let changes: [MilterChange] = [
            .addHeader(name: "X-A", value: ByteBuffer(string: " a")), .insertHeader(index: 1, name: "X-B", value: text),
            .changeHeader(name: "Subject", occurrence: 1, value: ByteBuffer(string: " b\r\n c")), .replaceBody(text),
        ]
        session.verdict(MilterVerdict(questions % 2 == 0 ? .continue : .quarantine(reason: "not\r\nnow"), changes: input.has(4) ? changes : []))
    }

    func check() {
        if case .close = actions.last {} else { require(false, "the session didn't end with its connection") }
        // Everything that we said is a response.
        var decoder = MilterPacketDecoder()
        decoder.receive(written)
        do throws(MilterError) {
            while let packet = try decoder.next() { _ = try MilterResponse(packet) }
        } catch {
            require(false, "our own response can't be read: \(error)")
        }
        require(decoder.octetsHeld == 0, "half a response was written")
    }
}
