import FoundationEssentials
import GRDB
import MailMessage
import NIOCore
import Synchronization

/// The spool and the journey log in `<folder>/spool.sqlite`, with large bodies in `<folder>/bodies`. Several processes may have the
/// same folder open.
public struct SpoolStore: Sendable {
    let database: StoreDatabase
    let bodies: BodyFolder
    let host: String
    let numbers: SpoolNumbers
    let journeys: JourneyTable
    /// Operators' commands in this process.
    let commands = CommandCount()

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
        let journeys = try await JourneyTable.open(database, host: host)
        return SpoolStore(
            database: database, bodies: bodies, host: host, numbers: SpoolNumbers(writer: database.writer), journeys: journeys)
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

/// Counts operators' commands.
final class CommandCount: Sendable {
    let count = Atomic<Int>(0)
}

/// A new message whose octets are kept already.
struct PreparedMessage: Sendable {
    let id: QueueID
    private let message: NewSpoolMessage
    let body: StoredBody
    private let envelope: [UInt8]
    private let recipients: [[UInt8]]

    init(_ message: NewSpoolMessage, numbers: SpoolNumbers, bodies: BodyFolder) async throws {
        // It would stay in the spool for ever: a message goes with its last recipient.
        guard !message.routes.isEmpty else { throw StoreError(.notFound, "a message without recipients cannot be queued") }
        guard message.routes.count < 1 << SpoolNumbers.recipientBits else {
            throw StoreError(.full, "a message with \(message.routes.count) recipients cannot be queued")
        }
        var message = message
        message.envelope.recipients = []
        envelope = message.envelope.json
        recipients = message.routes.map(\.recipient.json)
        let (prefix, base) = message.content.separatingPrefix(after: message.prefix)
        id = try await numbers.next()
        body = try await bodies.keep(base)
        message.prefix = prefix
        message.content = base
        self.message = message
    }

    var octets: Int { (body.buffer?.readableBytes ?? 0) + message.prefix.readableBytes + 512 * recipients.count }

    func insert(_ db: Database) throws {
        try db.run("INSERT INTO message (id, trace, arrival, envelope, annotations, prefix, size, file, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)") {
            $0.bind(id.rawValue)
            $0.bind(message.trace.octets)
            $0.bind(message.arrival.timeIntervalSinceReferenceDate)
            $0.bind(envelope)
            $0.bind(message.annotations)
            $0.bind(message.prefix)
            $0.bind(Int64(body.size))
            $0.bind(body.fileName)
            $0.bind(body.buffer)
        }
        if !message.fingerprint.isEmpty {
            try db.run("INSERT INTO acceptance (id, time, fingerprint, trace) VALUES (?, ?, ?, ?)") {
                $0.bind(id.rawValue)
                $0.bind(message.arrival.timeIntervalSinceReferenceDate)
                $0.bind(message.fingerprint)
                $0.bind(message.trace.octets)
            }
        }
        for (place, (route, recipient)) in zip(message.routes, recipients).enumerated() {
            try db.run("INSERT INTO recipient (id, recipient, destination, state, nextAttempt, holdReason) VALUES (?, ?, ?, ?, ?, ?)") {
                $0.bind(SpoolNumbers.recipient(place, of: id))
                $0.bind(recipient)
                $0.bind(route.destination)
                $0.bind(message.holdReason == nil ? 0 as Int64 : 1)
                $0.bind(message.arrival.timeIntervalSinceReferenceDate)
                $0.bind(message.holdReason)
            }
        }
    }

    /// The message as the queue takes it, with the octets that it came with.
    var queued: QueuedMessage {
        let content: any MessageContent =
            message.prefix.readableBytes == 0 ? message.content : PrefixedContent(prefix: message.prefix, base: message.content)
        return QueuedMessage(
            message: SpooledMessage(
                id: id, trace: message.trace, envelope: message.envelope, content: content, arrival: message.arrival,
                annotations: message.annotations),
            recipients: message.routes.enumerated().map { place, route in
                QueuedRecipient(
                    id: SpoolNumbers.recipient(place, of: id), message: id, recipient: route.recipient, destination: route.destination,
                    state: message.holdReason == nil ? .queued : .held, attempts: 0, nextAttempt: message.arrival, lastStatus: nil,
                    holdReason: message.holdReason, delayNotified: false)
            })
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
