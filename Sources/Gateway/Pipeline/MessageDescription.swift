import Crypto
import Journeys
import MailMessage
import NIOCore

/// What reception wants to know of a message: read once, in pieces, so that a large one never stands in memory as a whole.
struct MessageDescription: Sendable {
    let byteCount: Int
    /// The header section, at the beginning of ``head``.
    let header: HeaderSection
    /// As much of the message as may be header.
    let head: ByteBuffer
    let evidence: JourneyEvent.Described
    let hasDate: Bool
    /// Whether there is such a field, readable or not.
    let hasMessageID: Bool
    let receivedFields: Int

    /// As much of the message as may be header.
    private static let headerLimit = 1024 * 1024
    private static let pieceSize = 1024 * 1024
    private static let fieldNames = ["Date", "Message-ID", "From", "Subject"].map { Array($0.utf8) }

    init(of content: any MessageContent) async throws {
        byteCount = content.byteCount
        head = try await content.read(0..<min(byteCount, Self.headerLimit))
        header = HeaderSection(parsing: head)
        receivedFields = header.count(named: "Received")
        let fields = header.firstFields(named: Self.fieldNames)
        let (date, identity, from, subject) = (fields[0], fields[1], fields[2], fields[3])
        hasDate = date != nil
        hasMessageID = identity != nil
        var hash = SHA256()
        var offset = 0
        while offset < byteCount {
            let end = min(offset + Self.pieceSize, byteCount)
            let piece = offset == 0 && end == head.readableBytes ? head : try await content.read(offset..<end)
            // The bytes are read while they are borrowed.
            unsafe piece.withUnsafeReadableBytes { unsafe hash.update(bufferPointer: $0) }
            offset = end
        }
        // Safe: copied while they are borrowed.
        let digest = HexDigits.text(unsafe hash.finalize().withUnsafeBytes { unsafe Array($0) })
        evidence = JourneyEvent.Described(
            messageID: identity.flatMap { MessageIDList(parsing: $0.unfoldedOctets).first }, from: from?.decodedText, subject: subject?.decodedText,
            byteCount: byteCount, sha256: digest)
    }

    /// What tells the message with its envelope from every other: the same message with the same envelope has it again.
    func fingerprint(envelope: Envelope, role: Configuration.Role) -> [UInt8] {
        let recipients = envelope.recipients.map(\.address.description).sorted().joined(separator: ",")
        var octets = Array("\(role.rawValue)\n\(envelope.reversePath?.description ?? "")\n\(recipients)\n".utf8)
        octets.append(contentsOf: evidence.sha256.utf8)
        var hash = SHA256()
        // Safe, both: the octets are read while they are borrowed.
        unsafe octets.withUnsafeBytes { unsafe hash.update(bufferPointer: $0) }
        return unsafe hash.finalize().withUnsafeBytes { unsafe Array($0.prefix(16)) }
    }
}
