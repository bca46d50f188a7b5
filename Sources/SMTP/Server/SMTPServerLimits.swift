/// What a client may use up. Each default has beside it what RFC 5321 demands at least.
public struct SMTPServerLimits: Hashable, Sendable {
    /// Octets of a command line with its CRLF. RFC 5321 §4.5.3.1.4 demands 512; the extensions' parameters add about 1,100
    /// (RFC 1870 §3, RFC 3461 §4, RFC 4954 §5, RFC 6531 §3.4).
    public var commandLineLength = 4_096
    /// Octets of an AUTH command or of a client's line in its exchange; RFC 4954 §4 demands 12,288.
    public var authenticationLineLength = 12_288
    /// Octets of a line that is too long which are thrown away before the session ends.
    public var discardedLineLength = 65_536
    /// Octets of a line of a message without its CRLF. RFC 5321 §4.5.3.1.6 demands 998; real mail has longer ones.
    public var textLineLength = 65_536
    /// Octets of a message; RFC 5321 §4.5.3.1.7 demands 64 K.
    public var messageSize = 50 * 1024 * 1024
    /// Recipients of a transaction; RFC 5321 §4.5.3.1.8 demands 100.
    public var recipients = 1_000
    /// Recipients beyond the limit that are answered with 452 before the session ends.
    public var surplusRecipients = 1_000
    /// MAIL commands of a session, told as MAILMAX (RFC 9422 §4.1).
    public var transactions = 10_000
    /// Refused commands (5yz) of a session.
    public var errors = 20
    /// Failed authentications of a session.
    public var authenticationFailures = 3
    /// NOOP, RSET, VRFY, EXPN, HELP and greetings since the last accepted message.
    public var idleCommands = 100
    /// How long a client may say nothing; RFC 5321 §4.5.3.2.7 demands 5 minutes.
    public var commandTimeout: Duration = .seconds(300)
    /// How long a client may pause within a message; RFC 5321 §4.5.3.2.5 has 3 minutes for a client's own block.
    public var dataTimeout: Duration = .seconds(180)
    /// How long a whole message may take.
    public var messageTimeout: Duration = .seconds(1_800)

    /// The defaults.
    public init() {}
}
