public import DNS
public import FoundationEssentials
public import MailMessage
public import SASL
public import SMTP

/// What the server asks of the house while it speaks with a client. One service stands behind each listener; it holds the policy,
/// the server holds the protocol. All asynchronous calls come from child tasks of the connection, never on an event loop.
///
/// What can be answered without waiting is answered at once: the methods whose names end in `Now` are called first, on the connection's
/// event loop, and must not block. Where they don't answer, the asynchronous one is asked.
public protocol SMTPService: Sendable {
    /// The answer of ``connectionOpened(_:)`` where nobody need be asked.
    func connectionOpenedNow(_ session: SMTPSessionInfo) -> SMTPConnectionDecision?
    /// The answer of ``reversePath(_:trace:session:)`` where nobody need be asked.
    func reversePathNow(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) -> SMTPReply?
    /// The answer of ``recipient(_:envelope:session:)`` where nobody need be asked.
    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply?
    /// Does what ``connectionClosed(_:summary:)`` does where that needs no waiting.
    /// - Returns: `false` where the asynchronous one must be called.
    func connectionClosedNow(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) -> Bool

    /// A client connected (after TLS on an implicit TLS listener).
    /// - Returns: a 4yz or 5yz reply that is sent instead of the greeting, or `nil` to serve the client.
    func connectionOpened(_ session: SMTPSessionInfo) async -> SMTPReply?

    /// What is known of a user who authenticates.
    /// - Returns: `nil` for an unknown user (the server answers the same as for a wrong password, in the same time).
    /// - Throws: when nobody can tell now; the server answers 454 4.7.0.
    func verifier(forUser username: String, session: SMTPSessionInfo) async throws -> SCRAMVerifier?

    /// An authentication ended; `reply` is what the client was told.
    func authenticationEnded(username: String, mechanism: String, reply: SMTPReply, session: SMTPSessionInfo) async

    /// `MAIL FROM` was given.
    /// - Returns: the reply; a positive one opens the transaction.
    func reversePath(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) async -> SMTPReply

    /// `RCPT TO` was given; `envelope` has the recipients accepted so far.
    /// - Returns: the reply; a positive one adds the recipient.
    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply

    /// The message is complete. A 250 may be returned only after a durable commit.
    func message(_ transaction: SMTPTransaction) async -> SMTPReply

    /// The message's octets could not be written to its file while they arrived; what has come is dropped.
    /// - Returns: the reply at the end of the message, 4yz.
    func contentFailed(_ error: any Error, session: SMTPSessionInfo) async -> SMTPReply

    /// A transaction ended without a message: RSET, a new EHLO, QUIT, a lost connection or a limit. Told so that its journey is kept.
    func transactionAbandoned(_ transaction: SMTPTransaction, reason: String) async

    /// The connection ended. `summary` counts what happened on it.
    func connectionClosed(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) async
}

extension SMTPService {
    /// As for a full system (RFC 3463 §3.4).
    public func contentFailed(_ error: any Error, session: SMTPSessionInfo) async -> SMTPReply { .contentCannotBeStored }
    public func connectionOpenedNow(_ session: SMTPSessionInfo) -> SMTPConnectionDecision? { nil }
    public func reversePathNow(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) -> SMTPReply? { nil }
    public func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? { nil }
    public func connectionClosedNow(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) -> Bool { false }
}

/// Whether a client is served.
public enum SMTPConnectionDecision: Sendable, Hashable {
    case serve
    /// The 4yz or 5yz reply is sent instead of the greeting.
    case refuse(SMTPReply)
}

extension SMTPReply {
    /// What a client is told whose message can't be kept while it arrives.
    static let contentCannotBeStored = SMTPReply(452, EnhancedStatusCode(4, 3, 1), "The message cannot be stored now, try again later")
}

/// What is known about a client's session at the moment of a call.
public struct SMTPSessionInfo: Sendable {
    /// Unique within the process.
    public var id: UInt64
    /// The listener's name in the configuration: `smtp`, `submission`, `submissions`, `link`.
    public var listener: String
    public var localAddress: IPAddress
    public var localPort: Int
    public var remoteAddress: IPAddress
    public var remotePort: Int
    /// The proxy that handed the connection on, and whose word the addresses are; `nil` where the client connected itself.
    public var proxyAddress: IPAddress?
    public var connectedAt: Date
    /// What HELO or EHLO said; `nil` before.
    public var helo: String?
    /// EHLO was used rather than HELO.
    public var usesExtensions: Bool
    /// The TLS session, once it is there. It lies elsewhere: what is known is handed on with each word, and most of the many sessions are in clear.
    public var tls: TLSSummary? {
        get { establishedTLS?.summary }
        set { establishedTLS = newValue.map(EstablishedTLS.init) }
    }
    private var establishedTLS: EstablishedTLS?
    /// The user that AUTH established.
    public var authenticatedUser: String?
    /// The mechanism that did it.
    public var authenticationMechanism: String?

