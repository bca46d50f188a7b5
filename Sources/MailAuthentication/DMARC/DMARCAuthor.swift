public import DNS
public import MailMessage
public import NIOCore

/// The Author Domain of a message: the one domain in its From field (RFC 9989 §3.2.2 and §5.3.1).
///
/// It must be the domain of the address that mail programs show. Where two of them could read a From field in two ways, or another From
/// field could be found in the header, there is no author, only a ``DMARCAuthorError`` that says why.
public struct DMARCAuthor: Sendable, Hashable, Codable {
    /// Something unusual that didn't hinder the reading.
    public enum Deviation: String, Sendable, Hashable, Codable, CaseIterable {
        /// The field doesn't follow RFC 5322 §3.4, but all readings give the same domain.
        case malformedAddress
        /// There are several addresses, all of one domain.
        case severalAddresses
        /// The address is in a group (RFC 6854 §2.1).
        case group
        /// An address has an obsolete route in front, which is to be ignored (RFC 5322 §4.4).
        case sourceRoute
        /// A display name or a comment looks like an address of another domain (RFC 9989 §11.4).
        case displayNameHasOtherAddress
        /// The domain was written with U-labels, or A-labels in place of what they stand for.
        case internationalizedDomain
    }

    /// The domain in A-labels (RFC 9989 §5.3.1).
    public let domain: DomainName
    /// The field as text without folds, at most 1000 characters of it; `nil` where the domain was given.
    public private(set) var writtenFrom: String?
    /// What is unusual.
    public private(set) var deviations: [Deviation]

    /// The most octets of a From field that is read.
    public static let fieldLimit = 64 * 1024

    /// Names an author's domain that is known from elsewhere.
    public init(domain: DomainName) {
        self.domain = domain
        writtenFrom = nil
        deviations = []
    }

    /// Finds the author of a message.
    /// - Parameter message: the message, or its header section.
    /// - Throws: ``DMARCAuthorError`` where there isn't exactly one domain that all mail programs would show.
    public init(message: ByteBuffer, limits: MessageLimits = MessageLimits()) throws(DMARCAuthorError) {
        try self.init(header: HeaderSection(parsing: message, limits: limits), of: message, limits: limits)
    }

    /// As ``init(message:limits:)``, for a header section that has been read already.
    /// - Parameters:
    ///   - header: the header section of the message.
    ///   - message: the message, or its header section: fields are looked for that `header` doesn't show.
    ///   - limits: those with which `header` was read.
    /// - Throws: ``DMARCAuthorError`` where there isn't exactly one domain that all mail programs would show.
    public init(header: HeaderSection, of message: ByteBuffer, limits: MessageLimits = MessageLimits()) throws(DMARCAuthorError) {
        guard !header.deviations.contains(where: { $0.code == .tooManyHeaderFields || $0.code == .headerSectionTooLarge }) else {
            throw DMARCAuthorError(.headerTooLarge)
        }
        let fields = header.all(named: "From")
        let visible = DMARCFromSearch.count(in: message, limit: limits.headerSectionOctets)
        guard let field = fields.first else { throw DMARCAuthorError(visible == 0 ? .noFrom : .hiddenFrom) }
        // RFC 5322 §3.6: at most one; RFC 9989 §4.4: no alignment for a message with more.
        guard fields.count == 1 else { throw DMARCAuthorError(.repeatedFrom(fields.count)) }
        guard visible <= 1 else { throw DMARCAuthorError(.hiddenFrom) }
        guard field.valueRange.count <= Self.fieldLimit else { throw DMARCAuthorError(.fieldTooLong) }
        try self.init(from: field.unfoldedOctets)
    }

    /// Reads the unfolded value of a From field.
    /// - Throws: ``DMARCAuthorError`` where it doesn't have exactly one domain.
    public init(from octets: [UInt8]) throws(DMARCAuthorError) {
        if let plain = Self.plain(octets) {
            self = plain
        } else {
            try self.init(parsing: octets)
        }
    }

    /// Reads a field with one address in the form that nearly all have. Whatever two programs could read in two ways is left to the reader of
    /// all forms, which would come to the same.
    static func plain(_ octets: [UInt8]) -> DMARCAuthor? {
        guard octets.count <= writtenLimit, let mailbox = AddressList.plainMailbox(of: octets), EmailAddress.isPlainLocalPart(mailbox.localPart),
            let domain = DomainName(plain: mailbox.domain), mailbox.localPart.utf8.count + mailbox.domain.utf8.count < EmailAddress.maximumLength
        else { return nil }
        var author = DMARCAuthor(domain: domain)
        author.writtenFrom = String(decoding: octets, as: UTF8.self)
        // Without these nothing in a name is an address, nor becomes one when it is decoded.
        if let name = mailbox.writtenDisplayName, name.utf8.contains(where: { $0 == UInt8(ascii: "@") || $0 == UInt8(ascii: "=") }),
            showsAnotherDomain(mailbox, than: domain)
        {
            author.deviations = [.displayNameHasOtherAddress]
        }
        return author
    }

