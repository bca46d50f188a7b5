public import MailMessage
public import NIOCore

/// A report that came by mail or lies in a file.
public enum ReceivedReport: Hashable, Sendable {
    /// What a receiver saw of a domain's mail (RFC 9990).
    case dmarcAggregate(DMARCAggregateReport)
    /// A complaint, or a failed authentication (RFC 5965, RFC 6591, RFC 9991).
    case feedback(FeedbackReport)
    /// The JSON of a report on TLS, decompressed and not looked at (RFC 8460 §4).
    case tls([UInt8])
}

/// Finds the report in a message.
public enum ReportMail {
    /// Looks for a feedback report (RFC 5965 §2), for a report on TLS (RFC 8460 §5.3) and for an aggregate report (RFC 9990 §3.5.2), in this
    /// order. What a part is says its content: names and types of attachments are wrong too often.
    /// - Throws: ``ReportError``: why the best candidate isn't one, or `noReport`.
    public static func find(in octets: ByteBuffer, limits: ReportLimits = ReportLimits()) throws(ReportError) -> ReceivedReport {
        guard octets.readableBytes <= limits.inputOctets else {
            throw ReportError(.tooLarge, "the message has more than \(limits.inputOctets) octets")
        }
        return try find(in: Message(parsing: octets), limits: limits)
    }

    /// As ``find(in:limits:)-(ByteBuffer,_)`` in a message that is parsed already.
    public static func find(in message: Message, limits: ReportLimits = ReportLimits()) throws(ReportError) -> ReceivedReport {
        if let feedback = try FeedbackReport(in: message, limits: limits) { return .feedback(feedback) }
        var failure: ReportError?
        var tried = 0
        for part in message.allParts where part.structure == .leaf {
            guard tried < limits.messageParts else { break }
            tried += 1
            let octets = Array(part.decodedBody().octets.readableBytesView)
            guard isCandidate(octets, part) else { continue }
            do throws(ReportError) {
                return try read(octets, limits: limits)
            } catch {
                // XML of something else doesn't hide why the report isn't one.
                if failure == nil || failure?.code == .notAReport { failure = error }
            }
        }
        throw failure ?? ReportError(.noReport, "no part of the message is a report")
    }

    /// Reads a file: an aggregate report or JSON on TLS, as it is or compressed, or a message with a report in it.
    /// - Throws: ``ReportError``.
    public static func read(file octets: [UInt8], limits: ReportLimits = ReportLimits()) throws(ReportError) -> ReceivedReport {
        switch kind(octets) {
        case .archive, .xml, .json: try read(octets, limits: limits)
        case nil: try find(in: ByteBuffer(bytes: octets), limits: limits)
        }
    }

    private enum Kind {
        case archive, xml, json
    }

    private static func kind(_ octets: [UInt8]) -> Kind? {
        if ReportArchive.format(of: octets) != .plain { return .archive }
        if octets.starts(with: [0xFE, 0xFF]) || octets.starts(with: [0xFF, 0xFE]) { return .xml }
        let start = octets.starts(with: [0xEF, 0xBB, 0xBF]) ? octets.dropFirst(3) : octets[...]
        switch start.first(where: { !TagList.isSpace($0) }) {
        case UInt8(ascii: "<"): return .xml
        case UInt8(ascii: "{"): return .json
        default: return nil
        }
    }

    private static func isCandidate(_ octets: [UInt8], _ part: MIMEPart) -> Bool {
        let type = part.contentType
        switch kind(octets) {
        case nil: return false
        case .archive: return true
        case .json: return type.subtype.hasPrefix("tlsrpt") || type.subtype == "json" || part.filename?.lowercased().hasSuffix(".json") ?? false
        case .xml:
            guard type.mediaType == "text/html" || type.mediaType == "text/plain" else { return true }
            // A report in the text itself, and not any text that begins with a bracket.
            return octets.prefix(4096).split(separator: UInt8(ascii: "<"), maxSplits: 8).contains { $0.starts(with: "feedback".utf8) }
        }
    }

    private static func read(_ octets: [UInt8], limits: ReportLimits) throws(ReportError) -> ReceivedReport {
        let isArchive = kind(octets) == .archive
        let contents = isArchive ? try ReportArchive.contents(of: octets, limits: limits).octets : octets
        if kind(contents) == .json { return .tls(contents) }
        return .dmarcAggregate(try DMARCAggregateReport(parsing: contents, limits: limits))
    }
}
