public import FoundationEssentials
import GRDB

/// Reports that are to be sent.
extension SpoolStore {
    /// Which days are closed.
    public enum ReportDays: Sendable, Hashable {
        /// A day and all before it.
        case through(Int)
        case only(Int)

        fileprivate var range: ClosedRange<Int> {
            switch self {
            case .through(let day): min(0, day)...day
            case .only(let day): day...day
            }
        }
    }

    /// The accounts that no report was made of yet, as reports without a number.
    public func openAccounts(_ kind: ReportKind, _ days: ReportDays) async throws -> [OutgoingReport] {
        try await database.read { try Self.open(kind, days, $0) }
    }

    /// Makes a report of each account that has rows without one. What is counted for such a day later makes another report.
    /// - Parameter identity: makes a unique Report-ID.
    /// - Returns: how many there are.
    public func closeAccounts(
        _ kind: ReportKind, _ days: ReportDays, at time: Date, identity: @escaping @Sendable (_ domain: String, _ day: Int) -> String
    ) async throws -> Int {
        try await database.writer.submit { db in
            let open = try Self.open(kind, days, db)
            for report in open {
                var report = report
                report.identity = identity(report.domain, report.day)
                let id = try Self.insert(report, at: time, db)
                try db.run("UPDATE reportRow SET report = ? WHERE kind = ? AND day = ? AND domain = ? AND section = ? AND report IS NULL") {
                    $0.bind(id)
                    $0.bind(Int64(kind.rawValue))
                    $0.bind(Int64(report.day))
                    $0.bind(report.domain)
                    $0.bind(report.section)
                }
            }
            return open.count
        }
    }

    private static func open(_ kind: ReportKind, _ days: ReportDays, _ db: Database) throws -> [OutgoingReport] {
        let rows = try Row.fetchAll(
            db,
            sql: """
                SELECT r.day, r.domain, r.section, d.destinations, d.dropped,
                    EXISTS (SELECT 1 FROM reportOut o WHERE o.kind = r.kind AND o.day = r.day AND o.domain = r.domain) AS isSupplement
                FROM (SELECT DISTINCT kind, day, domain, section FROM reportRow WHERE kind = ? AND day BETWEEN ? AND ? AND report IS NULL) r
                JOIN reportDomain d ON d.kind = r.kind AND d.day = r.day AND d.domain = r.domain ORDER BY r.day, r.domain, r.section
                """, arguments: [kind.rawValue, days.range.lowerBound, days.range.upperBound])
        var seen: Set<String> = []
        return rows.map { row in
            let (day, domain): (Int, String) = (row["day"], row["domain"])
            // A second policy of the same day needs a name of its own as well.
            let isFirst = seen.insert("\(day) \(domain)").inserted
            return OutgoingReport(
                id: 0, kind: kind, day: day, domain: domain, destinations: row["destinations"], section: Array(row["section"] as Data), payload: [],
                identity: "", isSupplement: row["isSupplement"] || !isFirst, dropped: row["dropped"], attempts: 0)
        }
    }

    /// Puts a report among those to be sent.
    /// - Returns: its number.
    private static func insert(_ report: OutgoingReport, at time: Date, _ db: Database) throws -> Int64 {
        try db.run(
            """
            INSERT INTO reportOut (kind, day, domain, identity, nextAttempt, isSupplement, destinations, section, payload)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            """
        ) {
            $0.bind(Int64(report.kind.rawValue))
            $0.bind(Int64(report.day))
            $0.bind(report.domain)
            $0.bind(report.identity)
            $0.bind(time.timeIntervalSinceReferenceDate)
            $0.bind(report.isSupplement ? 1 as Int64 : 0)
            $0.bind(report.destinations)
            $0.bind(report.section)
            $0.bind(report.payload)
        }
        return db.lastInsertedRowID
    }

    /// Reports whose time has come, oldest first.
    public func dueReports(at time: Date, limit: Int) async throws -> [OutgoingReport] {
        try await database.read { db in
            try Row.fetchAll(
                db,
                sql: """
                    SELECT o.*, coalesce(d.dropped, 0) AS dropped FROM reportOut o
                    LEFT JOIN reportDomain d ON d.kind = o.kind AND d.day = o.day AND d.domain = o.domain
                    WHERE o.state = 0 AND o.nextAttempt <= ? ORDER BY o.nextAttempt, o.id LIMIT ?
                    """, arguments: [time.timeIntervalSinceReferenceDate, limit]
            ).compactMap { row in
                guard let kind = ReportKind(rawValue: row["kind"]) else { return nil }
                return OutgoingReport(
                    id: row["id"], kind: kind, day: row["day"], domain: row["domain"], destinations: row["destinations"],
                    section: Array(row["section"] as Data), payload: Array(row["payload"] as Data), identity: row["identity"],
                    isSupplement: row["isSupplement"], dropped: row["dropped"], attempts: row["attempts"])
            }
        }
    }

