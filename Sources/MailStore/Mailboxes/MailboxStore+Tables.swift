import GRDB
public import NIOCore

/// What sessions know of mailboxes without reading rows.
extension MailboxStore {
    public func table(of mailbox: Int64) async throws -> MailboxTable {
        var isNew = false
        let table = try await tables.table(of: mailbox) {
            isNew = true
            return try await readTable(of: mailbox)
        }
        if !isNew || table.isBehind { try await lookForChanges(table) }
        return table
    }

    public func refresh(_ table: MailboxTable) async throws {
        if table.isBehind { try await lookForChanges(table) }
    }

    public func changes(
        in table: MailboxTable, after modSeq: UInt64, lookedWithin age: Duration
    ) async throws -> (changed: [StoredMessage], vanished: [UInt32], highestModSeq: UInt64, exists: Int)? {
        guard table.modSeq != modSeq || !table.isFresh(within: age) else { return nil }
        let found = try await lookForChanges(table, after: modSeq)
        return found.highestModSeq > modSeq ? found : nil
    }

    @discardableResult private func lookForChanges(
        _ table: MailboxTable, after modSeq: UInt64? = nil
    ) async throws -> (changed: [StoredMessage], vanished: [UInt32], highestModSeq: UInt64, exists: Int) {
        let look = table.beginLook()
        let modSeq = modSeq ?? table.modSeq
        do {
            let found = try await changes(in: table.mailbox, after: modSeq)
            table.apply(changed: found.changed, vanished: found.vanished, after: modSeq, upTo: found.highestModSeq, look)
            return found
        } catch let error as StoreError where error.code == .notFound {
            tables.forget([table.mailbox])
            throw error
        }
    }

    private func readTable(of mailbox: Int64) async throws -> MailboxTable {
        let began = ContinuousClock.now
        let snapshot = try await database.read { db in
            guard let row = try Row.fetchOne(db, sql: "SELECT modSeq, messageCount FROM mailbox WHERE id = ?", arguments: [mailbox]) else {
                throw StoreError(.notFound, "the mailbox is gone")
            }
            var snapshot = MailboxSnapshot(modSeq: UInt64(clamping: row["modSeq"] as Int64), capacity: row["messageCount"])
            try db.rows(
                "SELECT uid, modSeq, flags, keywords, internalDate, size, content FROM message WHERE mailbox = ? ORDER BY uid",
                bind: { $0.bind(mailbox) },
                { row in
                    snapshot.append(
                        uid: UInt32(clamping: row.integer(0)), modSeq: UInt64(clamping: row.integer(1)), bits: Int(row.integer(2)),
                        keywords: row.octets(3), internalDate: row.double(4), size: Int(row.integer(5)), contentID: row.integer(6))
                    return true
                })
            return snapshot
        }
        return MailboxTable(mailbox: mailbox, snapshot: snapshot, look: MailboxTable.Look(changes: 0, began: began))
    }

    public func keepSummaries(_ summaries: [Int64: ByteBuffer]) async throws {
        guard !summaries.isEmpty else { return }
        try await change(octets: summaries.values.reduce(0) { $0 + $1.readableBytes }) { db, _ in
            for (id, octets) in summaries {
                try db.run("INSERT OR IGNORE INTO summary (content, octets) SELECT id, ?2 FROM content WHERE id = ?1") {
                    $0.bind(id)
                    $0.bind(octets)
                }
            }
        }
    }

    /// Makes the store as one of the version that kept no summaries, for tests.
    package func forgetSummaries() async throws { try await change { db, _ in try db.run("DELETE FROM summary") { _ in } } }

    public func summaries(_ contentIDs: [Int64]) async throws -> [Int64: ByteBuffer] {
        guard let first = contentIDs.min(), let last = contentIDs.max() else { return [:] }
        // Messages that came one after the other stand together; wide gaps would read what nobody asked for.
        let isDense = last - first < Int64(contentIDs.count) * 2
        return try await database.read { db in
            // One buffer for all of them, and slices of it.
            var octets = ByteBuffer()
            var found: [(id: Int64, end: Int)] = []
            func take(_ row: StatementRow) -> Bool {
                row.write(1, into: &octets)
                found.append((row.integer(0), octets.writerIndex))
                return true
            }
            if isDense {
                try db.rows(
                    "SELECT content, octets FROM summary WHERE content BETWEEN ? AND ?",
                    bind: {
                        $0.bind(first)
                        $0.bind(last)
                    }, take)
            } else {
                for id in contentIDs { try db.rows("SELECT content, octets FROM summary WHERE content = ?", bind: { $0.bind(id) }, take) }
            }
            var summaries: [Int64: ByteBuffer] = [:]
            summaries.reserveCapacity(found.count)
            var start = 0
            for (id, end) in found {
                summaries[id] = octets.getSlice(at: start, length: end - start) ?? ByteBuffer()
                start = end
            }
            return summaries
        }
    }
}
