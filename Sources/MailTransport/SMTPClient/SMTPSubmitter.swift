public import DNS
public import MailMessage
public import NIOCore
public import SMTP

/// Submits one message like a mail client (RFC 6409): connects, proves who it is, sends, quits.
public struct SMTPSubmitter: Sendable {
    /// How the connection is secured.
    public enum Security: String, Sendable, Hashable {
        /// TLS from the first octet, port 465 (RFC 8314 §3.3).
        case implicitTLS
        /// STARTTLS, port 587; without it nothing is sent.
        case startTLS
        /// No TLS; then no password is sent either.
        case plain
    }

    /// The server's name, which its certificate must be valid for if `tls` says so.
    public var hostname: String
    /// The server's address.
    public var address: IPAddress
    /// The server's port.
    public var port: Int
    /// How the connection is secured.
    public var security: Security
    /// Who submits.
    public var credentials: SMTPCredentials?
    /// The context for TLS; its verification decides whom the password is shown to.
    public var tls: TLSClientContext
    /// Our name in EHLO.
    public var clientHostname = "localhost"
    /// The address that the connection goes out from; `nil` leaves it to the system.
    public var localAddress: IPAddress?
    /// How long to wait for what.
    public var timeouts = SMTPClientConfiguration.Timeouts()
    /// Where the connection's work is done.
    public var group: any EventLoopGroup

    /// Makes a submitter.
    public init(
        hostname: String, address: IPAddress, port: Int, security: Security, credentials: SMTPCredentials?, tls: TLSClientContext,
        group: any EventLoopGroup
    ) {
        self.hostname = hostname
        self.address = address
        self.port = port
        self.security = security
        self.credentials = credentials
        self.tls = tls
        self.group = group
    }

    /// Sends a message.
    /// - Returns: what was said; every recipient was taken.
    /// - Throws: ``SMTPSubmissionError`` with the server's reply when it refused the client, the message or any recipient.
    @discardableResult
    public func send(_ envelope: Envelope, content: any MessageContent) async throws -> DeliveryReport {
        let clock = ContinuousClock()
        let began = clock.now
        let target = SMTPTarget(
            hostname: hostname, addresses: [address], port: port, security: security == .plain ? .plain : .verified)
        var attempt = SMTPDeliveryAttempt(
            message: OutboundMessage(envelope: envelope, content: content, trace: nil), target: target)
        attempt.remoteAddress = address
        do {
            let connection = try await SMTPClientConnection.open(
                address, port: port, from: localAddress, plan: plan, group: group)
            attempt.record(connection.opening.exchanges)
            attempt.use(connection, isReused: false)
            let buffer = try await content.readAll()
            let transaction = SMTPClientTransaction(envelope: envelope, profile: SMTPContentProfile(buffer))
            let sent = await connection.send(transaction, content: BufferedContent(buffer))
            attempt.record(sent.exchanges)
            attempt.take(sent.result)
            connection.quit()
            try? await connection.channel.closeFuture.get()
        } catch let error as SMTPClientConnection.OpeningFailure {
            attempt.record(error.exchanges)
            attempt.answerRest(error.failure.reply, isLocal: error.failure.isLocal)
        }
        attempt.answerRest(SMTPReply(451, EnhancedStatusCode(4, 5, 3), "the server takes fewer recipients in a session"))
        var report = attempt.report()
        report.duration = clock.now - began
        if let refused = report.outcomes.first(where: { $0.result != .delivered }) {
            throw SMTPSubmissionError(reply: refused.reply, isLocal: refused.isLocal, report: report)
        }
        return report
    }

    private var plan: SMTPConnectionPlan {
        var session = SMTPClientSession.Configuration(hostname: clientHostname)
        session.credentials = credentials
        session.hasImplicitTLS = security == .implicitTLS
        session.startTLS = security == .startTLS ? .required : .never
        return SMTPConnectionPlan(
            session: session, tls: security == .plain ? nil : tls, serverName: SMTPClientTLS.serverName(hostname),
            timeouts: timeouts)
    }
}

/// A submission was refused, in whole or for some recipients.
public struct SMTPSubmissionError: Error, Sendable, CustomStringConvertible {
    /// The first reply that refused something.
    public let reply: SMTPReply
    /// The reply was made here, for want of a server's.
    public let isLocal: Bool
    /// All that was said, with an outcome for each recipient.
    public let report: DeliveryReport

    /// `the server refused the message: 550 5.1.1 No such user`.
    public var description: String {
        isLocal ? "the message could not be submitted: \(reply)" : "the server refused the message: \(reply)"
    }
}