    /// The rows of a report, or of an account of which none was made yet.
    public func rows(of report: OutgoingReport) async throws -> [(payload: [UInt8], count: Int)] {
        try await database.read { db in
            let rows =
                report.id != 0
                ? try Row.fetchAll(db, sql: "SELECT payload, count FROM reportRow WHERE report = ? ORDER BY id", arguments: [report.id])
                : try Row.fetchAll(
                    db,
                    sql: "SELECT payload, count FROM reportRow WHERE kind = ? AND day = ? AND domain = ? AND section = ? AND report IS NULL ORDER BY id",
                    arguments: [report.kind.rawValue, report.day, report.domain, Data(report.section)])
            return rows.map { (Array($0["payload"] as Data), $0["count"]) }
        }
    }

    /// Queues the messages of a report and remembers that it is sent, in one transaction.
    /// - Parameters:
    ///   - messages: none where nobody gets it by mail.
    ///   - parts: what is to be sent another way, each for itself, from `time` on.
    ///   - isSent: whether somebody has it already; otherwise it is sent where there are messages or parts, and discarded where there are none.
    ///   - journey: makes the journeys of the messages, which may speak of their numbers.
    /// - Returns: what was queued; `nil` where somebody else has sent it meanwhile, and nothing was changed.
    public func settle(
        _ report: OutgoingReport, messages: [NewSpoolMessage], parts: [OutgoingReport] = [], at time: Date, isSent: Bool = false, note: String,
        journey: @Sendable ([QueueID]) -> [JourneyRecord]
    ) async throws -> [QueuedMessage]? {
        var prepared: [PreparedMessage] = []
        do {
            for message in messages { prepared.append(try await PreparedMessage(message, numbers: numbers, bodies: bodies)) }
        } catch {
            await bodies.remove(prepared.compactMap(\.body.fileName))
            throw error
        }
        let ready = prepared
        let lines = journey(ready.map(\.id)).map(JourneyLine.init)
        let state = messages.isEmpty && parts.isEmpty && !isSent ? OutgoingReport.State.discarded : .sent
        do {
            let isOurs = try await database.writer.submit(octets: ready.reduce(0) { $0 + $1.octets }) { db in
                try db.run("UPDATE reportOut SET state = ?, note = ?, attempts = attempts + 1, payload = x'' WHERE id = ? AND state = 0") {
                    $0.bind(Int64(state.rawValue))
                    $0.bind(note)
                    $0.bind(report.id)
                }
                guard db.changesCount > 0 else { return false }
                for message in ready { try message.insert(db) }
                for part in parts { _ = try Self.insert(part, at: time, db) }
                for line in lines { try journeys.insert(line, db) }
                return true
            }
            if isOurs { return ready.map(\.queued) }
            await bodies.remove(ready.compactMap(\.body.fileName))
            return nil
        } catch {
            await bodies.remove(ready.compactMap(\.body.fileName), after: error)
            throw error
        }
    }

    /// Takes a report in hand that can't be sent in a transaction: until `time` nobody else does.
    /// - Returns: whether it is ours; somebody else may have been faster.
    public func claim(_ report: OutgoingReport, until time: Date) async throws -> Bool {
        try await database.writer.submit { db in
            try db.run("UPDATE reportOut SET attempts = attempts + 1, nextAttempt = ? WHERE id = ? AND state = 0 AND attempts = ?") {
                $0.bind(time.timeIntervalSinceReferenceDate)
                $0.bind(report.id)
                $0.bind(Int64(report.attempts))
            }
            return db.changesCount > 0
        }
    }

    /// Leaves a report for later.
    public func postpone(_ report: OutgoingReport, until time: Date, note: String) async throws {
        try await database.writer.submit { db in
            try db.run("UPDATE reportOut SET attempts = attempts + 1, nextAttempt = ?, note = ? WHERE id = ? AND state = 0") {
                $0.bind(time.timeIntervalSinceReferenceDate)
                $0.bind(note)
                $0.bind(report.id)
            }
        }
    }

    /// Forgets accounts and reports of days before `day`, sent or not.
    /// - Returns: how many rows there were.
    public func forgetReports(before day: Int) async throws -> Int {
        try await database.writer.submit { db in
            var count = 0
            for table in ["reportRow", "reportDomain", "reportOut"] {
                try db.run("DELETE FROM \(table) WHERE day < ?") { $0.bind(Int64(day)) }
                count += db.changesCount
            }
            return count
        }
    }
}
