import MailMessage
import NIOCore
import SASL
import SMTP

/// Runs a session as a server would, with a service that says yes unless told otherwise, and remembers what happened.
struct ServerDialogue {
    var session: SMTPServerSession
    /// What was written and not yet taken by ``say(_:)``.
    var written = ByteBuffer()
    var messages: [(envelope: Envelope, trace: TraceID?, content: String)] = []
    var abandoned: [String] = []
    var closed: String?
    var records: [SMTPServerCommandRecord] = []
    var authentications: [(username: String, reply: UInt16)] = []
    var tlsRequests = 0
    private var content = ByteBuffer()

    var verifiers: [String: SCRAMVerifier] = [:]
    var verifierFails = false
    var judgeSender: (Envelope) -> SMTPReply = { _ in SMTPReply(250, EnhancedStatusCode(2, 1, 0), "Sender ok") }
    var judgeRecipient: (EnvelopeRecipient) -> SMTPReply = { _ in SMTPReply(250, EnhancedStatusCode(2, 1, 5), "Recipient ok") }
    var judgeMessage: () -> SMTPReply = { SMTPReply(250, EnhancedStatusCode(2, 0, 0), "Taken") }

    init(
        _ configuration: SMTPServerConfiguration = SMTPServerConfiguration(hostname: "mail.kartapuce.test"), allowsBareLineFeeds: Bool = false,
        greets: Bool = true
    ) {
        session = SMTPServerSession(terms: SMTPServerTerms(configuration), allowsBareLineFeeds: allowsBareLineFeeds, authenticationSecret: [1, 2, 3]) {
            "servernonceservernonce"
        }
        guard greets else { return }
        session.greet(refusal: nil)
        run()
        written = ByteBuffer()
    }

    /// Says lines, each with its CRLF, and returns the reply lines.
    mutating func say(_ lines: String...) -> [String] { send(lines.map { $0 + "\r\n" }.joined()) }

    /// Sends text as it is.
    mutating func send(_ text: String) -> [String] { send(Array(text.utf8)) }

    mutating func send(_ octets: [UInt8], inPiecesOf size: Int = .max) -> [String] {
        var rest = octets[...]
        repeat {
            session.receive(ByteBuffer(bytes: rest.prefix(size)))
            rest = rest.dropFirst(size)
            run()
        } while !rest.isEmpty
        return takeLines()
    }

    mutating func takeLines() -> [String] {
        let text = written.readString(length: written.readableBytes) ?? ""
        var lines = text.components(separatedByCRLF: ())
        if lines.last == "" { lines.removeLast() }
        return lines
    }

    mutating func run() {
        while let action = session.next() {
            switch action {
            case .reply(let reply, let record):
                reply.write(into: &written, allowsUTF8: session.allowsUTF8InReplies)
                records.append(record)
            case .startTLS: tlsRequests += 1
            case .requestVerifier(let username, var exchange):
                if verifierFails {
                    session.verifierUnavailable()
                } else {
                    let step = exchange.provide(verifier: verifiers[username])
                    session.verifierAnswered(exchange, step: step)
                }
            case .authenticationEnded(let username, _, let reply): authentications.append((username, reply.code))
            case .requestReversePath(let envelope, _): session.reversePathAnswered(judgeSender(envelope))
            case .requestRecipient(let recipient, _): session.recipientAnswered(judgeRecipient(recipient))
            case .contentBegan: content = ByteBuffer()
            case .content(let octets): content.writeImmutableBuffer(octets)
            case .contentRefused: content = ByteBuffer()
            case .requestVerdict(let envelope, let trace, let octets):
                precondition(octets == content.readableBytes, "the session counts what it hands out")
                messages.append((envelope, trace, String(buffer: content)))
                session.verdictAnswered(judgeMessage())
            case .transactionAbandoned(_, _, let reason): abandoned.append(reason)
            case .close(let reason): closed = reason
            }
        }
    }
}

extension String {
    /// Splits at CRLF, octet by octet (to Swift, CRLF is one character).
    func components(separatedByCRLF: ()) -> [String] {
        var lines: [[UInt8]] = [[]]
        for octet in utf8 {
            lines[lines.count - 1].append(octet)
            if lines[lines.count - 1].suffix(2) == [13, 10] {
                lines[lines.count - 1].removeLast(2)
                lines.append([])
            }
        }
        return lines.map { String(decoding: $0, as: UTF8.self) }
    }
}
