import Crypto
public import DNS
import FoundationEssentials
public import MailMessage
public import NIOCore

/// Replaces what names a person by a keyed hash (RFC 6590): the same address gives the same text under the same key, and nobody without the key
/// can test a guess.
public struct FailureReportRedactor: Sendable {
    private let key: SymmetricKey

    /// Takes a secret key, of 16 octets at least.
    /// - Throws: ``ReportError`` for a shorter key.
    public init(key: [UInt8]) throws(ReportError) {
        guard key.count >= 16 else { throw ReportError(.invalidValue, "the key of the redaction has less than 16 octets (RFC 6590 §3)") }
        self.key = SymmetricKey(data: key)
    }

    /// The hash of a local part, of 16 hexadecimal digits.
    public func hash(_ localPart: some StringProtocol) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: Data(localPart.utf8), using: key)
        return String(decoding: code.prefix(8).flatMap { [HexDigits.lowercase($0 >> 4), HexDigits.lowercase($0 & 15)] }, as: UTF8.self)
    }

    /// The address with its local part hashed.
    public func redact(_ address: EmailAddress) -> String { "\(hash(address.localPart))@\(address.domain)" }

    /// A text in which everything that stands before an `@` is hashed: from the last blank, bracket, comma or semicolon on, but for the name of
    /// a property before `=`, and as a whole where it is quoted.
    public func redact(_ text: some StringProtocol) -> String {
        let octets = Array(text.utf8)
        var result: [UInt8] = []
        var kept = 0
        for (index, octet) in octets.enumerated() where octet == UInt8(ascii: "@") {
            // Further than the last `@` nothing is looked at again: the text is gone through once.
            let start = localPartStart(octets, from: kept, to: index)
            guard start < index else { continue }
            result += octets[kept..<start]
            result += hash(String(decoding: octets[start..<index], as: UTF8.self)).utf8
            kept = index
        }
        return String(decoding: result + octets[kept...], as: UTF8.self)
    }

    private func localPartStart(_ octets: [UInt8], from lowest: Int, to end: Int) -> Int {
        var start = end
        if end > lowest, octets[end - 1] == UInt8(ascii: "\"") {
            start = end - 1
            while start > lowest, octets[start - 1] != UInt8(ascii: "\"") || (start - 1 > lowest && octets[start - 2] == UInt8(ascii: "\\")) {
                start -= 1
            }
            return max(lowest, start - 1)
        }
        while start > lowest, !Self.isDelimiter(octets[start - 1]) { start -= 1 }
        // `smtp.mailfrom=bob` keeps its name.
        if let equals = octets[start..<end].firstIndex(of: UInt8(ascii: "=")) { start = equals + 1 }
        return start
    }

    private static func isDelimiter(_ octet: UInt8) -> Bool { TagList.isSpace(octet) || "<>(),;[]@:".utf8.contains(octet) }
}

/// A report about one message that failed DMARC, or about several alike (RFC 9991, RFC 6591), without what names people.
///
/// Whether such reports are sent at all, to whom, and how many, is for the caller to decide: they are a risk to the privacy of those who wrote
/// and got the message (RFC 9991 §7), and every sender of them must limit their rate (RFC 9991 §2).
public struct FailureReport: Sendable {
    /// What failed (RFC 6591 §3.3, RFC 9991 §4).
    public enum Failure: String, Hashable, Sendable, Codable {
        case dmarc, spf, bodyhash, signature, revoked
    }

    /// What was done with the message (RFC 6591 §3.2.2).
    public enum Delivery: String, Hashable, Sendable, Codable {
        case delivered, spam, policy, reject, other
    }

    /// A signature whose domain is aligned and that failed.
    public struct Signature: Hashable, Sendable {
        /// The tag `d`.
        public var domain: String
        /// The tag `i`; its local part is hashed.
        public var identity: String
        /// The tag `s`.
        public var selector: String

        /// Makes a signature.
        public init(domain: String, identity: String, selector: String) {
            self.domain = domain
            self.identity = identity
            self.selector = selector
        }
    }

