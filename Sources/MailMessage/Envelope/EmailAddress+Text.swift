extension EmailAddress: CustomStringConvertible, LosslessStringConvertible, Codable {
    /// The most octets of a local part as written (RFC 5321 §4.5.3.1.1).
    public static let maximumLocalPartLength = 64
    /// The most octets of a domain (RFC 5321 §4.5.3.1.2).
    public static let maximumDomainLength = 255
    /// The most octets of a mailbox: a path has 256 with its two brackets (RFC 5321 §4.5.3.1.3).
    public static let maximumLength = 254

    /// Reads a `Mailbox` strictly: `bob@kartapuce.test`, `"bob smith"@kartapuce.test`, `bob@[192.0.2.1]`
    /// (RFC 5321 §4.1.2; UTF-8 by RFC 6531 §3.3). No brackets, no display name, no comments.
    /// - Throws: ``AddressError`` with the offset in UTF-8 octets.
    public init(parsing text: some StringProtocol) throws(AddressError) {
        let octets = Array(text.utf8)
        try self.init(parsing: octets.span)
    }

    /// Reads a `Mailbox` strictly from octets (RFC 5321 §4.1.2).
    /// - Throws: ``AddressError`` with the offset in `octets`.
    public init(parsing octets: Span<UInt8>) throws(AddressError) {
        var position = 0
        let address = try EmailAddress.parse(octets, at: &position)
        guard position == octets.count else { throw AddressError(.trailingText, at: position) }
        self = address
    }

    /// `nil` where ``init(parsing:)`` throws.
    public init?(_ description: String) {
        guard let address = try? EmailAddress(parsing: description) else { return nil }
        self = address
    }

    /// Reads the mailbox that begins at `position` and leaves `position` behind it: for grammars in which something
    /// follows, such as the `>` of a path.
    /// - Throws: ``AddressError`` with the offset in `octets`; `position` is then where it was.
    public static func parse(_ octets: Span<UInt8>, at position: inout Int) throws(AddressError) -> EmailAddress {
        let start = max(0, position)
        var cursor = start
        let localPart = try parseLocalPart(octets, at: &cursor)
        guard cursor - start <= maximumLocalPartLength else { throw AddressError(.localPartTooLong, at: start) }
        guard cursor < octets.count, octets[cursor] == UInt8(ascii: "@") else {
            throw AddressError(.missingAtSign, at: cursor)
        }
        cursor += 1
        let domainStart = cursor
        if cursor < octets.count, octets[cursor] == UInt8(ascii: "[") {
            try skipAddressLiteral(octets, at: &cursor)
        } else {
            try skipDomain(octets, at: &cursor)
        }
        guard cursor - domainStart <= maximumDomainLength else { throw AddressError(.domainTooLong, at: domainStart) }
        guard cursor - start <= maximumLength else { throw AddressError(.pathTooLong, at: start) }
        guard let domain = text(octets.extracting(domainStart..<cursor)) else {
            throw AddressError(.invalidUTF8, at: domainStart)
        }
        position = cursor
        if octets[domainStart] == UInt8(ascii: "[") {
            return EmailAddress(localPart: localPart, literal: domain)
        }
        return EmailAddress(localPart: localPart, domain: domain)
    }

    /// Whether neither part has an octet over 127, so that it can be sent without SMTPUTF8 (RFC 6531 §3.2).
    public var isASCII: Bool { localPart.utf8.allSatisfy { $0 < 0x80 } && domain.utf8.allSatisfy { $0 < 0x80 } }

    /// The mailbox as RFC 5321 §4.1.2 writes it, the local part quoted where a dot-string cannot hold it.
    public var description: String { "\(quotedLocalPart)@\(domain)" }

    /// The local part as it is written in a path: quoted where a dot-string cannot hold it.
    public var quotedLocalPart: String {
        EmailAddress.isDotString(localPart) ? localPart : EmailAddress.quotedString(localPart)
    }

    /// A `quoted-string` (RFC 5322 §3.2.4, RFC 5321 §4.1.2).
    static func quotedString(_ text: String) -> String {
        var quoted = "\""
        for scalar in text.unicodeScalars {
            if scalar == "\"" || scalar == "\\" { quoted.unicodeScalars.append("\\") }
            quoted.unicodeScalars.append(scalar)
        }
        return quoted + "\""
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        do throws(AddressError) {
            self = try EmailAddress(parsing: text)
        } catch {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not an address: \(error)")
        }
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

extension EmailAddress {
    /// Keeps the tag's spelling: `[IPv6:…]` is how RFC 5321 §4.1.3 writes it, and the address in lower case.
    private init(localPart: String, literal: String) {
        let prefix = "[ipv6:"
        let lowered = literal.lowercased()
        self.init(
            localPart: localPart,
            canonicalDomain: lowered.hasPrefix(prefix) ? "[IPv6:" + lowered.dropFirst(prefix.count) : lowered
        )
    }

    static func isDotString(_ text: String) -> Bool {
        var previous = UInt8(ascii: ".")
        for octet in text.utf8 {
            if octet == UInt8(ascii: ".") {
                if previous == octet { return false }
            } else if !isAtomText(octet) {
                return false
            }
            previous = octet
        }
        return previous != UInt8(ascii: ".")
    }

    /// `atext` of RFC 5322 §3.2.3 with the `UTF8-non-ascii` of RFC 6531 §3.3.
    static func isAtomText(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "!"), UInt8(ascii: "#"), UInt8(ascii: "$"), UInt8(ascii: "%"), UInt8(ascii: "&"),
            UInt8(ascii: "'"),
            UInt8(ascii: "*"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"), UInt8(ascii: "="),
            UInt8(ascii: "?"),
            UInt8(ascii: "^"), UInt8(ascii: "_"), UInt8(ascii: "`"), UInt8(ascii: "{"), UInt8(ascii: "|"),
            UInt8(ascii: "}"),
            UInt8(ascii: "~"):
            true
        default: octet >= 0x80
        }
    }

    private static func text(_ octets: Span<UInt8>) -> String? {
        guard let validated = try? UTF8Span(validating: octets) else { return nil }
        return String(copying: validated)
    }

    private static func parseLocalPart(_ octets: Span<UInt8>, at position: inout Int) throws(AddressError) -> String {
        let start = position
        guard start < octets.count else { throw AddressError(.emptyLocalPart, at: start) }
        if octets[start] == UInt8(ascii: "\"") { return try parseQuotedString(octets, at: &position) }
        var atomIsEmpty = true
        scan: while position < octets.count {
            let octet = octets[position]
            if octet == UInt8(ascii: ".") {
                guard !atomIsEmpty else { throw AddressError(.emptyLocalPart, at: position) }
                atomIsEmpty = true
            } else if isAtomText(octet) {
                atomIsEmpty = false
            } else if octet == UInt8(ascii: "@") {
                break scan
            } else {
                throw AddressError(.invalidLocalPart, at: position)
            }
            position += 1
            // Ends the work on a text without `@` early.
            guard position - start <= maximumLocalPartLength else { throw AddressError(.localPartTooLong, at: start) }
        }
        guard !atomIsEmpty else { throw AddressError(.emptyLocalPart, at: position) }
        guard let localPart = text(octets.extracting(start..<position)) else {
            throw AddressError(.invalidUTF8, at: start)
        }
        return localPart
    }

    private static func parseQuotedString(_ octets: Span<UInt8>, at position: inout Int) throws(AddressError) -> String {
        let start = position
        var content = [UInt8]()
        position += 1
        while position < octets.count {
            let octet = octets[position]
            switch octet {
            case UInt8(ascii: "\""):
                position += 1
                guard let localPart = text(content.span) else { throw AddressError(.invalidUTF8, at: start) }
                return localPart
            case UInt8(ascii: "\\"):
                // quoted-pairSMTP = %d92 %d32-126
                guard position + 1 < octets.count, (32...126).contains(octets[position + 1]) else {
                    throw AddressError(.invalidQuotedString, at: position)
                }
                content.append(octets[position + 1])
                position += 2
            case 32...126, 0x80...:
                content.append(octet)
                position += 1
            default:
                throw AddressError(.invalidQuotedString, at: position)
            }
            guard position - start <= maximumLocalPartLength else { throw AddressError(.localPartTooLong, at: start) }
        }
        throw AddressError(.invalidQuotedString, at: position)
    }

    private static func skipDomain(_ octets: Span<UInt8>, at position: inout Int) throws(AddressError) {
        let start = position
        var labelStart = position
        scan: while position < octets.count {
            let octet = octets[position]
            switch octet {
            case UInt8(ascii: "."):
                try checkLabel(octets, labelStart..<position)
                labelStart = position + 1
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"),
                UInt8(ascii: "-"), 0x80...:
                break
            case UInt8(ascii: ">"), UInt8(ascii: " "), UInt8(ascii: ","), UInt8(ascii: ":"), UInt8(ascii: "\r"),
                UInt8(ascii: "\n"):
                // What may follow a mailbox in a path or a command; whether it does here is for the caller to say.
                break scan
            default:
                throw AddressError(.invalidDomain, at: position)
            }
            position += 1
            guard position - start <= maximumDomainLength else { throw AddressError(.domainTooLong, at: start) }
        }
        try checkLabel(octets, labelStart..<position)
    }

    private static func checkLabel(_ octets: Span<UInt8>, _ range: Range<Int>) throws(AddressError) {
        guard !range.isEmpty else { throw AddressError(.emptyDomain, at: range.lowerBound) }
        guard octets[range.lowerBound] != UInt8(ascii: "-") else {
            throw AddressError(.invalidDomain, at: range.lowerBound)
        }
        guard octets[range.upperBound - 1] != UInt8(ascii: "-") else {
            throw AddressError(.invalidDomain, at: range.upperBound - 1)
        }
        // A U-label's limit holds for its A-label, which IDNA knows; its UTF-8 may be longer.
        let isASCII = range.allSatisfy { octets[$0] < 0x80 }
        guard !isASCII || range.count <= 63 else { throw AddressError(.labelTooLong, at: range.lowerBound) }
    }

    private static func skipAddressLiteral(_ octets: Span<UInt8>, at position: inout Int) throws(AddressError) {
        let start = position
        position += 1
        let contentStart = position
        while position < octets.count, octets[position] != UInt8(ascii: "]") {
            position += 1
            // The longest literal, an IPv6 address with an IPv4 tail, has 52 octets.
            guard position - contentStart <= 64 else { throw AddressError(.invalidAddressLiteral, at: start) }
        }
        guard position < octets.count else { throw AddressError(.invalidAddressLiteral, at: position) }
        let content = octets.extracting(contentStart..<position)
        guard AddressLiteral.isValid(content) else { throw AddressError(.invalidAddressLiteral, at: contentStart) }
        position += 1
    }
}

extension EmailAddress {
    /// The address with its local part in lower case too: the form in which our own users' addresses are kept. Other organisations' may differ in case
    /// (RFC 5321 §2.4).
    public var lowercased: EmailAddress { EmailAddress(localPart: localPart.lowercased(), domain: domain) }
}
