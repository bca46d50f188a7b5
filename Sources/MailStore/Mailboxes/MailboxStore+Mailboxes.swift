import FoundationEssentials
import GRDB
public import MailMessage
import NIOCore

extension MailboxStore: MailStore {
    public func mailboxes(of user: EmailAddress) async throws -> [MailboxInfo] {
        try await database.read { db in
            let id = try MailboxRows.userID(user, db)
            return try Row.fetchAll(
                db, sql: "SELECT * FROM mailbox WHERE user = ? ORDER BY name != 'INBOX', name", arguments: [id]
            ).map(MailboxRows.info)
        }
    }

    public func mailbox(named name: String, of user: EmailAddress) async throws -> MailboxInfo? {
        let name = try MailboxName.normalized(name)
        return try await database.read { try MailboxRows.find(name, user: MailboxRows.userID(user, $0), $0) }
    }

    public func createMailbox(_ name: String, of user: EmailAddress, specialUse: String?) async throws -> MailboxInfo {
        let name = try MailboxName.normalized(name)
        return try await change { db, _ in
            let id = try MailboxRows.userID(user, db)
            if try MailboxRows.find(name, user: id, db) != nil { throw StoreError(.exists, "there is a mailbox \(name) already") }
            try Self.createParents(of: name, user: id, db)
            try MailboxRows.create(name, user: id, specialUse: specialUse, subscribed: false, db)
            return try MailboxRows.require(name, user: id, db)
        }
    }

    private static func createParents(of name: String, user: Int64, _ db: Database) throws {
        for parent in MailboxName.parents(of: name) where try MailboxRows.find(parent, user: user, db) == nil {
            try MailboxRows.create(parent, user: user, specialUse: nil, subscribed: false, db)
        }
    }

    public func deleteMailbox(_ name: String, of user: EmailAddress) async throws {
        let name = try MailboxName.normalized(name)
        // RFC 9051 §6.3.5
        guard name != "INBOX" else { throw StoreError(.invalidName, "INBOX cannot be deleted") }
        try await change { db, effects in
            let found = try MailboxRows.require(name, user: MailboxRows.userID(user, db), db)
            try MailboxRows.delete(found.id, db, &effects)
        }
    }

    public func renameMailbox(_ name: String, to newName: String, of user: EmailAddress) async throws {
        let (name, newName) = (try MailboxName.normalized(name), try MailboxName.normalized(newName))
        guard newName != "INBOX", !newName.hasPrefix(name + "/") || name == "INBOX" else {
            throw StoreError(.invalidName, "\(name) cannot be renamed to \(newName)")
        }
        try await change { db, effects in
            let id = try MailboxRows.userID(user, db)
            let source = try MailboxRows.require(name, user: id, db)
            if try MailboxRows.find(newName, user: id, db) != nil { throw StoreError(.exists, "there is a mailbox \(newName) already") }
            try Self.createParents(of: newName, user: id, db)
            // RFC 9051 §6.3.6: INBOX stays, its messages go; those below it are left alone.
            if name == "INBOX" {
                try MailboxRows.create(newName, user: id, specialUse: nil, subscribed: false, db)
                let target = try MailboxRows.require(newName, user: id, db)
                let rows = try MailboxRows.rows(in: source.id, uids: nil, db)
                _ = try MailboxRows.copy(rows, from: source.id, to: target.id, move: true, db, &effects)
                return
            }
            let below = try Row.fetchAll(
                db, sql: "SELECT id, name FROM mailbox WHERE user = ? AND substr(name, 1, ?) = ?",
                arguments: [id, name.unicodeScalars.count + 1, name + "/"])
            try db.run("UPDATE mailbox SET name = ? WHERE id = ?", [newName, source.id])
            for row in below {
                let moved = try MailboxName.normalized(newName + (row["name"] as String).dropFirst(name.count))
                if try MailboxRows.find(moved, user: id, db) != nil { throw StoreError(.exists, "there is a mailbox \(moved) already") }
                try db.run("UPDATE mailbox SET name = ? WHERE id = ?", [moved, row["id"] as Int64])
            }
        }
    }

    public func setSubscribed(_ subscribed: Bool, mailbox name: String, of user: EmailAddress) async throws {
        let name = try MailboxName.normalized(name)
        try await change { db, _ in
            let found = try MailboxRows.require(name, user: MailboxRows.userID(user, db), db)
            try db.run("UPDATE mailbox SET subscribed = ? WHERE id = ?", [subscribed, found.id])
        }
    }

