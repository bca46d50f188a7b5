internal import FoundationEssentials
public import NIOCore

/// A message that brings a report as its one attachment, with a few words before it: what reports on DMARC (RFC 9990 §3.5.2) and on TLS (RFC 8460 §5.3)
/// have in common.
public struct ReportMessageWriter: Sendable {
    /// Who sends.
    public var from: EmailAddress
    /// The destination.
    public var to: EmailAddress
    public var subject: String
    /// When.
    public var date: MessageDate
    /// With or without its angle brackets.
    public var messageID: String
    /// Fields that only this kind of report has.
    public var fields: [(name: String, value: String)] = []
    /// The type of the whole, without its boundary: `multipart/mixed`.
    public var contentType = "multipart/mixed"
    /// Lines for people, each with its CRLF, in ASCII.
    public var text: String
    /// The report itself, its type and its file's name.
    public var attachment: [UInt8]
    public var attachmentType: String
    public var fileName: String

    /// Makes a message; nothing is checked.
    public init(
        from: EmailAddress, to: EmailAddress, subject: String, date: MessageDate, messageID: String, text: String, attachment: [UInt8],
        attachmentType: String, fileName: String
    ) {
        self.from = from
        self.to = to
        self.subject = subject
        self.date = date
        self.messageID = messageID
        self.text = text
        self.attachment = attachment
        self.attachmentType = attachmentType
        self.fileName = fileName
    }

    /// The message with CRLF line ends, to be signed and sent as it is.
    /// - Parameter mark: letters and digits that are the same for the same report.
    public func serialized(mark: String) -> ByteBuffer {
        // Base64 has no underscore, and the text has no line that begins with one: the boundary stands in no part.
        let boundary = "=_report_\(mark)"
        var header = HeaderWriter(allowsUTF8: !from.isASCII || !to.isASCII)
        header.addresses("From", [HeaderMailbox(writtenDisplayName: nil, from)])
        header.addresses("To", [HeaderMailbox(writtenDisplayName: nil, to)])
        header.unstructured("Subject", subject)
        header.date("Date", date)
        header.structured("Message-ID", messageID.hasPrefix("<") ? messageID : "<\(messageID)>")
        for field in fields { header.structured(field.name, field.value) }
        // RFC 3834 §5: nobody answers this automatically.
        header.structured("Auto-Submitted", "auto-generated")
        header.structured("MIME-Version", "1.0")
        header.structured("Content-Type", "\(contentType); boundary=\"\(boundary)\"")
        header.endSection()
        var buffer = header.buffer
        buffer.writeString("--\(boundary)\r\n")
        var part = HeaderWriter()
        part.structured("Content-Type", "text/plain; charset=us-ascii")
        part.structured("Content-Transfer-Encoding", "7bit")
        part.endSection()
        buffer.writeImmutableBuffer(part.buffer)
        buffer.writeString("\(text)\r\n--\(boundary)\r\n")
        part = HeaderWriter()
        part.structured("Content-Type", "\(attachmentType); name=\"\(fileName)\"")
        part.structured("Content-Transfer-Encoding", "base64")
        part.structured("Content-Disposition", "attachment; filename=\"\(fileName)\"")
        part.endSection()
        buffer.writeImmutableBuffer(part.buffer)
        buffer.writeString(Data(attachment).base64EncodedString(options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed]))
        buffer.writeString("\r\n--\(boundary)--\r\n")
        return buffer
    }
}
