import MailMessage
import NIOCore

/// BODY and BODYSTRUCTURE: the tree of a message's parts (RFC 9051 §7.5.2, §9 `body`). The parser limits its depth and its size.
enum BodyStructureText {
    /// - Parameter isExtended: with the extension data, which BODY leaves out.
    static func write(_ part: MIMEPart, isExtended: Bool, into out: inout ByteBuffer) {
        out.writeString("(")
        switch part.structure {
        case .multipart:
            for child in part.children { write(child, isExtended: isExtended, into: &out) }
            out.writeString(" ")
            ResponseText.writeString(part.contentType.subtype, into: &out)
            if isExtended {
                out.writeString(" ")
                write(part.contentType.parameters, into: &out)
                writeCommonExtension(of: part, into: &out)
            }
        case .message, .leaf:
            writeSingle(part, isExtended: isExtended, into: &out)
        }
        out.writeString(")")
    }

    private static func writeSingle(_ part: MIMEPart, isExtended: Bool, into out: inout ByteBuffer) {
        let type = part.contentType
        ResponseText.writeString(type.type, into: &out)
        out.writeString(" ")
        ResponseText.writeString(type.subtype, into: &out)
        out.writeString(" ")
        write(type.parameters, into: &out)
        for text in [part.contentID, part.contentDescription] {
            out.writeString(" ")
            ResponseText.writeOptional(text, into: &out)
        }
        out.writeString(" ")
        ResponseText.writeString(part.transferEncoding.name, into: &out)
        out.writeString(" \(part.octetCount)")
        if let message = part.nestedMessage {
            out.writeString(" ")
            EnvelopeText.write(message.header, into: &out)
            out.writeString(" ")
            write(message, isExtended: isExtended, into: &out)
            out.writeString(" \(part.lineCount)")
        } else if type.type == "text" {
            out.writeString(" \(part.lineCount)")
        }
        if isExtended {
            out.writeString(" ")
            ResponseText.writeOptional(part.contentMD5, into: &out)
            writeCommonExtension(of: part, into: &out)
        }
    }

    /// Disposition, languages, location.
    private static func writeCommonExtension(of part: MIMEPart, into out: inout ByteBuffer) {
        out.writeString(" ")
        if let disposition = part.contentDisposition {
            out.writeString("(")
            ResponseText.writeString(disposition.type, into: &out)
            out.writeString(" ")
            write(disposition.parameters, into: &out)
            out.writeString(")")
        } else {
            out.writeString("NIL")
        }
        out.writeString(" ")
        let languages = part.contentLanguages
        if languages.count > 1 {
            out.writeString("(")
            for (index, language) in languages.enumerated() {
                if index > 0 { out.writeString(" ") }
                ResponseText.writeString(language, into: &out)
            }
            out.writeString(")")
        } else {
            ResponseText.writeOptional(languages.first, into: &out)
        }
        out.writeString(" ")
        ResponseText.writeOptional(part.contentLocation, into: &out)
    }

    private static func write(_ parameters: HeaderParameters, into out: inout ByteBuffer) {
        guard !parameters.isEmpty else {
            out.writeString("NIL")
            return
        }
        out.writeString("(")
        for (index, parameter) in parameters.written.enumerated() {
            if index > 0 { out.writeString(" ") }
            ResponseText.writeString(parameter.name, into: &out)
            out.writeString(" ")
            ResponseText.writeString(parameter.value, into: &out)
        }
        out.writeString(")")
    }
}
