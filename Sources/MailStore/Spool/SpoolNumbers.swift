import GRDB
import MailMessage
import Synchronization

/// Gives messages their numbers, from blocks that are reserved in the database: unique whichever process asks, never used again, and known
/// before the message is stored.
final class SpoolNumbers: Sendable {
    /// How many numbers are reserved at once. Those that are left at the end of the process are never used.
    private static let block: Int64 = 1024
    /// How many recipients a message has at most, as bits of a recipient's number.
    static let recipientBits: Int64 = 20

    private struct Block {
        var next: Int64 = 0
        var end: Int64 = 0
    }
    private let current = Mutex(Block())
    private let writer: SQLiteWriter

    init(writer: SQLiteWriter) { self.writer = writer }

    /// The next number.
    func next() async throws -> QueueID {
        while true {
            if let number = take() { return QueueID(rawValue: number) }
            let size = Self.block
            let first = try await writer.submit { db in
                try db.value("UPDATE spoolNumber SET next = next + ? RETURNING next - ?") {
                    $0.bind(size)
                    $0.bind(size)
                }
            }
            guard let first else { throw StoreError(.corrupted, "the spool has lost count of its messages: restore it from a copy") }
            // Somebody else may have reserved a block at the same time: the later one counts.
            current.withLock { if first >= $0.end { $0 = Block(next: first, end: first + size) } }
        }
    }

    private func take() -> Int64? {
        current.withLock { block in
            guard block.next < block.end else { return nil }
            defer { block.next += 1 }
            return block.next
        }
    }

    /// The number of a message's recipient.
    static func recipient(_ place: Int, of message: QueueID) -> Int64 { message.rawValue << recipientBits | Int64(place) }
    /// The message that a recipient's number belongs to.
    static func message(ofRecipient number: Int64) -> QueueID { QueueID(rawValue: number >> recipientBits) }
    /// The numbers of a message's recipients.
    static func recipients(of message: Int64) -> ClosedRange<Int64> {
        (message << recipientBits)...(message << recipientBits | (1 << recipientBits - 1))
    }
}
