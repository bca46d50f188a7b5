public import FoundationEssentials
public import MailMessage
public import NIOCore

/// The number of a message in the spool, unique and never used again on this host. Written in base 36 in logs and commands.
public struct QueueID: Hashable, Sendable, Codable, CustomStringConvertible, LosslessStringConvertible {
    public let rawValue: Int64
    public init(rawValue: Int64) { self.rawValue = rawValue }
    public init?(_ description: String) {
        guard let value = Int64(description, radix: 36), value > 0 else { return nil }
        rawValue = value
    }
    public var description: String { String(rawValue, radix: 36, uppercase: true) }
}

/// A message to be spooled.
public struct NewSpoolMessage: Sendable {
    public var trace: TraceID
    /// The envelope; its `recipients` are ignored in favour of `routes`.
    public var envelope: Envelope
    /// Each recipient with its destination: the key by which deliveries are grouped and limited, such as `mx:gmail.test`,
    /// `link:store`, `mailbox`.
    public var routes: [(recipient: EnvelopeRecipient, destination: String)]
    /// Header fields that this host adds in front (Received…).
    public var prefix: ByteBuffer
    public var content: any MessageContent
    public var arrival: Date
    /// Opaque to the spool; the gateway's own facts about the message, as JSON.
    public var annotations: [UInt8]
    /// When set, recipients start held, with this reason.
    public var holdReason: String?
    /// What tells the message and its envelope from others: by it a message that comes a second time is recognised. Empty: it isn't.
    public var fingerprint: [UInt8] = []

    public init(
        trace: TraceID, envelope: Envelope, routes: [(recipient: EnvelopeRecipient, destination: String)], prefix: ByteBuffer,
        content: any MessageContent, arrival: Date, annotations: [UInt8] = [], holdReason: String? = nil
    ) {
        self.trace = trace
        self.envelope = envelope
        self.routes = routes
        self.prefix = prefix
        self.content = content
        self.arrival = arrival
        self.annotations = annotations
        self.holdReason = holdReason
    }
}

/// A recipient that waits in the queue.
public struct QueuedRecipient: Sendable, Codable {
    public enum State: String, Sendable, Codable { case queued, held }
    public var id: Int64
    public var message: QueueID
    public var recipient: EnvelopeRecipient
    public var destination: String
    public var state: State
    public var attempts: Int
    public var nextAttempt: Date
    /// The last reply or failure, as text.
    public var lastStatus: String?
    public var holdReason: String?
    /// A delay warning was sent (RFC 3461 §4.1 DELAY).
    public var delayNotified: Bool

    public init(
        id: Int64, message: QueueID, recipient: EnvelopeRecipient, destination: String, state: State, attempts: Int, nextAttempt: Date,
        lastStatus: String?, holdReason: String?, delayNotified: Bool
    ) {
        self.id = id
        self.message = message
        self.recipient = recipient
        self.destination = destination
        self.state = state
        self.attempts = attempts
        self.nextAttempt = nextAttempt
        self.lastStatus = lastStatus
        self.holdReason = holdReason
        self.delayNotified = delayNotified
    }
}

/// A message of the spool, without its recipients.
public struct SpooledMessage: Sendable {
    public var id: QueueID
    public var trace: TraceID
    /// The envelope with an empty list of recipients.
    public var envelope: Envelope
    /// Prefix and content as one.
    public var content: any MessageContent
    public var arrival: Date
    public var annotations: [UInt8]

    public init(id: QueueID, trace: TraceID, envelope: Envelope, content: any MessageContent, arrival: Date, annotations: [UInt8]) {
        self.id = id
        self.trace = trace
        self.envelope = envelope
        self.content = content
        self.arrival = arrival
        self.annotations = annotations
    }
}

/// A message of the spool with its recipients: what the queue needs to deliver it without reading it again.
public struct QueuedMessage: Sendable {
    public var message: SpooledMessage
    public var recipients: [QueuedRecipient]
    public init(message: SpooledMessage, recipients: [QueuedRecipient]) {
        self.message = message
        self.recipients = recipients
    }
}

/// A state of the spool as far as it is changed by others than the queue.
public struct SpoolVersion: Hashable, Sendable {
    let file: Int64
    let commands: Int

    /// - Parameters:
    ///   - file: changes with every commit of another process.
    ///   - commands: counts operators' commands in this process.
    public init(file: Int64, commands: Int) {
        self.file = file
        self.commands = commands
    }
}

/// What shall become of a queued recipient after an attempt.
public enum QueueDisposition: Sendable {
    /// Done, for better or worse: the row goes away.
    case done
    /// Try again at `nextAttempt`; `attempts` is incremented.
    case retry(nextAttempt: Date, status: String, delayNotified: Bool)
    /// Wait for an operator.
    case hold(reason: String, status: String)
}

