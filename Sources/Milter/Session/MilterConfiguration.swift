/// What a filter wants of the MTAs that it serves. The same for all of its sessions.
public struct MilterConfiguration: Hashable, Sendable {
    /// Stages before the message at which the filter decides. At all others the session goes on by itself, and MTAs that can need no answer.
    /// Only `connect`, `helo`, `mail`, `recipient` and `data` count.
    public var decisions: Set<MilterStage>
    /// What the filter may do with a message. Less of it is negotiated where an MTA offers less.
    public var actions: MilterActionFlags
    /// Which macros are wanted, where the MTA lets a filter say so. An MTA's own configuration decides for stages that aren't named.
    public var macroRequests: [MilterStage: [String]]
    /// The body may be left out by ``MilterSession/skipBody()``. It costs an answer to each chunk; without it the body streams.
    public var maySkipBody: Bool
    /// What messages get that are over a limit.
    public var oversizeDecision: MilterVerdict.Decision
    public var limits: MilterLimits

    /// Makes a configuration; the defaults are those of a filter that checks and signs messages.
    public init(
        decisions: Set<MilterStage> = [], actions: MilterActionFlags = [.addHeaders, .changeHeaders, .quarantine],
        macroRequests: [MilterStage: [String]] = MilterConfiguration.usualMacros, maySkipBody: Bool = false,
        oversizeDecision: MilterVerdict.Decision = .reply(.messageTooLarge), limits: MilterLimits = MilterLimits()
    ) {
        self.decisions = decisions
        self.actions = actions
        self.macroRequests = macroRequests
        self.maySkipBody = maySkipBody
        self.oversizeDecision = oversizeDecision
        self.limits = limits
    }

    /// The macros that checks and signatures need, as Postfix and Sendmail name them.
    public static let usualMacros: [MilterStage: [String]] = [
        .connect: ["j", "{daemon_name}", "{client_addr}", "{client_name}", "{client_port}", "{if_addr}"],
        .helo: ["{tls_version}", "{cipher}", "{cipher_bits}", "{cert_subject}", "{cert_issuer}"],
        .mail: ["i", "{mail_addr}", "{mail_host}", "{mail_mailer}", "{auth_authen}", "{auth_type}", "{auth_author}"],
        .recipient: ["i", "{rcpt_addr}", "{rcpt_host}", "{rcpt_mailer}"],
        .data: ["i"],
        .endOfHeader: ["i"],
        .endOfMessage: ["i"],
    ]
}
