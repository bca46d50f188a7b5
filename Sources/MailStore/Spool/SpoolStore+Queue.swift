public import FoundationEssentials
import GRDB
public import MailMessage
import NIOCore
import Synchronization

extension SpoolStore: Spool {
    public func enqueue(_ message: NewSpoolMessage, journey: @Sendable (QueueID) -> [JourneyRecord]) async throws -> QueuedMessage {
        let prepared = try await PreparedMessage(message, numbers: numbers, bodies: bodies)
        let lines = journey(prepared.id).map(JourneyLine.init)
        do {
            try await database.writer.submit(octets: prepared.octets) { db in
                try prepared.insert(db)
                for line in lines { try journeys.insert(line, db) }
            }
        } catch {
            await bodies.remove([prepared.body.fileName].compactMap { $0 }, after: error)
            throw error
        }
        return prepared.queued
    }

    public func record(
        _ outcomes: [(recipient: Int64, disposition: QueueDisposition)], newMessages: [NewSpoolMessage], journey: [JourneyRecord]
    ) async throws {
        var prepared: [PreparedMessage] = []
        do {
            for message in newMessages { prepared.append(try await PreparedMessage(message, numbers: numbers, bodies: bodies)) }
        } catch {
            await bodies.remove(prepared.compactMap(\.body.fileName))
            throw error
        }
        let messages = prepared
        let lines = journey.map(JourneyLine.init)
        do {
            // Nobody waits for the outcome of an attempt: what is lost of it in a crash is a second delivery, as if the crash had come before.
            let urgency: SQLiteWriter.Urgency = messages.isEmpty ? .relaxed : .prompt
            let freed = try await database.writer.submit(octets: messages.reduce(0) { $0 + $1.octets }, urgency: urgency) { db in
                for message in messages { try message.insert(db) }
                for line in lines { try journeys.insert(line, db) }
                var freed: [String] = []
                for outcome in outcomes { freed += try Self.apply(outcome.disposition, to: outcome.recipient, db) }
                return freed
            }
            await bodies.remove(freed)
        } catch {
            await bodies.remove(messages.compactMap(\.body.fileName), after: error)
            throw error
        }
    }

    /// Returns the file of a message that is gone with this recipient.
    private static func apply(_ disposition: QueueDisposition, to recipient: Int64, _ db: Database) throws -> [String] {
        switch disposition {
        case .retry(let nextAttempt, let status, let delayNotified):
            try db.run("UPDATE recipient SET attempts = attempts + 1, nextAttempt = ?, lastStatus = ?, delayNotified = ? WHERE id = ?") {
                $0.bind(nextAttempt.timeIntervalSinceReferenceDate)
                $0.bind(status)
                $0.bind(delayNotified ? 1 as Int64 : 0)
                $0.bind(recipient)
            }
            return []
        case .hold(let reason, let status):
            try db.run("UPDATE recipient SET state = 1, attempts = attempts + 1, holdReason = ?, lastStatus = ? WHERE id = ?") {
                $0.bind(reason)
                $0.bind(status)
                $0.bind(recipient)
            }
            return []
        case .done:
            try db.run("DELETE FROM recipient WHERE id = ?") { $0.bind(recipient) }
            let message = SpoolNumbers.message(ofRecipient: recipient).rawValue
            let others = SpoolNumbers.recipients(of: message)
            let remaining = try db.value("SELECT 1 FROM recipient WHERE id BETWEEN ? AND ? LIMIT 1") {
                $0.bind(others.lowerBound)
                $0.bind(others.upperBound)
            }
            return remaining == nil ? try deleteMessage(message, db) : []
        }
    }

    /// Returns the message's file.
    private static func deleteMessage(_ id: Int64, _ db: Database) throws -> [String] {
        var files: [String] = []
        try db.rows(
            "DELETE FROM message WHERE id = ? RETURNING file", bind: { $0.bind(id) },
            { row in
                files += [row.text(0)].compactMap { $0 }
                return true
            })
        return files
    }

    /// How far ``due(at:limit:excludingDestinations:excludingRecipients:)`` looks along the time before it goes by destination.
    private static let dueWindow = 4096

