internal import Crypto
internal import DNS
internal import FoundationEssentials
public import MailMessage
public import NIOCore

/// A report on TLS as a message to one of its destinations (RFC 8460 §5.3). It must be signed by DKIM, and sent whatever becomes of TLS (RFC 8460
/// §3): see ``TransportPolicyInput/isReport``.
public struct TLSRPTReportMessage: Hashable, Sendable {
    /// The report.
    public var report: TLSRPTReport
    /// Who sends; its domain must be that of the report's contact.
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
    public init(report: TLSRPTReport, from: EmailAddress, to: EmailAddress, date: MessageDate, messageID: String, uniqueID: String? = nil) {
        self.report = report
        self.from = from
        self.to = to
        self.date = date
        self.messageID = messageID
        self.uniqueID = uniqueID
    }

    /// `relay.kartapuce.test!gmail.test!1795824000!1795910399.json.gz` (RFC 8460 §5.1): the same for a report that is sent again.
    /// - Throws: ``TransportSyntaxError`` where a part can't stand there.
    public func fileName(isCompressed: Bool) throws(TransportSyntaxError) -> String {
        guard uniqueID.map({ !$0.isEmpty && $0.utf8.allSatisfy(TransportRecordFields.isAlphanumeric) }) ?? true else {
            throw TransportSyntaxError("the unique ID has other octets than letters and digits (RFC 8460 §5.1)")
        }
        let begin = Int(report.results.day.timeIntervalSince1970)
        let end = Int(report.end.timeIntervalSince1970)
        return "\(try submitter().ascii)!\(report.results.domain.ascii)!\(begin)!\(end)\(uniqueID.map { "!\($0)" } ?? "").json\(isCompressed ? ".gz" : "")"
    }

    /// `Report Domain: gmail.test Submitter: kartapuce.test Report-ID: <…>` (RFC 8460 §5.3).
    /// - Throws: ``TransportSyntaxError`` where a part can't stand there.
    public func subject() throws(TransportSyntaxError) -> String {
        let text = report.identifier
        guard text.utf8.count <= 250, text.split(separator: "@", omittingEmptySubsequences: false).count == 2,
            text.utf8.allSatisfy({ (0x21...0x7E).contains($0) && !"<>\"\\(),;:[]".utf8.contains($0) }), !text.hasPrefix("@"), !text.hasSuffix("@")
        else { throw TransportSyntaxError("the report's identifier isn't “id-left@id-right” (RFC 8460 §5.3)") }
        return "Report Domain: \(report.results.domain.ascii) Submitter: \(try submitter().ascii) Report-ID: <\(text)>"
    }

    private func submitter() throws(TransportSyntaxError) -> DomainName {
        guard let submitter = report.submitter else { throw TransportSyntaxError("the contact “\(report.contact)” has no domain (RFC 8460 §5.3)") }
        return submitter
    }

    /// The message with CRLF line ends, to be signed and sent as it is.
    /// - Parameter gzip: compresses; `nil` sends the report as it is.
    /// - Throws: ``TransportSyntaxError``, or what `gzip` throws.
    public func serialized(gzip: (([UInt8]) throws -> [UInt8])? = nil) throws -> ByteBuffer {
        let json = report.json()
        let attachment = try gzip.map { try $0(json) } ?? json
        let submitter = try submitter().ascii
        let domain = report.results.domain.ascii
        var writer = ReportMessageWriter(
            from: from, to: to, subject: try subject(), date: date, messageID: messageID,
            text: "This is an aggregate report on TLS (RFC 8460).\r\nDomain: \(domain)\r\nSubmitter: \(submitter)\r\n", attachment: attachment,
            attachmentType: Self.mediaType(isCompressed: gzip != nil), fileName: try fileName(isCompressed: gzip != nil))
        // RFC 8460 §3: a report is sent whatever becomes of TLS on its way.
        writer.fields = [("TLS-Report-Domain", domain), ("TLS-Report-Submitter", submitter), ("TLS-Required", "No")]
        writer.contentType = "multipart/report; report-type=\"tlsrpt\""
        return writer.serialized(mark: HexDigits.text(Array(SHA256.hash(data: attachment).prefix(12))))
    }

    /// What a report is, in a message and by HTTPS (RFC 8460 §5.3, §5.4).
    public static func mediaType(isCompressed: Bool) -> String { isCompressed ? "application/tlsrpt+gzip" : "application/tlsrpt+json" }
}
