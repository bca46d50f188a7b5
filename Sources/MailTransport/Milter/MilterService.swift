public import DNS
public import FoundationEssentials
public import MailMessage
public import Milter

/// What a milter server asks of the house. The server holds the protocol, the service decides. All calls come from tasks of the connection,
/// one after the other, never on an event loop's own turn that others wait for; nothing more is read from the MTA meanwhile.
///
/// The decisions before the message are asked for only at the stages that ``MilterConfiguration/decisions`` names.
public protocol MilterService: Sendable {
    /// The MTA has a client. Stage `connect`.
    func connected(_ session: MilterSessionInfo) async -> MilterVerdict.Decision
    /// The client said HELO or EHLO. Stage `helo`.
    func helo(_ session: MilterSessionInfo) async -> MilterVerdict.Decision
    /// The client named the sender. Stage `mail`.
    func sender(_ envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision
    /// The client named a recipient; `envelope` has those that were taken before. Stage `recipient`.
    func recipient(_ recipient: MilterPath, envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision
    /// The client said DATA. Stage `data`.
    func data(_ envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision
    /// The message is complete. The task is cancelled after ``MilterServer/Settings/verdictTimeout``.
    func message(_ message: MilterMessage) async -> MilterVerdict

    /// The MTA can't make these changes to a message; the other ones were asked for.
    func changesRefused(_ changes: [MilterChange], session: MilterSessionInfo) async
    /// A message that had begun by MAIL won't come.
    func messageAbandoned(_ envelope: MilterEnvelope, reason: String, session: MilterSessionInfo) async
    /// The MTA's connection ended. `error` is there where the MTA broke the protocol.
    func connectionClosed(_ session: MilterSessionInfo, reason: String, error: MilterError?) async
}

extension MilterService {
    public func connected(_ session: MilterSessionInfo) async -> MilterVerdict.Decision { .continue }
    public func helo(_ session: MilterSessionInfo) async -> MilterVerdict.Decision { .continue }
    public func sender(_ envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision { .continue }
    public func recipient(_ recipient: MilterPath, envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision { .continue }
    public func data(_ envelope: MilterEnvelope, session: MilterSessionInfo) async -> MilterVerdict.Decision { .continue }
    public func changesRefused(_ changes: [MilterChange], session: MilterSessionInfo) async {}
    public func messageAbandoned(_ envelope: MilterEnvelope, reason: String, session: MilterSessionInfo) async {}
    public func connectionClosed(_ session: MilterSessionInfo, reason: String, error: MilterError?) async {}
}

/// What is known about an MTA's connection, and about the MTA's client, at the moment of a call.
public struct MilterSessionInfo: Sendable {
    /// Unique within the process.
    public var id: UInt64
    /// The listener's name in the configuration.
    public var listener: String
    /// The MTA's own address; `nil` where it came by a socket of the file system.
    public var mtaAddress: IPAddress?
    public var connectedAt: Date
    /// What was negotiated.
    public var negotiation: MilterNegotiation?
    /// The MTA's client; `nil` while there is none.
    public var client: MilterConnection?
    /// What the client said in HELO or EHLO; `nil` before.
    public var helo: String?
    /// The macros that hold now.
    public var macros: MilterMacros

    /// Makes what is known when an MTA connects.
    public init(id: UInt64, listener: String, mtaAddress: IPAddress?, connectedAt: Date) {
        self.id = id
        self.listener = listener
        self.mtaAddress = mtaAddress
        self.connectedAt = connectedAt
        macros = MilterMacros()
    }
}

/// The sender and the recipients of a message.
public struct MilterEnvelope: Hashable, Sendable {
    public var sender: MilterPath
    /// In the order in which they were named, without those that this service refused. Another filter may have refused some of them.
    public var recipients: [MilterPath]

    /// Makes an envelope.
    public init(sender: MilterPath, recipients: [MilterPath] = []) {
        self.sender = sender
        self.recipients = recipients
    }
}

/// A message that is complete.
public struct MilterMessage: Sendable {
    /// The MTA's connection with the client's address, HELO and all macros.
    public var session: MilterSessionInfo
    public var envelope: MilterEnvelope
    /// The message's octets: the header as it came in, the empty line, the body. What the MTA itself put in front is not in it.
    public var content: any MessageContent
    /// When MAIL was said.
    public var startedAt: Date
    /// From the first header field to the last octet.
    public var transferDuration: Duration

    /// Makes a message.
    public init(session: MilterSessionInfo, envelope: MilterEnvelope, content: any MessageContent, startedAt: Date, transferDuration: Duration) {
        self.session = session
        self.envelope = envelope
        self.content = content
        self.startedAt = startedAt
        self.transferDuration = transferDuration
    }

    /// The client's address; `nil` where there is none.
    public var clientAddress: IPAddress? { session.client?.address }
    public var macros: MilterMacros { session.macros }
}
