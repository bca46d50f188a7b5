public import DNS
import MailMessage
import SMTP
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
}

extension TLSVerdict.Outcome {
    /// What the recipients hear where the message doesn't go; `nil` where it does.
    func reply(about host: String) -> SMTPReply? {
        switch self {
        case .proceed: nil
        case .retry(let status, let reason): SMTPReply(451, EnhancedStatusCode(text: status), "\(host): \(reason)")
        case .refuse(let status, let reason): SMTPReply(550, EnhancedStatusCode(text: status), "\(host): \(reason)")
        }
    }
}

extension EnhancedStatusCode {
    /// `nil` for what isn't three numbers.
    fileprivate init?(text: String) {
        let numbers = text.split(separator: ".").compactMap { UInt16($0) }
        guard numbers.count == 3, let statusClass = UInt8(exactly: numbers[0]) else { return nil }
        self.init(statusClass, numbers[1], numbers[2])
    }
}
