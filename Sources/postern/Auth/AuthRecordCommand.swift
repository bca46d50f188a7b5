import ArgumentParser
import MailAuthentication
import TransportSecurity

/// `postern auth record`.
struct AuthRecordCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "record", abstract: "Say whether a text is a record that the standards allow; exit code 1 where it isn't.",
        discussion: "postern auth record spf 'v=spf1 mx -all'")

    /// What a text may be.
    enum Kind: String, CaseIterable, ExpressibleByArgument {
        case spf
        case dkimKey = "dkim-key"
        case dkimSignature = "dkim-signature"
        case dmarc
        case bimi
        case mtaSTS = "mta-sts"
        case mtaSTSPolicy = "mta-sts-policy"
        case tlsrpt
    }

    @Argument(help: "spf, dkim-key, dkim-signature, dmarc, bimi, mta-sts, mta-sts-policy, tlsrpt.")
    var kind: Kind
    @Argument(help: "The record's text, the strings of a TXT record joined; - for standard input.")
    var text: String
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var kind: String
        var accepted: Bool
        var reason: String?
        var notes: [String]
    }

    func execute() async throws {
        var octets = text == "-" ? try InputFile.read("-") : Array(text.utf8)
        // A line's end after a record on standard input is the shell's. In a policy it is the policy's own.
        if text == "-", kind != .mtaSTSPolicy { while let last = octets.last, last == 0x0A || last == 0x0D { octets.removeLast() } }
        var report = Report(kind: kind.rawValue, accepted: true, reason: nil, notes: [])
        do {
            report.notes = try notes(octets)
        } catch {
            report.accepted = false
            report.reason = "\(error)"
        }
        try output.show(report) {
            ([report.accepted ? "accepted" : "refused: \(report.reason ?? "")"] + report.notes.map { "  \($0)" }).joined(separator: "\n")
        }
        if !report.accepted { throw ExitCode(ExitStatus.failure.rawValue) }
    }

    /// What the record says, in words.
    private func notes(_ octets: [UInt8]) throws -> [String] {
        switch kind {
        case .spf:
            let record = try SPFRecord(parsing: octets)
            return record.directives.map { "\($0.text): \($0.qualifier.result.rawValue)" }
                + record.unknownModifiers.map { "the modifier \($0) isn't known and says nothing (RFC 7208 §6)" }
        case .dkimKey:
            let record = try DKIMKeyRecord(parsing: octets)
            return ["\(record.keyType.rawValue) key" + (record.isRevoked ? ", revoked" : "")] + (record.isTesting ? ["for tests"] : [])
        case .dkimSignature:
            let signature = try DKIMSignatureHeader(parsing: octets)
            return ["\(signature.algorithm.rawValue) by \(signature.domain), selector \(signature.selector)"]
        case .dmarc:
            let record = try DMARCRecord(parsing: octets)
            guard record.isApplicable else {
                throw CommandFailure(.failure, (["it has no usable policy and asks for no reports (RFC 9989 §4.10.1)"] + record.notes).joined(separator: "; "))
            }
            return ["p=\(record.policy.rawValue)"] + record.notes
        case .bimi:
            let record = try BIMIRecord(parsing: octets)
            if record.isDeclination { return ["the domain declines"] }
            return [record.location.map { "l=\($0)" }, record.evidenceLocation.map { "a=\($0)" }].compactMap { $0 }
        case .mtaSTS: return ["id=\(try MTASTSRecord(parsing: octets).id)"]
        case .mtaSTSPolicy:
            let policy = try MTASTSPolicy(parsing: octets)
            return ["mode \(policy.mode.rawValue)", "max_age \(policy.maximumAgeSeconds)"] + policy.patterns.map { "mx \($0)" } + policy.notes
        case .tlsrpt:
            let record = try TLSRPTRecord(parsing: octets)
            return record.destinations.map { "rua \($0)" } + record.unsupported.map { "the scheme of \($0) isn't one of RFC 8460 §3" }
        }
    }
}
