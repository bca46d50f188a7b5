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
    private let lineCapacity: Int
    private var lines: [String: CircularBuffer<Entry>] = [:]
    /// The destinations with a line, in the order of their turns.
    private var turns = CircularBuffer<String>()
    private var octets = 0
    /// The recipients that wait here.
    private(set) var recipients: Set<Int64> = []
    /// Destinations for which there is more in the spool than had room here.
    private var overflowing: Set<String> = []

    /// - Parameters:
    ///   - capacity: how many recipients may wait here. A quarter of it is how many entries one destination may have, so that one that can't be
    ///     reached never takes the room of the others.
    ///   - octetCapacity: how many octets of messages are kept.
    init(capacity: Int = 4096, octetCapacity: Int = 64 << 20) {
        self.capacity = capacity
        self.octetCapacity = octetCapacity
        lineCapacity = max(1, capacity / 4)
    }

    /// How many recipients may still be added.
    var room: Int { max(0, capacity - recipients.count) }

    /// Destinations that nothing may be added for.
    var fullDestinations: Set<String> { Set(lines.lazy.filter { $0.value.count >= lineCapacity }.map(\.key)) }

    /// Whether what had no room would find some now: not for each message that leaves, but when there is room for many.
    var isWorthFilling: Bool {
        room >= capacity / 4 && overflowing.contains { (lines[$0]?.count ?? 0) <= lineCapacity / 2 }
    }

    /// What is in the spool is being looked at.
    mutating func beginFilling() { overflowing = [] }

    /// There may be more in the spool for these.
    mutating func noteMore(for destinations: some Sequence<String>) { overflowing.formUnion(destinations) }

    /// Adds recipients of one message; those that wait here already are passed over.
    /// - Returns: those that were added. What had no room is found in the spool later.
    @discardableResult
    mutating func add(_ message: SpooledMessage?, _ added: [QueuedRecipient]) -> [Int64] {
        // Most messages have one recipient.
        if added.count == 1, let only = added.first {
            return recipients.contains(only.id) || !add(message, added, of: only.destination) ? [] : [only.id]
        }
        var order: [String] = []
        var groups: [String: [QueuedRecipient]] = [:]
        for recipient in added where !recipients.contains(recipient.id) {
            if groups[recipient.destination] == nil { order.append(recipient.destination) }
            groups[recipient.destination, default: []].append(recipient)
        }
        var taken: [Int64] = []
        for destination in order {
            guard let members = groups[destination], add(message, members, of: destination) else { continue }
            taken += members.map(\.id)
        }
        return taken
    }

    /// Adds recipients of one message and one destination.
    /// - Returns: `false` where there is no room.
    private mutating func add(_ message: SpooledMessage?, _ members: [QueuedRecipient], of destination: String) -> Bool {
        guard let first = members.first else { return false }
        guard recipients.count + members.count <= capacity, (lines[destination]?.count ?? 0) < lineCapacity else {
            overflowing.insert(destination)
            return false
        }
        let kept = message.flatMap { octets + $0.content.byteCount <= octetCapacity && $0.content.isInMemory ? $0 : nil }
        let entry = Entry(id: first.message, destination: destination, recipients: members, message: kept)
        octets += entry.octets
        recipients.formUnion(members.lazy.map(\.id))
        if lines[destination] == nil { turns.append(destination) }
        lines[destination, default: CircularBuffer()].append(entry)
        return true
    }

    /// Lets go of a destination that can't be reached: what waits for it is in the spool, and is found there when its time has come.
    mutating func drop(_ destination: String) {
        overflowing.remove(destination)
        guard let line = lines.removeValue(forKey: destination) else { return }
        turns.removeAll { $0 == destination }
        for entry in line {
            octets -= entry.octets
            recipients.subtract(entry.recipients.lazy.map(\.id))
        }
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
        overflowing = []
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
