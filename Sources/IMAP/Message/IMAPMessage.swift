public import FoundationEssentials
import MailMessage
public import NIOCore

/// A message as FETCH and SEARCH see it.
public struct IMAPMessage: Sendable {
    let sequenceNumber: Int
    let uid: UInt32
    let flags: Set<String>
    let internalDate: Date
    let size: Int
    let content: ByteBuffer?

    /// Takes what a mailbox knows of a message.
    /// - Parameters:
    ///   - sequenceNumber: its place in the mailbox, from 1.
    ///   - size: the octets of the message.
    ///   - content: all octets of the message; `nil` where no item and no key needs them.
    public init(sequenceNumber: Int, uid: UInt32, flags: Set<String>, internalDate: Date, size: Int, content: ByteBuffer?) {
        self.sequenceNumber = sequenceNumber
        self.uid = uid
        self.flags = flags
        self.internalDate = internalDate
        self.size = size
        self.content = content
    }

    /// Writes `* n FETCH (…)` with its CRLF (RFC 9051 §7.5.2).
    /// - Parameter includesUID: whether the UID is told even where no item asks for it, as UID FETCH has to (§6.4.9).
    public func writeFetch(_ items: [FetchItem], includesUID: Bool, into out: inout ByteBuffer) {
        var source = FetchSource(content: content ?? ByteBuffer())
        out.writeString("* \(sequenceNumber) FETCH (")
        var isFirst = true
        for item in includesUID && !items.contains(.uid) ? [.uid] + items : items {
            if !isFirst { out.writeString(" ") }
            isFirst = false
            write(item, &source, into: &out)
        }
        out.writeString(")\r\n")
    }

    private func write(_ item: FetchItem, _ source: inout FetchSource, into out: inout ByteBuffer) {
        switch item {
        case .flags: out.writeString("FLAGS (\(flags.sorted().joined(separator: " ")))")
        case .uid: out.writeString("UID \(uid)")
        case .internalDate: out.writeString("INTERNALDATE \"\(IMAPDate.text(internalDate))\"")
        case .size: out.writeString("RFC822.SIZE \(size)")
        case .envelope:
            out.writeString("ENVELOPE ")
            EnvelopeText.write(source.message.header, into: &out)
        case .body:
            out.writeString("BODY ")
            BodyStructureText.write(source.message.root, isExtended: false, into: &out)
        case .bodyStructure:
            out.writeString("BODYSTRUCTURE ")
            BodyStructureText.write(source.message.root, isExtended: true, into: &out)
        case .section(let section, let partial, _, let name):
            out.writeString(name + " ")
            guard let octets = source.octets(of: section) else {
                out.writeString("NIL")
                return
            }
            ResponseText.writeLiteral(octets.part(partial), into: &out)
        }
    }
}

/// The octets of a message, parsed where something needs it.
struct FetchSource {
    let content: ByteBuffer
    /// The parsed message.
    lazy var message = Message(parsing: content)

    init(content: ByteBuffer) { self.content = content }

    /// What BODY[section] asks for; `nil` where the message has no such part (RFC 9051 §6.4.5.1).
    mutating func octets(of section: BodySection) -> ByteBuffer? {
        if section.path.isEmpty, section.content == .all { return content }
        guard let part = message.part(at: section.path) else { return nil }
        switch section.content {
        case .all: return part.body
        case .mime: return content.slice(part.headerRange)
        case .header: return header(section.path, part).map { content.slice($0.headerRange) }
        case .text: return header(section.path, part)?.body
        case .headerFields(let names): return header(section.path, part)?.header.octets(ofFieldsNamed: names)
        case .headerFieldsNot(let names): return header(section.path, part)?.header.octets(ofFieldsNotNamed: names)
        }
    }

    /// HEADER and TEXT are of messages only: this one, or one within it.
    private func header(_ path: [Int], _ part: MIMEPart) -> MIMEPart? { path.isEmpty ? part : part.nestedMessage }
}

extension ByteBuffer {
    /// The octets at offsets from the first readable one.
    fileprivate func slice(_ range: Range<Int>) -> ByteBuffer {
        let range = range.clamped(to: 0..<readableBytes)
        return getSlice(at: readerIndex + range.lowerBound, length: range.count) ?? ByteBuffer()
    }

    /// What of it `<first.count>` asks for; nothing beyond the end.
    fileprivate func part(_ range: PartialRange?) -> ByteBuffer {
        guard let range else { return self }
        let first = min(Int(range.first), readableBytes)
        return slice(first..<min(first + Int(range.count), readableBytes))
    }
}
