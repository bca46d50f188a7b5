import IMAP
import MailMessage
import MailStore
import MailTransport
import NIOCore

/// FETCH (RFC 9051 §6.4.5) and SEARCH (RFC 9051 §6.4.4).
extension MailboxAccount {
    func fetch(_ set: SequenceSet, _ items: [FetchItem], isUID: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        guard let uids = resolve(set, isUID: isUID) else { return Self.noSuchMessage }
        try await store.refresh(open.table)
        let answered = FetchItem.answered(items, includesUID: isUID)
        let found =
            if var writer = FetchRowWriter(answered) {
                try await fetchRows(uids, of: open, by: &writer, into: output)
            } else {
                try await fetchMessages(uids, of: open, answered, into: output)
            }
        // RFC 9051 §6.4.9: UIDs that don't exist are no fault.
        return found < uids.count && !isUID ? Self.someAreGone : .ok("Fetched")
    }

    /// Answers for so many messages at once where nothing is read for them.
    private static let rowsAtOnce = 1024

    /// Writes what is known without looking at messages; returns for how many.
    private func fetchRows(_ uids: [UInt32], of open: Selection, by writer: inout FetchRowWriter, into output: IMAPOutput) async throws -> Int {
        var found = 0
        var (number, place) = (0, 0)
        for piece in uids.pieces(of: Self.rowsAtOnce) {
            let messages = open.table.snapshot
            writer.use(messages.flagSets, generation: messages.flagGeneration)
            for uid in piece {
                guard let here = messages.place(of: uid, hint: place), let known = open.view.sequenceNumber(of: uid, hint: number + 1) else { continue }
                (place, number) = (here + 1, known)
                writer.add(
                    number: number, uid: uid, flags: messages.flagPlace(at: here), internalDate: messages.internalDate(at: here),
                    size: messages.size(at: here))
                found += 1
            }
            writer.flush(into: &output.buffer)
            try await output.drain()
        }
        return found
    }

    /// Writes what must be read, of messages or of what is kept of their headers; returns for how many.
    private func fetchMessages(_ uids: [UInt32], of open: Selection, _ items: [FetchItem], into output: IMAPOutput) async throws -> Int {
        let setsSeen = !open.isReadOnly && items.contains(where: \.setsSeen)
        let isSummary = items.allSatisfy { $0.need <= .summary }
        let itemsWithFlags = FetchItem.answered(items + [.flags], includesUID: false)
        var found = 0
        var number = 0
        // Messages that are marked as seen are marked shortly before they are sent.
        for piece in uids.pieces(of: setsSeen ? 16 : 256) {
            var messages = open.table.snapshot.messages(piece)
            let seen = setsSeen ? try await markSeen(&messages, in: open.mailbox) : []
            let summaries = isSummary ? try await summaries(of: messages) : [:]
            let octets = summaries.values.reduce(0) { $0 + $1.readableBytes }
            backend.budget.add(octets)
            defer { backend.budget.remove(octets) }
            for group in groups(messages, without: summaries) {
                try await withContents(of: group.filter { summaries[$0.contentID] == nil }) { contents in
                    for message in group {
                        guard let known = open.view.sequenceNumber(of: message.uid, hint: number + 1) else { continue }
                        number = known
                        // RFC 9051 §6.4.5: a flag that FETCH sets is told with it.
                        let told = seen.contains(message.uid) ? itemsWithFlags : items
                        if let summary = summaries[message.contentID] {
                            described(message, number, content: summary).writeFetch(told, into: &output.buffer)
                            found += 1
                        } else if try await write(message, contents[message.contentID], number, told, into: output) {
                            found += 1
                        }
                        try await output.drain()
                    }
                }
            }
        }
        return found
    }

    /// In so many octets at the beginning of a message its header is looked for.
    private static let headerOctets = 64 * 1024

    /// What is kept of the messages' headers. Of messages that came before that was done it is kept now; of few, whose header is too long,
    /// it never is.
    private func summaries(of messages: [StoredMessage]) async throws -> [Int64: ByteBuffer] {
        let known = try await store.summaries(messages.map(\.contentID))
        let others = messages.filter { known[$0.contentID] == nil }
        guard !others.isEmpty else { return known }
        var made: [Int64: ByteBuffer] = [:]
        for group in groups(others) {
            try await withContents(of: group) { contents in
                for message in group {
                    guard let content = try await content(of: message, contents[message.contentID]) else { continue }
                    let beginning = try await content.read(0..<min(content.byteCount, Self.headerOctets))
                    made[message.contentID] = HeaderSummary.octets(of: beginning, isWhole: beginning.readableBytes == content.byteCount)
                }
            }
        }
        // A store that can't write now can still be read.
        try? await store.keepSummaries(made)
        return known.merging(made) { first, _ in first }
    }

    /// What is read at once, in octets: short messages come together, a long one comes alone.
    private static let octetsReadAtOnce = 512 * 1024