    public init(
        id: UInt64, listener: String, localAddress: IPAddress, localPort: Int, remoteAddress: IPAddress, remotePort: Int,
        proxyAddress: IPAddress? = nil, connectedAt: Date, helo: String? = nil, usesExtensions: Bool = false, tls: TLSSummary? = nil,
        authenticatedUser: String? = nil
    ) {
        self.id = id
        self.listener = listener
        self.localAddress = localAddress
        self.localPort = localPort
        self.remoteAddress = remoteAddress
        self.remotePort = remotePort
        self.proxyAddress = proxyAddress
        self.connectedAt = connectedAt
        self.helo = helo
        self.usesExtensions = usesExtensions
        establishedTLS = tls.map(EstablishedTLS.init)
        self.authenticatedUser = authenticatedUser
    }

    private final class EstablishedTLS: Sendable {
        let summary: TLSSummary

        init(_ summary: TLSSummary) { self.summary = summary }
    }

    /// The protocol's name for a Received field: `ESMTPSA` and its like (RFC 3848, RFC 6531 §4.3 for the UTF8 forms).
    public func protocolName(usesSMTPUTF8: Bool) -> String {
        guard usesExtensions else { return "SMTP" }
        return (usesSMTPUTF8 ? "UTF8SMTP" : "ESMTP") + (tls == nil ? "" : "S") + (authenticatedUser == nil ? "" : "A")
    }
}

/// A mail transaction: the envelope, the message where it arrived, and what was said on the way.
public struct SMTPTransaction: Sendable {
    public var session: SMTPSessionInfo
    public var envelope: Envelope
    /// The message; empty content where the transaction was abandoned before it.
    public var content: any MessageContent
    /// The identity that an authenticated peer handed on with `XTRACE=`; `nil` from everybody else.
    public var trace: TraceID?
    /// When MAIL was accepted.
    public var startedAt: Date
    /// How long the message's octets took, from DATA or the first BDAT to the last octet.
    public var transferDuration: Duration
    /// Each command of the transaction with its reply, in order (MAIL, RCPT…, DATA), limited to the first 200 and all refusals up to 1000.
    public var exchanges: [SMTPExchange]

    public init(
        session: SMTPSessionInfo, envelope: Envelope, content: any MessageContent, trace: TraceID?, startedAt: Date,
        transferDuration: Duration, exchanges: [SMTPExchange]
    ) {
        self.session = session
        self.envelope = envelope
        self.content = content
        self.trace = trace
        self.startedAt = startedAt
        self.transferDuration = transferDuration
        self.exchanges = exchanges
    }
}

/// One command and its reply. Secrets are never in it.
public struct SMTPExchange: Hashable, Sendable, Codable {
    /// The command as it was said, without CRLF, shortened to 512 octets; for a message's octets `(message, 12345 octets)`.
    public var command: String
    public var reply: SMTPReply
    /// From the command's last octet to the reply's first (server), or from sending to the reply's last octet (client).
    public var duration: Duration

    public init(command: String, reply: SMTPReply, duration: Duration) {
        self.command = command
        self.reply = reply
        self.duration = duration
    }
}

/// What happened on a connection, told when it ends.
public struct SMTPSessionSummary: Sendable {
    public var messagesAccepted: Int
    public var commandsRefused: Int
    public var octetsReceived: Int
    /// Why it ended: `quit`, `lost`, `idle time-out`, `too many errors`, `shutdown`…
    public var reason: String
    /// Refused commands outside of a transaction (smuggling, AUTH before TLS, early talking…), at most 100.
    public var refusals: [SMTPExchange]

    public init(messagesAccepted: Int, commandsRefused: Int, octetsReceived: Int, reason: String, refusals: [SMTPExchange]) {
        self.messagesAccepted = messagesAccepted
        self.commandsRefused = commandsRefused
        self.octetsReceived = octetsReceived
        self.reason = reason
        self.refusals = refusals
    }
}
