import DNS

/// Reads the terms of a record, one after the other.
struct SPFRecordParser {
    /// More than any domain can mean.
    static let termLimit = 2_000

    private(set) var directives: [SPFRecord.Directive] = []
    private(set) var redirect: SPFMacroString?
    private(set) var explanation: SPFMacroString?
    private(set) var unknownModifiers: [String] = []

    mutating func term(_ text: String, at offset: Int) throws(SPFRecordError) {
        guard directives.count + unknownModifiers.count < Self.termLimit else { throw SPFRecordError(.tooManyTerms, at: offset) }
        if let directive = Self.plainDirective(text) {
            directives.append(directive)
            return
        }
        // What comes first tells a modifier from a mechanism.
        let delimiter = text.utf8.firstIndex { $0 == UInt8(ascii: "=") || $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") }
        if let delimiter, text.utf8[delimiter] == UInt8(ascii: "=") {
            try modifier(String(text[..<delimiter]), text[text.utf8.index(after: delimiter)...], at: offset)
        } else {
            try directive(text, at: offset)
        }
    }

    private mutating func modifier(_ name: String, _ value: Substring, at offset: Int) throws(SPFRecordError) {
        let octets = Array(name.utf8)
        guard let first = octets.first, Self.isLetter(first),
            octets.allSatisfy({ Self.isLetter($0) || Self.isDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".") })
        else { throw SPFRecordError(.invalidModifier(String(name.prefix(64))), at: offset) }
        let place = offset + octets.count + 1
        switch name.lowercased() {
        case "redirect":
            guard redirect == nil else { throw SPFRecordError(.repeatedModifier("redirect"), at: offset) }
            redirect = try Self.domain(value, of: "redirect", at: place)
        case "exp":
            guard explanation == nil else { throw SPFRecordError(.repeatedModifier("exp"), at: offset) }
            explanation = try Self.domain(value, of: "exp", at: place)
        default:
            // Nobody here expands it, so every letter of the grammar may stand in it.
            _ = try SPFMacroString(parsing: value, isExplanation: true, offset: place)
            unknownModifiers.append(name)
        }
    }

    private mutating func directive(_ text: String, at offset: Int) throws(SPFRecordError) {
        var rest = Substring(text)
        var qualifier = SPFRecord.Qualifier.pass
        if let first = rest.utf8.first, let written = Self.qualifier(first) {
            qualifier = written
            rest.removeFirst()
        }
        let end = rest.utf8.firstIndex { $0 == UInt8(ascii: ":") || $0 == UInt8(ascii: "/") } ?? rest.endIndex
        let name = rest[..<end].lowercased()
        let argument = rest[end...]
        let place = offset + text.utf8.count - argument.utf8.count
        let mechanism: SPFRecord.Mechanism
        switch name {
        case "all":
            guard argument.isEmpty else { throw SPFRecordError(.unexpectedArgument(name), at: place) }
            mechanism = .all
        case "include": mechanism = .include(try Self.required(argument, of: name, at: place))
        case "exists": mechanism = .exists(try Self.required(argument, of: name, at: place))
        case "ptr":
            if argument.isEmpty {
                mechanism = .ptr(nil)
            } else {
                mechanism = .ptr(try Self.required(argument, of: name, at: place))
            }
        case "a":
            let parts = try Self.domainAndPrefixes(argument, of: name, at: place)
            mechanism = .a(parts.domain, v4Prefix: parts.v4, v6Prefix: parts.v6)
        case "mx":
            let parts = try Self.domainAndPrefixes(argument, of: name, at: place)
            mechanism = .mx(parts.domain, v4Prefix: parts.v4, v6Prefix: parts.v6)
        case "ip4": mechanism = .ip4(try Self.network(argument, isIPv6: false, of: name, at: place))
        case "ip6": mechanism = .ip6(try Self.network(argument, isIPv6: true, of: name, at: place))
        default: throw SPFRecordError(.unknownMechanism(String(text.prefix(64))), at: offset)
        }
        directives.append(.init(qualifier: qualifier, mechanism: mechanism, text: text))
    }

