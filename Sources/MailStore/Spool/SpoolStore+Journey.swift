public import FoundationEssentials
import GRDB
public import MailMessage

/// A journey record with its keys encoded.
struct JourneyLine: Sendable {
    var record: JourneyRecord
    var keys: Data

    init(_ record: JourneyRecord) throws {
        self.record = record
        keys = try JSONEncoder().encode(record.keys)
    }

    /// Stores lines; this host's own get its next sequence numbers.
    static func insert(_ lines: [JourneyLine], ownHost: String, _ db: Database) throws {
        for line in lines {
            var sequence: Int64? = line.record.hostSequence > 0 ? line.record.hostSequence : nil
            if line.record.host == ownHost {
                sequence = try Int64.fetchOne(
                    db.cachedStatement(
                        sql: """
                            INSERT INTO journeyHost (host, last) VALUES (?, 1) ON CONFLICT (host) DO UPDATE SET last = last + 1 RETURNING last
                            """),
                    arguments: [ownHost])
            }
            try line.insert(hostSequence: sequence, db)
        }
    }

    /// Stores the line unless it is there already.
    func insert(hostSequence: Int64?, _ db: Database) throws {
        let time = record.time.timeIntervalSinceReferenceDate
        try db.run(
            """
            INSERT INTO journey (trace, time, host, hostSequence, kind, payload, keys) VALUES (?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (host, hostSequence) DO NOTHING
            """,
            [record.trace.description, time, record.host, hostSequence, record.kind, Data(record.payload), keys])
        guard db.changesCount > 0 else { return }
        let sequence = db.lastInsertedRowID
        for key in Set(record.keys) {
            try db.run(
                "INSERT INTO journeyKey (key, time, trace, sequence) VALUES (?, ?, ?, ?)",
                [key, time, record.trace.description, sequence])
        }
    }
}

extension SpoolStore: JourneyLog {
    public func append(_ records: [JourneyRecord]) async throws {
        guard !records.isEmpty else { return }
        let lines = try records.map { try JourneyLine($0) }
        try await database.writer.submit { try JourneyLine.insert(lines, ownHost: host, $0) }
    }

    public func records(of trace: TraceID) async throws -> [JourneyRecord] {
        try await fetch("SELECT * FROM journey WHERE trace = ? ORDER BY time, sequence", [trace.description])
    }

    public func traces(key: String?, from: Date?, to: Date?, limit: Int) async throws -> [TraceID] {
        let first = from?.timeIntervalSinceReferenceDate ?? -Double.greatestFiniteMagnitude
        let last = to?.timeIntervalSinceReferenceDate ?? Double.greatestFiniteMagnitude
        return try await database.read { db in
            let cursor =
                try key.map { key in
                    try String.fetchCursor(
                        db, sql: "SELECT trace FROM journeyKey WHERE key = ? AND time BETWEEN ? AND ? ORDER BY time DESC",
                        arguments: [key, first, last])
                }
                ?? String.fetchCursor(
                    db, sql: "SELECT trace FROM journey WHERE time BETWEEN ? AND ? ORDER BY time DESC", arguments: [first, last])
            var seen: Set<String> = []
            var traces: [TraceID] = []
            while traces.count < limit, let text = try cursor.next() {
                if seen.insert(text).inserted, let trace = TraceID(text) { traces.append(trace) }
            }
            return traces
        }
    }

    public func ownRecords(after sequence: Int64, limit: Int) async throws -> [JourneyRecord] {
        try await fetch(
            "SELECT * FROM journey WHERE host = ? AND hostSequence > ? ORDER BY hostSequence LIMIT ?", [host, sequence, limit])
    }

    public func merge(_ records: [JourneyRecord]) async throws {
        // Own records are here already, and a record without a number cannot be recognised when it comes again.
        let lines = try records.filter { $0.host != host && $0.hostSequence > 0 }.map { try JourneyLine($0) }
        guard !lines.isEmpty else { return }
        try await database.writer.submit { db in
            for line in lines {
                try line.insert(hostSequence: line.record.hostSequence, db)
                try db.run(
                    "INSERT INTO journeyHost (host, last) VALUES (?, ?) ON CONFLICT (host) DO UPDATE SET last = max(last, excluded.last)",
                    [line.record.host, line.record.hostSequence])
            }
        }
    }

    public func lastMerged(host: String) async throws -> Int64 {
        try await database.read { try Int64.fetchOne($0, sql: "SELECT last FROM journeyHost WHERE host = ?", arguments: [host]) ?? 0 }
    }

    public func expire(before time: Date) async throws -> Int {
        try await database.writer.submit { db in
            try db.execute(sql: "DELETE FROM journey WHERE time < ?", arguments: [time.timeIntervalSinceReferenceDate])
            return db.changesCount
        }
    }

    private func fetch(_ sql: String, _ arguments: StatementArguments) async throws -> [JourneyRecord] {
        try await database.read { db in
            try Row.fetchAll(db, sql: sql, arguments: arguments).compactMap { row in
                guard let trace = TraceID(row["trace"] as String) else { return nil }
                return JourneyRecord(
                    sequence: row["sequence"], trace: trace, time: Date(timeIntervalSinceReferenceDate: row["time"]), host: row["host"],
                    hostSequence: (row["hostSequence"] as Int64?) ?? 0, kind: row["kind"], payload: Array(row["payload"] as Data),
                    keys: try JSONDecoder().decode([String].self, from: row["keys"]))
            }
        }
    }
}
