import MailMessage
import NIOCore

@testable import SMTP

/// A session, told what the server says; what it does is kept as lines of text.
struct ClientDialogue {
    var session: SMTPClientSession
    var content = ByteBuffer()
    var results: [SMTPClientResult] = []
    var failures: [SMTPClientFailure] = []
    /// All octets that the client wrote.
    var wire = ByteBuffer()
    /// Read pieces are handed over at once.
    var answersReads = true

    init(_ change: (inout SMTPClientSession.Configuration) -> Void = { _ in }) {
        var configuration = SMTPClientSession.Configuration(hostname: "smtp.kartapuce.test")
        change(&configuration)
        session = SMTPClientSession(configuration: configuration)
    }

    /// A session that is ready, with the extensions of the EHLO reply.
    static func ready(
        _ extensions: [String] = [], change: (inout SMTPClientSession.Configuration) -> Void = { _ in }
    ) -> ClientDialogue {
        var dialogue = ClientDialogue(change)
        _ = dialogue.run(dialogue.session.connected(at: .zero))
        _ = dialogue.server("220 mx.gmail.test ESMTP")
        _ = dialogue.server(ehlo(extensions))
        dialogue.wire.clear()
        return dialogue
    }

    static func ehlo(_ extensions: [String]) -> String {
        let lines = ["mx.gmail.test"] + extensions
        return lines.enumerated().map { "250\($0.offset == lines.count - 1 ? " " : "-")\($0.element)" }.joined(separator: "\r\n")
    }

    mutating func connect() -> [String] { run(session.connected(at: .zero)) }

    /// The server says these lines; CRLF is added.
    mutating func server(_ text: String) -> [String] {
        run(session.received(ByteBuffer(string: text + "\r\n"), at: .zero))
    }

    mutating func start(
        to recipients: [String], from sender: String? = "bob@kartapuce.test", content text: String = "Subject: hi\r\n\r\nhello\r\n",
        change: (inout Envelope) -> Void = { _ in }, trace: TraceID? = nil
    ) -> [String] {
        content = ByteBuffer(string: text)
        var envelope = Envelope(reversePath: sender.map(Self.address), recipients: recipients.map { .init(address: Self.address($0)) })
        change(&envelope)
        return run(session.start(.init(envelope: envelope, profile: SMTPContentProfile(content), trace: trace), at: .zero))
    }

    static func address(_ text: String) -> EmailAddress {
        let at = text.lastIndex(of: "@") ?? text.startIndex
        return EmailAddress(localPart: String(text[..<at]), domain: String(text[text.index(after: at)...]))
    }

    mutating func run(_ actions: [SMTPClientSession.Action]) -> [String] {
        var seen: [String] = []
        var queue = actions
        while !queue.isEmpty {
            switch queue.removeFirst() {
            case .write(let bytes):
                wire.writeImmutableBuffer(bytes)
                var lines = String(buffer: bytes).components(separatedBy: "\r\n")
                if lines.last == "" { lines.removeLast() }
                seen += lines
            case .startTLS: seen.append("(TLS)")
            case .ready: seen.append("(ready)")
            case .readContent(let range):
                guard answersReads else {
                    seen.append("(read \(range.lowerBound)..<\(range.upperBound))")
                    continue
                }
                let piece = content.getSlice(at: content.readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
                queue += session.content(piece, at: .zero)
            case .finished(let result):
                results.append(result)
                seen.append("(finished)")
            case .failed(let failure):
                failures.append(failure)
                seen.append("(failed: \(failure.stage.rawValue))")
            case .close: seen.append("(close)")
            }
        }
        return seen
    }

    /// The answers of the last result: `250`, `550`, `local 451 4.4.2`, `not tried`.
    var answers: [String] {
        results.last?.answers.map { answer in
            switch answer {
            case .peer(let reply): "\(reply.code)"
            case .local(let reply): "local \(reply.code) \(reply.enhancedStatus?.description ?? "")"
            case .notTried: "not tried"
            }
        } ?? []
    }
}

extension String {
    /// The parts between occurrences of a separator.
    func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var part: [UInt8] = []
        let separator = Array(separator.utf8)
        for byte in utf8 {
            part.append(byte)
            if part.suffix(separator.count).elementsEqual(separator) {
                parts.append(String(decoding: part.dropLast(separator.count), as: UTF8.self))
                part = []
            }
        }
        return parts + [String(decoding: part, as: UTF8.self)]
    }
}
