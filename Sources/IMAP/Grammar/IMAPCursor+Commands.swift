import FoundationEssentials
import SASL

extension IMAPCursor {
    mutating func tag() throws(IMAPParseError) -> String {
        let tag = try run("a tag") { (Self.isAtom($0) || $0 == UInt8(ascii: "]")) && $0 != UInt8(ascii: "+") }
        guard tag.utf8.count <= 256 else { throw IMAPParseError(.tooLarge, at: 0, "a tag of at most 256 octets expected") }
        return tag
    }

    /// A command behind its tag and the space (RFC 9051 §9).
    mutating func command() throws(IMAPParseError) -> IMAPCommand {
        let start = position
        let name = try keyword("a command")
        let command = try command(name, at: start)
        try end()
        return command
    }

    private mutating func command(_ name: String, at start: Int) throws(IMAPParseError) -> IMAPCommand {
        switch name {
        case "CAPABILITY": return .capability
        case "NOOP": return .noop
        case "LOGOUT": return .logout
        case "STARTTLS": return .startTLS
        case "CHECK": return .check
        case "CLOSE": return .close
        case "UNSELECT": return .unselect
        case "EXPUNGE": return .expunge
        case "NAMESPACE": return .namespace
        case "IDLE": return .idle
        default: break
        }
        guard Self.withArguments.contains(name) else { throw IMAPParseError(.unknownCommand, at: start, "a command expected") }
        try space()
        switch name {
        case "ID": return try id()
        case "LOGIN":
            let user = try astring("a user name")
            try space()
            return .login(user: user, password: try astring("a password"))
        case "AUTHENTICATE": return try authenticate()
        case "ENABLE": return try enable()
        case "SELECT": return .select(try mailbox())
        case "EXAMINE": return .examine(try mailbox())
        case "CREATE": return try create()
        case "DELETE": return .delete(try mailbox())
        case "RENAME":
            let name = try mailbox()
            try space()
            return .rename(name, to: try mailbox())
        case "SUBSCRIBE": return .subscribe(try mailbox())
        case "UNSUBSCRIBE": return .unsubscribe(try mailbox())
        case "LIST": return .list(try listQuery())
        case "LSUB":
            let reference = try mailbox()
            try space()
            return .lsub(reference: reference, pattern: try pattern())
        case "STATUS":
            let name = try mailbox()
            try space()
            return .status(name, try statusItems())
        case "UID": return try uidCommand()
        default: return try messageCommand(name, isUID: false, at: start)
        }
    }

    private static let withArguments: Set<String> = [
        "ID", "LOGIN", "AUTHENTICATE", "ENABLE", "SELECT", "EXAMINE", "CREATE", "DELETE", "RENAME", "SUBSCRIBE", "UNSUBSCRIBE", "LIST",
        "LSUB", "STATUS", "UID", "SEARCH", "FETCH", "STORE", "COPY", "MOVE",
    ]

    private mutating func uidCommand() throws(IMAPParseError) -> IMAPCommand {
        let start = position
        let name = try keyword("a command")
        try space()
        if name == "EXPUNGE" { return .uidExpunge(try sequenceSet()) }
        return try messageCommand(name, isUID: true, at: start)
    }

    private mutating func messageCommand(_ name: String, isUID: Bool, at start: Int) throws(IMAPParseError) -> IMAPCommand {
        switch name {
        case "SEARCH": return .search(try searchQuery(), isUID: isUID)
        case "FETCH":
            let set = try sequenceSet()
            try space()
            return .fetch(set, try fetchItems(), isUID: isUID)
        case "STORE":
            let set = try sequenceSet()
            try space()
            return .store(set, try storeChange(), isUID: isUID)
        case "COPY", "MOVE":
            let set = try sequenceSet()
            try space()
            let target = try mailbox()
            return name == "COPY" ? .copy(set, to: target, isUID: isUID) : .move(set, to: target, isUID: isUID)
        default: throw IMAPParseError(.unknownCommand, at: start, "a command expected")
        }
    }

    private mutating func id() throws(IMAPParseError) -> IMAPCommand {
        if peek != UInt8(ascii: "(") {
            guard try keyword("NIL") == "NIL" else { throw fail("NIL or a list expected") }
            return .id
        }
        _ = try list { cursor throws(IMAPParseError) in
            if cursor.peek == UInt8(ascii: "\"") || cursor.peek == UInt8(ascii: "{") { _ = try cursor.string() } else { _ = try cursor.atom() }
        }
        return .id
    }

    private mutating func authenticate() throws(IMAPParseError) -> IMAPCommand {
        let mechanism = try atom("a mechanism").uppercased()
        guard !isAtEnd else { return .authenticate(mechanism: mechanism, initialResponse: nil) }
        try space()
        let start = position
        let text = try run("Base64") { $0 > 0x20 && $0 < 0x7f }
        // RFC 4959 §3: an empty response is written as “=”.
        guard let response = text == "=" ? [] : Base64.decode(text) else {
            throw IMAPParseError(.badEncoding, at: start, "Base64 expected")
        }
        return .authenticate(mechanism: mechanism, initialResponse: response)
    }

