extension AuthenticationResults {
    /// The octets of the longest value that is read.
    public static let octetLimit = 64 * 1024
    /// The most results of a field, and the most properties of a result.
    public static let resultLimit = 200
    /// The most comments that are kept, and the most characters of one.
    static let commentLimit = 100
    static let commentCharacterLimit = 2000

    /// Reads the value of a field, with or without its folds (RFC 8601 §2.2), and the older forms of RFC 5451 and RFC 7001.
    ///
    /// Some servers name themselves nowhere, end with a semicolon, or quote no value: that is taken, and named in ``deviations``.
    /// - Throws: ``AuthenticationResultsError`` with the place.
    public init(parsing octets: some Collection<UInt8>) throws(AuthenticationResultsError) {
        var parser = try AuthenticationResultsParser(Array(octets))
        self = try parser.run()
    }

    /// Reads a text.
    public init(parsing text: some StringProtocol) throws(AuthenticationResultsError) { try self.init(parsing: Array(text.utf8)) }

    /// Reads the value of an ARC-Authentication-Results field, `i=1; mx.kartapuce.test; …` (RFC 8617 §4.1.1).
    /// - Throws: ``AuthenticationResultsError`` with the place.
    public static func parsingARC(
        _ octets: some Collection<UInt8>
    ) throws(AuthenticationResultsError) -> (instance: Int, results: AuthenticationResults) {
        var parser = try AuthenticationResultsParser(Array(octets))
        let instance = try parser.takeInstance()
        return (instance, try parser.run())
    }
}

/// Reads a field token by token; each octet is looked at a fixed number of times.
struct AuthenticationResultsParser {
    private let octets: [UInt8]
    private var position = 0
    private var comments: [String] = []
    private var commentCount = 0
    private var deviations: Set<AuthenticationResults.Deviation> = []

    init(_ octets: [UInt8]) throws(AuthenticationResultsError) {
        guard octets.count <= AuthenticationResults.octetLimit else { throw AuthenticationResultsError(.tooLong, at: 0) }
        for (index, octet) in octets.enumerated() {
            switch octet {
            case 0x09, 0x20...0x7E, 0x80...0xFF: continue
            // A line end is a fold only where a blank follows, or at the very end (RFC 5322 §2.2.3).
            case 0x0D where index + 1 < octets.count && octets[index + 1] == 0x0A: continue
            case 0x0A where index + 1 == octets.count || octets[index + 1] == 0x20 || octets[index + 1] == 0x09: continue
            default: throw AuthenticationResultsError(.controlCharacter, at: index)
            }
        }
        self.octets = octets
    }

    private var peek: UInt8? { position < octets.count ? octets[position] : nil }
    private var isAtEnd: Bool { position >= octets.count }

    mutating func run() throws(AuthenticationResultsError) -> AuthenticationResults {
        var results = AuthenticationResults(identifier: "")
        try skipCFWS()
        guard !isAtEnd else { throw AuthenticationResultsError(.empty, at: position) }
        let start = position
        let identifier = try takeIdentifier()
        if identifier == nil || peek == UInt8(ascii: "=") {
            // “spf=pass …”: the first result stands where the name of the server should.
            position = start
            deviations.insert(.missingIdentifier)
            results.results.append(try takeResult())
        } else {
            results.identifier = identifier ?? ""
            results.version = try takeVersion()
        }
        results.comments = comments
        while !isAtEnd {
            guard peek == UInt8(ascii: ";") else {
                skipStrayText()
                try skipCFWS()
                continue
            }
            position += 1
            comments = []
            try skipCFWS()
            if isAtEnd || peek == UInt8(ascii: ";") {
                deviations.insert(.emptyResult)
                continue
            }
            if try takeNone() { continue }
            if try takeStrayName() { continue }
            guard results.results.count < AuthenticationResults.resultLimit else {
                throw AuthenticationResultsError(.tooManyResults, at: position)
            }
            results.results.append(try takeResult())
        }
        if results.results.isEmpty, !hasNone { deviations.insert(.noResult) }
        results.deviations = AuthenticationResults.Deviation.allCases.filter(deviations.contains)
        return results
    }

    private var hasNone = false

    /// `i=1;`.
    mutating func takeInstance() throws(AuthenticationResultsError) -> Int {
        try skipCFWS()
        guard let name = peek, name | 0x20 == UInt8(ascii: "i") else { throw AuthenticationResultsError(.invalidProperty, at: position) }
        position += 1
        try skipCFWS()
        guard peek == UInt8(ascii: "=") else { throw AuthenticationResultsError(.invalidProperty, at: position) }
        position += 1
        try skipCFWS()
        let start = position
        guard let instance = number() else { throw AuthenticationResultsError(.invalidProperty, at: start) }
        try skipCFWS()
        guard peek == UInt8(ascii: ";") else { throw AuthenticationResultsError(.invalidProperty, at: position) }
        position += 1
        return instance
    }

