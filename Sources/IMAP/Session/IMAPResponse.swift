public import FoundationEssentials
public import NIOCore

/// Untagged responses of the server (RFC 9051 §7), but for what FETCH says of messages' contents.
public enum IMAPResponse: Hashable, Sendable {
    /// `* OK [code] text`.
    case ok(code: String?, String)
    /// `* BYE text`.
    case bye(code: String? = nil, String)
    case capability([String])
    case enabled([String])
    case identity(name: String)
    case namespace
    /// The flags that exist in the mailbox.
    case flags([String])
    case exists(Int)
    /// Of IMAP4rev1 only.
    case recent(Int)
    case expunge(Int)
    case list(MailboxListing)
    /// Of IMAP4rev1 only.
    case lsub(MailboxListing)
    case status(mailbox: String, [StatusValue])
    /// Of IMAP4rev1 only.
    case search([UInt32])
    case extendedSearch(tag: String, isUID: Bool, SearchResult)
    /// Flags of a message that changed. The UID is always told: nobody is harmed by it, and no client must ask (RFC 9051 §7.5.2).
    case fetchFlags(sequenceNumber: Int, uid: UInt32, Set<String>)

    /// One number of STATUS.
    public struct StatusValue: Hashable, Sendable {
        public var item: StatusItem
        public var value: Int
        /// Makes a value.
        public init(_ item: StatusItem, _ value: Int) {
            self.item = item
            self.value = value
        }
    }

    /// Writes the response with its CRLF.
    /// - Parameter isRev2: mailbox names are written as UTF-8 (RFC 9051 §5.1), else in modified UTF-7 (RFC 3501 §5.1.3).
    public func write(into buffer: inout ByteBuffer, isRev2: Bool) {
        buffer.writeString("* ")
        switch self {
        case .ok(let code, let text): buffer.writeString(IMAPCompletion.ok(text, code: code).line(tag: "").dropFirst().description)
        case .bye(let code, let text): buffer.writeString("BYE \(code.map { "[\($0)] " } ?? "")\(IMAPCompletion.oneLine(text))")
        case .capability(let names): buffer.writeString("CAPABILITY \(names.joined(separator: " "))")
        case .enabled(let names): buffer.writeString((["ENABLED"] + names).joined(separator: " "))
        case .identity(let name): buffer.writeString("ID (\"name\" \(ResponseText.quoted(name)))")
        case .namespace: buffer.writeString("NAMESPACE ((\"\" \"/\")) NIL NIL")
        case .flags(let flags): buffer.writeString("FLAGS (\(flags.joined(separator: " ")))")
        case .exists(let count): buffer.writeString("\(count) EXISTS")
        case .recent(let count): buffer.writeString("\(count) RECENT")
        case .expunge(let number): buffer.writeString("\(number) EXPUNGE")
        case .list(let listing): buffer.writeString("LIST \(listing.text(isRev2: isRev2))")
        case .lsub(let listing): buffer.writeString("LSUB \(listing.text(isRev2: isRev2))")
        case .status(let mailbox, let values):
            let written = values.map { "\($0.item.rawValue) \($0.value)" }.joined(separator: " ")
            buffer.writeString("STATUS \(Self.name(mailbox, isRev2: isRev2)) (\(written))")
        case .search(let numbers):
            var text = Array("SEARCH".utf8)
            for number in numbers {
                text.append(UInt8(ascii: " "))
                text.append(decimal: Int(number))
            }
            buffer.writeBytes(text)
        case .extendedSearch(let tag, let isUID, let result):
            buffer.writeString("ESEARCH (TAG \(ResponseText.quoted(tag)))\(isUID ? " UID" : "")\(result.text)")
        case .fetchFlags(let number, let uid, let flags):
            buffer.writeString("\(number) FETCH (UID \(uid) FLAGS (\(flags.sorted().joined(separator: " "))))")
        }
        buffer.writeString("\r\n")
    }

    /// A mailbox name as a client reads it.
    static func name(_ name: String, isRev2: Bool) -> String {
        name == "INBOX" ? name : ResponseText.quoted(isRev2 ? name : ModifiedUTF7.encode(name))
    }

    /// Writes `* n FETCH (` with what is known without a message's octets, and no closing parenthesis: for a message whose octets follow
    /// piece by piece.
    /// - Returns: whether an item was written, so that a space must stand before the next.
    public static func beginFetch(
        sequenceNumber: Int, uid: UInt32, flags: Set<String>, internalDate: Date, size: Int, items: [FetchItem], includesUID: Bool,
        into buffer: inout ByteBuffer
    ) -> Bool {
        var written: [String] = []
        if includesUID || items.contains(.uid) { written.append("UID \(uid)") }
        if items.contains(.flags) { written.append("FLAGS (\(flags.sorted().joined(separator: " ")))") }
        if items.contains(.internalDate) { written.append("INTERNALDATE \"\(IMAPDate.text(internalDate))\"") }
        if items.contains(.size) { written.append("RFC822.SIZE \(size)") }
        buffer.writeString("* \(sequenceNumber) FETCH (\(written.joined(separator: " "))")
        return !written.isEmpty
    }
}
