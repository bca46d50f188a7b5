public import DNS
public import MailMessage
public import NIOCore

/// A feedback report in the Abuse Reporting Format (RFC 5965), also about a failed authentication (RFC 6591, RFC 9991).
///
/// Everything in it was written by whoever sent it.
public struct FeedbackReport: Hashable, Sendable, Codable {
    /// A field of the part for programs.
    public struct Field: Hashable, Sendable, Codable {
        /// The name as it is written.
        public var name: String
        /// The value without folds; blanks within stay as they are written.
        public var value: String
    }

    /// The message, or its header section, that the report is about.
    public struct Original: Hashable, Sendable {
        /// Whether it is the header section alone.
        public var isHeaderOnly: Bool
        /// Its octets.
        public var octets: [UInt8]
    }

    /// All fields in their order.
    public var fields: [Field]
    /// The original; `nil` where the report has none.
    public var original: Original?
    /// What deviates from RFC 5965 and RFC 6591.
    public var problems: [String]

    /// The values of a field, in their order; the case of the name doesn't count.
    public func values(_ name: String) -> [String] {
        let name = name.lowercased()
        return fields.filter { $0.name.lowercased() == name }.map(\.value)
    }

    /// The first value of a field.
    public func value(_ name: String) -> String? {
        let name = name.lowercased()
        return fields.first { $0.name.lowercased() == name }?.value
    }

    /// A value that is one word, comments left out, in lower case.
    private func word(_ name: String) -> String? { value(name).map { FeedbackReport.withoutComments($0).lowercased() } }

    /// `abuse`, `auth-failure`, `fraud`, `not-spam`, `other`, `virus` or another word, in lower case (RFC 5965 §7.3).
    public var feedbackType: String { word("Feedback-Type") ?? "" }
    /// The program that made the report (RFC 5965 §3.1).
    public var userAgent: String? { value("User-Agent") }
    /// The version of the format: 1 (RFC 5965 §3.1).
    public var version: Int? { word("Version").flatMap { Int($0) } }
    /// When the original arrived: Arrival-Date, or the older Received-Date.
    public var arrivalDate: MessageDate? { (value("Arrival-Date") ?? value("Received-Date")).flatMap { MessageDate(parsing: $0) } }
    /// The values of Authentication-Results.
    public var authenticationResults: [String] { values("Authentication-Results") }
    /// For how many messages the report stands; 1 where nothing is said (RFC 5965 §3.2).
    public var incidents: Int { word("Incidents").flatMap { Int($0) }.map { max(0, $0) } ?? 1 }
    /// The envelope identifier (ENVID) of the original.
    public var originalEnvelopeID: String? { value("Original-Envelope-Id") }
    /// The reverse-path of the original as it is written.
    public var originalMailFrom: String? { value("Original-Mail-From") }
    /// The recipients of the original as they are written.
    public var originalRecipients: [String] { values("Original-Rcpt-To") }
    /// Domains that the reporter holds responsible.
    public var reportedDomains: [String] { values("Reported-Domain") }
    /// URIs of the original that the reporter complains of.
    public var reportedURIs: [String] { values("Reported-URI") }
    /// The name of the host that made the report.
    public var reportingMTA: String? {
        value("Reporting-MTA").map { text in
            let parts = text.split(separator: ";", maxSplits: 1)
            return FeedbackReport.withoutComments(String(parts.last ?? ""))
        }
    }
    /// The address that the original came from.
    public var sourceIP: IPAddress? { value("Source-IP").flatMap { IPAddress(FeedbackReport.withoutComments($0)) } }
    /// The port that the original came from (RFC 6692).
    public var sourcePort: UInt16? { word("Source-Port").flatMap { UInt16($0) } }
    /// `adsp`, `bodyhash`, `dmarc`, `revoked`, `signature`, `spf` or another word (RFC 6591 §3.3, RFC 9991 §4).
    public var authFailure: String? { word("Auth-Failure") }
    /// `delivered`, `spam`, `policy`, `reject`, `other` or another word (RFC 6591 §3.2.2).
    public var deliveryResult: String? { word("Delivery-Result") }
    /// The signature's `d` (RFC 6591 §3.2.3).
    public var dkimDomain: String? { value("DKIM-Domain").map(FeedbackReport.withoutComments) }
    /// The signature's `i`.
    public var dkimIdentity: String? { value("DKIM-Identity").map(FeedbackReport.withoutComments) }
    /// The signature's `s`.
    public var dkimSelector: String? { value("DKIM-Selector").map(FeedbackReport.withoutComments) }
    /// The key record (RFC 6651 §7).
    public var dkimSelectorDNS: String? { value("DKIM-Selector-DNS") }
    /// The header as it was signed, in Base64 without its blanks (RFC 6591 §3.2.4).
    public var dkimCanonicalizedHeader: String? { value("DKIM-Canonicalized-Header").map(FeedbackReport.withoutBlanks) }
    /// The body as it was signed, in Base64 without its blanks (RFC 6591 §3.2.4).
    public var dkimCanonicalizedBody: String? { value("DKIM-Canonicalized-Body").map(FeedbackReport.withoutBlanks) }
    /// The ADSP record (RFC 6591 §3.2.5).
    public var dkimADSPDNS: String? { value("DKIM-ADSP-DNS") }
    /// The SPF records (RFC 6591 §3.2.6).
    public var spfDNS: [String] { values("SPF-DNS") }
    /// The mechanisms that failed in alignment: `dkim`, `spf`; empty for `none`; `nil` where nothing is said (RFC 9991 §4).
    public var identityAlignment: [String]? {
        value("Identity-Alignment").map { text in
            FeedbackReport.withoutBlanks(FeedbackReport.withoutComments(text)).lowercased().split(separator: ",").map(String.init)
                .filter { $0 != "none" }
        }
    }

