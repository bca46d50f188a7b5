import ArgumentParser
import FoundationEssentials
import Gateway
import Journeys
import Logging
import MailAuthentication
import MailStore

/// Which of the reports that a host keeps.
struct StoredReportOptions: ParsableArguments {
    @Option(help: ArgumentHelp("Reports on this day and later, such as 2026-11-01; absent: the last 30 days.", valueName: "day"), transform: Self.time)
    var since: Date?
    @Flag(help: "Only reports whose mail DMARC proves to be of its sender.")
    var proven = false
    @Option(help: ArgumentHelp("At most so many rows of a table.", valueName: "count"))
    var rows = 50
    @OptionGroup var options: ConfigurationOptions

    /// The most reports that are read.
    private static let limit = 20_000

    func validate() throws {
        if rows < 1 || rows > 100_000 { throw ValidationError("--rows must be from 1 to 100000") }
    }

    @Sendable static func time(_ text: String) throws -> Date {
        guard let time = JourneyTime.parse(text) else { throw ValidationError("“\(text)” is no day or time in ISO 8601, such as 2026-11-01") }
        return time
    }

    private func read<Report: Decodable>(_ kind: ReportKind, as type: Report.Type) async throws -> [(head: StoredReportHead, report: Report)] {
        let spool = try await options.load().openSpool()
        let found = try await spool.storedReports(kind, since: since ?? Date(timeIntervalSinceNow: -30 * 86_400), limit: Self.limit)
        try await spool.close()
        return found.filter { !proven || $0.isProven }.compactMap { stored in
            // A later version may have written it in another form.
            (try? JSONDecoder().decode(type, from: Data(stored.payload))).map { (StoredReportHead(stored), $0) }
        }
    }

    private struct Output<Summary: Encodable>: Encodable {
        var reports: [StoredReportHead]
        var summary: Summary
    }

    /// Who sends as our domain.
    func showAggregates(_ output: OutputOptions) async throws {
        let found = try await read(.aggregate, as: DMARCAggregateReport.self)
        // Those that are proven come first: whoever repeats one under its name is left out, and not the other way round.
        let summary = DMARCReportSummary(found.filter(\.head.isProven).map(\.report) + found.filter { !$0.head.isProven }.map(\.report))
        try output.show(Output(reports: found.map(\.head), summary: summary)) {
            guard !found.isEmpty else { return "no reports in this time" }
            return summary.table(rowLimit: rows) + StoredReportHead.doubts(found.map(\.head))
        }
    }

    private struct TLSSummary: Encodable {
        var successes: UInt64
        var failures: UInt64
        var policies: [TLSReport.PolicyResult]
    }

    /// How well mail to us was encrypted.
    func showTLS(_ output: OutputOptions) async throws {
        let found = try await read(.tls, as: TLSReport.self)
        let reports = found.map(\.report)
        let summary = TLSSummary(
            successes: reports.reduce(0) { $0 &+ $1.successes }, failures: reports.reduce(0) { $0 &+ $1.failures }, policies: reports.flatMap(\.policies))
        try output.show(Output(reports: found.map(\.head), summary: summary)) {
            guard !found.isEmpty else { return "no reports in this time" }
            let total = "\(found.count) reports: \(summary.successes) sessions were encrypted as they should be, \(summary.failures) were not\n\n"
            return total + TLSReportTable.text(Array(reports.suffix(rows))) + "\n" + StoredReportHead.doubts(found.map(\.head))
        }
    }

    /// Complaints and failed authentications, one by one.
    func showFeedback(_ output: OutputOptions) async throws {
        let found = try await read(.feedback, as: FeedbackReport.self)
        try output.show(Output(reports: found.map(\.head), summary: found.map(\.report))) {
            guard !found.isEmpty else { return "no reports in this time" }
            var table = TextTable(header: ["RECEIVED", "TYPE", "FAILURE", "SOURCE", "ABOUT", "REPORTER", "TRACE"])
            for (head, report) in found.suffix(rows) {
                table.rows.append(
                    [
                        PeopleTime.text(head.received), report.feedbackType, report.authFailure ?? "", report.sourceIP.map { "\($0)" } ?? "", head.domain,
                        head.organization + (head.isProven ? "" : " (unproven)"), head.trace,
                    ].map { JourneyStory.harmless(String($0.prefix(64))) })
            }
            return table.text + "\n" + StoredReportHead.doubts(found.map(\.head))
        }
    }
}

