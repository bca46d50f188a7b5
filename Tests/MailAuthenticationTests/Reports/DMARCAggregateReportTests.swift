import Foundation
import MailAuthentication
import Testing

struct DMARCAggregateReportTests {
    private func failure(_ xml: [UInt8], _ limits: ReportLimits = ReportLimits()) -> ReportError? {
        do throws(ReportError) {
            _ = try DMARCAggregateReport(parsing: xml, limits: limits)
            return nil
        } catch {
            return error
        }
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let read = try DMARCAggregateReport(parsing: ReportSample.report.xml())
        #expect(read.problems.isEmpty)
        #expect(read.metadata == ReportSample.report.metadata)
        #expect(read.policy == ReportSample.report.policy)
        var expected = ReportSample.report.records
        expected[0].spfResults[0].scope = .mailFrom
        #expect(read.records == expected)
        #expect(read.messageCount == 13)
        let json = try JSONDecoder().decode(DMARCAggregateReport.self, from: JSONEncoder().encode(read))
        #expect(json == read)
    }

    @Test func theSameReportGivesTheSameOctets() throws {
        #expect(try ReportSample.report.gzip() == ReportSample.report.gzip())
        let gzip = try ReportSample.report.gzip()
        // RFC 1952 §2.3: deflate, no flags, no time.
        #expect(Array(gzip.prefix(8)) == [0x1F, 0x8B, 8, 0, 0, 0, 0, 0])
        #expect(try ReportArchive.contents(of: gzip).octets == ReportSample.report.xml())
    }

    @Test func valuesNeverBecomeMarkup() throws {
        var report = ReportSample.report
        report.metadata.organizationName = "</org_name><evil a='\"'>&amp;]]>\u{1}\u{FFFE}"
        report.records[0].headerFrom = "<x>.test"
        let read = try DMARCAggregateReport(parsing: report.xml())
        #expect(read.metadata.organizationName == "</org_name><evil a='\"'>&amp;]]>\u{FFFD}\u{FFFD}")
        #expect(read.records[0].headerFrom == "<x>.test")
        #expect(read.problems.map(\.code) == [.invalidValue])
    }

    @Test func wordsWithoutPlaceInTheSchemaAreReplaced() throws {
        var report = ReportSample.report
        report.records[0].disposition = .init(rawValue: "bounced")
        report.records[0].reasons = [.init(type: .sampledOut), .init(type: .init(rawValue: "weather"), comment: "rain")]
        report.records[0].spfResults = [.init(domain: "h.test", scope: .helo, result: .pass), .init(domain: "m.test", result: .init(rawValue: "hardfail"))]
        report.policy.domainPolicy = .pass
        let read = try DMARCAggregateReport(parsing: report.xml())
        #expect(read.records[0].disposition == .none)
        #expect(read.records[0].reasons == [.init(type: .other, comment: "sampled_out"), .init(type: .other, comment: "weather: rain")])
        #expect(read.records[0].spfResults == [.init(domain: "m.test", result: .neutral)])
        #expect(read.policy.domainPolicy == .none)
    }

    /// RFC 9990 §3.1.3: at most 100, aligned ones first.
    @Test func theBestSignaturesAreWritten() throws {
        var report = ReportSample.report
        report.records[0].dkimResults = (0..<200).map { .init(domain: "x\($0).test", selector: "s", result: $0 < 150 ? .fail : .pass) }
        report.records[0].dkimResults.append(.init(domain: "sub.kartapuce.test", selector: "s", result: .pass))
        report.records[0].dkimResults.append(.init(domain: "kartapuce.test", selector: "s", result: .pass))
        let written = try DMARCAggregateReport(parsing: report.xml()).records[0].dkimResults
        #expect(written.count == 100)
        #expect(written.prefix(3).map(\.domain) == ["kartapuce.test", "sub.kartapuce.test", "x150.test"])
        #expect(written.count { $0.result == .pass } == 52)
    }

    @Test(arguments: [
        "report_metadata/org_name", "report_metadata/report_id", "report_metadata/date_range", "report_metadata/date_range/begin",
        "report_metadata/date_range/end", "policy_published/domain", "policy_published/p", "record/row/source_ip", "record/row/count",
        "record/row/policy_evaluated", "record/identifiers", "record/identifiers/header_from", "record/auth_results", "record/row",
        "record", "report_metadata", "policy_published",
    ])
    func requiredPartsAreNamed(_ path: String) {
        let name = String(path.split(separator: "/").last ?? "")
        let text = String(decoding: ReportSample.xml(), as: UTF8.self)
        var parts = text.components(separatedBy: "<\(name)>")
        // The domain of the policy is the first of that name.
        let tail = parts.remove(at: 1)
        let after = tail.range(of: "</\(name)>").map { String(tail[$0.upperBound...]) } ?? ""
        let without = ([parts[0] + after] + parts.dropFirst()).joined(separator: "<\(name)>")
        #expect(without != text)
        let error = failure(Array(without.utf8))
        #expect(error?.code == .missing)
        #expect(error?.field == "feedback/\(path)")
    }

