import DNS
import Foundation
import Journeys
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import SMTP
import ServiceLifecycle
import Synchronization
import Testing

@testable import Gateway

/// Holds every delivery until it is let go, with the outcome that it is told.
private final class GatedAgent: DeliveryAgent {
    private let state = Mutex<(started: Int, outcome: (DeliveryReport.Outcome.Result, SMTPReply)?)>((0, nil))

    var started: Int { state.withLock { $0.started } }

    func open(_ result: DeliveryReport.Outcome.Result, _ reply: SMTPReply) { state.withLock { $0.outcome = (result, reply) } }

    func deliver(_ job: DeliveryJob) async -> DeliveryResult {
        state.withLock { $0.started += 1 }
        while true {
            if let outcome = state.withLock({ $0.outcome }) {
                var result = DeliveryResult.uniform(job, outcome.0, outcome.1)
                for index in result.outcomes.indices { result.outcomes[index].isLocal = false }
                return result
            }
            try? await Task.sleep(for: .milliseconds(5))
        }
    }
}

@Suite(.timeLimit(.minutes(3))) struct QueueTests {
    @Test func mailForAMailboxArrives() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                try await mail.addUsers("jack")
                let (id, trace) = try await mail.enqueue(from: "tom@gmail.test", to: "Jack@kartapuce.test")
                #expect(try await mail.emptied())
                #expect(try await mail.spool.message(id) == nil)
                let text = try #require(try await mail.inbox("jack").first)
                #expect(
                    text == "Return-Path: <tom@gmail.test>\r\nDelivered-To: Jack@kartapuce.test\r\nReceived: by mail.kartapuce.test; now\r\n" + TestHost.sample)
                let journey = try await mail.journey(trace)
                #expect(journey.map(\.operation.kind) == ["delivered", "attempted"])
                #expect(journey.allSatisfy { ($0.seconds ?? -1) >= 0 && $0.host == "mail.kartapuce.test" && $0.role == "store" })
            }
        }
    }

    @Test func mailForTheInternetGoesOut() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                let (_, trace) = try await mail.enqueue(to: "tom@gmail.test", "alice@gmail.test")
                #expect(try await mail.emptied())
                // One transaction for both recipients, and no trace identity for strangers.
                let said = house.outside.record.commands
                #expect(
                    said.prefix(4) == ["EHLO mail.kartapuce.test", "MAIL FROM:<bob@kartapuce.test>", "RCPT TO:<tom@gmail.test>", "RCPT TO:<alice@gmail.test>"])
                #expect(house.outside.record.messages.map { String(buffer: $0) } == ["Received: by mail.kartapuce.test; now\r\n" + TestHost.sample])
                let journey = try await mail.journey(trace)
                #expect(journey.count { $0.operation.kind == "attempted" } == 2)
                let resolved = journey.compactMap { event -> JourneyEvent.Resolved? in
                    if case .resolved(let resolved) = event.operation { resolved } else { nil }
                }
                #expect(resolved.map { "\($0.name) \($0.type)" } == ["gmail.test MX", "mx.gmail.test AAAA", "mx.gmail.test A", "_mta-sts.gmail.test TXT"])
                for event in journey where ["resolved", "exchanged", "attempted"].contains(event.operation.kind) { #expect(event.seconds != nil) }
            }
        }
    }

    @Test func aDeferredRecipientFollowsTheSchedule() async throws {
        let busy = ScriptedServer.script(.init("RCPT", .sayAndClose("451 4.7.1 greylisted")))
        try await TestHouse.open(outside: [busy, busy, ScriptedServer.obedient]) { house in
            try await house.withHost(change: { $0.queue.retrySeconds = [60, 300] }) { mail in
                let (id, trace) = try await mail.enqueue(to: "tom@gmail.test")
                let first = try #require(try await mail.tried(id, 1).first)
                #expect(first.lastStatus == "451 4.7.1 greylisted")
                #expect((51...69).contains(first.nextAttempt.timeIntervalSince(mail.clock.now)))
                mail.pass(50)
                try await Task.sleep(for: .milliseconds(300))
                #expect(house.outside.record.connections == 1)
                mail.pass(20)
                let second = try #require(try await mail.tried(id, 2).first)
                #expect((255...345).contains(second.nextAttempt.timeIntervalSince(mail.clock.now)))
                mail.pass(346)
                #expect(try await mail.emptied())
                let attempts = try await mail.journey(trace).compactMap { event -> JourneyEvent.Attempted? in
                    if case .attempted(let attempted) = event.operation { attempted } else { nil }
                }
                #expect(attempts.map(\.result) == ["deferred", "deferred", "delivered"])
                #expect(attempts.map(\.attempt) == [1, 2, 3])
                #expect(attempts.map { $0.nextAttempt == nil } == [false, false, true])
                #expect(attempts.first?.host == "mx.gmail.test" && attempts.first?.address == "127.0.0.1")
            }
        }
    }

    /// What the DNS says of a domain decides without a connection.
    static let dns: [(String, String, String)] = [
        ("tom@silent.test", "failed", "556 5.1.10"), ("tom@nowhere.test", "failed", "550 5.1.2"), ("tom@broken.test", "deferred", "451 4.4.3"),
        ("tom@empty.test", "failed", "550 5.4.4"), ("tom@ours.test", "failed", "554 5.4.6"), ("tom@down.test", "deferred", "451 4.4.1"),
    ]

    @Test func theDNSDecides() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                for (address, result, reply) in Self.dns {
                    let (id, trace) = try await mail.enqueue(from: nil, to: address)
                    #expect(try await eventually { try await mail.journey(trace).contains { $0.operation.kind == "attempted" } })
                    let attempted = try await mail.journey(trace).compactMap { event -> JourneyEvent.Attempted? in
                        if case .attempted(let attempted) = event.operation { attempted } else { nil }
                    }
                    #expect(attempted.first?.result == result)
                    #expect("\(try #require(attempted.first?.reply))".hasPrefix(reply), "\(address)")
                    #expect(attempted.first?.isLocal == true)
                    #expect(try await mail.spool.recipients(of: id).count == (result == "deferred" ? 1 : 0))
                }
                #expect(house.outside.record.connections == 0)
            }
        }
    }

    /// A destination that is down keeps nobody else waiting, and isn't asked for each message.
    @Test func aDeadDestinationIsLeftAlone() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                let (dead, _) = try await mail.enqueue(to: "tom@down.test")
                #expect(try await mail.tried(dead, 1).first?.lastStatus?.contains("4.4.1") == true)
                let (second, _) = try await mail.enqueue(to: "alice@down.test")
                let (living, _) = try await mail.enqueue(to: "tom@gmail.test")
                #expect(try await eventually { try await mail.spool.message(living) == nil })
                #expect(try await mail.spool.recipients(of: second).first?.attempts == 0)
                mail.pass(2)
                #expect(try await mail.tried(second, 1).first?.attempts == 1)
            }
        }
    }

    /// A runner whose deliveries all go to one agent.
    private func runner(_ mail: TestHost, _ agent: any DeliveryAgent) -> QueueRunner {
        let notices = Notices(
            router: mail.host.router, hostname: "mail.kartapuce.test", postmaster: EmailAddress(localPart: "postmaster", domain: "kartapuce.test"),
            logger: TestHouse.quiet)
        let settlement = Settlement(
            spool: mail.spool, recorder: mail.host.recorder, notices: notices, schedule: RetrySchedule(.init()), role: .store, holdsFailures: false,
            now: { mail.clock.now }, logger: TestHouse.quiet)
        return QueueRunner(
            spool: mail.spool, mailbox: nil, remote: agent, settlement: settlement, settings: .init(), now: { mail.clock.now }, logger: TestHouse.quiet)
    }

    // MARK: - Crashes and shutdowns

    /// Deliveries under way are finished and their outcome is stored; nothing new begins.
    @Test func aShutdownFinishesWhatIsUnderWay() async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false) { mail in
                let agent = GatedAgent()
                let runner = runner(mail, agent)
                let group = ServiceGroup(configuration: .init(services: [runner], logger: TestHouse.quiet))
                let running = Task { try await group.run() }
                try await mail.enqueue(to: "tom@gmail.test")
                #expect(await eventually { agent.started == 1 })
                await group.triggerGracefulShutdown()
                try await Task.sleep(for: .milliseconds(100))
                try await mail.enqueue(to: "alice@gmail.test")
                runner.wake()
                try await Task.sleep(for: .milliseconds(200))
                agent.open(.delivered, SMTPReply(250, .init(2, 0, 0), "Taken"))
                try await running.value
                #expect(agent.started == 1)
                #expect(try await mail.spool.counts() == (queued: 1, held: 0))
            }
        }
    }

    /// A full disk doesn't keep a host from stopping.
    @Test func aShutdownDoesNotWaitForRoom() async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false) { mail in
                let agent = GatedAgent()
                let runner = runner(mail, agent)
                let (id, _) = try await mail.enqueue(to: "tom@gmail.test")
                try await fill(mail.spool)
                let group = ServiceGroup(configuration: .init(services: [runner], logger: TestHouse.quiet))
                let running = Task { try await group.run() }
                #expect(await eventually { agent.started == 1 })
                agent.open(.delivered, SMTPReply(250, .init(2, 0, 0), "Taken"))
                try await Task.sleep(for: .milliseconds(300))
                await group.triggerGracefulShutdown()
                try await running.value
                #expect(try await mail.spool.recipients(of: id).count == 1)
            }
        }
    }

    /// Leaves no room, not even for the smallest record.
    private func fill(_ spool: SpoolStore) async throws {
        try await spool.limitPages(1)
        var size = 100_000
        while size > 0 {
            let filler = JourneyRecord(
                trace: .random(), time: .now, host: "mail.kartapuce.test", payload: Array(repeating: 65, count: size), keys: [])
            do { try await spool.append([filler]) } catch { size /= 2 }
        }
    }

    /// The process dies between the mailbox and the queue's note of it: nothing is lost, and nothing is there twice.
    @Test func aCrashAfterTheDeliveryDeliversOnce() async throws {
        try await TestHouse.open { house in
            var trace: TraceID?
            try await house.withHost(runsQueue: false) { mail in
                try await mail.addUsers("jack", "bob")
                let (id, sent) = try await mail.enqueue(to: "jack@kartapuce.test", "bob@kartapuce.test")
                trace = sent
                let message = try #require(try await mail.spool.message(id))
                let delivery = MailboxDelivery(
                    accounts: try mail.mailboxes(), store: try mail.mailboxes(), router: mail.host.router, now: { .now }, logger: TestHouse.quiet)
                // Only the first of two recipients was reached.
                let job = DeliveryJob(message: message, recipients: Array(try await mail.spool.recipients(of: id).prefix(1)), destination: .mailbox)
                #expect(await delivery.deliver(job).outcomes.map(\.result) == [.delivered])
            }
            try await house.withHost { mail in
                mail.queue.wake()
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("jack").count == 1)
                #expect(try await mail.inbox("bob").count == 1)
                let delivered = try await mail.journey(try #require(trace)).compactMap { event -> JourneyEvent.Delivered? in
                    if case .delivered(let delivered) = event.operation { delivered } else { nil }
                }
                #expect(Set(delivered.map { "\($0.user) \($0.isDuplicate)" }) == ["jack@kartapuce.test true", "bob@kartapuce.test false"])
            }
        }
    }

    /// Another handle on the same folder, the first one never closed: what a killed process leaves.
    @Test func aKilledProcessLosesNothing() async throws {
        try await withTemporaryFolder { folder in
            let killed = try await SpoolStore.open(folder: folder, host: "mail.kartapuce.test")
            let id = try await killed.enqueue(
                NewSpoolMessage(
                    trace: .random(), envelope: Envelope(reversePath: nil),
                    routes: [(EnvelopeRecipient(address: EmailAddress(localPart: "jack", domain: "kartapuce.test")), "mailbox")], prefix: ByteBuffer(),
                    content: BufferedContent(ByteBuffer(string: TestHost.sample)), arrival: .now), journey: [])
            let spool = try await SpoolStore.open(folder: folder, host: "mail.kartapuce.test")
            #expect(try await spool.recipients(of: id).count == 1)
            let content = try #require(try await spool.message(id)).content
            #expect(String(buffer: try await content.readAll()) == TestHost.sample)
            try await spool.close()
            try await killed.close()
        }
    }

    /// While the outcome can't be stored, the message doesn't go out again.
    @Test func aFullDiskDoesNotRepeatDeliveries() async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false) { mail in
                let (id, _) = try await mail.enqueue(to: "tom@gmail.test")
                try await fill(mail.spool)
                let running = Task { try await mail.queue.run() }
                mail.queue.wake()
                #expect(await eventually { house.outside.record.messages.count == 1 })
                for _ in 0..<5 {
                    mail.pass(100)
                    try await Task.sleep(for: .milliseconds(300))
                }
                #expect(house.outside.record.messages.count == 1)
                #expect(try await mail.spool.recipients(of: id).first?.attempts == 0)
                try await mail.spool.limitPages(1_000_000)
                #expect(try await mail.emptied())
                #expect(house.outside.record.messages.count == 1)
                running.cancel()
                _ = await running.result
            }
        }
    }

    // MARK: - Operators

    /// The commands of an operator come from another process: the runner sees them by itself.
    @Test func operatorsCommandsTakeEffect() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                let operators = try await SpoolStore.open(folder: mail.host.configuration.dataFolder, host: "mail.kartapuce.test")
                let (held, _) = try await mail.enqueue(to: "tom@down.test")
                _ = try await mail.tried(held, 1)
                #expect(try await operators.hold(held, reason: "look at it") == 1)
                let (deleted, _) = try await mail.enqueue(to: "tom@down.test")
                #expect(try await operators.delete(deleted) == 1)
                mail.pass(10_000)
                try await Task.sleep(for: .milliseconds(1500))
                let waiting = try #require(try await mail.spool.recipients(of: held).first)
                #expect(waiting.state == .held && waiting.attempts == 1 && waiting.holdReason == "look at it")
                #expect(try await mail.spool.message(deleted) == nil)
                // Nobody wakes the runner for what another process stored or released.
                #expect(try await operators.release(held) == 1)
                #expect(try await mail.tried(held, 2).first?.state == .queued)
                _ = try await operators.enqueue(
                    NewSpoolMessage(
                        trace: .random(), envelope: Envelope(reversePath: nil),
                        routes: [(EnvelopeRecipient(address: EmailAddress(localPart: "tom", domain: "gmail.test")), "mx:gmail.test")], prefix: ByteBuffer(),
                        content: BufferedContent(ByteBuffer(string: TestHost.sample)), arrival: mail.clock.now), journey: [])
                #expect(await eventually { house.outside.record.messages.count == 1 })
                try await operators.close()
            }
        }
    }

    /// What an operator does during a delivery holds whatever comes of it.
    @Test(arguments: ["hold", "delete"]) func aCommandDuringADeliveryHolds(command: String) async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false) { mail in
                let agent = GatedAgent()
                let runner = runner(mail, agent)
                let running = Task { try await runner.run() }
                let (id, trace) = try await mail.enqueue(to: "tom@gmail.test")
                runner.wake()
                #expect(await eventually { agent.started == 1 })
                if command == "hold" {
                    #expect(try await mail.spool.hold(id, reason: "look at it") == 1)
                } else {
                    #expect(try await mail.spool.delete(id) == 1)
                }
                agent.open(.deferred, SMTPReply(451, .init(4, 2, 0), "Later"))
                #expect(try await eventually { try await mail.journey(trace).contains { $0.operation.kind == "attempted" } })
                mail.clock.advance(by: 100_000)
                runner.wake()
                try await Task.sleep(for: .milliseconds(300))
                #expect(agent.started == 1)
                #expect(try await mail.spool.recipients(of: id).map(\.state) == (command == "hold" ? [.held] : []))
                running.cancel()
                _ = await running.result
            }
        }
    }

    /// A queue of a later version: what isn't understood waits for an operator and keeps nothing else waiting.
    @Test func anUnknownDestinationIsHeld() async throws {
        try await TestHouse.open { house in
            try await house.withHost { mail in
                let id = try await mail.spool.enqueue(
                    NewSpoolMessage(
                        trace: .random(), envelope: Envelope(reversePath: nil),
                        routes: ["pigeon:gmail.test", "mx:gmail.test"].map {
                            (EnvelopeRecipient(address: EmailAddress(localPart: "tom", domain: "gmail.test")), $0)
                        },
                        prefix: ByteBuffer(), content: BufferedContent(ByteBuffer(string: TestHost.sample)), arrival: mail.clock.now), journey: [])
                mail.queue.wake()
                #expect(try await eventually { try await mail.spool.counts() == (queued: 0, held: 1) })
                let held = try #require(try await mail.spool.recipients(of: id).first)
                #expect(held.destination == "pigeon:gmail.test")
                #expect(held.holdReason?.contains("pigeon:gmail.test") == true)
                #expect(house.outside.record.messages.count == 1)
            }
        }
    }
}
