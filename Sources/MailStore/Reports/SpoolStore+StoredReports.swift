public import FoundationEssentials
import GRDB
import MailMessage

/// Reports that came.
extension SpoolStore {
    /// Keeps a report unless it is there already, or there is no room.
    public func keep(_ report: StoredReport, limits: StoredReportLimits = StoredReportLimits()) async throws -> StoredReportOutcome {
        try await database.writer.submit(octets: report.payload.count) { db in
            let known = try db.value(
                "SELECT 1 FROM reportIn WHERE kind = ? AND sender = ? AND isProven = ? AND organization = ? AND identity = ? AND domain = ?"
            ) { Self.bindIdentity(report, &$0) }
            if known != nil { return .duplicate }
            func octets(_ condition: String) throws -> Int64 { try db.value("SELECT sum(size) FROM reportIn \(condition)", bind: { _ in }) ?? 0 }
            let size = Int64(report.payload.count)
            guard try octets("") + size <= Int64(limits.octets), try report.isProven || octets("WHERE isProven = 0") + size <= Int64(limits.unprovenOctets)
            else { return .full }
            try db.run(
                """
                INSERT INTO reportIn (kind, sender, isProven, organization, identity, domain, begin, end, received, size, trace, payload)
                VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
                """
            ) {
                Self.bindIdentity(report, &$0)
                $0.bind(Int64(report.begin))
                $0.bind(Int64(report.end))
                $0.bind(report.received.timeIntervalSinceReferenceDate)
                $0.bind(size)
                $0.bind(report.trace.octets)
                $0.bind(report.payload)
            }
            return .stored
        }
    }

    private static func bindIdentity(_ report: StoredReport, _ binder: inout StatementBinder) {
        binder.bind(Int64(report.kind.rawValue))
        binder.bind(report.sender)
        binder.bind(report.isProven ? 1 as Int64 : 0)
        binder.bind(report.organization)
        binder.bind(report.identity)
        binder.bind(report.domain)
    }

    /// Reports whose period ends at a time or later, oldest first.
    /// - Parameter limit: at most so many, the latest.
    public func storedReports(_ kind: ReportKind, since time: Date, limit: Int) async throws -> [StoredReport] {
        try await database.read { db in
            try Row.fetchAll(
                db, sql: "SELECT * FROM reportIn WHERE kind = ? AND end >= ? ORDER BY end DESC, id DESC LIMIT ?",
                arguments: [kind.rawValue, Int(time.timeIntervalSince1970), limit]
            ).reversed().compactMap { row in
                guard let trace = TraceID(octets: row["trace"] as Data) else { return nil }
                return StoredReport(
                    id: row["id"], kind: kind, organization: row["organization"], identity: row["identity"], domain: row["domain"],
                    sender: row["sender"], isProven: row["isProven"], begin: row["begin"], end: row["end"],
                    received: Date(timeIntervalSinceReferenceDate: row["received"]), trace: trace, payload: Array(row["payload"] as Data))
            }
        }
    }

    /// Forgets reports that came before `time`.
    /// - Returns: how many there were.
    public func forgetStoredReports(before time: Date) async throws -> Int {
        try await database.writer.submit { db in
            try db.run("DELETE FROM reportIn WHERE received < ?") { $0.bind(time.timeIntervalSinceReferenceDate) }
            return db.changesCount
        }
    }
}
