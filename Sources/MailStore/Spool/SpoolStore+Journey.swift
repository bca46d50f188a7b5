public import FoundationEssentials
import GRDB
public import MailMessage

extension SpoolStore: JourneyLog {
    public func append(_ records: [JourneyRecord]) async throws {
        guard !records.isEmpty else { return }
        let lines = records.map(JourneyLine.init)
        try await database.writer.submit { db in
            for line in lines { try journeys.insert(line, db) }
        }
    }

    public func records(of trace: TraceID) async throws -> [JourneyRecord] {
        try await database.read { db in
            var records: [JourneyRecord] = []
            try JourneyTable.search(TraceID.indexHash(trace.octets), db) { sequence in
                // Another trace may begin with the same octets.
                records += try Self.fetch("journey.sequence = ?", [sequence], db).filter { $0.trace == trace }
                return true
            }
            return records.sorted { ($0.time, $0.sequence) < ($1.time, $1.sequence) }
        }
    }

    public func traces(key: String?, from: Date?, to: Date?, limit: Int) async throws -> [TraceID] {
        let first = from?.timeIntervalSinceReferenceDate ?? -Double.greatestFiniteMagnitude
        let last = to?.timeIntervalSinceReferenceDate ?? Double.greatestFiniteMagnitude
        return try await database.read { db in
            var seen: Set<TraceID> = []
            var traces: [TraceID] = []
            func take(_ row: StatementRow) -> Bool {
                if let trace = TraceID(octets: row.octets(0)), seen.insert(trace).inserted { traces.append(trace) }
                return traces.count < limit
            }
            if let key {
                try JourneyTable.search(JourneyHashes.hash(of: key), db) { sequence in
                    var goesOn = true
                    try db.rows(
                        "SELECT trace FROM journey WHERE sequence = ? AND time BETWEEN ? AND ?",
                        bind: {
                            $0.bind(sequence)
                            $0.bind(first)
                            $0.bind(last)
                        }
                    ) { row in
                        goesOn = take(row)
                        return goesOn
                    }
                    return goesOn
                }
            } else {
                try db.rows(
                    "SELECT trace FROM journey WHERE time BETWEEN ? AND ? AND hashes <> x'' ORDER BY time DESC",
                    bind: {
                        $0.bind(first)
                        $0.bind(last)
                    }, take)
            }
            return traces
        }
    }

    public func ownRecords(after sequence: Int64, limit: Int) async throws -> [JourneyRecord] {
        try await database.read { db in
            try Self.fetch("journey.sequence > ? AND hostSequence IS NULL AND hashes <> x'' ORDER BY journey.sequence LIMIT ?", [sequence, limit], db)
        }
    }

    /// The records of all hosts that came after a sequence number and whose payload has these octets in it, oldest first, and the number up to
    /// which was looked. Numbers ascend in the order in which records became durable, so that none comes in below.
    public func records(after sequence: Int64, containing text: String, limit: Int) async throws -> (records: [JourneyRecord], last: Int64) {
        try await database.read { db in
            let last = try Int64.fetchOne(db, sql: "SELECT max(sequence) FROM journey") ?? 0
            let end = min(last, sequence + Int64(max(1, limit)))
            let found = try Self.fetch(
                "journey.sequence > ? AND journey.sequence <= ? AND instr(payload, ?) > 0 ORDER BY journey.sequence", [sequence, end, Data(text.utf8)], db)
            // Where records have expired, there is nothing for a long way.
            guard found.isEmpty, end < last else { return (found, max(end, sequence)) }
            let next = try Int64.fetchOne(db, sql: "SELECT min(sequence) FROM journey WHERE sequence > ?", arguments: [end]) ?? last + 1
            return ([], max(end, next - 1))
        }
    }

    public func merge(_ records: [JourneyRecord]) async throws {
        // Own records are here already, and a record without a number cannot be recognised when it comes again.
        let lines = records.filter { $0.host != host && $0.hostSequence > 0 }.map(JourneyLine.init)
        guard !lines.isEmpty else { return }
        try await database.writer.submit { db in
            for line in lines { try journeys.merge(line, db) }
        }
    }

    public func lastMerged(host: String) async throws -> Int64 {
        try await database.read { try Int64.fetchOne($0, sql: "SELECT last FROM journeyHost WHERE name = ?", arguments: [host]) ?? 0 }
    }

    public func expire(before time: Date) async throws -> Int {
        try await database.writer.submit { try JourneyTable.expire(before: time, $0) }
    }

    private static func fetch(_ condition: String, _ arguments: StatementArguments, _ db: Database) throws -> [JourneyRecord] {
        let statement = try db.cachedStatement(
            sql: """
                SELECT journey.sequence, trace, time, journeyHost.name AS host, hostSequence, payload
                FROM journey JOIN journeyHost ON journeyHost.id = journey.host WHERE \(condition)
                """)
        return try Row.fetchAll(statement, arguments: arguments).compactMap { row in
            guard let trace = TraceID(octets: row["trace"] as Data) else { return nil }
            let sequence: Int64 = row["sequence"]
            return JourneyRecord(
                sequence: sequence, trace: trace, time: Date(timeIntervalSinceReferenceDate: row["time"]), host: row["host"],
                hostSequence: (row["hostSequence"] as Int64?) ?? sequence, payload: Array(row["payload"] as Data), keys: [])
        }
    }
}
