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
        var writer = AuthenticationResultsWriter(named: name, allowsUTF8: allowsUTF8)
        writer.write(self)
        return writer.line()
    }

    /// The ARC-Authentication-Results field of one instance (RFC 8617 §4.1.1).
    public func arcField(instance: Int, allowsUTF8: Bool = false) -> String {
        var writer = AuthenticationResultsWriter(named: "ARC-Authentication-Results", allowsUTF8: allowsUTF8)
        writer.word("i=\(instance);")
        writer.write(self)
        return writer.line()
    }

    /// The value on one line, as ``field(named:allowsUTF8:)`` writes it, which was made already: without its name, folds and line end.
    public static func value(ofField field: String) -> String {
        let octets = field.utf8Span.span
        var start = 0
        while start < octets.count, octets[start] != UInt8(ascii: ":") { start += 1 }
        // The blank behind the colon isn't part of the value; without a colon all of it is.
        start = start < octets.count ? min(start + 2, octets.count) : 0
        return String(withoutLineEnds: octets.extracting(start..<octets.count))
    }

    /// The value on one line, for people and for databases.
    public var description: String {
        var writer = AuthenticationResultsWriter(allowsUTF8: true, lineLength: .max)
        writer.write(self)
        return String(decoding: writer.octets.dropFirst(), as: UTF8.self)
    }
}

extension AuthenticationResults: CustomStringConvertible {}

/// Writes words with a blank or a fold in front of each, all of them into one buffer: what most words are made of is seen in one look to need
/// neither quotes nor anything else.
struct AuthenticationResultsWriter {
    /// The octets of the longest value, reason or comment: no real identity is longer (RFC 5321 §4.5.3.1), and with each octet escaped the
    /// line stays below 998 (RFC 5322 §2.1.1).
    static let valueLimit = 400

    let allowsUTF8: Bool
    let lineLength: Int
    private(set) var octets: [UInt8] = []
    /// The columns of the line that are taken by what stands before the word that is being written.
    private var used: Int
    /// Where the blank in front of that word is.
    private var start: Int

    /// - Parameter name: the field's; `nil` where only its value is written.
    init(named name: String? = nil, allowsUTF8: Bool, lineLength: Int = 78) {
        self.allowsUTF8 = allowsUTF8
        self.lineLength = lineLength
        octets.reserveCapacity(1000)
        if let name {
            octets.append(contentsOf: name.utf8)
            octets.append(UInt8(ascii: ":"))
        }
        used = octets.count
        start = used
    }

    /// The field with its line end.
    consuming func line() -> String {
        octets.append(0x0D)
        octets.append(0x0A)
        return String(decoding: octets, as: UTF8.self)
    }

    /// Begins a word in which no fold can be.
    private mutating func begin(onNewLine: Bool = false) {
        if onNewLine, lineLength < .max {
            octets.append(0x0D)
            octets.append(0x0A)
            used = 0
        }
        start = octets.count
        octets.append(0x20)
    }

    /// Ends a word: how long it is decides whether it stands on a new line.
    private mutating func end() {
        let length = octets.count - start - 1
        if lineLength < .max, used > 1, used + 1 + length > lineLength {
            octets.insert(contentsOf: "\r\n".utf8, at: start)
            used = 0
        }
        used += 1 + length
    }

    private mutating func next() {
        end()
        begin()
    }

    private mutating func append(_ text: String) { octets.append(contentsOf: text.utf8) }

    /// A word in which no fold can be.
    mutating func word(_ word: String) {
        begin()
        append(word)
        end()
    }

    mutating func write(_ results: AuthenticationResults) {
        begin()
        identifier(results.identifier.isEmpty ? "unknown" : results.identifier)
        if let version = results.version {
            next()
            append("\(version)")
        }
        for text in results.comments { comment(text) }
        octets.append(UInt8(ascii: ";"))
        end()
        guard !results.results.isEmpty else {
            word("none")
            return
        }
        for index in results.results.indices {
            begin(onNewLine: true)
            write(results.results[index])
            if index + 1 < results.results.count { octets.append(UInt8(ascii: ";")) }
            end()
        }
    }

