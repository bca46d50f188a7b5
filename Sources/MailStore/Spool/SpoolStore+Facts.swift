import FoundationEssentials
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

    /// Keeps a value, or forgets it.
    public func setFact(_ kind: String, _ name: String, _ value: [UInt8]?) async throws {
        try await database.writer.submit { db in
            if let value {
                try db.run("INSERT INTO fact (kind, name, value) VALUES (?, ?, ?) ON CONFLICT (kind, name) DO UPDATE SET value = excluded.value") {
                    $0.bind(kind)
                    $0.bind(name)
                    $0.bind(value)
                }
            } else {
                try db.run("DELETE FROM fact WHERE kind = ? AND name = ?") {
                    $0.bind(kind)
                    $0.bind(name)
                }
            }
        }
    }
}
