import DNS
import FoundationEssentials
import MailMessage
import NIOCore

/// A message as people read it: header fields, one text, and a list of files.
struct ReadableMessage: Sendable {
    /// A part that can be downloaded.
    struct File: Sendable, Hashable {
        /// The number of the part among all of the message.
        var index: Int
        var name: String
        /// As the message says it; only shown, never sent as a type.
        var mediaType: String
        /// About how many octets.
        var size: Int
    }

    var subject: String
    var from: Correspondent?
    /// From names several people, or Sender somebody else.
    var otherSenders: [Correspondent]
    var replyTo: [Correspondent]
    var to: [Correspondent]
    var cc: [Correspondent]
    var date: Date?
    var messageID: String?
    var references: [String]
    var text: String
    /// The text was made of HTML.
    var isFromHTML = false
    /// Something is left out for its length.
    var isShortened = false
    var files: [File]
    /// The sender's domain has a mark that can be shown.
    var hasMark: Bool
    /// The message deviates so far that it may not be seen whole.
    var isIncomplete: Bool

    /// Octets of text that a page shows.
    private static let textLimit = 512 * 1024
    private static let fileLimit = 200

    init(_ message: Message) {
        subject = Self.oneLine(message.subject ?? "", limit: 1000)
        let authors = message.from.mailboxes.prefix(20).map(Correspondent.init)
        from = authors.first
        otherSenders = authors.dropFirst() + message.sender.mailboxes.prefix(5).map(Correspondent.init).filter { $0.address != authors.first?.address }
        replyTo = message.replyTo.mailboxes.prefix(20).map(Correspondent.init).filter { $0.address != authors.first?.address }
        to = message.to.mailboxes.prefix(500).map(Correspondent.init)
        cc = message.cc.mailboxes.prefix(500).map(Correspondent.init)
        date = message.date?.date
        messageID = message.messageID
        references = Array((message.references + (message.references.isEmpty ? message.inReplyTo : [])).suffix(20))
        isIncomplete = message.isIncomplete
        hasMark = BrandMark.svg(of: message) != nil
        let parts = message.allParts
        let shown = Self.shownParts(message.root, depth: 0)
        var pieces: [String] = []
        for part in shown {
            guard let piece = part.text() ?? Self.asciiText(part) else { continue }
            if part.contentType.subtype == "html" {
                let extracted = HTMLText.extract(piece)
                isFromHTML = true
                isShortened = isShortened || extracted.isShortened
                pieces.append(extracted.text)
            } else {
                pieces.append(piece)
            }
        }
        text = pieces.joined(separator: "\n\n").replacing("\r\n", with: "\n")
        if text.utf8.count > Self.textLimit {
            text = String(decoding: text.utf8.prefix(Self.textLimit), as: UTF8.self)
            isShortened = true
        }
        let shownIndices = Set(shown.map(\.bodyRange))
        files = []
        for (index, part) in parts.enumerated() where files.count < Self.fileLimit {
            guard part.structure != .multipart, index > 0 || message.root.structure == .leaf else { continue }
            if shownIndices.contains(part.bodyRange), part.structure == .leaf, part.filename == nil { continue }
            // What is inside of an attached message belongs to that message.
            if parts[..<index].contains(where: { $0.structure == .message && $0.bodyRange.contains(part.bodyRange) && $0.bodyRange != part.bodyRange }) {
                continue
            }
            let decodedSize = part.transferEncoding == .base64 ? part.octetCount / 4 * 3 : part.octetCount
            files.append(
                File(
                    index: index, name: FileName.clean(part.filename, number: index, type: part.contentType), mediaType: part.contentType.mediaType,
                    size: decodedSize))
        }
    }

