public import MailMessage
public import NIOCore

/// What a session asks the one who runs it to do, in order.
public enum SMTPServerAction: Sendable {
    /// Write this reply. Flush when no further action follows, and before each of the other actions.
    case reply(SMTPReply, to: SMTPServerCommandRecord)
    /// Begin the TLS handshake; then call ``SMTPServerSession/tlsEstablished(channelBinding:peerRoles:)``.
    case startTLS
    /// Find the user's verifier, let `exchange` have it (that costs milliseconds of computing: not on an event loop), and hand both
    /// back by ``SMTPServerSession/verifierAnswered(_:step:)`` or ``SMTPServerSession/verifierUnavailable()``.
    case requestVerifier(username: String, exchange: AuthenticationExchange)
    /// Tell that an authentication ended.
    case authenticationEnded(username: String, mechanism: String, reply: SMTPReply)
    /// Judge the sender; answer by ``SMTPServerSession/reversePathAnswered(_:)``.
    case requestReversePath(Envelope, trace: TraceID?)
    /// Judge a recipient; answer by ``SMTPServerSession/recipientAnswered(_:)``.
    case requestRecipient(EnvelopeRecipient, envelope: Envelope)
    /// A message begins.
    case contentBegan
    /// The next octets of the message.
    case content(ByteBuffer)
    /// The message will be refused: forget what was collected of it.
    case contentRefused
    /// The message is complete; answer by ``SMTPServerSession/verdictAnswered(_:)``.
    case requestVerdict(envelope: Envelope, trace: TraceID?, octets: Int)
    /// A transaction ended without a message.
    case transactionAbandoned(envelope: Envelope, trace: TraceID?, reason: String)
    /// Close the connection after everything that was written.
    case close(reason: String)
}

/// Which command a reply belongs to, for evidence.
public struct SMTPServerCommandRecord: Hashable, Sendable {
    /// The command without CRLF and without secrets, at most 512 octets; empty where the reply answers no command.
    public let text: String
    /// The command belongs to the current mail transaction.
    public let isInTransaction: Bool

    /// Makes a record.
    public init(_ text: String, isInTransaction: Bool) {
        self.text = text
        self.isInTransaction = isInTransaction
    }
}
