/// How a listener speaks SMTP. The same for all of its sessions.
public struct SMTPServerConfiguration: Hashable, Sendable {
    /// What AUTH is on a listener.
    public enum Authentication: Hashable, Sendable {
        /// Not offered.
        case none
        /// Offered.
        case offered
        /// Offered, and MAIL is refused before it (RFC 4954 §6, 530 5.7.0).
        case required
    }
    /// What TLS is on a listener.
    public enum Security: Hashable, Sendable {
        /// No TLS.
        case none
        /// STARTTLS is offered (RFC 3207).
        case startTLS
        /// STARTTLS is offered and nothing goes on without it (RFC 3207 §4, 530 5.7.0). Never for port 25.
        case startTLSRequired
        /// TLS from the first octet (RFC 8314 §3.3).
        case implicit
    }

    /// The name in the greeting.
    public var hostname: String
    /// The domain of a recipient that is `postmaster` alone (RFC 5321 §4.5.1); `nil` stands for `hostname`.
    public var postmasterDomain: String?
    /// What stands behind the name in the greeting.
    public var greeting: String
    public var authentication: Authentication
    public var security: Security
    public var limits: SMTPServerLimits
    /// REQUIRETLS is offered under TLS (RFC 8689 §2).
    public var offersRequireTLS: Bool
    /// XTRACE is offered to clients whose certificate names a role.
    public var acceptsTraces: Bool

    /// Makes a configuration; the defaults are those of an MTA that faces the internet without TLS.
    public init(
        hostname: String, greeting: String = "ESMTP", authentication: Authentication = .none, security: Security = .none,
        limits: SMTPServerLimits = SMTPServerLimits(), offersRequireTLS: Bool = false, acceptsTraces: Bool = false
    ) {
        self.hostname = hostname
        self.greeting = greeting
        self.authentication = authentication
        self.security = security
        self.limits = limits
        self.offersRequireTLS = offersRequireTLS
        self.acceptsTraces = acceptsTraces
    }
}

/// How a listener speaks, once for all of its sessions: each of them has nothing but a reference to it.
public final class SMTPServerTerms: Sendable {
    /// How the listener speaks.
    public let configuration: SMTPServerConfiguration

    /// Makes terms for sessions that begin from now on.
    public init(_ configuration: SMTPServerConfiguration) { self.configuration = configuration }
}
