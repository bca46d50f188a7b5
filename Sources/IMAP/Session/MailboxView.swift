public import NIOCore

/// The selected mailbox as the client knows it: which UID has which sequence number, and what it must still be told.
///
/// The store changes at any time; the client's numbers change only when it is told so (RFC 9051 §2.3.1.2, §7.5.1).
public struct MailboxView: Sendable {
    /// A message as the store has it now.
    public struct Message: Hashable, Sendable {
        public var uid: UInt32
        public var modSeq: UInt64
        public var flags: Set<String>
        /// Describes a message.
        public init(uid: UInt32, modSeq: UInt64, flags: Set<String>) {
            self.uid = uid
            self.modSeq = modSeq
            self.flags = flags
        }
    }

    /// The UIDs of the messages that the client knows, ascending: the first has the sequence number 1.
    public private(set) var uids: [UInt32] = []
    /// Up to where the store's changes were taken.
    public private(set) var modSeq: UInt64
    /// The result of the last SEARCH with SAVE, as UIDs: `$`.
    public private(set) var saved: [UInt32] = []
    /// Messages that are gone, which the client couldn't be told yet.
    private var vanished: Set<UInt32> = []
    /// Changes that the client made or was told already.
    private var told: [UInt32: UInt64] = [:]
    private var keywords: Set<String> = []

    /// Keywords that FLAGS tells. Others work; no list of any length is made of them.
    private static let keywordLimit = 200
    static let systemFlags = ["\\Answered", "\\Flagged", "\\Deleted", "\\Seen", "\\Draft"]

    /// A view of an empty mailbox whose changes up to `modSeq` are known.
    public init(modSeq: UInt64) { self.modSeq = modSeq }

    /// Takes all messages at once while the mailbox is opened: UIDs, ascending, and the combinations of flags that they have. The UIDs are
    /// shared with whoever has the same ones.
    public mutating func load(uids: [UInt32], flagSets: some Sequence<Set<String>>) {
        self.uids = uids
        for flags in flagSets { note(flags) }
    }

    /// Shares UIDs with others who know the same messages, so that many views of one mailbox need no more memory than one.
    public mutating func share(_ others: [UInt32], upTo otherModSeq: UInt64) {
        // As of the same modification both know the same messages, but for those that the client has not been told are gone.
        if modSeq == otherModSeq, vanished.isEmpty, others.count == uids.count { uids = others }
    }

    /// The flags that exist here, as FLAGS tells them.
    public var flags: [String] { Self.systemFlags + keywords.sorted() }

    /// Notes the keywords of a message; tells whether there was a new one.
    @discardableResult
    private mutating func note(_ flags: Set<String>) -> Bool {
        var isNew = false
        for flag in flags where !flag.hasPrefix("\\") && keywords.count < Self.keywordLimit {
            if keywords.insert(flag).inserted { isNew = true }
        }
        return isNew
    }

    // MARK: - Numbers

    /// The index of the first UID that is not below the given one.
    private func index(of uid: UInt32) -> Int {
        var low = 0
        var high = uids.count
        while low < high {
            let middle = (low + high) / 2
            if uids[middle] < uid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The sequence number of a message; `nil` when the client doesn't know it.
    /// - Parameter hint: a sequence number that is looked at first.
    public func sequenceNumber(of uid: UInt32, hint: Int = 0) -> Int? {
        if uids.indices.contains(hint - 1), uids[hint - 1] == uid { return hint }
        let index = index(of: uid)
        return index < uids.count && uids[index] == uid ? index + 1 : nil
    }

    /// The sequence numbers of messages, as far as the client knows them.
    public func sequenceNumbers(of uids: [UInt32]) -> [UInt32] {
        var last = 0
        return uids.compactMap { uid in
            guard let number = sequenceNumber(of: uid, hint: last + 1) else { return nil }
            last = number
            return UInt32(clamping: number)
        }
    }

    /// The UIDs that a command means, ascending; `nil` when it names a sequence number that doesn't exist. UIDs that don't exist are
    /// passed over (RFC 9051 §6.4.9).
    public func resolve(_ set: SequenceSet, isUID: Bool) -> [UInt32]? {
        if set.isSavedResult { return saved }
        guard isUID else {
            let ranges = set.ranges(largest: UInt32(clamping: uids.count))
            guard ranges.allSatisfy({ $0.lowerBound > 0 && Int($0.upperBound) <= uids.count }), !ranges.isEmpty else { return nil }
            return ranges.flatMap { uids[Int($0.lowerBound) - 1..<Int($0.upperBound)] }
        }
        return set.ranges(largest: uids.last ?? 0).flatMap { range in
            uids[index(of: range.lowerBound)..<(range.upperBound == .max ? uids.count : index(of: range.upperBound + 1))]
        }
    }

    /// Keeps the result of a search for `$`. Messages that vanish leave it (RFC 9051 §6.4.4.1).
    public mutating func save(_ uids: [UInt32]) { saved = uids }

    // MARK: - Changes

    /// The client learns of these changes by the answer of its own command, or has said that it doesn't want to.
    public mutating func tell(_ messages: some Sequence<Message>) {
        for message in messages { told[message.uid] = message.modSeq }
    }

    /// Takes what changed in the store and writes what the client may be told.
    /// - Parameters:
    ///   - changed: messages that are new or whose flags changed, ascending.
    ///   - vanished: UIDs that are gone.
    ///   - modSeq: up to where these changes go.
    ///   - mayExpunge: the client's sequence numbers may change now. They must not while FETCH, STORE or SEARCH with sequence numbers is
    ///     answered (RFC 9051 §7.5.1).
    public mutating func apply(
        changed: [Message], vanished gone: [UInt32], modSeq: UInt64, mayExpunge: Bool, isRev2: Bool, into buffer: inout ByteBuffer
    ) {
        self.modSeq = max(self.modSeq, modSeq)
        vanished.formUnion(gone)
        if mayExpunge { writeExpunges(isRev2: isRev2, into: &buffer) }
        let last = uids.last ?? 0
        let count = uids.count
        var hasNewKeywords = false
        for message in changed {
            if note(message.flags) { hasNewKeywords = true }
            // What is gone in the meantime never gets a number.
            if message.uid > uids.last ?? 0, !vanished.contains(message.uid) { uids.append(message.uid) }
        }
        if uids.count > count { IMAPResponse.exists(uids.count).write(into: &buffer, isRev2: isRev2) }
        if hasNewKeywords { IMAPResponse.flags(flags).write(into: &buffer, isRev2: isRev2) }
        for message in changed where message.uid <= last && told[message.uid] != message.modSeq {
            guard !vanished.contains(message.uid), let number = sequenceNumber(of: message.uid) else { continue }
            IMAPResponse.fetchFlags(sequenceNumber: number, uid: message.uid, message.flags).write(into: &buffer, isRev2: isRev2)
        }
        if !told.isEmpty { told = told.filter { $0.value > self.modSeq } }
    }

    private mutating func writeExpunges(isRev2: Bool, into buffer: inout ByteBuffer) {
        guard !vanished.isEmpty else { return }
        var remaining: [UInt32] = []
        remaining.reserveCapacity(uids.count)
        for uid in uids {
            if vanished.contains(uid) {
                // The numbers of those behind it have become smaller by each that was told before (RFC 9051 §7.5.1).
                IMAPResponse.expunge(remaining.count + 1).write(into: &buffer, isRev2: isRev2)
            } else {
                remaining.append(uid)
            }
        }
        uids = remaining
        saved.removeAll(where: vanished.contains)
        vanished = []
    }
}
