import MailMessage
import NIOCore

extension HeaderSection {
    /// Writes ENVELOPE (RFC 9051 §7.5.2): the fields as they are written, without their folds; encoded-words stay.
    func writeEnvelope(into out: inout ByteBuffer) {
        let from = addresses("From")
        out.writeStaticString("(")
        ResponseText.nstring(first(named: "Date")?.unfoldedOctets, into: &out)
        out.writeStaticString(" ")
        ResponseText.nstring(first(named: "Subject")?.unfoldedOctets, into: &out)
        for (name, fallback) in [("From", nil), ("Sender", from), ("Reply-To", from), ("To", nil), ("Cc", nil), ("Bcc", nil)] {
            out.writeStaticString(" ")
            let entries = name == "From" ? from : addresses(name)
            // RFC 9051 §7.5.2: Sender and Reply-To that are absent or empty are From.
            Self.write(entries.isEmpty ? fallback ?? [] : entries, into: &out)
        }
        out.writeStaticString(" ")
        ResponseText.nstring(first(named: "In-Reply-To")?.unfoldedOctets, into: &out)
        out.writeStaticString(" ")
        ResponseText.nstring(first(named: "Message-ID")?.unfoldedOctets, into: &out)
        out.writeStaticString(")")
    }

    private func addresses(_ name: String) -> [AddressList.Entry] {
        first(named: name).map { AddressList.entries(of: $0.unfoldedOctets) } ?? []
    }

    private static func write(_ entries: [AddressList.Entry], into out: inout ByteBuffer) {
        guard !entries.isEmpty else {
            out.writeStaticString("NIL")
            return
        }
        out.writeStaticString("(")
        for entry in entries {
            switch entry {
            case .mailbox(let mailbox): write(mailbox, into: &out)
            case .group(let name, let members):
                // A group begins with its name where the local part stands and NIL for the domain, and ends with an entry of NIL only.
                out.writeStaticString("(NIL NIL ")
                ResponseText.string(name, into: &out)
                out.writeStaticString(" NIL)")
                for member in members { write(member, into: &out) }
                out.writeStaticString("(NIL NIL NIL NIL)")
            }
        }
        out.writeStaticString(")")
    }

    private static func write(_ mailbox: HeaderMailbox, into out: inout ByteBuffer) {
        out.writeStaticString("(")
        ResponseText.nstring(mailbox.writtenDisplayName, into: &out)
        out.writeStaticString(" ")
        ResponseText.nstring(mailbox.route, into: &out)
        out.writeStaticString(" ")
        // Never NIL, even where they are absent: that would mean a group.
        ResponseText.string(mailbox.localPart, into: &out)
        out.writeStaticString(" ")
        ResponseText.string(mailbox.domain, into: &out)
        out.writeStaticString(")")
    }
}