    /// The most characters of ``writtenFrom``.
    private static let writtenLimit = 1000

    /// Reads a field in whatever form it is.
    init(parsing octets: [UInt8]) throws(DMARCAuthorError) {
        guard octets.count <= Self.fieldLimit else { throw DMARCAuthorError(.fieldTooLong) }
        guard octets.allSatisfy({ $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }) else { throw DMARCAuthorError(.controlCharacter) }
        let list = AddressList(parsing: octets)
        let scan = try DMARCAddressScan(octets)
        let mailboxes = list.mailboxes.filter { !$0.domain.isEmpty }
        var written = mailboxes.map(\.domain)
        if mailboxes.contains(where: { $0.localPart.isEmpty }) { throw DMARCAuthorError(.malformed) }
        if scan.isBroken {
            let literal = mailboxes.first { $0.domain.hasPrefix("[") && scan.domains.isEmpty }
            throw DMARCAuthorError(literal.map { .invalidDomain(String($0.domain.prefix(255))) } ?? .malformed)
        }
        // The list was read token by token; the scan has only looked for at signs. Where they disagree, so may mail programs: then each
        // domain that somebody could see counts.
        let routes = mailboxes.compactMap(\.route)
        let agrees = scan.domains.count == mailboxes.count + routes.reduce(0) { $0 + $1.utf8.count { $0 == UInt8(ascii: "@") } }
        if !agrees, written.isEmpty || scan.domains.isEmpty { throw DMARCAuthorError(.malformed) }
        if agrees, !routes.isEmpty {
            let seen = Set(scan.domains)
            guard written.allSatisfy(seen.contains) else { throw DMARCAuthorError(.malformed) }
        } else if agrees {
            written += scan.domains
        } else {
            // Some programs write a name that is an address between apostrophes, without quoting it.
            written += scan.domains.map { $0.hasSuffix("'") ? String($0.dropLast()) : $0 }
        }
        guard !written.isEmpty else { throw DMARCAuthorError(.noDomain) }
        var domains: [DomainName] = []
        for (place, text) in written.enumerated() {
            // Mostly both readings wrote the same.
            if place > 0, text == written[place - 1] { continue }
            guard let domain = try? DomainName(text) else { throw DMARCAuthorError(.invalidDomain(String(text.prefix(255)))) }
            if !domains.contains(domain) {
                // More are not worth a look: the message is refused as it is.
                guard domains.count < 16 else { break }
                domains.append(domain)
            }
        }
        guard let domain = domains.first, domains.count == 1 else { throw DMARCAuthorError(.severalDomains(domains)) }
        // In a field that breaks the grammar nobody knows where a program looks: in names, comments or encoded-words, too.
        let isPlain = list.isWellFormed && agrees && !scan.hasBackslash && !mailboxes.contains { Self.hasEncodedWord($0.localPart) }
        if !isPlain, Self.namesAnotherDomain(EncodedWord.decode(octets), than: domain) {
            throw DMARCAuthorError(.malformed)
        }
        self.domain = domain
        let text = String(validating: octets, as: UTF8.self) ?? String(decoding: octets.map { $0 < 0x80 ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
        writtenFrom = text.utf8.count <= Self.writtenLimit ? text : String(text.prefix(Self.writtenLimit))
        var deviations: Set<Deviation> = []
        if !isPlain { deviations.insert(.malformedAddress) }
        if mailboxes.count > 1 { deviations.insert(.severalAddresses) }
        if list.entries.contains(where: { if case .group = $0 { true } else { false } }) { deviations.insert(.group) }
        if !routes.isEmpty { deviations.insert(.sourceRoute) }
        if written.contains(where: { $0 != domain.ascii && $0.lowercased() != domain.ascii })
            || domain.labels.contains(where: { $0.utf8.starts(with: "xn--".utf8) })
        {
            deviations.insert(.internationalizedDomain)
        }
        if mailboxes.contains(where: { Self.showsAnotherDomain($0, than: domain) }) { deviations.insert(.displayNameHasOtherAddress) }
        self.deviations = deviations.isEmpty ? [] : Deviation.allCases.filter(deviations.contains)
    }

    /// Whether a display name, decoded, has an address of another domain in it, or the local part has.
    private static func showsAnotherDomain(_ mailbox: HeaderMailbox, than domain: DomainName) -> Bool {
        namesAnotherDomain(mailbox.displayName ?? "", than: domain) || namesAnotherDomain(mailbox.localPart, than: domain)
    }

    /// Whether an encoded-word may begin somewhere in a text.
    private static func hasEncodedWord(_ text: String) -> Bool {
        var previous: UInt8 = 0
        for octet in text.utf8 {
            if previous == UInt8(ascii: "="), octet == UInt8(ascii: "?") { return true }
            previous = octet
        }
        return false
    }

    /// Whether an at sign with another domain behind it stands in a text.
    private static func namesAnotherDomain(_ text: String, than domain: DomainName) -> Bool {
        guard text.utf8.contains(UInt8(ascii: "@")) else { return false }
        for part in text.split(separator: "@", omittingEmptySubsequences: false).dropFirst() {
            let name = part.prefix { $0.isLetter || $0.isNumber || $0 == "." || $0 == "-" || $0 == "_" }
            if name.contains("."), (try? DomainName(String(name.prefix(255)))) != domain { return true }
        }
        return false
    }
}

extension EmailAddress {
    /// Whether a text is a local part of ASCII that needs no quotes (RFC 5321 §4.1.2), and has no question mark, as encoded-words have.
    fileprivate static func isPlainLocalPart(_ text: String) -> Bool {
        let octets = text.utf8Span.span
        guard octets.count <= maximumLocalPartLength else { return false }
        var previous = UInt8(ascii: ".")
        for index in octets.indices {
            switch octets[index] {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "="): break
            case UInt8(ascii: "."): if previous == UInt8(ascii: ".") { return false }
            default: return false
            }
            previous = octets[index]
        }
        return previous != UInt8(ascii: ".")
    }
}

extension DomainName {
    /// A name of letters in lower case, digits and hyphens, none of which stands for other letters; `nil` for all others.
    fileprivate init?(plain text: String) {
        let octets = text.utf8Span.span
        for index in octets.indices {
            if octets[index] == UInt8(ascii: "_") { return nil }
            // Two hyphens in a row are those of A-labels mostly.
            if index > 0, octets[index] == UInt8(ascii: "-"), octets[index - 1] == UInt8(ascii: "-") { return nil }
        }
        self.init(final: octets)
    }
}

/// Why a message has no Author Domain; DMARC can't be applied to it (RFC 9989 §5.3.1).
public struct DMARCAuthorError: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: Hashable, Sendable, Codable {
        /// There is no From field.
        case noFrom
        /// There are several From fields: so many.
        case repeatedFrom(Int)
        /// Another From field can be seen by programs that read line ends, control characters or broken lines otherwise.
        case hiddenFrom
        /// The From field has a control character.
        case controlCharacter
        /// The From field has no address with a domain.
        case noDomain
        /// The From field has addresses of these domains.
        case severalDomains([DomainName])
        /// What stands for a domain is none, as an address literal.
        case invalidDomain(String)
        /// The From field doesn't follow RFC 5322 §3.4, and could be read in several ways.
        case malformed
        /// The From field is longer than what is read.
        case fieldTooLong
        /// The header section is larger than what is read, so that a From field may be missing.
        case headerTooLarge
    }