    /// A token or a quoted string, and the CFWS behind it; `nil` where a result of the form `method/1=` stands.
    private mutating func takeIdentifier() throws(AuthenticationResultsError) -> String? {
        let start = position
        let identifier: String
        if peek == UInt8(ascii: "\"") {
            identifier = text(try quotedString())
        } else {
            let word = take { Self.isToken($0) }
            guard !word.isEmpty else { throw AuthenticationResultsError(.invalidIdentifier, at: start) }
            identifier = text(word)
        }
        if peek == UInt8(ascii: "/") {
            let slash = position
            position += 1
            guard number() != nil else { throw AuthenticationResultsError(.invalidIdentifier, at: slash) }
            try skipCFWS()
            if peek == UInt8(ascii: "=") { return nil }
            position = slash
            deviations.insert(.slashedVersion)
        }
        try skipCFWS()
        if let next = peek, !Self.mayFollowIdentifier(next) { throw AuthenticationResultsError(.invalidIdentifier, at: position) }
        return identifier
    }

    private static func mayFollowIdentifier(_ octet: UInt8) -> Bool { isToken(octet) || ";/=".utf8.contains(octet) }

    private mutating func takeVersion() throws(AuthenticationResultsError) -> Int? {
        if peek == UInt8(ascii: "/") { position += 1 }
        guard let octet = peek, Self.isDigit(octet) else { return nil }
        let start = position
        guard let version = number() else { throw AuthenticationResultsError(.invalidVersion, at: start) }
        try skipCFWS()
        if let next = peek, next != UInt8(ascii: ";") { throw AuthenticationResultsError(.invalidVersion, at: position) }
        return version
    }

    /// `none` alone.
    private mutating func takeNone() throws(AuthenticationResultsError) -> Bool {
        let start = position
        guard String(decoding: take(Self.isKeyword), as: UTF8.self).lowercased() == "none" else {
            position = start
            return false
        }
        try skipCFWS()
        guard isAtEnd || peek == UInt8(ascii: ";") else {
            position = start
            return false
        }
        hasNone = true
        return true
    }

    /// A word alone, such as the name of the server that some repeat between their results.
    private mutating func takeStrayName() throws(AuthenticationResultsError) -> Bool {
        let start = position
        if !take(Self.isKeyword).isEmpty {
            try skipCFWS()
            if isAtEnd || peek == UInt8(ascii: ";") {
                deviations.insert(.strayText)
                return true
            }
        }
        position = start
        return false
    }

    private mutating func takeResult() throws(AuthenticationResultsError) -> AuthenticationResults.MethodResult {
        let start = position
        let method = take(Self.isKeyword)
        guard !method.isEmpty else { throw AuthenticationResultsError(.invalidMethod, at: start) }
        try skipCFWS()
        var version: Int?
        if peek == UInt8(ascii: "/") {
            position += 1
            try skipCFWS()
            version = number()
            guard version != nil else { throw AuthenticationResultsError(.invalidMethod, at: position) }
            try skipCFWS()
        }
        guard peek == UInt8(ascii: "=") else { throw AuthenticationResultsError(.invalidMethod, at: position) }
        position += 1
        try skipCFWS()
        let result = take(Self.isKeyword)
        guard !result.isEmpty else { throw AuthenticationResultsError(.invalidResult, at: position) }
        var found = AuthenticationResults.MethodResult(
            method: String(decoding: method, as: UTF8.self).lowercased(), methodVersion: version,
            result: String(decoding: result, as: UTF8.self).lowercased())
        try skipCFWS()
        while let octet = peek, octet != UInt8(ascii: ";") {
            try takeProperty(into: &found)
            try skipCFWS()
        }
        found.comments = comments
        comments = []
        return found
    }

    private mutating func takeProperty(into result: inout AuthenticationResults.MethodResult) throws(AuthenticationResultsError) {
        let word = String(decoding: take(Self.isKeywordWithoutDot), as: UTF8.self).lowercased()
        guard !word.isEmpty else { return skipStrayText() }
        try skipCFWS()
        var name: String?
        if peek == UInt8(ascii: ".") {
            position += 1
            try skipCFWS()
            name = String(decoding: take(Self.isKeyword), as: UTF8.self).lowercased()
            try skipCFWS()
        }
        guard peek == UInt8(ascii: "="), name != "" else { return skipStrayText() }
        position += 1
        try skipCFWS()
        let value = try takeValue()
        if name == nil, word == "reason" {
            result.reason = value
            return
        }
        guard result.properties.count < AuthenticationResults.resultLimit else { throw AuthenticationResultsError(.tooManyResults, at: position) }
        if name == nil { deviations.insert(.untypedProperty) }
        result.properties.append(AuthenticationResults.Property(name == nil ? "" : word, name ?? word, value))
    }