    /// `all` and `ip4`, as nearly everybody writes them; `nil` for everything else, right or wrong.
    static func plainDirective(_ text: String) -> SPFRecord.Directive? {
        let octets = text.utf8Span.span
        guard !octets.isEmpty else { return nil }
        let qualifier = qualifier(octets[0])
        let rest = octets.extracting((qualifier == nil ? 0 : 1)..<octets.count)
        let mechanism: SPFRecord.Mechanism
        if rest.count == 3, begins(rest, "all") {
            mechanism = .all
        } else if begins(rest, "ip4:"), let network = plainNetwork(rest.extracting(4..<rest.count)) {
            mechanism = .ip4(network)
        } else {
            return nil
        }
        return SPFRecord.Directive(qualifier: qualifier ?? .pass, mechanism: mechanism, text: text)
    }

    private static func begins(_ octets: Span<UInt8>, _ name: String) -> Bool {
        guard octets.count >= name.utf8.count else { return false }
        for (index, octet) in name.utf8.enumerated() where octets[index] != octet { return false }
        return true
    }

    /// `ip4-network ["/" ip4-prefix-length]`: four numbers up to 255 and one up to 32, none with a zero in front.
    private static func plainNetwork(_ octets: Span<UInt8>) -> IPNetwork? {
        var address: UInt32 = 0
        var index = 0
        for part in 0..<4 {
            if part > 0 {
                guard index < octets.count, octets[index] == UInt8(ascii: ".") else { return nil }
                index += 1
            }
            guard let number = number(octets, &index), number <= 255 else { return nil }
            address = address << 8 | number
        }
        guard index < octets.count else { return IPNetwork(address: .v4(address), prefixLength: 32) }
        guard octets[index] == UInt8(ascii: "/") else { return nil }
        index += 1
        guard let length = number(octets, &index), length <= 32, index == octets.count else { return nil }
        return IPNetwork(address: .v4(address), prefixLength: Int(length))
    }

    /// One to three digits without a zero in front.
    private static func number(_ octets: Span<UInt8>, _ index: inout Int) -> UInt32? {
        let start = index
        var number: UInt32 = 0
        while index < octets.count, isDigit(octets[index]) {
            guard index - start < 3, index == start || number > 0 else { return nil }
            number = number * 10 + UInt32(octets[index] - 0x30)
            index += 1
        }
        return index > start ? number : nil
    }

    private static func qualifier(_ octet: UInt8) -> SPFRecord.Qualifier? {
        switch octet {
        case UInt8(ascii: "+"): .pass
        case UInt8(ascii: "-"): .fail
        case UInt8(ascii: "~"): .softfail
        case UInt8(ascii: "?"): .neutral
        default: nil
        }
    }

    /// `:domain-spec`.
    private static func required(_ argument: Substring, of name: String, at offset: Int) throws(SPFRecordError) -> SPFMacroString {
        guard argument.utf8.first == UInt8(ascii: ":") else { throw SPFRecordError(.missingDomain(name), at: offset) }
        return try domain(argument.dropFirst(), of: name, at: offset + 1)
    }

    /// `domain-spec`: a macro-string that ends in a macro or in a label that isn't a number (§7.1).
    private static func domain(_ text: Substring, of name: String, at offset: Int) throws(SPFRecordError) -> SPFMacroString {
        guard !text.isEmpty else { throw SPFRecordError(.missingDomain(name), at: offset) }
        let string = try SPFMacroString(parsing: text, offset: offset)
        if case .macro = string.parts.last { return string }
        // “%%”, “%_” and “%-” are macro-expand too, and end a domain-spec.
        if text.utf8.contains(UInt8(ascii: "%")), text.hasSuffix("%%") || text.hasSuffix("%_") || text.hasSuffix("%-") { return string }
        var end = text
        if end.hasSuffix(".") { end.removeLast() }
        guard let dot = end.lastIndex(of: "."), isTopLabel(Array(end[end.index(after: dot)...].utf8)) else {
            throw SPFRecordError(.invalidDomain(String(text.prefix(64))), at: offset)
        }
        return string
    }

