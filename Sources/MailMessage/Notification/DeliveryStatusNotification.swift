public import NIOCore

/// A delivery status notification: what a host tells the sender of a message about its recipients, for people and for
/// programs (RFC 3464, asked for by RFC 3461, in the frame of RFC 6522; UTF-8 addresses by RFC 6533).
///
/// It is sent with the null reverse-path, and never for a message that came with one (RFC 3464 §2, RFC 5321 §4.5.5):
/// that is for the caller to see to.
public struct DeliveryStatusNotification: Sendable {
    /// What is told: the `Action` of all recipients in the notification (RFC 3464 §2.3.3).
    public enum Kind: String, Hashable, Sendable, Codable {
        /// The message cannot be delivered, and nobody tries any more.
        case failed
        /// The message could not be delivered yet; it is tried again.
        case delayed
        /// The message is in the mailbox.
        case delivered
        /// The message was handed to a host that does not tell more.
        case relayed
        /// The message was handed to the members of a list.
        case expanded
    }

    /// What is told about one recipient (RFC 3464 §2.3).
    public struct PerRecipient: Sendable {
        /// The address as it was last used.
        public var finalRecipient: EmailAddress
        /// `ORCPT=` as `addr-type;address`, decoded from xtext (RFC 3461 §4.2).
        public var originalRecipient: String?
        /// The enhanced code.
        public var status: EnhancedStatusCode
        /// The name of the host that said so; `nil` where this host found out by itself.
        public var remoteMTA: String?
        /// What that host said, code and text, lines joined by blanks.
        public var diagnostic: String?
        /// When it was last tried.
        public var lastAttempt: MessageDate?
        /// Until when it will be tried; for `.delayed`.
        public var willRetryUntil: MessageDate?

        /// Makes an entry.
        public init(
            finalRecipient: EmailAddress,
            originalRecipient: String? = nil,
            status: EnhancedStatusCode,
            remoteMTA: String? = nil,
            diagnostic: String? = nil,
            lastAttempt: MessageDate? = nil,
            willRetryUntil: MessageDate? = nil
        ) {
            self.finalRecipient = finalRecipient
            self.originalRecipient = originalRecipient
            self.status = status
            self.remoteMTA = remoteMTA
            self.diagnostic = diagnostic
            self.lastAttempt = lastAttempt
            self.willRetryUntil = willRetryUntil
        }
    }

    /// What is told.
    public var kind: Kind
    /// The name of the host that tells it.
    public var reportingMTA: String
    /// When the message arrived at that host.
    public var arrival: MessageDate?
    /// `ENVID=` decoded from xtext (RFC 3461 §4.4).
    public var envelopeID: String?
    /// The recipients that it is about.
    public var recipients: [PerRecipient]
    /// The message, or the beginning of it with at least its header section; empty where nothing shall be returned.
    public var original: ByteBuffer
    /// Whether all of `original` is returned or its header section. Only failures return all (RFC 3461 §4.3).
    public var returns: DSNReturn
    /// The author of the notification.
    public var postmaster: EmailAddress
    /// The sender of the message.
    public var sender: EmailAddress
    /// The notification's Date.
    public var date: MessageDate
    /// The notification's Message-ID, with or without angle brackets.
    public var messageID: String
    /// Characters for the boundary, from a source of randomness; another is made of it where the original contains it.
    public var boundary: String

    /// Makes a notification.
    public init(
        kind: Kind,
        reportingMTA: String,
        arrival: MessageDate? = nil,
        envelopeID: String? = nil,
        recipients: [PerRecipient],
        original: ByteBuffer,
        returns: DSNReturn = .headers,
        from postmaster: EmailAddress,
        to sender: EmailAddress,
        date: MessageDate,
        messageID: String,
        boundary: String
    ) {
        self.kind = kind
        self.reportingMTA = reportingMTA
        self.arrival = arrival
        self.envelopeID = envelopeID
        self.recipients = recipients
        self.original = original
        self.returns = returns
        self.postmaster = postmaster
        self.sender = sender
        self.date = date
        self.messageID = messageID
        self.boundary = boundary
    }

    /// Whether the notification's own header needs SMTPUTF8 on its way (RFC 6531 §3.2).
    public var needsSMTPUTF8: Bool { !sender.isASCII || !postmaster.isASCII || !HeaderWriter.isASCII(reportingMTA) }

    /// Whether some recipient is written in UTF-8, so that the types of RFC 6533 are used.
    private var isInternational: Bool {
        recipients.contains { !$0.finalRecipient.isASCII || !HeaderWriter.isASCII($0.originalRecipient ?? "") }
    }

    /// The notification as a message, and how its body must travel: `.eightBitMIME` where an octet is over 127.
    public func message() -> (octets: ByteBuffer, bodyType: BodyType) {
        let octets = serialized()
        let isSevenBit = octets.octets(in: 0..<octets.readableBytes).allSatisfy { $0 < 0x80 }
        return (octets, isSevenBit ? .sevenBit : .eightBitMIME)
    }

