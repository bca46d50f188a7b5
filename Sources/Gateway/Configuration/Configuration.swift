public import DNS

/// What `postern.yaml` says, checked. Every key has a default but `hostname` and `domains`.
public struct Configuration: Sendable, Equatable {
    /// The host's own name, as it says it in greetings, EHLO and Received fields.
    public var hostname: String = ""
    /// What this process is.
    public var roles: Set<Role> = [.mx, .relay, .submission, .store]
    /// The folder for spool, mailboxes and journeys (absolute, or relative to the configuration's folder).
    public var dataFolder: String = "data"
    /// The organisation's domains.
    public var domains: [DomainName] = []
    /// The certificate that clients and the internet see: PEM files. Missing: no TLS towards the outside.
    public var certificate: CertificateFiles?
    /// Certificates for further names, chosen by what clients ask for (SNI).
    public var certificates: [CertificateFiles] = []
    /// Whether role mx lets old MTAs use weak suites of TLS 1.2 (CBC, no forward secrecy), behind the strong ones.
    public var weakCiphers: Bool = false
    /// How the certificate is had and renewed; `nil`: somebody else writes its files.
    public var acme: ACMESettings?
    /// Certificate, key and authority for the links between Postern hosts.
    public var link: LinkFiles?
    /// Further authorities whose certificates `verified` targets may have (PEM); the system's are used as well.
    public var authorities: [String] = []
    public var listeners: [Listener] = []
    /// The other hosts by role.
    public var peers: [Role: Peer] = [:]
    /// Domains whose mail takes a way of its own, by their name in ASCII; `*` for every domain of the internet that has none.
    public var routes: [String: Route] = [:]
    /// Where the webmail finds mail; `nil` on every other host.
    public var webmail: WebmailSettings?
    public var resolver: ResolverSettings = .init()
    public var authentication: AuthenticationSettings = .init()
    /// How mail is protected on its way to other organisations.
    public var transport: TransportSettings = .init()
    /// The policies of MTA-STS that are hosted here; `nil`: none.
    public var mtaSTS: MTASTSSettings?
    /// What mail programs are told; `nil`: nothing.
    public var clients: ClientSettings?
    /// How web servers of other organisations are spoken with.
    public var web: WebSettings = .init()
    public var signing: SigningSettings = .init()
    /// What the DNS is to say of the domains; `nil`: nobody compares.
    public var dns: DNSSettings?
    /// How reports are made and taken; `nil`: they aren't.
    public var reports: ReportSettings?
    /// How this process filters for an MTA; `nil`: it doesn't.
    public var milter: MilterSettings?
    public var limits: LimitSettings = .init()
    public var queue: QueueSettings = .init()
    public var journeys: JourneySettings = .init()
    public var logging: LoggingSettings = .init()
    /// Where metrics and health are told; `nil`: nowhere.
    public var monitoring: MonitoringSettings?
    /// The local address that outbound connections come from, where it matters.
    public var outboundAddress: IPAddress?
    /// The port of other organisations' MTAs; 25 but in tests.
    public var outboundPort: Int = 25
    /// The longest wait for any single step of another host. The waits of RFC 5321 §4.5.3.2 are 10 minutes at most, so that the default
    /// shortens none of them.
    public var outboundTimeoutSeconds: Int = 600
    /// What separates a sub-address: `+`; empty switches them off.
    public var subaddressSeparator: String = "+"

    public init() {}

    public enum Role: String, Sendable, Codable, CaseIterable, Hashable {
        case mx, relay, submission, store, `internal`, webmail

        /// Those whose hosts have a link certificate. The webmail's has none.
        public static let linked = allCases.filter { $0 != .webmail }
    }

    public struct CertificateFiles: Sendable, Equatable {
        public var certificate: String
        public var key: String
        public init(certificate: String, key: String) {
            self.certificate = certificate
            self.key = key
        }
    }

    public struct LinkFiles: Sendable, Equatable {
        public var certificate: String
        public var key: String
        public var authority: String
        public init(certificate: String, key: String, authority: String) {
            self.certificate = certificate
            self.key = key
            self.authority = authority
        }
    }

    public struct Listener: Sendable, Equatable {
        /// What is spoken: `smtp` (25), `submission` (587, STARTTLS), `submissions` (465, TLS), `imap` (143, STARTTLS), `imaps` (993, TLS),
        /// `link` (SMTP between our hosts, mutual TLS), `control` (HTTP between our hosts, mutual TLS), `https` (443, the webmail),
        /// `policy` (443, policies of MTA-STS, settings of mail programs and reports on TLS).
        public enum Kind: String, Sendable, Codable, CaseIterable { case smtp, submission, submissions, imap, imaps, link, control, https, policy }
        public var kind: Kind
        public var address: IPAddress
        public var port: Int
        /// Networks whose connections begin with a header of the PROXY protocol, which is believed.
        public var proxies: [IPNetwork]
        public init(kind: Kind, address: IPAddress, port: Int, proxies: [IPNetwork] = []) {
            self.proxies = proxies
            self.kind = kind
            self.address = address
            self.port = port
        }
    }