    /// The parts that make the text: of alternatives the plain one, of others those that are not files.
    private static func shownParts(_ part: MIMEPart, depth: Int) -> [MIMEPart] {
        guard depth < 30 else { return [] }
        switch part.structure {
        case .message: return []
        case .leaf:
            let isFile = part.contentDisposition?.type == "attachment"
            return part.contentType.type == "text" && !isFile && ["plain", "html", "enriched"].contains(part.contentType.subtype) ? [part] : []
        case .multipart:
            let children = part.children
            guard part.contentType.subtype == "alternative" else { return children.flatMap { shownParts($0, depth: depth + 1) } }
            let candidates = children.map { shownParts($0, depth: depth + 1) }.filter { !$0.isEmpty }
            let plain = candidates.first { parts in
                parts.allSatisfy { $0.contentType.subtype == "plain" } && parts.contains { !($0.text() ?? "").allSatisfy(\.isWhitespace) }
            }
            return plain ?? candidates.last ?? []
        }
    }

    /// A text of a character set that nobody knows: what is US-ASCII of it.
    private static func asciiText(_ part: MIMEPart) -> String? {
        guard part.structure == .leaf else { return nil }
        let octets = part.decodedBody().octets.readableBytesView.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }
        return String(decoding: octets, as: UTF8.self)
    }

    /// A text for one line.
    static func oneLine(_ text: String, limit: Int) -> String {
        let scalars = text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7f ? " " : Character($0) }
        return String(String(scalars).prefix(limit))
    }
}

extension Range<Int> {
    fileprivate func contains(_ other: Range<Int>) -> Bool { lowerBound <= other.lowerBound && other.upperBound <= upperBound }
}

/// Somebody in a header field: the name that they gave themselves, and the address.
struct Correspondent: Sendable, Hashable {
    var name: String?
    var address: String
    /// The domain in lower case.
    var domain: String

    init(_ mailbox: HeaderMailbox) {
        let written = mailbox.displayName.map { ReadableMessage.oneLine($0, limit: 200) } ?? ""
        let trimmed = String(written.drop(while: \.isWhitespace))
        name = trimmed.isEmpty ? nil : trimmed
        domain = mailbox.domain.lowercased()
        address = ReadableMessage.oneLine(mailbox.domain.isEmpty ? mailbox.localPart : "\(mailbox.localPart)@\(mailbox.domain)", limit: 320)
    }

    /// Whether the address belongs to none of these domains.
    func isExternal(_ domains: [DomainName]) -> Bool { !domains.contains { $0.ascii == domain } }
}

/// Names of files, made harmless.
enum FileName {
    /// A name without folders, control characters and characters that turn the direction of the text around.
    static func clean(_ name: String?, number: Int, type: ContentType) -> String {
        var scalars = String.UnicodeScalarView()
        for scalar in (name ?? "").unicodeScalars {
            switch scalar.value {
            case 0..<0x20, 0x7f..<0xa0, 0x200b...0x200f, 0x2028...0x202e, 0x2066...0x2069, 0x061c, 0xfeff: continue
            case 0x2f, 0x5c, 0x3a, 0x2a, 0x3f, 0x22, 0x3c, 0x3e, 0x7c: scalars.append("_")
            default: scalars.append(scalar)
            }
        }
        var clean = String(scalars)
        while let first = clean.first, first == "." || first.isWhitespace { clean.removeFirst() }
        while let last = clean.last, last == "." || last.isWhitespace { clean.removeLast() }
        guard clean.isEmpty else { return shortened(clean) }
        switch (type.type, type.subtype) {
        case ("message", _): return "message-\(number).eml"
        case ("text", "html"): return "text-\(number).html.txt"
        case ("text", _): return "text-\(number).txt"
        default: return "part-\(number).bin"
        }
    }

    /// Long names keep their extension.
    private static func shortened(_ name: String) -> String {
        guard name.count > 150 else { return name }
        return "\(name.prefix(100))…\(name.suffix(40))"
    }

    /// The Content-Disposition of a download (RFC 6266 §4.1).
    static func disposition(_ name: String) -> String {
        let ascii = String(name.unicodeScalars.map { (0x20...0x7e).contains($0.value) && $0 != "\"" && $0 != "\\" && $0 != "%" ? Character($0) : "_" })
        return "attachment; filename=\"\(ascii)\"; filename*=UTF-8''\(Percent.encode(name))"
    }
}
