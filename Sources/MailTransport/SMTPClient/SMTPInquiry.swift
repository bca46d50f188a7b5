public import DNS
import MailMessage
public import NIOCore
import NIOPosix
import NIOSSL
import NIOTLS
public import SMTP
public import TransportSecurity

/// A conversation with a server that only asks: what it says at the beginning, what it offers, which envelopes it would take. Nothing is ever sent:
/// the words DATA and BDAT aren't spoken.
///
///     S: 220 mx.kartapuce.test ESMTP
///     C: EHLO mail.gmail.test
///     C: STARTTLS
///     C: MAIL FROM:<> / RCPT TO:<…> / RSET
///     C: QUIT
public struct SMTPInquiry: Sendable {
    /// An envelope to try.
    public struct Envelope: Sendable {
        /// The argument of MAIL FROM, without brackets.
        public var sender: String
        /// The argument of RCPT TO, without brackets.
        public var recipient: String

        /// Makes an envelope.
        public init(sender: String, recipient: String) {
            self.sender = sender
            self.recipient = recipient
        }
    }

    /// What came of it.
    public struct Result: Sendable {
        /// Why there was no connection.
        public var connectionFailure: String?
        /// The greeting, whatever its code.
        public var greeting: SMTPReply?
        /// What EHLO was answered, the server's name first.
        public var hello: SMTPReply?
        /// What is known of TLS.
        public var tls = TLSObservation(isOffered: false)
        /// The answers to the envelopes: that to RCPT, or to MAIL where that was refused.
        public var answers: [SMTPReply] = []
        /// Why the conversation ended before its time.
        public var interruption: String?
    }

    private let group: any EventLoopGroup
    private let tls: TLSClientContext
    private let timeLimit: Duration
    private let helloName: String

    /// - Parameters:
    ///   - helloName: what we call ourselves.
    ///   - timeLimit: for connecting, and for each answer.
    /// - Throws: ``TLSFailure``.
    public init(helloName: String, timeLimit: Duration = .seconds(15), group: any EventLoopGroup) throws {
        self.group = group
        tls = try .observing()
        self.timeLimit = timeLimit
        self.helloName = helloName
    }

    /// Asks.
    public func ask(_ address: IPAddress, port: Int = 25, serverName: String?, envelopes: [Envelope]) async -> Result {
        var result = Result()
        let channel: any Channel
        let line: NIOLoopBound<SMTPInquiryHandler>
        do {
            (channel, line) = try await SMTPInquiryWire.connect(address, port, group: group, timeLimit: timeLimit)
        } catch {
            result.connectionFailure = SMTPClientConnection.reason(error)
            return result
        }
        do {
            try await converse(SMTPInquiryWire(channel: channel, handler: line, timeLimit: timeLimit), serverName, envelopes, &result)
        } catch {
            result.interruption = "\(error)"
        }
        channel.close(promise: nil)
        return result
    }

    private func converse(_ wire: SMTPInquiryWire, _ serverName: String?, _ envelopes: [Envelope], _ result: inout Result) async throws {
        let greeting = try await wire.reply()
        result.greeting = greeting
        guard greeting.isPositive else { return try await wire.quit() }
        var hello = try await wire.command("EHLO \(helloName)")
        result.hello = hello
        if hello.lines.dropFirst().contains(where: { $0.uppercased() == "STARTTLS" }) {
            result.tls.isOffered = true
            let go = try await wire.command("STARTTLS")
            if go.isPositive {
                do {
                    result.tls = try await wire.startTLS(tls, serverName: serverName)
                } catch {
                    result.tls.handshakeFailure = "\(error)"
                    return
                }
                hello = try await wire.command("EHLO \(helloName)")
            } else {
                result.tls.handshakeFailure = "STARTTLS was refused: \(go)"
            }
        }
        for envelope in envelopes {
            var answer = try await wire.command("MAIL FROM:<\(envelope.sender)>")
            if answer.isPositive { answer = try await wire.command("RCPT TO:<\(envelope.recipient)>") }
            result.answers.append(answer)
            // A server that has had enough says so and goes.
            if answer.code == 421 { return }
            _ = try await wire.command("RSET")
        }
        try await wire.quit()
    }
}
