public import NIOCore

/// What a session asks the one who runs it to do, in order.
///
/// At stages that ``MilterConfiguration/decisions`` names, the session waits after the event until ``MilterSession/decide(_:)`` is called.
public enum MilterAction: Hashable, Sendable {
    /// Write these octets. Flush when no further action follows.
    case write(ByteBuffer)
    /// The negotiation is done; this is what holds.
    case negotiated(MilterNegotiation)
    /// The MTA has a client. Stage `connect`.
    case connected(MilterConnection, MilterMacros)
    /// The client said HELO or EHLO. Stage `helo`.
    case helo(String, MilterMacros)
    /// The client began a message. Stage `mail`.
    case mailFrom(MilterPath, MilterMacros)
    /// The client named a recipient. Stage `recipient`.
    case rcptTo(MilterPath, MilterMacros)
    /// The client said DATA. Stage `data`; it comes only where that stage is decided.
    case dataCommand(MilterMacros)
    /// The message's octets begin: those of ``header(_:)`` and ``content(_:)`` follow, and make up the message.
    case messageBegan
    /// The octets of the message's next header field: its name, the colon, its value with CRLF at folds and at its end.
    case header(ByteBuffer)
    /// The next octets of the message behind its header fields: the empty line, the body.
    case content(ByteBuffer)
    /// The message is over a limit: forget what was collected of it. It gets ``MilterConfiguration/oversizeDecision``.
    case contentRefused(MilterOverrun)
    /// The message is complete; answer by ``MilterSession/verdict(_:)``.
    case requestVerdict(MilterMacros, octets: Int)
    /// The MTA can't make these changes, or they would break the message's header; the others were asked for.
    case changesRefused([MilterChange])
    /// The message that had begun by MAIL won't come.
    case messageAbandoned(reason: String)
    /// The client is gone; another one may follow on the same connection.
    case disconnected
    /// The MTA broke the protocol. `close` follows.
    case failed(MilterError)
    /// Close the connection after everything that was written.
    case close(reason: String)
}

/// Which limit a message is over.
public enum MilterOverrun: String, Hashable, Sendable {
    case recipients
    case headerFields
    case headerLength
    case messageLength
    /// The filter couldn't keep it (``MilterSession/contentFailed()``).
    case storage
}
