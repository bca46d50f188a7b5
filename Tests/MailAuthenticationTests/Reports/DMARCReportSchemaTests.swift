import Foundation
import MailAuthentication
import Testing

/// Runs `xmllint` with the schema of RFC 9990 Appendix A, where a file with it is named by `POSTERN_DMARC_SCHEMA`.
@Suite(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_DMARC_SCHEMA"] != nil))
struct DMARCReportSchemaTests {
    private func isValid(_ xml: [UInt8]) throws -> Bool {
        let schema = try #require(ProcessInfo.processInfo.environment["POSTERN_DMARC_SCHEMA"])
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("report-\(UUID().uuidString).xml")
        try Data(xml).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/xmllint")
        process.arguments = ["--nonet", "--noout", "--schema", schema, file.path]
        process.standardError = FileHandle.nullDevice
        try process.run()
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    @Test func whatIsWrittenIsValid() throws {
        #expect(try isValid(ReportSample.report.xml()))
        var report = ReportSample.report
        report.records[0].disposition = .init(rawValue: "bounced")
        report.records[0].reasons = [.init(type: .sampledOut), .init(type: .init(rawValue: "weather"), comment: "rain")]
        report.records[0].dkim = .init(rawValue: "perhaps")
        report.records[0].spfResults = [.init(domain: "h.test", scope: .helo, result: .pass), .init(domain: "m.test", result: .init(rawValue: "hardfail"))]
        report.records[0].dkimResults = [.init(domain: "k.test", selector: nil, result: .softfail)]
        report.metadata.errors = ["one", "two"]
        report.policy.domainPolicy = .pass
        report.policy.dkimAlignment = .init(rawValue: "x")
        report.policy.discovery = .init(rawValue: "x")
        report.policy.percentage = 50
        #expect(try isValid(report.xml()))
    }

    /// The check itself can fail.
    @Test func otherReportsAreNotValid() throws {
        #expect(try !isValid(ReportSample.xml()))
        let text = String(decoding: try ReportSample.report.xml(), as: UTF8.self)
        #expect(try !isValid(Array(text.replacing("<p>reject</p>", with: "<p>pass</p>").utf8)))
    }
}
