/// Reads a complete command octet by octet; literals stand in it as they were sent.
struct IMAPCursor {
    let octets: [UInt8]
    var position = 0
    let limits: IMAPLimits
    /// Whether mailbox names are UTF-8 and not modified UTF-7 (RFC 9051 §5.1, RFC 6855 §3).
    let usesUTF8: Bool

    init(_ octets: [UInt8], limits: IMAPLimits, usesUTF8: Bool) {
        self.octets = octets
        self.limits = limits
        self.usesUTF8 = usesUTF8
    }

    var peek: UInt8? { position < octets.count ? octets[position] : nil }
    var isAtEnd: Bool { position >= octets.count }

    func fail(_ reason: String, _ code: IMAPParseError.Code = .unexpected) -> IMAPParseError {
        IMAPParseError(code, at: position, reason)
    }

    mutating func take(_ octet: UInt8) -> Bool {
        guard peek == octet else { return false }
        position += 1
        return true
    }

    mutating func expect(_ character: Unicode.Scalar) throws(IMAPParseError) {
        guard take(UInt8(ascii: character)) else { throw fail("“\(character)” expected") }
    }

    mutating func space() throws(IMAPParseError) {
        guard take(0x20) else { throw fail("a space expected") }
    }

    func end() throws(IMAPParseError) {
        guard isAtEnd else { throw fail("the end of the command expected") }
    }

    /// `ATOM-CHAR` (RFC 9051 §9).
    static func isAtom(_ octet: UInt8) -> Bool {
        switch octet {
        case 0...0x20, 0x7f...0xff: false
        case UInt8(ascii: "("), UInt8(ascii: ")"), UInt8(ascii: "{"), UInt8(ascii: "%"), UInt8(ascii: "*"), UInt8(ascii: "\""),
            UInt8(ascii: "\\"), UInt8(ascii: "]"):
            false
        default: true
        }
    }

    mutating func run(_ what: String, where isAllowed: (UInt8) -> Bool) throws(IMAPParseError) -> String {
        let start = position
        while let octet = peek, isAllowed(octet) { position += 1 }
        guard position > start else { throw fail("\(what) expected") }
        return String(decoding: octets[start..<position], as: UTF8.self)
    }

    mutating func atom(_ what: String = "an atom") throws(IMAPParseError) -> String { try run(what, where: Self.isAtom) }

    /// A word of the grammar, in upper case.
    mutating func keyword(_ what: String) throws(IMAPParseError) -> String {
        try run(what) { Self.isAtom($0) && $0 != UInt8(ascii: "[") && $0 != UInt8(ascii: "<") }.uppercased()
    }

    mutating func number() throws(IMAPParseError) -> UInt32 {
        let start = position
        var value: UInt64 = 0
        while let octet = peek, (0x30...0x39).contains(octet) {
            value = value * 10 + UInt64(octet - 0x30)
            guard value <= UInt32.max else { throw IMAPParseError(.outOfRange, at: start, "a number of 32 bits expected") }
            position += 1
        }
        guard position > start else { throw fail("a number expected") }
        return UInt32(truncatingIfNeeded: value)
    }

    mutating func nonZero() throws(IMAPParseError) -> UInt32 {
        let start = position
        let value = try number()
        guard value > 0 else { throw IMAPParseError(.outOfRange, at: start, "a number above zero expected") }
        return value
    }

    /// The octets of `{n}`, `{n+}` or `~{n}` behind the position, and whether the client waits.
    mutating func literalHeader() throws(IMAPParseError) -> (count: Int, isSynchronising: Bool) {
        _ = take(UInt8(ascii: "~"))
        try expect("{")
        let count = Int(try number())
        let waits = !take(UInt8(ascii: "+"))
        try expect("}")
        return (count, waits)
    }

    mutating func literal() throws(IMAPParseError) -> [UInt8] {
        let count = try literalHeader().count
        _ = take(0x0d)
        guard take(0x0a), octets.count - position >= count else { throw fail("the octets of a literal expected") }
        defer { position += count }
        return Array(octets[position..<position + count])
    }

