/// A mailbox of a header field such as From, as it is written (RFC 5322 §3.4).
public struct HeaderMailbox: Hashable, Sendable {
    /// The display name without quotes, its encoded-words as they are written; `nil` where there is none. In the old
    /// form `bob@kartapuce.test (Bob)` it is the comment.
    public let writtenDisplayName: String?
    /// The old source route, `@a.test,@b.test` (RFC 5322 §4.4).
    public let route: String?
    /// The local part without quotes.
    public let localPart: String
    /// The domain as it is written; empty where there is none.
    public let domain: String

    /// Makes a mailbox.
    public init(writtenDisplayName: String?, route: String? = nil, localPart: String, domain: String) {
        self.writtenDisplayName = writtenDisplayName
        self.route = route
        self.localPart = localPart
        self.domain = domain
    }

    /// The display name with its encoded-words decoded (RFC 2047 §5).
    public var displayName: String? { writtenDisplayName.map { EncodedWord.decode($0) } }

    /// The address, where it is one that SMTP could carry (RFC 5321 §4.1.2).
    public var address: EmailAddress? {
        guard !localPart.isEmpty else { return nil }
        // The controls of ISO 8859 come out of broken octets; in an address they would be blanks to the next who reads it.
        guard HeaderWriter.withoutControls(localPart) == localPart, HeaderWriter.withoutControls(domain) == domain else { return nil }
        let quoted = EmailAddress(localPart: localPart, canonicalDomain: "").quotedLocalPart
        return EmailAddress("\(quoted)@\(domain)")
    }
}

/// The addresses of a header field: mailboxes and groups (RFC 5322 §3.4), read as leniently as mail programs do.
public struct AddressList: Hashable, Sendable {
    /// One entry.
    public enum Entry: Hashable, Sendable {
        /// One mailbox.
        case mailbox(HeaderMailbox)
        /// `name: members;`. Members are mailboxes.
        case group(name: String, members: [HeaderMailbox])
    }

    /// The entries in order.
    public let entries: [Entry]
    /// Whether the field follows the grammar of RFC 5322 §3.4 and §4.4.
    public let isWellFormed: Bool

    /// Makes a list.
    public init(entries: [Entry], isWellFormed: Bool = true) {
        self.entries = entries
        self.isWellFormed = isWellFormed
    }

    /// Reads a field's unfolded value.
    public init(parsing octets: [UInt8]) {
        var parser = AddressListParser(octets)
        parser.run()
        self.init(entries: parser.entries, isWellFormed: parser.isWellFormed)
    }

    /// The entries of a field's unfolded value, for who doesn't ask whether it is well formed: to judge addresses takes longer than to read
    /// them.
    package static func entries(of octets: [UInt8]) -> [Entry] {
        if let plain = PlainAddressList.entries(of: octets) { return plain }
        var parser = AddressListParser(octets, judgesAddresses: false)
        parser.run()
        return parser.entries
    }

    /// The mailbox of a field's unfolded value that has one alone and is written as nearly all are, `name <local@domain>` or `local@domain`,
    /// in printable ASCII: as the list would have it. `nil` for every other field, whether it can be read or not.
    package static func plainMailbox(of octets: [UInt8]) -> HeaderMailbox? { PlainAddressList.mailbox(of: octets) }

    /// Reads a text.
    public init(parsing text: some StringProtocol) { self.init(parsing: Array(text.utf8)) }

    /// All mailboxes, those of groups too.
    public var mailboxes: [HeaderMailbox] {
        entries.flatMap { entry in
            switch entry {
            case .mailbox(let mailbox): [mailbox]
            case .group(_, let members): members
            }
        }
    }

    /// Whether there are none.
    public var isEmpty: Bool { entries.isEmpty }
}

/// Reads `address-list` token by token; each octet is looked at once.
struct AddressListParser {
    /// The most mailboxes that are read from one field.
    static let limit = 10_000

    private enum Token {
        case word([UInt8], spaceBefore: Bool)
        case quoted([UInt8], spaceBefore: Bool)
        case special(UInt8)
        case literal([UInt8])
    }

    private var scanner: StructuredFieldScanner
    private(set) var entries: [AddressList.Entry] = []
    private(set) var isWellFormed = true
    private var group: (name: String, members: [HeaderMailbox])?
    private var count = 0

    private let judgesAddresses: Bool

    init(_ octets: [UInt8], judgesAddresses: Bool = true) {
        scanner = StructuredFieldScanner(octets)
        self.judgesAddresses = judgesAddresses
    }

    mutating func run() {
        var tokens = [Token]()
        scanner.lastComment = nil
        while count < AddressListParser.limit, let token = next() {
            guard case .special(let special) = token else {
                tokens.append(token)
                continue
            }
            switch special {
            case UInt8(ascii: ","):
                endBare(&tokens)
            case UInt8(ascii: ";"):
                endBare(&tokens)
                if group == nil { isWellFormed = false }
                endGroup()
            case UInt8(ascii: ":"):
                if group == nil {
                    group = (AddressListParser.phrase(tokens) ?? "", [])
                    if tokens.isEmpty { isWellFormed = false }
                } else {
                    isWellFormed = false
                }
                tokens = []
                scanner.lastComment = nil
            case UInt8(ascii: "<"):
                takeAngle(&tokens)
            default:
                tokens.append(token)
            }
        }
        endBare(&tokens)
        if group != nil { isWellFormed = false }
        endGroup()
    }

