/// A text with macros (RFC 7208 §7.1).
public struct SPFMacroString: Sendable, Hashable {
    /// A part of the text.
    enum Part: Sendable, Hashable {
        case literal(String)
        case macro(Macro)
    }

    /// `%{…}`.
    struct Macro: Sendable, Hashable {
        /// In lower case.
        var letter: Character
        /// Written in upper case: the value is escaped as in a URL.
        var isEscaped: Bool
        /// How many parts are kept, from the right.
        var parts: Int?
        var isReversed: Bool
        /// What separates parts; empty: a dot.
        var delimiters: [UInt8]
    }

    let parts: [Part]
    /// The text as it is written.
    public let text: String

    /// Reads a macro-string.
    /// - Parameters:
    ///   - isExplanation: whether spaces and the letters `c`, `r` and `t` may stand in it (§6.2, §7.2).
    ///   - offset: where it begins in its record, for errors.
    /// - Throws: ``SPFRecordError``.
    init(parsing text: some StringProtocol, isExplanation: Bool = false, offset: Int = 0) throws(SPFRecordError) {
        if let literal = Self.plain(text) {
            parts = [.literal(literal)]
            self.text = literal
            return
        }
        let octets = Array(text.utf8)
        var parts: [Part] = []
        var literal: [UInt8] = []
        func flush() {
            if !literal.isEmpty { parts.append(.literal(String(decoding: literal, as: UTF8.self))) }
            literal = []
        }
        var index = 0
        while index < octets.count {
            let octet = octets[index]
            guard octet == UInt8(ascii: "%") else {
                guard (0x21...0x7E).contains(octet) || (isExplanation && octet == 0x20) else { throw SPFRecordError(.invalidCharacter, at: offset + index) }
                literal.append(octet)
                index += 1
                continue
            }
            guard index + 1 < octets.count else { throw SPFRecordError(.invalidMacro, at: offset + index) }
            switch octets[index + 1] {
            case UInt8(ascii: "%"): literal.append(UInt8(ascii: "%"))
            case UInt8(ascii: "_"): literal.append(0x20)
            case UInt8(ascii: "-"): literal += Array("%20".utf8)
            case UInt8(ascii: "{"):
                guard let end = octets[index...].firstIndex(of: UInt8(ascii: "}")),
                    let macro = Self.macro(octets[index + 2..<end], isExplanation: isExplanation)
                else { throw SPFRecordError(.invalidMacro, at: offset + index) }
                flush()
                parts.append(.macro(macro))
                index = end + 1
                continue
            default: throw SPFRecordError(.invalidMacro, at: offset + index)
            }
            index += 2
        }
        flush()
        self.parts = parts
        self.text = String(text)
    }

