/// The envelope of a message: who sent it and who shall get it, apart from what its header says (RFC 5321 §2.3.1).
public struct Envelope: Hashable, Sendable, Codable {
    /// The reverse-path; `nil` is the null reverse-path `<>` of notifications (RFC 5321 §4.5.5).
    public var reversePath: EmailAddress?
    /// The recipients in the order in which they were given.
    public var recipients: [EnvelopeRecipient]
    /// What `BODY=` said (RFC 6152 §2, RFC 3030 §3); `.sevenBit` where it was absent.
    public var bodyType: BodyType
    /// Whether `SMTPUTF8` was given (RFC 6531 §3.4).
    public var usesSMTPUTF8: Bool
    /// `ENVID=` decoded from xtext (RFC 3461 §4.4).
    public var envelopeID: String?
    /// `RET=` (RFC 3461 §4.3); `nil` where it was absent.
    public var dsnReturn: DSNReturn?
    /// `REQUIRETLS` was given (RFC 8689 §2).
    public var requiresTLS: Bool
    /// Whether it may be sent without TLS and to hosts that don't know REQUIRETLS: a notice isn't lost for want of it (RFC 8689 §5).
    public var mayGoInClear: Bool { !requiresTLS || reversePath == nil }

    /// Makes an envelope.
    public init(
        reversePath: EmailAddress?,
        recipients: [EnvelopeRecipient] = [],
        bodyType: BodyType = .sevenBit,
        usesSMTPUTF8: Bool = false,
        envelopeID: String? = nil,
        dsnReturn: DSNReturn? = nil,
        requiresTLS: Bool = false
    ) {
        self.reversePath = reversePath
        self.recipients = recipients
        self.bodyType = bodyType
        self.usesSMTPUTF8 = usesSMTPUTF8
        self.envelopeID = envelopeID
        self.dsnReturn = dsnReturn
        self.requiresTLS = requiresTLS
    }
}

/// One recipient of an envelope with what the sender asked to be told about it (RFC 3461 §4.1, §4.2).
public struct EnvelopeRecipient: Hashable, Sendable, Codable {
    /// The forward-path's mailbox.
    public var address: EmailAddress
    /// `NOTIFY=`; `nil` where it was absent (then failures are reported, RFC 3461 §4.1).
    public var notify: DSNNotify?
    /// `ORCPT=` as `addr-type;address`, the address decoded from xtext (RFC 3461 §4.2).
    public var originalRecipient: String?

    /// Makes a recipient.
    public init(address: EmailAddress, notify: DSNNotify? = nil, originalRecipient: String? = nil) {
        self.address = address
        self.notify = notify
        self.originalRecipient = originalRecipient
    }
}

/// The body's encoding as `BODY=` names it.
public enum BodyType: String, Hashable, Sendable, Codable {
    /// Lines of US-ASCII (RFC 5321 §2.4.1).
    case sevenBit = "7BIT"
    /// Lines with octets over 127 (RFC 6152).
    case eightBitMIME = "8BITMIME"
    /// Any octets, no line limit: only with BDAT (RFC 3030 §3).
    case binaryMIME = "BINARYMIME"
}

/// How much of a message a failure notice returns (RFC 3461 §4.3).
public enum DSNReturn: String, Hashable, Sendable, Codable {
    /// The whole message.
    case full = "FULL"
    /// The header section alone.
    case headers = "HDRS"
}

/// When a sender wants to be notified about a recipient (RFC 3461 §4.1). Empty is `NEVER`.
public struct DSNNotify: OptionSet, Hashable, Sendable, Codable {
    /// Bits of the set.
    public let rawValue: UInt8
    /// Makes a set of its bits.
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    /// `SUCCESS`.
    public static let success = DSNNotify(rawValue: 1)
    /// `FAILURE`.
    public static let failure = DSNNotify(rawValue: 2)
    /// `DELAY`.
    public static let delay = DSNNotify(rawValue: 4)
    /// `NEVER`.
    public static let never: DSNNotify = []
}
