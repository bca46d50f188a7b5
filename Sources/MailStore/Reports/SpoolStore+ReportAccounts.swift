public import FoundationEssentials
import GRDB

/// What is counted for the reports of a day.
extension SpoolStore {
    /// How far a reader of the journeys has come; 0 at first.
    public func reportCursor(_ name: String) async throws -> Int64 {
        try await database.read { try Int64.fetchOne($0, sql: "SELECT sequence FROM reportCursor WHERE name = ?", arguments: [name]) ?? 0 }
    }

    /// Counts what was read of the journeys between two places, and moves the cursor, in one transaction.
    /// - Returns: `nil` where the cursor stands elsewhere by now: somebody else has counted these, and nothing was changed.
    public func count(
        _ entries: [ReportEntry], singles: [SingleReport] = [], cursor name: String, from: Int64, to: Int64, limits: ReportAccountLimits, at time: Date
    ) async throws -> ReportAccountOutcome? {
        try await database.writer.submit(octets: entries.reduce(0) { $0 + $1.payload.count }) { db in
            let place = try db.value("SELECT sequence FROM reportCursor WHERE name = ?", bind: { $0.bind(name) }) ?? 0
            guard place == from else { return nil }
            var outcome = ReportAccountOutcome()
            for entry in entries where entry.count > 0 {
                if try Self.add(entry, limits, db) { outcome.counted += entry.count } else { outcome.dropped += entry.count }
            }
            for single in singles {
                if try Self.add(single, limits, at: time, db) { outcome.singles += 1 } else { outcome.suppressedSingles += 1 }
            }
            try db.run("INSERT INTO reportCursor (name, sequence) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET sequence = excluded.sequence") {
                $0.bind(name)
                $0.bind(to)
            }
            return outcome
        }
    }

    /// Whether the entry was counted.
    private static func add(_ entry: ReportEntry, _ limits: ReportAccountLimits, _ db: Database) throws -> Bool {
        let kind = Int64(entry.kind.rawValue)
        let day = Int64(entry.day)
        let digest = entry.digest
        try db.run("UPDATE reportRow SET count = count + ? WHERE kind = ? AND day = ? AND domain = ? AND digest = ? AND report IS NULL") {
            $0.bind(Int64(entry.count))
            $0.bind(kind)
            $0.bind(day)
            $0.bind(entry.domain)
            $0.bind(digest)
        }
        if db.changesCount > 0 { return true }
        // The whole day is counted under no domain.
        func rows(_ domain: String) throws -> Int64? {
            try db.value("SELECT rows FROM reportDomain WHERE kind = ? AND day = ? AND domain = ?") {
                $0.bind(kind)
                $0.bind(day)
                $0.bind(domain)
            }
        }
        let known = try rows(entry.domain)
        let hasRoom = try (known ?? 0) < Int64(limits.rowsPerDomain) && (rows("") ?? 0) < Int64(limits.rowsPerDay)
        for domain in ["", entry.domain] where hasRoom || domain.isEmpty || known != nil {
            try db.run(
                """
                INSERT INTO reportDomain (kind, day, domain, destinations, rows, dropped) VALUES (?, ?, ?, ?, ?, ?)
                ON CONFLICT (kind, day, domain) DO UPDATE
                SET destinations = excluded.destinations, rows = rows + excluded.rows, dropped = dropped + excluded.dropped
                """
            ) {
                $0.bind(kind)
                $0.bind(day)
                $0.bind(domain)
                $0.bind(domain.isEmpty ? "" : entry.destinations)
                $0.bind(hasRoom ? 1 as Int64 : 0)
                $0.bind(hasRoom ? 0 : Int64(entry.count))
            }
        }
        guard hasRoom else { return false }
        try db.run("INSERT INTO reportRow (kind, day, domain, digest, count, section, payload) VALUES (?, ?, ?, ?, ?, ?, ?)") {
            $0.bind(kind)
            $0.bind(day)
            $0.bind(entry.domain)
            $0.bind(digest)
            $0.bind(Int64(entry.count))
            $0.bind(entry.section)
            $0.bind(entry.payload)
        }
        return true
    }

    /// Whether the report may be sent.
    private static func add(_ single: SingleReport, _ limits: ReportAccountLimits, at time: Date, _ db: Database) throws -> Bool {
        func made(_ domain: String?) throws -> Int64 {
            try db.value("SELECT count(*) FROM reportOut WHERE kind = ? AND day = ?" + (domain == nil ? "" : " AND domain = ?")) {
                $0.bind(Int64(ReportKind.feedback.rawValue))
                $0.bind(Int64(single.day))
                if let domain { $0.bind(domain) }
            } ?? 0
        }
        guard try made(single.domain) < Int64(limits.singlesPerDomain), try made(nil) < Int64(limits.singlesPerDay) else { return false }
        try db.run(
            "INSERT INTO reportOut (kind, day, domain, identity, nextAttempt, destinations, section, payload) VALUES (?, ?, ?, ?, ?, ?, x'', ?)"
        ) {
            $0.bind(Int64(ReportKind.feedback.rawValue))
            $0.bind(Int64(single.day))
            $0.bind(single.domain)
            $0.bind(single.identity)
            $0.bind(time.timeIntervalSinceReferenceDate)
            $0.bind(single.destinations)
            $0.bind(single.payload)
        }
        return true
    }
}