    /// A text of visible characters without a macro; `nil` for every other one, and for an empty one.
    private static func plain(_ text: some StringProtocol) -> String? {
        guard !text.isEmpty, text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "%") }) else { return nil }
        return String(text)
    }

    private static func macro(_ octets: ArraySlice<UInt8>, isExplanation: Bool) -> Macro? {
        var rest = octets
        guard let first = rest.popFirst() else { return nil }
        let letter = Character(UnicodeScalar(first | 0x20))
        guard (0x41...0x5A).contains(first) || (0x61...0x7A).contains(first), (isExplanation ? "slodiphcrtv" : "slodiphv").contains(letter) else { return nil }
        var digits: [UInt8] = []
        while let digit = rest.first, (0x30...0x39).contains(digit) {
            digits.append(digit)
            rest = rest.dropFirst()
        }
        var parts: Int?
        if !digits.isEmpty {
            // More parts than a name can have are all of them.
            let count = digits.count > 9 ? 1_000_000_000 : digits.reduce(0) { $0 * 10 + Int($1 - 0x30) }
            guard count > 0 else { return nil }
            parts = count
        }
        var isReversed = false
        if let next = rest.first, next | 0x20 == UInt8(ascii: "r") {
            isReversed = true
            rest = rest.dropFirst()
        }
        guard rest.allSatisfy(Array(".-+,/_=".utf8).contains) else { return nil }
        // Each once: a thousand commas separate like one.
        return Macro(letter: letter, isEscaped: first < 0x60, parts: parts, isReversed: isReversed, delimiters: Set(rest).sorted())
    }

    /// Whether a macro of one of these letters stands in it.
    func asks(for letters: Set<Character>) -> Bool {
        parts.contains { part in
            if case .macro(let macro) = part { return letters.contains(macro.letter) }
            return false
        }
    }

    /// The text with its macros replaced; `nil` for more than `limit` octets.
    func expanded(_ values: SPFMacroValues, limit: Int) -> String? {
        var result = ""
        for part in parts {
            result += part.expanded(values)
            guard result.utf8.count <= limit else { return nil }
        }
        return result
    }

    /// The name with its macros replaced, without a final dot, and cut from the left to 253 octets by whole labels (RFC 7208 §7.3).
    ///
    /// It is put together from its end: a record may have thousands of macros, and no more of them counts than a name has room for.
    func expandedName(_ values: SPFMacroValues) -> String {
        var pieces: [String] = []
        var count = 0
        for part in parts.reversed() where count < 256 {
            let piece = part.expanded(values)
            count += piece.utf8.count
            pieces.append(piece)
        }
        var name = Array(pieces.reversed().joined().utf8)[...]
        if name.last == UInt8(ascii: ".") { name.removeLast() }
        while name.count > 253, let dot = name.firstIndex(of: UInt8(ascii: ".")) { name = name[(dot + 1)...] }
        return String(decoding: name, as: UTF8.self)
    }
}

extension SPFMacroString.Part {
    fileprivate func expanded(_ values: SPFMacroValues) -> String {
        switch self {
        case .literal(let text): text
        case .macro(let macro): macro.expanded(values)
        }
    }
}

extension SPFMacroString.Macro {
    func expanded(_ values: SPFMacroValues) -> String {
        let value = values[letter]
        var result = value
        if parts != nil || isReversed || !delimiters.isEmpty {
            let separators = delimiters.isEmpty ? [UInt8(ascii: ".")] : delimiters
            var pieces = Array(value.utf8).split(omittingEmptySubsequences: false) { separators.contains($0) }
            if isReversed { pieces.reverse() }
            if let parts { pieces = pieces.suffix(parts) }
            result = String(decoding: Array(pieces.joined(separator: [UInt8(ascii: ".")])), as: UTF8.self)
        }
        return isEscaped ? Self.escaped(result) : result
    }

    /// Everything but what RFC 3986 §2.3 calls unreserved.
    private static func escaped(_ text: String) -> String {
        var result = ""
        for octet in text.utf8 {
            switch octet {
            case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"):
                result.unicodeScalars.append(UnicodeScalar(octet))
            default:
                let digits = String(octet, radix: 16, uppercase: true)
                result += "%" + (digits.count < 2 ? "0" : "") + digits
            }
        }
        return result
    }
}

/// What the macros stand for (RFC 7208 §7.2).
struct SPFMacroValues: Sendable {
    /// `local-part@domain`, where the sender has no local part with `postmaster`.
    var localPart: String
    var senderDomain: String
    /// The domain whose record is evaluated.
    var domain: String
    var address: String
    /// The address in the form of names: dotted decimal or dotted nibbles.
    var dottedAddress: String
    var isIPv6: Bool
    var helo: String
    /// The validated name of the address.
    var validatedName = "unknown"
    var receiver: String
    /// Seconds since 1970.
    var time: Int64

    subscript(letter: Character) -> String {
        switch letter {
        case "s": "\(localPart)@\(senderDomain)"
        case "l": localPart
        case "o": senderDomain
        case "d": domain
        case "i": dottedAddress
        case "p": validatedName
        case "v": isIPv6 ? "ip6" : "in-addr"
        case "h": helo
        case "c": address
        case "r": receiver
        case "t": String(time)
        default: ""
        }
    }
}
