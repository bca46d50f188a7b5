/// What breaks the rules of RFC 8461, RFC 8460 or RFC 8689 in a text.
public struct TransportSyntaxError: Error, Hashable, Sendable, CustomStringConvertible {
    /// In words, with the section.
    public var reason: String

    init(_ reason: String) { self.reason = reason }

    public var description: String { reason }
}

/// The TXT record at `_mta-sts`: which edition of its policy a domain has (RFC 8461 §3.1).
public struct MTASTSRecord: Hashable, Sendable {
    /// The edition: letters and digits that change with the policy.
    public let id: String

    /// Reads the strings of a TXT record, joined.
    /// - Throws: ``TransportSyntaxError``.
    public init(parsing text: [UInt8]) throws(TransportSyntaxError) {
        let fields = try TransportRecordFields(parsing: text, version: "v=STSv1", section: "RFC 8461 §3.1")
        // RFC 8461 §3.2: of fields that are repeated the first one counts.
        guard let field = fields.first("id") else { throw TransportSyntaxError("the field “id” is missing (RFC 8461 §3.1)") }
        guard (1...32).contains(field.count), field.allSatisfy({ TransportRecordFields.isAlphanumeric($0) }) else {
            throw TransportSyntaxError("“id” isn't 1 to 32 letters and digits (RFC 8461 §3.1)")
        }
        for (name, value) in fields.fields { try TransportRecordFields.checkExtension(name, value, "RFC 8461 §3.1") }
        id = String(decoding: field, as: UTF8.self)
    }

    /// Chooses among the records of an answer (RFC 8461 §3.1): those of other kinds are passed over, and just one may remain.
    public static func choose(_ texts: [[UInt8]]) -> MTASTSDiscovery {
        let candidates = texts.filter { TransportRecordFields.begins($0, with: "v=STSv1") }
        guard let text = candidates.first else { return .notFound }
        guard candidates.count == 1 else { return .several(candidates.count) }
        do {
            return .record(try MTASTSRecord(parsing: text))
        } catch {
            return .invalid(error.reason)
        }
    }
}

/// The fields of a TXT record of RFC 8461 or RFC 8460: `v=…; name=value; …`.
struct TransportRecordFields {
    /// The most octets of a record: a TXT record's own limit.
    static let textLimit = 65_535

    private(set) var fields: [(name: ArraySlice<UInt8>, value: ArraySlice<UInt8>)] = []

    init(parsing text: [UInt8], version: String, section: String) throws(TransportSyntaxError) {
        guard text.count <= Self.textLimit else { throw TransportSyntaxError("the record has more than \(Self.textLimit) octets") }
        guard text.starts(with: version.utf8) else { throw TransportSyntaxError("the record doesn't begin with “\(version)” (\(section))") }
        var parts = text.split(separator: UInt8(ascii: ";"), omittingEmptySubsequences: false)[...]
        guard let first = parts.popFirst(), Self.trimmed(first, atStart: false).count == version.utf8.count else {
            throw TransportSyntaxError("the version isn't “\(version)” (\(section))")
        }
        while let part = parts.popFirst() {
            // Blanks stand around semicolons only: a record without a semicolon at its end has none there.
            let field = parts.isEmpty ? Self.trimmed(part, atEnd: false) : Self.trimmed(part)
            if field.isEmpty, parts.isEmpty, !fields.isEmpty { break }
            guard let equals = field.firstIndex(of: UInt8(ascii: "=")) else {
                throw TransportSyntaxError(field.isEmpty ? "a field is empty (\(section))" : "a field has no “=” (\(section))")
            }
            fields.append((field[..<equals], field[(equals + 1)...]))
        }
        guard !fields.isEmpty else { throw TransportSyntaxError("there is nothing after the version (\(section))") }
    }

    /// The value of the first field of a name; names are compared as they are written (RFC 7405).
    func first(_ name: String) -> ArraySlice<UInt8>? { fields.first { $0.name.elementsEqual(name.utf8) }?.value }

    /// Whether a record is of this version: what follows it is a semicolon.
    static func begins(_ text: [UInt8], with version: String) -> Bool {
        guard text.starts(with: version.utf8) else { return false }
        return text.dropFirst(version.utf8.count).first { !isBlank($0) } == UInt8(ascii: ";")
    }

    static func checkExtension(_ name: ArraySlice<UInt8>, _ value: ArraySlice<UInt8>, _ section: String) throws(TransportSyntaxError) {
        try checkName(name, section)
        guard !value.isEmpty else { throw TransportSyntaxError("“\(word(name))” has no value (\(section))") }
        guard value.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: "=") && $0 != UInt8(ascii: ";") }) else {
            throw TransportSyntaxError("the value of “\(word(name))” has a character that can't stand there (\(section))")
        }
    }

    /// A letter or digit, then up to 31 of those, “_”, “-” and “.”.
    static func checkName(_ name: ArraySlice<UInt8>, _ section: String) throws(TransportSyntaxError) {
        guard let first = name.first, isAlphanumeric(first), name.count <= 32,
            name.allSatisfy({ isAlphanumeric($0) || $0 == UInt8(ascii: "_") || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: ".") })
        else { throw TransportSyntaxError("“\(word(name))” is no name of a field (\(section))") }
    }

    static func isAlphanumeric(_ octet: UInt8) -> Bool {
        switch octet {
        case 0x30...0x39, 0x41...0x5A, 0x61...0x7A: true
        default: false
        }
    }

    static func isBlank(_ octet: UInt8) -> Bool { octet == 0x20 || octet == 0x09 }

    static func trimmed(_ octets: ArraySlice<UInt8>, atStart: Bool = true, atEnd: Bool = true) -> ArraySlice<UInt8> {
        var octets = octets
        if atStart { octets = octets.drop { isBlank($0) } }
        while atEnd, let last = octets.last, isBlank(last) { octets.removeLast() }
        return octets
    }

    /// The beginning of a word of a stranger's, for a message.
    static func word(_ octets: ArraySlice<UInt8>) -> String {
        String(decoding: octets.prefix(40).map { (0x20...0x7E).contains($0) ? $0 : UInt8(ascii: "?") }, as: UTF8.self)
    }
}
