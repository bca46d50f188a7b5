import ArgumentParser
import DNS
import MailAuthentication
import MailMessage
import NIOCore

/// `postern auth check`.
struct AuthCheckCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Find out everything about who sent a message, and tell it as a story.",
        discussion: "postern auth check message.eml --ip 198.51.100.7 --helo mail.gmail.test --mail-from tom@gmail.test")

    @Argument(help: "The message, as it came by SMTP; - for standard input.", completion: .file())
    var file: String
    @OptionGroup var client: AuthClientOptions
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var spf: SPFReport?
        var iprev: ReverseNameReport?
        var dkim: [DKIMReport]
        var arc: ARCReport
        var dmarc: DMARCReport
        var authenticationResults: String
    }

    func execute() async throws {
        let evaluation = try await evaluate(file, client.client, sources)
        let dmarc = DMARCReport(evaluation.dmarc, evaluation.forwarders)
        let results = evaluation.results(identifier: sources.authservID, disposition: DMARCDisposition(rawValue: dmarc.disposition))
        let report = Report(
            spf: evaluation.spf.flatMap { spf in client.client.map { SPFReport(spf, $0, receiver: sources.authservID) } },
            iprev: evaluation.reverseName.map(ReverseNameReport.init), dkim: DKIMReport.all(evaluation.dkim), arc: ARCReport(evaluation.arc), dmarc: dmarc,
            authenticationResults: results.description)
        try output.show(report) {
            let parts = [report.iprev?.story, report.spf?.story] + report.dkim.map(\.story) + [report.arc.story, report.dmarc.story, results.field()]
            return parts.compactMap { $0 }.joined(separator: "\n")
        }
    }
}

/// Everything about a message.
private func evaluate(_ file: String, _ client: SenderClient?, _ sources: AuthSources) async throws -> SenderEvaluation {
    let message = try InputFile.message(file)
    let verifier = SenderVerifier(resolver: try sources.resolver(), receivingHost: sources.authservID, evaluatesEverything: true)
    return try await verifier.verify(client, content: message, at: sources.time)
}

/// `postern auth spf`.
struct AuthSPFCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "spf", abstract: "Ask whether a client may send under a domain (RFC 7208); no message is needed.")

    @OptionGroup var client: AuthClientOptions
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if client.ip == nil { throw ValidationError("give the client's address with --ip") }
    }

    func execute() async throws {
        guard let client = client.client else { return }
        let checker = SPFChecker(resolver: try sources.resolver(), receivingHost: sources.authservID)
        let evaluation = await checker.check(address: client.address, helo: client.helo, mailFrom: client.mailFrom, at: sources.time)
        let report = SPFReport(evaluation, client, receiver: sources.authservID)
        try output.show(["spf": report]) { report.story }
    }
}

/// `postern auth dkim`.
struct AuthDKIMCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "dkim", abstract: "Verify the DKIM signatures of a message (RFC 6376).")

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let reports = DKIMReport.all(try await evaluate(file, nil, sources).dkim)
        try output.show(["dkim": reports]) { reports.map(\.story).joined(separator: "\n") }
    }
}

/// `postern auth dmarc`.
struct AuthDMARCCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "dmarc", abstract: "Apply DMARC (RFC 9989) to a message, or to domains that were authenticated elsewhere.",
        discussion: """
            With a message, SPF (where --ip is given) and DKIM are evaluated first. Without one, --header-from names the author's address or \
            domain, and --spf and --dkim the domains that passed.
            """)

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String?
    @OptionGroup var client: AuthClientOptions
    @Option(help: ArgumentHelp("The author's address or domain, without a message.", valueName: "address"))
    var headerFrom: String?
    @Option(help: ArgumentHelp("A domain for which SPF passed.", valueName: "domain"))
    var spf: [String] = []
    @Option(help: ArgumentHelp("A domain whose signature passed.", valueName: "domain"))
    var dkim: [String] = []
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if (file == nil) == (headerFrom == nil) { throw ValidationError("give a message, or --header-from with --spf and --dkim") }
    }

    func execute() async throws {
        let report: DMARCReport
        if let file {
            let evaluation = try await evaluate(file, client.client, sources)
            report = DMARCReport(evaluation.dmarc, evaluation.forwarders)
        } else {
            let evaluator = DMARCEvaluator(resolver: try sources.resolver())
            let text = headerFrom ?? ""
            do {
                let author = text.contains("@") ? try DMARCAuthor(from: Array(text.utf8)) : DMARCAuthor(domain: try DomainName(text))
                let evaluation = await evaluator.evaluate(
                    author, spf: spf.map { DMARCSPFResult(domain: $0, result: "pass") },
                    dkim: dkim.map { DMARCDKIMResult(domain: $0, selector: "", result: "pass") })
                report = DMARCReport(evaluation, nil)
            } catch let error as DMARCAuthorError {
                report = DMARCReport(evaluator.evaluate(error), nil)
            } catch let error as DomainNameError {
                throw CommandFailure(.usage, "--header-from: \(error)")
            }
        }
        try output.show(["dmarc": report]) { report.story }
    }
}

/// `postern auth arc`.
struct AuthARCCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "arc", abstract: "Validate the Authenticated Received Chain of a message (RFC 8617).")

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let report = ARCReport(try await evaluate(file, nil, sources).arc)
        try output.show(["arc": report]) { report.story }
    }
}
