import DNS
public import MailMessage

/// A message that a client session is asked to send: everything but its octets, which are asked for when they are needed.
public struct SMTPClientTransaction: Sendable {
    /// Sender, recipients and parameters.
    public var envelope: Envelope
    /// What is known of the octets.
    public var profile: SMTPContentProfile
    /// The identity of the journey, for peers that may know it.
    public var trace: TraceID?

    /// Makes a transaction.
    public init(envelope: Envelope, profile: SMTPContentProfile, trace: TraceID? = nil) {
        self.envelope = envelope
        self.profile = profile
        self.trace = trace
    }

    /// The envelope or the header cannot be handed to a server without SMTPUTF8 (RFC 6531 §3.2).
    ///
    /// Deliberate: octets over 127 in the header of a message that was not sent as internationalised don't count. Such messages are
    /// wrong but common, and a notice about each of them would be worse.
    var needsSMTPUTF8: Bool {
        if envelope.usesSMTPUTF8, profile.hasEightBitHeader { return true }
        return envelope.reversePath.map(Self.isInternationalised) ?? false
            || envelope.recipients.contains { Self.isInternationalised($0.address) }
    }

    /// The same with domains as A-labels, for a peer without SMTPUTF8 (RFC 6531 §3.2, RFC 5890 §2.3.2.1). An address whose local part
    /// isn't US-ASCII stays as it is: nothing that leads to the same mailbox could be written for it.
    var withASCIIDomains: SMTPClientTransaction {
        var result = self
        result.envelope.reversePath = envelope.reversePath.map(Self.withASCIIDomain)
        for index in envelope.recipients.indices {
            result.envelope.recipients[index].address = Self.withASCIIDomain(envelope.recipients[index].address)
        }
        return result
    }

    private static func withASCIIDomain(_ address: EmailAddress) -> EmailAddress {
        guard isInternationalised(address), address.localPart.utf8.allSatisfy({ $0 < 0x80 }), let domain = try? DomainName(address.domain)
        else { return address }
        return EmailAddress(localPart: address.localPart, domain: domain.ascii)
    }

    static func isInternationalised(_ address: EmailAddress) -> Bool {
        !address.localPart.utf8.allSatisfy { $0 < 0x80 } || !address.domain.utf8.allSatisfy { $0 < 0x80 }
    }
}

/// What came of a transaction.
public struct SMTPClientResult: Sendable {
    /// What came of one recipient.
    public enum Answer: Sendable, Hashable {
        /// The peer's reply: to RCPT, or to the message.
        case peer(SMTPReply)
        /// A reply made here, because something kept the peer from answering or the message from being sent.
        case local(SMTPReply)
        /// Not tried on this connection, for the peer's MAILMAX allows no further transaction on it (RFC 9422 §4.1).
        case notTried
    }
    /// One answer for each recipient, in the envelope's order.
    public var answers: [Answer]
    /// The peer offered DSN (RFC 3461 §5.2.1).
    public var peerHandlesDSN: Bool
    /// Another transaction can begin on the connection.
    public var connectionIsUsable: Bool
    /// The connection ended before anything was answered: nothing has happened, and another connection may do better.
    public var nothingWasAnswered: Bool

    /// Makes a result.
    public init(answers: [Answer], peerHandlesDSN: Bool, connectionIsUsable: Bool, nothingWasAnswered: Bool) {
        self.answers = answers
        self.peerHandlesDSN = peerHandlesDSN
        self.connectionIsUsable = connectionIsUsable
        self.nothingWasAnswered = nothingWasAnswered
    }
}

/// Why a session never became ready for a transaction.
public struct SMTPClientFailure: Error, Sendable, Hashable {
    /// How far it came.
    public enum Stage: String, Sendable, Hashable {
        /// Before or in the greeting.
        case greeting
        /// EHLO or HELO.
        case introduction
        /// The STARTTLS command.
        case startTLS
        /// The TLS handshake.
        case handshake
        /// AUTH.
        case authentication
    }
    /// How far it came.
    public var stage: Stage
    /// The peer's reply, or one made here.
    public var reply: SMTPReply
    /// The reply was made here.
    public var isLocal: Bool

    /// Makes a failure.
    public init(stage: Stage, reply: SMTPReply, isLocal: Bool) {
        self.stage = stage
        self.reply = reply
        self.isLocal = isLocal
    }
}

/// What a client waits for, which decides how long (RFC 5321 §4.5.3.2).
public enum SMTPClientWait: Sendable, Hashable {
    /// The greeting (RFC 5321 §4.5.3.2.1).
    case greeting
    /// The reply to EHLO, HELO, STARTTLS or AUTH.
    case introduction
    /// The TLS handshake.
    case handshake
    /// The reply to MAIL or RSET (RFC 5321 §4.5.3.2.2).
    case mail
    /// The reply to RCPT (RFC 5321 §4.5.3.2.3).
    case recipient
    /// The reply to DATA (RFC 5321 §4.5.3.2.4).
    case dataInitiation
    /// The taking of a piece of the message (RFC 5321 §4.5.3.2.5).
    case dataBlock
    /// The reply to the message (RFC 5321 §4.5.3.2.6).
    case dataTermination
    /// The reply to QUIT.
    case quit
}

/// A command with its reply, as the session saw it. Secrets are never in it.
public struct SMTPClientExchange: Sendable, Hashable {
    /// The command without CRLF, at most 512 octets; `(connect)` for the greeting, `(message, 12345 octets)` for a message.
    public var command: String
    /// The peer's reply.
    public var reply: SMTPReply
    /// From the command's sending to the end of the reply.
    public var duration: Duration
}

/// Who authenticates at a server that asks for it.
public struct SMTPCredentials: Sendable, Hashable, CustomStringConvertible {
    /// The authentication identity.
    public var username: String
    /// The password.
    public var password: String

    /// Makes credentials.
    public init(username: String, password: String) {
        self.username = username
        self.password = password
    }

    /// The user alone.
    public var description: String { "\(username) (password hidden)" }
}