    private static func isTopLabel(_ octets: [UInt8]) -> Bool {
        guard let first = octets.first, let last = octets.last, first != UInt8(ascii: "-"), last != UInt8(ascii: "-") else { return false }
        return octets.allSatisfy { isLetter($0) || isDigit($0) || $0 == UInt8(ascii: "-") } && !octets.allSatisfy(isDigit)
    }

    /// `[":" domain-spec] [dual-cidr-length]`: the prefix lengths are what stands at the end (§5.6).
    private static func domainAndPrefixes(
        _ argument: Substring, of name: String, at offset: Int
    ) throws(SPFRecordError) -> (domain: SPFMacroString?, v4: Int, v6: Int) {
        var rest = argument
        var v4 = 32
        var v6 = 128
        if let slashes = rest.rangeOfLastSlashes, rest[slashes.upperBound...].utf8.allSatisfy(isDigit) {
            v6 = try prefixLength(rest[slashes.upperBound...], limit: 128, at: offset)
            rest = rest[..<slashes.lowerBound]
        }
        if let slash = rest.utf8.lastIndex(of: UInt8(ascii: "/")), rest[rest.utf8.index(after: slash)...].utf8.allSatisfy(isDigit) {
            v4 = try prefixLength(rest[rest.utf8.index(after: slash)...], limit: 32, at: offset)
            rest = rest[..<slash]
        }
        guard !rest.isEmpty else { return (nil, v4, v6) }
        return (try required(rest, of: name, at: offset), v4, v6)
    }

    private static func prefixLength(_ text: Substring, limit: Int, at offset: Int) throws(SPFRecordError) -> Int {
        guard !text.isEmpty, text.utf8.count <= 3, text.utf8.allSatisfy(isDigit), text.utf8.first != UInt8(ascii: "0") || text.utf8.count == 1,
            let number = Int(text), number <= limit
        else { throw SPFRecordError(.invalidPrefixLength(String(text.prefix(16))), at: offset) }
        return number
    }

    private static func network(_ argument: Substring, isIPv6: Bool, of name: String, at offset: Int) throws(SPFRecordError) -> IPNetwork {
        guard argument.utf8.first == UInt8(ascii: ":") else { throw SPFRecordError(.missingDomain(name), at: offset) }
        var text = argument.dropFirst()
        var length = isIPv6 ? 128 : 32
        if let slash = text.utf8.firstIndex(of: UInt8(ascii: "/")) {
            length = try prefixLength(text[text.index(after: slash)...], limit: length, at: offset)
            text = text[..<slash]
        }
        switch IPAddress(String(text)) {
        case .v4(let value)? where !isIPv6: return IPNetwork(address: .v4(value), prefixLength: length)
        case .v6(let high, let low)? where isIPv6: return IPNetwork(address: .v6(high, low), prefixLength: length)
        default: throw SPFRecordError(.invalidAddress(String(text.prefix(64))), at: offset)
        }
    }

    private static func isLetter(_ octet: UInt8) -> Bool { (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet) }
    private static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }
}

extension Substring {
    /// The last “//”.
    fileprivate var rangeOfLastSlashes: Range<Index>? {
        var place = utf8.endIndex
        var wasSlash = false
        while place > utf8.startIndex {
            let next = place
            place = utf8.index(before: place)
            let isSlash = utf8[place] == UInt8(ascii: "/")
            if isSlash, wasSlash { return place..<utf8.index(after: next) }
            wasSlash = isSlash
        }
        return nil
    }
}
