import MailMessage
import NIOCore
import SASL

@testable import SMTP

/// Replies of a server: read alone, and by a session of the client that has messages to send.
enum SMTPClientTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let whole = replies(Cut.whole.pieces(input.octets), enhanced: input.has(0))
        let cut = replies(Cut.random.pieces(input.octets), enhanced: input.has(0))
        require(whole.replies == cut.replies, "other replies in pieces")
        require(whole.failed == cut.failed, "other errors in pieces: \(whole.failed) \(cut.failed)")
        for reply in whole.replies { check(reply) }
        var session = ClientRun(input)
        session.feed(Cut.random.pieces(input.octets))
    }

    private static func replies(_ pieces: [ArraySlice<UInt8>], enhanced: Bool) -> (replies: [SMTPReply], failed: Bool) {
        var limits = SMTPReplyParser.Limits()
        limits.lineOctets = 300
        limits.lines = 12
        limits.replyOctets = 1_000
        var parser = SMTPReplyParser(limits: limits)
        var replies: [SMTPReply] = []
        // What is left of a long piece stays in its buffer.
        var longest = 0
        for piece in pieces {
            longest = max(longest, piece.count)
            parser.append(ByteBuffer(bytes: piece))
            do {
                while let reply = try parser.next(enhanced: enhanced) { replies.append(reply) }
            } catch {
                return (replies, true)
            }
            require(parser.octetsHeld <= 4 * (1_000 + longest), "the parser holds \(parser.octetsHeld) octets")
        }
        return (replies, false)
    }

    private static func check(_ reply: SMTPReply) {
        require((200..<600).contains(reply.code), "code \(reply.code)")
        require(!reply.lines.isEmpty && reply.lines.count <= 12, "\(reply.lines.count) lines")
        for line in reply.lines { require(line.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a control character in a reply's text") }
        // What is written of it is read as the same code again.
        var buffer = ByteBuffer()
        reply.write(into: &buffer, allowsUTF8: true)
        require(buffer.readableBytesView.hasWholeLineEnds, "a bare CR or LF in a reply that was written")
        var parser = SMTPReplyParser()
        parser.append(buffer)
        let again = try? parser.next()
        require(again?.code == reply.code && !parser.holdsOctets, "\(reply) is read back as \(String(describing: again))")
    }
}

/// A client that sends message after message to a server that says what the input says.
private struct ClientRun {
    private var session: SMTPClientSession
    private let content: ByteBuffer
    private var envelope: Envelope
    private var isReady = false
    private var isClosed = false
    private var hasStarted = false
    private var started = 0
    private var ended = 0
    private var written = 0

    init(_ input: Input) {
        var configuration = SMTPClientSession.Configuration(hostname: "smtp.kartapuce.test")
        configuration.isLMTP = input.has(1)
        configuration.startTLS = input.has(2) ? .opportunistic : .never
        configuration.handsOnTrace = true
        configuration.earlyContentOctets = input.has(3) ? 1_000 : 0
        configuration.chunkOctets = 40
        configuration.recipientLimit = 3
        if input.has(4) {
            configuration.credentials = SMTPCredentials(username: "bob@kartapuce.test", password: "correct horse")
            configuration.authenticationNonce = "clientnonceclientnonce"
        }
        session = SMTPClientSession(configuration: configuration)
        let text = input.has(5) ? "Subject: hé\r\n\r\n.\r\n..\nbare\rends\0" : "Subject: hi\r\n\r\n.hello\r\n.\r\nlonger than one chunk of forty octets is\r\n"
        content = ByteBuffer(string: text)
        let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
        let names = input.has(5) ? ["tom", "ålice", "mike"] : ["tom", "alice"]
        envelope = Envelope(
            reversePath: bob, recipients: names.map { .init(address: EmailAddress(localPart: $0, domain: "gmail.test"), notify: .never) })
    }

    mutating func feed(_ pieces: [ArraySlice<UInt8>]) {
        run(session.connected(isVerified: true, at: .zero))
        for piece in pieces where !isClosed { run(session.received(ByteBuffer(bytes: piece), at: .zero)) }
        if !isClosed { run(session.closed(reason: "the end of the input")) }
        _ = session.takeExchanges()
        require(isClosed, "the session didn't end with its connection")
        require(started == ended, "\(started) transactions began and \(ended) ended")
        // 20 octets of server make at most one command or message.
        require(written <= 60_000 + 4_000 * started, "\(written) octets were written")
    }

    private mutating func run(_ actions: [SMTPClientSession.Action]) {
        var queue = actions
        while !queue.isEmpty {
            let action = queue.removeFirst()
            switch action {
            case .write(let octets):
                require(!isClosed, "octets after the end")
                written += octets.readableBytes
            case .startTLS: queue += session.tlsEstablished(isVerified: true, at: .zero)
            case .ready: isReady = true
            case .readContent(let range):
                require(range.lowerBound >= 0 && range.upperBound <= content.readableBytes, "content \(range) is asked for")
                queue += session.content(content.getSlice(at: content.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer(), at: .zero)
            case .finished(let result):
                ended += 1
                require(result.answers.count == envelope.recipients.count, "\(result.answers.count) answers")
                isReady = true
            case .failed: break
            case .close: isClosed = true
            }
            // A server that answers everything gets another message, up to a number that the session itself may limit further.
            if queue.isEmpty, isReady, !isClosed, session.canBegin, started < 50 {
                isReady = false
                started += 1
                queue += session.start(
                    SMTPClientTransaction(envelope: envelope, profile: SMTPContentProfile(content), trace: TraceID("0123456789abcdef0123456789abcdef")),
                    at: .zero)
            }
        }
    }
}
