import Foundation
import MailAuthentication
import Testing

struct DMARCAggregateBuilderTests {
    private func observation(
        _ count: Int = 1, source: String = "203.0.113.7", from: String = "kartapuce.test", p: DMARCReportDisposition = .reject
    )
        -> DMARCReportObservation
    {
        var policy = ReportSample.report.policy
        policy.domainPolicy = p
        var record = ReportSample.record
        record.count = count
        record.sourceIP = source
        record.headerFrom = from
        return DMARCReportObservation(policy: policy, record: record)
    }

    @Test func equalRowsAreCountedTogether() throws {
        var builder = DMARCAggregateBuilder()
        builder.add(observation(2))
        builder.add(observation(3, from: "KARTAPUCE.test"))
        builder.add(observation(1, source: "::ffff:203.0.113.7"))
        builder.add(observation(1, source: "203.0.113.8"))
        builder.add(observation(0))
        #expect(builder.rowCount == 2)
        let report = try #require(builder.report(on: builder.policies[0], metadata: ReportSample.report.metadata))
        #expect(report.records.map(\.sourceIP) == ["203.0.113.7", "203.0.113.8"])
        #expect(report.records.map(\.count) == [6, 1])
        #expect(try DMARCAggregateReport(parsing: report.xml()).messageCount == 7)
    }

    /// RFC 9990 §3.1: a single report has data for one policy configuration.
    @Test func eachPolicyHasItsReport() {
        var builder = DMARCAggregateBuilder()
        builder.add(observation(p: .none))
        builder.add(observation(p: .reject))
        #expect(builder.policies.map(\.domainPolicy) == [.none, .reject])
        for policy in builder.policies { #expect(builder.report(on: policy, metadata: ReportSample.report.metadata)?.records.count == 1) }
        #expect(builder.report(on: observation(p: .quarantine).policy, metadata: ReportSample.report.metadata) == nil)
    }

    @Test func theOrderDoesntMatter() throws {
        let all = (0..<50).map { observation(1 + $0 % 3, source: "203.0.113.\($0 % 7)", from: "x\($0 % 5).test") }
        var first = DMARCAggregateBuilder()
        var second = DMARCAggregateBuilder()
        for row in all { first.add(row) }
        for row in all.reversed() { second.add(row) }
        let policy = try #require(first.policies.first)
        #expect(first.report(on: policy, metadata: ReportSample.report.metadata) == second.report(on: policy, metadata: ReportSample.report.metadata))
    }

    @Test func rowsAreKeptAndComeBack() throws {
        var builder = DMARCAggregateBuilder()
        builder.add(observation(2))
        builder.add(observation(1, p: .none))
        let kept = try JSONEncoder().encode(builder.observations)
        var again = DMARCAggregateBuilder()
        for row in try JSONDecoder().decode([DMARCReportObservation].self, from: kept) { again.add(row) }
        #expect(again.observations == builder.observations)
        #expect(again.observations.map(\.record.count).sorted() == [1, 2])
    }

    @Test func rowsOverTheLimitAreCounted() {
        var builder = DMARCAggregateBuilder(rowLimit: 3)
        for number in 0..<10 { #expect(builder.add(observation(2, source: "203.0.113.\(number)")) == (number < 3)) }
        #expect(builder.add(observation(Int.max)) == false || builder.rowCount == 3)
        #expect(builder.rowCount == 3)
        #expect(builder.droppedMessageCount >= 14)
    }

    @Test func sumsDontOverflow() {
        var builder = DMARCAggregateBuilder()
        builder.add(observation(.max))
        builder.add(observation(.max))
        #expect(builder.observations[0].record.count == .max)
    }
}

struct DMARCReportSummaryTests {
    @Test func recordsAreAddedUpByAddressAndDomain() throws {
        var other = ReportSample.report
        other.metadata.reportID = "43"
        other.metadata.begin -= 86_400
        let summary = DMARCReportSummary([ReportSample.report, other, ReportSample.report])
        #expect(summary.reports == 2)
        #expect(summary.duplicates == 1)
        #expect(summary.messages == 26)
        #expect(summary.passed == 2)
        #expect(summary.failed == 24)
        #expect(summary.rows.map(\.sourceIP) == ["203.0.113.7", "2001:db8::7"])
        #expect(summary.rows[0].rejected == 24)
        #expect(summary.rows[0].overridden == 24)
        #expect(summary.rows[1].dkimAligned == 2)
        #expect(summary.rows[1].spfAligned == 0)
        #expect(summary.begin == other.metadata.begin)
        #expect(summary.domains == ["kartapuce.test": .reject])
        #expect(try JSONDecoder().decode(DMARCReportSummary.self, from: JSONEncoder().encode(summary)) == summary)
        let table = summary.table()
        #expect(table.contains("26 messages, 2 passed, 24 failed"))
        #expect(table.contains("203.0.113.7  kartapuce.test"))
        #expect(summary.table(rowLimit: 1).hasSuffix("and 1 more\n"))
    }

    /// Whoever writes a report writes on no terminal.
    @Test func nothingInATableSteersATerminal() {
        var report = ReportSample.report
        report.metadata.organizationName = "\u{1B}]0;x\u{7}\u{202E}" + String(repeating: "a", count: 500)
        report.records[0].sourceIP = "1\n2\r\u{9B}31m"
        report.records[0].headerFrom = "a\u{0300}\u{200B}b"
        report.policy.domain = "\u{1B}[2J"
        let table = DMARCReportSummary([report]).table()
        #expect(table.unicodeScalars.allSatisfy { $0 == "\n" || $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) && $0.value != 0x202E })
        #expect(table.split(separator: "\n").count == 5)
        #expect(table.utf8.count < 2000)
    }

    @Test func sumsDontOverflow() {
        var report = ReportSample.report
        for index in report.records.indices { report.records[index].count = .max }
        #expect(DMARCReportSummary([report]).messages == .max)
    }
}
