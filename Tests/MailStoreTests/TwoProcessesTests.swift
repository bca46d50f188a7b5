import Foundation
import MailMessage
import NIOCore
import Testing

@testable import MailStore

/// What another process does in the same folder, and what a crash leaves.
@Suite struct TwoProcessesTests {
    @Test func commandOfAnotherProcessIsSeen() async throws {
        try await withFolder { folder in
            let server = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            var changes = server.changesByOtherProcesses().makeAsyncIterator()
            #expect(await changes.next() != nil)
            let id = try await server.enqueue(newMessage(String(repeating: "x", count: 500), to: [("bob", "a"), ("tom", "b")]), journey: [])
            let other = try await server.enqueue(newMessage(), journey: [])
            await #expect(processExitsWith: .success) { [folder = folder as String, id = id as QueueID, other = other as QueueID] in
                let command = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
                let held = try await command.hold(id, reason: "look at it")
                let deleted = try await command.delete(other)
                try await command.close()
                guard held == 2, deleted == 1 else { exit(1) }
            }
            #expect(await changes.next() != nil)
            #expect(try await server.counts() == (queued: 0, held: 2))
            #expect(try await server.recipients(of: id).map(\.holdReason) == ["look at it", "look at it"])
            #expect(try await server.list(limit: 10, offset: 0).map(\.message.id) == [id])
            #expect(try await server.message(other) == nil)
            // The server's own writing goes on.
            try await server.record([(try #require(try await server.recipients(of: id).first).id, .done)], newMessages: [], journey: [])
            #expect(try await server.counts() == (queued: 0, held: 1))
            try await server.close()
        }
    }

    @Test func twoProcessesWriteAtTheSameTime() async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            async let other: Void? = #expect(processExitsWith: .success) { [folder = folder as String] in
                let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
                try await enqueueMany(100, in: spool)
                try await spool.close()
            }.map { _ in }
            try await enqueueMany(100, in: spool)
            _ = await other
            let all = try await spool.list(limit: 1000, offset: 0)
            #expect(all.count == 200 && Set(all.map(\.message.id)).count == 200)
            for (message, _) in all { #expect(try await message.content.readAll().readableBytes == 516) }
            // This host's records have ascending numbers, whichever process wrote them.
            let numbers = try await spool.ownRecords(after: 0, limit: 1000).map(\.hostSequence)
            #expect(numbers.count == 200 && numbers == Set(numbers).sorted())
            try await spool.close()
        }
    }

    @Test func newFolderOpenedByManyAtOnce() async throws {
        try await withFolder { folder in
            let stores = try await withThrowingTaskGroup(of: SpoolStore.self) { group in
                for _ in 0..<4 { group.addTask { try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test") } }
                return try await group.reduce(into: []) { $0.append($1) }
            }
            for store in stores { _ = try await store.enqueue(newMessage(), journey: []) }
            #expect(try await stores.first?.counts().queued == 4)
            for store in stores { try await store.close() }
        }
    }

    /// Killed in the midst of its work: what was acknowledged is there and whole, what no row refers to goes.
    @Test func crashLosesNothingThatWasAcknowledged() async throws {
        try await withFolder { folder in
            try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
            let log = "\(folder)/acknowledged"
            #expect(FileManager.default.createFile(atPath: log, contents: nil))
            await #expect(processExitsWith: .signal(SIGKILL)) { [folder = folder as String, log = log as String] in
                let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
                await withTaskGroup(of: Void.self) { group in
                    for worker in 0..<8 {
                        group.addTask {
                            guard let acknowledged = FileHandle(forWritingAtPath: log) else { exit(1) }
                            for number in 0..<1000 {
                                guard let id = try? await spool.enqueue(newMessage(String(repeating: "\(worker)", count: 500)), journey: []) else { exit(1) }
                                _ = try? acknowledged.seekToEnd()
                                try? acknowledged.write(contentsOf: Data("\(id)\n".utf8))
                                if worker == 0 && number == 20 { kill(getpid(), SIGKILL) }
                            }
                        }
                    }
                }
            }
            let orphan = "\(folder)/bodies/ab/ab000000000000000000000000000000"
            try Data([1]).write(to: URL(filePath: orphan))
            // Young files may be another process's that is about to commit.
            let careful = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            #expect(FileManager.default.fileExists(atPath: orphan))
            try await careful.close()
            let after = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64, orphanAgeSeconds: 0)
            #expect(!FileManager.default.fileExists(atPath: orphan))
            let ids = try String(contentsOfFile: log, encoding: .utf8).split(separator: "\n").compactMap { QueueID(String($0)) }
            #expect(ids.count > 20)
            for id in ids { #expect(try await after.message(id)?.content.readAll().readableBytes == 516, "\(id)") }
            // Every row has its file, every file its row.
            let all = try await after.list(limit: 100_000, offset: 0)
            for (message, recipients) in all {
                #expect(try await message.content.readAll().readableBytes == 516)
                #expect(recipients.count == 1)
            }
            #expect(bodyFiles(folder).count == all.count)
            try await after.close()
        }
    }
}

/// Ten producers share the work.
private func enqueueMany(_ count: Int, in spool: SpoolStore) async throws {
    try await withThrowingTaskGroup(of: Void.self) { group in
        for _ in 0..<10 {
            group.addTask {
                for _ in 0..<count / 10 {
                    let line = JourneyRecord(
                        trace: .random(), time: Date(timeIntervalSinceReferenceDate: 1), host: "mx.kartapuce.test", payload: [], keys: [])
                    _ = try await spool.enqueue(newMessage(String(repeating: "z", count: 500)), journey: [line])
                }
            }
        }
        try await group.waitForAll()
    }
}
