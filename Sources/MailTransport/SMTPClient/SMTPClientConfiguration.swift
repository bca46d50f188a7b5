public import DNS
public import SMTP

/// How messages are sent out.
public struct SMTPClientConfiguration: Sendable {
    /// How long to wait for what: the values of RFC 5321 §4.5.3.2 where it has one.
    public struct Timeouts: Sendable, Hashable {
        /// For the TCP connection to one address.
        public var connect = Duration.seconds(30)
        /// For a TLS handshake.
        public var handshake = Duration.seconds(60)
        /// For the greeting (RFC 5321 §4.5.3.2.1).
        public var greeting = Duration.seconds(300)
        /// For the replies to EHLO, STARTTLS and AUTH.
        public var introduction = Duration.seconds(300)
        /// For the reply to MAIL (RFC 5321 §4.5.3.2.2).
        public var mail = Duration.seconds(300)
        /// For the reply to RCPT (RFC 5321 §4.5.3.2.3).
        public var recipient = Duration.seconds(300)
        /// For the reply to DATA (RFC 5321 §4.5.3.2.4).
        public var dataInitiation = Duration.seconds(120)
        /// For the peer to take a piece of the message (RFC 5321 §4.5.3.2.5).
        public var dataBlock = Duration.seconds(180)
        /// For the reply to the message (RFC 5321 §4.5.3.2.6).
        public var dataTermination = Duration.seconds(600)
        /// For the reply to QUIT.
        public var quit = Duration.seconds(5)

        /// The defaults.
        public init() {}

        /// Makes no wait longer than this.
        public mutating func limit(to longest: Duration) {
            for wait in [
                \Self.connect, \.handshake, \.greeting, \.introduction, \.mail, \.recipient, \.dataInitiation, \.dataBlock, \.dataTermination, \.quit,
            ] { self[keyPath: wait] = min(self[keyPath: wait], longest) }
        }

        func duration(for wait: SMTPClientWait) -> Duration {
            switch wait {
            case .greeting: greeting
            case .introduction: introduction
            case .handshake: handshake
            case .mail: mail
            case .recipient: recipient
            case .dataInitiation: dataInitiation
            case .dataBlock: dataBlock
            case .dataTermination: dataTermination
            case .quit: quit
            }
        }
    }

    /// Our name in EHLO.
    public var hostname: String
    /// The address that connections go out from, for targets of its family; `nil` leaves it to the system.
    public var localAddress: IPAddress?
    /// How long to wait for what.
    public var timeouts = Timeouts()
    /// How long a connection without a message is kept.
    public var maxIdle = Duration.seconds(30)
    /// Messages that go over one connection before it is given up.
    public var maxMessagesPerConnection = 100
    /// Connections without a message that are kept for one target.
    public var maxIdleConnectionsPerTarget = 20
    /// Addresses of a target that are tried (RFC 5321 §5.1 lets a client limit them).
    public var maxAddresses = 10
    /// Who authenticates at the peers: for a smarthost, never for the internet.
    public var credentials: SMTPCredentials?
    /// On links, messages of at most this many octets follow their envelope without waiting for its replies.
    public var earlyContentOctets = 65536
    /// How long ``SMTPClientPool/shutdown()`` waits for messages that are under way.
    public var shutdownGrace = Duration.seconds(10)

    /// A configuration with the defaults.
    public init(hostname: String, localAddress: IPAddress? = nil) {
        self.hostname = hostname
        self.localAddress = localAddress
    }
}

/// The TLS contexts of a client, one for each kind of security.
public struct SMTPClientTLS: Sendable {
    /// For ``SMTPTarget/Security/opportunistic``.
    public var opportunistic: TLSClientContext
    /// For ``SMTPTarget/Security/verified``.
    public var verified: TLSClientContext
    /// For ``SMTPTarget/Security/judged``: takes every certificate, and keeps the chain.
    public var observing: TLSClientContext
    /// For ``SMTPTarget/Security/link``; without one, such targets cannot be reached.
    public var link: TLSClientContext?

    /// Takes the contexts.
    public init(opportunistic: TLSClientContext, verified: TLSClientContext, observing: TLSClientContext, link: TLSClientContext? = nil) {
        self.opportunistic = opportunistic
        self.verified = verified
        self.observing = observing
        self.link = link
    }
}
