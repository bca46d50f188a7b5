import MailMessage
import NIOCore

/// Writes BODY and BODYSTRUCTURE (RFC 9051 §7.5.2). Its depth is that of the parsed tree, which has a limit.
struct BodyStructureWriter {
    private let root: MIMEPart
    /// BODYSTRUCTURE has extension data, BODY must not.
    private let isExtended: Bool
    private let lines: LineCounts

    init(_ message: Message, isExtended: Bool) {
        root = message.root
        self.isExtended = isExtended
        lines = LineCounts(of: message)
    }

    func write(into out: inout ByteBuffer) { write(root, into: &out) }

    private func write(_ part: MIMEPart, into out: inout ByteBuffer) {
        out.writeStaticString("(")
        switch part.structure {
        case .multipart:
            for child in part.children { write(child, into: &out) }
            out.writeStaticString(" ")
            ResponseText.string(part.contentType.subtype, into: &out)
            if isExtended {
                out.writeStaticString(" ")
                write(part.contentType.parameters, into: &out)
            }
        case .leaf, .message:
            writeSingle(part, into: &out)
            if isExtended {
                out.writeStaticString(" ")
                writeField("Content-MD5", of: part, into: &out)
            }
        }
        if isExtended { writeExtension(part, into: &out) }
        out.writeStaticString(")")
    }

    /// `body-type-1part` without its extension data.
    private func writeSingle(_ part: MIMEPart, into out: inout ByteBuffer) {
        let type = part.contentType
        ResponseText.string(type.type, into: &out)
        out.writeStaticString(" ")
        ResponseText.string(type.subtype, into: &out)
        out.writeStaticString(" ")
        write(type.parameters, into: &out)
        out.writeStaticString(" ")
        writeField("Content-ID", of: part, into: &out)
        out.writeStaticString(" ")
        writeField("Content-Description", of: part, into: &out)
        out.writeStaticString(" ")
        ResponseText.string(part.transferEncoding.name, into: &out)
        out.writeString(" \(part.octetCount)")
        if let nested = part.nestedMessage {
            out.writeStaticString(" ")
            nested.header.writeEnvelope(into: &out)
            out.writeStaticString(" ")
            write(nested, into: &out)
            out.writeString(" \(lines.count(part.bodyRange))")
        } else if type.type == "text" {
            out.writeString(" \(lines.count(part.bodyRange))")
        }
    }

    /// Disposition, language and location.
    private func writeExtension(_ part: MIMEPart, into out: inout ByteBuffer) {
        if let disposition = part.contentDisposition {
            out.writeStaticString(" (")
            ResponseText.string(disposition.type, into: &out)
            out.writeStaticString(" ")
            write(disposition.parameters, into: &out)
            out.writeStaticString(")")
        } else {
            out.writeStaticString(" NIL")
        }
        let languages = part.contentLanguages
        out.writeStaticString(languages.isEmpty ? " NIL" : " (")
        for (index, language) in languages.enumerated() {
            if index > 0 { out.writeStaticString(" ") }
            ResponseText.string(language, into: &out)
        }
        out.writeStaticString(languages.isEmpty ? " " : ") ")
        writeField("Content-Location", of: part, into: &out)
    }

    private func writeField(_ name: String, of part: MIMEPart, into out: inout ByteBuffer) {
        ResponseText.nstring(part.header.first(named: name)?.unfoldedOctets, into: &out)
    }

    /// The parameters as they are written: sections and character sets of RFC 2231 are the client's.
    private func write(_ parameters: HeaderParameters, into out: inout ByteBuffer) {
        guard !parameters.isEmpty else {
            out.writeStaticString("NIL")
            return
        }
        out.writeStaticString("(")
        for (index, parameter) in parameters.written.enumerated() {
            if index > 0 { out.writeStaticString(" ") }
            ResponseText.string(parameter.name, into: &out)
            out.writeStaticString(" ")
            ResponseText.string(parameter.value, into: &out)
        }
        out.writeStaticString(")")
    }
}

/// The numbers of lines of all bodies of a message, counted in one pass: messages within messages share their octets, and counting each
/// alone would cost the message's length for every level.
struct LineCounts {
    private var lineEndsBefore: [Int: Int] = [:]
    private var unterminated: Set<Int> = []

    init(of message: Message) {
        let octets = message.octets
        let span = octets.readableBytesUInt8Span
        var lineEnds = 0
        var position = 0
        for bound in Set(message.allParts.flatMap { [$0.bodyRange.lowerBound, $0.bodyRange.upperBound] }).sorted() {
            while position < bound, position < span.count {
                if span[position] == 0x0a { lineEnds += 1 }
                position += 1
            }
            lineEndsBefore[bound] = lineEnds
            if position > 0, span[position - 1] != 0x0a { unterminated.insert(bound) }
        }
    }

    /// A last line without its end counts.
    func count(_ range: Range<Int>) -> Int {
        guard !range.isEmpty else { return 0 }
        return lineEndsBefore[range.upperBound, default: 0] - lineEndsBefore[range.lowerBound, default: 0]
            + (unterminated.contains(range.upperBound) ? 1 : 0)
    }
}
