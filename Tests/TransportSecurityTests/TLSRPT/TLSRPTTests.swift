import DNS
import Foundation
import MailMessage
import NIOCore
import Testing
import TransportSecurity

struct TLSRPTRecordTests {
    @Test func destinations() throws {
        func read(_ text: String) throws -> [String] { try TLSRPTRecord(parsing: Array("v=TLSRPTv1;\(text)".utf8)).destinations.map(\.description) }
        #expect(try read("rua=mailto:tls@kartapuce.test") == ["mailto:tls@kartapuce.test"])
        #expect(try read(" rua=mailto:a@kartapuce.test , \t https://kartapuce.test/v1?x=y ;") == ["mailto:a@kartapuce.test", "https://kartapuce.test/v1?x=y"])
        #expect(try read("rua=MAILTO:a%2Cb%21@kartapuce.test?subject=x") == ["mailto:a,b!@kartapuce.test"])
        #expect(
            try read("rua=mailto:caf%C3%A9@kartapuce.test;rua=https://[2001:db8::1]:8443/") == ["mailto:café@kartapuce.test", "https://[2001:db8::1]:8443/"])
        #expect(try TLSRPTRecord(parsing: Array("v=TLSRPTv1;rua=ftp://kartapuce.test/".utf8)).unsupported == ["ftp://kartapuce.test/"])
    }

    @Test(arguments: [
        "v=TLSRPTv1", "v=TLSRPTv1;", "v=TLSRPTv10; rua=mailto:a@b.test", "v=tlsrptv1; rua=mailto:a@b.test", "v=TLSRPTv1; ext=1", "v=TLSRPTv1; rua=",
        "v=TLSRPTv1; rua=noscheme", "v=TLSRPTv1; rua=mailto:a@b.test,", "v=TLSRPTv1; rua=mailto:a@b.test!", "v=TLSRPTv1; rua=mailto:ab.test",
        "v=TLSRPTv1; rua=mailto:a@b.test x", "v=TLSRPTv1; rua=mailto:a%0@b.test", "v=TLSRPTv1; rua=mailto:a%0D%0A@b.test", "v=TLSRPTv1; rua=https:///x",
        "v=TLSRPTv1; rua=https://", "v=TLSRPTv1; rua=mailto:a@b.test;;", "v=TLSRPTv1; rua=mailto:a@b.test; more=", "v=TLSRPTv1; rua=mailto:é@b.test",
        "v=TLSRPTv1; rua=mailto:a@b@c.test", "v=TLSRPTv1; RUA=mailto:a@b.test", "v=TLSRPTv1; rua=https://@/x",
    ]) func bad(text: String) { #expect(throws: TransportSyntaxError.self, "\(text)") { try TLSRPTRecord(parsing: Array(text.utf8)) } }

    @Test func justOneRecordCounts() throws {
        let one = Array("v=TLSRPTv1;rua=mailto:a@b.test".utf8)
        #expect(try TLSRPTRecord.choose([one, Array("x".utf8)]) != nil)
        #expect(try TLSRPTRecord.choose([one, one]) == nil)
        #expect(try TLSRPTRecord.choose([]) == nil)
    }
}

struct TLSRPTReportTests {
    private func results() throws -> TLSRPTResults {
        var results = TLSRPTResults(domain: try name("gmail.test"), on: Date(timeIntervalSince1970: 1_459_500_000))
        let policy = try MTASTSPolicyTests.policy("version: STSv1\nmode: testing\nmx: *.mail.gmail.test\nmax_age: 86400")
        let sts = TLSRPTPolicy.sts(policy, domain: try name("gmail.test"))
        for _ in 0..<3 { results.add(sts, failures: []) }
        let expired = TLSRPTFailure(
            .certificateExpired, sendingAddress: IPAddress("2001:db8:abcd:12::1"), receivingHost: try name("mx1.mail.gmail.test"), receivingHELO: "mx\"1\n",
            receivingAddress: IPAddress("198.51.100.7"))
        for _ in 0..<2 { results.add(sts, failures: [expired]) }
        results.add(sts, failures: [expired, TLSRPTFailure(.validationFailure, reason: "X509_V_ERR")])
        let record = try TLSARecord(parsing: "3 1 1 " + String(repeating: "ab", count: 32))
        results.add(.tlsa([record], baseDomain: try name("mx2.gmail.test"), host: try name("mx2.gmail.test")), failures: [])
        return results
    }