    private mutating func enable() throws(IMAPParseError) -> IMAPCommand {
        var names = [try atom("a capability").uppercased()]
        while take(0x20) {
            guard names.count < 64 else { throw fail("at most 64 capabilities expected", .tooLarge) }
            names.append(try atom("a capability").uppercased())
        }
        return .enable(names)
    }

    /// RFC 6154 §3: `CREATE name (USE (\Archive))`.
    private mutating func create() throws(IMAPParseError) -> IMAPCommand {
        let name = try mailbox()
        guard take(0x20) else { return .create(name, specialUse: nil) }
        try expect("(")
        guard try keyword("USE") == "USE" else { throw fail("USE expected") }
        try space()
        let uses = try list { cursor throws(IMAPParseError) in try cursor.flag() }
        try expect(")")
        guard uses.count <= 1 else { throw fail("one use expected", .tooLarge) }
        return .create(name, specialUse: uses.first.map { String($0.drop { $0 == "\\" }) })
    }

    private mutating func listQuery() throws(IMAPParseError) -> ListQuery {
        var query = ListQuery(reference: "", patterns: [])
        if peek == UInt8(ascii: "(") {
            let options = try list { cursor throws(IMAPParseError) in try cursor.keyword("an option") }
            for option in options {
                switch option {
                case "SUBSCRIBED": query.onlySubscribed = true
                case "SPECIAL-USE": query.onlySpecialUse = true
                case "RECURSIVEMATCH": query.isRecursive = true
                case "REMOTE": break
                default: throw fail("a selection option before this expected")
                }
            }
            // RFC 9051 §6.3.9.1
            guard !query.isRecursive || query.onlySubscribed else { throw fail("RECURSIVEMATCH with SUBSCRIBED expected") }
            try space()
        }
        query.reference = try mailbox()
        try space()
        query.patterns = peek == UInt8(ascii: "(") ? try list { cursor throws(IMAPParseError) in try cursor.pattern() } : [try pattern()]
        guard query.patterns.count <= 64 else { throw fail("at most 64 patterns expected", .tooLarge) }
        guard take(0x20) else { return query }
        guard try keyword("RETURN") == "RETURN" else { throw fail("RETURN expected") }
        try space()
        var status: [StatusItem] = []
        _ = try list { cursor throws(IMAPParseError) in
            switch try cursor.keyword("a return option") {
            case "SUBSCRIBED", "CHILDREN", "SPECIAL-USE": break
            case "STATUS":
                try cursor.space()
                status = try cursor.statusItems()
            default: throw cursor.fail("a return option expected")
            }
        }
        query.status = status
        return query
    }

    mutating func statusItems() throws(IMAPParseError) -> [StatusItem] {
        let items = try list { cursor throws(IMAPParseError) in
            guard let item = StatusItem(rawValue: try cursor.keyword("a status item")) else {
                throw cursor.fail("a status item before this expected")
            }
            return item
        }
        guard !items.isEmpty else { throw fail("a status item expected") }
        return items
    }

    private mutating func storeChange() throws(IMAPParseError) -> StoreChange {
        var operation = StoreChange.Operation.replace
        if take(UInt8(ascii: "+")) { operation = .add } else if take(UInt8(ascii: "-")) { operation = .remove }
        let name = try keyword("FLAGS")
        guard name == "FLAGS" || name == "FLAGS.SILENT" else { throw fail("FLAGS before this expected") }
        try space()
        var flags: [String] = []
        if peek == UInt8(ascii: "(") {
            flags = try list { cursor throws(IMAPParseError) in try cursor.flag() }
        } else {
            repeat { flags.append(try flag()) } while flags.count < limits.listLength && take(0x20)
        }
        return StoreChange(operation: operation, flags: flags, isSilent: name.hasSuffix("SILENT"))
    }

    /// The whole of `tag APPEND …{n}` up to the literal of the message, whose `}` ends the octets; `nil` when this is no APPEND, or when
    /// the literal is its mailbox name.
    mutating func appendRequest() throws(IMAPParseError) -> AppendRequest? {
        guard let tag = try? tag(), take(0x20), let name = try? keyword("a command"), name == "APPEND" else { return nil }
        try space()
        if peek == UInt8(ascii: "{") {
            var ahead = self
            _ = try ahead.literalHeader()
            if ahead.isAtEnd { return nil }
        }
        let mailbox = try mailbox()
        try space()
        var request = AppendRequest(
            tag: tag, mailbox: mailbox, flags: [], internalDate: nil, length: 0, isSynchronising: true, hasClosingParenthesis: false)
        if peek == UInt8(ascii: "(") {
            request.flags = try list { cursor throws(IMAPParseError) in try cursor.flag() }
            try space()
        }
        if peek == UInt8(ascii: "\"") {
            let start = position
            guard let date = IMAPDate.parseMoment(String(decoding: try quoted(), as: UTF8.self)) else {
                throw IMAPParseError(.outOfRange, at: start, "a date and time (RFC 9051 §9) expected")
            }
            request.internalDate = date
            try space()
        }
        if peek == UInt8(ascii: "U") || peek == UInt8(ascii: "u") {
            guard try keyword("UTF8") == "UTF8" else { throw fail("UTF8 expected") }
            try space()
            try expect("(")
            request.hasClosingParenthesis = true
        }
        (request.length, request.isSynchronising) = try literalHeader()
        try end()
        return request
    }
}