    private mutating func next() -> Token? {
        let spaceBefore = scanner.skipCFWS()
        guard let octet = scanner.peek else { return nil }
        switch octet {
        case UInt8(ascii: "\""):
            return scanner.quotedString().map { .quoted($0, spaceBefore: spaceBefore) }
        case UInt8(ascii: "["):
            return .literal(domainLiteral())
        case UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: ":"), UInt8(ascii: "<"), UInt8(ascii: ">"),
            UInt8(ascii: "@"):
            scanner.position += 1
            return .special(octet)
        default:
            return .word(word(), spaceBefore: spaceBefore)
        }
    }

    /// An atom with its dots; an encoded-word is one word whatever is in it.
    private mutating func word() -> [UInt8] {
        let start = scanner.position
        if let end = EncodedWord.end(scanner.octets, at: start) {
            scanner.position = end
        } else {
            scanner.position += 1
            while let octet = scanner.peek, !AddressListParser.endsWord(octet) { scanner.position += 1 }
        }
        return Array(scanner.octets[start..<scanner.position])
    }

    private static func endsWord(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "\""), UInt8(ascii: "["), UInt8(ascii: ","), UInt8(ascii: ";"), UInt8(ascii: ":"),
            UInt8(ascii: "<"),
            UInt8(ascii: ">"), UInt8(ascii: "@"), UInt8(ascii: "("), 0x20, 0x09, 0x0D, 0x0A:
            true
        default: false
        }
    }

    private mutating func domainLiteral() -> [UInt8] {
        let start = scanner.position
        while let octet = scanner.peek, octet != UInt8(ascii: "]"), octet != UInt8(ascii: ">"),
            octet != UInt8(ascii: ",")
        {
            scanner.position += 1
        }
        if scanner.peek == UInt8(ascii: "]") { scanner.position += 1 } else { isWellFormed = false }
        return scanner.octets[start..<scanner.position].filter { !$0.isBlank }
    }

    /// `[display-name] "<" [route ":"] addr-spec ">"`; the phrase and the `<` are read already.
    private mutating func takeAngle(_ phraseTokens: inout [Token]) {
        let name = AddressListParser.phrase(phraseTokens)
        if phraseTokens.contains(where: { if case .special = $0 { true } else { false } }) { isWellFormed = false }
        phraseTokens = []
        var tokens = [Token]()
        var route: String?
        var isClosed = false
        inside: while let token = next() {
            switch token {
            case .special(UInt8(ascii: ">")):
                isClosed = true
                break inside
            case .special(UInt8(ascii: ":")) where route == nil:
                route = AddressListParser.written(tokens)
                tokens = []
            case .special(UInt8(ascii: ",")) where AddressListParser.isRoute(tokens):
                tokens.append(token)
            case .special(UInt8(ascii: ",")), .special(UInt8(ascii: ";")):
                // The bracket is missing: the next address must not vanish into this one.
                scanner.position -= 1
                break inside
            case .special, .word, .quoted, .literal:
                tokens.append(token)
            }
        }
        if !isClosed { isWellFormed = false }
        add(tokens, name: name, route: route)
        // What follows up to the next comma belongs to nothing.
        let behind = scanner.position
        while let token = next() {
            if case .special(let special) = token, special == UInt8(ascii: ",") || special == UInt8(ascii: ";") {
                scanner.position -= 1
                break
            }
            if scanner.position > behind { isWellFormed = false }
        }
        scanner.lastComment = nil
    }

    private static func isRoute(_ tokens: [Token]) -> Bool {
        if case .special(UInt8(ascii: "@"))? = tokens.first { true } else if tokens.isEmpty { true } else { false }
    }

    /// Ends an address without angle brackets.
    private mutating func endBare(_ tokens: inout [Token]) {
        defer {
            tokens = []
            scanner.lastComment = nil
        }
        // Empty elements are allowed by RFC 5322 §4.4.
        guard !tokens.isEmpty else { return }
        add(tokens, name: scanner.lastComment.map { Charset.headerText($0) }, route: nil)
    }

    private mutating func endGroup() {
        if let group { entries.append(.group(name: group.name, members: group.members)) }
        group = nil
    }

    private mutating func add(_ tokens: [Token], name: String?, route: String?) {
        let at = tokens.lastIndex { if case .special(UInt8(ascii: "@")) = $0 { true } else { false } }
        let local = AddressListParser.written(tokens[..<(at ?? tokens.endIndex)])
        let domain = at.map { AddressListParser.written(tokens[($0 + 1)...]) } ?? ""
        let name = name.flatMap { $0.isEmpty ? nil : $0 }
        guard !local.isEmpty || !domain.isEmpty || name != nil else {
            isWellFormed = false
            return
        }
        let mailbox = HeaderMailbox(writtenDisplayName: name, route: route, localPart: local, domain: domain)
        if judgesAddresses, mailbox.address == nil { isWellFormed = false }
        count += 1
        if group != nil { group?.members.append(mailbox) } else { entries.append(.mailbox(mailbox)) }
    }

    /// Tokens without blanks between them: a local part, a domain, a route.
    private static func written(_ tokens: some Collection<Token>) -> String {
        var octets = [UInt8]()
        for token in tokens {
            switch token {
            case .word(let word, _), .quoted(let word, _), .literal(let word): octets += word
            case .special(let special): octets.append(special)
            }
        }
        return Charset.headerText(octets)
    }

    /// Words with one blank where there were some.
    private static func phrase(_ tokens: [Token]) -> String? {
        var octets = [UInt8]()
        for token in tokens {
            switch token {
            case .word(let word, let spaceBefore), .quoted(let word, let spaceBefore):
                if spaceBefore, !octets.isEmpty { octets.append(0x20) }
                octets += word
            case .special(let special): octets.append(special)
            case .literal(let literal): octets += literal
            }
        }
        return octets.isEmpty ? nil : Charset.headerText(octets)
    }
}
