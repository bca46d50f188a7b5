public import FoundationEssentials

/// What is known of a mailbox's messages without their octets, at one moment: ascending by UID, in arrays. A value: whoever holds it sees
/// the same for ever, and costs others a copy when the mailbox changes meanwhile; so it is held for moments only.
public struct MailboxSnapshot: Sendable {
    /// All but the UID, in 40 octets.
    private struct Entry: Sendable {
        var contentID: Int64
        var internalDate: Double
        var size: Int
        var modSeq: UInt64
        /// The place in ``flagSets``.
        var flags: Int32
    }

    /// Up to where changes of the mailbox are in it.
    public private(set) var modSeq: UInt64
    /// The UIDs, ascending.
    public private(set) var uids: [UInt32] = []
    /// Combinations of flags; messages refer to them by their place. There may be some that no message has any more.
    public private(set) var flagSets: [Set<String>]
    /// Changes whenever places in ``flagSets`` get another meaning.
    public private(set) var flagGeneration = 0
    private var entries: [Entry] = []
    private var flagPlaces: [StoredFlags: Int32] = [:]

    /// The first places are those of system flags alone, by their bits.
    private static let systemFlagSets = (0..<32).map { StoredFlags.names(bits: $0, keywords: []) }
    /// So many combinations more than messages are kept before those that nobody has are forgotten.
    private static let spareFlagSets = 1024

    init(modSeq: UInt64, capacity: Int) {
        self.modSeq = modSeq
        flagSets = Self.systemFlagSets
        uids.reserveCapacity(capacity)
        entries.reserveCapacity(capacity)
    }

    /// How many messages there are.
    public var count: Int { uids.count }

    /// The place of a message, by its UID; `nil` where there is none.
    /// - Parameter hint: a place to look at first.
    public func place(of uid: UInt32, hint: Int = 0) -> Int? {
        if uids.indices.contains(hint), uids[hint] == uid { return hint }
        let place = lowerBound(uid)
        return place < uids.count && uids[place] == uid ? place : nil
    }

    private func lowerBound(_ uid: UInt32) -> Int {
        var low = 0
        var high = uids.count
        while low < high {
            let middle = (low + high) / 2
            if uids[middle] < uid { low = middle + 1 } else { high = middle }
        }
        return low
    }

    /// The flags of the message at a place, as a place in ``flagSets``.
    public func flagPlace(at place: Int) -> Int { Int(entries[place].flags) }
    /// The internal date of the message at a place.
    public func internalDate(at place: Int) -> Date { Date(timeIntervalSinceReferenceDate: entries[place].internalDate) }
    /// The octets of the message at a place.
    public func size(at place: Int) -> Int { entries[place].size }

    /// The message at a place.
    public func message(at place: Int) -> StoredMessage {
        let entry = entries[place]
        return StoredMessage(
            uid: uids[place], modSeq: entry.modSeq, flags: flagSets[Int(entry.flags)],
            internalDate: Date(timeIntervalSinceReferenceDate: entry.internalDate), size: entry.size, contentID: entry.contentID)
    }

    /// The messages of some UIDs, in their order, as far as they are there.
    public func messages(_ wanted: some Sequence<UInt32>) -> [StoredMessage] {
        var hint = 0
        return wanted.compactMap { uid in
            guard let place = place(of: uid, hint: hint) else { return nil }
            hint = place + 1
            return message(at: place)
        }
    }

    /// The combinations of flags that messages have now.
    public var flagSetsInUse: [Set<String>] { zip(flagSets, flagUse).filter(\.1).map(\.0) }

    private var flagUse: [Bool] {
        var isUsed = [Bool](repeating: false, count: flagSets.count)
        for entry in entries { isUsed[Int(entry.flags)] = true }
        return isUsed
    }

    /// The place of the first message without a flag.
    public func firstPlace(without flag: String) -> Int? {
        let has = flagSets.map { $0.contains(flag) }
        return entries.firstIndex { !has[Int($0.flags)] }
    }

    // MARK: - Changing

    private mutating func flagPlace(bits: Int, keywords: [UInt8]) -> Int32 {
        if keywords.isEmpty, Self.systemFlagSets.indices.contains(bits) { return Int32(bits) }
        return flagPlace(StoredFlags(bits: bits, keywords: String(decoding: keywords, as: UTF8.self)))
    }

    private mutating func flagPlace(_ flags: StoredFlags) -> Int32 {
        if flags.keywords.isEmpty, Self.systemFlagSets.indices.contains(flags.bits) { return Int32(flags.bits) }
        if let known = flagPlaces[flags] { return known }
        let place = Int32(flagSets.count)
        flagSets.append(flags.names)
        flagPlaces[flags] = place
        return place
    }

    /// Adds a message behind all others while the mailbox is read.
    mutating func append(
        uid: UInt32, modSeq: UInt64, bits: Int, keywords: [UInt8], internalDate: Double, size: Int, contentID: Int64
    ) {
        uids.append(uid)
        entries.append(
            Entry(
                contentID: contentID, internalDate: internalDate, size: size, modSeq: modSeq, flags: flagPlace(bits: bits, keywords: keywords)))
    }

    /// Takes changes: those after a modification that is not behind ``modSeq``. Those that are here already do no harm.
    mutating func apply(changed: [StoredMessage], vanished: [UInt32], modSeq newModSeq: UInt64) {
        guard newModSeq > modSeq else { return }
        for message in changed {
            let entry = Entry(
                contentID: message.contentID, internalDate: message.internalDate.timeIntervalSinceReferenceDate, size: message.size,
                modSeq: message.modSeq, flags: flagPlace(StoredFlags(message.flags)))
            let place = message.uid > uids.last ?? 0 ? uids.count : lowerBound(message.uid)
            if place < uids.count, uids[place] == message.uid {
                entries[place] = entry
            } else {
                uids.insert(message.uid, at: place)
                entries.insert(entry, at: place)
            }
        }
        remove(vanished)
        modSeq = newModSeq
        if flagSets.count > uids.count + Self.spareFlagSets { forgetUnusedFlags() }
    }

    private mutating func remove(_ vanished: [UInt32]) {
        // After long time these are all UIDs that aren't there: most were never known here.
        let gone = vanished.compactMap { place(of: $0) }.sorted()
        guard let first = gone.first else { return }
        var skipped = 0
        for place in first..<uids.count {
            if skipped < gone.count, gone[skipped] == place {
                skipped += 1
            } else {
                uids[place - skipped] = uids[place]
                entries[place - skipped] = entries[place]
            }
        }
        uids.removeLast(skipped)
        entries.removeLast(skipped)
    }

    private mutating func forgetUnusedFlags() {
        let isUsed = flagUse
        let old = flagPlaces
        flagSets = Self.systemFlagSets
        flagPlaces = [:]
        flagGeneration += 1
        var moved: [Int32: Int32] = [:]
        for (flags, place) in old where isUsed[Int(place)] { moved[place] = flagPlace(flags) }
        for place in entries.indices { entries[place].flags = moved[entries[place].flags] ?? entries[place].flags }
    }
}
