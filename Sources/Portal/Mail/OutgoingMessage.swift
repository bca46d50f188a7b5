import FoundationEssentials
import MailMessage
import NIOCore

/// A message that somebody writes: plain text, and files.
struct OutgoingMessage: Sendable {
    /// A file that is sent along.
    struct File: Sendable {
        var name: String
        /// What the browser calls its type.
        var mediaType: String
        var content: ByteBuffer
    }

    var from: EmailAddress
    var to: [HeaderMailbox]
    var cc: [HeaderMailbox]
    var subject: String
    var text: String
    /// With angle brackets.
    var inReplyTo: [String]
    var references: [String]
    var files: [File]

    /// Writes the message (RFC 5322 §3.6, RFC 2045, RFC 2183).
    /// - Parameters:
    ///   - date: now.
    ///   - identity: random letters and digits for the Message-ID and the boundary.
    func octets(date: Date, identity: String) -> ByteBuffer {
        var header = HeaderWriter()
        header.date("Date", MessageDate(date))
        header.addresses("From", [HeaderMailbox(writtenDisplayName: nil, localPart: from.localPart, domain: from.domain)])
        if !to.isEmpty { header.addresses("To", to) }
        if !cc.isEmpty { header.addresses("Cc", cc) }
        header.unstructured("Subject", subject)
        header.structured("Message-ID", "<\(identity)@\(from.domain)>")
        if !inReplyTo.isEmpty { header.structured("In-Reply-To", inReplyTo.joined(separator: " ")) }
        if !references.isEmpty { header.structured("References", references.joined(separator: " ")) }
        header.structured("MIME-Version", "1.0")
        let boundary = "=_\(identity)"
        var body = ByteBuffer()
        if files.isEmpty {
            header.structured("Content-Type", "text/plain; charset=utf-8")
            header.structured("Content-Transfer-Encoding", "quoted-printable")
            writeText(into: &body)
        } else {
            header.structured("Content-Type", "multipart/mixed; boundary=\"\(boundary)\"")
            body.writeString("--\(boundary)\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n")
            writeText(into: &body)
            for file in files { write(file, boundary: boundary, into: &body) }
            body.writeString("\r\n--\(boundary)--\r\n")
        }
        header.endSection()
        var message = header.buffer
        message.writeBuffer(&body)
        return message
    }

    private func write(_ file: File, boundary: String, into body: inout ByteBuffer) {
        var header = HeaderWriter()
        let name = Percent.encode(file.name)
        header.structured("Content-Type", Self.isMediaType(file.mediaType) ? file.mediaType : "application/octet-stream")
        header.structured("Content-Disposition", "attachment; filename*=UTF-8''\(name)")
        header.structured("Content-Transfer-Encoding", "base64")
        header.endSection()
        body.writeString("\r\n--\(boundary)\r\n")
        body.writeImmutableBuffer(header.buffer)
        var content = file.content
        // 57 octets make a line of 76 (RFC 2045 §6.8).
        while let line = content.readBytes(length: min(57, content.readableBytes)), !line.isEmpty {
            body.writeString(Data(line).base64EncodedString())
            body.writeStaticString("\r\n")
        }
    }

    /// `type/subtype` of tokens, and none that is composed of parts: those would be looked into.
    private static func isMediaType(_ text: String) -> Bool {
        let halves = text.split(separator: "/", omittingEmptySubsequences: false)
        guard halves.count == 2, text.utf8.count <= 100, halves[0] != "multipart", halves[0] != "message" else { return false }
        return halves.allSatisfy { half in
            !half.isEmpty && half.utf8.allSatisfy { (0x30...0x39).contains($0) || (0x61...0x7a).contains($0 | 0x20) || [0x2b, 0x2d, 0x2e].contains($0) }
        }
    }

    /// Quoted-printable (RFC 2045 §6.7) with CRLF, whatever ends the lines of the text.
    private func writeText(into body: inout ByteBuffer) {
        let digits = Array("0123456789ABCDEF".utf8)
        let lines = text.replacing("\r\n", with: "\n").replacing("\r", with: "\n").split(separator: "\n", omittingEmptySubsequences: false)
        for line in lines {
            var column = 0
            let octets = Array(line.utf8)
            for (index, octet) in octets.enumerated() {
                let isLast = index == octets.count - 1
                let isBlank = octet == 0x20 || octet == 0x09
                let isPlain = (33...126).contains(octet) && octet != UInt8(ascii: "=") || isBlank && !isLast
                // A dot or “From ” at a line's beginning is what some program on the way may change.
                let mustHide = column == 0 && (octet == UInt8(ascii: ".") || octets[index...].starts(with: Array("From ".utf8)))
                let width = isPlain && !mustHide ? 1 : 3
                if column + width > 75 {
                    body.writeStaticString("=\r\n")
                    column = 0
                }
                if width == 1 {
                    body.writeInteger(octet)
                } else {
                    body.writeBytes([UInt8(ascii: "="), digits[Int(octet >> 4)], digits[Int(octet & 15)]])
                }
                column += width
            }
            body.writeStaticString("\r\n")
        }
    }
}
