public import DNS

/// A domain's policy on the hosts that take its mail (RFC 8461 §3.2).
public struct MTASTSPolicy: Hashable, Sendable {
    /// What a sender does where a host doesn't satisfy the policy (RFC 8461 §5).
    public enum Mode: String, Hashable, Sendable, Codable, CaseIterable {
        /// It sends nothing there.
        case enforce
        /// It sends, and reports.
        case testing
        /// There is no policy any more.
        case none
    }

    /// A name, or a suffix for one label more.
    public struct Pattern: Hashable, Sendable, CustomStringConvertible {
        /// The name without the wildcard.
        public var name: DomainName
        /// Whether it was written with `*.` before it.
        public var isWildcard: Bool

        public var description: String { isWildcard ? "*.\(name.ascii)" : name.ascii }

        /// Whether a host's name is meant: a wildcard stands for the whole leftmost label, and for just one (RFC 8461 §4.1).
        public func matches(_ host: DomainName) -> Bool { isWildcard ? host.parent == name : host == name }
    }

    /// What a sender does where a host doesn't satisfy the policy.
    public let mode: Mode
    /// The hosts.
    public let patterns: [Pattern]
    /// How many seconds after it was fetched the policy counts.
    public let maximumAgeSeconds: Int
    /// The lines as they were published, for reports (RFC 8460 §4.5).
    public let lines: [String]
    /// What the parser changed.
    public let notes: [String]

    /// The most octets of a policy (RFC 8461 §3.3).
    public static let sizeLimit = 64 << 10
    /// The longest age, about a year (RFC 8461 §3.2).
    public static let maximumAgeLimit = 31_557_600

    /// Reads the body of the resource.
    /// - Throws: ``TransportSyntaxError``.
    public init(parsing body: [UInt8]) throws(TransportSyntaxError) {
        guard body.count <= Self.sizeLimit else { throw TransportSyntaxError("the policy has more than \(Self.sizeLimit) octets (RFC 8461 §3.3)") }
        var reader = MTASTSPolicyReader()
        var rows = body.split(separator: 0x0A, omittingEmptySubsequences: false)
        // The last field may have an end of line or none.
        if rows.count > 1, rows.last?.isEmpty == true { rows.removeLast() }
        for (index, row) in rows.enumerated() {
            try reader.take(row.last == 0x0D && (index < rows.count - 1 || body.last == 0x0A) ? row.dropLast() : row)
        }
        guard reader.hasVersion else { throw TransportSyntaxError("the field “version” is missing (RFC 8461 §3.2)") }
        guard let mode = reader.mode else { throw TransportSyntaxError("the field “mode” is missing (RFC 8461 §3.2)") }
        guard let age = reader.maximumAge else { throw TransportSyntaxError("the field “max_age” is missing (RFC 8461 §3.2)") }
        guard mode == .none || !reader.patterns.isEmpty else {
            throw TransportSyntaxError("a policy of mode “\(mode.rawValue)” has at least one “mx” (RFC 8461 §3.2)")
        }
        self.mode = mode
        patterns = reader.patterns
        maximumAgeSeconds = min(age, Self.maximumAgeLimit)
        notes = age > Self.maximumAgeLimit ? ["max_age \(age) counts as \(Self.maximumAgeLimit), the longest that there is (RFC 8461 §3.2)"] : []
        lines = reader.lines
    }

    /// Whether one of the patterns means a host (RFC 8461 §4.1).
    public func allows(_ host: DomainName) -> Bool { patterns.contains { $0.matches(host) } }
}

/// Reads the fields of a policy (RFC 8461 §3.2).
struct MTASTSPolicyReader {
    private(set) var hasVersion = false
    private(set) var mode: MTASTSPolicy.Mode?
    private(set) var maximumAge: Int?
    private(set) var patterns: [MTASTSPolicy.Pattern] = []
    private(set) var lines: [String] = []

    /// One line without its end.
    mutating func take(_ line: ArraySlice<UInt8>) throws(TransportSyntaxError) {
        let field = TransportRecordFields.trimmed(line, atStart: false)
        guard let colon = field.firstIndex(of: UInt8(ascii: ":")) else {
            throw TransportSyntaxError(field.isEmpty ? "a line is empty (RFC 8461 §3.2)" : "a line has no colon (RFC 8461 §3.2)")
        }
        let name = field[..<colon]
        let value = TransportRecordFields.trimmed(field[(colon + 1)...])
        try TransportRecordFields.checkName(name, "RFC 8461 §3.2")
        let text = try Self.text(value, of: name)
        lines.append("\(String(decoding: name, as: UTF8.self)): \(text)")
        switch String(decoding: name, as: UTF8.self) {
        case "version":
            if hasVersion { return }
            guard text == "STSv1" else { throw TransportSyntaxError("the version is “\(text.prefix(40))”, not “STSv1” (RFC 8461 §3.2)") }
            hasVersion = true
        case "mode":
            if mode != nil { return }
            guard let known = MTASTSPolicy.Mode(rawValue: text) else {
                throw TransportSyntaxError("the mode “\(text.prefix(40))” isn't enforce, testing or none (RFC 8461 §3.2)")
            }
            mode = known
        case "max_age":
            if maximumAge != nil { return }
            guard (1...10).contains(value.count), value.allSatisfy({ (0x30...0x39).contains($0) }), let seconds = Int(text) else {
                throw TransportSyntaxError("“max_age” isn't 1 to 10 digits (RFC 8461 §3.2)")
            }
            maximumAge = seconds
        case "mx": patterns.append(try Self.pattern(text))
        default: break
        }
    }

    /// Letters without controls, in UTF-8.
    private static func text(_ value: ArraySlice<UInt8>, of name: ArraySlice<UInt8>) throws(TransportSyntaxError) -> String {
        let field = TransportRecordFields.word(name)
        guard !value.isEmpty else { throw TransportSyntaxError("“\(field)” has no value (RFC 8461 §3.2)") }
        guard value.allSatisfy({ $0 >= 0x20 && $0 != 0x7F }), let text = String(validating: value, as: UTF8.self) else {
            throw TransportSyntaxError("the value of “\(field)” has characters that can't stand there (RFC 8461 §3.2)")
        }
        return text
    }

    /// `["*."] Domain`, its labels letters, digits and hyphens (RFC 5321 §4.1.2).
    private static func pattern(_ text: String) throws(TransportSyntaxError) -> MTASTSPolicy.Pattern {
        let isWildcard = text.hasPrefix("*.")
        let rest = isWildcard ? String(text.dropFirst(2)) : text
        guard rest.utf8.allSatisfy({ TransportRecordFields.isAlphanumeric($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") }),
            !rest.hasSuffix("."), let name = try? DomainName(rest)
        else { throw TransportSyntaxError("“\(text.prefix(80))” is no pattern of a host's name (RFC 8461 §3.2)") }
        return MTASTSPolicy.Pattern(name: name, isWildcard: isWildcard)
    }
}
