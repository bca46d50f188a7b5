import MailMessage
import NIOCore
import SASL

@testable import SMTP

/// A session of the server, run three times: in one piece, octet by octet, and in random pieces.
enum SMTPServerTarget {
    /// Longer than the longest command line, so that every limit is reached.
    private static let octetByOctetLimit = 6_000

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        var whole = ServerRun(input)
        whole.feed(Cut.whole.pieces(input.octets))
        whole.check()
        var cut = ServerRun(input)
        cut.feed(Cut.random.pieces(input.octets))
        cut.check()
        // A STARTTLS at the end of a piece is no injection, and one with more behind it is: the only answer that depends on cuts.
        let cutsMatter = String(decoding: input.octets, as: UTF8.self).uppercased().contains("STARTTLS")
        if !cutsMatter { whole.requireSame(cut, "random pieces") }
        guard input.octets.count < octetByOctetLimit else { return }
        var single = ServerRun(input)
        single.watchesOctets = true
        single.feed(Cut.single.pieces(input.octets))
        single.check()
        if !cutsMatter { whole.requireSame(single, "single octets") }
    }
}

/// One run of a session with a service that says yes, or no to every third question.
private struct ServerRun {
    private struct Taken: Equatable {
        var envelope: Envelope
        var content: [UInt8]
    }

    private var session: SMTPServerSession
    private let isTolerant: Bool
    private let refusesThird: Bool
    private var questions = 0
    private var written = ByteBuffer()
    private var messages: [Taken] = []
    private var content: [UInt8]?
    private var closed: String?
    private var afterClose = 0

    /// The octets are looked at one by one: what ends a line and a message is compared with a reference.
    var watchesOctets = false
    private var received: [UInt8] = []
    /// Where the octets of a message under DATA begin.
    private var dataStart: Int?

    private static let verifier = try? SCRAMVerifier(password: "correct horse", salt: [1, 2, 3, 4], iterations: 4096)

    init(_ input: Input) {
        isTolerant = input.has(0)
        refusesThird = input.has(4)
        var configuration = SMTPServerConfiguration(
            hostname: "mail.kartapuce.test", authentication: input.has(1) ? .offered : .none, security: input.has(2) ? .startTLS : .implicit)
        configuration.limits.messageSize = 2_000
        configuration.limits.textLineLength = 300
        configuration.limits.commandLineLength = 600
        configuration.limits.authenticationLineLength = 900
        configuration.limits.discardedLineLength = 1_500
        configuration.limits.recipients = 5
        configuration.limits.surplusRecipients = 3
        configuration.limits.idleCommands = 12
        configuration.offersRequireTLS = true
        configuration.acceptsTraces = true
        session = SMTPServerSession(terms: SMTPServerTerms(configuration), allowsBareLineFeeds: isTolerant, authenticationSecret: [1, 2, 3]) {
            "servernonceservernonce"
        }
        if !input.has(2) { session.tlsEstablished(channelBinding: [1, 2, 3], peerRoles: input.has(3) ? ["relay"] : []) }
        session.greet(refusal: nil)
        perform()
    }

    mutating func feed(_ pieces: [ArraySlice<UInt8>]) {
        for piece in pieces {
            let wasCommand = isReadingCommands
            let lengthBefore = written.readableBytes
            received += watchesOctets ? Array(piece) : []
            session.receive(ByteBuffer(bytes: piece))
            perform()
            if watchesOctets { watch(wasCommand: wasCommand, hasAnswered: written.readableBytes > lengthBefore) }
        }
        session.connectionLost()
        perform()
    }

    private var isReadingCommands: Bool {
        switch session.state {
        case .commands, .discardingLine, .authenticating: true
        case .opening, .awaitingVerifier, .awaitingReversePath, .awaitingRecipient, .data, .chunk, .awaitingVerdict, .awaitingTLS, .closed: false
        }
    }

    private var isReadingData: Bool { if case .data = session.state { true } else { false } }

    /// After one octet: what was taken as the end of a line is CRLF, and of a message CRLF.CRLF and nothing before it.
    private mutating func watch(wasCommand: Bool, hasAnswered: Bool) {
        if wasCommand, hasAnswered, !isTolerant, closed == nil {
            require(received.suffix(2) == [0x0D, 0x0A], "a command was answered that doesn't end in CRLF")
        }
        if isReadingData {
            if dataStart == nil { dataStart = received.count }
        } else if let start = dataStart {
            dataStart = nil
            guard closed == nil else { return }
            let raw = [0x0D, 0x0A] + received[start...]
            let end: [UInt8] = [0x0D, 0x0A, 0x2E, 0x0D, 0x0A]
            let first = raw.indices.first { raw[$0...].starts(with: end) }
            require(first == raw.count - end.count, "a message ended elsewhere than at its first CRLF.CRLF")
        }
    }

