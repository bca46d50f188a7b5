extension IMAPCursor {
    // MARK: - FETCH (RFC 9051 §6.4.5)

    mutating func fetchItems() throws(IMAPParseError) -> [FetchItem] {
        if peek == UInt8(ascii: "(") {
            let items = try list { cursor throws(IMAPParseError) in try cursor.fetchItem() }
            guard !items.isEmpty else { throw fail("a fetch item expected") }
            return items
        }
        let start = position
        switch try keyword("a fetch item") {
        case "ALL": return [.flags, .internalDate, .size, .envelope]
        case "FAST": return [.flags, .internalDate, .size]
        case "FULL": return [.flags, .internalDate, .size, .envelope, .body]
        default:
            position = start
            return [try fetchItem()]
        }
    }

    private mutating func fetchItem() throws(IMAPParseError) -> FetchItem {
        let start = position
        let whole = BodySection(path: [], content: .all)
        switch try keyword("a fetch item") {
        case "FLAGS": return .flags
        case "UID": return .uid
        case "INTERNALDATE": return .internalDate
        case "RFC822.SIZE": return .size
        case "ENVELOPE": return .envelope
        case "BODYSTRUCTURE": return .bodyStructure
        case "RFC822": return .section(whole, partial: nil, isPeek: false, name: "RFC822")
        case "RFC822.HEADER":
            return .section(BodySection(path: [], content: .header), partial: nil, isPeek: true, name: "RFC822.HEADER")
        case "RFC822.TEXT":
            return .section(BodySection(path: [], content: .text), partial: nil, isPeek: false, name: "RFC822.TEXT")
        case "BODY" where peek != UInt8(ascii: "["): return .body
        case "BODY": return try bodyItem(isPeek: false)
        case "BODY.PEEK": return try bodyItem(isPeek: true)
        case "BINARY": return try binaryItem(isPeek: false)
        case "BINARY.PEEK": return try binaryItem(isPeek: true)
        case "BINARY.SIZE": return .binarySize(path: try binaryPath())
        default: throw IMAPParseError(.unexpected, at: start, "a fetch item expected")
        }
    }

    private mutating func bodyItem(isPeek: Bool) throws(IMAPParseError) -> FetchItem {
        try expect("[")
        let section = try section()
        try expect("]")
        return try partial(of: section, isPeek: isPeek, name: "BODY[\(section.text)]")
    }

    private mutating func binaryItem(isPeek: Bool) throws(IMAPParseError) -> FetchItem {
        let section = BodySection(path: try binaryPath(), content: .binary)
        return try partial(of: section, isPeek: isPeek, name: "BINARY[\(section.text)]")
    }

    /// Part numbers alone, in brackets (RFC 9051 §9, `section-binary`).
    private mutating func binaryPath() throws(IMAPParseError) -> [Int] {
        try expect("[")
        var path: [Int] = []
        if peek != UInt8(ascii: "]") {
            repeat {
                guard path.count < limits.nestingDepth else { throw fail("at most \(limits.nestingDepth) part numbers expected", .tooLarge) }
                path.append(Int(try nonZero()))
            } while take(UInt8(ascii: "."))
        }
        try expect("]")
        return path
    }

    private mutating func partial(of section: BodySection, isPeek: Bool, name: String) throws(IMAPParseError) -> FetchItem {
        var name = name
        guard take(UInt8(ascii: "<")) else { return .section(section, partial: nil, isPeek: isPeek, name: name) }
        let first = try number()
        try expect(".")
        let partial = PartialRange(first: first, count: try nonZero())
        try expect(">")
        name += "<\(first)>"
        return .section(section, partial: partial, isPeek: isPeek, name: name)
    }

    private mutating func section() throws(IMAPParseError) -> BodySection {
        var path: [Int] = []
        while let octet = peek, (0x30...0x39).contains(octet) {
            guard path.count < limits.nestingDepth else { throw fail("at most \(limits.nestingDepth) part numbers expected", .tooLarge) }
            path.append(Int(try nonZero()))
            guard take(UInt8(ascii: ".")) else { return BodySection(path: path, content: .all) }
        }
        if path.isEmpty, peek == UInt8(ascii: "]") { return BodySection(path: [], content: .all) }
        let start = position
        switch try keyword("a section") {
        case "HEADER": return BodySection(path: path, content: .header)
        case "TEXT": return BodySection(path: path, content: .text)
        case "MIME" where !path.isEmpty: return BodySection(path: path, content: .mime)
        case "HEADER.FIELDS":
            try space()
            return BodySection(path: path, content: .headerFields(try fieldNames()))
        case "HEADER.FIELDS.NOT":
            try space()
            return BodySection(path: path, content: .headerFieldsNot(try fieldNames()))
        default: throw IMAPParseError(.unexpected, at: start, "a section expected")
        }
    }

    private mutating func fieldNames() throws(IMAPParseError) -> [String] {
        let names = try list { cursor throws(IMAPParseError) in try cursor.astring("a field name") }
        guard !names.isEmpty else { throw fail("a field name expected") }
        // They are repeated in the answer, which must not be cut in two by them.
        guard names.allSatisfy({ $0.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7f } }) else { throw fail("field names of ASCII expected") }
        return names
    }

    // MARK: - SEARCH (RFC 9051 §6.4.4)

    mutating func searchQuery() throws(IMAPParseError) -> SearchQuery {
        var returns: Set<SearchQuery.ReturnOption>?
        var start = position
        if let word = try? keyword("a key"), word == "RETURN" {
            try space()
            let options = try list { cursor throws(IMAPParseError) in
                guard let option = SearchQuery.ReturnOption(rawValue: try cursor.keyword("a return option")) else {
                    throw cursor.fail("a return option before this expected")
                }
                return option
            }
            // RFC 9051 §6.4.4: an empty list is ALL.
            returns = options.isEmpty ? [.all] : Set(options)
            try space()
        } else {
            position = start
        }
        start = position
        if let word = try? keyword("a key"), word == "CHARSET" {
            try space()
            let charsetStart = position
            guard ["UTF-8", "US-ASCII"].contains(try astring("a character set").uppercased()) else {
                throw IMAPParseError(.badCharset, at: charsetStart, "UTF-8 or US-ASCII expected")
            }
            try space()
        } else {
            position = start
        }
        var count = 0
        return SearchQuery(returns: returns, key: try keys(depth: 0, count: &count, inList: false))
    }

    private mutating func keys(depth: Int, count: inout Int, inList: Bool) throws(IMAPParseError) -> SearchKey {
        var keys: [SearchKey] = []
        repeat { keys.append(try key(depth: depth, count: &count)) } while take(0x20)
        if inList { try expect(")") }
        return keys.count == 1 ? keys[0] : .and(keys)
    }

    private mutating func key(depth: Int, count: inout Int) throws(IMAPParseError) -> SearchKey {
        count += 1
        guard count <= limits.listLength else { throw fail("at most \(limits.listLength) keys expected", .tooLarge) }
        guard depth < limits.nestingDepth else { throw fail("at most \(limits.nestingDepth) levels expected", .tooLarge) }
        switch peek {
        case UInt8(ascii: "(")?:
            position += 1
            return try keys(depth: depth + 1, count: &count, inList: true)
        case UInt8(ascii: "*")?, UInt8(ascii: "$")?, .some(0x30...0x39): return .sequence(try sequenceSet())
        default: break
        }
        let start = position
        let name = try keyword("a search key")
        if let simple = Self.simpleKeys[name] { return simple }
        guard Self.keysWithArguments.contains(name) else { throw IMAPParseError(.unexpected, at: start, "a search key expected") }
        try space()
        switch name {
        case "NOT": return .not(try key(depth: depth + 1, count: &count))
        case "OR":
            let first = try key(depth: depth + 1, count: &count)
            try space()
            return .or(first, try key(depth: depth + 1, count: &count))
        case "UID": return .uid(try sequenceSet())
        case "KEYWORD": return .flag(try atom("a keyword"), true)
        case "UNKEYWORD": return .flag(try atom("a keyword"), false)
        case "BEFORE": return .before(try day())
        case "ON": return .on(try day())
        case "SINCE": return .since(try day())
        case "SENTBEFORE": return .sentBefore(try day())
        case "SENTON": return .sentOn(try day())
        case "SENTSINCE": return .sentSince(try day())
        case "LARGER": return .larger(try number())
        case "SMALLER": return .smaller(try number())
        case "BODY": return .body(try astring())
        case "TEXT": return .text(try astring())
        case "HEADER":
            let field = try astring("a field name")
            try space()
            return .header(field, try astring())
        default: return .header(name.lowercased(), try astring())
        }
    }

    private static let simpleKeys: [String: SearchKey] = [
        "ALL": .all, "ANSWERED": .flag("\\Answered", true), "DELETED": .flag("\\Deleted", true), "DRAFT": .flag("\\Draft", true),
        "FLAGGED": .flag("\\Flagged", true), "SEEN": .flag("\\Seen", true), "UNANSWERED": .flag("\\Answered", false),
        "UNDELETED": .flag("\\Deleted", false), "UNDRAFT": .flag("\\Draft", false), "UNFLAGGED": .flag("\\Flagged", false),
        "UNSEEN": .flag("\\Seen", false), "NEW": .recent(true), "RECENT": .recent(true), "OLD": .recent(false),
    ]
    private static let keysWithArguments: Set<String> = [
        "NOT", "OR", "UID", "KEYWORD", "UNKEYWORD", "BEFORE", "ON", "SINCE", "SENTBEFORE", "SENTON", "SENTSINCE", "LARGER", "SMALLER",
        "BODY", "TEXT", "HEADER", "SUBJECT", "FROM", "TO", "CC", "BCC",
    ]

    private mutating func day() throws(IMAPParseError) -> Int {
        let start = position
        let text = peek == UInt8(ascii: "\"") ? String(decoding: try quoted(), as: UTF8.self) : try atom("a date")
        guard let day = IMAPDate.parseDay(text[...]) else {
            throw IMAPParseError(.outOfRange, at: start, "a date such as 1-Feb-2026 expected")
        }
        return day
    }
}

extension BodySection {
    /// As it stands between the brackets.
    var text: String {
        let number = path.map(String.init).joined(separator: ".")
        let word: String
        switch content {
        case .all, .binary: return number
        case .header: word = "HEADER"
        case .headerFields(let names): word = "HEADER.FIELDS (\(Self.written(names)))"
        case .headerFieldsNot(let names): word = "HEADER.FIELDS.NOT (\(Self.written(names)))"
        case .text: word = "TEXT"
        case .mime: word = "MIME"
        }
        return number.isEmpty ? word : number + "." + word
    }

    private static func written(_ names: [String]) -> String {
        names.map { !$0.isEmpty && $0.utf8.allSatisfy(IMAPCursor.isAtom) ? $0 : ResponseText.quoted($0) }.joined(separator: " ")
    }
}
