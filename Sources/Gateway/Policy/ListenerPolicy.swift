import FoundationEssentials
import Journeys
import MailMessage
import MailTransport
import NIOCore
import SMTP

/// What a listener lets through: who may connect, send, and send to whom. One policy per kind of listener.
protocol ListenerPolicy: Sendable {
    /// The role in which the listener works.
    var role: Configuration.Role { get }
    /// Who knows the users and addresses.
    var directory: any Directory { get }
    /// Why a message is accepted in the end, for the journey.
    var acceptance: String { get }
    /// The reply that turns a client away at once; `nil` to serve it.
    func refusal(of session: SMTPSessionInfo) -> SMTPReply?
    /// The reply to MAIL where nobody need be asked.
    func reversePathNow(_ envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply?
    /// The reply to RCPT where nobody need be asked.
    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply?
    /// The reply to MAIL.
    func reversePath(_ envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply
    /// The reply to RCPT.
    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply
    /// The header fields that this host puts in front.
    func fields(for transaction: SMTPTransaction, trace: TraceID, description: MessageDescription, hostname: String, at time: Date) -> ByteBuffer
}

extension ListenerPolicy {
    func refusal(of session: SMTPSessionInfo) -> SMTPReply? { nil }

    func reversePathNow(_ envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? { nil }

    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? { nil }

    func reversePath(_ envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        reversePathNow(envelope, session: session) ?? .senderAccepted
    }

    func fields(
        for transaction: SMTPTransaction, trace: TraceID, description: MessageDescription, hostname: String, at time: Date
    ) -> ByteBuffer {
        ReceivedTrace.field(for: transaction, trace: trace, hostname: hostname, showsClient: true, at: time)
    }

    /// The reply that says whether an own address is known.
    func replyForOwn(_ address: EmailAddress) async -> SMTPReply {
        do {
            return .toOwn(address, isKnown: try await directory.knows(address))
        } catch {
            return SMTPReply(451, .init(4, 4, 3), "Recipients can't be verified at the moment; try again later")
        }
    }
}

extension SMTPReply {
    static let senderAccepted = SMTPReply(250, .init(2, 1, 0), "Sender accepted")
    static let recipientAccepted = SMTPReply(250, .init(2, 1, 5), "Recipient accepted")

    /// The reply that says whether an own address is known.
    static func toOwn(_ address: EmailAddress, isKnown: Bool) -> SMTPReply {
        isKnown ? .recipientAccepted : SMTPReply(550, .init(5, 1, 1), "<\(address)>: no such mailbox here")
    }
}

/// Mail from the internet: for known recipients of our own domains, and for nobody else.
struct EdgePolicy: ListenerPolicy {
    let role = Configuration.Role.mx
    let directory: any Directory
    let router: Router
    let acceptance = "the recipients are ours and known"

    func reversePathNow(_ envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? { .senderAccepted }

    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? {
        guard router.isOwn(recipient.address) else {
            return SMTPReply(550, .init(5, 7, 1), "<\(recipient.address)>: this server does not relay for \(recipient.address.domain)")
        }
        if router.takesEveryRecipient(of: recipient.address) { return .recipientAccepted }
        return directory.knowsNow(recipient.address).map { .toOwn(recipient.address, isKnown: $0) }
    }

    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        if let reply = recipientNow(recipient, envelope: envelope, session: session) { return reply }
        return await replyForOwn(recipient.address)
    }
}

/// Mail from our own users, who have authenticated (RFC 6409).
struct SubmissionPolicy: ListenerPolicy {
    let role: Configuration.Role
    let directory: any Directory
    let router: Router
    let acceptance = "an authenticated user sends under an address of theirs"

    func reversePath(_ envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        guard let user = session.authenticatedUser.flatMap({ try? EmailAddress(parsing: $0) }) else {
            return SMTPReply(530, .init(5, 7, 0), "Authentication required")
        }
        // RFC 6409 §6.1: only addresses that lead to the user. The null reverse-path is for notifications, which users don't send.
        guard let sender = envelope.reversePath else {
            return SMTPReply(550, .init(5, 7, 1), "A submission needs a reverse-path")
        }
        do {
            return try await directory.mayUser(user, sendAs: sender)
                ? .senderAccepted : SMTPReply(550, .init(5, 7, 1), "<\(sender)> is not an address of \(user)")
        } catch {
            return SMTPReply(451, .init(4, 4, 3), "Senders can't be verified at the moment; try again later")
        }
    }

    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        router.isOwn(recipient.address) ? await replyForOwn(recipient.address) : .recipientAccepted
    }

    func fields(
        for transaction: SMTPTransaction, trace: TraceID, description: MessageDescription, hostname: String, at time: Date
    ) -> ByteBuffer {
        // A user's own address and the name of their machine are nobody else's business.
        var buffer = ReceivedTrace.field(for: transaction, trace: trace, hostname: hostname, showsClient: false, at: time)
        // RFC 6409 §8.2, §8.3: the submission server adds what the message lacks.
        if !description.hasDate { buffer.writeString("Date: \(MessageDate(time))\r\n") }
        if !description.hasMessageID { buffer.writeString("Message-ID: <\(trace)@\(hostname)>\r\n") }
        return buffer
    }
}

/// Mail from our other hosts, known by the role in their certificate. Each role may do only what the zones allow it.
struct LinkPolicy: ListenerPolicy {
    /// The role that this host plays towards its peers: `store`, `relay` or `mx`.
    let role: Configuration.Role
    let directory: any Directory
    let router: Router
    var acceptance: String { "handed over by a host of ours" }

    /// Which roles may hand mail to this one.
    private var welcome: Set<String> {
        switch role {
        case .store: ["mx", "submission", "internal"]
        case .relay: ["submission", "internal", "store"]
        // What the relay sends back to our own users: notices about mail that it could not deliver.
        case .mx: ["relay"]
        case .submission, .internal, .webmail: []
        }
    }

    func refusal(of session: SMTPSessionInfo) -> SMTPReply? {
        guard let roles = session.tls?.peerRoles, !roles.isDisjoint(with: welcome) else {
            return SMTPReply(554, .init(5, 7, 1), "No role of yours may hand mail to this host's role \(role.rawValue)")
        }
        return nil
    }

    func reversePathNow(_ envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? {
        guard role == .mx, envelope.reversePath != nil else { return .senderAccepted }
        return SMTPReply(550, .init(5, 7, 1), "A relay hands in notifications only, with a null reverse-path")
    }

    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? {
        switch role {
        case .relay:
            return router.isOwn(recipient.address)
                ? SMTPReply(550, .init(5, 7, 1), "<\(recipient.address)> is inside; a relay sends to the internet only") : .recipientAccepted
        case .store:
            // What the edge has taken is ours to deliver or to report: an address that vanished since is settled here, inside, and
            // never by the edge.
            return router.isOwn(recipient.address)
                ? .recipientAccepted : SMTPReply(550, .init(5, 7, 1), "<\(recipient.address)> is outside; mail for it goes to the relay")
        case .mx:
            guard router.isOwn(recipient.address) else { return SMTPReply(550, .init(5, 7, 1), "<\(recipient.address)> is outside") }
            return directory.knowsNow(recipient.address).map { .toOwn(recipient.address, isKnown: $0) }
        case .submission, .internal, .webmail:
            return SMTPReply(550, .init(5, 7, 1), "This role takes no mail from other hosts")
        }
    }

    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        if let reply = recipientNow(recipient, envelope: envelope, session: session) { return reply }
        return await replyForOwn(recipient.address)
    }
}
