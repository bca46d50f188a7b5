/// Why a text is no TLSA record.
public struct TLSARecordError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of fault.
    public enum Code: String, Hashable, Sendable {
        case missingField, invalidNumber, invalidDigit, oddDigits, noData, tooLong, invalidLength, unbalancedParentheses, notTLSA, tooMany
    }
    /// What is wrong.
    public var code: Code
    /// The line, from 1.
    public var line: Int
    /// In words.
    public var reason: String

    init(_ code: Code, line: Int, _ reason: String) {
        self.code = code
        self.line = line
        self.reason = reason
    }

    public var description: String { "line \(line): \(reason)" }
}

extension TLSARecord {
    /// The most octets of a text with records.
    public static let textLimit = 1 << 20
    /// The most records of a text.
    public static let countLimit = 1000

    /// Reads one record's data in presentation form (RFC 6698 §2.2): three numbers or the names of RFC 7218, and hexadecimal digits with
    /// blanks and parentheses as in a zone file (RFC 1035 §5.1); or `\#` with the octets on the wire (RFC 3597 §5).
    /// - Throws: ``TLSARecordError``.
    public init(parsing text: String) throws(TLSARecordError) {
        let records = try Self.records(parsing: text)
        guard let record = records.first, records.count == 1 else {
            throw TLSARecordError(.missingField, line: 1, "there are \(records.count) records instead of one (RFC 6698 §2.2)")
        }
        self = record
    }

    /// Reads records, each on a line of its own or with parentheses over several, with or without an owner's name, a time to live, a class and
    /// the type in front; comments after semicolons.
    /// - Throws: ``TLSARecordError`` that names the line.
    public static func records(parsing text: String) throws(TLSARecordError) -> [TLSARecord] {
        guard text.utf8.count <= textLimit else { throw TLSARecordError(.tooLong, line: 1, "the text has more than \(textLimit) octets") }
        var records: [TLSARecord] = []
        var words: [ArraySlice<UInt8>] = []
        var depth = 0
        var start = 1
        var number = 0
        for line in Array(text.utf8).split(separator: 0x0A, omittingEmptySubsequences: false) {
            number += 1
            if words.isEmpty { start = number }
            try scan(line, into: &words, depth: &depth, number)
            guard depth == 0, !words.isEmpty else { continue }
            guard records.count < countLimit else { throw TLSARecordError(.tooMany, line: number, "there are more than \(countLimit) records") }
            records.append(try record(words.map { String(decoding: $0, as: UTF8.self) }, line: start))
            words = []
        }
        guard depth == 0 else { throw TLSARecordError(.unbalancedParentheses, line: start, "a parenthesis is never closed (RFC 1035 §5.1)") }
        return records
    }

