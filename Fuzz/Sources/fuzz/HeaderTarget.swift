import NIOCore

@testable import IMAP
@testable import MailMessage

/// One value of a header field by every grammar; what is written of what was read is read as the same again.
enum HeaderTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        addresses(input)
        plainAddresses(input.octets)
        mailbox(input.octets)
        text(input)
        date(input.octets)
        names(input.octets)
        if let type = ContentType(parsing: input.octets) {
            require(type.parameters.written.count <= HeaderParameters.limit, "\(type.parameters.written.count) parameters")
            for parameter in type.parameters.written { _ = type.parameters[parameter.name] }
            _ = type.parameters["name"]
        }
        if let disposition = ContentDisposition(parsing: input.octets) { _ = disposition.filename }
        for identifier in MessageIDList(parsing: input.octets).identifiers {
            require(MessageIDList(parsing: Array(identifier.utf8)).identifiers == [identifier], "the Message-ID \(identifier) is read otherwise alone")
        }
    }

    /// What was written, as one field's value.
    private static func value(of writer: HeaderWriter) -> [UInt8] {
        var writer = writer
        writer.endSection()
        require(writer.buffer.readableBytesView.hasWholeLineEnds, "a bare CR or LF was written")
        for line in writer.buffer.readableBytesView.split(separator: 0x0A) { require(line.count <= 999, "a line of \(line.count) octets was written") }
        let section = HeaderSection(parsing: writer.buffer)
        require(section.count == 1 && section.endsWithEmptyLine, "\(section.count) fields were written instead of one")
        return section.first?.unfoldedOctets ?? []
    }

    private static func addresses(_ input: Input) {
        let list = AddressList(parsing: input.octets)
        // What the gateway itself writes is made of addresses that SMTP can carry; only those must survive.
        // Longer fields are cut where they are read, in the middle of a name.
        let mailboxes = list.mailboxes.filter { $0.address != nil && ($0.displayName ?? "").utf8.count <= 4_096 }.prefix(20)
        guard !mailboxes.isEmpty else { return }
        var writer = HeaderWriter(allowsUTF8: input.has(0))
        writer.addresses("To", Array(mailboxes))
        let again = AddressList(parsing: value(of: writer))
        require(
            again.mailboxes.map { $0.address } == mailboxes.map { $0.address },
            "the addresses \(mailboxes.map(\.address)) are read back as \(again.mailboxes.map(\.address))")
        for (first, second) in zip(mailboxes, again.mailboxes) {
            require(
                words(first.displayName) == words(second.displayName), "the name “\(first.displayName ?? "")” is read back as “\(second.displayName ?? "")”")
        }
    }

    /// Plain fields are read without the parser, and as it reads them.
    private static func plainAddresses(_ octets: [UInt8]) {
        guard let plain = PlainAddressList.entries(of: octets) else { return }
        var parser = AddressListParser(octets, judgesAddresses: false)
        parser.run()
        require(plain == parser.entries, "\(plain), by the parser \(parser.entries)")
    }

    /// Blanks may move where a field is folded and where controls became blanks.
    private static func words(_ text: String?) -> [String] {
        HeaderWriter.words(HeaderWriter.withoutControls(text ?? ""))
    }

    private static func mailbox(_ octets: [UInt8]) {
        guard let address = try? EmailAddress(parsing: octets.span) else { return }
        do {
            let again = try EmailAddress(parsing: address.description)
            require(again == address, "\(address) is read back as \(again)")
        } catch {
            require(false, "\(address) cannot be read back: \(error)")
        }
        require(address.description.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F }, "a control character in an address")
    }

    private static func text(_ input: Input) {
        // Longer fields are cut where they are read.
        guard input.octets.count <= 4_096 else { return }
        let decoded = EncodedWord.decode(input.octets)
        require(Array(decoded.utf8) == EncodedWord.decodedOctets(input.octets), "the text and its octets differ")
        var writer = HeaderWriter(allowsUTF8: input.has(0))
        writer.unstructured("Subject", decoded)
        let again = EncodedWord.decode(value(of: writer))
        require(words(decoded) == words(again), "the text “\(decoded)” is read back as “\(again)”")
    }

    private static func date(_ octets: [UInt8]) {
        guard let date = MessageDate(parsing: octets) else { return }
        let written = date.description
        guard let again = MessageDate(parsing: written) else { return require(false, "the date \(written) cannot be read back") }
        require(again.date == date.date && again.offsetSeconds == date.offsetSeconds, "the date \(written) is read back as \(again)")
    }

    /// Names of mailboxes, and Base64, which have their own encodings.
    private static func names(_ octets: [UInt8]) {
        let text = String(decoding: octets, as: UTF8.self)
        require(ModifiedUTF7.decode(ModifiedUTF7.encode(text)) == text, "the mailbox “\(text)” isn't its own name")
        if let name = ModifiedUTF7.decode(text) { require(ModifiedUTF7.encode(name) == text, "two spellings of one mailbox") }
    }
}
