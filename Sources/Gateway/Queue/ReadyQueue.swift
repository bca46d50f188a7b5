import FoundationEssentials
import MailMessage
import MailStore
import NIOCore

/// What waits in memory for its turn to be delivered: what has just been accepted, with its octets, and what was found due in the spool. It
/// is a part of the spool and never the only place of anything: whatever doesn't fit is found there later.
///
/// Each destination has a line of its own, first come first served; the destinations take turns, so that none keeps the others waiting.
struct ReadyQueue: Sendable {
    /// Recipients of one message with one destination.
    struct Entry: Sendable {
        let id: QueueID
        let destination: String
        let recipients: [QueuedRecipient]
        /// The message, where it is still in memory.
        let message: SpooledMessage?

        fileprivate var octets: Int { message?.content.byteCount ?? 0 }
    }

    private let capacity: Int
    private let octetCapacity: Int
    private var lines: [String: CircularBuffer<Entry>] = [:]
    /// The destinations with a line, in the order of their turns.
    private var turns = CircularBuffer<String>()
    private var octets = 0
    /// The recipients that wait here.
    private(set) var recipients: Set<Int64> = []

    /// - Parameters:
    ///   - capacity: how many recipients may wait here.
    ///   - octetCapacity: how many octets of messages are kept.
    init(capacity: Int = 4096, octetCapacity: Int = 64 << 20) {
        self.capacity = capacity
        self.octetCapacity = octetCapacity
    }

    /// How many recipients may still be added.
    var room: Int { max(0, capacity - recipients.count) }

    /// Whether so many may be added that looking for them is worth while.
    var hasAmpleRoom: Bool { room >= capacity / 4 }

    /// Adds recipients of one message; those that wait here already are passed over.
    /// - Returns: whether there was room.
    mutating func add(_ message: SpooledMessage?, _ added: [QueuedRecipient]) -> Bool {
        guard recipients.count + added.count <= capacity else { return false }
        var order: [String] = []
        var groups: [String: [QueuedRecipient]] = [:]
        for recipient in added where recipients.insert(recipient.id).inserted {
            if groups[recipient.destination] == nil { order.append(recipient.destination) }
            groups[recipient.destination, default: []].append(recipient)
        }
        for destination in order {
            guard let members = groups[destination], let first = members.first else { continue }
            let kept = message.flatMap { octets + $0.content.byteCount <= octetCapacity && $0.content.isInMemory ? $0 : nil }
            let entry = Entry(id: first.message, destination: destination, recipients: members, message: kept)
            octets += entry.octets
            if lines[destination] == nil { turns.append(destination) }
            lines[destination, default: CircularBuffer()].append(entry)
        }
        return true
    }

    /// Takes the next entry of a destination that is served now.
    mutating func next(where isServed: (String) -> Bool) -> Entry? {
        for _ in 0..<turns.count {
            guard let destination = turns.popFirst() else { return nil }
            guard isServed(destination) else {
                turns.append(destination)
                continue
            }
            // Taken out where it stands: a copy of a long line would cost more than the delivery.
            let entry = lines[destination]?.popFirst()
            if lines[destination]?.isEmpty ?? true { lines[destination] = nil } else { turns.append(destination) }
            guard let entry else { continue }
            octets -= entry.octets
            recipients.subtract(entry.recipients.map(\.id))
            return entry
        }
        return nil
    }

    /// Forgets everything: somebody changed the spool.
    mutating func clear() {
        lines = [:]
        turns = CircularBuffer()
        recipients = []
        octets = 0
    }
}

/// Recipients of the last minute or two.
struct RecentRecipients: Sendable {
    private var young: Set<Int64> = []
    private var old: Set<Int64> = []
    private var since = Date.distantPast

    mutating func insert(_ recipients: [Int64], at time: Date) {
        // A clock that was set back counts as a new minute too.
        if abs(time.timeIntervalSince(since)) > 60 {
            old = young
            young = []
            since = time
        }
        young.formUnion(recipients)
    }

    func contains(_ recipient: Int64) -> Bool { young.contains(recipient) || old.contains(recipient) }
}

extension MessageContent {
    /// Whether the octets are here, so that keeping them keeps no file open.
    fileprivate var isInMemory: Bool {
        if let prefixed = self as? PrefixedContent { return prefixed.base.isInMemory }
        return self is BufferedContent
    }
}