/// A report that is kept, without what it says.
struct StoredReportHead: Encodable {
    var organization: String
    var reportID: String
    var domain: String
    /// The author's domain of the mail that brought it.
    var sender: String
    var isProven: Bool
    var begin: Date
    var end: Date
    var received: Date
    /// The journey of that mail.
    var trace: String

    init(_ stored: StoredReport) {
        organization = stored.organization
        reportID = stored.identity
        domain = stored.domain
        sender = stored.sender
        isProven = stored.isProven
        begin = Date(timeIntervalSince1970: Double(stored.begin))
        end = Date(timeIntervalSince1970: Double(stored.end))
        received = stored.received
        trace = "\(stored.trace)"
    }

    /// A line about reports that anybody may have written.
    static func doubts(_ heads: [StoredReportHead]) -> String {
        let unproven = heads.filter { !$0.isProven }
        guard !unproven.isEmpty else { return "" }
        let names = Set(unproven.map { JourneyStory.harmless(String($0.sender.prefix(64))) }).sorted().prefix(5).joined(separator: ", ")
        return "\(unproven.count) of \(heads.count) reports came in mail that nothing proves (from \(names)); --proven leaves them out\n"
    }
}

/// Reports on TLS as a table.
enum TLSReportTable {
    static func text(_ reports: [TLSReport]) -> String {
        var table = TextTable(header: ["FROM", "POLICY", "DOMAIN", "GOOD", "FAILED", "FAILURES"])
        for report in reports {
            for policy in report.policies {
                table.rows.append(
                    [
                        report.organization, policy.policy.type, policy.policy.domain ?? "", "\(policy.summary.successes ?? 0)",
                        "\(policy.summary.failures ?? 0)", (policy.failures ?? []).map { "\($0.type) \($0.sessions ?? 0)" }.joined(separator: ", "),
                    ].map { JourneyStory.harmless(String($0.prefix(200))) })
            }
        }
        return table.text
    }
}

/// `postern reports send`.
struct ReportsSendCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "send", abstract: "Send the reports of finished days now, without waiting for the hour.",
        discussion: """
            What is counted is made into reports, who may get them is asked in the DNS, and they go into the queue. What was sent is not sent again. \
            For the store, the host that plays all roles, and the host of postern milter.
            """)

    @Option(help: ArgumentHelp("One day only, such as 2026-11-27; today's so far if it is today.", valueName: "day"), transform: StoredReportOptions.time)
    var day: Date?
    @Flag(name: .customLong("dry-run"), help: "Show what would be sent, to whom and to whom not, and change nothing.")
    var isTrial = false
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let configuration = try options.load()
        guard FileManager.default.fileExists(atPath: configuration.dataFolder) else {
            throw CommandFailure(.notFound, "the data folder \(configuration.dataFolder) doesn't exist; has this host ever been started?")
        }
        let office = try await ReportOffice.open(configuration, logger: Logger(label: "postern") { _ in SwiftLogNoOpLogHandler() })
        let sendings = try await office.send(day: day.map(ReportDay.containing), isTrial: isTrial)
        try await office.close()
        try output.show(sendings) {
            guard !sendings.isEmpty else { return "no reports to send" }
            var table = TextTable(header: ["DAY", "DOMAIN", "KIND", "ROWS", "MESSAGES", "OUTCOME", "TO"])
            for sending in sendings {
                let recipients = sending.destinations.map { destination in
                    destination.recipients.isEmpty ? "\(destination.uri): \(destination.verdict)" : destination.recipients.joined(separator: ", ")
                }
                table.rows.append(
                    [
                        sending.day, sending.domain, sending.kind, "\(sending.rows)", "\(sending.messages)", sending.outcome,
                        recipients.joined(separator: "; "),
                    ].map { JourneyStory.harmless(String($0.prefix(200))) })
            }
            return table.text
        }
    }
}
