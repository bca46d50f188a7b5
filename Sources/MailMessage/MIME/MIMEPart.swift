public import NIOCore

/// One part of a message, or the message itself: a light view into the parsed tree, all places as offsets in the
/// message (RFC 2045 §2.4, RFC 2046).
public struct MIMEPart: Sendable {
    /// What the part is made of.
    public enum Structure: Hashable, Sendable {
        /// Octets; also a composite type whose parts could not be found or were not looked for.
        case leaf
        /// A multipart with at least one part.
        case multipart
        /// A message within the message (`message/rfc822`, `message/global`).
        case message
    }

    let tree: PartTree
    let index: Int

    private var record: PartTree.Record { tree.records[index] }

    /// What the part is made of.
    public var structure: Structure {
        guard !record.children.isEmpty else { return .leaf }
        return record.isMessage ? .message : .multipart
    }

    /// The part's header section: the MIME fields, or the whole header where the part is a message.
    public var header: HeaderSection { record.header }

    /// The octets of the header section with its empty line: IMAP's `BODY[n.MIME]`, or `BODY[HEADER]` of a message.
    public var headerRange: Range<Int> { record.header.range }

    /// The octets of the body as they are transferred: IMAP's `BODY[n]` of a part, `BODY[TEXT]` of a message.
    public var bodyRange: Range<Int> { record.bodyRange }

    /// The number of octets of the body as transferred: `body-fld-octets` of RFC 9051 §9.
    public var octetCount: Int { record.bodyRange.count }

    /// The number of lines of the body: `body-fld-lines` of RFC 9051 §9. A last line without its end counts.
    public var lineCount: Int { tree.lineCount(record.bodyRange) }

    /// The parts of a multipart; the one message of a `message/rfc822` part; nothing of a leaf.
    public var children: [MIMEPart] { record.children.map { MIMEPart(tree: tree, index: $0) } }

    /// The message inside of a `message/rfc822` part.
    public var nestedMessage: MIMEPart? { structure == .message ? children.first : nil }

    /// The type that holds: what the field says, `text/plain` where it is absent or wrong (RFC 2045 §5.2),
    /// `message/rfc822` in a digest. A leaf never has a composite type here: a multipart without parts is `text/plain`,
    /// a message that was not read is `application/octet-stream`.
    public var contentType: ContentType {
        let declared = declaredContentType
        switch structure {
        case .multipart, .message: return declared
        case .leaf:
            if declared.type == "multipart" { return .plainText }
            if PartTree.isMessageType(declared) { return ContentType(type: "application", subtype: "octet-stream") }
            return declared
        }
    }

    /// The type as the field says it, or the default where it is absent or wrong.
    public var declaredContentType: ContentType { record.contentType }

    /// The transfer encoding; 7bit where the field is absent (RFC 2045 §6.1).
    public var transferEncoding: ContentTransferEncoding { record.transferEncoding }

    /// The Content-ID as it is written.
    public var contentID: String? { header.first(named: "Content-ID")?.value }

    /// The Content-Description as it is written, with its encoded-words.
    public var contentDescription: String? { header.first(named: "Content-Description")?.value }

    /// The Content-MD5 (RFC 1864).
    public var contentMD5: String? { header.first(named: "Content-MD5")?.value }

    /// The Content-Location (RFC 2557 §4).
    public var contentLocation: String? { header.first(named: "Content-Location")?.value }

    /// The tags of Content-Language (RFC 3282 §2).
    public var contentLanguages: [String] {
        guard let field = header.first(named: "Content-Language") else { return [] }
        var scanner = StructuredFieldScanner(field.unfoldedOctets)
        var tags = [String]()
        while !scanner.isAtEnd {
            if let tag = scanner.token() { tags.append(tag) } else { scanner.position += 1 }
        }
        return tags
    }

    /// The Content-Disposition (RFC 2183).
    public var contentDisposition: ContentDisposition? {
        header.first(named: "Content-Disposition").flatMap { ContentDisposition(parsing: $0.unfoldedOctets) }
    }

    /// The name of the file that the part is: of Content-Disposition, or of Content-Type as older programs write it.
    public var filename: String? { contentDisposition?.filename ?? record.contentType.parameters["name"] }

    /// The body as it is transferred. No copy.
    public var body: ByteBuffer { tree.message.slice(in: record.bodyRange) }

    /// The body without its transfer encoding, and what was wrong with it.
    public func decodedBody() -> (octets: ByteBuffer, deviations: [MessageDeviation]) { transferEncoding.decode(body) }

    /// The decoded body of a text part as text, by its `charset`; `nil` where the part is no text or its character set
    /// is not known.
    public func text() -> String? {
        let type = contentType
        guard structure == .leaf, type.type == "text" else { return nil }
        guard let charset = Charset(name: type.parameters["charset"] ?? "us-ascii") else { return nil }
        let octets = decodedBody().octets
        let all = octets.octets(in: 0..<octets.readableBytes)
        return charset == .utf8 ? Charset.headerText(all) : charset.decode(all)
    }
}