    /// Messages that are read at once.
    /// - Parameter summaries: messages that are here are not read.
    private func groups(_ messages: [StoredMessage], without summaries: [Int64: ByteBuffer] = [:]) -> [[StoredMessage]] {
        var groups: [[StoredMessage]] = []
        var octets = 0
        for message in messages {
            let size = summaries[message.contentID] == nil ? message.size : 0
            if groups.isEmpty || octets + size > Self.octetsReadAtOnce {
                groups.append([])
                octets = 0
            }
            groups[groups.count - 1].append(message)
            octets += size
        }
        return groups
    }

    /// Reads the octets of a group, counted for all connections as long as they are needed.
    private func withContents(
        of group: [StoredMessage], _ body: ([Int64: any MessageContent]) async throws -> Void
    ) async throws {
        let octets = group.reduce(0) { $0 + $1.size }
        // A long one is read piece by piece.
        guard !group.isEmpty, octets <= Self.octetsReadAtOnce else { return try await body([:]) }
        guard !backend.budget.isExhausted else { throw StoreError(.busy, "all memory that connections may use is in use") }
        backend.budget.add(octets)
        defer { backend.budget.remove(octets) }
        try await body(store.contents(group.map(\.contentID)))
    }

    /// A message's octets: those that were read with others, or its own.
    private func content(of message: StoredMessage, _ known: (any MessageContent)?) async throws -> (any MessageContent)? {
        if let known { return known }
        return try await store.content(message.contentID)
    }

    /// Sets `\Seen`; returns the UIDs of which that is news.
    private func markSeen(_ messages: inout [StoredMessage], in mailbox: Int64) async throws -> Set<UInt32> {
        let unseen = messages.filter { !$0.flags.contains("\\Seen") }.map(\.uid)
        guard !unseen.isEmpty else { return [] }
        let changed = try await store.changeFlags(in: mailbox, uids: unseen, .add, ["\\Seen"], unchangedSince: nil).messages
        selection?.view.tell(changed.map(MailboxView.Message.init))
        let byUID = Dictionary(changed.map { ($0.uid, $0) }) { first, _ in first }
        messages = messages.map { byUID[$0.uid] ?? $0 }
        return Set(byUID.keys)
    }

    /// Writes one message; `false` when it is gone.
    private func write(
        _ message: StoredMessage, _ known: (any MessageContent)?, _ number: Int, _ items: [FetchItem], into output: IMAPOutput
    ) async throws -> Bool {
        guard let content = try await content(of: message, known) else { return false }
        if items.allSatisfy({ $0.need == .row || $0.isWholeMessage }) {
            try await stream(content, of: message, number, items, into: output)
            return true
        }
        // A part of a message is found by reading all of it.
        try await withOctets(of: content) { octets in
            described(message, number, content: octets).writeFetch(items, into: &output.buffer)
            try await output.drain()
        }
        return true
    }

    /// Reads a whole message, one at a time for a connection, and counted for all of them.
    private func withOctets<Result>(of content: any MessageContent, _ body: (ByteBuffer) async throws -> Result) async throws -> Result {
        guard !backend.budget.isExhausted else { throw StoreError(.busy, "all memory that connections may use is in use") }
        backend.budget.add(content.byteCount)
        defer { backend.budget.remove(content.byteCount) }
        return try await body(content.readAll())
    }

    private func described(_ message: StoredMessage, _ number: Int, content: ByteBuffer?) -> IMAPMessage {
        IMAPMessage(
            sequenceNumber: number, uid: message.uid, flags: message.flags, internalDate: message.internalDate, size: message.size,
            content: content)
    }

    /// Writes a message whose octets are wanted as they are, piece by piece.
    private func stream(
        _ content: any MessageContent, of message: StoredMessage, _ number: Int, _ items: [FetchItem], into output: IMAPOutput
    ) async throws {
        var needsSpace = IMAPResponse.beginFetch(
            sequenceNumber: number, uid: message.uid, flags: message.flags, internalDate: message.internalDate, size: message.size,
            items: items, includesUID: false, into: &output.buffer)
        for case .section(_, let partial, _, let name) in items {
            let first = min(Int(partial?.first ?? 0), content.byteCount)
            let end = min(first + Int(partial?.count ?? .max), content.byteCount)
            output.buffer.writeString("\(needsSpace ? " " : "")\(name) {\(end - first)}\r\n")
            needsSpace = true
            var position = first
            while position < end {
                let next = min(position + IMAPOutput.pieceSize, end)
                do { output.buffer.writeImmutableBuffer(try await content.read(position..<next)) } catch {
                    throw InterruptedLiteral(reason: "\(error)")
                }
                position = next
                try await output.drain()
            }
        }
        output.buffer.writeString(")\r\n")
    }

    // MARK: - SEARCH

