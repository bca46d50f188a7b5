import Foundation
import Logging
import MailMessage
import MailStore
import MailTesting
import ServiceLifecycle
import Testing

@testable import Gateway

@Suite struct JourneyExpiryTests {
    private func record(_ days: Double, before time: Date, _ trace: TraceID) -> JourneyRecord {
        JourneyRecord(
            trace: trace, time: time.addingTimeInterval(-days * 86_400), host: "mail.kartapuce.test", payload: [],
            keys: ["bob@kartapuce.test"])
    }

    @Test func whatIsTooOldIsForgotten() async throws {
        try await withTemporaryFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mail.kartapuce.test")
            let clock = TestClock(Date(timeIntervalSince1970: 1_800_000_000))
            let (old, young) = (TraceID.random(), TraceID.random())
            try await spool.append([record(30.01, before: clock.now, old), record(29.99, before: clock.now, young)])
            let expiry = JourneyExpiry(log: spool, keepDays: { 30 }, now: { clock.now }, logger: TestHouse.quiet)
            await expiry.expire()
            #expect(try await spool.records(of: old).isEmpty)
            #expect(try await spool.records(of: young).count == 1)
            #expect(try await spool.traces(key: "bob@kartapuce.test", from: nil, to: nil, limit: 10) == [young])
            clock.advance(by: 3600)
            await expiry.expire()
            #expect(try await spool.records(of: young).isEmpty)
            try await spool.close()
        }
    }

    /// At start, and again after the interval.
    @Test(.timeLimit(.minutes(1))) func theServiceRepeatsIt() async throws {
        try await withTemporaryFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mail.kartapuce.test")
            let clock = TestClock(Date(timeIntervalSince1970: 1_800_000_000))
            let (old, young) = (TraceID.random(), TraceID.random())
            try await spool.append([record(31, before: clock.now, old), record(1, before: clock.now, young)])
            let expiry = JourneyExpiry(log: spool, keepDays: { 30 }, interval: .milliseconds(50), now: { clock.now }, logger: TestHouse.quiet)
            let running = Task { try await expiry.run() }
            #expect(try await eventually { try await spool.records(of: old).isEmpty })
            #expect(try await spool.records(of: young).count == 1)
            clock.advance(by: 30 * 86_400)
            #expect(try await eventually { try await spool.records(of: young).isEmpty })
            running.cancel()
            _ = await running.result
            try await spool.close()
        }
    }
}