    private mutating func write(_ result: AuthenticationResults.MethodResult) {
        keyword(result.method)
        if let version = result.methodVersion { append("/\(version)") }
        octets.append(UInt8(ascii: "="))
        keyword(result.result)
        for text in result.comments { comment(text) }
        if let reason = result.reason {
            next()
            append("reason=")
            quotedString(reason)
        }
        for property in result.properties {
            next()
            if !property.type.isEmpty {
                keyword(property.type)
                octets.append(UInt8(ascii: "."))
            }
            keyword(property.name)
            octets.append(UInt8(ascii: "="))
            value(property.value)
        }
    }

    /// A token, or else a quoted string.
    private mutating func identifier(_ text: String) {
        let written = text.utf8Span.span
        if written.count <= Self.valueLimit, Self.tokenCount(written) == written.count { return append(text) }
        append(Self.token(clean(text)) ?? quoted(text))
    }

    /// Letters, digits, hyphens and underscores: all that a registered name has.
    private mutating func keyword(_ text: String) {
        let written = text.utf8Span.span
        var count = 0
        while count < written.count, (0x61...0x7A).contains(written[count]) || written[count] == UInt8(ascii: "-") { count += 1 }
        if count == written.count, count > 0, count <= 64 { return append(text) }
        let kept = text.lowercased().utf8.filter {
            (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: ".")
        }
        if kept.isEmpty { append("unknown") } else { octets.append(contentsOf: kept.prefix(64)) }
    }

    /// `pvalue` (RFC 8601 §2.2).
    private mutating func value(_ text: String) {
        let written = text.utf8Span.span
        // A token, or an address of two of them: nearly all are.
        var count = Self.tokenCount(written)
        if count < written.count, written[count] == UInt8(ascii: "@") {
            let domain = count + 1..<written.count
            count = !domain.isEmpty && Self.hasOnlyDomainOctets(written.extracting(domain)) ? written.count : count
        }
        if count == written.count, count > 0, count <= Self.valueLimit { return append(text) }
        append(pvalue(text))
    }

    /// A comment as words between which folds may be (RFC 5322 §3.2.2).
    private mutating func comment(_ text: String) {
        next()
        octets.append(UInt8(ascii: "("))
        var isBlank = false
        for octet in clean(text).utf8 {
            if octet == 0x20 {
                isBlank = true
                continue
            }
            if isBlank { next() }
            isBlank = false
            if octet == UInt8(ascii: "(") || octet == UInt8(ascii: ")") || octet == UInt8(ascii: "\\") { octets.append(UInt8(ascii: "\\")) }
            octets.append(octet)
        }
        if isBlank { next() }
        octets.append(UInt8(ascii: ")"))
    }

    private mutating func quotedString(_ text: String) {
        octets.append(UInt8(ascii: "\""))
        for octet in clean(text).utf8 {
            if octet == UInt8(ascii: "\"") || octet == UInt8(ascii: "\\") { octets.append(UInt8(ascii: "\\")) }
            octets.append(octet)
        }
        octets.append(UInt8(ascii: "\""))
    }

    /// How many octets of a token stand at the beginning.
    private static func tokenCount(_ octets: Span<UInt8>) -> Int {
        var count = 0
        while count < octets.count, octets[count] < 0x80, AuthenticationResultsParser.isToken(octets[count]) { count += 1 }
        return count
    }

    /// Whether octets are those of a domain in ASCII.
    private static func hasOnlyDomainOctets(_ octets: Span<UInt8>) -> Bool {
        for index in octets.indices where octets[index] >= 0x80 || !isDomainOctet(octets[index]) { return false }
        return true
    }

    /// `pvalue` (RFC 8601 §2.2): an address or a domain as it is, a token, or else a quoted string.
    private func pvalue(_ text: String) -> String {
        if !allowsUTF8, !text.utf8.allSatisfy({ $0 < 0x80 }) { return pvalue(inASCII(text)) }
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

    private func quoted(_ text: String) -> String {
        "\"" + clean(text).escaping { $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") } + "\""
    }

    /// At most ``valueLimit`` octets, tabs as blanks, control characters and line separators as `?`, and everything beyond ASCII where UTF-8 isn't allowed.
    private func clean(_ text: String) -> String {
        if text.utf8.count <= Self.valueLimit, text.isPrintableASCII { return text }
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
    private static func isDomain(_ text: Substring) -> Bool { !text.isEmpty && text.utf8.allSatisfy(isDomainOctet) }

    private static func isDomainOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A, 0x80..., UInt8(ascii: "."), UInt8(ascii: "-"), UInt8(ascii: "_"): true
        default: false
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
