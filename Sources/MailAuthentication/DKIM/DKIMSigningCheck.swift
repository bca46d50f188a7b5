import DNS
import MailMessage

/// Whether a message may be signed.
struct DKIMSigningCheck {
    let fields: DKIMFieldIndex
    let options: DKIMSigningOptions

    /// Fields that may be there once (RFC 5322 §3.6, RFC 2045 §4 to §8).
    private static let singleFields = [
        "From", "Date", "Sender", "Reply-To", "To", "Cc", "Bcc", "Message-ID", "In-Reply-To", "References", "Subject", "MIME-Version",
        "Content-Type", "Content-Transfer-Encoding", "Content-ID", "Content-Description", "Content-Disposition",
    ]

    func run(domains: [DomainName]) throws(DKIMSigningRefusal) {
        let header = fields.header
        guard !fields.isTruncated else { throw .headerOverLimits }
        for name in ["From", "Date"] where fields[name.lowercased()].isEmpty && !options.fieldsAddedLater.contains(name) {
            throw .missingField(name)
        }
        for name in Self.singleFields {
            let count = fields[name.lowercased()].count
            guard count <= 1 else { throw .repeatedField(name, count: count) }
        }
        var inspector = DKIMMessageInspector()
        var inspected = header.fieldsRange.lowerBound
        for field in header {
            // A line that stands before the first field and is none: a mailbox file's, or a fold of nothing.
            guard field.range.lowerBound == inspected else { throw .malformedHeader }
            inspector.update(field.rawField)
            inspected = field.range.upperBound
        }
        inspector.finish()
        try Self.refuse(inspector, offset: header.fieldsRange.lowerBound)
        if let place = inspector.eightBit, !options.allowsInternationalizedHeader {
            throw .eightBitHeader(offset: header.fieldsRange.lowerBound + place)
        }
        try check(authors: domains)
    }

    /// What is allowed nowhere in a message.
    static func refuse(_ inspector: DKIMMessageInspector, offset: Int) throws(DKIMSigningRefusal) {
        if let place = inspector.bareLineFeed { throw .bareLineFeed(offset: offset + place) }
        if let place = inspector.bareCarriageReturn { throw .bareCarriageReturn(offset: offset + place) }
        if let place = inspector.nul { throw .nulOctet(offset: offset + place) }
        if let place = inspector.longLine { throw .lineTooLong(offset: offset + place) }
    }

    private func check(authors domains: [DomainName]) throws(DKIMSigningRefusal) {
        guard let from = fields["from"].first else { throw .missingField("From") }
        if let date = fields["date"].first, MessageDate(parsing: fields.header[date].unfoldedOctets) == nil { throw .unreadableDate }
        let list = AddressList(parsing: fields.header[from].unfoldedOctets)
        let mailboxes = list.mailboxes
        guard list.isWellFormed, !mailboxes.isEmpty else { throw .unreadableFrom }
        for mailbox in mailboxes {
            guard let author = try? DomainName(mailbox.domain) else { throw .unreadableFrom }
            guard !options.allowsForeignAuthors else { continue }
            for domain in domains where !author.isEqualOrSubdomain(of: domain) {
                throw .foreignAuthor(String(mailbox.domain.prefix(253)), signer: domain)
            }
        }
    }
}
