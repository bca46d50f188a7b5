import FoundationEssentials
import GRDB
import MailMessage
import NIOCore

/// The spool and the journey log in `<folder>/spool.sqlite`, with large bodies in `<folder>/bodies`. Several processes may have the
/// same folder open.
public struct SpoolStore: Sendable {
    let database: StoreDatabase
    let bodies: BodyFolder
    let host: String

    /// Opens the spool, making what is missing.
    /// - Parameters:
    ///   - folder: the data folder.
    ///   - host: this host's name, as in the journey records that it writes.
    ///   - bodyRowLimit: octets up to which a body is kept in its row.
    /// - Throws: ``StoreError`` `.unsupportedSchema` for a spool of a newer version, `.inputOutput`.
    public static func open(folder: String, host: String, bodyRowLimit: Int = 256 * 1024) async throws -> SpoolStore {
        try await open(folder: folder, host: host, bodyRowLimit: bodyRowLimit, orphanAgeSeconds: 900)
    }

    /// As ``open(folder:host:bodyRowLimit:)``; files that no row refers to are deleted when they are so old.
    package static func open(folder: String, host: String, bodyRowLimit: Int, orphanAgeSeconds: Int) async throws -> SpoolStore {
        let bodies = try await BodyFolder.open(data: folder, name: "bodies", rowLimit: bodyRowLimit)
        let database = try await StoreDatabase.open(path: "\(folder)/spool.sqlite", migrator: SpoolSchema.migrator)
        let pool = database.pool
        try await bodies.sweep(olderThan: orphanAgeSeconds) { name in
            try pool.read { try Int.fetchOne($0, sql: "SELECT 1 FROM message WHERE file = ?", arguments: [name]) != nil }
        }
        return SpoolStore(database: database, bodies: bodies, host: host)
    }

    /// Commits what waits and closes the files.
    public func close() async throws { try await database.close() }

    /// Yields when another process changed the spool (an operator's command), within a second, and once at the beginning.
    public func changesByOtherProcesses() -> AsyncStream<Void> {
        let database = database
        return AsyncStream(bufferingPolicy: .bufferingNewest(1)) { continuation in
            let task = Task {
                // The first look always yields: what was committed since the stream began would otherwise count as known.
                var last: Int64?
                while !Task.isCancelled {
                    if let version = try? await database.dataVersion(), version != last {
                        last = version
                        continuation.yield()
                    }
                    guard (try? await Task.sleep(for: .seconds(1))) != nil else { break }
                }
                continuation.finish()
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    /// Limits `spool.sqlite` to so many pages, for quotas and for tests of a full disk.
    package func limitPages(_ count: Int) async throws { try await database.limitPages(count) }
}

/// A new message whose octets are kept already.
struct PreparedMessage: Sendable {
    var message: NewSpoolMessage
    var body: StoredBody
    var envelope: Data
    var recipients: [Data]

    init(_ message: NewSpoolMessage, bodies: BodyFolder) async throws {
        // It would stay in the spool for ever: a message goes with its last recipient.
        guard !message.routes.isEmpty else { throw StoreError(.notFound, "a message without recipients cannot be queued") }
        let encoder = JSONEncoder()
        var envelope = message.envelope
        envelope.recipients = []
        self.envelope = try encoder.encode(envelope)
        recipients = try message.routes.map { try encoder.encode($0.recipient) }
        let (prefix, base) = message.content.separatingPrefix(after: message.prefix)
        body = try await bodies.keep(base)
        self.message = message
        self.message.prefix = prefix
    }

    var octets: Int { (body.data?.count ?? 0) + message.prefix.readableBytes + 512 * recipients.count }

    func insert(_ db: Database) throws -> QueueID {
        try db.run(
            "INSERT INTO message (trace, arrival, envelope, annotations, prefix, size, file, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            [
                message.trace.description, message.arrival.timeIntervalSinceReferenceDate, envelope, Data(message.annotations),
                Data(message.prefix.readableBytesView), body.size, body.fileName, body.data,
            ])
        let id = QueueID(rawValue: db.lastInsertedRowID)
        for (route, recipient) in zip(message.routes, recipients) {
            try db.run(
                "INSERT INTO recipient (message, recipient, destination, state, nextAttempt, holdReason) VALUES (?, ?, ?, ?, ?, ?)",
                [
                    id.rawValue, recipient, route.destination, message.holdReason == nil ? 0 : 1,
                    message.arrival.timeIntervalSinceReferenceDate, message.holdReason,
                ])
        }
        return id
    }
}

/// The octets of a row, read when they are asked for.
struct RowContent: MessageContent {
    let database: StoreDatabase
    let id: Int64
    let byteCount: Int

    func read(_ range: Range<Int>) async throws -> ByteBuffer {
        let data = try await database.read { db in
            try Data.fetchOne(
                db, sql: "SELECT substr(body, ?, ?) FROM message WHERE id = ?", arguments: [range.lowerBound + 1, range.count, id])
        }
        guard let data else { throw StoreError(.notFound, "message \(QueueID(rawValue: id)) is no longer in the queue") }
        return ByteBuffer(bytes: data)
    }
}
