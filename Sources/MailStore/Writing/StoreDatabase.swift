import FoundationEssentials
import GRDB
import NIOPosix

/// One SQLite file with its readers and its writer.
struct StoreDatabase: Sendable {
    let path: String
    let pool: DatabasePool
    let writer: SQLiteWriter

    /// Opens the file, making it and bringing its tables up to date.
    /// - Throws: ``StoreError`` `.unsupportedSchema` where a newer version wrote it.
    static func open(path: String, migrator: DatabaseMigrator) async throws -> StoreDatabase {
        try await NIOThreadPool.singleton.runIfActive {
            do {
                return try openNow(path: path, migrator: migrator)
            } catch let error as DatabaseError {
                // Two processes that open a new file at once may collide while making the tables: the second look finds them made.
                if error.resultCode != .SQLITE_BUSY && error.resultCode != .SQLITE_ERROR { throw StoreError(database: error) }
                do { return try openNow(path: path, migrator: migrator) } catch { throw StoreError(database: error) }
            }
        }
    }

    /// The log grows to so many pages before it is written back: what comes and goes in the meantime never is. It is also what is read again
    /// after a crash.
    private static let walPages = 16_384

    private static func openNow(path: String, migrator: DatabaseMigrator) throws -> StoreDatabase {
        var configuration = Configuration()
        configuration.busyMode = .timeout(5)
        configuration.foreignKeysEnabled = true
        let pool = try DatabasePool(path: path, configuration: configuration)
        // GRDB sets NORMAL when it turns WAL on; only FULL syncs the log at each COMMIT.
        try pool.writeWithoutTransaction { try $0.execute(sql: "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = \(walPages)") }
        if try pool.read({ try migrator.hasBeenSuperseded($0) }) {
            throw StoreError(
                .unsupportedSchema,
                "\(path) was written by a newer version of Postern: install that version again, or restore a copy made before the upgrade")
        }
        try migrator.migrate(pool)
        return StoreDatabase(path: path, pool: pool, writer: SQLiteWriter(pool: pool, label: "postern.store.writer"))
    }

    /// Reads on one of the readers' threads.
    func read<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        do { return try await pool.read(body) } catch let error as DatabaseError { throw StoreError(database: error) }
    }

    /// As ``read(_:)`` for a single statement, which needs no transaction around it.
    func readOnce<T: Sendable>(_ body: @escaping @Sendable (Database) throws -> T) async throws -> T {
        do { return try await pool.unsafeRead(body) } catch let error as DatabaseError { throw StoreError(database: error) }
    }

    /// A number that changes when another process commits. It is the writer's connection that asks: SQLite counts the changes of
    /// all connections but the asking one, and in this process no other writes.
    func dataVersion() async throws -> Int64 {
        try await pool.writeWithoutTransaction { try Int64.fetchOne($0, sql: "PRAGMA data_version") ?? 0 }
    }

    /// Limits the file to so many pages; beyond it writing fails as on a full disk.
    func limitPages(_ count: Int) async throws {
        try await pool.writeWithoutTransaction { _ = try Int.fetchOne($0, sql: "PRAGMA max_page_count = \(count)") }
    }

    func close() async throws {
        await writer.close()
        let pool = pool
        try await NIOThreadPool.singleton.runIfActive {
            do { try pool.close() } catch { throw StoreError(database: error) }
        }
    }
}

extension StoreError {
    /// What SQLite reported, in the store's terms.
    init(database error: any Error) {
        if let known = error as? StoreError {
            self = known
            return
        }
        guard let failure = error as? DatabaseError else {
            self.init(.inputOutput, "\(error)")
            return
        }
        let text = failure.message ?? "SQLite error \(failure.resultCode.rawValue)"
        switch failure.resultCode {
        case .SQLITE_FULL: self.init(.full, "no space left for the store (\(text)): free space on its file system")
        case .SQLITE_BUSY, .SQLITE_LOCKED: self.init(.busy, "another process holds the store (\(text)): try again")
        case .SQLITE_CORRUPT, .SQLITE_NOTADB: self.init(.corrupted, "the store is damaged (\(text)): restore it from a copy")
        default: self.init(.inputOutput, "the store cannot be read or written (\(text)): look at its file system and permissions")
        }
    }
}

extension Database {
    /// Runs a statement that is kept compiled.
    func run(_ sql: String, _ arguments: StatementArguments = StatementArguments()) throws {
        try cachedStatement(sql: sql).execute(arguments: arguments)
    }
}
