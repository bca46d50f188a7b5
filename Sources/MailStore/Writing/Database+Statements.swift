import FoundationEssentials
import GRDB
import GRDBSQLite
import NIOCore

/// Gives a compiled statement its values, in order. They go straight to SQLite: on the way of every message, the library's own form of a
/// value costs several times what storing it does.
@safe struct StatementBinder {
    private let statement: OpaquePointer
    private var place: Int32 = 0

    fileprivate init(_ statement: OpaquePointer) { unsafe self.statement = statement }

    /// Tells SQLite to take a copy before the call returns.
    private static let copied = unsafe unsafeBitCast(-1, to: sqlite3_destructor_type.self)

    mutating func bind(_ value: Int64) {
        place += 1
        // Safe: the statement lives as long as the binder, which never leaves the call that made it. A wrong place is reported when it runs.
        unsafe sqlite3_bind_int64(statement, place, value)
    }
    mutating func bind(_ value: Double) {
        place += 1
        // Safe: as above.
        unsafe sqlite3_bind_double(statement, place, value)
    }
    mutating func bind(_ value: String?) {
        guard var value else { return bindNull() }
        place += 1
        // Safe: the text is copied while it is borrowed.
        value.withUTF8 { text in
            _ = unsafe sqlite3_bind_text64(
                statement, place, text.baseAddress.map { unsafe UnsafeRawPointer($0).assumingMemoryBound(to: CChar.self) },
                sqlite3_uint64(text.count), Self.copied, UInt8(SQLITE_UTF8))
        }
    }
    mutating func bind(_ octets: [UInt8]) {
        place += 1
        // Safe: as above. A null pointer would be NULL instead of no octets.
        unsafe octets.withUnsafeBytes { unsafe Self.bind($0, statement, place) }
    }
    mutating func bind(_ octets: ByteBuffer?) {
        guard let octets else { return bindNull() }
        place += 1
        // Safe: as above.
        unsafe octets.withUnsafeReadableBytes { unsafe Self.bind($0, statement, place) }
    }
    private static func bind(_ octets: UnsafeRawBufferPointer, _ statement: OpaquePointer, _ place: Int32) {
        if unsafe octets.isEmpty {
            unsafe sqlite3_bind_zeroblob(statement, place, 0)
        } else {
            unsafe sqlite3_bind_blob64(statement, place, octets.baseAddress, sqlite3_uint64(octets.count), copied)
        }
    }
    mutating func bindNull() {
        place += 1
        // Safe: as above.
        unsafe sqlite3_bind_null(statement, place)
    }
}

/// A row while the statement stands on it.
@safe struct StatementRow {
    private let statement: OpaquePointer

    fileprivate init(_ statement: OpaquePointer) { unsafe self.statement = statement }

    // Safe, all of them: SQLite answers NULL or 0 for a column that isn't there, and what it points to is copied before the next step.
    func integer(_ column: Int32) -> Int64 { unsafe sqlite3_column_int64(statement, column) }
    func double(_ column: Int32) -> Double { unsafe sqlite3_column_double(statement, column) }
    func isNull(_ column: Int32) -> Bool { unsafe sqlite3_column_type(statement, column) == SQLITE_NULL }
    func text(_ column: Int32) -> String? { isNull(column) ? nil : String(decoding: octets(column), as: UTF8.self) }
    func buffer(_ column: Int32) -> ByteBuffer {
        let count = Int(unsafe sqlite3_column_bytes(statement, column))
        guard count > 0, let start = unsafe sqlite3_column_blob(statement, column) else { return ByteBuffer() }
        return unsafe ByteBuffer(bytes: UnsafeRawBufferPointer(start: start, count: count))
    }
    func write(_ column: Int32, into buffer: inout ByteBuffer) {
        let count = Int(unsafe sqlite3_column_bytes(statement, column))
        guard count > 0, let start = unsafe sqlite3_column_blob(statement, column) else { return }
        unsafe buffer.writeBytes(UnsafeRawBufferPointer(start: start, count: count))
    }
    func octets(_ column: Int32) -> [UInt8] {
        let count = Int(unsafe sqlite3_column_bytes(statement, column))
        guard count > 0, let start = unsafe sqlite3_column_blob(statement, column) else { return [] }
        return unsafe [UInt8](UnsafeRawBufferPointer(start: start, count: count))
    }
}

extension Database {
    /// Runs a statement that is kept compiled.
    func run(_ sql: String, bind: (inout StatementBinder) -> Void) throws {
        try rows(sql, bind: bind) { _ in false }
    }

    /// The first column of the first row; the statement runs to its end.
    func value(_ sql: String, bind: (inout StatementBinder) -> Void) throws -> Int64? {
        var found: Int64?
        try rows(sql, bind: bind) { row in
            if found == nil { found = row.integer(0) }
            return true
        }
        return found
    }

    /// Hands each row to `body` as long as it answers `true`.
    func rows(_ sql: String, bind: (inout StatementBinder) -> Void, _ body: (StatementRow) throws -> Bool) throws {
        let compiled = try cachedStatement(sql: sql)
        let statement = unsafe compiled.sqliteStatement
        defer {
            // Safe: the statement is kept alive by `compiled`. The result repeats that of the last step.
            unsafe sqlite3_reset(statement)
            unsafe sqlite3_clear_bindings(statement)
        }
        var binder = unsafe StatementBinder(statement)
        bind(&binder)
        while true {
            // Safe: as above.
            let code = unsafe sqlite3_step(statement)
            if code == SQLITE_DONE { return }
            guard code == SQLITE_ROW else {
                let text = unsafe sqlite3_errmsg(sqliteConnection).map { unsafe String(cString: $0) }
                throw DatabaseError(resultCode: ResultCode(rawValue: code), message: text, sql: sql)
            }
            guard try unsafe body(StatementRow(statement)) else { return }
        }
    }
}
