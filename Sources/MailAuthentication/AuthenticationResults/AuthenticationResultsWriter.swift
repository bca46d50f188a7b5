import DNS

extension AuthenticationResults {
    /// The field with its name and its line end, folded at 78 columns where its parts allow it (RFC 5322 §2.1.1).
    ///
    /// Whatever the values are, the field ends where it ends: control characters become `?`, and what isn't a token is quoted.
    /// - Parameters:
    ///   - name: the field's name.
    ///   - allowsUTF8: whether the message is an internationalised one (RFC 6532); if not, domains are written as A-labels, and other
    ///     characters beyond ASCII as `?`.
    public func field(named name: String = "Authentication-Results", allowsUTF8: Bool = false) -> String {
        var writer = AuthenticationResultsWriter(allowsUTF8: allowsUTF8, used: name.utf8.count + 1)
        writer.write(self)
        return "\(name):\(writer.text)\r\n"
    }

    /// The ARC-Authentication-Results field of one instance (RFC 8617 §4.1.1).
    public func arcField(instance: Int, allowsUTF8: Bool = false) -> String {
        let name = "ARC-Authentication-Results"
        var writer = AuthenticationResultsWriter(allowsUTF8: allowsUTF8, used: name.utf8.count + 1)
        writer.word("i=\(instance);")
        writer.write(self)
        return "\(name):\(writer.text)\r\n"
    }

    /// The value on one line, as ``field(named:allowsUTF8:)`` writes it, which was made already: without its name, folds and line end.
    public static func value(ofField field: String) -> String {
        var octets: [UInt8] = []
        octets.reserveCapacity(field.utf8.count)
        var value = field.utf8[...]
        if let colon = value.firstIndex(of: UInt8(ascii: ":")) { value = value[value.index(after: colon)...].dropFirst() }
        for octet in value where octet != 0x0D && octet != 0x0A { octets.append(octet) }
        return String(decoding: octets, as: UTF8.self)
    }

    /// The value on one line, for people and for databases.
    public var description: String {
        var writer = AuthenticationResultsWriter(allowsUTF8: true, used: 0, lineLength: .max)
        writer.write(self)
        return String(writer.text.dropFirst())
    }
}

extension AuthenticationResults: CustomStringConvertible {}

/// Writes words with a blank or a fold in front of each.
struct AuthenticationResultsWriter {
    /// The octets of the longest value, reason or comment: no real identity is longer (RFC 5321 §4.5.3.1), and with each octet escaped the
    /// line stays below 998 (RFC 5322 §2.1.1).
    static let valueLimit = 400

    let allowsUTF8: Bool
    let lineLength: Int
    private(set) var text = ""
    private var used: Int

    init(allowsUTF8: Bool, used: Int, lineLength: Int = 78) {
        self.allowsUTF8 = allowsUTF8
        self.lineLength = lineLength
        self.used = used
    }

    /// A word in which no fold can be.
    mutating func word(_ word: String, onNewLine: Bool = false) {
        let length = word.utf8.count
        if lineLength < .max, onNewLine || used > 1 && used + 1 + length > lineLength {
            text += "\r\n "
            used = 1 + length
        } else {
            text += " "
            used += 1 + length
        }
        text += word
    }

    mutating func write(_ results: AuthenticationResults) {
        var opening = [Self.token(clean(results.identifier.isEmpty ? "unknown" : results.identifier)) ?? quoted(results.identifier)]
        if let version = results.version { opening.append("\(version)") }
        opening += results.comments.flatMap(comment)
        guard !results.results.isEmpty else {
            write(opening, semicolon: true)
            word("none")
            return
        }
        write(opening, semicolon: true)
        for (index, result) in results.results.enumerated() {
            write(words(of: result), semicolon: index + 1 < results.results.count, onNewLine: true)
        }
    }

    private mutating func write(_ words: [String], semicolon: Bool, onNewLine: Bool = false) {
        for (index, word) in words.enumerated() {
            self.word(index + 1 == words.count && semicolon ? word + ";" : word, onNewLine: onNewLine && index == 0)
        }
    }

    private func words(of result: AuthenticationResults.MethodResult) -> [String] {
        let version = result.methodVersion.map { "/\($0)" } ?? ""
        var words = ["\(Self.keyword(result.method))\(version)=\(Self.keyword(result.result))"]
        words += result.comments.flatMap(comment)
        if let reason = result.reason { words.append("reason=\(quoted(reason))") }
        for property in result.properties {
            let type = property.type.isEmpty ? "" : Self.keyword(property.type) + "."
            words.append("\(type)\(Self.keyword(property.name))=\(value(property.value))")
        }
        return words
    }

