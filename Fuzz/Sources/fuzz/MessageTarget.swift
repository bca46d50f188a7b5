import FoundationEssentials
import NIOCore

@testable import IMAP
@testable import MailMessage

/// A whole message: every part and field is visited, the limits hold, and what FETCH writes of it can be read by a client.
enum MessageTarget {
    static func run(_ data: [UInt8]) {
        let input = Input(data)
        let octets = ByteBuffer(bytes: input.octets)
        var limits = MessageLimits()
        if input.has(0) { limits = MessageLimits(headerFieldCount: 8, headerSectionOctets: 400, headerLineOctets: 80, partDepth: 3, partCount: 9) }
        let message = Message(parsing: octets, limits: limits)
        require(message.octets == octets, "the message has other octets")
        visit(message, limits)
        visitFields(message.header, octets)
        _ = message.subject
        _ = message.messageID
        _ = message.inReplyTo
        _ = message.references
        _ = message.date?.description
        for addresses in [message.from, message.sender, message.replyTo, message.to, message.cc, message.bcc] { _ = addresses.mailboxes.map(\.address) }
        fetch(input, octets)
        summarise(octets)
        notify(octets, all: input.has(1))
    }

    private static func visit(_ message: Message, _ limits: MessageLimits) {
        let parts = message.allParts
        require(parts.count <= limits.partCount, "\(parts.count) parts")
        require(message.deviations.count <= 10_000, "\(message.deviations.count) deviations")
        var visited = 0
        var waiting = [(part: message.root, depth: 0, path: [Int]())]
        while let (part, depth, path) = waiting.popLast() {
            visited += 1
            require(depth <= limits.partDepth, "a part at depth \(depth)")
            require(part.headerRange.upperBound <= part.bodyRange.lowerBound, "the body begins within the header")
            require(part.bodyRange.upperBound <= message.octets.readableBytes, "the body ends behind the message")
            require(part.header.count <= limits.headerFieldCount, "\(part.header.count) fields")
            var end = part.bodyRange.lowerBound
            for (index, child) in part.children.enumerated() {
                require(child.headerRange.lowerBound >= end, "a part overlaps the one before it")
                require(child.bodyRange.upperBound <= part.bodyRange.upperBound, "a part is longer than the one around it")
                end = child.bodyRange.upperBound
                waiting.append((child, depth + 1, path + [index + 1]))
            }
            require(part.lineCount <= part.octetCount, "more lines than octets")
            _ = part.contentType
            _ = part.contentDisposition
            _ = part.contentLanguages
            _ = part.filename
            let decoded = part.decodedBody()
            // The encodings only make text shorter, but for the line ends that uuencode's and quoted-printable's lines get.
            require(decoded.octets.readableBytes <= 2 * part.octetCount + 2, "\(decoded.octets.readableBytes) octets decoded of \(part.octetCount)")
            if part.children.isEmpty { _ = part.text() }
        }
        require(visited == parts.count, "\(visited) of \(parts.count) parts can be reached")
    }

    private static func visitFields(_ header: HeaderSection, _ message: ByteBuffer) {
        var end = 0
        for field in header {
            require(field.range.lowerBound >= end && field.range.upperBound <= message.readableBytes, "a field at \(field.range)")
            require(field.valueRange.upperBound <= field.range.upperBound, "a value behind its field")
            end = field.range.upperBound
            let unfolded = field.unfoldedOctets
            require(!unfolded.contains(0x0A), "a line feed in an unfolded value")
            _ = field.decodedText
            require(header.first(named: field.name) != nil, "a field cannot be found by its name")
        }
    }