    @Test func jsonIsThatOfTheStandard() throws {
        let report = TLSRPTReport(organization: "Kartapuce", contact: "tls@kartapuce.test", identifier: "1@kartapuce.test", results: try results())
        let expected =
            #"{"organization-name":"Kartapuce","date-range":{"start-datetime":"2016-04-01T00:00:00Z","end-datetime":"2016-04-01T23:59:59Z"},"#
            + #""contact-info":"tls@kartapuce.test","report-id":"1@kartapuce.test","policies":[{"policy":{"policy-type":"sts","policy-string":"#
            + #"["version: STSv1","mode: testing","mx: *.mail.gmail.test","max_age: 86400"],"policy-domain":"gmail.test","mx-host":["*.mail.gmail.test"]},"#
            + #""summary":{"total-successful-session-count":3,"total-failure-session-count":3},"failure-details":[{"result-type":"certificate-expired","#
            + #""sending-mta-ip":"2001:db8:abcd:12::1","receiving-mx-hostname":"mx1.mail.gmail.test","receiving-mx-helo":"mx\"1\u000a","#
            + #""receiving-ip":"198.51.100.7","failed-session-count":3},{"result-type":"validation-failure","failed-session-count":1,"#
            + #""failure-reason-code":"X509_V_ERR"}]},{"policy":{"policy-type":"tlsa","policy-string":["3 1 1 "#
            + String(repeating: "ab", count: 32) + #""],"policy-domain":"mx2.gmail.test","mx-host":["mx2.gmail.test"]},"#
            + #""summary":{"total-successful-session-count":1,"total-failure-session-count":0}}]}"#
        #expect(String(decoding: report.json(), as: UTF8.self) == expected)
        _ = try JSONSerialization.jsonObject(with: Data(report.json()))
    }

    @Test func whatIsToldApartHasAnEnd() throws {
        var results = TLSRPTResults(domain: try name("gmail.test"), on: TestAuthority.now)
        for index in 0..<2000 {
            results.add(.noPolicyFound(domain: try name("gmail.test")), failures: [TLSRPTFailure(.startTLSNotSupported, reason: "\(index)")])
            results.add(.noPolicyFound(domain: try name("a\(index).test")), failures: [])
        }
        #expect(results.policies.count <= TLSRPTResults.policyLimit + 1)
        let counts = results.policies[.noPolicyFound(domain: try name("gmail.test"))]
        #expect(counts?.details.count == TLSRPTResults.detailLimit + 1)
        #expect(counts?.details[TLSRPTFailure(.startTLSNotSupported)] == 1000 && counts?.failures == 2000)
        #expect(results.policies.values.map(\.successes).reduce(0, +) == 2000)
    }

    @Test func resultsMergeAndSurviveBeingKept() throws {
        var one = try results()
        one.merge(try results())
        #expect(one.policies.values.map(\.successes).reduce(0, +) == 8)
        let kept = try JSONDecoder().decode(TLSRPTResults.self, from: JSONEncoder().encode(one))
        #expect(kept == one)
        one.merge(TLSRPTResults(domain: try name("other.test"), on: one.day))
        #expect(kept == one)
    }

    @Test func theMessageIsThatOfTheStandard() throws {
        let report = TLSRPTReport(organization: "Kartapuce", contact: "tls@kartapuce.test", identifier: "7.a@kartapuce.test", results: try results())
        let message = TLSRPTReportMessage(
            report: report, from: try EmailAddress(parsing: "tls@kartapuce.test"), to: try EmailAddress(parsing: "reports@gmail.test"),
            date: MessageDate(Date(timeIntervalSince1970: 1_459_555_200)), messageID: "m@kartapuce.test", uniqueID: "001")
        #expect(try message.fileName(isCompressed: true) == "kartapuce.test!gmail.test!1459468800!1459555199!001.json.gz")
        #expect(try message.subject() == "Report Domain: gmail.test Submitter: kartapuce.test Report-ID: <7.a@kartapuce.test>")
        let parsed = Message(parsing: try message.serialized(gzip: { [0x1F, 0x8B] + $0 }))
        #expect(parsed.header.first(named: "TLS-Report-Domain")?.value.contains("gmail.test") == true)
        #expect(parsed.header.first(named: "TLS-Report-Submitter")?.value.contains("kartapuce.test") == true)
        #expect(TLSRequiredField.read(in: parsed.header) == .no)
        let parts = parsed.allParts.filter { $0.structure == .leaf }
        #expect(parts.map { "\($0.contentType.mediaType)" } == ["text/plain", "application/tlsrpt+gzip"])
        #expect(parts[1].decodedBody().octets.readableBytesView.elementsEqual([0x1F, 0x8B] + report.json()))
        #expect(parts[1].filename == "kartapuce.test!gmail.test!1459468800!1459555199!001.json.gz")
        let plain = Message(parsing: try message.serialized())
        #expect(plain.allParts.last?.contentType.mediaType == "application/tlsrpt+json")
        var wrong = message
        wrong.report.identifier = "a b"
        #expect(throws: TransportSyntaxError.self) { try wrong.serialized() }
        wrong = message
        wrong.uniqueID = "a!b"
        #expect(throws: TransportSyntaxError.self) { try wrong.serialized() }
    }
}