    /// Splits a line into words.
    private static func scan(
        _ line: ArraySlice<UInt8>, into words: inout [ArraySlice<UInt8>], depth: inout Int, _ number: Int
    ) throws(TLSARecordError) {
        var position = line.startIndex
        while position < line.endIndex {
            switch line[position] {
            case UInt8(ascii: ";"): return
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")"):
                guard depth > 0 else {
                    throw TLSARecordError(.unbalancedParentheses, line: number, "a parenthesis closes that was never opened (RFC 1035 §5.1)")
                }
                depth -= 1
            case let octet where isSeparator(octet): break
            default:
                let end = line[position...].firstIndex { isSeparator($0) } ?? line.endIndex
                words.append(line[position..<end])
                position = end
                continue
            }
            position += 1
        }
    }

    private static func isSeparator(_ octet: UInt8) -> Bool {
        octet <= 0x20 || octet == UInt8(ascii: ";") || octet == UInt8(ascii: "(") || octet == UInt8(ascii: ")")
    }

    private static let usageNames: [String: UInt8] = ["PKIX-TA": 0, "PKIX-EE": 1, "DANE-TA": 2, "DANE-EE": 3, "PRIVCERT": 255]
    private static let selectorNames: [String: UInt8] = ["CERT": 0, "SPKI": 1, "PRIVSEL": 255]
    private static let matchingNames: [String: UInt8] = ["FULL": 0, "SHA2-256": 1, "SHA2-512": 2, "PRIVMATCH": 255]

    private static func record(_ words: [String], line: Int) throws(TLSARecordError) -> TLSARecord {
        let rest = try data(in: words, line: line)
        if rest.first == "\\#" { return try generic(rest, line: line) }
        guard rest.count >= 3 else { throw TLSARecordError(.missingField, line: line, "a record has usage, selector, matching type and data (RFC 6698 §2.2)") }
        let usage = try number(rest[rest.startIndex], usageNames, "usage", line)
        let selector = try number(rest[rest.startIndex + 1], selectorNames, "selector", line)
        let matching = try number(rest[rest.startIndex + 2], matchingNames, "matching type", line)
        let octets = try octets(rest.dropFirst(3), line: line)
        guard !octets.isEmpty else { throw TLSARecordError(.noData, line: line, "the record has no data (RFC 6698 §2.2)") }
        return TLSARecord(usage: usage, selector: selector, matchingType: matching, data: octets)
    }

    /// The words after the type; where none is written, those that begin with the usage.
    private static func data(in words: [String], line: Int) throws(TLSARecordError) -> ArraySlice<String> {
        if let type = words.prefix(4).firstIndex(where: { ["TLSA", "TYPE52"].contains($0.uppercased()) }) { return words[(type + 1)...] }
        guard let first = words.first, first == "\\#" || isNumber(first) || usageNames[first.uppercased()] != nil else {
            // `_25._tcp.mx.kartapuce.test 3 1 1 …`: the type is left away.
            guard let first = words.first, first.contains("."), words.count >= 4 else {
                throw TLSARecordError(.notTLSA, line: line, "this is no TLSA record (RFC 6698 §2.2)")
            }
            return words[1...]
        }
        return words[...]
    }

    private static func isNumber(_ text: String) -> Bool { !text.isEmpty && text.utf8.allSatisfy { (0x30...0x39).contains($0) } }

    private static func number(_ text: String, _ names: [String: UInt8], _ field: String, _ line: Int) throws(TLSARecordError) -> UInt8 {
        if let value = names[text.uppercased()] { return value }
        guard isNumber(text), let value = UInt8(text) else {
            throw TLSARecordError(.invalidNumber, line: line, "“\(text.prefix(32))” is no \(field) (RFC 6698 §2.2)")
        }
        return value
    }

    private static func octets(_ words: ArraySlice<String>, line: Int) throws(TLSARecordError) -> [UInt8] {
        var octets: [UInt8] = []
        var high: UInt8?
        for word in words {
            for digit in word.utf8 {
                guard let value = Hexadecimal.value(digit) else {
                    throw TLSARecordError(.invalidDigit, line: line, "“\(word.prefix(32))” isn't written in hexadecimal digits (RFC 6698 §2.2)")
                }
                if let first = high {
                    octets.append(first << 4 | value)
                    high = nil
                } else {
                    high = value
                }
            }
        }
        guard high == nil else { throw TLSARecordError(.oddDigits, line: line, "the data has half an octet at its end (RFC 6698 §2.2)") }
        guard octets.count <= dataLimit else { throw TLSARecordError(.tooLong, line: line, "the data has more than \(dataLimit) octets (RFC 6698 §2.1)") }
        return octets
    }

    /// RFC 3597 §5: `\# LENGTH DIGITS`.
    private static func generic(_ words: ArraySlice<String>, line: Int) throws(TLSARecordError) -> TLSARecord {
        let octets = try octets(words.dropFirst(2), line: line)
        guard words.count >= 2, isNumber(words[words.startIndex + 1]), Int(words[words.startIndex + 1]) == octets.count else {
            throw TLSARecordError(.invalidLength, line: line, "the number after “\\#” isn't that of the octets (RFC 3597 §5)")
        }
        guard octets.count > 3, let record = TLSARecord(wire: octets) else {
            throw TLSARecordError(.noData, line: line, "a record has at least four octets (RFC 6698 §2.1)")
        }
        return record
    }
}
