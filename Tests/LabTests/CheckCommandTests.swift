import Foundation
import MailTesting
import Testing

@testable import Lab

/// `postern check` and `postern dns` as an operator's scripts see them.
@Suite struct CheckCommandTests {
    private struct Report: Decodable {
        struct Finding: Decodable {
            struct Evidence: Decodable {
                var source: String
                var question: String
                var answer: String
            }
            var code: String
            var severity: String
            var topic: String
            var subject: String
            var evidence: [Evidence]
            var reference: String
            var advice: String?
        }
        var domain: String
        var at: String
        var result: String
        var counts: [String: Int]
        var findings: [Finding]
    }

    /// Neither takes nor sends mail (checklist of gateways, A25).
    private static let unused = """
        ;!SECURE test.
        unused.test. IN MX 0 .
        unused.test. IN TXT "v=spf1 -all"
        unused.test. IN CAA 0 issue ";"
        _dmarc.unused.test. IN TXT "v=DMARC1; p=reject; rua=mailto:d@unused.test"
        *._domainkey.unused.test. IN TXT "v=DKIM1; p="

        """

    private func run(_ arguments: [String], zone: String? = nil) async throws -> CommandResult {
        let folder = try LabFiles.temporaryFolder("check")
        defer { LabFiles.remove(folder) }
        var arguments = arguments
        if let zone {
            try LabFiles.write(zone, to: "\(folder)/zone")
            arguments += ["--zone", "\(folder)/zone"]
        }
        return try await Command.run(try posternBinary(), arguments)
    }

    @Test func aGoodDomainEndsWithZero() async throws {
        let result = try await run(["check", "unused.test"], zone: Self.unused)
        #expect(result.status == 0, "\(result.outputText)\(result.errors)")
        #expect(result.outputText.hasPrefix("unused.test: all good\n"))
    }

    @Test func warningsAndErrorsEndWithOne() async throws {
        let weak = Self.unused.replacingOccurrences(of: "p=reject", with: "p=none")
        #expect(try await run(["check", "unused.test"], zone: weak).status == 1)
        #expect(try await run(["check", "unused.test", "--fail-on", "error"], zone: weak).status == 0)
        #expect(try await run(["check", "gone.test", "--fail-on", "error"], zone: weak).status == 1)
        #expect(try await run(["check", "gone.test", "--fail-on", "none"], zone: weak).status == 0)
    }

    @Test func wrongUseEndsWithSixtyFourAndMore() async throws {
        #expect(try await run(["check"]).status == 64)
        #expect(try await run(["check", "a..b"]).status == 64)
        #expect(try await run(["check", "unused.test", "--at", "yesterday"]).status == 64)
        #expect(try await run(["check", "unused.test", "--fail-on", "bugs"]).status == 64)
        #expect(try await run(["check", "unused.test"], zone: "what").status == 65)
        #expect(try await run(["check", "unused.test", "--zone", "/nonexistent"]).status == 66)
    }

    @Test func theJSONHasStableKeys() async throws {
        let weak = Self.unused.replacingOccurrences(of: "p=reject", with: "p=none") + ";!TIMEOUT s1._domainkey.unused.test. TXT\n"
        let result = try await run(["check", "unused.test", "--json", "--selector", "s1", "--at", "2026-11-28T23:00:00Z"], zone: weak)
        #expect(result.status == 1)
        let report = try JSONDecoder().decode(Report.self, from: result.output)
        #expect(report.domain == "unused.test" && report.result == "warning" && report.at.hasPrefix("2026-11-28T23:00:00"))
        #expect(report.counts["warning"] == 1 && report.counts["unknown"] == 1)
        let dmarc = try #require(report.findings.first { $0.code == "dmarc.notClosed" })
        #expect(dmarc.severity == "warning" && dmarc.topic == "dmarc" && dmarc.subject == "unused.test" && dmarc.reference == "RFC 9989 §4.7")
        #expect(dmarc.evidence.contains { $0.source == "dns" && $0.question == "_dmarc.unused.test. TXT" && $0.answer.contains("p=none") })
        #expect(dmarc.advice?.isEmpty == false)
        #expect(report.findings.contains { $0.code == "dkim.unknown" && $0.severity == "unknown" })
    }

    @Test func theRecordsOfADomainArePrintedComparedAndFoundAgain() async throws {
        let folder = try LabFiles.temporaryFolder("dns")
        defer { LabFiles.remove(folder) }
        let yaml = """
            hostname: mail.kartapuce.test
            domains: [kartapuce.test]
            roles: []
            milter: {listen: ["inet:127.0.0.1:8891"]}
            dataFolder: \(folder)/data
            dns:
              exchangers: [mail.kartapuce.test]
              senders: [203.0.113.25]
              addresses: {mail.kartapuce.test: [203.0.113.25]}
              reports: reports@kartapuce.test

            """
        try LabFiles.write(yaml, to: "\(folder)/postern.yaml")
        let options = ["--config", "\(folder)/postern.yaml"]
        let records = try await run(["dns", "records", "kartapuce.test"] + options)
        #expect(records.status == 0 && records.outputText.contains("kartapuce.test. IN MX 10 mail.kartapuce.test."), "\(records.errors)")
        let same = try await run(["dns", "records", "kartapuce.test", "--compare"] + options, zone: records.outputText)
        #expect(same.status == 0, "\(same.outputText)")
        let changed = records.outputText.replacingOccurrences(of: "ip4:203.0.113.25", with: "mx")
        let different = try await run(["dns", "records", "kartapuce.test", "--compare"] + options, zone: changed)
        #expect(different.status == 1 && different.outputText.contains("- kartapuce.test. TXT \"v=spf1 mx -all\""), "\(different.outputText)")
        let dry = try await run(["dns", "publish", "kartapuce.test", "--dry-run"] + options, zone: changed)
        #expect(dry.status == 0 && dry.outputText.contains("nothing was changed"), "\(dry.outputText)\(dry.errors)")
        // Without a server nothing can be published, and that is said.
        let publish = try await run(["dns", "publish", "kartapuce.test"] + options, zone: changed)
        #expect(publish.status == 1 && publish.errors.contains("dns.updateServer"), "\(publish.errors)")
        #expect(try await run(["dns", "records", "gmail.test"] + options).status == 66)
    }
}
