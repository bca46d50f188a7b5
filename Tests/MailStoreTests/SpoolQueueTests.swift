import Foundation
import MailMessage
import NIOCore
import Testing

@testable import MailStore

private func seconds(_ number: Double) -> Date { Date(timeIntervalSinceReferenceDate: number) }

/// What becomes of recipients in the queue.
@Suite struct SpoolQueueTests {
    private func withSpool(_ body: (SpoolStore, String) async throws -> Void) async throws {
        try await withFolder { folder in
            let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test", bodyRowLimit: 64)
            try await body(spool, folder)
            try await spool.close()
        }
    }

    private func due(_ spool: SpoolStore, at time: Double) async throws -> [String] {
        try await spool.due(at: seconds(time), limit: 100, excludingDestinations: [], excludingRecipients: []).map(\.recipient.address.localPart)
    }

    @Test func retryWaitsForItsTime() async throws {
        try await withSpool { spool, _ async throws in
            let id = try await spool.enqueue(newMessage(to: [("bob", "a"), ("tom", "b")], arrival: 1000), journey: [])
            let all = try await spool.recipients(of: id)
            #expect(all.map(\.attempts) == [0, 0] && all.map(\.nextAttempt) == [seconds(1000), seconds(1000)])
            try await spool.record(
                [(all[0].id, .retry(nextAttempt: seconds(5000), status: "451 later", delayNotified: true))], newMessages: [], journey: [])
            let bob = try #require(try await spool.recipients(of: id).first)
            #expect(bob.attempts == 1 && bob.nextAttempt == seconds(5000) && bob.lastStatus == "451 later" && bob.delayNotified && bob.state == .queued)
            #expect(try await due(spool, at: 4999) == ["tom"])
            #expect(try await due(spool, at: 5000) == ["tom", "bob"])
        }
    }

    @Test func nextDueIsTheEarliestThatIsQueued() async throws {
        try await withSpool { spool, _ async throws in
            #expect(try await spool.nextDue(after: seconds(0)) == nil)
            let first = try await spool.enqueue(newMessage(arrival: 100), journey: [])
            let second = try await spool.enqueue(newMessage(arrival: 200), journey: [])
            _ = try await spool.enqueue(newMessage(arrival: 300), journey: [])
            #expect(try await spool.nextDue(after: seconds(0)) == seconds(100))
            // After, not at.
            #expect(try await spool.nextDue(after: seconds(100)) == seconds(200))
            #expect(try await spool.hold(second, reason: "x") == 1)
            #expect(try await spool.nextDue(after: seconds(100)) == seconds(300))
            #expect(try await spool.delete(first) == 1)
            #expect(try await spool.nextDue(after: seconds(0)) == seconds(300))
            #expect(try await spool.nextDue(after: seconds(300)) == nil)
        }
    }

    @Test func heldWaitsForAnOperator() async throws {
        try await withSpool { spool, _ async throws in
            let id = try await spool.enqueue(newMessage(to: [("bob", "a"), ("tom", "a")]), journey: [])
            let all = try await spool.recipients(of: id)
            try await spool.record([(all[0].id, .hold(reason: "too often", status: "450 no"))], newMessages: [], journey: [])
            let bob = try #require(try await spool.recipients(of: id).first)
            #expect(bob.state == .held && bob.holdReason == "too often" && bob.lastStatus == "450 no" && bob.attempts == 1)
            #expect(try await due(spool, at: 1e9) == ["tom"])
            // A retry is for those that are queued, and the outcome of an attempt under way doesn't release anybody.
            #expect(try await spool.retry(id) == 1)
            try await spool.record([(all[0].id, .retry(nextAttempt: seconds(1), status: "x", delayNotified: false))], newMessages: [], journey: [])
            #expect(try await spool.counts() == (queued: 1, held: 1))
            #expect(try await spool.release(id) == 1)
            #expect(try await spool.release(id) == 0)
            #expect(try await spool.recipients(of: id).map(\.holdReason) == [nil, nil])
            #expect(Set(try await due(spool, at: Date().timeIntervalSinceReferenceDate + 1)) == ["bob", "tom"])
        }
    }

