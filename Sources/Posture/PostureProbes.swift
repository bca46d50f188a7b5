public import DNS
public import MailAuthentication
public import TransportSecurity

/// The looks at a domain that need more than the DNS. Each may be missing: then the report says what was not looked at.
public struct PostureProbes: Sendable {
    /// Looks at mail servers.
    public var smtp: (any PostureSMTPProbe)?
    /// Fetches the policy of MTA-STS.
    public var policy: (any MTASTSFetcher)?
    /// Fetches the logo and its evidence.
    public var indicator: (any BIMIFetcher)?
    /// Asks the web servers that tell mail programs their settings.
    public var settings: (any PostureSettingsProbe)?
    /// Tries versions of TLS that nobody should take.
    public var versions: (any PostureVersionProbe)?
    /// The authorities that certificates are judged by.
    public var roots: PKIXRoots

    /// Puts probes together; without any, only the DNS is asked.
    public init(
        smtp: (any PostureSMTPProbe)? = nil, policy: (any MTASTSFetcher)? = nil, indicator: (any BIMIFetcher)? = nil,
        settings: (any PostureSettingsProbe)? = nil, versions: (any PostureVersionProbe)? = nil, roots: PKIXRoots = PKIXRoots()
    ) {
        self.smtp = smtp
        self.policy = policy
        self.indicator = indicator
        self.settings = settings
        self.versions = versions
        self.roots = roots
    }
}

/// Asks by HTTPS for the settings of mail programs. The library opens no sockets: whoever calls it passes this in.
public protocol PostureSettingsProbe: Sendable {
    /// Asks one server, whose certificate must be for its name; follows no redirection.
    /// - Parameters:
    ///   - host: the server.
    ///   - target: path and query.
    ///   - body: XML to send by POST; `nil` asks by GET.
    func ask(_ host: DomainName, _ target: String, body: String?) async -> PostureSettingsAnswer
}

/// What came of a question for settings.
public enum PostureSettingsAnswer: Sendable, Hashable {
    /// An answer of whatever status.
    case answered(status: Int, body: [UInt8])
    /// There was none, and why.
    case failed(String)
}

/// Tries to agree on TLS 1.0 and 1.1. The library opens no sockets: whoever calls it passes this in.
public protocol PostureVersionProbe: Sendable {
    /// Tries each version on a connection of its own.
    func tryOutdated(_ service: PostureVersionService, host: DomainName, address: IPAddress) async -> [PostureVersionAttempt]
}

/// Where a version of TLS is tried.
public enum PostureVersionService: Sendable, Hashable {
    /// After STARTTLS at port 25.
    case smtp
    /// From the beginning at port 443.
    case https
}

/// What came of offering one version of TLS and no other.
public struct PostureVersionAttempt: Sendable, Hashable {
    /// How it ended.
    public enum Outcome: Sendable, Hashable {
        /// The handshake succeeded, with this cipher suite.
        case accepted(String)
        /// The server ended it.
        case refused(String)
        /// It didn't come so far.
        case unclear(String)
    }
    /// `TLS 1.0`.
    public var version: String
    /// How it ended.
    public var outcome: Outcome

    /// Puts an attempt together.
    public init(version: String, outcome: Outcome) {
        self.version = version
        self.outcome = outcome
    }
}

/// Speaks to a mail server as a stranger would, and sends nothing. The library opens no sockets: whoever calls it passes this in.
public protocol PostureSMTPProbe: Sendable {
    /// Connects, says EHLO, begins TLS where it is offered, tries the envelopes that are given (each MAIL and RCPT, then RSET, and never DATA), and
    /// says QUIT. Never throws: what failed stands in the observation.
    /// - Parameters:
    ///   - host: the server's name, for the handshake.
    ///   - address: where to connect to.
    ///   - envelopes: what to try.
    func observe(host: DomainName, address: IPAddress, envelopes: [PostureEnvelope]) async -> PostureSMTPObservation
}