    public func due(
        at time: Date, limit: Int, excludingDestinations: Set<String>, excludingRecipients: Set<Int64>
    ) async throws -> [QueuedRecipient] {
        guard limit > 0 else { return [] }
        let now = time.timeIntervalSinceReferenceDate
        return try await database.read { db in
            // The inner query is answered by the index alone, in the order of time.
            var seen = 0
            var ids: [Int64] = []
            try db.rows(
                "SELECT id, destination FROM recipient WHERE state = 0 AND nextAttempt <= ? ORDER BY nextAttempt LIMIT ?",
                bind: {
                    $0.bind(now)
                    $0.bind(Int64(Self.dueWindow))
                },
                { row in
                    seen += 1
                    let id = row.integer(0)
                    if !excludingRecipients.contains(id), !excludingDestinations.contains(row.text(1) ?? "") { ids.append(id) }
                    return ids.count < limit
                })
            if ids.count < limit && seen == Self.dueWindow {
                let destinations = String(decoding: try JSONEncoder().encode(Array(excludingDestinations)), as: UTF8.self)
                let recipients = String(decoding: try JSONEncoder().encode(Array(excludingRecipients)), as: UTF8.self)
                // Many that are excluded stand in front: step from destination to destination, so that they are not read at all.
                ids = try Int64.fetchAll(
                    db,
                    sql: """
                        WITH RECURSIVE d(name) AS (
                            SELECT min(destination) FROM recipient WHERE state = 0
                            UNION ALL
                            SELECT (SELECT min(destination) FROM recipient WHERE state = 0 AND destination > d.name)
                            FROM d WHERE d.name IS NOT NULL)
                        SELECT r.id FROM d JOIN recipient AS r ON r.id IN (
                            SELECT id FROM recipient WHERE state = 0 AND destination = d.name AND nextAttempt <= ?1
                            AND id NOT IN (SELECT value FROM json_each(?2)) ORDER BY nextAttempt LIMIT ?3)
                        WHERE d.name IS NOT NULL AND d.name NOT IN (SELECT value FROM json_each(?4))
                        ORDER BY r.nextAttempt LIMIT ?3
                        """,
                    arguments: [now, recipients, limit, destinations])
            }
            return try ids.compactMap { id in
                try Row.fetchOne(db.cachedStatement(sql: "SELECT * FROM recipient WHERE id = ?"), arguments: [id])
                    .map(Self.recipient)
            }
        }
    }

    public func accepted(since time: Date, limit: Int) async throws -> [(fingerprint: [UInt8], trace: TraceID)] {
        try await database.read { db in
            var found: [(fingerprint: [UInt8], trace: TraceID)] = []
            try db.rows(
                "SELECT time, fingerprint, trace FROM acceptance ORDER BY id DESC LIMIT ?", bind: { $0.bind(Int64(limit)) }
            ) { row in
                guard row.double(0) >= time.timeIntervalSinceReferenceDate else { return false }
                if let trace = TraceID(octets: row.octets(2)) { found.append((row.octets(1), trace)) }
                return true
            }
            return found
        }
    }

    public func forgetAccepted(before time: Date) async throws {
        try await database.writer.submit { db in
            // Numbers follow time, so the old ones are those in front; the whole table is never looked through.
            let border = try db.value("SELECT id FROM acceptance WHERE time >= ? ORDER BY id LIMIT 1") {
                $0.bind(time.timeIntervalSinceReferenceDate)
            }
            try db.run("DELETE FROM acceptance WHERE id < ?") { $0.bind(border ?? Int64.max) }
        }
    }

    public func version() async throws -> SpoolVersion {
        SpoolVersion(file: try await database.dataVersion(), commands: commands.count.load(ordering: .relaxed))
    }

    public func nextDue(after time: Date) async throws -> Date? {
        try await database.read { db in
            try Double.fetchOne(
                db, sql: "SELECT nextAttempt FROM recipient WHERE state = 0 AND nextAttempt > ? ORDER BY nextAttempt LIMIT 1",
                arguments: [time.timeIntervalSinceReferenceDate]
            ).map { Date(timeIntervalSinceReferenceDate: $0) }
        }
    }

    public func bringForward(after limit: Date, to time: Date) async throws -> Int {
        try await change(
            "UPDATE recipient SET nextAttempt = ? WHERE state = 0 AND nextAttempt > ?",
            [time.timeIntervalSinceReferenceDate, limit.timeIntervalSinceReferenceDate], nil)
    }

    public func message(_ id: QueueID) async throws -> SpooledMessage? {
        do {
            return try await database.read { db in
                guard let row = try Row.fetchOne(db, sql: "SELECT * FROM message WHERE id = ?", arguments: [id.rawValue]) else { return nil }
                return try message(row, content: bodies.content(data: row["body"], fileName: row["file"], size: row["size"]))
            }
        } catch let error as StoreError where error.code == .notFound {
            // Somebody may have deleted it between the look at the row and the opening of the file.
            let isThere = try await database.read {
                try Int.fetchOne($0, sql: "SELECT 1 FROM message WHERE id = ?", arguments: [id.rawValue]) != nil
            }
            guard isThere else { return nil }
            throw StoreError(
                .corrupted, "the octets of message \(id) are missing (\(error)): restore the spool from a copy, or delete the message from the queue")
        }
    }

    public func recipients(of id: QueueID) async throws -> [QueuedRecipient] {
        try await database.read { try Self.recipients(of: id.rawValue, $0) }
    }

    public func list(limit: Int, offset: Int) async throws -> [(message: SpooledMessage, recipients: [QueuedRecipient])] {
        try await database.read { db in
            try Row.fetchAll(
                db, sql: "SELECT id, trace, arrival, envelope, annotations, prefix, size, file FROM message ORDER BY id LIMIT ? OFFSET ?",
                arguments: [limit, offset]
            ).map { row in
                let id: Int64 = row["id"]
                // Nothing is opened for a list: it must be shown even where the octets of one message are lost.
                let content: any MessageContent =
                    if let file = row["file"] as String? {
                        UnopenedFileContent(path: bodies.location(file), byteCount: row["size"])
                    } else { RowContent(database: database, id: id, byteCount: row["size"]) }
                return (try message(row, content: content), try Self.recipients(of: id, db))
            }
        }
    }

