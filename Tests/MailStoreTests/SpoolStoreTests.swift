import Foundation
import GRDB
import MailMessage
import NIOCore
import Testing

@testable import MailStore

/// Runs `body` with a folder of its own.
func withFolder<T>(_ body: (String) async throws -> T) async throws -> T {
    let folder = FileManager.default.temporaryDirectory.appending(path: "store-\(UUID().uuidString)").path
    defer { try? FileManager.default.removeItem(atPath: folder) }
    return try await body(folder)
}

func newMessage(
    _ text: String = "Subject: x\r\n\r\nhello\r\n", to recipients: [(String, String)] = [("bob", "mailbox")], arrival: Double = 1000
) -> NewSpoolMessage {
    NewSpoolMessage(
        trace: .random(), envelope: Envelope(reversePath: EmailAddress(localPart: "alice", domain: "gmail.test")),
        routes: recipients.map {
            (EnvelopeRecipient(address: EmailAddress(localPart: $0.0, domain: "kartapuce.test")), $0.1)
        },
        prefix: ByteBuffer(string: "Received: here\r\n"), content: BufferedContent(ByteBuffer(string: text)),
        arrival: Date(timeIntervalSinceReferenceDate: arrival))
}

func bodyFiles(_ folder: String) -> [String] {
    let all = FileManager.default.subpaths(atPath: folder) ?? []
    return all.filter { $0.split(separator: "/").last?.count == 32 }
}

@Suite struct SpoolStoreTests {
    let later = Date(timeIntervalSinceReferenceDate: 2000)

