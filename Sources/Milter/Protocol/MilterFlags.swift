/// What a filter may ask the MTA to do with a message: the action flags of the negotiation (`SMFIF_…`).
public struct MilterActionFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// Add and insert header fields.
    public static let addHeaders = MilterActionFlags(rawValue: 0x01)
    /// Replace the body.
    public static let changeBody = MilterActionFlags(rawValue: 0x02)
    /// Add recipients.
    public static let addRecipients = MilterActionFlags(rawValue: 0x04)
    /// Delete recipients.
    public static let deleteRecipients = MilterActionFlags(rawValue: 0x08)
    /// Change and delete header fields.
    public static let changeHeaders = MilterActionFlags(rawValue: 0x10)
    /// Put the message aside for an operator.
    public static let quarantine = MilterActionFlags(rawValue: 0x20)
    /// Change the envelope's sender.
    public static let changeSender = MilterActionFlags(rawValue: 0x40)
    /// Add recipients with ESMTP parameters.
    public static let addRecipientsWithParameters = MilterActionFlags(rawValue: 0x80)
    /// Say in the negotiation which macros are wanted.
    public static let requestMacros = MilterActionFlags(rawValue: 0x100)

    /// What existed in a version of the protocol: a flag that an MTA's version doesn't know is never asked for.
    static func known(inVersion version: UInt32) -> MilterActionFlags {
        version >= 6 ? MilterActionFlags(rawValue: 0x1FF) : MilterActionFlags(rawValue: 0x3F)
    }
}

/// Which steps of the protocol are left out or changed: the protocol flags of the negotiation (`SMFIP_…`).
public struct MilterStepFlags: OptionSet, Hashable, Sendable {
    public let rawValue: UInt32

    public init(rawValue: UInt32) { self.rawValue = rawValue }

    /// CONNECT isn't sent.
    public static let noConnect = MilterStepFlags(rawValue: 0x01)
    /// HELO isn't sent.
    public static let noHelo = MilterStepFlags(rawValue: 0x02)
    /// MAIL isn't sent.
    public static let noMail = MilterStepFlags(rawValue: 0x04)
    /// RCPT isn't sent.
    public static let noRecipients = MilterStepFlags(rawValue: 0x08)
    /// BODY isn't sent.
    public static let noBody = MilterStepFlags(rawValue: 0x10)
    /// HEADER isn't sent.
    public static let noHeaders = MilterStepFlags(rawValue: 0x20)
    /// EOH isn't sent.
    public static let noEndOfHeader = MilterStepFlags(rawValue: 0x40)
    /// HEADER isn't answered.
    public static let noReplyToHeaders = MilterStepFlags(rawValue: 0x80)
    /// UNKNOWN isn't sent (since version 3).
    public static let noUnknown = MilterStepFlags(rawValue: 0x100)
    /// DATA isn't sent (since version 4).
    public static let noData = MilterStepFlags(rawValue: 0x200)
    /// The MTA understands `skip` (since version 6, as all that follow).
    public static let skip = MilterStepFlags(rawValue: 0x400)
    /// Recipients that the MTA refused are told too.
    public static let rejectedRecipients = MilterStepFlags(rawValue: 0x800)
    /// CONNECT isn't answered.
    public static let noReplyToConnect = MilterStepFlags(rawValue: 0x1000)
    /// HELO isn't answered.
    public static let noReplyToHelo = MilterStepFlags(rawValue: 0x2000)
    /// MAIL isn't answered.
    public static let noReplyToMail = MilterStepFlags(rawValue: 0x4000)
    /// RCPT isn't answered.
    public static let noReplyToRecipients = MilterStepFlags(rawValue: 0x8000)
    /// DATA isn't answered.
    public static let noReplyToData = MilterStepFlags(rawValue: 0x1_0000)
    /// UNKNOWN isn't answered.
    public static let noReplyToUnknown = MilterStepFlags(rawValue: 0x2_0000)
    /// EOH isn't answered.
    public static let noReplyToEndOfHeader = MilterStepFlags(rawValue: 0x4_0000)
    /// BODY isn't answered.
    public static let noReplyToBody = MilterStepFlags(rawValue: 0x8_0000)
    /// Values of header fields come and go with the blank that follows the colon: without it their octets are not exact.
    public static let leadingSpace = MilterStepFlags(rawValue: 0x10_0000)

    /// What existed in a version of the protocol.
    static func known(inVersion version: UInt32) -> MilterStepFlags {
        switch version {
        case 6...: MilterStepFlags(rawValue: 0x1F_FFFF)
        case 4...: MilterStepFlags(rawValue: 0x37F)
        case 3: MilterStepFlags(rawValue: 0x17F)
        default: MilterStepFlags(rawValue: 0x7F)
        }
    }

    /// The flag that says that a stage isn't answered.
    static func noReply(to stage: MilterStage) -> MilterStepFlags {
        switch stage {
        case .connect: .noReplyToConnect
        case .helo: .noReplyToHelo
        case .mail: .noReplyToMail
        case .recipient: .noReplyToRecipients
        case .data: .noReplyToData
        case .endOfHeader: .noReplyToEndOfHeader
        case .endOfMessage: []
        }
    }
}
