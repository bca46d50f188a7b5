import FoundationEssentials
import GRDB
import MailMessage
import NIOCore

/// What the mailbox methods do inside a transaction.
enum MailboxRows {
    static func userID(_ address: EmailAddress, _ db: Database) throws -> Int64 {
        let key = address.storeKey
        guard let id = try Int64.fetchOne(db.cachedStatement(sql: "SELECT id FROM user WHERE address = ?"), arguments: [key]) else {
            throw StoreError(.notFound, "there is no user \(key)")
        }
        return id
    }

    static func find(_ name: String, user: Int64, _ db: Database) throws -> MailboxInfo? {
        try Row.fetchOne(db.cachedStatement(sql: "SELECT * FROM mailbox WHERE user = ? AND name = ?"), arguments: [user, name])
            .map(info)
    }

    static func require(_ name: String, user: Int64, _ db: Database) throws -> MailboxInfo {
        guard let found = try find(name, user: user, db) else { throw StoreError(.notFound, "there is no mailbox \(name)") }
        return found
    }

    static func info(_ row: Row) -> MailboxInfo {
        MailboxInfo(
            id: row["id"], name: row["name"], uidValidity: UInt32(clamping: row["uidValidity"] as Int64),
            uidNext: UInt32(clamping: row["uidNext"] as Int64), highestModSeq: UInt64(clamping: row["modSeq"] as Int64),
            specialUse: row["specialUse"], isSubscribed: row["subscribed"], mailboxID: row["mailboxID"], messageCount: row["messageCount"],
            unseenCount: row["unseenCount"], deletedCount: row["deletedCount"], totalSize: row["totalSize"])
    }

    static func message(_ row: Row) -> StoredMessage {
        StoredMessage(
            uid: UInt32(clamping: row["uid"] as Int64), modSeq: UInt64(clamping: row["modSeq"] as Int64),
            flags: StoredFlags(bits: row["flags"], keywords: row["keywords"]).names,
            internalDate: Date(timeIntervalSinceReferenceDate: row["internalDate"]), size: row["size"], contentID: row["content"])
    }

    /// Makes a mailbox. UIDVALIDITY starts at the clock and only ever grows, so a name that is used again has another one
    /// (RFC 9051 §2.3.1.1).
    static func create(_ name: String, user: Int64, specialUse: String?, subscribed: Bool, _ db: Database) throws {
        let now = Int64(Date().timeIntervalSince1970)
        let validity =
            try Int64.fetchOne(
                db,
                sql: """
                    INSERT INTO counter (name, value) VALUES ('uidValidity', ?1)
                    ON CONFLICT (name) DO UPDATE SET value = max(value + 1, ?1) RETURNING value
                    """, arguments: [now]) ?? now
        try db.run(
            "INSERT INTO mailbox (user, name, uidValidity, specialUse, subscribed, mailboxID) VALUES (?, ?, ?, ?, ?, ?)",
            [user, name, validity, specialUse, subscribed, TraceID.random().description])
    }

