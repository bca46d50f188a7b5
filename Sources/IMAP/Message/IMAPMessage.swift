public import FoundationEssentials
import MailMessage
public import NIOCore

/// A message as FETCH and SEARCH see it.
public struct IMAPMessage: Sendable {
    /// Its number in the mailbox now, from 1 (RFC 9051 §2.3.1.2).
    public let sequenceNumber: Int
    /// RFC 9051 §2.3.1.1.
    public let uid: UInt32
    /// Flags and keywords, flags with their backslash.
    public let flags: Set<String>
    /// When the message was received (RFC 9051 §2.3.3).
    public let internalDate: Date
    /// Octets of the message.
    public let size: Int
    let content: ByteBuffer?

    /// Makes a message. `content` is all its octets, `nil` where no item or key needs them: an item that does nevertheless is answered as for
    /// a message without octets.
    public init(sequenceNumber: Int, uid: UInt32, flags: Set<String>, internalDate: Date, size: Int, content: ByteBuffer?) {
        self.sequenceNumber = sequenceNumber
        self.uid = uid
        self.flags = flags
        self.internalDate = internalDate
        self.size = size
        self.content = content
    }

    /// Writes the answer to FETCH (RFC 9051 §7.5.2), each item once however often it is asked for.
    ///
    /// ```
    /// S: * 12 FETCH (FLAGS (\Seen) UID 4392)
    /// ```
    /// - Parameters:
    ///   - items: What is asked for.
    ///   - includesUID: The answer to UID FETCH always says the UID (RFC 9051 §6.4.9).
    ///   - out: Where the answer is appended.
    public func writeFetch(_ items: [FetchItem], includesUID: Bool, into out: inout ByteBuffer) {
        writeFetch(FetchItem.answered(items, includesUID: includesUID), into: &out)
    }

    /// Writes the answer to FETCH.
    /// - Parameters:
    ///   - items: What is answered, by `FetchItem.answered(_:includesUID:)`, which one FETCH asks once.
    ///   - out: Where the answer is appended.
    public func writeFetch(_ items: [FetchItem], into out: inout ByteBuffer) {
        var reader = MessageReader(octets: content ?? ByteBuffer())
        out.writeStaticString("* ")
        out.writeString(String(sequenceNumber))
        out.writeStaticString(" FETCH (")
        var isFirst = true
        for item in items {
            if !isFirst { out.writeStaticString(" ") }
            isFirst = false
            write(item, reader: &reader, into: &out)
        }
        out.writeStaticString(")\r\n")
    }

    private func write(_ item: FetchItem, reader: inout MessageReader, into out: inout ByteBuffer) {
        switch item {
        case .flags: out.writeString(FlagText.text(flags))
        case .uid: out.writeString("UID \(uid)")
        case .internalDate: out.writeString("INTERNALDATE \"\(IMAPDate.text(internalDate))\"")
        case .size: out.writeString("RFC822.SIZE \(size)")
        case .envelope:
            out.writeStaticString("ENVELOPE ")
            reader.header().writeEnvelope(into: &out)
        case .body:
            out.writeStaticString("BODY ")
            BodyStructureWriter(reader.message(), isExtended: false).write(into: &out)
        case .bodyStructure:
            out.writeStaticString("BODYSTRUCTURE ")
            BodyStructureWriter(reader.message(), isExtended: true).write(into: &out)
        case .section(let section, let partial, _, let name):
            out.writeString(name + " ")
            guard let octets = section.octets(of: &reader) else {
                out.writeStaticString("NIL")
                return
            }
            let piece = partial?.cut(octets) ?? octets
            // RFC 9051 §4.3.1: a literal holds no NUL; what isn't text any more goes out as a literal of the other kind.
            if section.content == .binary, piece.readableBytesView.contains(0) { out.writeStaticString("~") }
            ResponseText.octets(piece, into: &out)
        case .binarySize(let path):
            let section = BodySection(path: path, content: .binary)
            out.writeString("BINARY.SIZE[\(section.text)] \(section.octets(of: &reader)?.readableBytes ?? 0)")
        }
    }
}

extension FetchItem {
    /// What one FETCH answers for each message: each item once however often it is asked for, and the UID where it must be told.
    public static func answered(_ items: [FetchItem], includesUID: Bool) -> [FetchItem] {
        var known: Set<FetchAnswer> = []
        return ((includesUID ? [.uid] : []) + items).filter { known.insert(FetchAnswer($0)).inserted }
    }
}

/// FLAGS of FETCH (RFC 9051 §7.5.2).
enum FlagText {
    private static let systemFlags = ["\\Seen", "\\Answered", "\\Flagged", "\\Deleted", "\\Draft"]

    /// The flags of RFC 9051 §2.3.2 in its order, then the others by their names.
    static func text(_ flags: Set<String>) -> String {
        let known = systemFlags.filter(flags.contains)
        let others = known.count < flags.count ? flags.subtracting(systemFlags).sorted() : []
        return "FLAGS (\((known + others).joined(separator: " ")))"
    }
}

/// What makes two items of one FETCH the same answer: BODY[] and BODY.PEEK[] are.
private struct FetchAnswer: Hashable {
    private let item: FetchItem

    init(_ item: FetchItem) {
        switch item {
        case .section(let section, let partial, _, let name):
            self.item = .section(section, partial: partial, isPeek: true, name: name)
        case .flags, .uid, .internalDate, .size, .envelope, .body, .bodyStructure, .binarySize: self.item = item
        }
    }
}

/// Parses a message when the first question needs that, and once.
struct MessageReader {
    let octets: ByteBuffer
    private var parsed: Message?
    private var parsedHeader: HeaderSection?

    init(octets: ByteBuffer) { self.octets = octets }

    /// The message's own header section, without looking at the body.
    mutating func header() -> HeaderSection {
        if let parsed { return parsed.header }
        if let parsedHeader { return parsedHeader }
        let header = HeaderSection(reading: octets)
        parsedHeader = header
        return header
    }

    mutating func message() -> Message {
        if let parsed { return parsed }
        let message = Message(parsing: octets)
        parsed = message
        return message
    }
}
