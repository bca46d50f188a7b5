import Foundation
import MailAuthentication
import Testing

struct TLSReportTests {
    private static let report = """
        {"organization-name": "gmail.test", "date-range": {"start-datetime": "2026-11-27T00:00:00Z", "end-datetime": "2026-11-27T23:59:59Z"},
         "contact-info": "mailto:tls@gmail.test", "report-id": "1", "policies": [
          {"policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "kartapuce.test", "mx-host": "mail.kartapuce.test"},
           "summary": {"total-successful-session-count": 5, "total-failure-session-count": 2},
           "failure-details": [{"result-type": "certificate-expired", "failed-session-count": 2, "receiving-mx-hostname": "mail.kartapuce.test"}]}]}
        """

    @Test func aReportIsRead() throws {
        let report = try TLSReport(parsing: Array(Self.report.utf8))
        #expect(report.successes == 5 && report.failures == 2)
        #expect(report.policies.first?.policy.exchangers == ["mail.kartapuce.test"])
        #expect(report.policies.first?.failures?.first?.type == "certificate-expired")
    }

    @Test(arguments: ["", "{", "[]", "{\"policies\": []}", "{\"organization-name\": 1}", String(repeating: "[", count: 100_000)])
    func whatIsNoReportIsRefused(json: String) { #expect(throws: ReportError.self) { try TLSReport(parsing: Array(json.utf8)) } }

    @Test(.enabled(if: ProcessInfo.processInfo.environment["POSTERN_SUITES"] != nil), arguments: ["rpt01.eml", "rpt02.eml", "rpt03.json"])
    func reportsOfTheSuiteAreReadInConformance(name: String) throws {
        let suites = try #require(ProcessInfo.processInfo.environment["POSTERN_SUITES"])
        let octets = Array(try Data(contentsOf: URL(filePath: "\(suites)/reports/mail-auth/tlsrpt/\(name)")))
        guard case .tls(let json) = try ReportMail.read(file: octets) else {
            Issue.record("\(name) is another report")
            return
        }
        #expect(!(try TLSReport(parsing: json).policies.isEmpty))
    }
}
