import IMAP
import NIOCore
import SASL

/// Runs a session as its server would, and hears what it says.
struct SessionDialogue {
    var session: IMAPSession
    /// What the store would answer.
    var answer: @Sendable (IMAPCommand) -> IMAPCompletion = { _ in .ok("Done") }
    /// What the session asked for besides writing, in words.
    var asked: [String] = []
    /// The message that was appended.
    var appended = ByteBuffer()
    var knowsUsers = true

    static let password = "correct horse"
    private static let verifier = try? SCRAMVerifier(password: password, salt: [1, 2, 3, 4], iterations: 4096)

    init(_ security: IMAPSession.Security = .implicit, binding: [UInt8]? = [1, 2, 3], change: (inout IMAPSession.Configuration) -> Void = { _ in }) {
        var configuration = IMAPSession.Configuration(hostname: "mail.kartapuce.test", security: security)
        change(&configuration)
        session = IMAPSession(configuration: configuration, authenticationSecret: [7], makeNonce: { "nonce" })
        if security == .implicit { session.tlsEstablished(channelBinding: binding) }
        session.greet()
    }

    /// What the server says after these octets.
    mutating func say(_ text: String) -> [String] {
        session.receive(ByteBuffer(string: text))
        return hear()
    }

    /// A whole line.
    mutating func line(_ text: String) -> [String] { say(text + "\r\n") }

    /// Logs in and forgets about it.
    mutating func logIn() { _ = line("login LOGIN bob@kartapuce.test \"\(Self.password)\"") }

    mutating func hear() -> [String] {
        var heard = ""
        while let action = session.next() {
            switch action {
            case .write(let octets): heard += String(buffer: octets)
            case .startTLS(let reply):
                heard += String(buffer: reply)
                asked.append("TLS")
            case .findVerifier(let username, _):
                guard knowsUsers else {
                    session.verifierUnavailable()
                    continue
                }
                session.provide(verifier: username == "bob@kartapuce.test" ? Self.verifier : nil)
            case .authenticationEnded(let username, let mechanism, let succeeded):
                asked.append("\(mechanism) of \(username) \(succeeded ? "succeeded" : "failed")")
            case .perform(let tag, let command):
                asked.append("\(tag) \(command)")
                session.complete(answer(command))
            case .beginAppend(let request):
                asked.append("append \(request.length) to \(request.mailbox)")
                if request.mailbox == "Missing" {
                    session.complete(.no("No such mailbox", code: "TRYCREATE"))
                } else {
                    session.acceptAppend()
                }
            case .appendOctets(let octets): appended.writeImmutableBuffer(octets)
            case .endAppend:
                asked.append("append ended")
                session.complete(.ok("Appended"))
            case .abandonAppend: asked.append("append abandoned")
            case .idle: asked.append("idle")
            case .idleEnded:
                asked.append("idle ended")
                session.complete(.ok("Idle no more"))
            case .close(let reason): asked.append("close: \(reason)")
            }
        }
        return heard.split(separator: "\r\n").map(String.init)
    }
}