    @Test func valuesThatSayNothingAreRefused() {
        #expect(failure(ReportSample.xml(row: "<source_ip>203.0.113.7</source_ip><count>-1</count>"))?.field == "feedback/record/row/count")
        #expect(failure(ReportSample.xml(row: "<source_ip>203.0.113.7</source_ip><count>99999999999999999999</count>"))?.code == .invalidValue)
        #expect(failure(ReportSample.xml(row: "<source_ip>203.0.113.7</source_ip><count>two</count>"))?.code == .invalidValue)
        #expect(failure(ReportSample.xml(range: "<date_range><begin>x</begin><end>2</end></date_range>"))?.code == .invalidValue)
        #expect(failure(ReportSample.xml(range: "<date_range><begin>1</begin><end>999999999999</end></date_range>"))?.code == .invalidValue)
        let long = String(repeating: "x", count: 2000)
        #expect(failure(ReportSample.xml(metadata: "<org_name>\(long)</org_name><report_id>1</report_id>"))?.code == .invalidValue)
        #expect(failure(ReportSample.xml(metadata: "<org_name>R</org_name><report_id>\(long)</report_id>"))?.code == .invalidValue)
        #expect(failure(Array("<html/>".utf8))?.code == .notAReport)
        var limits = ReportLimits()
        limits.records = 0
        #expect(failure(ReportSample.xml(), limits)?.code == .tooMany)
    }

    @Test func otherDeviationsAreNamed() throws {
        let xml = ReportSample.xml(
            metadata: "<org_name>R</org_name><org_name>S</org_name><report_id>1</report_id>",
            range: "<date_range><begin>5</begin><end>2</end></date_range>",
            policy: "<domain>kartapuce.test</domain><p>NONE</p><sp>maybe</sp><pct>200</pct><testing>x</testing>",
            row: "<source_ip>somewhere</source_ip><count> 2 </count>",
            evaluated: "<policy_evaluated><disposition>drop</disposition><spf>pass</spf></policy_evaluated>",
            results: "<auth_results><dkim/><spf><domain>k.test</domain><result>hardfail</result></spf></auth_results>")
        let report = try DMARCAggregateReport(parsing: Array("\n ".utf8) + xml)
        #expect(report.metadata.organizationName == "R")
        #expect(report.policy.domainPolicy == .none)
        #expect(report.policy.subdomainPolicy?.rawValue == "maybe")
        #expect(report.records[0].sourceIP == "somewhere")
        #expect(report.records[0].count == 2)
        #expect(report.records[0].disposition.rawValue == "drop")
        #expect(report.records[0].dkim == .fail)
        #expect(report.records[0].spfResults[0].result.rawValue == "hardfail")
        let found = Set(report.problems.map { "\($0.code.rawValue) \($0.field.split(separator: "/").last ?? "")" })
        #expect(
            found == [
                "leadingOctets feedback", "repeated org_name", "implausiblePeriod date_range", "missing email", "unknownWord sp", "invalidValue pct",
                "unknownWord testing", "invalidValue source_ip", "unknownWord disposition", "missing dkim", "missing domain", "missing result",
                "unknownWord result",
            ])
    }

    /// What is read is what would be written: values are of one line.
    @Test(arguments: ["203.0.113.7\t8", " \r\n203.0.113.7\n8\t"])
    func blanksOfAnyKindInValuesAreBlanks(address: String) throws {
        let report = try DMARCAggregateReport(parsing: ReportSample.xml(row: "<source_ip>\(address)</source_ip><count>2</count>"))
        #expect(report.records.map(\.sourceIP) == ["203.0.113.7 8"])
        #expect(try DMARCAggregateReport(parsing: try report.xml()).records == report.records)
    }

    @Test func extensionsAreLeftOut() throws {
        let xml = ReportSample.xml(
            results: """
                <auth_results><spf><domain>k.test</domain><result>pass</result></spf></auth_results>
                <e:row xmlns:e="urn:e"><e:count>7</e:count></e:row><row2><count>8</count></row2>
                """,
            root: "<x:feedback xmlns:x=\"http://dmarc.org/dmarc-xml/0.1\"><extension><record/></extension>", end: "</x:feedback>")
        let report = try DMARCAggregateReport(parsing: xml)
        #expect(report.problems.isEmpty)
        #expect(report.records.map(\.count) == [2])
    }

    @Test func manyProblemsAreCounted() throws {
        let results = "<auth_results>" + String(repeating: "<dkim><domain/><result>pass</result></dkim>", count: 500) + "</auth_results>"
        let report = try DMARCAggregateReport(parsing: ReportSample.xml(results: results))
        #expect(report.problems.count == 100)
        #expect(report.problemCount == 500)
        let more = "<auth_results>" + String(repeating: "<dkim/>", count: 1001) + "</auth_results>"
        #expect(failure(ReportSample.xml(results: more))?.code == .tooMany)
    }

    @Test func hostileXML() {
        let doctype = Array("<!DOCTYPE feedback [<!ENTITY a \"ha\"><!ENTITY b \"&a;&a;&a;&a;\">]>".utf8)
        let laughs = doctype + ReportSample.xml(metadata: "<org_name>&b;</org_name><report_id>1</report_id>").dropFirst(21)
        #expect(failure(laughs)?.code == .xml)
        let deep = Array(repeating: Array("<feedback>".utf8), count: 100_000).flatMap { $0 }
        #expect(failure(deep)?.code == .xml)
        #expect(failure(Array("<feedback a='".utf8) + [UInt8](repeating: 0x61, count: 100_000) + Array("'/>".utf8))?.code == .xml)
        #expect(failure(Array("<?xml version='1.0' encoding='UTF-16'?><feedback/>".utf8))?.code == .xml)
        #expect(failure([0xFF, 0xD8, 0xFF])?.code == .xml)
        let error = failure(Array("<feedback>\n<a></b></feedback>".utf8))
        #expect(error?.line == 2)
        #expect(error?.column == 6)
    }

    @Test(.timeLimit(.minutes(3)), arguments: ["<feedback>", "<record>", "<a/>", "x", "<feedback ", "&lt;", "<record><row><count>1</count></row>"])
    func megabytesOfHostileOctetsEndInTime(_ unit: String) {
        let octets = Array("<feedback>".utf8) + ReportSample.repeated(Array(unit.utf8), octets: 10 << 20)
        #expect(failure(octets) != nil)
    }
}
