import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

/// Reads the reports that others have collected, where the folder of the suites is named by `POSTERN_SUITES`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil))
struct ReportConformanceTests {
    private func folder(_ name: String) throws -> URL {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        return URL(fileURLWithPath: suites).appendingPathComponent("reports/mail-auth/\(name)")
    }

    private func files(_ name: String, _ extensions: [String]) throws -> [URL] {
        try FileManager.default.contentsOfDirectory(at: folder(name), includingPropertiesForKeys: nil)
            .filter { extensions.contains($0.pathExtension) }.sorted { $0.path < $1.path }
    }

    private func expected<Value: Decodable>(_ file: URL, as type: Value.Type) throws -> Value {
        try JSONDecoder().decode(type, from: Data(contentsOf: file.deletingPathExtension().appendingPathExtension("json")))
    }

    // MARK: - Aggregate reports

    private struct Feedback: Decodable {
        struct Metadata: Decodable {
            struct DateRange: Decodable { let begin: Int, end: Int }
            let org_name: String, email: String, extra_contact_info: String?, report_id: String, date_range: DateRange, error: [String]
        }
        struct Policy: Decodable {
            let domain: String, version_published: Double?, adkim: String, aspf: String, p: String, sp: String, testing: Bool, fo: String?
            let np: String?
        }
        struct Reason: Decodable {
            let type: String, comment: String?
            enum CodingKeys: String, CodingKey {
                case type = "type_"
                case comment
            }
            enum Other: String, CodingKey { case type }
            init(from decoder: any Decoder) throws {
                let container = try decoder.container(keyedBy: CodingKeys.self)
                let other = try decoder.container(keyedBy: Other.self)
                type = try other.decodeIfPresent(String.self, forKey: .type) ?? container.decode(String.self, forKey: .type)
                comment = try container.decodeIfPresent(String.self, forKey: .comment)
            }
        }
        struct Evaluated: Decodable { let disposition: String, dkim: String, spf: String, reason: [Reason] }
        struct Row: Decodable { let source_ip: String, count: Int, policy_evaluated: Evaluated }
        struct Identifiers: Decodable { let envelope_to: String?, envelope_from: String, header_from: String }
        struct Result: Decodable { let domain: String, selector: String?, scope: String?, result: String, human_result: String? }
        struct Results: Decodable { let dkim: [Result], spf: [Result] }
        struct Record: Decodable { let row: Row, identifiers: Identifiers, auth_results: Results }
        let report_metadata: Metadata, policy_published: Policy, record: [Record]
    }

    /// Their words for ours; “Unspecified” stands for what isn't written, or isn't known.
    private func word(_ text: String?) -> String {
        switch text?.lowercased().replacing("_", with: "") ?? "" {
        case "", "unspecified": ""
        case "r": "relaxed"
        case "s": "strict"
        case "mfrom": "mailfrom"
        case let other: other
        }
    }

    @Test func aggregateReports() throws {
        let files = try files("dmarc-feedback", ["xml", "eml"])
        #expect(files.count == 10)
        for file in files {
            let name = Comment(rawValue: file.lastPathComponent)
            guard case .dmarcAggregate(let report) = try ReportMail.read(file: Array(Data(contentsOf: file))) else {
                Issue.record("another kind of report", sourceLocation: #_sourceLocation)
                continue
            }
            let expected = try expected(file, as: Feedback.self)
            #expect(report.metadata.organizationName == expected.report_metadata.org_name, name)
            #expect(report.metadata.email == expected.report_metadata.email, name)
            #expect(report.metadata.extraContactInfo == expected.report_metadata.extra_contact_info, name)
            #expect(report.metadata.reportID == expected.report_metadata.report_id, name)
            #expect(report.metadata.begin == expected.report_metadata.date_range.begin, name)
            #expect(report.metadata.end == expected.report_metadata.date_range.end, name)
            #expect(report.metadata.errors == expected.report_metadata.error, name)
            #expect(report.policy.domain == expected.policy_published.domain, name)
            #expect(word(report.policy.dkimAlignment?.rawValue) == word(expected.policy_published.adkim), name)
            #expect(word(report.policy.spfAlignment?.rawValue) == word(expected.policy_published.aspf), name)
            #expect(word(report.policy.domainPolicy.rawValue) == word(expected.policy_published.p), name)
            #expect(word(report.policy.subdomainPolicy?.rawValue) == word(expected.policy_published.sp), name)
            #expect(report.policy.isTesting ?? false == expected.policy_published.testing, name)
            #expect(report.policy.failureOptions == expected.policy_published.fo, name)
            #expect(report.records.count == expected.record.count, name)
            for (record, wanted) in zip(report.records, expected.record) { compare(record, wanted, name) }
        }
    }

    private func compare(_ record: DMARCAggregateReport.Record, _ wanted: Feedback.Record, _ name: Comment) {
        #expect(record.sourceIP == wanted.row.source_ip, name)
        #expect(record.count == wanted.row.count, name)
        #expect(word(record.disposition.rawValue) == word(wanted.row.policy_evaluated.disposition), name)
        #expect(word(record.dkim.rawValue) == word(wanted.row.policy_evaluated.dkim), name)
        #expect(word(record.spf.rawValue) == word(wanted.row.policy_evaluated.spf), name)
        // Their model knows the reasons of RFC 9990 §3.1.6 alone; ours keeps `sampled_out` of RFC 7489 Appendix C as it is written.
        let legacy: [DMARCReportOverride] = [.sampledOut, .forwarded]
        #expect(
            record.reasons.map { legacy.contains($0.type) ? "other" : word($0.type.rawValue) } == wanted.row.policy_evaluated.reason.map { word($0.type) }, name
        )
        #expect(record.reasons.map(\.comment) == wanted.row.policy_evaluated.reason.map(\.comment), name)
        #expect(record.headerFrom == wanted.identifiers.header_from, name)
        #expect(record.envelopeFrom ?? "" == wanted.identifiers.envelope_from, name)
        #expect(record.envelopeTo == wanted.identifiers.envelope_to, name)
        #expect(record.dkimResults.map(\.domain) == wanted.auth_results.dkim.map(\.domain), name)
        #expect(record.dkimResults.map { $0.selector ?? "" } == wanted.auth_results.dkim.map { $0.selector ?? "" }, name)
        #expect(record.dkimResults.map { word($0.result.rawValue) } == wanted.auth_results.dkim.map { word($0.result) }, name)
        #expect(record.dkimResults.map(\.humanResult) == wanted.auth_results.dkim.map(\.human_result), name)
        #expect(record.spfResults.map(\.domain) == wanted.auth_results.spf.map(\.domain), name)
        #expect(record.spfResults.map { word($0.scope?.rawValue) } == wanted.auth_results.spf.map { word($0.scope) }, name)
        #expect(record.spfResults.map { word($0.result.rawValue) } == wanted.auth_results.spf.map { word($0.result) }, name)
    }