/// A line of the journey log: what was done for a message in one step on one host.
public struct JourneyRecord: Sendable, Hashable {
    /// Given by the log when it is stored; ascending. 0 before that.
    public var sequence: Int64
    public var trace: TraceID
    /// When the step began.
    public var time: Date
    /// The host that it happened on, and the host's own sequence number, so that collecting twice stores once. Numbers ascend, with gaps.
    public var host: String
    public var hostSequence: Int64
    /// The events of the step as a JSON array.
    public var payload: [UInt8]
    /// Words to find it by: addresses in lower case, Message-ID. They are indexed when the record is stored, and are not given back.
    public var keys: [String]

    public init(
        sequence: Int64 = 0, trace: TraceID, time: Date, host: String, hostSequence: Int64 = 0, payload: [UInt8], keys: [String]
    ) {
        self.sequence = sequence
        self.trace = trace
        self.time = time
        self.host = host
        self.hostSequence = hostSequence
        self.payload = payload
        self.keys = keys
    }
}

/// Messages on their way, on durable storage. Every method that changes something returns after the change is on disk.
public protocol Spool: Sendable {
    /// Stores a message with its recipients and the journey records of its arrival, in one transaction.
    /// - Parameter journey: makes the records, which may speak of the number that the message gets.
    func enqueue(_ message: NewSpoolMessage, journey: @Sendable (QueueID) -> [JourneyRecord]) async throws -> QueuedMessage
    /// Recipients whose time has come, earliest first, without those of the named destinations and of the named messages.
    func due(at time: Date, limit: Int, excludingDestinations: Set<String>, excludingRecipients: Set<Int64>) async throws -> [QueuedRecipient]
    /// The earliest `nextAttempt` of a queued recipient after `time`.
    func nextDue(after time: Date) async throws -> Date?
    /// Makes queued recipients due at `time` whose next attempt is later than `limit`.
    /// - Returns: how many there were.
    func bringForward(after limit: Date, to time: Date) async throws -> Int
    /// The fingerprints of messages accepted since `time`, the latest first, with their traces.
    func accepted(since time: Date, limit: Int) async throws -> [(fingerprint: [UInt8], trace: TraceID)]
    /// Forgets fingerprints from before `time`.
    func forgetAccepted(before time: Date) async throws
    /// What changes when somebody else than the queue changed what is in it: another process, or an operator.
    func version() async throws -> SpoolVersion
    /// A message by its number; `nil` once its last recipient is done.
    func message(_ id: QueueID) async throws -> SpooledMessage?
    /// The recipients of a message that still wait.
    func recipients(of id: QueueID) async throws -> [QueuedRecipient]
    /// Stores the outcome of attempts, new messages that they cause (DSNs), and journey records, in one transaction. A message whose
    /// last recipient is done is deleted with its octets.
    func record(_ outcomes: [(recipient: Int64, disposition: QueueDisposition)], newMessages: [NewSpoolMessage], journey: [JourneyRecord]) async throws
    /// Messages for an operator's list, oldest first.
    func list(limit: Int, offset: Int) async throws -> [(message: SpooledMessage, recipients: [QueuedRecipient])]
    /// The number of recipients by state.
    func counts() async throws -> (queued: Int, held: Int)
    /// Operators' commands; `nil` means all messages. They return the number of recipients concerned.
    func hold(_ id: QueueID?, reason: String) async throws -> Int
    func release(_ id: QueueID?) async throws -> Int
    func retry(_ id: QueueID?) async throws -> Int
    /// Deletes a message without a notice.
    func delete(_ id: QueueID) async throws -> Int
    /// A temporary file for a large message on its way in, on the same file system as the spool.
    func makeIncomingFile() async throws -> any IncomingFile
}

/// What happened to messages, appended for ever (until expiry).
public protocol JourneyLog: Sendable {
    /// Appends; returns after the records are durable.
    func append(_ records: [JourneyRecord]) async throws
    /// All records of a trace, by time.
    func records(of trace: TraceID) async throws -> [JourneyRecord]
    /// The traces that a key (an address, a Message-ID) or a time span leads to, newest first.
    func traces(key: String?, from: Date?, to: Date?, limit: Int) async throws -> [TraceID]
    /// This host's own records after a sequence number, for collection by the inside.
    func ownRecords(after sequence: Int64, limit: Int) async throws -> [JourneyRecord]
    /// Stores records of another host; those that are there already are passed over.
    func merge(_ records: [JourneyRecord]) async throws
    /// The last `hostSequence` that was merged from a host.
    func lastMerged(host: String) async throws -> Int64
    /// Deletes records older than `time`; returns their number.
    func expire(before time: Date) async throws -> Int
}

extension Spool {
    /// Stores a message with records that don't speak of its number.
    @discardableResult
    public func enqueue(_ message: NewSpoolMessage, journey: [JourneyRecord]) async throws -> QueueID {
        try await enqueue(message, journey: { _ in journey }).message.id
    }
}
