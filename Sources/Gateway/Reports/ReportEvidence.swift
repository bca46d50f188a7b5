import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import NIOCore

/// What reports will say of a message, taken from what was found out about its sender.
enum ReportEvidence {
    /// Octets of the longest policy record that is kept; longer ones come from nobody who waits for reports.
    static let recordLimit = 4096
    /// Octets of a header that are kept for a report on the message.
    static let headerLimit = 16 * 1024
    /// The fields that explain why a message failed (RFC 6591 §3.1); all others are nobody's business.
    private static let explaining = ["from", "sender", "reply-to", "message-id", "list-id", "date", "dkim-signature"]

    /// `nil` where the domain asks for no reports.
    static func judged(
        _ evaluation: SenderEvaluation, _ decision: DMARCDispositionPolicy.Decision, _ judgement: SenderJudgement
    ) -> JourneyEvent.Judged? {
        let dmarc = evaluation.dmarc
        guard let client = evaluation.client, let record = dmarc.record, let recordDomain = dmarc.recordDomain, let headerFrom = dmarc.headerFrom,
            !record.aggregateReportURIs.isEmpty || !record.failureReportURIs.isEmpty, record.text.utf8.count <= recordLimit
        else { return nil }
        let done: DMARCReportDisposition
        if judgement.refusal != nil {
            done = .reject
        } else if judgement.disposition == .junk {
            done = .quarantine
        } else {
            done = dmarc.result == .pass ? .pass : .none
        }
        var overrides = decision.overrides.map { JourneyEvent.Judged.Override(type: $0.kind.rawValue, comment: $0.comment) }
        let wanted = DMARCReportDisposition(rawValue: decision.disposition.rawValue)
        if done != wanted, done != .pass {
            overrides.append(.init(type: DMARCReportOverride.localPolicy.rawValue, comment: "\(done) in place of \(wanted) (RFC 9989 §7.4)"))
        }
        return .init(
            sourceIP: "\(client.address)", envelopeFrom: domain(of: client.mailFrom), headerFrom: headerFrom, result: dmarc.result.rawValue,
            recordDomain: recordDomain.ascii, record: record.text,
            // Where the reverse-path is null, MAIL FROM is postmaster at HELO's name (RFC 7208 §2.4).
            spf: evaluation.spf.map { .init(domain: String($0.domain.prefix(255)), scope: DMARCReportScope.mailFrom.rawValue, result: $0.result.rawValue) },
            signatures: evaluation.dkim.prefix(DMARCAggregateReport.writtenSignatureLimit).compactMap { signature in
                signature.domain.map { .init(domain: $0.ascii, selector: signature.selector?.ascii ?? "", result: signature.result.rawValue) }
            },
            isSPFAligned: dmarc.isSPFAligned, isDKIMAligned: dmarc.isDKIMAligned, disposition: done.rawValue, overrides: overrides)
    }

    /// The domain of a reverse-path, as far as it has one.
    private static func domain(of path: String) -> String {
        guard let at = path.lastIndex(of: "@") else { return "" }
        return String(path[path.index(after: at)...].prefix(255)).lowercased()
    }

    /// The fields of a failed message that a report on it needs; `nil` where its domain wants no such report.
    static func header(of content: any MessageContent, where dmarc: DMARCEvaluation) async throws -> HeaderSection? {
        guard dmarc.result == .fail, let record = dmarc.record, !record.failureReportURIs.isEmpty,
            // RFC 9991 §2: never to a public suffix.
            record.publicSuffix != .yes
        else { return nil }
        return HeaderSection(parsing: try await content.read(0..<min(content.byteCount, SenderVerifier.headerLimit)))
    }

    static func failure(_ evaluation: SenderEvaluation, header: HeaderSection, results: AuthenticationResults) -> JourneyEvent.Judged.Failure {
        var kept: [UInt8] = []
        for field in header where explaining.contains(field.name.lowercased()) && kept.count + field.unfoldedOctets.count <= headerLimit {
            kept += Array("\(field.name):".utf8) + field.unfoldedOctets + [0x0D, 0x0A]
        }
        var failure = JourneyEvent.Judged.Failure(
            results: results.description, reversePath: evaluation.client?.mailFrom ?? "", header: String(decoding: kept, as: UTF8.self), spfRecords: [])
        for term in evaluation.spf?.terms ?? [] where term.matched == nil && term.text.hasPrefix("v=spf1") && failure.spfRecords.count < 10 {
            failure.spfRecords.append("txt : \(term.domain) : \"\(term.text.prefix(1000))\"")
        }
        let author = evaluation.dmarc.authorOrganizationalDomain ?? evaluation.dmarc.recordDomain
        let failed = evaluation.dkim.first { signature in
            signature.result != .pass && (signature.domain.map { domain in author.map(domain.isEqualOrSubdomain) ?? false } ?? false)
        }
        if let failed, let domain = failed.domain {
            failure.signature = .init(domain: domain.ascii, selector: failed.selector?.ascii ?? "", result: failed.result.rawValue)
            failure.identity = failed.identity
        }
        return failure
    }
}
