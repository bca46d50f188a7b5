import Foundation
import MailMessage
import MailTesting
import NIOCore
import Testing

@testable import MailStore

/// What is counted for reports, within its limits.
@Suite struct ReportAccountTests {
    private let now = Date(timeIntervalSince1970: 1_800_000_000)
    private var day: Int { ReportDay.containing(now) }

    private func withSpool(_ body: (SpoolStore) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "imap.kartapuce.test")
            try await body(spool)
            try await spool.close()
        }
    }

    private func entry(_ domain: String, _ row: Int, section: String = "p=none", count: Int = 1, day: Int? = nil) -> ReportEntry {
        ReportEntry(
            kind: .aggregate, day: day ?? self.day, domain: domain, destinations: "mailto:dmarc@\(domain)", section: Array(section.utf8),
            payload: Array("row \(row)".utf8), count: count)
    }

    @Test func daysAreThoseOfUTC() {
        #expect(ReportDay.containing(Date(timeIntervalSince1970: 0)) == 0)
        #expect(ReportDay.containing(Date(timeIntervalSince1970: 86_399.999)) == 0)
        #expect(ReportDay.containing(Date(timeIntervalSince1970: -0.001)) == -1)
        #expect(ReportDay.bounds(1) == (86_400, 172_799))
    }

    @Test func rowsOverTheLimitsAreOnlyCounted() async throws {
        try await withSpool { spool async throws in
            var limits = ReportAccountLimits()
            limits.rowsPerDomain = 3
            limits.rowsPerDay = 5
            let entries =
                (0..<5).map { entry("gmail.test", $0) } + (0..<5).map { entry("attacker.test", $0) } + [
                    entry("strange.test", 0), entry("gmail.test", 1, count: 7),
                ]
            let outcome = try #require(try await spool.count(entries, cursor: "c", from: 0, to: 9, limits: limits, at: now))
            #expect(outcome.counted == 3 + 2 + 7 && outcome.dropped == 2 + 3 + 1)
            let open = try await spool.openAccounts(.aggregate, .through(day))
            #expect(open.map(\.domain) == ["attacker.test", "gmail.test"] && open.map(\.dropped) == [3, 2])
            #expect(try await spool.rows(of: open[1]).map(\.count).sorted() == [1, 1, 8])
            #expect(try await spool.reportCursor("c") == 9)
            // Another day has its own room.
            #expect(try await spool.count([entry("strange.test", 0, day: day + 1)], cursor: "c", from: 9, to: 10, limits: limits, at: now)?.counted == 1)
        }
    }

    @Test func aCursorThatStandsElsewhereCountsNothing() async throws {
        try await withSpool { spool async throws in
            #expect(try await spool.count([entry("gmail.test", 0)], cursor: "c", from: 0, to: 5, limits: .init(), at: now) != nil)
            #expect(try await spool.count([entry("gmail.test", 0)], cursor: "c", from: 0, to: 5, limits: .init(), at: now) == nil)
            let account = try #require(try await spool.openAccounts(.aggregate, .only(day)).first)
            #expect(try await spool.rows(of: account).map(\.count) == [1])
        }
    }

    @Test func eachPolicyOfADayIsAReportOfItsOwn() async throws {
        try await withSpool { spool async throws in
            let entries = [entry("gmail.test", 0), entry("gmail.test", 0, section: "p=reject"), entry("gmail.test", 0, day: day - 1)]
            _ = try await spool.count(entries, cursor: "c", from: 0, to: 5, limits: .init(), at: now)
            #expect(try await spool.closeAccounts(.aggregate, .only(day), at: now) { "\($0) \($1) \(UUID())" } == 2)
            #expect(try await spool.closeAccounts(.aggregate, .only(day), at: now) { "\($0) \($1) \(UUID())" } == 0)
            let due = try await spool.dueReports(at: now, limit: 10)
            #expect(due.map(\.isSupplement) == [false, true] && Set(due.map(\.identity)).count == 2)
            #expect(try await spool.openAccounts(.aggregate, .through(day)).map(\.day) == [day - 1])
            for report in due { #expect(try await spool.rows(of: report).count == 1) }
        }
    }

    @Test func singleReportsHaveLimitsOfTheirOwn() async throws {
        try await withSpool { spool async throws in
            var limits = ReportAccountLimits()
            limits.singlesPerDomain = 2
            limits.singlesPerDay = 3
            let singles = ["gmail.test", "gmail.test", "gmail.test", "a.test", "b.test"].enumerated().map { place, domain in
                SingleReport(day: day, domain: domain, destinations: "mailto:ruf@\(domain)", payload: [1], identity: "\(place)")
            }
            let outcome = try #require(try await spool.count([], singles: singles, cursor: "c", from: 0, to: 5, limits: limits, at: now))
            #expect(outcome.singles == 3 && outcome.suppressedSingles == 2)
            #expect(try await spool.dueReports(at: now, limit: 10).map(\.domain) == ["gmail.test", "gmail.test", "a.test"])
        }
    }

    @Test func aReportIsSettledOnceWithItsMessages() async throws {
        try await withSpool { spool async throws in
            _ = try await spool.count([entry("gmail.test", 0)], cursor: "c", from: 0, to: 5, limits: .init(), at: now)
            _ = try await spool.closeAccounts(.aggregate, .only(day), at: now) { "\($0) \($1)" }
            let report = try #require(try await spool.dueReports(at: now, limit: 10).first)
            // A large one has a file, which must not stay behind where the report is another's already.
            let message = NewSpoolMessage(
                trace: .random(), envelope: Envelope(reversePath: nil),
                routes: [(EnvelopeRecipient(address: EmailAddress(localPart: "dmarc", domain: "gmail.test")), "link:relay")], prefix: ByteBuffer(),
                content: BufferedContent(ByteBuffer(repeating: 0x41, count: 400_000)), arrival: now)
            #expect(try await spool.settle(report, messages: [message], at: now, note: "") { _ in [] }?.count == 1)
            #expect(try await spool.settle(report, messages: [message], at: now, note: "") { _ in [] } == nil)
            #expect(try await spool.counts() == (queued: 1, held: 0))
            #expect(try await spool.dueReports(at: .distantFuture, limit: 10).isEmpty)
        }
    }

    private func received(_ identity: String, proven: Bool, size: Int) -> StoredReport {
        StoredReport(
            kind: .aggregate, organization: "gmail.test", identity: identity, domain: "kartapuce.test", sender: "gmail.test", isProven: proven, begin: 0,
            end: Int(now.timeIntervalSince1970), received: now, trace: .random(), payload: Array(repeating: 1, count: size))
    }

    @Test func strangersFillOnlyTheirPartOfTheStore() async throws {
        try await withSpool { spool async throws in
            var limits = StoredReportLimits()
            limits.octets = 1000
            limits.unprovenOctets = 300
            #expect(try await spool.keep(received("1", proven: false, size: 250), limits: limits) == .stored)
            #expect(try await spool.keep(received("1", proven: false, size: 250), limits: limits) == .duplicate)
            #expect(try await spool.keep(received("2", proven: false, size: 100), limits: limits) == .full)
            #expect(try await spool.keep(received("1", proven: true, size: 700), limits: limits) == .stored)
            #expect(try await spool.keep(received("3", proven: true, size: 100), limits: limits) == .full)
            #expect(try await spool.storedReports(.aggregate, since: now, limit: 10).map(\.identity) == ["1", "1"])
            #expect(try await spool.storedReports(.aggregate, since: now.addingTimeInterval(1), limit: 10).isEmpty)
            #expect(try await spool.forgetStoredReports(before: now) == 0)
            #expect(try await spool.forgetStoredReports(before: now.addingTimeInterval(1)) == 2)
        }
    }

    @Test func recordsAreFoundByWhatTheySay() async throws {
        try await withSpool { spool async throws in
            for place in 0..<7 {
                try await spool.append([
                    JourneyRecord(
                        trace: .random(), time: now, host: "imap.kartapuce.test", payload: Array((place == 4 ? "\"judged\":" : "\"checked\":").utf8), keys: [])
                ])
            }
            #expect(try await spool.records(after: 0, containing: "\"judged\":", limit: 100).records.count == 1)
            // In steps: the place moves on where nothing is found.
            var place: Int64 = 0
            var found = 0
            for _ in 0..<4 {
                let step = try await spool.records(after: place, containing: "\"judged\":", limit: 2)
                #expect(step.last > place)
                found += step.records.count
                place = step.last
            }
            #expect(found == 1 && place == 7)
            let end = try await spool.records(after: place, containing: "\"judged\":", limit: 2)
            #expect(end.records.isEmpty && end.last == place)
        }
    }
}