    /// Adds a message that refers to stored octets; returns its UID.
    static func add(
        to mailbox: Int64, content: Int64, size: Int, flags: StoredFlags, internalDate: Double, _ db: Database
    ) throws -> UInt32 {
        let row = try Row.fetchOne(
            db.cachedStatement(
                sql: """
                    UPDATE mailbox SET uidNext = uidNext + 1, modSeq = modSeq + 1, messageCount = messageCount + 1,
                        unseenCount = unseenCount + ?, deletedCount = deletedCount + ?, totalSize = totalSize + ?
                    WHERE id = ? AND uidNext < 4294967295 RETURNING uidNext - 1 AS uid, modSeq
                    """),
            arguments: [flags.isSeen ? 0 : 1, flags.isDeleted ? 1 : 0, size, mailbox])
        guard let row else { throw StoreError(.full, "the mailbox is gone or has used up its message numbers: make a new one") }
        let uid: Int64 = row["uid"]
        try db.run(
            "INSERT INTO message (mailbox, uid, modSeq, flags, keywords, internalDate, size, content) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [mailbox, uid, row["modSeq"] as Int64, flags.bits, flags.keywordText, internalDate, size, content])
        return UInt32(clamping: uid)
    }

    static func addContent(_ body: KeptContent, references: Int, _ db: Database) throws -> Int64 {
        try db.run(
            "INSERT INTO content (references_, prefix, size, file, body) VALUES (?, ?, ?, ?, ?)",
            [references, body.prefix, body.body.size, body.body.fileName, body.body.data])
        let id = db.lastInsertedRowID
        if let summary = body.summary { try addSummary(summary, of: id, db) }
        return id
    }

    static func addSummary(_ summary: ByteBuffer, of content: Int64, _ db: Database) throws {
        try db.run("INSERT OR REPLACE INTO summary (content, octets) VALUES (?, ?)") {
            $0.bind(content)
            $0.bind(summary)
        }
    }

    /// Takes messages out of a mailbox. Moved ones keep their octets referenced by the new place, which counts for itself.
    static func remove(_ rows: [Row], from mailbox: Int64, _ db: Database, _ effects: inout MailboxEffects) throws {
        guard !rows.isEmpty else { return }
        let modSeq = try nextModSeq(mailbox, db)
        var unseen = 0
        var deleted = 0
        var size = 0
        for row in rows {
            let flags = StoredFlags(bits: row["flags"], keywords: "")
            unseen += flags.isSeen ? 0 : 1
            deleted += flags.isDeleted ? 1 : 0
            size += row["size"] as Int
            let uid: Int64 = row["uid"]
            try db.run("DELETE FROM message WHERE mailbox = ? AND uid = ?", [mailbox, uid])
            try db.run("INSERT INTO vanished (mailbox, modSeq, uid) VALUES (?, ?, ?)", [mailbox, modSeq, uid])
            try release(row["content"], db, &effects)
        }
        try db.run(
            """
            UPDATE mailbox SET messageCount = messageCount - ?, unseenCount = unseenCount - ?, deletedCount = deletedCount - ?,
                totalSize = totalSize - ? WHERE id = ?
            """, [rows.count, unseen, deleted, size, mailbox])
        try limitRemovals(in: mailbox, added: rows.count, db)
        effects.changed.insert(mailbox)
    }

    /// Of each mailbox so many removals are remembered at least, and twice as many at most, so that forgetting is done in batches.
    static let removalsKept = 10_000

    /// Forgets the oldest removals where there are too many. RFC 7162 §5.3 allows it: who asks for older changes hears of all UIDs that
    /// aren't there (any more).
    private static func limitRemovals(in mailbox: Int64, added: Int, _ db: Database) throws {
        let count = try Int.fetchOne(
            db.cachedStatement(sql: "UPDATE mailbox SET vanishedCount = vanishedCount + ? WHERE id = ? RETURNING vanishedCount"),
            arguments: [added, mailbox])
        guard let count, count > 2 * removalsKept else { return }
        let newestForgotten = try Int64.fetchOne(
            db, sql: "SELECT modSeq FROM vanished WHERE mailbox = ? ORDER BY modSeq DESC, uid DESC LIMIT 1 OFFSET ?",
            arguments: [mailbox, removalsKept])
        guard let newestForgotten else { return }
        // Whole modifications go, or one would be told of by half.
        try db.run("DELETE FROM vanished WHERE mailbox = ? AND modSeq <= ?", [mailbox, newestForgotten])
        try db.run(
            "UPDATE mailbox SET vanishedCount = vanishedCount - ?, vanishedSince = ? WHERE id = ?",
            [db.changesCount, newestForgotten, mailbox])
    }

    /// The UIDs of what was removed after a modification, ascending; where that is forgotten, all that were given and aren't there.
    static func removals(from mailbox: Row, after modSeq: Int64, _ db: Database) throws -> [UInt32] {
        let id: Int64 = mailbox["id"]
        guard modSeq < mailbox["vanishedSince"] as Int64 else {
            return try Int64.fetchAll(
                db, sql: "SELECT uid FROM vanished WHERE mailbox = ? AND modSeq > ? ORDER BY uid", arguments: [id, modSeq]
            ).map { UInt32(clamping: $0) }
        }
        var missing: [UInt32] = []
        var next: Int64 = 1
        let present = try Int64.fetchAll(db, sql: "SELECT uid FROM message WHERE mailbox = ? ORDER BY uid", arguments: [id])
        for uid in present + [mailbox["uidNext"]] {
            missing += (next..<max(next, uid)).map { UInt32(clamping: $0) }
            next = uid + 1
        }
        return missing
    }

    static func release(_ content: Int64, _ db: Database, _ effects: inout MailboxEffects) throws {
        let left = try Int.fetchOne(
            db.cachedStatement(sql: "UPDATE content SET references_ = references_ - 1 WHERE id = ? RETURNING references_"),
            arguments: [content])
        guard let left, left <= 0 else { return }
        if let file = try String.fetchOne(db.cachedStatement(sql: "SELECT file FROM content WHERE id = ?"), arguments: [content]) {
            effects.freedFiles.append(file)
        }
        try db.run("DELETE FROM content WHERE id = ?", [content])
    }

    static func nextModSeq(_ mailbox: Int64, _ db: Database) throws -> Int64 {
        let next = try Int64.fetchOne(
            db.cachedStatement(sql: "UPDATE mailbox SET modSeq = modSeq + 1 WHERE id = ? RETURNING modSeq"), arguments: [mailbox])
        guard let next else { throw StoreError(.notFound, "the mailbox is gone") }
        return next
    }

    static func delete(_ mailbox: Int64, _ db: Database, _ effects: inout MailboxEffects) throws {
        let contents = try Int64.fetchAll(db, sql: "SELECT content FROM message WHERE mailbox = ?", arguments: [mailbox])
        try db.run("DELETE FROM message WHERE mailbox = ?", [mailbox])
        for content in contents { try release(content, db, &effects) }
        try db.run("DELETE FROM mailbox WHERE id = ?", [mailbox])
        effects.deleted.insert(mailbox)
    }

    /// Copies or moves messages, in the order of their UIDs.
    static func copy(
        _ rows: [Row], from source: Int64, to target: Int64, move: Bool, _ db: Database, _ effects: inout MailboxEffects
    ) throws -> [(UInt32, UInt32)] {
        var uids: [(UInt32, UInt32)] = []
        for row in rows {
            let content: Int64 = row["content"]
            try db.run("UPDATE content SET references_ = references_ + 1 WHERE id = ?", [content])
            let uid = try add(
                to: target, content: content, size: row["size"], flags: StoredFlags(bits: row["flags"], keywords: row["keywords"]),
                internalDate: row["internalDate"], db)
            uids.append((UInt32(clamping: row["uid"] as Int64), uid))
        }
        if move { try remove(rows, from: source, db, &effects) }
        if !rows.isEmpty { effects.changed.insert(target) }
        return uids
    }

    static func rows(in mailbox: Int64, uids: [UInt32]?, _ db: Database) throws -> [Row] {
        guard let uids else {
            return try Row.fetchAll(db, sql: "SELECT * FROM message WHERE mailbox = ? ORDER BY uid", arguments: [mailbox])
        }
        return try Set(uids).sorted().compactMap { uid in
            try Row.fetchOne(
                db.cachedStatement(sql: "SELECT * FROM message WHERE mailbox = ? AND uid = ?"), arguments: [mailbox, Int64(uid)])
        }
    }
}

/// A message's octets, kept: what was put in front of them, and themselves.
struct KeptContent: Sendable {
    var prefix: Data
    var body: StoredBody
    /// What lists of messages show of its header, where it was found.
    var summary: ByteBuffer?

    var size: Int { prefix.count + body.size }
}

extension EmailAddress {
    /// How users and aliases are looked up: without regard to case.
    var storeKey: String { "\(localPart)@\(domain)".lowercased() }

    /// The address that a key was made of.
    init(storeKey: String) {
        guard let at = storeKey.lastIndex(of: "@") else {
            self.init(localPart: storeKey, domain: "")
            return
        }
        self.init(localPart: String(storeKey[..<at]), domain: String(storeKey[storeKey.index(after: at)...]))
    }
}
