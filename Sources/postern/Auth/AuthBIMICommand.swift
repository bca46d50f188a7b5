import ArgumentParser
import DNS
import Gateway
import MailAuthentication
import MailMessage

/// `postern auth bimi`.
struct AuthBIMICommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "bimi", abstract: "Say whether a message may show its sender's logo, or whether an indicator is one that may be shown.",
        discussion: """
            With --svg alone the indicator is judged: exit code 0 where it may be shown, 1 where not. With a message, its record is looked up, and the \
            indicator and the evidence that it names are taken from --svg and --evidence. With --fetch they are fetched by HTTPS from where the record \
            says; without it this command fetches nothing from strangers.
            """)

    @Argument(help: "The message; - for standard input.", completion: .file())
    var file: String?
    @OptionGroup var client: AuthClientOptions
    @Option(help: ArgumentHelp("The indicator: SVG Tiny PS, compressed or not.", valueName: "file"), completion: .file())
    var svg: String?
    @Option(help: ArgumentHelp("The evidence: a mark certificate with its chain in PEM.", valueName: "file"), completion: .file())
    var evidence: String?
    @Option(help: ArgumentHelp("The authorities that are trusted to certify marks, in PEM.", valueName: "file"), completion: .file())
    var roots: String?
    @Flag(help: "Fetch the indicator and the evidence by HTTPS; not together with --zone, --svg or --evidence.")
    var fetch = false
    @Flag(help: "Take indicators without evidence too.")
    var withoutEvidence = false
    @OptionGroup var sources: AuthSources
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if fetch, file == nil { throw ValidationError("--fetch needs a message, whose author's domain says from where") }
        if fetch, svg != nil || evidence != nil { throw ValidationError("give --fetch, or files with --svg and --evidence") }
        if fetch, sources.zone != nil { throw ValidationError("with --zone nothing is fetched: give files with --svg and --evidence") }
        if file == nil, svg == nil { throw ValidationError("give a message, or an indicator with --svg") }
    }

    func execute() async throws {
        guard let file else { return try judge(svg ?? "") }
        let message = try InputFile.message(file)
        let resolver = try sources.resolver()
        let verifier = SenderVerifier(resolver: resolver, receivingHost: sources.authservID)
        let sender = try await verifier.verify(client.client, content: message, at: sources.time)
        let fields = HeaderSection(parsing: message.buffer).all(named: "BIMI-Selector").map(\.unfoldedOctets)
        let isSigned = sender.dkim.contains { $0.result == .pass && $0.signedFields.contains { $0.name == "bimi-selector" } }
        guard let subject = sender.bimiSubject(selector: BIMISelector.choose(fieldValues: fields, isSigned: isSigned).selector) else {
            return try output.show(["bimi": ["result": "skipped", "reason": sender.dmarc.reason]]) { "BIMI skipped: \(sender.dmarc.reason)" }
        }
        let fetcher: any BIMIFetcher =
            fetch
            ? try IndicatorFetcher(resolver: resolver) : LocalFetcher(svg: try svg.map(InputFile.read), evidence: try evidence.map(InputFile.read))
        let evaluator = BIMIEvaluator(
            resolver: resolver, fetcher: fetcher, roots: try trusted(),
            options: .init(evidence: withoutEvidence ? .optional : .required))
        let evaluation = await evaluator.evaluate(subject, at: sources.time)
        try output.show(["bimi": evaluation]) {
            "BIMI \(evaluation.result.rawValue)" + (evaluation.domain.map { " for \($0)" } ?? "") + (evaluation.reason.map { ": \($0)" } ?? "")
        }
    }

    private func judge(_ path: String) throws {
        let report = BIMIIndicator.judge(octets: try InputFile.read(path))
        struct Judgement: Encodable {
            var result: String
            var indicator: BIMIIndicatorReport
        }
        try output.show(["bimi": Judgement(result: report.isAccepted ? "pass" : "fail", indicator: report)]) {
            report.isAccepted ? "accepted" : "refused:\n" + report.problems.map { "  \($0)" }.joined(separator: "\n")
        }
        if !report.isAccepted { throw ExitCode(ExitStatus.failure.rawValue) }
    }

    private func trusted() throws -> BIMIRoots {
        guard let roots else { return BIMIRoots() }
        do {
            return try BIMIRoots(parsingPEM: InputFile.read(roots))
        } catch let error as BIMIRootsError {
            throw CommandFailure(.badData, "\(roots): \(error)")
        }
    }
}

/// Gives files in place of what would be fetched: a certificate where PEM is asked for, the picture else.
private struct LocalFetcher: BIMIFetcher {
    var svg: [UInt8]?
    var evidence: [UInt8]?

    func fetch(_ location: BIMILocation, limit: Int) async throws(BIMIFetchError) -> [UInt8] {
        let isEvidence = location.target.lowercased().contains(".pem")
        guard let octets = isEvidence ? evidence : svg else {
            throw BIMIFetchError(.connectionFailed, reason: "no \(isEvidence ? "--evidence" : "--svg") was given for \(location)")
        }
        guard octets.count <= limit else { throw BIMIFetchError(.tooLarge, reason: "\(octets.count) octets, more than \(limit)") }
        return octets
    }
}
