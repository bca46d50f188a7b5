import MailMessage
import NIOCore

/// ENVELOPE: the fields of a header as FETCH tells them (RFC 9051 §7.5.2).
enum EnvelopeText {
    static func write(_ header: HeaderSection, into out: inout ByteBuffer) {
        let from = addresses(header, "From")
        out.writeString("(")
        for name in ["Date", "Subject"] {
            ResponseText.writeOptional(text(header, name), into: &out)
            out.writeString(" ")
        }
        write(from, into: &out)
        // An absent or empty Sender or Reply-To is what From is.
        for name in ["Sender", "Reply-To"] {
            let own = addresses(header, name)
            out.writeString(" ")
            write(own.isEmpty ? from : own, into: &out)
        }
        for name in ["To", "Cc", "Bcc"] {
            out.writeString(" ")
            write(addresses(header, name), into: &out)
        }
        for name in ["In-Reply-To", "Message-ID"] {
            out.writeString(" ")
            ResponseText.writeOptional(text(header, name), into: &out)
        }
        out.writeString(")")
    }

    /// A field's value as it is written, unfolded; encoded-words are the client's business.
    private static func text(_ header: HeaderSection, _ name: String) -> [UInt8]? {
        guard let octets = header.first(named: name)?.unfoldedOctets else { return nil }
        func isSpace(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }
        let trimmed = octets.drop(while: isSpace).reversed().drop(while: isSpace).reversed()
        return Array(trimmed)
    }

    private static func addresses(_ header: HeaderSection, _ name: String) -> AddressList {
        header.first(named: name).map { AddressList(parsing: $0.unfoldedOctets) } ?? AddressList(entries: [])
    }

    private static func write(_ list: AddressList, into out: inout ByteBuffer) {
        guard !list.isEmpty else {
            out.writeString("NIL")
            return
        }
        out.writeString("(")
        for entry in list.entries {
            switch entry {
            case .mailbox(let mailbox): write(mailbox, into: &out)
            case .group(let name, let members):
                out.writeString("(NIL NIL ")
                ResponseText.writeString(name, into: &out)
                out.writeString(" NIL)")
                for member in members { write(member, into: &out) }
                out.writeString("(NIL NIL NIL NIL)")
            }
        }
        out.writeString(")")
    }

    /// A NIL as mailbox or host would begin or end a group: what is missing is an empty string.
    private static func write(_ mailbox: HeaderMailbox, into out: inout ByteBuffer) {
        out.writeString("(")
        ResponseText.writeOptional(mailbox.writtenDisplayName, into: &out)
        out.writeString(" ")
        ResponseText.writeOptional(mailbox.route, into: &out)
        out.writeString(" ")
        ResponseText.writeString(mailbox.localPart, into: &out)
        out.writeString(" ")
        ResponseText.writeString(mailbox.domain, into: &out)
        out.writeString(")")
    }
}
