import ArgumentParser
import DNS
import FoundationEssentials
import TransportSecurity

/// `postern auth dane`.
struct AuthDANECommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "dane",
        abstract: "Compare an SMTP server's certificates with the TLSA records of its name (RFC 7672); exit code 1 where they don't match.",
        discussion: "postern auth dane --tlsa records.txt --chain chain.pem --name mx.kartapuce.test")

    @Option(
        help: ArgumentHelp("TLSA records, one on a line, with or without their name, time to live, class and type.", valueName: "file"), completion: .file())
    var tlsa: String
    @Option(help: ArgumentHelp("The certificates in PEM, as the server sent them: its own first.", valueName: "file"), completion: .file())
    var chain: String
    @Option(
        help: ArgumentHelp(
            "A name that the certificate may have where a trust anchor matches: the MX host, and beside it the domain of the mail.", valueName: "name"))
    var name: [String] = []
    @Flag(help: "Compare no names with trust anchors either.")
    var noNameChecks = false
    @OptionGroup var time: TransportTime
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if name.isEmpty, !noNameChecks { throw ValidationError("give the server's name with --name") }
        for text in name where (try? DomainName(text)) == nil { throw ValidationError("“\(text)” is no domain name") }
    }

    private struct Report: Encodable {
        var dane: DANEReport
    }

    func execute() async throws {
        let records: [TLSARecord]
        let certificates: [[UInt8]]
        do {
            records = try TLSARecord.records(parsing: String(decoding: InputFile.read(tlsa), as: UTF8.self))
        } catch let error as TLSARecordError {
            throw CommandFailure(.badData, "\(tlsa): \(error)")
        }
        do {
            certificates = try PEMCertificates.parse(InputFile.read(chain))
        } catch let error as PEMError {
            throw CommandFailure(.badData, "\(chain): \(error)")
        }
        let verifier = DANEVerifier(records: records, references: try name.map { try DomainName($0) }, checksNames: !noNameChecks)
        let report = DANEReport(verifier.verify(chain: certificates, at: time.time))
        try output.show(Report(dane: report)) { report.story }
        if report.result != DANEEvaluation.Result.pass.rawValue { throw ExitCode(ExitStatus.failure.rawValue) }
    }
}

/// When something is checked.
struct TransportTime: ParsableArguments {
    @Option(help: ArgumentHelp("The time of the check, as RFC 3339 writes it; now if absent.", valueName: "time"), transform: AuthSources.time)
    var at: Date?

    var time: Date { at ?? Date() }
}

/// What `postern auth dane --json` writes. The names are a stable interface: Documentation/transport-security.md.
struct DANEReport: Encodable {
    struct Record: Encodable {
        var record: String
        var usage: UInt8
        var selector: UInt8
        var matchingType: UInt8
        var usable: Bool
        var unusableReason: String?
        var superseded: Bool
        var matchedDepths: [Int]
        var decided: Bool
        var note: String
    }
    struct Certificate: Encodable {
        var subject: String?
        var issuer: String?
        var notBefore: Date?
        var notAfter: Date?
        var names: [String]
        var sha256: String
        var spkiSHA256: String
        var problem: String?
    }
    struct Problem: Encodable {
        var code: String
        var depth: Int?
        var reason: String
    }
    var result: String
    var depth: Int?
    var reason: String
    var resultType: String?
    var matchedName: String?
    var problems: [Problem]
    var records: [Record]
    var chain: [Certificate]

    init(_ evaluation: DANEEvaluation) {
        result = evaluation.result.rawValue
        depth = evaluation.depth
        reason = evaluation.reason
        resultType = evaluation.resultType?.rawValue
        matchedName = evaluation.matchedName?.ascii
        problems = evaluation.problems.map { Problem(code: $0.code.rawValue, depth: $0.depth, reason: $0.reason) }
        records = evaluation.records.map {
            Record(
                record: "\($0.record)", usage: $0.record.usage, selector: $0.record.selector, matchingType: $0.record.matchingType,
                usable: $0.unusable == nil, unusableReason: $0.unusable.map { "\($0)" }, superseded: $0.isSuperseded, matchedDepths: $0.matchedDepths,
                decided: $0.decided, note: $0.note)
        }
        chain = evaluation.chain.map {
            Certificate(
                subject: $0.subject, issuer: $0.issuer, notBefore: $0.notValidBefore, notAfter: $0.notValidAfter, names: $0.names, sha256: $0.fingerprint,
                spkiSHA256: $0.keyFingerprint, problem: $0.problem)
        }
    }

    var story: String {
        var lines = ["DANE \(result): \(reason)"]
        for record in records {
            let text = record.record.count > 100 ? record.record.prefix(100) + "…" : record.record[...]
            lines.append("  \(text): \(record.note)")
        }
        for (index, certificate) in chain.enumerated() {
            lines.append("  certificate \(index): \(certificate.subject ?? "can't be read") by \(certificate.issuer ?? "?"), SHA-256 \(certificate.sha256)")
        }
        return lines.joined(separator: "\n")
    }
}