    private static func withoutBlanks(_ text: String) -> String {
        String(decoding: text.utf8.filter { !TagList.isSpace($0) }, as: UTF8.self)
    }

    /// The text outside of comments (RFC 5322 §3.2.2), without blanks at its ends.
    static func withoutComments(_ text: String) -> String {
        var result: [UInt8] = []
        var depth = 0
        var isEscaped = false
        for octet in text.utf8 {
            if isEscaped {
                isEscaped = false
                if depth == 0 { result.append(octet) }
                continue
            }
            switch octet {
            case UInt8(ascii: "\\"):
                isEscaped = true
                if depth == 0 { result.append(octet) }
            case UInt8(ascii: "("): depth += 1
            case UInt8(ascii: ")") where depth > 0: depth -= 1
            default: if depth == 0 { result.append(octet) }
            }
        }
        let start = result.firstIndex { !TagList.isSpace($0) } ?? result.count
        let end = (result.lastIndex { !TagList.isSpace($0) } ?? start - 1) + 1
        return String(decoding: result[start..<max(start, end)], as: UTF8.self)
    }
}

extension FeedbackReport.Original: Codable {
    private enum CodingKeys: String, CodingKey {
        case isHeaderOnly, text
    }

    /// Deliberate: written as text for people to read; octets that are no UTF-8 are replaced.
    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encode(isHeaderOnly, forKey: .isHeaderOnly)
        try container.encode(String(decoding: octets, as: UTF8.self), forKey: .text)
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.container(keyedBy: CodingKeys.self)
        isHeaderOnly = try container.decode(Bool.self, forKey: .isHeaderOnly)
        octets = Array(try container.decode(String.self, forKey: .text).utf8)
    }
}

extension FeedbackReport {
    /// Fields that may come once (RFC 5965 §3.1, §3.2, RFC 6591 §3.2, RFC 9991 §4).
    private static let once = [
        "Feedback-Type", "User-Agent", "Version", "Original-Envelope-Id", "Original-Mail-From", "Arrival-Date", "Received-Date",
        "Reporting-MTA", "Source-IP", "Source-Port", "Incidents", "Auth-Failure", "Delivery-Result", "Identity-Alignment",
    ]

    /// Finds the report in a message; `nil` where it has no part of the type `message/feedback-report`.
    init?(in message: Message, limits: ReportLimits) throws(ReportError) {
        let parts = message.allParts
        guard let place = parts.firstIndex(where: { $0.declaredContentType.mediaType == "message/feedback-report" }) else { return nil }
        try self.init(fieldsOf: parts[place].decodedBody().octets, limits: limits)
        for part in parts[(place + 1)...] {
            switch part.declaredContentType.mediaType {
            case "message/rfc822", "message/global":
                original = Original(isHeaderOnly: false, octets: Array(part.decodedBody().octets.readableBytesView))
            case "text/rfc822-headers", "message/rfc822-headers", "message/global-headers":
                original = Original(isHeaderOnly: true, octets: Array(part.decodedBody().octets.readableBytesView))
            default: continue
            }
            break
        }
        if original == nil { problems.append("there is neither the original message nor its header (RFC 5965 §2)") }
    }

    /// Reads the part for programs alone.
    /// - Throws: ``ReportError`` without a Feedback-Type, and with too many fields.
    public init(fieldsOf octets: ByteBuffer, limits: ReportLimits = ReportLimits()) throws(ReportError) {
        let start = octets.readableBytesView.firstIndex { !TagList.isSpace($0) } ?? octets.readableBytesView.startIndex
        let rest = octets.getSlice(at: start, length: octets.writerIndex - start) ?? ByteBuffer()
        let header = HeaderSection(parsing: rest)
        guard header.count <= limits.feedbackFields else {
            throw ReportError(.tooMany, "the report has more than \(limits.feedbackFields) fields")
        }
        fields = header.map { Field(name: $0.name, value: $0.value) }
        original = nil
        problems = []
        guard !feedbackType.isEmpty else {
            throw ReportError(.missing, "“Feedback-Type” is missing (RFC 5965 §3.1)", field: "Feedback-Type")
        }
        for name in ["User-Agent", "Version"] where value(name) == nil { problems.append("“\(name)” is missing (RFC 5965 §3.1)") }
        if value("Version") != nil, version != 1 { problems.append("the version isn't 1 (RFC 5965 §3.1)") }
        for name in Self.once where values(name).count > 1 { problems.append("“\(name)” comes more than once; the first one holds") }
        if value("Source-IP") != nil, sourceIP == nil { problems.append("“Source-IP” is no address (RFC 5965 §3.2)") }
        if feedbackType == "auth-failure" {
            for name in ["Auth-Failure", "Authentication-Results", "Reported-Domain"] where value(name) == nil {
                problems.append("“\(name)” is missing (RFC 6591 §3.1)")
            }
            if authFailure == "dmarc", identityAlignment == nil { problems.append("“Identity-Alignment” is missing (RFC 9991 §4)") }
        }
    }
}