    private mutating func answer(_ reply: SMTPReply) -> SMTPReply {
        questions += 1
        guard refusesThird, questions % 3 == 0 else { return reply }
        return SMTPReply(questions % 2 == 0 ? 450 : 550, EnhancedStatusCode(questions % 2 == 0 ? 4 : 5, 7, 1), "not\r\n250 now \u{fe}ü")
    }

    private mutating func perform() {
        while let action = session.next() {
            require(closed == nil, "an action after the end: \(action)")
            switch action {
            case .reply(let reply, _): reply.write(into: &written, allowsUTF8: session.allowsUTF8InReplies)
            case .startTLS: session.tlsEstablished(channelBinding: [4, 5, 6], peerRoles: [])
            case .requestVerifier(_, var exchange):
                // As if the user were known: an unknown one costs the computing of a whole verifier.
                let step = exchange.provide(verifier: Self.verifier)
                session.verifierAnswered(exchange, step: step)
            case .authenticationEnded: break
            case .requestReversePath: session.reversePathAnswered(answer(SMTPReply(250, EnhancedStatusCode(2, 1, 0), "Sender ok")))
            case .requestRecipient: session.recipientAnswered(answer(SMTPReply(250, EnhancedStatusCode(2, 1, 5), "Recipient ok")))
            case .contentBegan:
                require(content == nil, "a message began within a message")
                content = []
            case .content(let octets):
                require(content != nil, "octets of no message")
                require(octets.readableBytes > 0, "an empty piece of a message")
                content? += octets.readableBytesView
            case .contentRefused:
                require(content != nil, "a message was refused that hadn't begun")
                content = nil
            case .requestVerdict(let envelope, _, let octets):
                require(content?.count == octets, "the session counts \(octets) octets, \(content?.count ?? -1) were handed out")
                require(!envelope.recipients.isEmpty, "a message for nobody")
                messages.append(Taken(envelope: envelope, content: content ?? []))
                content = nil
                session.verdictAnswered(answer(SMTPReply(250, EnhancedStatusCode(2, 0, 0), "Taken")))
            case .transactionAbandoned: content = nil
            case .close(let reason): closed = reason
            }
        }
        require(session.octetsHeld <= 4 * (12_288 + 65_536), "the session holds \(session.octetsHeld) octets")
    }

    func check() {
        require(closed != nil, "the session didn't end with its connection")
        let octets = Array(written.readableBytesView)
        require(octets.hasWholeLineEnds, "a bare CR or LF in the replies")
        var lines = octets.split(separator: 0x0A, omittingEmptySubsequences: false).map { $0.dropLast() }
        require(lines.last?.isEmpty == true, "the last reply doesn't end")
        lines.removeLast()
        var code: ArraySlice<UInt8>?
        for line in lines {
            require(line.count <= 510, "a reply line of \(line.count) octets")
            require(line.count >= 4 && line.prefix(3).allSatisfy { (0x30...0x39).contains($0) }, "a reply without a code")
            let separator = line.dropFirst(3).first
            require(separator == 0x20 || separator == 0x2D, "a reply code with \(String(describing: separator)) behind it")
            require(code == nil || code.map { Array($0) } == Array(line.prefix(3)), "two codes in one reply")
            code = separator == 0x2D ? line.prefix(3) : nil
        }
        require(code == nil, "a reply without its last line")
        for message in messages {
            require(message.content.count <= 2_000, "a message over the limit")
            require(message.envelope.recipients.count <= 5, "recipients over the limit")
            // BINARYMIME may hold anything; all other text has whole line ends only, by which the next host finds the same end.
            require(message.envelope.bodyType == .binaryMIME || message.content.hasWholeLineEnds, "a bare CR or LF in a message")
        }
    }

    func requireSame(_ other: ServerRun, _ what: String) {
        require(written == other.written, "\(what): other replies:\n\(String(buffer: written))\n----\n\(String(buffer: other.written))")
        require(messages == other.messages, "\(what): other messages")
        require(closed == other.closed, "\(what): closed “\(closed ?? "")” and “\(other.closed ?? "")”")
    }
}
