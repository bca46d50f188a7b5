import ArgumentParser
import DNS
import FoundationEssentials
import Gateway
import UnboundDNS

/// `postern dns`.
struct DNSCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "dns", abstract: "What the DNS must have for our domains: print it, compare it, publish it.",
        discussion: "What a configuration tells is taken from it; the section dns says the rest.", subcommands: [Records.self, Publish.self])

    /// Which domain, and where things are looked up.
    struct Source: ParsableArguments {
        @Argument(help: "One of the configuration's domains; absent: the first one.", transform: DKIMKeyOptions.name)
        var domain: DomainName?
        @OptionGroup var options: ConfigurationOptions
        @Option(help: ArgumentHelp("Compare with this master file instead of the DNS.", valueName: "file"), completion: .file())
        var zone: String?

        func load() throws -> (plan: DNSRecordPlan, configuration: Configuration) {
            let configuration = try options.load()
            guard let domain = domain ?? configuration.domains.first else { throw CommandFailure(.configuration, "the configuration names no domain") }
            guard configuration.domains.contains(domain) else {
                let names = configuration.domains.map(\.ascii).joined(separator: ", ")
                throw CommandFailure(.notFound, "\(domain) isn't one of the configuration's domains (\(names)); postern check looks at others' domains")
            }
            return (try DNSRecordPlan(for: domain, configuration), configuration)
        }

        func resolver(_ configuration: Configuration) throws -> any Resolver {
            if let zone { return try InputFile.zone(zone) }
            return try UnboundResolver(configuration: .init(configuration.resolver))
        }
    }

    /// `postern dns records`.
    struct Records: PosternCommand {
        static let configuration = CommandConfiguration(
            abstract: "Print every record to publish, as a zone file with the reason for each.",
            discussion: "With --compare the exit code is 1 where the DNS says something else.")
        @OptionGroup var source: Source
        @Flag(help: "Print what the DNS says differently instead.")
        var compare = false
        @OptionGroup var output: OutputOptions

        private struct Report: Encodable {
            struct Record: Encodable {
                var name: String
                var type: String
                var data: [String]
                var reason: String
            }
            var domain: String
            var timeToLive: UInt32
            var records: [Record]
            var unknown: [String]
        }

        func execute() async throws {
            let (plan, configuration) = try source.load()
            guard !compare else {
                let drift = await DNSDrift.find(plan, resolver: try source.resolver(configuration))
                try output.show(DriftReport(plan, drift)) { drift.differences.isEmpty ? "the DNS says what it must" : drift.text }
                if !drift.isEmpty { throw ExitCode(ExitStatus.failure.rawValue) }
                return
            }
            let records = plan.sets.map { Report.Record(name: $0.name.ascii, type: "\($0.type)", data: $0.lines, reason: $0.reason) }
            try output.show(Report(domain: plan.domain.ascii, timeToLive: plan.timeToLive, records: records, unknown: plan.gaps)) { plan.zoneFile }
        }
    }

    /// `postern dns publish`.
    struct Publish: PosternCommand {
        static let configuration = CommandConfiguration(
            abstract: "Send what is missing or different to the name server that takes updates (RFC 2136, TSIG).",
            discussion: """
                Only the records that postern dns records prints are changed; other records at the same names stay. Where nothing differs, nothing is sent.
                """)
        @OptionGroup var source: Source
        @Flag(help: "Show what would be changed, and change nothing.")
        var dryRun = false
        @OptionGroup var output: OutputOptions

        func execute() async throws {
            let (plan, configuration) = try source.load()
            let drift = await DNSDrift.find(plan, resolver: try source.resolver(configuration))
            if let unknown = drift.differences.first(where: \.isUnknown) {
                throw CommandFailure(.temporary, "\(unknown.name) \(unknown.type) can't be looked up, so that nothing is changed: \(unknown.failure ?? "")")
            }
            if !dryRun, !drift.isEmpty { try await drift.publish(plan, configuration) }
            try output.show(DriftReport(plan, drift, isPublished: !dryRun)) {
                if drift.isEmpty { return "the DNS says what it must: nothing to change" }
                return drift.text + (dryRun ? "\nnothing was changed" : "\npublished: \(drift.recordCount) records changed")
            }
        }
    }

    /// Differences for programs.
    private struct DriftReport: Encodable {
        var domain: String
        var differences: [DNSDrift.Difference]
        var isPublished: Bool?

        init(_ plan: DNSRecordPlan, _ drift: DNSDrift, isPublished: Bool? = nil) {
            domain = plan.domain.ascii
            differences = drift.differences
            self.isPublished = isPublished
        }
    }
}
