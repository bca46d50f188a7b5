import Foundation
import MailMessage
import MailStore
import MailTesting
import Testing

@testable import Gateway

/// Clocks that are set wrong, and set right again, while mail waits.
@Suite(.timeLimit(.minutes(3))) struct ClockJumpTests {
    private let year: TimeInterval = 365 * 86_400

    /// Everything has been tried so often.
    private func waits(_ mail: TestHost, _ ids: [QueueID], attempts: Int) async throws -> Bool {
        try await eventually {
            for id in ids {
                let recipients = try await mail.spool.recipients(of: id)
                if recipients.isEmpty || recipients.contains(where: { $0.attempts < attempts }) { return false }
            }
            return true
        }
    }

    /// What can be delivered is delivered, and not given up because it seems to be old. What can't be goes back once it was tried again.
    @Test func aWeekForwardGivesUpOnlyWhatFailsAgain() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                let failing = try await (0..<5).asyncMap { _ in try await mail.enqueue(to: "tom@down.test").id }
                #expect(try await eventually { try await mail.spool.recipients(of: failing[0]).allSatisfy { $0.attempts >= 1 } })
                mail.clock.advance(by: 7 * 86_400)
                let deliverable = try await (0..<5).asyncMap { _ in try await mail.enqueue(to: "tom@gmail.test").id }
                mail.queue.wake()
                // A destination that fails is left alone for up to a minute.
                let isEmpty = try await eventually {
                    mail.pass(61)
                    return try await mail.spool.counts() == (queued: 0, held: 0)
                }
                #expect(isEmpty)
                #expect(house.outside.taken.count == deliverable.count)
                // One notice for each that failed, and no more.
                #expect(try await mail.inbox("bob").count == failing.count)
                try await Task.sleep(for: .milliseconds(1500))
                #expect(try await mail.inbox("bob").count == failing.count)
            }
        }
    }

    /// A message that was accepted while the clock was a year ahead isn't left for a year.
    @Test func aYearBackLeavesNothingForAYear() async throws {
        try await TestHouse.open(outside: [[.init("EHLO", .sayAndClose("421 not now"))], ScriptedServer.obedient]) { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                // Deferred: its next attempt is a minute ahead, by the wrong clock.
                let deferred = try await mail.enqueue(to: "tom@gmail.test").id
                #expect(try await waits(mail, [deferred], attempts: 1))
                mail.pass(-year)
                #expect(try await mail.emptied(), "it waits for the clock to come round again")
                #expect(house.outside.taken.count == 1)
                #expect(try await mail.inbox("bob").isEmpty)
            }
        }
    }

    /// The same where the process was not there when the clock was put right.
    @Test func aYearBackBetweenTwoProcesses() async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false) { mail in _ = try await mail.enqueue(to: "tom@gmail.test") }
            house.clock.advance(by: -year)
            try await house.withHost { mail in
                mail.queue.wake()
                let isEmpty = try await mail.emptied()
                #expect(isEmpty)
                #expect(house.outside.taken.count == 1)
            }
        }
    }

    /// To and fro: nothing is lost, nothing is sent twice, nobody gets a notice.
    @Test func aClockThatJumpsToAndFro() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("bob")
                var random = SeededGenerator(state: 7)
                for _ in 0..<30 {
                    try await mail.enqueue(to: "tom@gmail.test")
                    mail.pass(Double.random(in: -year...year, using: &random))
                }
                #expect(try await mail.emptied())
                #expect(house.outside.taken.count == 30)
                #expect(try await mail.inbox("bob").isEmpty)
            }
        }
    }

    @Test func backOffAndRateFollowTheClock() {
        let time = Date(timeIntervalSinceReferenceDate: 800_000_000)
        var backOff = DestinationBackOff()
        backOff.note("mx:gmail.test", unreachable: true, at: time)
        let closed = [0, -year].map { backOff.closed(at: time.addingTimeInterval($0)) }
        #expect(closed == [["mx:gmail.test"], []])
        var rate = DestinationRate(perMinute: 1)
        let destination = Destination(key: "mx:gmail.test") ?? .mailbox
        let taken = [time, time, time.addingTimeInterval(-year)].map { rate.take(destination, at: $0) }
        #expect(taken == [true, false, true])
        let exhausted = [-year, -2 * year].map { rate.exhausted(at: time.addingTimeInterval($0)) }
        #expect(exhausted == [["mx:gmail.test"], []])
    }
}

extension Sequence {
    /// The results of something asynchronous, one after the other.
    fileprivate func asyncMap<T>(_ transform: (Element) async throws -> T) async rethrows -> [T] {
        var results: [T] = []
        for element in self { results.append(try await transform(element)) }
        return results
    }
}