    // MARK: - Feedback reports

    private struct ARF: Decodable {
        let feedback_type: String, arrival_date: Double?, authentication_results: [String], incidents: Int, original_envelope_id: String?
        let original_mail_from: String?, original_rcpt_to: String?, reported_domain: [String], reported_uri: [String], reporting_mta: String?
        let source_ip: String?, user_agent: String?, version: Int, source_port: Int, auth_failure: String, delivery_result: String
        let dkim_canonicalized_body: String?, dkim_domain: String?, dkim_identity: String?, dkim_selector: String?, headers: String?
    }

    private func collapsed(_ text: String?) -> String? { text.map { $0.filter { !$0.isWhitespace } } }

    @Test func feedbackReports() throws {
        let files = try files("arf", ["eml"])
        #expect(files.count == 5)
        for file in files {
            let name = Comment(rawValue: file.lastPathComponent)
            guard case .feedback(let report) = try ReportMail.read(file: Array(Data(contentsOf: file))) else {
                Issue.record("another kind of report", sourceLocation: #_sourceLocation)
                continue
            }
            let expected = try expected(file, as: ARF.self)
            #expect(report.feedbackType.replacing("-", with: "") == expected.feedback_type.lowercased(), name)
            #expect(report.arrivalDate?.date.timeIntervalSince1970 == expected.arrival_date, name)
            #expect(report.authenticationResults.map { collapsed($0) } == expected.authentication_results.map { collapsed($0) }, name)
            #expect(report.incidents == expected.incidents, name)
            #expect(report.originalEnvelopeID == expected.original_envelope_id, name)
            #expect(report.originalMailFrom == expected.original_mail_from, name)
            #expect(report.originalRecipients.first == expected.original_rcpt_to, name)
            #expect(report.reportedDomains == expected.reported_domain, name)
            #expect(report.reportedURIs == expected.reported_uri, name)
            #expect(report.reportingMTA == expected.reporting_mta, name)
            #expect(report.sourceIP?.description == expected.source_ip, name)
            #expect(Int(report.sourcePort ?? 0) == expected.source_port, name)
            #expect(report.userAgent == expected.user_agent, name)
            #expect(report.version == expected.version, name)
            #expect(word(report.authFailure) == word(expected.auth_failure), name)
            #expect(word(report.deliveryResult) == word(expected.delivery_result), name)
            #expect(report.dkimCanonicalizedBody == collapsed(expected.dkim_canonicalized_body), name)
            #expect(report.dkimDomain == expected.dkim_domain, name)
            #expect(report.dkimIdentity == expected.dkim_identity, name)
            #expect(report.dkimSelector == expected.dkim_selector, name)
            let original = try #require(report.original)
            if let headers = expected.headers {
                #expect(original.isHeaderOnly, name)
                #expect(collapsed(String(decoding: original.octets, as: UTF8.self)) == collapsed(headers), name)
            } else {
                #expect(!original.isHeaderOnly && !original.octets.isEmpty, name)
            }
        }
    }

    // MARK: - Reports on TLS

    /// They are found and decompressed; what they say is read elsewhere.
    @Test func reportsOnTLS() throws {
        let files = try files("tlsrpt", ["eml"])
        #expect(files.count == 2)
        for file in files {
            guard case .tls(let json) = try ReportMail.read(file: Array(Data(contentsOf: file))) else {
                Issue.record("another kind of report", sourceLocation: #_sourceLocation)
                continue
            }
            let object = try #require(try JSONSerialization.jsonObject(with: Data(json)) as? [String: Any])
            #expect(object["report-id"] is String)
        }
    }
}
