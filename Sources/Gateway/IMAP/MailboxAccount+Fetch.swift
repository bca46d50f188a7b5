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
        let setsSeen = !open.isReadOnly && items.contains(where: \.setsSeen)
        var found = 0
        // Messages that are marked as seen are marked shortly before they are sent.
        let needsContent = items.contains(where: \.needsContent)
        for piece in uids.pieces(of: setsSeen ? 16 : 256) {
            var messages = try await messages(piece, in: open.mailbox)
            let seen = setsSeen ? try await markSeen(&messages, in: open.mailbox) : []
            for group in needsContent ? groups(messages) : [messages] {
                try await withContents(of: group, isNeeded: needsContent) { contents in
                    for message in group {
                        guard let number = open.view.sequenceNumber(of: message.uid) else { continue }
                        // RFC 9051 §6.4.5: a flag that FETCH sets is told with it.
                        let tellsFlags = seen.contains(message.uid) && !items.contains(.flags)
                        let told = tellsFlags ? items + [.flags] : items
                        if try await write(message, contents[message.contentID], number, told, isUID: isUID, into: output) { found += 1 }
                        try await output.drain()
                    }
                }
            }
        }
        // RFC 9051 §6.4.9: UIDs that don't exist are no fault.
        return found < uids.count && !isUID ? Self.someAreGone : .ok("Fetched")
    }

    /// The messages of ascending UIDs that are there still.
    private func messages(_ uids: [UInt32], in mailbox: Int64) async throws -> [StoredMessage] {
        guard let first = uids.first, let last = uids.last else { return [] }
        // Wide gaps would fetch what nobody asked for.
        guard Int(last - first) <= uids.count * 4 else {
            var messages: [StoredMessage] = []
            for uid in uids { messages += try await store.messages(in: mailbox, uids: uid...uid) }
            return messages
        }
        let wanted = Set(uids)
        return try await store.messages(in: mailbox, uids: first...last).filter { wanted.contains($0.uid) }
    }

    /// What is read at once, in octets: short messages come together, a long one comes alone.
    private static let octetsReadAtOnce = 512 * 1024

    private func groups(_ messages: [StoredMessage]) -> [[StoredMessage]] {
        var groups: [[StoredMessage]] = []
        var octets = 0
        for message in messages {
            if groups.isEmpty || octets + message.size > Self.octetsReadAtOnce {
                groups.append([])
                octets = 0
            }
            groups[groups.count - 1].append(message)
            octets += message.size
        }
        return groups
    }

    /// Reads the octets of a group, counted for all connections as long as they are needed.
    private func withContents(
        of group: [StoredMessage], isNeeded: Bool = true, _ body: ([Int64: any MessageContent]) async throws -> Void
    ) async throws {
        guard isNeeded, group.count > 1 else { return try await body([:]) }
        guard !backend.budget.isExhausted else { throw StoreError(.busy, "all memory that connections may use is in use") }
        let octets = group.reduce(0) { $0 + $1.size }
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
        _ message: StoredMessage, _ known: (any MessageContent)?, _ number: Int, _ items: [FetchItem], isUID: Bool, into output: IMAPOutput
    ) async throws -> Bool {
        guard items.contains(where: \.needsContent) else {
            described(message, number, content: nil).writeFetch(items, includesUID: isUID, into: &output.buffer)
            return true
        }
        guard let content = try await content(of: message, known) else { return false }
        if items.allSatisfy({ !$0.needsContent || $0.isWholeMessage }) {
            try await stream(content, of: message, number, items, isUID: isUID, into: output)
            return true
        }
        // A part of a message is found by reading all of it.
        try await withOctets(of: content) { octets in
            described(message, number, content: octets).writeFetch(items, includesUID: isUID, into: &output.buffer)
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
        _ content: any MessageContent, of message: StoredMessage, _ number: Int, _ items: [FetchItem], isUID: Bool, into output: IMAPOutput
    ) async throws {
        var needsSpace = IMAPResponse.beginFetch(
            sequenceNumber: number, uid: message.uid, flags: message.flags, internalDate: message.internalDate, size: message.size,
            items: items, includesUID: isUID, into: &output.buffer)
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
        let context = SearchContext(
            lastSequenceNumber: open.view.uids.count, lastUID: open.view.uids.last ?? 0, saved: Set(open.view.saved))
        let (cheap, costly) = query.key.byCost
        var found: [UInt32] = []
        for piece in candidates(for: cheap, in: open.view).pieces(of: 1024) {
            let likely = try await messages(piece, in: open.mailbox).filter { message in
                guard let number = open.view.sequenceNumber(of: message.uid) else { return false }
                let known = described(message, number, content: nil)
                return cheap.allSatisfy { known.matches($0, in: context) }
            }
            guard !costly.isEmpty else {
                found += likely.map(\.uid)
                continue
            }
            for group in groups(likely) {
                try await withContents(of: group) { contents in
                    for message in group {
                        guard let number = open.view.sequenceNumber(of: message.uid),
                            let content = try await content(of: message, contents[message.contentID])
                        else { continue }
                        let matches = try await withOctets(of: content) { octets in
                            let whole = described(message, number, content: octets)
                            return costly.allSatisfy { whole.matches($0, in: context) }
                        }
                        if matches { found.append(message.uid) }
                    }
                }
            }
        }
        if saves, let returns = query.returns { selection?.view.save(SearchResult.saved(found, returns: returns)) }
        let numbers = isUID ? found : found.compactMap { open.view.sequenceNumber(of: $0).map { UInt32(clamping: $0) } }
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
}

/// A message can't be read to its end, though its length was told: the connection is worth nothing any more.
struct InterruptedLiteral: Error, CustomStringConvertible {
    var reason: String
    var description: String { "a message could not be read to its end: \(reason)" }
}

extension FetchItem {
    /// The octets of the message as they are, or a range of them.
    fileprivate var isWholeMessage: Bool {
        if case .section(let section, _, _, _) = self { section.path.isEmpty && section.content == .all } else { false }
    }
}

extension SearchKey {
    /// The conditions that must all hold: those that need no octets of the message, and those that do.
    fileprivate var byCost: (cheap: [SearchKey], costly: [SearchKey]) {
        let keys = if case .and(let keys) = self { keys } else { [self] }
        return (keys.filter { !$0.needsContent }, keys.filter(\.needsContent))
    }
}
