public import DNS
public import MailMessage
public import SMTP

/// Where a message goes next: one host with its addresses, to be tried in order.
public struct SMTPTarget: Hashable, Sendable {
    /// How the connection must be secured.
    public enum Security: String, Hashable, Sendable, Codable {
        /// STARTTLS where the peer offers it, any certificate; plain text where it doesn't or where TLS fails (RFC 7435).
        case opportunistic
        /// STARTTLS and a certificate that is valid for `hostname`, or no delivery.
        case verified
        /// TLS 1.3 from the first octet with our role's certificate; the peer's must come from the internal authority and name
        /// `peerRole`.
        case link
        /// As the message's ``SMTPPeerJudge`` says, which sees the session before the message goes.
        case judged
        /// No TLS at all.
        case plain
    }
    public var hostname: String
    public var addresses: [IPAddress]
    public var port: Int
    public var security: Security
    /// The name that is asked for by SNI; `nil` for `hostname`.
    public var serverName: String?
    /// For `.link`: the role that the peer's certificate must name.
    public var peerRole: String?
    /// The host speaks LMTP (RFC 2033): each recipient gets its own reply to the message.
    public var isLMTP: Bool

    public init(
        hostname: String, addresses: [IPAddress], port: Int, security: Security, serverName: String? = nil, peerRole: String? = nil, isLMTP: Bool = false
    ) {
        self.hostname = hostname
        self.addresses = addresses
        self.port = port
        self.security = security
        self.serverName = serverName
        self.peerRole = peerRole
        self.isLMTP = isLMTP
    }
}

/// A message that is sent to some of its recipients over one connection.
public struct OutboundMessage: Sendable {
    /// The envelope with the recipients of this delivery only.
    public var envelope: Envelope
    public var content: any MessageContent
    /// Handed on as `XTRACE=` to peers that are reached by `.link` and offer XTRACE; never to anyone else.
    public var trace: TraceID?
    /// For targets whose security is `.judged`; without one nothing goes there.
    public var judge: (any SMTPPeerJudge)?

    public init(envelope: Envelope, content: any MessageContent, trace: TraceID?, judge: (any SMTPPeerJudge)? = nil) {
        self.envelope = envelope
        self.content = content
        self.trace = trace
        self.judge = judge
    }
}

/// What came of one attempt to deliver a message to one target.
public struct DeliveryReport: Sendable {
    /// One outcome for each recipient of the envelope, in its order.
    public var outcomes: [Outcome]
    /// The address that was reached last; `nil` if none.
    public var remoteAddress: IPAddress?
    public var hostname: String
    /// The connection served an earlier message already.
    public var reusedConnection: Bool
    public var tls: TLSSummary?
    /// Failed connections and TLS sessions on the way, as sentences with the address in them.
    public var failures: [String]
    /// What the message's judge said, in order.
    public var judgements: [SMTPPeerJudgement]
    /// The message was kept back because of what was seen of the host: no recipient was named to it.
    public var isKeptBack: Bool
    /// Every command with its reply.
    public var exchanges: [SMTPExchange]
    public var duration: Duration

    public init(
        outcomes: [Outcome], remoteAddress: IPAddress? = nil, hostname: String, reusedConnection: Bool = false, tls: TLSSummary? = nil,
        failures: [String] = [], judgements: [SMTPPeerJudgement] = [], isKeptBack: Bool = false, exchanges: [SMTPExchange] = [], duration: Duration = .zero
    ) {
        self.outcomes = outcomes
        self.remoteAddress = remoteAddress
        self.hostname = hostname
        self.reusedConnection = reusedConnection
        self.tls = tls
        self.failures = failures
        self.judgements = judgements
        self.isKeptBack = isKeptBack
        self.exchanges = exchanges
        self.duration = duration
    }

    /// What came of one recipient.
    public struct Outcome: Sendable {
        /// What became of it.
        public enum Result: String, Sendable, Codable {
            /// The peer answered for the message.
            case delivered
            /// The peer, or the lack of one, asks for another try.
            case deferred
            /// The peer refused for good.
            case failed
        }
        public var recipient: EnvelopeRecipient
        public var result: Result
        /// The peer's own reply, or one made here (with ``isLocal``) that describes a connection failure, e.g. 450 4.4.1.
        public var reply: SMTPReply
        /// The reply was made here and not by the peer.
        public var isLocal: Bool
        /// The peer offered DSN, so it has taken over the duty to notify (RFC 3461 §5.2.1).
        public var peerHandlesDSN: Bool

        public init(recipient: EnvelopeRecipient, result: Result, reply: SMTPReply, isLocal: Bool, peerHandlesDSN: Bool) {
            self.recipient = recipient
            self.result = result
            self.reply = reply
            self.isLocal = isLocal
            self.peerHandlesDSN = peerHandlesDSN
        }
    }
}