/// An envelope that a server is asked to accept.
public struct PostureEnvelope: Sendable, Hashable {
    /// The ways by which open relays were found (and a recipient that nobody has, to compare with).
    public enum Form: String, Sendable, Hashable, Codable, CaseIterable {
        /// Anybody to anybody.
        case plain
        /// The null sender to anybody.
        case nullSender
        /// The domain itself as the sender, to anybody.
        case ownSender
        /// `user%other@domain`
        case percent
        /// `"user@other"@domain`
        case quoted
        /// `@domain:user@other`
        case sourceRoute
        /// `other!user@domain`
        case bang
        /// A recipient of the domain that doesn't exist: a server that takes it takes everything first, and the forms above prove nothing.
        case control

        /// In words.
        public var name: String {
            switch self {
            case .plain: "mail between strangers"
            case .nullSender: "mail from nobody to a stranger"
            case .ownSender: "mail in the domain's name to a stranger"
            case .percent: "the percent form"
            case .quoted: "the quoted form"
            case .sourceRoute: "a source route"
            case .bang: "the bang form"
            case .control: "mail for an invented recipient"
            }
        }
    }

    /// Which way it is.
    public var form: Form
    /// The argument of MAIL FROM, without brackets.
    public var sender: String
    /// The argument of RCPT TO, without brackets.
    public var recipient: String

    /// The envelopes for a domain (checklist of gateways, A08). Nothing is sent: the recipient's domain is reserved (RFC 2606 §3).
    public static func all(for domain: DomainName, stranger: String = "example.com") -> [PostureEnvelope] {
        let name = domain.ascii
        return Form.allCases.map { form in
            let foreign = "posture-check@\(stranger)"
            return switch form {
            case .plain: PostureEnvelope(form: form, sender: "sender@\(stranger)", recipient: foreign)
            case .nullSender: PostureEnvelope(form: form, sender: "", recipient: foreign)
            case .ownSender: PostureEnvelope(form: form, sender: "postmaster@\(name)", recipient: foreign)
            case .percent: PostureEnvelope(form: form, sender: "", recipient: "posture-check%\(stranger)@\(name)")
            case .quoted: PostureEnvelope(form: form, sender: "", recipient: "\"\(foreign)\"@\(name)")
            case .sourceRoute: PostureEnvelope(form: form, sender: "", recipient: "@\(name):\(foreign)")
            case .bang: PostureEnvelope(form: form, sender: "", recipient: "\(stranger)!posture-check@\(name)")
            case .control: PostureEnvelope(form: form, sender: "", recipient: "posture-check-nobody@\(name)")
            }
        }
    }
}

/// What a mail server said and did.
public struct PostureSMTPObservation: Sendable {
    /// How far the connection came.
    public enum Contact: Sendable, Hashable {
        /// It greeted.
        case greeted
        /// Nothing answered: no way from here, or nobody there.
        case unreachable(String)
        /// It answered, and refuses to speak.
        case refused(String)
    }

    /// The answer to an envelope.
    public struct Answer: Sendable, Hashable {
        /// What was tried.
        public var envelope: PostureEnvelope
        /// The reply's code to RCPT, or to MAIL where that was refused; `nil` where none came.
        public var code: Int?
        /// The reply's text.
        public var text: String

        /// Makes an answer.
        public init(envelope: PostureEnvelope, code: Int?, text: String) {
            self.envelope = envelope
            self.code = code
            self.text = text
        }
    }

    /// How far it came.
    public var contact: Contact
    /// The greeting's text, without its code.
    public var greeting: String
    /// The lines of the answer to EHLO, before TLS.
    public var extensions: [String]
    /// What the session's TLS is; `isOffered` also where none was begun.
    public var tls: TLSObservation
    /// The answers to the envelopes.
    public var answers: [Answer]

    /// Makes an observation.
    public init(
        contact: Contact, greeting: String = "", extensions: [String] = [], tls: TLSObservation = TLSObservation(isOffered: false), answers: [Answer] = []
    ) {
        self.contact = contact
        self.greeting = greeting
        self.extensions = extensions
        self.tls = tls
        self.answers = answers
    }
}
