import MailMessage
import NIOCore

extension HeaderSection {
    /// The fields of ENVELOPE in its order; Sender and Reply-To stand behind From.
    private static let envelopeNames = ["Date", "Subject", "From", "Sender", "Reply-To", "To", "Cc", "Bcc", "In-Reply-To", "Message-ID"]
        .map { Array($0.utf8) }
    private static let firstAddresses = 2
    private static let lastAddresses = 7
    private static let senderAndReplyTo = 3...4

    /// Writes ENVELOPE (RFC 9051 §7.5.2): the fields as they are written, without their folds; encoded-words stay.
    func writeEnvelope(into out: inout ByteBuffer) {
        var octets: [UInt8] = []
        octets.reserveCapacity(512)
        octets.append(UInt8(ascii: "("))
        var from: [AddressList.Entry] = []
        for (place, field) in firstFields(named: Self.envelopeNames).enumerated() {
            if place > 0 { octets.append(UInt8(ascii: " ")) }
            guard (Self.firstAddresses...Self.lastAddresses).contains(place) else {
                ResponseText.nstring(field?.unfoldedOctets, into: &octets)
                continue
            }
            let entries = field.map { AddressList.entries(of: $0.unfoldedOctets) } ?? []
            if place == Self.firstAddresses { from = entries }
            // RFC 9051 §7.5.2: Sender and Reply-To that are absent or empty are From.
            Self.write(entries.isEmpty && Self.senderAndReplyTo.contains(place) ? from : entries, into: &octets)
        }
        octets.append(UInt8(ascii: ")"))
        out.writeBytes(octets)
    }

    private static func write(_ entries: [AddressList.Entry], into out: inout [UInt8]) {
        guard !entries.isEmpty else {
            out += ResponseText.nilOctets
            return
        }
        out.append(UInt8(ascii: "("))
        for entry in entries {
            switch entry {
            case .mailbox(let mailbox): write(mailbox, into: &out)
            case .group(let name, let members):
                // A group begins with its name where the local part stands and NIL for the domain, and ends with an entry of NIL only.
                out += "(NIL NIL ".utf8
                ResponseText.string(Array(name.utf8), into: &out)
                out += " NIL)".utf8
                for member in members { write(member, into: &out) }
                out += "(NIL NIL NIL NIL)".utf8
            }
        }
        out.append(UInt8(ascii: ")"))
    }

    private static func write(_ mailbox: HeaderMailbox, into out: inout [UInt8]) {
        out.append(UInt8(ascii: "("))
        ResponseText.nstring(mailbox.writtenDisplayName.map { Array($0.utf8) }, into: &out)
        out.append(UInt8(ascii: " "))
        ResponseText.nstring(mailbox.route.map { Array($0.utf8) }, into: &out)
        out.append(UInt8(ascii: " "))
        // Never NIL, even where they are absent: that would mean a group.
        ResponseText.string(Array(mailbox.localPart.utf8), into: &out)
        out.append(UInt8(ascii: " "))
        ResponseText.string(Array(mailbox.domain.utf8), into: &out)
        out.append(UInt8(ascii: ")"))
    }
}