    public func counts() async throws -> (queued: Int, held: Int) {
        try await database.read { db in
            let held = try Int.fetchOne(db, sql: "SELECT count(*) FROM recipient WHERE state = 1") ?? 0
            return (try Int.fetchOne(db, sql: "SELECT count(*) FROM recipient WHERE state = 0") ?? 0, held)
        }
    }

    /// How many recipients wait, and since when the oldest message does. Answered by the indexes.
    public func summary() async throws -> (queued: Int, held: Int, oldest: Date?) {
        try await database.read { db in
            let held = try Int.fetchOne(db, sql: "SELECT count(*) FROM recipient WHERE state = 1") ?? 0
            let queued = try Int.fetchOne(db, sql: "SELECT count(*) FROM recipient WHERE state = 0") ?? 0
            // Numbers follow time, so the message with the lowest one came first.
            let oldest = try Double.fetchOne(db, sql: "SELECT arrival FROM message ORDER BY id LIMIT 1")
            return (queued, held, oldest.map { Date(timeIntervalSinceReferenceDate: $0) })
        }
    }

    public func hold(_ id: QueueID?, reason: String) async throws -> Int {
        try await change("UPDATE recipient SET state = 1, holdReason = ? WHERE state = 0", [reason], id)
    }

    public func release(_ id: QueueID?) async throws -> Int {
        try await change(
            "UPDATE recipient SET state = 0, holdReason = NULL, nextAttempt = ? WHERE state = 1",
            [Date().timeIntervalSinceReferenceDate], id)
    }

    public func retry(_ id: QueueID?) async throws -> Int {
        try await change("UPDATE recipient SET nextAttempt = ? WHERE state = 0", [Date().timeIntervalSinceReferenceDate], id)
    }

    private func change(_ sql: String, _ arguments: StatementArguments, _ id: QueueID?) async throws -> Int {
        commands.count.add(1, ordering: .relaxed)
        return try await database.writer.submit { db in
            try db.execute(
                sql: sql + (id == nil ? "" : " AND id BETWEEN ? AND ?"),
                arguments: arguments
                    + (id.map { SpoolNumbers.recipients(of: $0.rawValue) }.map { [$0.lowerBound, $0.upperBound] } ?? StatementArguments()))
            return db.changesCount
        }
    }

    public func delete(_ id: QueueID) async throws -> Int {
        commands.count.add(1, ordering: .relaxed)
        let (count, freed) = try await database.writer.submit { db in
            let numbers = SpoolNumbers.recipients(of: id.rawValue)
            try db.execute(sql: "DELETE FROM recipient WHERE id BETWEEN ? AND ?", arguments: [numbers.lowerBound, numbers.upperBound])
            return (db.changesCount, try Self.deleteMessage(id.rawValue, db))
        }
        await bodies.remove(freed)
        return count
    }

    public func makeIncomingFile() async throws -> any IncomingFile { try await bodies.makeIncomingFile() }

    private func message(_ row: Row, content: any MessageContent) throws -> SpooledMessage {
        let prefix: Data = row["prefix"]
        let id = QueueID(rawValue: row["id"])
        guard let trace = TraceID(octets: row["trace"] as Data) else {
            throw StoreError(.corrupted, "message \(id) has no readable trace identity: restore the spool from a copy")
        }
        return SpooledMessage(
            id: id, trace: trace, envelope: try JSONDecoder().decode(Envelope.self, from: row["envelope"]),
            content: prefix.isEmpty ? content : PrefixedContent(prefix: ByteBuffer(bytes: prefix), base: content),
            arrival: Date(timeIntervalSinceReferenceDate: row["arrival"]), annotations: Array(row["annotations"] as Data))
    }

    private static func recipients(of message: Int64, _ db: Database) throws -> [QueuedRecipient] {
        let numbers = SpoolNumbers.recipients(of: message)
        return try Row.fetchAll(
            db, sql: "SELECT * FROM recipient WHERE id BETWEEN ? AND ? ORDER BY id", arguments: [numbers.lowerBound, numbers.upperBound]
        ).map(recipient)
    }

    private static func recipient(_ row: Row) throws -> QueuedRecipient {
        let id: Int64 = row["id"]
        return QueuedRecipient(
            id: id, message: SpoolNumbers.message(ofRecipient: id),
            recipient: try JSONDecoder().decode(EnvelopeRecipient.self, from: row["recipient"]), destination: row["destination"],
            state: (row["state"] as Int) == 0 ? .queued : .held, attempts: row["attempts"],
            nextAttempt: Date(timeIntervalSinceReferenceDate: row["nextAttempt"]), lastStatus: row["lastStatus"],
            holdReason: row["holdReason"], delayNotified: row["delayNotified"])
    }
}
