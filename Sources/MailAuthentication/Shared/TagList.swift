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
        let octets = Array(octets)
        var tags: [Tag] = []
        var start = 0
        while start < octets.count {
            let end = octets[start...].firstIndex(of: UInt8(ascii: ";")) ?? octets.count
            if let tag = try Self.tag(octets, start..<end, isLast: end == octets.count) {
                // The limit keeps this search short.
                guard !tags.contains(where: { $0.name == tag.name }) else { throw TagListError(.repeatedName(tag.name), offset: start) }
                guard tags.count < Self.tagLimit else { throw TagListError(.tooManyTags, offset: start) }
                tags.append(tag)
            }
            start = end + 1
        }
        self.tags = tags
    }

    /// Reads a list from text.
    public init(parsing text: some StringProtocol) throws(TagListError) { try self.init(parsing: Array(text.utf8)) }

    /// The value of the pair with this name.
    public subscript(name: String) -> String? { tags.first { $0.name == name }?.value }

    /// The pair with this name.
    public func tag(_ name: String) -> Tag? { tags.first { $0.name == name } }

    /// `nil` where there is nothing after the last semicolon.
    private static func tag(_ octets: [UInt8], _ range: Range<Int>, isLast: Bool) throws(TagListError) -> Tag? {
        guard let first = octets[range].firstIndex(where: { !isSpace($0) }) else {
            if isLast { return nil }
            throw TagListError(.emptyTag, offset: range.lowerBound)
        }
        guard let equals = octets[range].firstIndex(of: UInt8(ascii: "=")) else { throw TagListError(.noEqualsSign, offset: first) }
        var nameEnd = equals
        while nameEnd > first, isSpace(octets[nameEnd - 1]) { nameEnd -= 1 }
        let name = octets[first..<nameEnd]
        guard let letter = name.first, isLetter(letter), name.allSatisfy({ isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "_") }) else {
            throw TagListError(.invalidName, offset: first)
        }
        let valueRange = equals + 1..<range.upperBound
        for index in valueRange where !(0x21...0x7E).contains(octets[index]) && octets[index] < 0x80 && !isSpace(octets[index]) {
            throw TagListError(.invalidValue, offset: index)
        }
        let trimmed = octets[valueRange].drop(while: isSpace)
        guard let value = String(validating: trimmed[..<((trimmed.lastIndex { !isSpace($0) } ?? trimmed.startIndex - 1) + 1)], as: UTF8.self) else {
            throw TagListError(.invalidValue, offset: valueRange.lowerBound)
        }
        return Tag(name: String(decoding: name, as: UTF8.self), value: value, valueRange: valueRange)
    }

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