    /// What is wrong.
    public let code: Code

    init(_ code: Code) { self.code = code }

    /// Whether a domain can be read from the message, but another program might show another one: the form of an attack (RFC 9989 §11.5).
    public var isAmbiguous: Bool {
        switch code {
        case .repeatedFrom, .hiddenFrom, .controlCharacter, .severalDomains, .malformed, .fieldTooLong, .headerTooLarge: true
        case .noFrom, .noDomain, .invalidDomain: false
        }
    }

    public var description: String {
        switch code {
        case .noFrom: "the message has no From field (RFC 9989 §5.3.1, RFC 5322 §3.6)"
        case .repeatedFrom(let count): "the message has \(count) From fields (RFC 9989 §4.4, RFC 5322 §3.6)"
        case .hiddenFrom: "the header could be read as having another From field (RFC 9989 §11.5)"
        case .controlCharacter: "the From field has a control character (RFC 5322 §3.2.3)"
        case .noDomain: "the From field has no address with a domain (RFC 9989 §5.3.1)"
        case .severalDomains(let domains):
            "the From field has addresses of several domains: \(domains.map(\.ascii).joined(separator: ", ")) (RFC 9989 §5.3.1)"
        case .invalidDomain(let text): "“\(text)” in the From field is no domain (RFC 9989 §5.3.1)"
        case .malformed: "the From field could be read in several ways (RFC 9989 §4.4, RFC 5322 §3.4)"
        case .fieldTooLong: "the From field has more than \(DMARCAuthor.fieldLimit) octets"
        case .headerTooLarge: "the header section is too large to be sure of its From field"
        }
    }
}
