/// A list of `name=value` pairs separated by semicolons: the form of DKIM signatures and keys, DMARC and BIMI records, and ARC sets
/// (RFC 6376 §3.2).
public struct TagList: Sendable, Hashable {
    /// One pair.
    public struct Tag: Sendable, Hashable {
        /// The name as written; its case counts.
        public var name: String
        /// The value without blanks at its ends, with folds and blanks inside as they are written.
        public var value: String
        /// The octets of the value within the list, with the blanks at its ends: from the octet after `=` to the semicolon or the end.
        public var valueRange: Range<Int>

        /// The value without any blank or fold: for Base64, lists and numbers.
        public var compactValue: String {
            guard value.utf8.contains(where: TagList.isSpace) else { return value }
            return String(decoding: value.utf8.filter { !TagList.isSpace($0) }, as: UTF8.self)
        }
    }

    /// The most pairs that are read.
    public static let tagLimit = 100

    /// The pairs in the order of the text.
    public let tags: [Tag]

    /// Reads a list. Names are unknown to it: whoever uses the list says which ones count.
    /// - Parameter octets: the text with folds as it was written; octets beyond ASCII must be UTF-8 (RFC 8616 §4).
    /// - Throws: ``TagListError`` for a pair without a name or `=`, a name or value with forbidden octets, a name that comes twice
    ///   (RFC 6376 §3.2), and too many pairs.
    public init(parsing octets: some Collection<UInt8>) throws(TagListError) {
        if let result = octets.withContiguousStorageIfAvailable({ octets in
            // Safe: the octets are read while they are borrowed.
            Result { () throws(TagListError) in try unsafe Self.read(octets.span) }
        }) {
            tags = try result.get()
        } else {
            tags = try Self.read(Array(octets).span)
        }
    }

    private static func read(_ octets: Span<UInt8>) throws(TagListError) -> [Tag] {
        var tags: [Tag] = []
        tags.reserveCapacity(12)
        var start = 0
        while start < octets.count {
            var end = start
            if let tag = try tag(octets, from: start, end: &end) {
                // The limit keeps this search short.
                guard !tags.contains(where: { $0.name == tag.name }) else { throw TagListError(.repeatedName(tag.name), offset: start) }
                guard tags.count < tagLimit else { throw TagListError(.tooManyTags, offset: start) }
                tags.append(tag)
            }
            start = end + 1
        }
        return tags
    }

    /// Reads a list from text.
    public init(parsing text: some StringProtocol) throws(TagListError) { try self.init(parsing: Array(text.utf8)) }

    /// The value of the pair with this name.
    public subscript(name: String) -> String? { tags.first { $0.name == name }?.value }

    /// The pair with this name.
    public func tag(_ name: String) -> Tag? { tags.first { $0.name == name } }

    /// Reads one pair in one look at its octets; `nil` where there is nothing after the last semicolon.
    /// - Parameter end: where its semicolon is, or the end of the list.
    private static func tag(_ octets: Span<UInt8>, from start: Int, end: inout Int) throws(TagListError) -> Tag? {
        var first = start
        while first < octets.count, isSpace(octets[first]) { first += 1 }
        guard first < octets.count, octets[first] != semicolon else {
            end = first
            if first == octets.count { return nil }
            throw TagListError(.emptyTag, offset: start)
        }
        var equals = first
        while equals < octets.count, octets[equals] != UInt8(ascii: "="), octets[equals] != semicolon { equals += 1 }
        guard equals < octets.count, octets[equals] != semicolon else { throw TagListError(.noEqualsSign, offset: first) }
        var nameEnd = equals
        while nameEnd > first, isSpace(octets[nameEnd - 1]) { nameEnd -= 1 }
        guard nameEnd > first, isLetter(octets[first]) else { throw TagListError(.invalidName, offset: first) }
        for index in first..<nameEnd where !isLetter(octets[index]) && !isDigit(octets[index]) && octets[index] != UInt8(ascii: "_") {
            throw TagListError(.invalidName, offset: first)
        }

        let valueStart = equals + 1
        // The value without blanks at its ends.
        var (textStart, textEnd) = (valueStart, valueStart)
        var index = valueStart
        while index < octets.count, octets[index] != semicolon {
            // Base64 for the most part: eight octets at once, as long as none of them ends or parts anything.
            if octets.count - index >= 8, isPlain(octets, at: index) {
                index += 8
                textEnd = index
                continue
            }
            let octet = octets[index]
            if octet > 0x20, octet != 0x7F {
                textEnd = index + 1
            } else {
                guard isSpace(octet) else { throw TagListError(.invalidValue, offset: index) }
                if textEnd == valueStart { textStart = index + 1 }
            }
            index += 1
        }
        end = index
        guard let name = text(octets.extracting(first..<nameEnd)), let value = text(octets.extracting(textStart..<max(textStart, textEnd))) else {
            throw TagListError(.invalidValue, offset: valueStart)
        }
        return Tag(name: name, value: value, valueRange: valueStart..<end)
    }

    /// Whether eight octets are visible ASCII without a semicolon.
    @inline(__always)
    private static func isPlain(_ octets: Span<UInt8>, at index: Int) -> Bool {
        // Safe: the caller has eight octets there, and every bit pattern is a value of the integer.
        let word = unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: UInt64.self)
        let ones: UInt64 = 0x0101_0101_0101_0101
        let high = 0x80 &* ones
        let semicolons = word ^ (UInt64(semicolon) &* ones)
        // The highest bit of an octet is set by what is below 0x21, by DEL, by what isn't ASCII, and by a semicolon; a borrow may set
        // it as well, and costs a closer look.
        return (word | (word &- 0x21 &* ones) | (word &+ ones) | (semicolons &- ones)) & high == 0
    }

    /// Whether both have the same octets.
    static func areEqual(_ first: Span<UInt8>, _ second: Span<UInt8>) -> Bool {
        guard first.count == second.count else { return false }
        for index in first.indices where first[index] != second[index] { return false }
        return true
    }

    /// The octets as text; `nil` where they are no UTF-8.
    static func text(_ octets: Span<UInt8>) -> String? {
        guard let text = try? UTF8Span(validating: octets) else { return nil }
        return String(copying: text)
    }

    private static let semicolon = UInt8(ascii: ";")

    /// SP, HTAB, CR or LF: what folding white space is made of.
    static func isSpace(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 || octet == 0x0D || octet == 0x0A }
    private static func isLetter(_ octet: UInt8) -> Bool { (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet) }
    private static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }
}

/// Why a text is no tag list (RFC 6376 §3.2).
public struct TagListError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Problem: Hashable, Sendable {
        case emptyTag
        case noEqualsSign
        case invalidName
        case invalidValue
        case repeatedName(String)
        case tooManyTags
    }
    /// What is wrong.
    public var problem: Problem
    /// The octet at which it was seen, from 0.
    public var offset: Int

    init(_ problem: Problem, offset: Int) {
        self.problem = problem
        self.offset = offset
    }

    public var description: String {
        let what =
            switch problem {
            case .emptyTag: "nothing stands between two semicolons"
            case .noEqualsSign: "a tag has no “=”"
            case .invalidName: "a tag's name doesn't begin with a letter, or has other octets than letters, digits and “_”"
            case .invalidValue: "a tag's value has a control character or octets that are no UTF-8"
            case .repeatedName(let name): "the tag “\(name)” comes twice"
            case .tooManyTags: "there are more than \(TagList.tagLimit) tags"
            }
        return "\(what) (at octet \(offset); RFC 6376 §3.2)"
    }
}
