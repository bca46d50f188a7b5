import NIOCore

extension IMAPServerResponse {
    /// Reads a response.
    /// - Throws: when it breaks the grammar where a client depends on it. What a client may leave unread is ``other(_:)``.
    public init(parsing response: IMAPResponseText, limits: IMAPClientLimits = IMAPClientLimits()) throws(IMAPResponseError) {
        var cursor = IMAPResponseCursor(response, limits: limits)
        if cursor.take(UInt8(ascii: "+")) {
            _ = cursor.take(0x20)
            self = .continuation(cursor.rest())
            return
        }
        let tag = try cursor.word()
        try cursor.space()
        let word = try cursor.word()
        guard tag == "*" else {
            guard let condition = IMAPServerStatus.Condition(rawValue: word.uppercased()), [.ok, .no, .bad].contains(condition) else {
                throw cursor.fail("OK, NO or BAD")
            }
            let said = cursor.statusText()
            self = .completion(tag: tag, IMAPServerStatus(condition, code: said.code, text: said.text))
            return
        }
        if let number = IMAPValue.atom(word).number {
            self = try Self.numbered(number, &cursor)
        } else {
            self = try Self.named(word.uppercased(), &cursor)
        }
    }

    private static func numbered(_ number: UInt64, _ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> IMAPServerResponse {
        guard number <= UInt32.max else { throw cursor.fail("a number of 32 bits") }
        try cursor.space()
        let name = try cursor.word().uppercased()
        switch name {
        case "EXISTS": return .exists(Int(number))
        case "EXPUNGE": return .expunge(Int(number))
        case "FETCH":
            try cursor.space()
            return .fetch(try message(Int(number), &cursor))
        default: return .other(name)
        }
    }

    private static func message(_ number: Int, _ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> IMAPServerMessage {
        guard let items = try cursor.value().elements else { throw cursor.fail("a list of items") }
        var message = IMAPServerMessage(sequenceNumber: number)
        var index = 0
        while index + 1 < items.count {
            let (name, value) = (items[index].text?.uppercased() ?? "", items[index + 1])
            index += 2
            switch name {
            case "UID":
                guard let uid = value.number.flatMap({ UInt32(exactly: $0) }), uid > 0 else { throw cursor.fail("a UID") }
                message.uid = uid
            case "FLAGS": message.flags = Set((value.elements ?? []).compactMap { $0.text?.lowercased() })
            case "RFC822.SIZE": message.size = value.number.flatMap { Int(exactly: $0) }
            case "INTERNALDATE": message.internalDate = value.text
            default:
                guard name.hasPrefix("BODY["), let end = name.lastIndex(of: "]") else { continue }
                let section = String(name[name.index(name.startIndex, offsetBy: 5)..<end])
                switch value {
                case .string(let octets): message.sections[section] = octets
                case .atom, .list, .none: break
                }
            }
        }
        return message
    }

    private static func named(_ name: String, _ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> IMAPServerResponse {
        if let condition = IMAPServerStatus.Condition(rawValue: name) {
            let said = cursor.statusText()
            return .status(IMAPServerStatus(condition, code: said.code, text: said.text))
        }
        switch name {
        case "CAPABILITY": return .capability(cursor.rest().uppercased().split(separator: " ").map(String.init))
        case "LIST":
            try cursor.space()
            return .mailbox(try listing(&cursor))
        case "STATUS":
            try cursor.space()
            return try status(&cursor)
        case "SEARCH":
            var numbers: [UInt32] = []
            for word in cursor.rest().split(separator: " ") {
                // `(MODSEQ n)` may follow (RFC 7162 §3.1.5).
                if word.hasPrefix("(") { break }
                guard let number = UInt32(word), number > 0 else { throw cursor.fail("a number above zero") }
                numbers.append(number)
            }
            return .search(numbers)
        case "ESEARCH": return .search(try extendedSearch(&cursor))
        default: return .other(name)
        }
    }

    private static func listing(_ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> IMAPServerMailbox {
        guard let attributes = try cursor.value().elements else { throw cursor.fail("a list of attributes") }
        try cursor.space()
        let delimiter = try cursor.value()
        try cursor.space()
        return IMAPServerMailbox(
            name: try mailboxName(&cursor), attributes: Set(attributes.compactMap { $0.text?.lowercased() }), delimiter: delimiter.text?.first)
    }

    /// A name in modified UTF-7 (RFC 3501 §5.1.3); one that is none is taken as it is, so that it can at least be shown.
    private static func mailboxName(_ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> String {
        guard let written = try cursor.value().text else { throw cursor.fail("a mailbox name") }
        if written.uppercased() == "INBOX" { return "INBOX" }
        return ModifiedUTF7.decode(written) ?? written
    }

    private static func status(_ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> IMAPServerResponse {
        let name = try mailboxName(&cursor)
        try cursor.space()
        guard let items = try cursor.value().elements else { throw cursor.fail("a list of numbers") }
        var numbers: [String: UInt64] = [:]
        var index = 0
        while index + 1 < items.count {
            if let key = items[index].text?.uppercased(), let number = items[index + 1].number { numbers[key] = number }
            index += 2
        }
        return .mailboxStatus(name: name, numbers)
    }

    /// `(TAG "t") UID ALL 1:3,7` (RFC 4731 §3.1).
    private static func extendedSearch(_ cursor: inout IMAPResponseCursor) throws(IMAPResponseError) -> [UInt32] {
        var isAll = false
        while !cursor.isAtEnd {
            _ = cursor.take(0x20)
            guard !cursor.isAtEnd else { break }
            let value = try cursor.value()
            if isAll, let set = value.text { return try numbers(of: set, cursor) }
            isAll = value.text?.uppercased() == "ALL"
        }
        return []
    }

    /// More messages than anybody's mailbox has are no result but an attack.
    private static let numberLimit = 1_000_000

    private static func numbers(of set: String, _ cursor: IMAPResponseCursor) throws(IMAPResponseError) -> [UInt32] {
        var numbers: [UInt32] = []
        for range in set.split(separator: ",", omittingEmptySubsequences: false) {
            let bounds = range.split(separator: ":", omittingEmptySubsequences: false).compactMap { UInt32($0) }
            guard let first = bounds.first, let last = bounds.last, bounds.count <= 2, min(first, last) > 0 else { throw cursor.fail("a set of numbers") }
            let (low, high) = (min(first, last), max(first, last))
            guard Int(high - low) + numbers.count < numberLimit else { throw IMAPResponseError(.tooLarge, "at most \(numberLimit) numbers expected") }
            numbers += low...high
        }
        return numbers
    }
}
