public import FoundationEssentials
import GRDB
public import MailMessage
public import NIOCore

extension MailboxStore {
    /// How long a delivery's identity is remembered, in seconds: 30 days.
    static let deliveryMemory: Double = 30 * 86_400

    public func deliver(
        _ content: any MessageContent, prefix: ByteBuffer, to mailbox: String, of user: EmailAddress, flags: Set<String>,
        internalDate: Date, deliveryID: String?
    ) async throws -> DeliveredMessage {
        let name = try MailboxName.normalized(mailbox)
        let kept = try await keep(content, prefix: prefix)
        let now = Date().timeIntervalSinceReferenceDate
        do {
            let delivered = try await change(octets: kept.size) { db, effects in
                let id = try MailboxRows.userID(user, db)
                if let deliveryID {
                    try db.run("DELETE FROM delivery WHERE time < ?", [now - Self.deliveryMemory])
                    let seen = try Row.fetchOne(
                        db.cachedStatement(sql: "SELECT * FROM delivery WHERE user = ? AND id = ?"), arguments: [id, deliveryID])
                    if let seen {
                        return DeliveredMessage(
                            mailbox: seen["mailbox"], uidValidity: UInt32(clamping: seen["uidValidity"] as Int64),
                            uid: UInt32(clamping: seen["uid"] as Int64), isDuplicate: true)
                    }
                }
                let target = try MailboxRows.require(name, user: id, db)
                let uid = try Self.insert(kept, into: target.id, flags: flags, internalDate: internalDate, db, &effects)
                if let deliveryID {
                    try db.run(
                        "INSERT INTO delivery (user, id, mailbox, uidValidity, uid, time) VALUES (?, ?, ?, ?, ?, ?)",
                        [id, deliveryID, name, Int64(target.uidValidity), Int64(uid), now])
                }
                return DeliveredMessage(mailbox: name, uidValidity: target.uidValidity, uid: uid, isDuplicate: false)
            }
            if delivered.isDuplicate { await bodies.remove([kept.body.fileName].compactMap { $0 }) }
            return delivered
        } catch {
            await bodies.remove([kept.body.fileName].compactMap { $0 }, after: error)
            throw error
        }
    }

    public func append(
        _ messages: [(content: any MessageContent, flags: Set<String>, internalDate: Date)], to mailbox: String, of user: EmailAddress
    ) async throws -> [DeliveredMessage] {
        let name = try MailboxName.normalized(mailbox)
        var prepared: [(kept: KeptContent, flags: Set<String>, internalDate: Date)] = []
        do {
            for message in messages { prepared.append((try await keep(message.content, prefix: ByteBuffer()), message.flags, message.internalDate)) }
        } catch {
            await bodies.remove(prepared.compactMap(\.kept.body.fileName))
            throw error
        }
        let all = prepared
        do {
            return try await change(octets: all.reduce(0) { $0 + $1.kept.size }) { db, effects in
                let target = try MailboxRows.require(name, user: MailboxRows.userID(user, db), db)
                return try all.map { message in
                    let uid = try Self.insert(
                        message.kept, into: target.id, flags: message.flags, internalDate: message.internalDate, db, &effects)
                    return DeliveredMessage(mailbox: name, uidValidity: target.uidValidity, uid: uid, isDuplicate: false)
                }
            }
        } catch {
            await bodies.remove(all.compactMap(\.kept.body.fileName), after: error)
            throw error
        }
    }

    private func keep(_ content: any MessageContent, prefix: ByteBuffer) async throws -> KeptContent {
        let (front, base) = content.separatingPrefix(after: prefix)
        let summary = try await Self.summary(of: front.readableBytes == 0 ? base : PrefixedContent(prefix: front, base: base))
        return KeptContent(prefix: Data(front.readableBytesView), body: try await bodies.keep(base), summary: summary)
    }

    /// In so many octets at the beginning of a message its header is looked for.
    private static let headerOctets = 64 * 1024

    private static func summary(of content: any MessageContent) async throws -> ByteBuffer? {
        let beginning = try await content.read(0..<min(content.byteCount, headerOctets))
        return HeaderSummary.octets(of: beginning, isWhole: beginning.readableBytes == content.byteCount)
    }

    private static func insert(
        _ kept: KeptContent, into mailbox: Int64, flags: Set<String>, internalDate: Date, _ db: Database, _ effects: inout MailboxEffects
    ) throws -> UInt32 {
        let content = try MailboxRows.addContent(kept, references: 1, db)
        effects.changed.insert(mailbox)
        return try MailboxRows.add(
            to: mailbox, content: content, size: kept.size, flags: StoredFlags(flags),
            internalDate: internalDate.timeIntervalSinceReferenceDate, db)
    }

    public func changeFlags(
        in mailbox: Int64, uids: [UInt32], _ flagChange: FlagChange, _ flags: Set<String>, unchangedSince: UInt64?
    ) async throws -> (messages: [StoredMessage], modified: [UInt32]) {
        let operand = StoredFlags(flags)
        let limit = unchangedSince.map { Int64(clamping: $0) }
        return try await change { db, effects in
            var messages: [StoredMessage] = []
            var modified: [UInt32] = []
            var newModSeq: Int64?
            for row in try MailboxRows.rows(in: mailbox, uids: uids, db) {
                var message = MailboxRows.message(row)
                if let limit, (row["modSeq"] as Int64) > limit {
                    modified.append(message.uid)
                    continue
                }
                let old = StoredFlags(bits: row["flags"], keywords: row["keywords"])
                let new = old.applying(flagChange, operand)
                if new != old {
                    let modSeq = try newModSeq ?? MailboxRows.nextModSeq(mailbox, db)
                    newModSeq = modSeq
                    try db.run(
                        "UPDATE message SET flags = ?, keywords = ?, modSeq = ? WHERE mailbox = ? AND uid = ?",
                        [new.bits, new.keywordText, modSeq, mailbox, Int64(message.uid)])
                    try db.run(
                        "UPDATE mailbox SET unseenCount = unseenCount + ?, deletedCount = deletedCount + ? WHERE id = ?",
                        [
                            (old.isSeen ? 1 : 0) - (new.isSeen ? 1 : 0), (new.isDeleted ? 1 : 0) - (old.isDeleted ? 1 : 0), mailbox,
                        ])
                    message.flags = new.names
                    message.modSeq = UInt64(clamping: modSeq)
                    effects.changed.insert(mailbox)
                }
                messages.append(message)
            }
            return (messages, modified)
        }
    }

    public func expunge(in mailbox: Int64, uids: [UInt32]?) async throws -> [UInt32] {
        try await change { db, effects in
            let rows = try MailboxRows.rows(in: mailbox, uids: uids, db).filter { row in
                StoredFlags(bits: row["flags"], keywords: "").isDeleted
            }
            try MailboxRows.remove(rows, from: mailbox, db, &effects)
            return rows.map { UInt32(clamping: $0["uid"] as Int64) }
        }
    }

    public func copy(
        from mailbox: Int64, uids: [UInt32], to name: String, of user: EmailAddress, move: Bool
    ) async throws -> (
        uidValidity: UInt32, uids: [(UInt32, UInt32)]
    ) {
        let name = try MailboxName.normalized(name)
        return try await change { db, effects in
            let target = try MailboxRows.require(name, user: MailboxRows.userID(user, db), db)
            let rows = try MailboxRows.rows(in: mailbox, uids: uids, db)
            let pairs = try MailboxRows.copy(rows, from: mailbox, to: target.id, move: move, db, &effects)
            return (target.uidValidity, pairs)
        }
    }
}
