public import FoundationEssentials
import GRDB

/// What a host has learnt of others and must know after a restart too: small values, found by a kind and a name.
extension SpoolStore {
    /// A value; `nil` where none is kept.
    public func fact(_ kind: String, _ name: String) async throws -> [UInt8]? {
        try await database.read { db in
            try Row.fetchOne(db, sql: "SELECT value FROM fact WHERE kind = ? AND name = ?", arguments: [kind, name]).map { row in
                Array(row["value"] as Data)
            }
        }
    }

    /// Keeps a value.
    public func setFact(_ kind: String, _ name: String, _ value: [UInt8], at time: Date) async throws {
        try await database.writer.submit { db in
            try db.run(
                """
                INSERT INTO fact (kind, name, value, time) VALUES (?, ?, ?, ?)
                ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value, time = excluded.time
                """
            ) {
                $0.bind(kind)
                $0.bind(name)
                $0.bind(value)
                $0.bind(time.timeIntervalSinceReferenceDate)
            }
        }
    }

    /// Forgets the values of one kind that were kept before a time.
    public func forgetFacts(_ kind: String, before time: Date) async throws {
        try await database.writer.submit { db in
            try db.run("DELETE FROM fact WHERE kind = ? AND time < ?") {
                $0.bind(kind)
                $0.bind(time.timeIntervalSinceReferenceDate)
            }
        }
    }
}
