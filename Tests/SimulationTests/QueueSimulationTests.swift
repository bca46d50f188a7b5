import DNS
import Foundation
import Logging
import MailMessage
import MailStore
import NIOCore
import SMTP
import Synchronization
import Testing

@testable import Gateway

/// The queue against a simulated clock, network and disk that fail as a seed says. In the short form 150 seeds, in the long one (`make
/// faults`) 10,000; `POSTERN_SIMULATION_SEED=n` runs one alone, step for step as it ran before.
@Suite struct QueueSimulationTests {
    static var seeds: ClosedRange<UInt64> {
        let environment = ProcessInfo.processInfo.environment
        if let seed = environment["POSTERN_SIMULATION_SEED"].flatMap(UInt64.init) { return seed...seed }
        return 1...(environment["POSTERN_FAULTS"] == "long" ? 10_000 : 150)
    }

    @Test(.timeLimit(.minutes(30))) func nothingIsLostAndNothingComesTwiceWithoutReason() throws {
        var failed: [UInt64] = []
        for seed in Self.seeds {
            let problems = try QueueSimulation(seed: seed).run().problems
            if !problems.isEmpty {
                failed.append(seed)
                Issue.record("POSTERN_SIMULATION_SEED=\(seed): \(problems.prefix(5).joined(separator: "; "))")
            }
            if failed.count >= 5 { break }
        }
        #expect(failed.isEmpty)
    }

    @Test func theSameSeedIsTheSameRun() throws {
        for seed in [7, 8] as [UInt64] {
            let first = try QueueSimulation(seed: seed).run()
            let second = try QueueSimulation(seed: seed).run()
            let difference = zip(first.log, second.log).first { $0 != $1 }
            #expect(difference == nil && first.log.count == second.log.count)
            #expect(first.log.count > 20)
        }
        #expect(try QueueSimulation(seed: 7).run().log != QueueSimulation(seed: 8).run().log)
    }
}

/// One run: messages come in while everything fails, then all is calm, and the queue must run empty.
final class QueueSimulation: Sendable {
    let time: SimulatedTime
    let spool: SimulatedSpool
    let network: SimulatedNetwork
    private let configuration: Configuration
    private let accepted = Mutex<[Int64: Int]>([:])
    private let isDone = Mutex(false)

    struct Outcome {
        var problems: [String]
        var log: [String]
    }

    init(seed: UInt64) throws {
        time = SimulatedTime(seed: seed)
        spool = SimulatedSpool(time: time)
        var configuration = Configuration()
        configuration.hostname = "smtp.kartapuce.test"
        configuration.roles = [.relay]
        configuration.domains = [try DomainName("kartapuce.test")]
        configuration.queue.retrySeconds = [5, 20, 60]
        configuration.queue.connectionsPerDestination = 3
        configuration.queue.deliveries = 8
        configuration.queue.messagesPerMinutePerDestination = time.happens(300) ? 60 : 0
        self.configuration = configuration
        network = SimulatedNetwork(time: time, spool: spool, settings: configuration.queue)
    }

    func run() throws -> Outcome {
        let task = Task(executorPreference: time) {
            try? await self.scenario()
            self.isDone.withLock { $0 = true }
        }
        let ended = time.run(steps: 3_000_000) { isDone.withLock { $0 } }
        task.cancel()
        _ = time.run(steps: 100_000) { false }
        return Outcome(problems: (ended ? [] : ["it does not end"]) + problems(), log: network.state.withLock { $0.log })
    }