    @Test func startsHeldWhereItIsTold() async throws {
        try await withSpool { spool, _ async throws in
            var message = newMessage()
            message.holdReason = "quarantine"
            let id = try await spool.enqueue(message, journey: [])
            #expect(try await spool.recipients(of: id).map(\.holdReason) == ["quarantine"])
            #expect(try await due(spool, at: 1e9).isEmpty)
        }
    }

    @Test func operatorsCommandsConcernOneMessageOrAll() async throws {
        try await withSpool { spool, folder async throws in
            let large = String(repeating: "x", count: 500)
            let one = try await spool.enqueue(newMessage(large, to: [("bob", "a"), ("tom", "b")], arrival: 1e9), journey: [])
            let two = try await spool.enqueue(newMessage(large, arrival: 1e9), journey: [])
            let nobody = QueueID(rawValue: 999)
            #expect(try await spool.hold(one, reason: "r") == 2)
            #expect(try await spool.hold(nil, reason: "r") == 1)
            #expect(try await spool.counts() == (queued: 0, held: 3))
            #expect(try await spool.release(nil) == 3)
            #expect(try await spool.retry(two) == 1)
            #expect(try await spool.retry(nil) == 3)
            for command in [spool.retry, spool.release] { #expect(try await command(nobody) == 0) }
            #expect(try await spool.delete(nobody) == 0)
            #expect(bodyFiles(folder).count == 2)
            #expect(try await spool.delete(one) == 2)
            #expect(bodyFiles(folder).count == 1)
            #expect(try await spool.message(one) == nil)
            #expect(try await spool.recipients(of: one).isEmpty)
            #expect(try await spool.list(limit: 10, offset: 0).map(\.message.id) == [two])
            #expect(try await spool.list(limit: 10, offset: 1).isEmpty)
        }
    }

    @Test func outcomeNoticeAndJourneyAreOneTransaction() async throws {
        try await withSpool { spool, folder async throws in
            let id = try await spool.enqueue(newMessage(), journey: [])
            let bob = try #require(try await spool.recipients(of: id).first).id
            let trace = TraceID.random()
            let line = JourneyRecord(trace: trace, time: seconds(1), host: "mx.kartapuce.test", payload: [], keys: [])
            // A message without recipients can't be stored, and then nothing is.
            var nobodys = newMessage()
            nobodys.routes = []
            let notice = newMessage(String(repeating: "n", count: 500), to: [("alice", "mx:gmail.test")])
            await #expect(throws: StoreError.self) { try await spool.record([(bob, .done)], newMessages: [notice, nobodys], journey: [line]) }
            #expect(try await spool.message(id) != nil)
            #expect(try await spool.records(of: trace).isEmpty)
            #expect(bodyFiles(folder).isEmpty)
            await #expect(throws: StoreError.self) { try await spool.enqueue(nobodys, journey: []) }
            try await spool.record([(bob, .done)], newMessages: [notice], journey: [line])
            #expect(try await spool.message(id) == nil)
            #expect(try await spool.list(limit: 10, offset: 0).flatMap(\.recipients).map(\.destination) == ["mx:gmail.test"])
            #expect(try await spool.records(of: trace).count == 1)
            // What is done already is done.
            try await spool.record([(bob, .done), (bob, .hold(reason: "", status: ""))], newMessages: [], journey: [])
            #expect(try await spool.counts() == (queued: 1, held: 0))
        }
    }

    @Test func numbersAreNeverUsedAgain() async throws {
        try await withFolder { folder in
            var last: Int64 = 0
            for _ in 0..<3 {
                let spool = try await SpoolStore.open(folder: folder, host: "mx.kartapuce.test")
                let id = try await spool.enqueue(newMessage()) { id in
                    [JourneyRecord(trace: .random(), time: seconds(1), host: "mx.kartapuce.test", payload: Array("\(id)".utf8), keys: [])]
                }.message.id
                #expect(id.rawValue > last)
                #expect(QueueID("\(id)") == id)
                last = id.rawValue
                #expect(try await spool.ownRecords(after: 0, limit: 10).last?.payload == Array("\(id)".utf8))
                #expect(try await spool.delete(id) == 1)
                try await spool.close()
            }
        }
        for text in ["", "0", "-1", "!", "ZZZZZZZZZZZZZZZZ", " 1"] { #expect(QueueID(text) == nil, "\(text)") }
    }
}