    public func messages(in mailbox: Int64, uids: ClosedRange<UInt32>) async throws -> [StoredMessage] {
        try await database.read { db in
            var messages: [StoredMessage] = []
            try db.rows(
                "SELECT \(Self.messageColumns) FROM message WHERE mailbox = ? AND uid BETWEEN ? AND ? ORDER BY uid",
                bind: {
                    $0.bind(mailbox)
                    $0.bind(Int64(uids.lowerBound))
                    $0.bind(Int64(uids.upperBound))
                },
                { row in
                    messages.append(Self.message(row))
                    return true
                })
            return messages
        }
    }

    private static let messageColumns = "uid, modSeq, flags, keywords, internalDate, size, content"

    /// A message of a row with ``messageColumns``.
    private static func message(_ row: StatementRow) -> StoredMessage {
        StoredMessage(
            uid: UInt32(clamping: row.integer(0)), modSeq: UInt64(clamping: row.integer(1)),
            flags: StoredFlags.names(bits: Int(row.integer(2)), keywords: row.octets(3)),
            internalDate: Date(timeIntervalSinceReferenceDate: row.double(4)), size: Int(row.integer(5)), contentID: row.integer(6))
    }

    public func changes(
        in mailbox: Int64, after modSeq: UInt64
    ) async throws -> (
        changed: [StoredMessage], vanished: [UInt32], highestModSeq: UInt64, exists: Int
    ) {
        let after = Int64(clamping: modSeq)
        return try await database.read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT * FROM mailbox WHERE id = ?", arguments: [mailbox]) else {
                throw StoreError(.notFound, "the mailbox is gone")
            }
            let info = MailboxRows.info(row)
            // After every command: by its number alone nearly nothing is read. Asked for the order of UIDs, SQLite would go through the mailbox.
            var changed: [StoredMessage] = []
            try db.rows(
                "SELECT \(Self.messageColumns) FROM message INDEXED BY message_modSeq WHERE mailbox = ? AND modSeq > ?",
                bind: {
                    $0.bind(mailbox)
                    $0.bind(after)
                },
                { row in
                    changed.append(Self.message(row))
                    return true
                })
            changed.sort { $0.uid < $1.uid }
            return (changed, try MailboxRows.removals(from: row, after: after, db), info.highestModSeq, info.messageCount)
        }
    }

    public func content(_ id: Int64) async throws -> (any MessageContent)? {
        do {
            return try await database.read { db in
                guard let row = try Row.fetchOne(db, sql: "SELECT * FROM content WHERE id = ?", arguments: [id]) else { return nil }
                let base = try bodies.content(data: row["body"], fileName: row["file"], size: row["size"])
                let prefix: Data = row["prefix"]
                return prefix.isEmpty ? base : PrefixedContent(prefix: ByteBuffer(bytes: prefix), base: base)
            }
        } catch let error as StoreError where error.code == .notFound {
            // Somebody may have expunged it between the look at the row and the opening of the file.
            let isThere = try await database.read { try Int.fetchOne($0, sql: "SELECT 1 FROM content WHERE id = ?", arguments: [id]) != nil }
            guard isThere else { return nil }
            throw StoreError(.corrupted, "the octets of a stored message are missing (\(error)): restore the mailboxes from a copy")
        }
    }

    public func contents(_ ids: [Int64]) async throws -> [Int64: any MessageContent] {
        // Octets never change: several need no common transaction, but are read faster in one.
        ids.count == 1 ? try await database.readOnce { try contents(ids, $0) } : try await database.read { try contents(ids, $0) }
    }

    private func contents(_ ids: [Int64], _ db: Database) throws -> [Int64: any MessageContent] {
        var contents: [Int64: any MessageContent] = [:]
        for id in ids {
            try db.rows(
                "SELECT prefix, size, file, body FROM content WHERE id = ?", bind: { $0.bind(id) },
                { row in
                    // A file that is gone, or that the system has none left for: whoever needs it asks again, and is told why.
                    guard
                        let base = row.isNull(2)
                            ? BufferedContent(row.buffer(3)) : try? bodies.content(data: nil, fileName: row.text(2), size: Int(row.integer(1)))
                    else { return false }
                    let prefix = row.buffer(0)
                    contents[id] = prefix.readableBytes == 0 ? base : PrefixedContent(prefix: prefix, base: base)
                    return false
                })
        }
        return contents
    }

    public func makeIncomingFile() async throws -> any IncomingFile { try await bodies.makeIncomingFile() }

    public func changes(of mailbox: Int64) -> AsyncStream<Void> { changeHub.stream(of: mailbox) }
}
