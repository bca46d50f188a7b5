/// A list of `name=value` pairs separated by semicolons: the form of DKIM signatures and keys, DMARC and BIMI records, and ARC sets
/// (RFC 6376 §3.2).
public struct TagList: Sendable {
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

    /// Where one pair is: texts are made of those only that somebody asks for.
    struct Place: Sendable {
        /// The first octets of the name, the first one lowest: the whole of it for the most part.
        var nameStart: UInt64
        var name: Range<Int>
        /// The octets of ``Tag/value``.
        var text: Range<Int>
        /// ``Tag/valueRange``.
        var value: Range<Int>
    }

    /// The most pairs that are read.
    public static let tagLimit = 100

    /// The text as it was written: names and values are known to be UTF-8.
    let octets: [UInt8]
    private let places: [Place]

    /// The pairs in the order of the text.
    public var tags: [Tag] { places.map(tag) }

    /// Reads a list. Names are unknown to it: whoever uses the list says which ones count.
    /// - Parameter octets: the text with folds as it was written; octets beyond ASCII must be UTF-8 (RFC 8616 §4).
    /// - Throws: ``TagListError`` for a pair without a name or `=`, a name or value with forbidden octets, a name that comes twice
    ///   (RFC 6376 §3.2), and too many pairs.
    public init(parsing octets: some Collection<UInt8>) throws(TagListError) {
        // Safe: the octets are copied while they are borrowed.
        let copy = octets.withContiguousStorageIfAvailable { unsafe Array(UnsafeRawBufferPointer($0)) } ?? Array(octets)
        self.octets = copy
        places = try Self.read(copy.span)
    }

    private static func read(_ octets: Span<UInt8>) throws(TagListError) -> [Place] {
        var places: [Place] = []
        places.reserveCapacity(12)
        var start = 0
        while start < octets.count {
            var end = start
            if let place = try place(octets, from: start, end: &end) {
                // The limit keeps this search short.
                for other in places where other.nameStart == place.nameStart {
                    guard areEqual(octets.extracting(other.name), octets.extracting(place.name)) else { continue }
                    throw TagListError(.repeatedName(text(octets.extracting(place.name)) ?? ""), offset: start)
                }
                guard places.count < tagLimit else { throw TagListError(.tooManyTags, offset: start) }
                places.append(place)
            }
            start = end + 1
        }
        return places
    }

    /// Reads a list from text.
    public init(parsing text: some StringProtocol) throws(TagListError) { try self.init(parsing: Array(text.utf8)) }

    /// The value of the pair with this name.
    public subscript(name: String) -> String? { tag(name)?.value }

    /// The pair with this name.
    public func tag(_ name: String) -> Tag? { place(of: name).map(tag) }

    /// Where the pair with this name is.
    func place(of name: String) -> Place? {
        let name = name.utf8Span.span
        let nameStart = Self.nameStart(name)
        let octets = octets.span
        for place in places where place.nameStart == nameStart && Self.areEqual(octets.extracting(place.name), name) { return place }
        return nil
    }

    /// As above, for the names that a standard has.
    func place(of name: TagName) -> Place? {
        guard name.count <= 8 else { return place(of: name.text.description) }
        // Octets that the name doesn't have are zero, which none in a name is.
        for place in places where place.nameStart == name.start && place.name.count == name.count { return place }
        return nil
    }

    private func tag(_ place: Place) -> Tag {
        let octets = octets.span
        // Both were seen to be UTF-8.
        let name = Self.text(octets.extracting(place.name)) ?? ""
        return Tag(name: name, value: Self.text(octets.extracting(place.text)) ?? "", valueRange: place.value)
    }

    /// ``Tag/compactValue`` of a pair.
    func compactText(_ place: Place) -> String {
        let text = octets.span.extracting(place.text)
        for index in text.indices where Self.isSpace(text[index]) { return tag(place).compactValue }
        return Self.text(text) ?? ""
    }

    /// The first octets of ``Tag/compactValue`` of the pair with this name; its other ones aren't looked at.
    func compactPrefix(_ name: TagName, _ count: Int) -> String? {
        guard let place = place(of: name) else { return nil }
        var prefix: [UInt8] = []
        prefix.reserveCapacity(count)
        for index in place.text where !Self.isSpace(octets[index]) {
            guard prefix.count < count else { break }
            prefix.append(octets[index])
        }
        return String(decoding: prefix, as: UTF8.self)
    }

    private static func nameStart(_ name: Span<UInt8>) -> UInt64 {
        var start: UInt64 = 0
        for index in 0..<min(name.count, 8) { start |= UInt64(name[index]) &<< UInt64(8 &* index) }
        return start
    }

    /// Reads one pair in one look at its octets; `nil` where there is nothing after the last semicolon.
    /// - Parameter end: where its semicolon is, or the end of the list.
    private static func place(_ octets: Span<UInt8>, from start: Int, end: inout Int) throws(TagListError) -> Place? {
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
        var isASCII = true
        var index = valueStart
        while index < octets.count, octets[index] != semicolon {
            let octet = octets[index]
            if octet > 0x20, octet != 0x7F {
                // Base64 for the most part: sixteen octets at once, as long as none of them ends or parts anything.
                let isBlock = octet < 0x80 && octets.count - index >= DKIMOctetBlock.size
                if octet >= 0x80 { isASCII = false }
                index += isBlock ? max(1, plainCount(octets, at: index)) : 1
                textEnd = index
                continue
            }
            guard isSpace(octet) else { throw TagListError(.invalidValue, offset: index) }
            if textEnd == valueStart { textStart = index + 1 }
            index += 1
        }
        end = index
        let text = textStart..<max(textStart, textEnd)
        guard isASCII || (try? UTF8Span(validating: octets.extracting(text))) != nil else { throw TagListError(.invalidValue, offset: valueStart) }
        return Place(nameStart: nameStart(octets.extracting(first..<nameEnd)), name: first..<nameEnd, text: text, value: valueStart..<end)
    }

    /// How many of sixteen octets, from the first one on, are visible ASCII without a semicolon.
    @inline(__always)
    private static func plainCount(_ octets: Span<UInt8>, at index: Int) -> Int {
        // Safe: the caller has sixteen octets there, and every bit pattern is a value of each.
        let block = unsafe octets.bytes.unsafeLoadUnaligned(fromByteOffset: index, as: DKIMOctetBlock.Octets.self)
        let visible = DKIMOctetBlock(block &- DKIMOctetBlock.Octets(repeating: 0x21)).places(upTo: 0x7E - 0x21)
        return DKIMBlockMask(~visible | DKIMOctetBlock(block).places(of: semicolon)).first
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

/// The name of a tag that is looked for.
struct TagName: ExpressibleByStringLiteral {
    let text: StaticString
    /// Its first octets, the first one lowest.
    let start: UInt64

    var count: Int { text.utf8CodeUnitCount }

    @inline(__always)
    init(stringLiteral text: StaticString) {
        self.text = text
        var start: UInt64 = 0
        // Safe: a literal of letters, which has as many octets as it says.
        for index in 0..<min(text.utf8CodeUnitCount, 8) { start |= unsafe UInt64(text.utf8Start[index]) &<< UInt64(8 &* index) }
        self.start = start
    }
}

extension TagList: Hashable {
    public static func == (left: TagList, right: TagList) -> Bool { left.tags == right.tags }

    public func hash(into hasher: inout Hasher) { hasher.combine(tags) }
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
