import ArgumentParser
import MailAuthentication

/// `postern reports`.
struct ReportsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reports", abstract: "Reports that other organisations have sent about our mail, and ours about theirs.",
        discussion: """
            Without a file the reports are told that came to the addresses for reports and are kept by this host. A file is a report as it is or \
            compressed, or the whole mail that brought it; exit code 1 where one of the files is refused.
            """,
        subcommands: [ReportsDMARCCommand.self, ReportsTLSCommand.self, ReportsARFCommand.self, ReportsSendCommand.self])
}

/// Reads files of one kind.
struct ReportFiles: ParsableArguments {
    @Argument(help: "The files; - for standard input. None: the reports that this host keeps.", completion: .file())
    var files: [String] = []
    @OptionGroup var stored: StoredReportOptions

    /// Whether the reports are those that the host keeps.
    var areStored: Bool { files.isEmpty }

    /// The reports, and what was refused.
    func read<Report>(_ choose: (ReceivedReport) throws -> Report?, kind: String) throws -> (reports: [Report], refused: [ReportRefusal]) {
        var reports: [Report] = []
        var refused: [ReportRefusal] = []
        for file in files {
            let octets = try InputFile.read(file)
            do {
                guard let report = try choose(ReportMail.read(file: octets)) else {
                    refused.append(.init(file: file, code: "otherReport", reason: "it is a report of another kind, not \(kind)"))
                    continue
                }
                reports.append(report)
            } catch let error as ReportError {
                refused.append(.init(file: file, code: error.code.rawValue, reason: "\(error)"))
            }
        }
        return (reports, refused)
    }
}

/// A file that is no report, and why.
struct ReportRefusal: Encodable {
    var file: String
    var code: String
    var reason: String
}

/// What is printed, and the exit code.
private struct ReportOutput<Report: Encodable, Summary: Encodable>: Encodable {
    var reports: [Report]
    var summary: Summary?
    var refused: [ReportRefusal]

    func show(_ output: OutputOptions, _ text: () -> String) throws {
        try output.show(self) {
            ((reports.isEmpty ? [] : [text()]) + refused.map { "refused \($0.file): \($0.reason)" }).joined(separator: "\n")
        }
        if !refused.isEmpty { throw ExitCode(ExitStatus.failure.rawValue) }
    }
}

/// `postern reports dmarc`.
struct ReportsDMARCCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmarc", abstract: "Who sends as our domain, by aggregate reports (RFC 9990, and RFC 7489 before it).")

    @OptionGroup var input: ReportFiles
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        if input.areStored { return try await input.stored.showAggregates(output) }
        let (reports, refused) = try input.read(
            { report in if case .dmarcAggregate(let aggregate) = report { aggregate } else { nil } }, kind: "an aggregate report of DMARC")
        let summary = DMARCReportSummary(reports)
        try ReportOutput(reports: reports, summary: summary, refused: refused).show(output) { summary.table() }
    }
}

/// `postern reports tls`.
struct ReportsTLSCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "tls", abstract: "How well mail to us was encrypted, by reports on TLS (RFC 8460).")

    @OptionGroup var input: ReportFiles
    @OptionGroup var output: OutputOptions

    private struct Summary: Encodable {
        var successes: UInt64
        var failures: UInt64
    }

    func execute() async throws {
        if input.areStored { return try await input.stored.showTLS(output) }
        let (reports, refused) = try input.read(
            { report in if case .tls(let json) = report { try TLSReport(parsing: json) } else { nil } }, kind: "a report on TLS")
        let summary = Summary(successes: reports.reduce(0) { $0 &+ $1.successes }, failures: reports.reduce(0) { $0 &+ $1.failures })
        try ReportOutput(reports: reports, summary: summary, refused: refused).show(output) {
            TLSReportTable.text(reports)
        }
    }
}

/// `postern reports arf`.
struct ReportsARFCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "arf", abstract: "Complaints and failed authentications, message by message (RFC 5965, RFC 6591, RFC 9991).")

    @OptionGroup var input: ReportFiles
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        if input.areStored { return try await input.stored.showFeedback(output) }
        let (reports, refused) = try input.read(
            { report in if case .feedback(let feedback) = report { feedback } else { nil } }, kind: "a feedback report")
        try ReportOutput(reports: reports, summary: [String: Int]?.none, refused: refused).show(output) {
            reports.map { report in
                var lines = ["\(report.feedbackType)" + (report.sourceIP.map { " about mail from \($0)" } ?? "") + (report.authFailure.map { ": \($0)" } ?? "")]
                lines += report.fields.map { "  \($0.name): \($0.value)" }
                lines += report.problems.map { "  note: \($0)" }
                return lines.joined(separator: "\n")
            }.joined(separator: "\n")
        }
    }
}
