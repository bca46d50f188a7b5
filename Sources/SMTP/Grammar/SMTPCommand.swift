public import MailMessage

/// A command of a client as its grammar reads it (RFC 5321 §4.1, and the extensions that the server knows).
public enum SMTPCommand: Hashable, Sendable {
    /// `HELO domain`.
    case helo(String)
    /// `EHLO domain` or `EHLO [address]`.
    case ehlo(String)
    /// `MAIL FROM:<path> parameters`; `nil` is the null reverse-path.
    case mail(EmailAddress?, [SMTPParameter])
    /// `RCPT TO:<path> parameters`.
    case recipient(EmailAddress, [SMTPParameter])
    /// `DATA`.
    case data
    /// `BDAT octets [LAST]` (RFC 3030 §2).
    case chunk(octets: Int, isLast: Bool)
    /// `RSET`.
    case reset
    /// `NOOP`.
    case noop
    /// `QUIT`.
    case quit
    /// `VRFY`.
    case verify
    /// `EXPN`.
    case expand
    /// `HELP`.
    case help
    /// `AUTH mechanism [initial-response]` (RFC 4954 §4), the mechanism in upper case, the response as base64.
    case authenticate(mechanism: String, initialResponse: String?)
    /// `STARTTLS` (RFC 3207 §4).
    case startTLS
}

/// One `keyword[=value]` behind a path (RFC 5321 §4.1.2, `esmtp-param`).
public struct SMTPParameter: Hashable, Sendable {
    /// The keyword in upper case.
    public let keyword: String
    /// The value, `nil` where there is no `=`.
    public let value: String?

    /// Makes a parameter.
    public init(keyword: String, value: String?) {
        self.keyword = keyword.uppercased()
        self.value = value
    }
}

/// Why a line is no command, as the reply that says so.
public struct SMTPSyntaxError: Error, Hashable, Sendable {
    /// What the client is told.
    public let reply: SMTPReply
    /// Nothing that follows can be trusted: the line is another protocol's, or says how many octets follow and cannot be read.
    public let endsSession: Bool

    @inline(never)
    init(_ code: UInt16, _ status: (UInt8, UInt16, UInt16), _ text: String, endsSession: Bool = false) {
        reply = .make(code, status, text)
        self.endsSession = endsSession
    }
}
