/// Why something is no report that can be read.
public struct ReportError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: String, Hashable, Sendable, Codable {
        /// A message has no part that is a report.
        case noReport
        /// More octets than the limit, compressed or not.
        case tooLarge
        /// The octets grow more than the limit allows when they are decompressed.
        case growsTooMuch
        /// Compressed octets that don't fit their format (RFC 1951, RFC 1952), or whose checksum is wrong.
        case corrupt
        /// Compressed octets end too early.
        case truncated
        /// An archive without an XML file.
        case emptyArchive
        /// An archive with a feature that isn't read: encryption, ZIP64, another method than "stored" and "deflated".
        case unsupportedArchive
        /// The XML can't be read; ``ReportError/line`` and ``ReportError/column`` say where.
        case xml
        /// XML whose outermost element is no report.
        case notAReport
        /// A part that every report has isn't there; ``ReportError/field`` names it.
        case missing
        /// A value without which the report says nothing can't be read; ``ReportError/field`` names it.
        case invalidValue
        /// More records, results or fields than the limit.
        case tooMany
    }

    /// What is wrong.
    public var code: Code
    /// The element or header field, with those around it: `feedback/report_metadata/report_id`.
    public var field: String?
    /// The line of the XML, from 1.
    public var line: Int?
    /// What is wrong, for an operator.
    public var reason: String
    /// The octet of that line, from 1, where the XML itself can't be read.
    public var column: Int?

    @inline(never)
    init(_ code: Code, _ reason: String, field: String? = nil, line: Int? = nil, column: Int? = nil) {
        self.code = code
        self.reason = reason
        self.field = field
        self.line = line
        self.column = column
    }

    @inline(never)
    static func missing(_ field: String, line: Int? = nil) -> ReportError {
        ReportError(.missing, "“\(field)” is missing (RFC 9990 §3.1.1)", field: field, line: line)
    }

    @inline(never)
    static func xml(_ failure: XMLEventReader.Failure) -> ReportError {
        ReportError(.xml, failure.reason, line: failure.place.line, column: failure.place.column)
    }

    public var description: String {
        guard let line else { return reason }
        return "line \(line)\(column.map { ", column \($0)" } ?? ""): \(reason)"
    }
}

/// How much of a report is read.
public struct ReportLimits: Hashable, Sendable {
    /// The octets of a file or message as it comes.
    public var inputOctets = 64 << 20
    /// The octets after decompression.
    public var outputOctets = 64 << 20
    /// How many times larger the octets may become: deflate itself ends at 1032 (RFC 1951), reports are at 10 to 60.
    public var growth = 500
    /// Below so many octets growth doesn't count.
    public var growthFreeOctets = 1 << 20
    /// The files of an archive that are looked at.
    public var archiveEntries = 100
    /// The parts of a message that are tried.
    public var messageParts = 32
    /// The records of an aggregate report.
    public var records = 500_000
    /// The signatures of one record; RFC 9990 §3.1.3 wants at most 100 written.
    public var signatures = 1000
    /// The octets of a Report-ID and of the name of an organisation.
    public var nameOctets = 1024
    /// The fields of a feedback report.
    public var feedbackFields = 500
    /// The problems that are kept of one report; more are counted.
    public var problems = 100

    /// The limits that stand above.
    public init() {}
}