    /// The domain of From.
    public var reportedDomain: DomainName
    /// What failed.
    public var failure: Failure
    /// The mechanisms that didn't pass in alignment, `dkim` or `spf`; empty where all did.
    public var identityAlignment: [String]
    /// The value of Authentication-Results; addresses in it are hashed.
    public var authenticationResults: String
    /// The address that the message came from.
    public var sourceIP: IPAddress?
    /// The reverse-path; its local part is hashed.
    public var mailFrom: EmailAddress?
    /// When the message came.
    public var arrivalDate: MessageDate?
    /// What was done with it.
    public var delivery: Delivery?
    /// The signature that failed.
    public var signature: Signature?
    /// The SPF records that were used, each as `txt : domain : "record"` (RFC 6591 §4).
    public var spfDNS: [String] = []
    /// For how many messages the report stands (RFC 9991 §8.1).
    public var incidents = 1
    /// The program that reports, as `Name/version`.
    public var userAgent: String
    /// The name of the host that reports.
    public var reportingMTA: DomainName

    /// Makes a report.
    public init(
        reportedDomain: DomainName, failure: Failure, identityAlignment: [String], authenticationResults: String, userAgent: String,
        reportingMTA: DomainName
    ) {
        self.reportedDomain = reportedDomain
        self.failure = failure
        self.identityAlignment = identityAlignment
        self.authenticationResults = authenticationResults
        self.userAgent = userAgent
        self.reportingMTA = reportingMTA
    }
}

/// Writes failure reports.
public struct FailureReportWriter: Sendable {
    /// Who sends; its domain should pass DMARC in alignment (RFC 9991 §5.1).
    public var from: EmailAddress
    /// Hashes what names people.
    public var redactor: FailureReportRedactor

    /// Makes a writer.
    public init(from: EmailAddress, redactor: FailureReportRedactor) {
        self.from = from
        self.redactor = redactor
    }