    /// Letters, digits, hyphens and underscores: all that a registered name has.
    private static func keyword(_ text: String) -> String {
        if !text.isEmpty, text.utf8.count <= 64, text.utf8.allSatisfy({ (0x61...0x7A).contains($0) || $0 == UInt8(ascii: "-") }) { return text }
        let octets = text.lowercased().utf8.filter {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        return octets.isEmpty ? "unknown" : String(decoding: octets.prefix(64), as: UTF8.self)
    }

    /// `pvalue` (RFC 8601 §2.2): an address or a domain as it is, a token, or else a quoted string.
    private func value(_ text: String) -> String {
        if !allowsUTF8, !text.utf8.allSatisfy({ $0 < 0x80 }) { return value(inASCII(text)) }
        let text = clean(text)
        if let token = Self.token(text) { return token }
        guard let at = text.utf8.lastIndex(of: UInt8(ascii: "@")) else { return Self.isDomain(text[...]) ? text : quoted(text) }
        let local = text[..<at]
        guard Self.isDomain(text[text.index(after: at)...]), local.isEmpty || Self.isDotAtom(local) || Self.isQuoted(local) else {
            return quoted(text)
        }
        return text
    }

    /// The domain in A-labels.
    private func inASCII(_ text: String) -> String {
        let at = text.lastIndex(of: "@")
        let written = at.map { text[text.index(after: $0)...] } ?? text[...]
        let domain = (try? DomainName(written))?.ascii ?? String(written)
        let whole = (at.map { String(text[...$0]) } ?? "") + domain
        return String(String.UnicodeScalarView(whole.unicodeScalars.map { $0.isASCII ? $0 : "?" }))
    }

    /// A comment as words between which folds may be (RFC 5322 §3.2.2).
    private func comment(_ text: String) -> [String] {
        let escaped = clean(text).escaping { $0 == UInt8(ascii: "(") || $0 == UInt8(ascii: ")") || $0 == UInt8(ascii: "\\") }
        return "(\(escaped))".utf8.split(separator: UInt8(ascii: " ")).map { String(Substring($0)) }
    }

    private func quoted(_ text: String) -> String {
        "\"" + clean(text).escaping { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") } + "\""
    }

    /// At most ``valueLimit`` octets, tabs as blanks, control characters and line separators as `?`, and everything beyond ASCII where UTF-8 isn't allowed.
    private func clean(_ text: String) -> String {
        if text.utf8.count <= Self.valueLimit, text.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) { return text }
        var result = String.UnicodeScalarView()
        var count = 0
        for scalar in text.unicodeScalars {
            let isHarmless =
                switch scalar.value {
                case 0x20...0x7E: true
                case 0...0x9F, 0x2028, 0x2029: false
                default: allowsUTF8
                }
            let kept: Unicode.Scalar = isHarmless ? scalar : scalar == "\t" ? " " : "?"
            count += UTF8.width(kept)
            if count > Self.valueLimit { break }
            result.append(kept)
        }
        return String(result)
    }

    private static func token(_ text: String) -> String? {
        !text.isEmpty && text.utf8.allSatisfy { $0 < 0x80 && AuthenticationResultsParser.isToken($0) } ? text : nil
    }

    /// `domain-name` of RFC 6376 §3.5, with U-labels.
    private static func isDomain(_ text: Substring) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { octet in
                switch octet {
                case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80..., UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
                default: false
                }
            }
    }

    /// RFC 5322 §3.2.3 with RFC 6532 §3.2.
    private static func isDotAtom(_ text: Substring) -> Bool {
        text.utf8.allSatisfy { octet in
            switch octet {
            // Those of RFC 5322 and the dot: no blanks, controls and specials.
            case 0...0x20, 0x7F, 0x22, 0x28, 0x29, 0x2C, 0x3A...0x3C, 0x3E, 0x40, 0x5B...0x5D: false
            default: true
            }
        }
    }

    /// Whether a local part is one quoted string already.
    private static func isQuoted(_ text: Substring) -> Bool {
        var octets = text.utf8.makeIterator()
        guard octets.next() == UInt8(ascii: "\"") else { return false }
        while let octet = octets.next() {
            if octet == UInt8(ascii: "\"") { return octets.next() == nil }
            if octet == UInt8(ascii: "\\"), octets.next() == nil { return false }
        }
        return false
    }
}