    /// What FETCH writes is read by the client's half of the library.
    private static func fetch(_ input: Input, _ octets: ByteBuffer) {
        let message = IMAPMessage(
            sequenceNumber: 1, uid: 7, flags: ["\\Seen"], internalDate: Date(timeIntervalSince1970: 0), size: octets.readableBytes, content: octets)
        let sections = [
            BodySection(path: [], content: .all), BodySection(path: [], content: .header), BodySection(path: [1], content: .all),
            BodySection(path: [1, 1], content: .mime), BodySection(path: [2], content: .binary), BodySection(path: [], content: .text),
            BodySection(path: [1], content: .headerFieldsNot(["Received"])), BodySection(path: [], content: .headerFields(["Subject", "From"])),
        ]
        var items: [FetchItem] = [.envelope, .body, .bodyStructure, .size, .internalDate, .flags, .binarySize(path: [1])]
        for (index, section) in sections.enumerated() {
            items.append(.section(section, partial: index == 0 ? PartialRange(first: 3, count: 50) : nil, isPeek: true, name: "BODY[\(index)]"))
        }
        var answer = ByteBuffer()
        message.writeFetch(items, includesUID: true, into: &answer)
        var reader = IMAPResponseReader()
        reader.receive(answer)
        // A message may nest deeper than our own client follows.
        var limits = IMAPClientLimits()
        limits.nestingDepth = 1_000
        do {
            guard let text = try reader.next() else { return require(false, "FETCH wrote no whole response") }
            require(try reader.next() == nil, "FETCH wrote more than one response")
            guard case .fetch(let read) = try IMAPServerResponse(parsing: text, limits: limits) else { return require(false, "FETCH wrote something else") }
            require(read.uid == 7 && read.size == octets.readableBytes, "FETCH's answer is read otherwise")
        } catch {
            require(false, "FETCH's answer can't be read: \(error)")
        }
        let context = SearchContext(lastSequenceNumber: 1, lastUID: 7, saved: [])
        for key in [SearchKey.text("a=?"), .header("subject", ""), .body("x"), .sentSince(3)] { _ = message.matches(key, in: context) }
    }

    /// What is kept of a header answers as the whole message does, and its beginning has the same summary wherever the header's end is in it.
    private static func summarise(_ octets: ByteBuffer) {
        guard let summary = HeaderSummary.octets(of: octets, isWhole: true) else { return }
        for length in [octets.readableBytes / 2, octets.readableBytes - 1] where length > 0 {
            guard let beginning = octets.getSlice(at: octets.readerIndex, length: length) else { continue }
            let early = HeaderSummary.octets(of: beginning, isWhole: false)
            require(early == nil || early == summary, "the summary of the first \(length) octets is another one")
        }
        let (whole, kept) = (message(octets), message(summary))
        let items: [FetchItem] = [
            .envelope,
            .section(BodySection(path: [], content: .headerFields(["Subject", "FROM", "to"])), partial: nil, isPeek: true, name: "BODY[1]"),
            .section(BodySection(path: [], content: .headerFields(["Date"])), partial: PartialRange(first: 3, count: 9), isPeek: true, name: "BODY[2]"),
        ]
        var (expected, found) = (ByteBuffer(), ByteBuffer())
        whole.writeFetch(items, includesUID: false, into: &expected)
        kept.writeFetch(items, includesUID: false, into: &found)
        require(expected == found, "the summary answers\n\(String(buffer: found))\n----\n\(String(buffer: expected))")
        let context = SearchContext(lastSequenceNumber: 1, lastUID: 7, saved: [])
        for key in [SearchKey.header("subject", ""), .header("To", "a"), .header("from", "\u{e9}"), .sentSince(3), .sentBefore(20_000)] {
            require(whole.matches(key, in: context) == kept.matches(key, in: context), "the summary answers otherwise to \(key)")
        }
    }

    private static func message(_ content: ByteBuffer) -> IMAPMessage {
        IMAPMessage(
            sequenceNumber: 1, uid: 7, flags: [], internalDate: Date(timeIntervalSince1970: 0), size: content.readableBytes, content: content)
    }

    /// A notification about the message is a message whose third part returns it.
    private static func notify(_ octets: ByteBuffer, all: Bool) {
        let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
        let postmaster = EmailAddress(localPart: "postmaster", domain: "kartapuce.test")
        let date = MessageDate(Date(timeIntervalSince1970: 0))
        let notification = DeliveryStatusNotification(
            kind: .failed, reportingMTA: "mail.kartapuce.test", arrival: date, envelopeID: nil,
            recipients: [
                .init(
                    finalRecipient: bob, originalRecipient: nil, status: EnhancedStatusCode(5, 1, 1), remoteMTA: "mx.gmail.test",
                    diagnostic: String(decoding: octets.readableBytesView.prefix(300), as: UTF8.self), lastAttempt: date, willRetryUntil: nil)
            ],
            original: octets, returns: all ? .full : .headers, from: postmaster, to: bob, date: date, messageID: "<1@kartapuce.test>",
            boundary: "boundary")
        let written = notification.serialized()
        let report = Message(parsing: written)
        // Of a message without fields nothing can be returned.
        require((2...3).contains(report.root.children.count), "a notification of \(report.root.children.count) parts")
        require(report.header.deviations.isEmpty, "a notification whose header deviates: \(report.header.deviations)")
    }
}