    /// Where another of our hosts is reached.
    public struct Peer: Sendable, Equatable {
        /// The name in its link certificate.
        public var host: String
        public var address: IPAddress
        /// Its `link` listener's port; nil where it has none for us.
        public var linkPort: Int?
        /// Its `control` listener's port; nil where we don't dial it.
        public var controlPort: Int?
        public init(host: String, address: IPAddress, linkPort: Int?, controlPort: Int?) {
            self.host = host
            self.address = address
            self.linkPort = linkPort
            self.controlPort = controlPort
        }
    }

    /// A host that isn't Postern's and takes all mail of a domain: a mail server inside, or a provider that sends for us (a smart host).
    public struct Route: Sendable, Equatable {
        /// How the way to the host is secured.
        public enum Security: String, Sendable, CaseIterable { case opportunistic, verified, plain }
        /// What the host speaks: SMTP (RFC 5321) or LMTP (RFC 2033).
        public enum Transport: String, Sendable, CaseIterable { case smtp, lmtp }
        /// Which recipients of an own domain the edge takes: those that the inside has told, or all (the host must refuse in its session).
        public enum Recipients: String, Sendable, CaseIterable { case known, any }
        /// The name that its certificate must have where the security is `verified`.
        public var host: String = ""
        public var address: IPAddress = .v4(0)
        public var port: Int = 25
        public var security: Security = .verified
        public var transport: Transport = .smtp
        public var recipients: Recipients = .known
        public init() {}
    }

    /// The two hosts inside that the webmail speaks with as its users: IMAPS to read, submission under TLS to send.
    public struct WebmailSettings: Sendable, Equatable {
        /// The name that the store's public certificate must have.
        public var imapHost: String = ""
        public var imapAddress: IPAddress = .v4(0)
        public var imapPort: Int = 993
        /// The name that the submission host's public certificate must have.
        public var submissionHost: String = ""
        public var submissionAddress: IPAddress = .v4(0)
        public var submissionPort: Int = 465
        public init() {}
    }

    public struct ResolverSettings: Sendable, Equatable {
        /// A file with trust anchors; `nil`: the system's root key.
        public var trustAnchorFile: String?
        /// Recursive servers to ask (`127.0.0.1` or `127.0.0.1@5353`); empty: ask the authoritative servers from the root on.
        public var forwarders: [String] = []
        public var rootHintsFile: String?
        /// A name that is known to be signed, and one that is known to be bogus: asked at start to prove that validation works.
        public var secureProbe: DomainName?
        public var bogusProbe: DomainName?
        public var timeoutSeconds: Int = 10
        public init() {}
    }

    public struct LimitSettings: Sendable, Equatable {
        public var messageSizeBytes: Int = 50 * 1024 * 1024
        public var recipients: Int = 1000
        public var connections: Int = 10_000
        public var connectionsPerNetwork: Int = 200
        /// Messages larger than this are written to a file while they arrive.
        public var memoryPerMessageBytes: Int = 256 * 1024
        /// All bytes that sessions hold in memory; over it clients get 421.
        public var memoryBudgetBytes: Int = 512 * 1024 * 1024
        public var errorsPerSession: Int = 20
        public var commandTimeoutSeconds: Int = 300
        public var dataTimeoutSeconds: Int = 180
        /// A whole message may take this long at most.
        public var messageTimeoutSeconds: Int = 1800
        /// Received fields beyond this mean a loop.
        public var hops: Int = 50
        public var greetingDelayMilliseconds: Int = 0
        /// How long sessions and deliveries may take to end when the host stops.
        public var stopSeconds: Int = 20
        /// Networks (CIDR) whose clients may send bare LF.
        public var bareLineFeedNetworks: [IPNetwork] = []
        /// Networks without the limit of connections per network.
        public var trustedNetworks: [IPNetwork] = []
        public init() {}
    }

    public struct QueueSettings: Sendable, Equatable {
        /// Waits between attempts, in seconds; the last one repeats.
        public var retrySeconds: [Int] = [60, 300, 900, 1800, 3600, 7200, 14400]
        public var expireSeconds: Int = 5 * 24 * 3600
        public var delayWarningSeconds: Int = 4 * 3600
        public var connectionsPerDestination: Int = 20
        /// Messages that a destination outside of the house gets in a minute; 0 for no limit.
        public var messagesPerMinutePerDestination: Int = 0
        public var deliveries: Int = 200
        public init() {}
    }

    public struct JourneySettings: Sendable, Equatable {
        /// Whether evidence is kept at all.
        public var enabled: Bool = true
        public var keepDays: Int = 30
        /// How often the inside collects the others' journeys.
        public var collectSeconds: Int = 5
        public init() {}
    }

    /// A listener for the monitoring of this very machine.
    public struct MonitoringSettings: Sendable, Equatable {
        /// A loopback address.
        public var address: IPAddress = .v4(0x7f00_0001)
        public var port: Int = 9154
        public init() {}
    }

    public struct LoggingSettings: Sendable, Equatable {
        public var level: String = "info"
        public var json: Bool = false
        public init() {}
    }
}
