public import NIOCore

/// The trace field that a host puts in front of each message that it takes (RFC 5321 §4.4).
///
/// ```
/// Received: from client.gmail.test (mx1.gmail.test [192.0.2.1])
///  (using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256)
///  by mail.kartapuce.test (Postern) with ESMTPS id 7f3a
///  for <jack@kartapuce.test>; Mon, 23 Nov 2026 21:19:03 +0000
/// ```
public struct ReceivedField: Hashable, Sendable {
    /// What the client said in HELO, EHLO or LHLO.
    public var helo: String
    /// The client's name by DNS; `nil` where it has none that leads back to its address.
    public var clientName: String?
    /// The client's address as text, without brackets; `nil` where there is no network between.
    public var clientAddress: String?
    /// This host's name.
    public var by: String
    /// The program, in a comment; `nil` for none.
    public var software: String?
    /// The protocol, such as `ESMTPS` (RFC 3848);
    /// ``protocolName(isExtended:isLMTP:usesTLS:isAuthenticated:usesSMTPUTF8:)`` makes it.
    public var with: String
    /// What is worth saying about TLS, such as `using TLSv1.3 with cipher TLS_AES_128_GCM_SHA256`.
    public var tls: String?
    /// The identity under which this host knows the message.
    public var id: String?
    /// The recipient, where there is only one: two would tell one about the other (RFC 5321 §7.6).
    public var recipient: EmailAddress?
    /// When the message was taken.
    public var date: MessageDate

    /// Makes a field.
    public init(
        helo: String,
        clientName: String? = nil,
        clientAddress: String? = nil,
        by: String,
        software: String? = nil,
        with: String,
        tls: String? = nil,
        id: String? = nil,
        recipient: EmailAddress? = nil,
        date: MessageDate
    ) {
        self.helo = helo
        self.clientName = clientName
        self.clientAddress = clientAddress
        self.by = by
        self.software = software
        self.with = with
        self.tls = tls
        self.id = id
        self.recipient = recipient
        self.date = date
    }

    /// The protocol's name in the registry of mail transmission types: SMTP, ESMTPSA, UTF8SMTPS, LMTPS…
    /// (RFC 3848, RFC 6531 §4.3).
    public static func protocolName(
        isExtended: Bool = true,
        isLMTP: Bool = false,
        usesTLS: Bool = false,
        isAuthenticated: Bool = false,
        usesSMTPUTF8: Bool = false
    ) -> String {
        let suffix = (usesTLS ? "S" : "") + (isAuthenticated ? "A" : "")
        if isLMTP { return (usesSMTPUTF8 ? "UTF8LMTP" : "LMTP") + suffix }
        if usesSMTPUTF8 { return "UTF8SMTP" + suffix }
        return isExtended || !suffix.isEmpty ? "ESMTP" + suffix : "SMTP"
    }

    /// The field with its folds and its line end. What came from the peer cannot leave its place in it.
    public func serialized() -> ByteBuffer {
        var octets: [UInt8] = []
        octets.reserveCapacity(384)
        func write(_ text: String) {
            let text = text.utf8.span
            for place in text.indices { octets.append(text[place]) }
        }
        func write(_ before: String, _ text: String, _ after: String) {
            write(before)
            write(text)
            write(after)
        }
        write("Received: from ", ReceivedField.domain(helo), "")
        switch (clientName.map(ReceivedField.domain), clientAddress.map(ReceivedField.literal)) {
        case (let name?, let literal?): write(" (", name + " " + literal, ")")
        case (let only?, nil), (nil, let only?): write(" (", only, ")")
        case (nil, nil): break
        }
        if let tls { write("\r\n (", ReceivedField.comment(tls), ")") }
        write("\r\n by ", ReceivedField.domain(by), "")
        if let software { write(" (", ReceivedField.comment(software), ")") }
        write(" with ", ReceivedField.atom(with), "")
        if let id { write(" id ", ReceivedField.atom(id), "") }
        if let recipient { write("\r\n for <", HeaderWriter.withoutControls(recipient.description), ">") }
        write("; ", date.description, "\r\n")
        return ByteBuffer(bytes: octets)
    }

    /// An address literal (RFC 5321 §4.1.3).
    private static func literal(_ address: String) -> String {
        let text =
            address.utf8.allSatisfy(isAddressOctet)
            ? limited(address, 45) : limited(String(decoding: address.utf8.filter(isAddressOctet), as: UTF8.self), 45)
        return text.utf8.contains(UInt8(ascii: ":")) ? "[IPv6:\(text)]" : "[\(text)]"
    }

    private static func isAddressOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"), UInt8(ascii: "A")...UInt8(ascii: "F"),
            UInt8(ascii: ":"), UInt8(ascii: "."):
            true
        default: false
        }
    }

    private static func isDomainOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F: true
        default: false
        }
    }

    /// A domain or an address literal; what cannot stand in one becomes `_`, and nothing at all `unknown`.
    private static func domain(_ text: String) -> String {
        if !text.isEmpty, text.utf8.count <= EmailAddress.maximumDomainLength, text.utf8.allSatisfy(isDomainOctet) { return text }
        let clean = String(
            text.unicodeScalars.map { scalar -> Character in
                switch scalar.value {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x2D, 0x2E, 0x3A, 0x5B, 0x5D, 0x5F, 0xA1...0x1FFF,
                    0x2C00...:
                    Character(scalar)
                default: "_"
                }
            }
        )
        return clean.isEmpty ? "unknown" : limited(clean, EmailAddress.maximumDomainLength)
    }

    private static func atom(_ text: String) -> String {
        let isAllowed = { (octet: UInt8) in octet < 0x80 && (EmailAddress.isAtomText(octet) || octet == UInt8(ascii: ".")) }
        let clean = text.utf8.allSatisfy(isAllowed) ? text : String(decoding: text.utf8.filter(isAllowed), as: UTF8.self)
        return clean.isEmpty ? "unknown" : limited(clean, 128)
    }

    private static func comment(_ text: String) -> String {
        let text = HeaderWriter.withoutControls(text)
        let isAllowed = { (octet: UInt8) in octet != UInt8(ascii: "(") && octet != UInt8(ascii: ")") && octet != UInt8(ascii: "\\") }
        return limited(text.utf8.allSatisfy(isAllowed) ? text : String(decoding: text.utf8.filter(isAllowed), as: UTF8.self), 256)
    }

    private static func limited(_ text: String, _ octets: Int) -> String {
        guard text.utf8.count > octets else { return text }
        var result = String.UnicodeScalarView()
        var used = 0
        for scalar in text.unicodeScalars {
            used += UTF8.width(scalar)
            if used > octets { break }
            result.append(scalar)
        }
        return String(result)
    }
}