    /// `value / [ [ local-part ] "@" ] domain-name`; without quotes up to a blank, a semicolon or a comment.
    private mutating func takeValue() throws(AuthenticationResultsError) -> String {
        if peek == UInt8(ascii: "\"") {
            let start = position
            let content = try quotedString()
            guard peek == UInt8(ascii: "@") else { return text(content) }
            // The quotes belong to a local part.
            _ = take(Self.isValue)
            return text(octets[start..<position])
        }
        let value = take(Self.isValue)
        let domain = value.lastIndex(of: UInt8(ascii: "@")).map { value[($0 + 1)...] } ?? value
        let local = domain.startIndex > value.startIndex ? value[..<(domain.startIndex - 1)] : []
        let isAddress = domain.startIndex > value.startIndex && local.allSatisfy(Self.isLocalPart)
        if domain.isEmpty || !domain.allSatisfy(Self.isToken) || !local.isEmpty && !isAddress { deviations.insert(.unquotedValue) }
        return text(value)
    }

    /// Leaves out a word that means nothing here.
    private mutating func skipStrayText() {
        guard let octet = peek, octet != UInt8(ascii: ";") else { return }
        deviations.insert(.strayText)
        position += 1
        while let octet = peek, Self.isValue(octet) { position += 1 }
    }

    private mutating func skipCFWS() throws(AuthenticationResultsError) {
        while let octet = peek {
            switch octet {
            case 0x20, 0x09, 0x0D, 0x0A: position += 1
            case UInt8(ascii: "("): try skipComment()
            default: return
            }
        }
    }

    private mutating func skipComment() throws(AuthenticationResultsError) {
        let start = position
        var content: [UInt8] = []
        var depth = 0
        while let octet = peek {
            position += 1
            switch octet {
            case UInt8(ascii: "("):
                depth += 1
                if depth > 1 { content.append(octet) }
            case UInt8(ascii: ")"):
                depth -= 1
                if depth == 0 {
                    keepComment(content)
                    return
                }
                content.append(octet)
            case UInt8(ascii: "\\"):
                if let next = peek {
                    content.append(next)
                    position += 1
                }
            case 0x0D, 0x0A: break
            default: content.append(octet)
            }
        }
        throw AuthenticationResultsError(.unterminatedComment, at: start)
    }

    private mutating func keepComment(_ content: [UInt8]) {
        guard commentCount < AuthenticationResults.commentLimit else { return }
        commentCount += 1
        comments.append(String(text(content[...]).prefix(AuthenticationResults.commentCharacterLimit)))
    }

    private mutating func quotedString() throws(AuthenticationResultsError) -> ArraySlice<UInt8> {
        let start = position
        position += 1
        var content: [UInt8] = []
        while let octet = peek {
            position += 1
            switch octet {
            case UInt8(ascii: "\""): return content[...]
            case UInt8(ascii: "\\"):
                if let next = peek {
                    content.append(next)
                    position += 1
                }
            case 0x0D, 0x0A: break
            default: content.append(octet)
            }
        }
        throw AuthenticationResultsError(.unterminatedQuotedString, at: start)
    }

    private mutating func take(_ belongs: (UInt8) -> Bool) -> ArraySlice<UInt8> {
        let start = position
        while let octet = peek, belongs(octet) { position += 1 }
        return octets[start..<position]
    }

    /// Digits; `nil` where there are none, or too many for a version.
    private mutating func number() -> Int? {
        let digits = take(Self.isDigit)
        return digits.count <= 9 ? Int(String(decoding: digits, as: UTF8.self)) : nil
    }

    private mutating func text(_ octets: ArraySlice<UInt8>) -> String {
        if let text = String(validating: octets, as: UTF8.self) { return text }
        deviations.insert(.invalidUTF8)
        return String(decoding: octets, as: UTF8.self)
    }

    private static func isDigit(_ octet: UInt8) -> Bool { (0x30...0x39).contains(octet) }

    private static func isKeywordWithoutDot(_ octet: UInt8) -> Bool {
        isDigit(octet) || (0x41...0x5A).contains(octet) || (0x61...0x7A).contains(octet) || octet == UInt8(ascii: "-")
            || octet == UInt8(ascii: "_")
    }

    /// `Keyword` of RFC 5321 §4.1.2, with the underscores and dots that servers write.
    private static func isKeyword(_ octet: UInt8) -> Bool { isKeywordWithoutDot(octet) || octet == UInt8(ascii: ".") }

    /// `token` of RFC 2045 §5.1, with UTF-8 (RFC 6532 §3.2).
    static func isToken(_ octet: UInt8) -> Bool {
        switch octet {
        case 0...0x20, 0x7F: false
        // ( ) < > @ , ; : \ " / [ ] ? =
        case 0x28, 0x29, 0x3C, 0x3E, 0x40, 0x2C, 0x3B, 0x3A, 0x5C, 0x22, 0x2F, 0x5B, 0x5D, 0x3F, 0x3D: false
        default: true
        }
    }

    private static func isLocalPart(_ octet: UInt8) -> Bool { octet > 0x20 && octet != 0x7F && !"()<>@,;:\\\"[]".utf8.contains(octet) }

    private static func isValue(_ octet: UInt8) -> Bool { octet > 0x20 && octet != 0x7F && octet != UInt8(ascii: ";") && octet != UInt8(ascii: "(") }
}
