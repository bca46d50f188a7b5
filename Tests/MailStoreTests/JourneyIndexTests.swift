import Foundation
import GRDB
import MailMessage
import Testing

@testable import MailStore

/// Journeys are found by their words wherever they stand: in the buckets of the index, among the latest records, and in a spool of before.
@Suite struct JourneyIndexTests {
    private func record(_ number: Int, keys: [String], host: String = "mx.kartapuce.test") -> JourneyRecord {
        JourneyRecord(
            trace: .random(), time: Date(timeIntervalSinceReferenceDate: Double(number)), host: host, payload: Array("[]".utf8), keys: keys)
    }

    /// Two full buckets and a bit more.
    private static let count = 2 * 4096 + 100

    private func fill(_ log: SpoolStore) async throws -> [JourneyRecord] {
        let records = (1...Self.count).map { record($0, keys: ["user\($0 % 7)@kartapuce.test", "<\($0)@kartapuce.test>"]) }
        for start in stride(from: 0, to: records.count, by: 1000) {
            try await log.append(Array(records[start..<min(start + 1000, records.count)]))
        }
        return records
    }

    @Test func everyRecordIsFoundAcrossBuckets() async throws {
        try await withFolder { folder in
            let log = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let records = try await fill(log)
            let sorted = try await log.database.pool.read { try Int.fetchOne($0, sql: "SELECT count(DISTINCT id >> 6) FROM journeyIndex") }
            #expect(sorted == 2)
            for place in [1, 2, 4094, 4095, 4096, 4097, 8191, 8192, 8193, Self.count] {
                let wanted = records[place - 1].trace
                #expect(try await log.traces(key: "<\(place)@kartapuce.test>", from: nil, to: nil, limit: 5) == [wanted], "record \(place)")
                #expect(try await log.records(of: wanted).map(\.sequence) == [Int64(place)])
            }
            // The latest first, all of them, and as many as asked for.
            let all = records.enumerated().filter { ($0.offset + 1) % 7 == 3 }.map(\.element.trace)
            #expect(try await log.traces(key: "user3@kartapuce.test", from: nil, to: nil, limit: .max) == all.reversed())
            #expect(try await log.traces(key: "user3@kartapuce.test", from: nil, to: nil, limit: 3) == Array(all.reversed().prefix(3)))
            #expect(try await log.traces(key: "nobody@kartapuce.test", from: nil, to: nil, limit: 3).isEmpty)
            try await log.close()
        }
    }

    @Test func aSecondProcessFindsTheLatestToo() async throws {
        try await withFolder { folder in
            let log = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let other = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let records = try await fill(log)
            let last = try #require(records.last).trace
            #expect(try await other.traces(key: "<\(Self.count)@kartapuce.test>", from: nil, to: nil, limit: 1) == [last])
            let own = record(0, keys: ["tom@gmail.test"])
            try await other.append([own])
            #expect(try await log.traces(key: "tom@gmail.test", from: nil, to: nil, limit: 1) == [own.trace])
            try await other.close()
            try await log.close()
        }
    }

    @Test func expiredRecordsAreGoneAndNumbersAreNeverUsedAgain() async throws {
        try await withFolder { folder in
            let log = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let records = try await fill(log)
            #expect(try await log.expire(before: Date(timeIntervalSinceReferenceDate: 5000)) == 4999)
            #expect(try await log.traces(key: "<4999@kartapuce.test>", from: nil, to: nil, limit: 1).isEmpty)
            #expect(try await log.traces(key: "<5000@kartapuce.test>", from: nil, to: nil, limit: 1) == [records[4999].trace])
            // All of them: nothing is found any more, and the next number is higher than all before.
            #expect(try await log.expire(before: .distantFuture) == Self.count - 4999)
            #expect(try await log.expire(before: .distantFuture) == 0)
            #expect(try await log.traces(key: "<\(Self.count)@kartapuce.test>", from: nil, to: nil, limit: 1).isEmpty)
            #expect(try await log.traces(key: nil, from: nil, to: nil, limit: 10).isEmpty)
            #expect(try await log.ownRecords(after: 0, limit: 10).isEmpty)
            let next = record(1, keys: ["tom@gmail.test"])
            try await log.append([next])
            #expect(try await log.ownRecords(after: 0, limit: 10).map(\.sequence) == [Int64(Self.count + 1)])
            #expect(try await log.traces(key: "tom@gmail.test", from: nil, to: nil, limit: 1) == [next.trace])
            try await log.close()
        }
    }

    @Test func journeysOfASpoolOfBeforeAreFound() async throws {
        try await withFolder { folder in
            let migrator = SpoolSchema.migrator
            let path = "\(folder)/spool.sqlite"
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let trace = TraceID.random()
            let queue = try DatabaseQueue(path: path)
            try migrator.migrate(queue, upTo: "spool-2")
            try await queue.write { db in
                try db.execute(sql: "INSERT INTO journeyHost (name, last) VALUES ('mx.kartapuce.test', 0)")
                try db.execute(
                    sql: "INSERT INTO journey (sequence, trace, time, host, payload) VALUES (41, ?, 7, 1, '[]'), (42, ?, 8, 1, '[]')",
                    arguments: [Data(trace.octets), Data(TraceID.random().octets)])
                for (word, sequence) in [(JourneyHashes.hash(of: "bob@kartapuce.test"), 41), (TraceID.indexHash(trace.octets), 41)] {
                    try db.execute(sql: "INSERT INTO journeyKey (bucket, hash, sequence) VALUES (0, ?, ?)", arguments: [word, sequence])
                }
                // The last one expired before the change.
                try db.execute(sql: "DELETE FROM journey WHERE sequence = 42")
            }
            try queue.close()
            let log = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            #expect(try await log.traces(key: "bob@kartapuce.test", from: nil, to: nil, limit: 5) == [trace])
            #expect(try await log.records(of: trace).map(\.sequence) == [41])
            try await log.append([record(9, keys: [])])
            #expect(try await log.ownRecords(after: 41, limit: 5).map(\.sequence) == [43])
            try await log.close()
        }
    }
}