    /// The notification as a message with CRLF line ends.
    public func serialized() -> ByteBuffer {
        let returned = ReturnedContent(original, all: returns == .full && kind == .failed)
        let boundary = returned.boundary(from: self.boundary)
        var header = HeaderWriter(allowsUTF8: needsSMTPUTF8)
        header.addresses("From", [HeaderMailbox(writtenDisplayName: "Mail Delivery System", postmaster)])
        header.addresses("To", [HeaderMailbox(writtenDisplayName: nil, sender)])
        header.unstructured("Subject", NotificationText.subject(kind))
        header.date("Date", date)
        header.structured("Message-ID", HeaderWriter.bracketed(messageID))
        // RFC 3834 §3.1.6. An identifier beyond ASCII must not turn the notification into a message that needs SMTPUTF8.
        if let originalID = returned.messageID, needsSMTPUTF8 || HeaderWriter.isASCII(originalID) {
            header.structured("In-Reply-To", originalID)
            header.structured("References", originalID)
        }
        // RFC 3834 §5: nobody answers this automatically.
        header.structured("Auto-Submitted", "auto-replied")
        header.structured("MIME-Version", "1.0")
        header.structured("Content-Type", "multipart/report; report-type=delivery-status; boundary=\"\(boundary)\"")
        header.endSection()
        var buffer = header.buffer
        buffer.writeString("This is a notification in MIME format.\r\n")
        writeText(&buffer, boundary)
        writeStatus(&buffer, boundary)
        returned.write(&buffer, boundary)
        buffer.writeString("\r\n--\(boundary)--\r\n")
        return buffer
    }

    private func writeText(_ buffer: inout ByteBuffer, _ boundary: String) {
        let text = NotificationText(self).text
        var fields = HeaderWriter()
        fields.structured("Content-Type", "text/plain; charset=utf-8")
        fields.structured("Content-Transfer-Encoding", HeaderWriter.isASCII(text) ? "7bit" : "8bit")
        fields.endSection()
        buffer.writeString("\r\n--\(boundary)\r\n")
        buffer.writeImmutableBuffer(fields.buffer)
        buffer.writeString(text)
    }

    /// The part for programs (RFC 3464 §2.1).
    private func writeStatus(_ buffer: inout ByteBuffer, _ boundary: String) {
        var status = HeaderWriter(allowsUTF8: isInternational)
        if let envelopeID { status.status("Original-Envelope-Id", envelopeID) }
        status.status("Reporting-MTA", "dns; \(reportingMTA)")
        if let arrival { status.date("Arrival-Date", arrival) }
        for recipient in recipients {
            status.endSection()
            if let original = recipient.originalRecipient { status.status("Original-Recipient", original) }
            let addressType = recipient.finalRecipient.isASCII ? "rfc822" : "utf-8"
            status.status("Final-Recipient", "\(addressType); \(recipient.finalRecipient)")
            status.status("Action", kind.rawValue)
            status.status("Status", recipient.status.description)
            if let remote = recipient.remoteMTA { status.status("Remote-MTA", "dns; \(remote)") }
            if let diagnostic = recipient.diagnostic { status.status("Diagnostic-Code", "smtp; \(diagnostic)") }
            if let last = recipient.lastAttempt { status.date("Last-Attempt-Date", last) }
            if kind == .delayed, let until = recipient.willRetryUntil { status.date("Will-Retry-Until", until) }
        }
        let body = status.buffer
        let isASCII = body.octets(in: 0..<body.readableBytes).allSatisfy { $0 < 0x80 }
        var fields = HeaderWriter()
        fields.structured(
            "Content-Type",
            isInternational ? "message/global-delivery-status" : "message/delivery-status"
        )
        // RFC 6533 §6.4: the international type is always 8bit.
        fields.structured("Content-Transfer-Encoding", isASCII && !isInternational ? "7bit" : "8bit")
        fields.endSection()
        buffer.writeString("\r\n--\(boundary)\r\n")
        buffer.writeImmutableBuffer(fields.buffer)
        buffer.writeImmutableBuffer(body)
    }
}

extension HeaderMailbox {
    /// The header's form of an address.
    public init(writtenDisplayName: String?, _ address: EmailAddress) {
        self.init(writtenDisplayName: writtenDisplayName, localPart: address.localPart, domain: address.domain)
    }
}

extension HeaderWriter {
    static func isASCII(_ text: String) -> Bool { text.utf8.allSatisfy { $0 < 0x80 } }

    static func bracketed(_ messageID: String) -> String { messageID.hasPrefix("<") ? messageID : "<\(messageID)>" }

    /// Fields of a delivery status are ASCII unless the part is of RFC 6533 §4: what a host said in another script is
    /// shown by `?`.
    mutating func status(_ name: String, _ value: String) {
        let limited = value.unicodeScalars.prefix(2000)
        let text =
            allowsUTF8
            ? String(String.UnicodeScalarView(limited)) : String(limited.map { $0.isASCII ? Character($0) : "?" })
        structured(name, text)
    }
}
