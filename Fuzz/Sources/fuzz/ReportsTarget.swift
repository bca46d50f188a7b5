import MailMessage
import NIOCore

@testable import MailAuthentication

/// Reports: a file or message with one in it, of any kind, compressed or not; what is written of an aggregate report that was read is read as
/// the same.
enum ReportsTarget {
    private static let limits: ReportLimits = {
        var limits = ReportLimits()
        limits.outputOctets = 2 << 20
        limits.growthFreeOctets = 1 << 16
        limits.records = 2_000
        limits.problems = 20
        return limits
    }()

    static func run(_ data: [UInt8]) {
        let input = Input(data)
        // As it is, or compressed by ourselves: libFuzzer finds no checksums.
        if input.has(0), let packed = try? ReportDeflater.gzip(input.octets) {
            let unpacked = try? ReportArchive.contents(of: packed, limits: limits)
            require(unpacked?.octets == input.octets || input.octets.count > limits.growthFreeOctets, "what was compressed is another text now")
            read(packed)
        } else {
            read(input.octets)
        }
        if let archive = try? ReportArchive.contents(of: input.octets, limits: limits) {
            require(archive.octets.count <= max(limits.outputOctets, input.octets.count), "\(archive.octets.count) octets in an archive")
        }
        if let feedback = try? FeedbackReport(fieldsOf: ByteBuffer(bytes: input.octets), limits: limits) { check(feedback) }
        if let tls = try? TLSReport(parsing: input.octets) { require(tls.policies.count <= TLSReport.policyLimit, "\(tls.policies.count) policies") }
    }

    private static func read(_ octets: [UInt8]) {
        let report: ReceivedReport
        do throws(ReportError) {
            report = try ReportMail.read(file: octets, limits: limits)
        } catch {
            return require(!error.description.isEmpty && (error.line ?? 1) >= 1, "an error without words")
        }
        switch report {
        case .dmarcAggregate(let report): check(report)
        case .feedback(let report): check(report)
        case .tls(let json): _ = try? TLSReport(parsing: json)
        }
    }

    private static func check(_ report: FeedbackReport) {
        require(report.fields.count <= limits.feedbackFields, "\(report.fields.count) fields")
        require(report.incidents >= 0, "\(report.incidents) incidents")
        _ = (report.feedbackType, report.sourceIP, report.arrivalDate, report.reportingMTA, report.identityAlignment, report.dkimCanonicalizedHeader)
    }

    private static func check(_ report: DMARCAggregateReport) {
        require(report.records.count <= limits.records, "\(report.records.count) records")
        require(report.problems.count <= limits.problems && report.problemCount >= report.problems.count, "\(report.problems.count) problems")
        require(report.messageCount >= 0, "\(report.messageCount) messages")
        let summary = DMARCReportSummary([report, report])
        require(summary.duplicates == 1 && summary.reports == 1, "the same report twice counts as \(summary.reports)")
        require(summary.table().unicodeScalars.allSatisfy { $0 == "\n" || $0.properties.generalCategory != .control }, "a control character in a table")
        guard let xml = try? report.xml() else { return }
        do throws(ReportError) {
            let again = try DMARCAggregateReport(parsing: xml, limits: limits)
            require(again.records.map(\.count) == report.records.map(\.count), "other counts")
            require(again.records.map(\.headerFrom) == report.records.map(\.headerFrom), "other domains")
            require(again.records.map(\.sourceIP) == report.records.map(\.sourceIP), "other addresses")
            require(again.records.map(\.passes) == report.records.map(\.passes), "other results")
            require(again.metadata.reportID == report.metadata.reportID, "another Report-ID")
            require(again.policy.domain == report.policy.domain, "another domain")
            require(again.metadata.begin == report.metadata.begin && again.metadata.end == report.metadata.end, "another period")
            // What was written once is written the same.
            require(try again.xml() == xml, "the report changes each time that it is written")
        } catch {
            require(false, "what was written can't be read: \(error)")
        }
    }
}
