import ArgumentParser
import DNS
import FoundationEssentials
import Gateway
import Journeys
import Logging
import Posture
import UnboundDNS

/// `postern check`.
struct CheckCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check how a domain's mail is set up: its DNS records, its servers and their encryption.",
        discussion: """
            Any domain can be checked, ours or another's. Mail servers are spoken to as a stranger would, and nothing is sent. With --zone all questions \
            to the DNS are answered from a master file, and nothing else is looked at.

            The exit code is 0 where nothing is wrong, 1 where there is a warning or an error (--fail-on says what counts), 64 and up for wrong use.
            """)

    /// What the exit code counts as wrong.
    enum FailOn: String, CaseIterable, ExpressibleByArgument {
        case error, warning, none
    }

    @Argument(help: "The domain.", transform: DKIMKeyOptions.name)
    var domain: DomainName
    @Option(help: ArgumentHelp("A DKIM selector that must have a key; can be given several times.", valueName: "selector"), transform: DKIMKeyOptions.name)
    var selector: [DomainName] = []
    @Option(help: ArgumentHelp("Answer every question from this master file, and look at nothing else.", valueName: "file"), completion: .file())
    var zone: String?
    @Option(
        help: ArgumentHelp("Take resolver, authorities, name and own selectors from this configuration.", valueName: "file"),
        completion: .file(extensions: ["yaml", "yml"]))
    var config: String?
    @Option(help: ArgumentHelp("The time of the check, as RFC 3339 writes it; now if absent.", valueName: "time"), transform: AuthSources.time)
    var at: Date?
    @Flag(help: "Ask the DNS only: speak to no server.")
    var noProbes = false
    @Flag(help: "Don't ask mail servers whether they pass on strangers' mail.")
    var noRelayProbe = false
    @Option(help: "What makes the exit code 1: error, warning or none.")
    var failOn = FailOn.warning
    @Flag(name: .shortAndLong, help: "Show the evidence of everything.")
    var verbose = false
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let configuration = try config.map { try Configuration.load(path: $0) }
        var options = PostureChecker.Options()
        options.selectors = selector
        options.triesRelaying = !noRelayProbe
        if let configuration { options.selectors += try DomainPosture.ownSelectors(of: domain, configuration).filter { !selector.contains($0) } }
        let checker: PostureChecker
        if let zone {
            checker = PostureChecker(resolver: try InputFile.zone(zone), options: options)
        } else {
            let resolver = try UnboundResolver(configuration: .init(configuration?.resolver ?? .init()))
            var logger = Logger(label: "postern.check")
            logger.logLevel = .warning
            let probes = noProbes ? PostureProbes() : try DomainPosture.probes(configuration ?? Configuration(), resolver: resolver, logger: logger)
            checker = PostureChecker(resolver: resolver, probes: probes, options: options)
        }
        let report = await checker.check(domain, at: at ?? Date())
        try output.show(CheckReport(report)) { report.text(isVerbose: verbose) }
        switch failOn {
        case .none: return
        case .error: if report.result == .error { throw ExitCode(ExitStatus.failure.rawValue) }
        case .warning: if report.result != .good { throw ExitCode(ExitStatus.failure.rawValue) }
        }
    }
}

/// The report for programs.
struct CheckReport: Encodable {
    struct Finding: Encodable {
        var code: String
        var severity: String
        var topic: String
        var subject: String
        var text: String
        var evidence: [PostureFinding.Evidence]
        var reference: String
        var advice: String?
    }

    var domain: String
    var at: Date
    var result: String
    /// How many findings there are of each severity.
    var counts: [String: Int]
    var findings: [Finding]

    init(_ report: PostureReport) {
        domain = report.domain.ascii
        at = report.at
        result = report.result.rawValue
        counts = Dictionary(uniqueKeysWithValues: PostureSeverity.allCases.map { ($0.rawValue, report.count(of: $0)) })
        findings = report.findings.map {
            Finding(
                code: $0.code.rawValue, severity: $0.severity.rawValue, topic: $0.code.topic.rawValue, subject: $0.subject, text: $0.text,
                evidence: $0.evidence, reference: $0.reference, advice: $0.advice.isEmpty ? nil : $0.advice)
        }
    }
}
