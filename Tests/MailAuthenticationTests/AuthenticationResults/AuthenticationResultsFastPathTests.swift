import DNS
import Testing

@testable import MailAuthentication

/// What is written into one buffer is what would be written word by word.
struct AuthenticationResultsFastPathTests {
    private static let pieces = [
        "gmail.test", "bob", "@", "@", ".", "-", "_", " ", "  ", "(", ")", "\\", "\"", "\r\n", "\t", "\u{0}", "\u{7F}", "\u{85}", "\u{2028}", "caf\u{E9}",
        "\u{1F600}", "=", "?", "/", ";", ":", "spf", "x-Y", "7", "<", ">", String(repeating: "a", count: 70), String(repeating: "b", count: 395),
    ]

    private static func text(_ generator: inout DKIMSeededGenerator) -> String {
        (0..<Int.random(in: 0...5, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
    }

    private static func texts(_ generator: inout DKIMSeededGenerator) -> [String] {
        (0..<Int.random(in: 0...2, using: &generator)).map { _ in text(&generator) }
    }

    private static func result(_ generator: inout DKIMSeededGenerator) -> AuthenticationResults.MethodResult {
        AuthenticationResults.MethodResult(
            method: text(&generator), methodVersion: Bool.random(using: &generator) ? nil : 2, result: text(&generator),
            reason: Bool.random(using: &generator) ? nil : text(&generator),
            properties: (0..<Int.random(in: 0...4, using: &generator)).map { _ in .init(text(&generator), text(&generator), text(&generator)) },
            comments: texts(&generator))
    }

    private static func check(_ results: AuthenticationResults) {
        for allowsUTF8 in [true, false] {
            for name in ["Authentication-Results", "X", ""] {
                var plain = PlainWriter(allowsUTF8: allowsUTF8, used: name.utf8.count + 1)
                plain.write(results)
                let field = results.field(named: name, allowsUTF8: allowsUTF8)
                #expect(field == "\(name):\(plain.text)\r\n")
                let value = field.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)[1].utf8.dropFirst().filter { $0 != 0x0D && $0 != 0x0A }
                #expect(AuthenticationResults.value(ofField: field) == String(decoding: value, as: UTF8.self))
            }
            var plain = PlainWriter(allowsUTF8: allowsUTF8, used: 27)
            plain.word("i=7;")
            plain.write(results)
            #expect(results.arcField(instance: 7, allowsUTF8: allowsUTF8) == "ARC-Authentication-Results:\(plain.text)\r\n")
        }
        var plain = PlainWriter(allowsUTF8: true, used: 0, lineLength: .max)
        plain.write(results)
        #expect(results.description == String(plain.text.dropFirst()))
    }

    @Test func fieldsAtRandom() {
        var generator = DKIMSeededGenerator(seed: 11)
        for _ in 0..<3000 {
            Self.check(
                AuthenticationResults(
                    identifier: Self.text(&generator), version: Bool.random(using: &generator) ? nil : 1,
                    results: (0..<Int.random(in: 0...3, using: &generator)).map { _ in Self.result(&generator) }, comments: Self.texts(&generator)))
        }
    }

    /// A fold comes where a word doesn't fit any more, at the very column.
    @Test func wordsOfEachLength() {
        for count in 1..<90 {
            let word = String(repeating: "w", count: count)
            Self.check(AuthenticationResults(identifier: word, results: [.spf("pass", mailFrom: word, helo: "h", comment: "c \(word) d"), .dkim("none")]))
        }
    }

    @Test(arguments: ["", "x", ":", "x:", "x: ", "x: y\r\n z\r\n", "x\r\ny", "\r\n", "x:\u{E9}y"])
    func valuesOfWhateverIsThere(_ field: String) {
        let octets = Array(field.utf8)
        let value = octets.firstIndex(of: UInt8(ascii: ":")).map { octets[($0 + 1)...].dropFirst() } ?? octets[...]
        #expect(AuthenticationResults.value(ofField: field) == String(decoding: value.filter { $0 != 0x0D && $0 != 0x0A }, as: UTF8.self))
    }
}

/// Writes the same word by word, each a text of its own.
private struct PlainWriter {
    static let valueLimit = AuthenticationResultsWriter.valueLimit

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