    mutating func quoted() throws(IMAPParseError) -> [UInt8] {
        try expect("\"")
        var result: [UInt8] = []
        while let octet = peek {
            switch octet {
            case UInt8(ascii: "\""):
                position += 1
                return result
            case UInt8(ascii: "\\"):
                position += 1
                guard let escaped = peek, escaped == UInt8(ascii: "\"") || escaped == UInt8(ascii: "\\") else {
                    throw fail("a quote or a backslash expected")
                }
                result.append(escaped)
            case 0, 0x0a, 0x0d: throw fail("no control character expected in a quoted string")
            default: result.append(octet)
            }
            position += 1
        }
        throw fail("the end of a quoted string expected")
    }

    mutating func string() throws(IMAPParseError) -> [UInt8] {
        switch peek {
        case UInt8(ascii: "\"")?: try quoted()
        case UInt8(ascii: "{")?, UInt8(ascii: "~")?: try literal()
        default: throw fail("a string expected")
        }
    }

    private func text(_ octets: [UInt8], at start: Int) throws(IMAPParseError) -> String {
        guard !octets.contains(0), let text = String(validating: octets, as: UTF8.self) else {
            throw IMAPParseError(.badEncoding, at: start, "UTF-8 without NUL expected")
        }
        return text
    }

    /// `astring`: an atom, where `]` is allowed too, or a string.
    mutating func astring(_ what: String = "a string") throws(IMAPParseError) -> String {
        let start = position
        switch peek {
        case UInt8(ascii: "\"")?, UInt8(ascii: "{")?: return try text(string(), at: start)
        default: return try run(what) { Self.isAtom($0) || $0 == UInt8(ascii: "]") }
        }
    }

    /// A mailbox name (RFC 9051 §5.1, RFC 3501 §5.1.3).
    mutating func mailbox() throws(IMAPParseError) -> String {
        let start = position
        return try name(astring("a mailbox name"), at: start)
    }

    private func name(_ text: String, at start: Int) throws(IMAPParseError) -> String {
        let name: String
        // Many clients send UTF-8 without having enabled it: what has such octets can be nothing else.
        if usesUTF8 || text.utf8.contains(where: { $0 >= 0x80 }) {
            name = text
        } else if let decoded = ModifiedUTF7.decode(text) {
            name = decoded
        } else {
            throw IMAPParseError(.badEncoding, at: start, "a name in modified UTF-7 (RFC 3501 §5.1.3) expected")
        }
        // RFC 9051 §5.1: names are Net-Unicode; a line end in one would cut the answers that repeat it in two.
        guard !name.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) else {
            throw IMAPParseError(.badEncoding, at: start, "a name without control characters expected")
        }
        return name
    }

    /// A mailbox name with wildcards.
    mutating func pattern() throws(IMAPParseError) -> String {
        let start = position
        if peek == UInt8(ascii: "\"") || peek == UInt8(ascii: "{") { return try name(astring(), at: start) }
        let text = try run("a pattern") {
            Self.isAtom($0) || $0 == UInt8(ascii: "]") || $0 == UInt8(ascii: "%") || $0 == UInt8(ascii: "*")
        }
        return try name(text, at: start)
    }

    /// `(…)` with spaces between; may be empty.
    mutating func list<T>(_ element: (inout IMAPCursor) throws(IMAPParseError) -> T) throws(IMAPParseError) -> [T] {
        try expect("(")
        var result: [T] = []
        if take(UInt8(ascii: ")")) { return result }
        while true {
            guard result.count < limits.listLength else { throw fail("at most \(limits.listLength) elements expected", .tooLarge) }
            result.append(try element(&self))
            if take(UInt8(ascii: ")")) { return result }
            try space()
        }
    }

    mutating func flag() throws(IMAPParseError) -> String {
        let hasBackslash = take(UInt8(ascii: "\\"))
        let name = try atom("a flag")
        return hasBackslash ? "\\" + name : name
    }

    mutating func sequenceSet() throws(IMAPParseError) -> SequenceSet {
        if take(UInt8(ascii: "$")) { return SequenceSet([], isSavedResult: true) }
        var elements: [SequenceSet.Element] = []
        repeat {
            guard elements.count < limits.rangeCount else { throw fail("at most \(limits.rangeCount) ranges expected", .tooLarge) }
            let first = try bound()
            elements.append(SequenceSet.Element(first, take(UInt8(ascii: ":")) ? try bound() : first))
        } while take(UInt8(ascii: ","))
        return SequenceSet(elements)
    }

    private mutating func bound() throws(IMAPParseError) -> SequenceSet.Bound {
        if take(UInt8(ascii: "*")) { return .largest }
        return .number(try nonZero())
    }
}