    /// Makes the message (RFC 5965 §2), with CRLF line ends, to be signed and sent as it is. Subject and body of the original are never in it,
    /// nor the fields of its header that aren't needed to see why it failed.
    /// - Parameters:
    ///   - original: the header of the message that failed.
    ///   - boundary: unguessable for the original's author, at most 60 letters and digits.
    public func serialize(
        _ report: FailureReport, original: HeaderSection, to: EmailAddress, date: MessageDate, messageID: String, boundary: String
    ) -> ByteBuffer {
        let boundary =
            "=_" + String(boundary.unicodeScalars.filter { $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil) }.prefix(60))
        var header = HeaderWriter(allowsUTF8: !from.isASCII || !to.isASCII)
        header.addresses("From", [HeaderMailbox(writtenDisplayName: nil, from)])
        header.addresses("To", [HeaderMailbox(writtenDisplayName: nil, to)])
        header.unstructured("Subject", "Authentication failure report for \(report.reportedDomain.ascii)")
        header.date("Date", date)
        header.structured("Message-ID", messageID.hasPrefix("<") ? messageID : "<\(messageID)>")
        // RFC 3834 §5: nobody answers this automatically.
        header.structured("Auto-Submitted", "auto-generated")
        header.structured("MIME-Version", "1.0")
        header.structured("Content-Type", "multipart/report; report-type=feedback-report; boundary=\"\(boundary)\"")
        header.endSection()
        var buffer = header.buffer
        part(&buffer, boundary, "text/plain; charset=us-ascii")
        buffer.writeString("This is a report on mail from \(report.reportedDomain.ascii) that failed authentication.\r\n")
        buffer.writeString("Names of people are replaced by hashes; the text of the mail is left out.\r\n\r\n")
        part(&buffer, boundary, "message/feedback-report")
        buffer.writeImmutableBuffer(fields(report))
        buffer.writeString("\r\n")
        part(&buffer, boundary, "text/rfc822-headers")
        buffer.writeImmutableBuffer(redacted(original))
        buffer.writeString("\r\n--\(boundary)--\r\n")
        return buffer
    }

    private func part(_ buffer: inout ByteBuffer, _ boundary: String, _ type: String) {
        var fields = HeaderWriter()
        fields.structured("Content-Type", type)
        fields.structured("Content-Transfer-Encoding", "7bit")
        fields.endSection()
        buffer.writeString("--\(boundary)\r\n")
        buffer.writeImmutableBuffer(fields.buffer)
    }

    private func fields(_ report: FailureReport) -> ByteBuffer {
        var writer = HeaderWriter()
        func add(_ name: String, _ value: String) { writer.structured(name, Self.ascii(value)) }
        add("Feedback-Type", "auth-failure")
        add("Version", "1")
        add("User-Agent", report.userAgent)
        add("Auth-Failure", report.failure.rawValue)
        add("Authentication-Results", redactor.redact(report.authenticationResults))
        let mechanisms = ["dkim", "spf"].filter(report.identityAlignment.contains)
        add("Identity-Alignment", mechanisms.isEmpty ? "none" : mechanisms.joined(separator: ", "))
        add("Reporting-MTA", "dns; \(report.reportingMTA.ascii)")
        add("Reported-Domain", report.reportedDomain.ascii)
        if let mailFrom = report.mailFrom { add("Original-Mail-From", "<\(redactor.redact(mailFrom))>") }
        if let date = report.arrivalDate { add("Arrival-Date", date.description) }
        if let source = report.sourceIP { add("Source-IP", source.description) }
        if let delivery = report.delivery { add("Delivery-Result", delivery.rawValue) }
        if report.incidents > 1 { add("Incidents", String(report.incidents)) }
        if let signature = report.signature {
            add("DKIM-Domain", signature.domain)
            add("DKIM-Identity", redactor.redact(signature.identity))
            add("DKIM-Selector", signature.selector)
        }
        for record in report.spfDNS.prefix(10) { add("SPF-DNS", record) }
        return writer.buffer
    }

    /// What is needed to see why a message failed, and no more.
    private func redacted(_ original: HeaderSection) -> ByteBuffer {
        var writer = HeaderWriter()
        for field in original.prefix(200) {
            switch field.name.lowercased() {
            case "from", "sender", "reply-to":
                let list = AddressList(parsing: field.unfoldedOctets).mailboxes.prefix(20)
                // Names of people stand before the addresses: they are left out.
                let addresses = list.map { "\(redactor.hash($0.localPart))@\(Self.domain($0.domain))" }
                writer.structured(field.name, addresses.joined(separator: ", "))
            case "message-id", "list-id":
                // Before the brackets of List-Id stands a description, which may name somebody (RFC 2919 §3).
                let value = field.value
                guard let start = value.lastIndex(of: "<"), let end = value[start...].firstIndex(of: ">") else { continue }
                writer.structured(field.name, Self.ascii(redactor.redact(value[start...end].prefix(998))))
            case "date":
                if let date = MessageDate(parsing: field.unfoldedOctets) { writer.date("Date", date) }
            case "dkim-signature":
                if let value = signature(field) { writer.structured(field.name, value) }
            default: break
            }
        }
        return writer.buffer
    }

    /// The tags that verify; `z` has a copy of other fields, and other tags may have anything.
    private func signature(_ field: HeaderField) -> String? {
        guard let list = try? TagList(parsing: field.unfoldedOctets) else { return nil }
        let kept = list.tags.filter { ["v", "a", "c", "d", "s", "i", "q", "t", "x", "l", "h", "bh", "b"].contains($0.name) }
        return Self.ascii(kept.map { "\($0.name)=\($0.name == "i" ? redactor.redact($0.value) : $0.value)" }.joined(separator: "; "))
    }

    /// A domain, or what stands in its place: from outside it may be anything.
    private static func domain(_ text: String) -> String { (try? DomainName(text))?.ascii ?? "invalid" }

    private static func ascii(_ text: String) -> String { String(text.unicodeScalars.prefix(4000).map { $0.isASCII ? Character($0) : "?" }) }
}