    /// The messages that are worth a look: where a search names numbers, nothing else is read.
    private func candidates(for keys: [SearchKey], in view: MailboxView) -> [UInt32] {
        var candidates = view.uids
        for key in keys {
            let named: [UInt32]? =
                switch key {
                case .uid(let set): view.resolve(set, isUID: true)
                case .sequence(let set): view.resolve(set, isUID: false)
                default: nil
                }
            guard let named else { continue }
            let wanted = Set(named)
            candidates.removeAll { !wanted.contains($0) }
        }
        return candidates
    }

    func search(_ query: SearchQuery, tag: String, isUID: Bool, isRev2: Bool, into output: IMAPOutput) async throws -> IMAPCompletion {
        guard let open = selection else { return Self.nothingSelected }
        let saves = query.returns?.contains(.save) == true
        // RFC 9051 §6.4.4.1: a search that fails leaves nothing saved.
        if saves { selection?.view.save([]) }
        try await store.refresh(open.table)
        let context = SearchContext(
            lastSequenceNumber: open.view.uids.count, lastUID: open.view.uids.last ?? 0, saved: Set(open.view.saved), key: query.key)
        let (rows, summaries, contents) = query.key.byNeed
        var found: [UInt32] = []
        var search = RowSearch(rows, in: context)
        var (number, place) = (0, 0)
        // What must be read is looked for in pieces, so that no more than those are in memory.
        let isRead = !summaries.isEmpty || !contents.isEmpty
        for piece in candidates(for: rows, in: open.view).pieces(of: isRead ? 1024 : 16_384) {
            let messages = open.table.snapshot
            search.use(messages.flagSets, generation: messages.flagGeneration)
            var likely: [UInt32] = []
            for uid in piece {
                guard let here = messages.place(of: uid, hint: place), let known = open.view.sequenceNumber(of: uid, hint: number + 1) else { continue }
                (place, number) = (here + 1, known)
                let matches = search.matches(
                    number: number, uid: uid, flags: messages.flagPlace(at: here), internalDate: messages.internalDate(at: here),
                    size: messages.size(at: here))
                if matches { likely.append(uid) }
            }
            if !isRead {
                found += likely
                // Others want to be served, too.
                await Task.yield()
            } else if !likely.isEmpty {
                var read = messages.messages(likely)
                read = try await matching(read, summaries, need: .summary, of: open, in: context)
                found += try await matching(read, contents, need: .content, of: open, in: context).map(\.uid)
            }
        }
        if saves, let returns = query.returns { selection?.view.save(SearchResult.saved(found, returns: returns)) }
        let numbers = isUID ? found : open.view.sequenceNumbers(of: found)
        // RFC 9051 §6.4.4: IMAP4rev2 has no SEARCH response any more.
        guard isRev2 || query.returns != nil else {
            IMAPResponse.search(numbers).write(into: &output.buffer, isRev2: isRev2)
            return .ok("Searched")
        }
        let result = SearchResult(numbers, returns: query.returns ?? [.all])
        if result.isTold {
            IMAPResponse.extendedSearch(tag: tag, isUID: isUID, result).write(into: &output.buffer, isRev2: isRev2)
        }
        return .ok("Searched")
    }

    /// The messages for which keys hold that need something to be read.
    private func matching(
        _ messages: [StoredMessage], _ keys: [SearchKey], need: MessageNeed, of open: Selection, in context: SearchContext
    ) async throws -> [StoredMessage] {
        guard !keys.isEmpty else { return messages }
        let summaries = need == .summary ? try await summaries(of: messages) : [:]
        let octets = summaries.values.reduce(0) { $0 + $1.readableBytes }
        backend.budget.add(octets)
        defer { backend.budget.remove(octets) }
        var matching: [StoredMessage] = []
        var number = 0
        for group in groups(messages, without: summaries) {
            try await withContents(of: group.filter { summaries[$0.contentID] == nil }) { contents in
                for message in group {
                    guard let known = open.view.sequenceNumber(of: message.uid, hint: number + 1) else { continue }
                    number = known
                    func holds(_ octets: ByteBuffer) -> Bool {
                        let whole = described(message, known, content: octets)
                        return keys.allSatisfy { whole.matches($0, in: context) }
                    }
                    if let summary = summaries[message.contentID] {
                        if holds(summary) { matching.append(message) }
                    } else if let content = try await content(of: message, contents[message.contentID]) {
                        if try await withOctets(of: content, { holds($0) }) { matching.append(message) }
                    }
                }
            }
        }
        return matching
    }
}

/// A message can't be read to its end, though its length was told: the connection is worth nothing any more.
struct InterruptedLiteral: Error, CustomStringConvertible {
    var reason: String
    var description: String { "a message could not be read to its end: \(reason)" }
}

extension SearchKey {
    /// The conditions that must all hold, by what must be read for them.
    fileprivate var byNeed: (rows: [SearchKey], summaries: [SearchKey], contents: [SearchKey]) {
        let keys = if case .and(let keys) = self { keys } else { [self] }
        return (keys.filter { $0.need == .row }, keys.filter { $0.need == .summary }, keys.filter { $0.need == .content })
    }
}
