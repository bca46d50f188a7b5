public import DNS
public import MailMessage
public import NIOCore

/// An aggregate report as a message to one of its destinations (RFC 9990 §3.5.2).
public struct DMARCReportMessage: Hashable, Sendable {
    /// The report.
    public var report: DMARCAggregateReport
    /// The domain of the Mail Receiver that reports: `receiver` in the file's name, `Submitter` in the Subject.
    public var submitter: DomainName
    /// Who sends; its domain must pass DMARC in alignment, or the report is worth nothing.
    public var from: EmailAddress
    /// The destination.
    public var to: EmailAddress
    /// When.
    public var date: MessageDate
    /// With or without its angle brackets.
    public var messageID: String
    /// Distinguishes reports that are made at the same time: letters and digits of ASCII.
    public var uniqueID: String?

    /// Makes a message; nothing is checked before it is written.
    public init(
        report: DMARCAggregateReport, submitter: DomainName, from: EmailAddress, to: EmailAddress, date: MessageDate, messageID: String,
        uniqueID: String? = nil
    ) {
        self.report = report
        self.submitter = submitter
        self.from = from
        self.to = to
        self.date = date
        self.messageID = messageID
        self.uniqueID = uniqueID
    }

    /// `receiver.test!kartapuce.test!1795824000!1795910400.xml.gz`: the same for a report that is sent again.
    /// - Throws: ``ReportError`` where the policy's domain or the unique ID can't stand there.
    public func fileName() throws(ReportError) -> String {
        let unique = uniqueID.map { "!\($0)" } ?? ""
        guard uniqueID.map({ !$0.isEmpty && $0.utf8.allSatisfy(Self.isLetterOrDigit) }) ?? true else {
            throw ReportError(.invalidValue, "the unique ID has other octets than letters and digits (RFC 9990 §3.5.2)", field: "unique-id")
        }
        return "\(submitter.ascii)!\(try policyDomain().ascii)!\(report.metadata.begin)!\(report.metadata.end)\(unique).xml.gz"
    }

    /// `Report Domain: kartapuce.test Submitter: receiver.test Report-ID: <…>`.
    /// - Throws: ``ReportError`` where the policy's domain or the Report-ID can't stand there.
    public func subject() throws(ReportError) -> String {
        let reportID = report.metadata.reportID
        guard Self.isReportID(reportID) else {
            throw ReportError(.invalidValue, "the Report-ID doesn't have the form of RFC 9990 §3.5.1", field: "feedback/report_metadata/report_id")
        }
        let bracketed = reportID.hasPrefix("<") ? reportID : "<\(reportID)>"
        return "Report Domain: \(try policyDomain().ascii) Submitter: \(submitter.ascii) Report-ID: \(bracketed)"
    }

    /// The message with CRLF line ends, all of ASCII, to be signed and sent as it is.
    /// - Throws: ``ReportError``, as ``DMARCAggregateReport/xml()``.
    public func serialized() throws(ReportError) -> ByteBuffer {
        let attachment = try report.gzip()
        let text = "This is a DMARC aggregate report (RFC 9990).\r\nDomain: \(try policyDomain().ascii)\r\nSubmitter: \(submitter.ascii)\r\n"
        return ReportMessageWriter(
            from: from, to: to, subject: try subject(), date: date, messageID: messageID, text: text, attachment: attachment,
            attachmentType: "application/gzip", fileName: try fileName()
        ).serialized(mark: "\(ReportChecksum.crc32(attachment))")
    }

    private func policyDomain() throws(ReportError) -> DomainName {
        do throws(DomainNameError) {
            return try DomainName(report.policy.domain)
        } catch {
            throw ReportError(.invalidValue, error.description, field: "feedback/policy_published/domain")
        }
    }

    private static func isLetterOrDigit(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }

    /// `dot-atom-text ["@" dot-atom-text]`, with or without angle brackets (RFC 9990 §3.5.1).
    static func isReportID(_ text: String) -> Bool {
        var text = text[...]
        if text.hasPrefix("<") {
            guard text.hasSuffix(">"), text.utf8.count > 2 else { return false }
            text = text.dropFirst().dropLast()
        }
        let halves = text.split(separator: "@", omittingEmptySubsequences: false)
        guard halves.count <= 2, text.utf8.count <= 255 else { return false }
        return halves.allSatisfy { half in
            half.split(separator: ".", omittingEmptySubsequences: false).allSatisfy { atom in
                !atom.isEmpty && atom.utf8.allSatisfy { isLetterOrDigit($0) || "!#$%&'*+-/=?^_`{|}~".utf8.contains($0) }
            }
        }
    }
}