    private func startRunner() -> (QueueRunner, Task<Void, Never>) {
        let view = spool.view()
        let quiet = Logger(label: "simulation") { _ in SwiftLogNoOpLogHandler() }
        let recorder = JourneyRecorder(host: configuration.hostname, log: spool, isEnabled: false)
        let notices = Notices(
            router: Router(configuration: configuration), hostname: configuration.hostname,
            postmaster: EmailAddress(localPart: "postmaster", domain: "kartapuce.test"), logger: quiet)
        let time = time
        let settlement = Settlement(
            spool: view, recorder: recorder, notices: notices, schedule: RetrySchedule(configuration.queue), role: .relay, holdsFailures: false,
            now: { time.now }, random: { time.random() }, logger: quiet)
        let runner = QueueRunner(
            spool: view, mailbox: nil, remote: network.agent(), settlement: settlement, settings: configuration.queue, now: { time.now },
            sleep: { try await time.sleep(seconds: Double($0.components.seconds) + Double($0.components.attoseconds) / 1e18) }, logger: quiet)
        return (runner, Task(executorPreference: time) { try? await runner.run() })
    }

    private func scenario() async throws {
        var (runner, task) = startRunner()
        let hosts = ["gmail.test", "yahoo.test", "slow.test", "far.test"]
        for number in 0..<(20 + time.random(below: 30)) {
            try await time.sleep(seconds: 0.05 * Double(time.random(below: 40)))
            let names = (0..<(1 + time.random(below: 3))).map { EmailAddress(localPart: "r\(number)-\($0)", domain: hosts[time.random(below: hosts.count)]) }
            let message = NewSpoolMessage(
                trace: .random(), envelope: Envelope(reversePath: EmailAddress(localPart: "tom", domain: "gmail.test")),
                routes: names.map { (EnvelopeRecipient(address: $0), "mx:\($0.domain)") }, prefix: ByteBuffer(),
                content: BufferedContent(ByteBuffer(string: "Subject: \(number)\r\n\r\nx\r\n")), arrival: time.now)
            if let queued = try? await spool.enqueue(message, journey: { _ in [] }) {
                accepted.withLock { $0[queued.message.id.rawValue] = queued.recipients.count }
                network.note("accepted \(queued.message.id)")
                // The offer may come late, long after the queue has found the message by itself; or the process dies before it.
                let delay = time.happens(200) ? 0.1 * Double(time.random(below: 50)) : 0
                if delay > 0 { try await time.sleep(seconds: delay) }
                if !time.happens(30) { runner.offer(queued) }
            }
            switch time.random(below: 1000) {
            case ..<40:
                network.note("crash")
                spool.crash()
                network.crashed()
                task.cancel()
                (runner, task) = startRunner()
            case ..<80: spool.fail(for: Double(time.random(below: 30)))
            case ..<150:
                let until = time.now.addingTimeInterval(Double(time.random(below: 120)))
                let host = "mx:" + hosts[time.random(below: hosts.count)]
                network.state.withLock { $0.downUntil[host] = until }
            case ..<180: _ = try await spool.hold(nil, reason: "an operator looks")
            case ..<210: _ = try await spool.release(nil)
            case ..<220: time.jump(by: 86_400 * Double(time.random(below: 3)))
            case ..<230: time.jump(by: -3600 * Double(time.random(below: 3)))
            default: break
            }
        }
        network.state.withLock { $0.isCalm = true }
        _ = try await spool.release(nil)
        for _ in 0..<5000 {
            if try await spool.counts() == (0, 0) { break }
            try await time.sleep(seconds: 10)
        }
        task.cancel()
    }

    private func problems() -> [String] {
        let left = spool.state.withLock { $0.messages.values.flatMap(\.recipients).map(\.id) }
        let accepted = accepted.withLock { $0 }
        return network.state.withLock { state in
            var problems = state.violations
            if !left.isEmpty { problems.append("\(left.count) recipients are left: \(left.prefix(3))") }
            for (message, count) in accepted.sorted(by: { $0.key < $1.key }) {
                for place in 0..<count {
                    let recipient = message << 20 | Int64(place)
                    let received = state.received[recipient, default: 0]
                    if received == 0, !state.refused.contains(recipient), !left.contains(recipient) { problems.append("\(recipient) is lost") }
                    if received > 1 + state.excused[recipient, default: 0] {
                        problems.append("\(recipient) came \(received) times, \(state.excused[recipient, default: 0]) excused")
                    }
                }
            }
            return problems
        }
    }
}
