import FoundationEssentials
import GRDB
import MailMessage

/// Users and their mailboxes in `<folder>/mail.sqlite`, with large messages in `<folder>/messages`. Several processes may have the same
/// folder open.
public struct MailboxStore: Sendable {
    let database: StoreDatabase
    let bodies: BodyFolder
    let changeHub: MailboxChanges
    let tables = MailboxTables()
    let subaddressSeparator: String

    /// Opens the mailboxes, making what is missing.
    /// - Parameters:
    ///   - folder: the data folder; where the spool is in the same one, large messages are shared with it instead of being copied.
    ///   - bodyRowLimit: octets up to which a message is kept in its row.
    ///   - subaddressSeparator: what separates a user's name from the detail (RFC 5233); empty for none.
    /// - Throws: ``StoreError`` `.unsupportedSchema` for a store of a newer version, `.inputOutput`.
    public static func open(
        folder: String, bodyRowLimit: Int = 256 * 1024, subaddressSeparator: String = "+"
    ) async throws -> MailboxStore {
        try await open(folder: folder, bodyRowLimit: bodyRowLimit, subaddressSeparator: subaddressSeparator, orphanAgeSeconds: 900)
    }

    /// As ``open(folder:bodyRowLimit:subaddressSeparator:)``; files that no row refers to are deleted when they are so old.
    package static func open(
        folder: String, bodyRowLimit: Int, subaddressSeparator: String, orphanAgeSeconds: Int
    ) async throws -> MailboxStore {
        let bodies = try await BodyFolder.open(data: folder, name: "messages", rowLimit: bodyRowLimit)
        let database = try await StoreDatabase.open(path: "\(folder)/mail.sqlite", migrator: MailboxSchema.migrator)
        let pool = database.pool
        try await bodies.sweep(olderThan: orphanAgeSeconds) { name in
            try pool.read { try Int.fetchOne($0, sql: "SELECT 1 FROM content WHERE file = ?", arguments: [name]) != nil }
        }
        return MailboxStore(
            database: database, bodies: bodies, changeHub: MailboxChanges(database: database), subaddressSeparator: subaddressSeparator)
    }

    /// Commits what waits, ends all streams of changes and closes the files.
    public func close() async throws {
        changeHub.finishAll()
        try await database.close()
    }

    /// Limits `mail.sqlite` to so many pages, for quotas and for tests of a full disk.
    package func limitPages(_ count: Int) async throws { try await database.limitPages(count) }
}

/// What a transaction changed: whom to wake and which files to delete when it is committed.
struct MailboxEffects: Sendable {
    var changed: Set<Int64> = []
    var deleted: Set<Int64> = []
    var freedFiles: [String] = []
}

extension MailboxStore {
    /// Runs a change, then wakes and deletes.
    func change<T: Sendable>(
        octets: Int = 0, _ body: @escaping @Sendable (Database, inout MailboxEffects) throws -> T
    ) async throws -> T {
        let (result, effects) = try await database.writer.submit(octets: octets) { db in
            var effects = MailboxEffects()
            let result = try body(db, &effects)
            return (result, effects)
        }
        // First of all: whoever is woken, or hears that it was done, must see it.
        tables.noteChange(of: effects.changed)
        tables.forget(effects.deleted)
        changeHub.wake(effects.changed)
        changeHub.finish(effects.deleted)
        await bodies.remove(effects.freedFiles)
        return result
    }
}