    @Test func enqueuedMessageIsReadBackAndGoesWithItsLastRecipient() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            let large = String(repeating: "line\r\n", count: 100)
            let id = try await spool.enqueue(newMessage(large, to: [("bob", "mailbox"), ("tom", "mx:gmail.test")]), journey: [])
            #expect(bodyFiles(folder).count == 1)
            let stored = try #require(try await spool.message(id))
            #expect(String(buffer: try await stored.content.readAll()) == "Received: here\r\n" + large)
            let waiting = try await spool.due(at: later, limit: 10, excludingDestinations: [], excludingRecipients: [])
            #expect(waiting.map(\.recipient.address.localPart) == ["bob", "tom"])
            try await spool.record([(waiting[0].id, .done)], newMessages: [], journey: [])
            #expect(try await spool.message(id) != nil)
            try await spool.record([(waiting[1].id, .done)], newMessages: [], journey: [])
            #expect(try await spool.message(id) == nil)
            #expect(bodyFiles(folder).isEmpty)
            // The file was open before it was deleted.
            #expect(try await stored.content.readAll().readableBytes == 16 + large.utf8.count)
            try await spool.close()
        }
    }

    @Test func dueLeavesOutWhatItIsTold() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            // More than the window that is read in the order of time.
            let many = (0..<5000).map { ("r\($0)", "mx:slow.test") }
            _ = try await spool.enqueue(newMessage(to: many, arrival: 1), journey: [])
            _ = try await spool.enqueue(newMessage(to: [("bob", "mx:a.test"), ("tom", "mx:b.test")], arrival: 2), journey: [])
            let found = try await spool.due(at: later, limit: 10, excludingDestinations: ["mx:slow.test"], excludingRecipients: [])
            #expect(Set(found.map(\.destination)) == ["mx:a.test", "mx:b.test"])
            let rest = try await spool.due(
                at: later, limit: 10, excludingDestinations: ["mx:slow.test", "mx:a.test"], excludingRecipients: [found[1].id])
            #expect(rest.count <= 1 && !rest.contains { $0.id == found[1].id || $0.destination == "mx:a.test" })
            #expect(try await spool.due(at: Date(timeIntervalSinceReferenceDate: 0), limit: 1, excludingDestinations: [], excludingRecipients: []).isEmpty)
            try await spool.close()
        }
    }

    @Test func holdReleaseRetryDeleteSeenByASecondOpening() async throws {
        try await withFolder { folder in
            let server = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let command = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            var changes = server.changesByOtherProcesses().makeAsyncIterator()
            #expect(await changes.next() != nil)
            let id = try await server.enqueue(newMessage(), journey: [])
            #expect(try await command.hold(id, reason: "look at it") == 1)
            #expect(await changes.next() != nil)
            #expect(try await server.counts() == (queued: 0, held: 1))
            #expect(try await command.release(nil) == 1)
            #expect(try await server.counts() == (queued: 1, held: 0))
            #expect(try await command.delete(id) == 1)
            #expect(try await server.list(limit: 10, offset: 0).isEmpty)
            try await command.close()
            try await server.close()
        }
    }

    @Test func journeyIsNumberedAndMergedOnce() async throws {
        try await withFolder { folder in
            let log = try await SpoolStore.open(folder: folder, host: "store.kartapuce.test")
            let trace = TraceID.random()
            func line(_ host: String, _ number: Int64, _ time: Double) -> JourneyRecord {
                JourneyRecord(
                    trace: trace, time: Date(timeIntervalSinceReferenceDate: time), host: host, hostSequence: number, payload: [1], keys: ["bob@kartapuce.test"]
                )
            }
            try await log.append([line("store.kartapuce.test", 0, 5), line("store.kartapuce.test", 0, 6)])
            #expect(try await log.ownRecords(after: 1, limit: 10).map(\.hostSequence) == [2])
            try await log.merge([line("mx.kartapuce.test", 7, 1)])
            try await log.merge([line("mx.kartapuce.test", 7, 1), line("mx.kartapuce.test", 8, 2)])
            #expect(try await log.records(of: trace).map(\.time.timeIntervalSinceReferenceDate) == [1, 2, 5, 6])
            #expect(try await log.lastMerged(host: "mx.kartapuce.test") == 8)
            #expect(try await log.traces(key: "bob@kartapuce.test", from: nil, to: nil, limit: 5) == [trace])
            #expect(try await log.traces(key: "tom@kartapuce.test", from: nil, to: nil, limit: 5).isEmpty)
            #expect(try await log.expire(before: Date(timeIntervalSinceReferenceDate: 5)) == 2)
            try await log.append([line("store.kartapuce.test", 0, 9)])
            let numbers = try await log.ownRecords(after: 0, limit: 10).map(\.hostSequence)
            #expect(numbers.count == 3 && numbers.starts(with: [1, 2]) && numbers == numbers.sorted())
            try await log.close()
        }
    }

    @Test func oneFailingJobSpoilsNoOther() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let writer = spool.database.writer
            await withTaskGroup(of: Bool.self) { group in
                for number in 0..<100 {
                    group.addTask {
                        do {
                            try await writer.submit { db in
                                try db.execute(sql: "INSERT INTO journeyHost (name, last) VALUES (?, 1)", arguments: ["h\(number)"])
                                if number % 3 == 0 { throw StoreError(.exists, "on purpose") }
                            }
                            return true
                        } catch { return (error as? StoreError)?.code != .exists }
                    }
                }
                var done = 0
                for await succeeded in group where succeeded { done += 1 }
                #expect(done == 66)
            }
            let rows = try await spool.database.pool.read { try Int.fetchOne($0, sql: "SELECT count(*) FROM journeyHost") }
            // This host is there from the beginning.
            #expect(rows == 67)
            #expect(try await spool.database.pool.writeWithoutTransaction { try Int.fetchOne($0, sql: "PRAGMA synchronous") } == 2)
            try await spool.close()
        }
    }

    @Test func fullDiskIsToldAndPasses() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let body = String(repeating: "x", count: 100_000)
            // Not a page more than it has.
            try await spool.limitPages(1)
            let error = await #expect(throws: StoreError.self) { try await spool.enqueue(newMessage(body), journey: []) }
            #expect(error?.code == .full)
            #expect(try await spool.counts() == (queued: 0, held: 0))
            try await spool.limitPages(100_000)
            _ = try await spool.enqueue(newMessage(body), journey: [])
            #expect(try await spool.counts() == (queued: 1, held: 0))
            try await spool.close()
        }
    }

    @Test func tenProducersLoseNothing() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            let body = String(repeating: "y", count: 4096)
            let numbers = try await withThrowingTaskGroup(of: [QueueID].self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        var ids: [QueueID] = []
                        for _ in 0..<200 { ids.append(try await spool.enqueue(newMessage(body), journey: [])) }
                        return ids
                    }
                }
                return try await group.reduce(into: Set<QueueID>()) { $0.formUnion($1) }
            }
            #expect(numbers.count == 2000)
            #expect(try await spool.counts().queued == 2000)
            try await spool.close()
        }
    }

    @Test func acknowledgedMessagesAreInACopyTakenMidway() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            let id = try await spool.enqueue(newMessage(String(repeating: "z", count: 500)), journey: [])
            let copy = folder + "-copy"
            defer { try? FileManager.default.removeItem(atPath: copy) }
            try FileManager.default.copyItem(atPath: folder, toPath: copy)
            // A file that a crash left between its name and its row.
            try Data([1]).write(to: URL(filePath: "\(copy)/bodies/aa/aa000000000000000000000000000000"))
            let after = try await SpoolStore.open(folder: copy, host: "mx.kartapuce.test", bodyRowLimit: 64, orphanAgeSeconds: 0)
            #expect(bodyFiles(copy).count == 1)
            #expect(try await after.message(id)?.content.readAll().readableBytes == 516)
            try await after.close()
            try await spool.close()
        }
    }

    @Test func newerSchemaIsRefused() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
            try await spool.database.writer.submit { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('spool-99')") }
            try await spool.close()
            let error = await #expect(throws: StoreError.self) { try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test") }
            #expect(error?.code == .unsupportedSchema)
        }
    }
}
