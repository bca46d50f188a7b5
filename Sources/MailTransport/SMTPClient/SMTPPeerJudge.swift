public import DNS
public import SMTP
public import TransportSecurity

/// Decides for one message whether it may go over a session with a host, before the host hears of it.
///
/// A session is judged anew for every message that it carries, by what was seen when it was opened.
public protocol SMTPPeerJudge: Sendable {
    /// Whether STARTTLS is tried where it is offered.
    var triesTLS: Bool { get }

    /// Judges a session, or the attempt at one whose TLS failed.
    func judge(_ observation: TLSObservation, at address: IPAddress) -> TLSVerdict
}

/// What a judge said of one session.
public struct SMTPPeerJudgement: Sendable {
    /// The host's address.
    public var address: IPAddress
    /// What was said.
    public var verdict: TLSVerdict
    /// Whether the session carried a message before; it was judged then as well.
    public var isReused: Bool
    /// Our end of the connection; `nil` where that isn't known.
    public var localAddress: IPAddress?
    /// How the host calls itself in its answer to EHLO; `nil` where it didn't come to that, and for sessions that are used again.
    public var helo: String?
}

extension TLSVerdict.Outcome {
    /// What the recipients hear where the message doesn't go; `nil` where it does.
    public func reply(about host: String) -> SMTPReply? {
        switch self {
        case .proceed: nil
        case .retry(let status, let reason): SMTPReply(451, status, "\(host): \(reason)")
        case .refuse(let status, let reason): SMTPReply(550, status, "\(host): \(reason)")
        }
    }
}
