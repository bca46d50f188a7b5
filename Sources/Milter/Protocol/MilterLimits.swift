/// What an MTA may use up of a filter. The protocol's own texts name hardly any limit; beside each default stands what MTAs send at most.
public struct MilterLimits: Hashable, Sendable {
    /// Octets of a packet behind its length. Postfix and Sendmail send at most 64 KiB of a body at once, and header fields of up to
    /// 100 KiB (Postfix's `header_size_limit`); 1 MiB is the largest chunk that Sendmail can be built for.
    public var packetLength = 1_048_576 + 1
    /// Macros of one stage. Postfix has about a dozen.
    public var macros = 256
    /// Octets of the names and values of one stage's macros.
    public var macroLength = 65_536
    /// ESMTP parameters of MAIL or RCPT.
    public var parameters = 64
    /// Octets of a name, an address with its parameters, or of what HELO said.
    public var textLength = 16_384
    /// Recipients of a message; Postfix's own limit is 1,000 (`smtpd_recipient_limit`).
    public var recipients = 50_000
    /// Header fields of a message.
    public var headerFields = 10_000
    /// Octets of a message's header.
    public var headerLength = 4 * 1024 * 1024
    /// Octets of a message. What comes beyond it isn't handed out, and the message gets
    /// ``MilterConfiguration/oversizeDecision``.
    public var messageLength = 100 * 1024 * 1024
    /// How long an MTA may pause within a message, in the negotiation and before the first command.
    public var messageTimeout: Duration = .seconds(300)
    /// How long a connection may be silent between messages: an SMTP client's silence is the filter's too. Postfix waits five minutes for
    /// a client (`smtpd_timeout`), Sendmail an hour.
    public var idleTimeout: Duration = .seconds(3_900)

    /// The defaults.
    public init() {}
}
