import Foundation
import MailMessage
import MailStore
import MailTransport
import SMTP
import Synchronization

@testable import Gateway

/// The other hosts: they take messages, refuse them, can't be reached for a while, or take them and lose the reply. It keeps account of what
/// arrived, and of what may have arrived twice.
final class SimulatedNetwork: Sendable {
    struct State {
        /// How often each recipient got the message.
        var received: [Int64: Int] = [:]
        /// How often a second time would be nobody's fault: the reply was lost, or the process died before it stored the outcome.
        var excused: [Int64: Int] = [:]
        /// Recipients that a host refused for good.
        var refused: Set<Int64> = []
        /// Recipients that are being delivered now, in the living process.
        var underWay: Set<Int64> = []
        var load: [String: Int] = [:]
        var downUntil: [String: Date] = [:]
        var violations: [String] = []
        /// Everything that happened, for comparison of two runs.
        var log: [String] = []
        var isCalm = false
    }
    let time: SimulatedTime
    let spool: SimulatedSpool
    let settings: Configuration.QueueSettings
    let state = Mutex(State())

    init(time: SimulatedTime, spool: SimulatedSpool, settings: Configuration.QueueSettings) {
        self.time = time
        self.spool = spool
        self.settings = settings
    }

    func note(_ text: String) {
        let moment = time.now.timeIntervalSinceReferenceDate
        state.withLock { $0.log.append("\(moment) \(text)") }
    }

    /// The process died: what its hosts got and it had not stored may come again, and what was under way is no more.
    func crashed() {
        let waiting = spool.state.withLock { $0.messages.values.flatMap(\.recipients).map(\.id) }
        state.withLock { state in
            for recipient in waiting {
                let received = state.received[recipient, default: 0]
                state.excused[recipient] = max(state.excused[recipient, default: 0], received)
            }
            state.underWay = []
            state.load = [:]
        }
    }

    /// The agent of one process.
    func agent() -> Agent { Agent(network: self, epoch: spool.state.withLock { $0.epoch }) }

    struct Agent: DeliveryAgent {
        let network: SimulatedNetwork
        let epoch: Int

        private var isAlive: Bool { network.spool.state.withLock { $0.epoch } == epoch }

        func deliver(_ job: DeliveryJob) async -> DeliveryResult {
            let time = network.time
            let key = job.destination.key
            if isAlive { begin(job, key) }
            let isSlow = time.happens(20)
            try? await time.sleep(seconds: isSlow ? 300 : 0.01 * Double(1 + time.random(below: 200)))
            // A process that died sends nothing any more.
            guard isAlive else { return .uniform(job, .deferred, SMTPReply(451, .init(4, 4, 2), "gone")) }
            defer { end(job, key) }
            return answer(job, key)
        }

        private func begin(_ job: DeliveryJob, _ key: String) {
            network.state.withLock { state in
                for recipient in job.recipients {
                    if !state.underWay.insert(recipient.id).inserted { state.violations.append("\(recipient.id) is delivered twice at once") }
                }
                state.load[key, default: 0] += 1
                if state.load[key, default: 0] > network.settings.connectionsPerDestination { state.violations.append("too many to \(key)") }
                if state.load.values.reduce(0, +) > network.settings.deliveries { state.violations.append("too many deliveries") }
            }
        }

        private func end(_ job: DeliveryJob, _ key: String) {
            network.state.withLock { state in
                state.underWay.subtract(job.recipients.map(\.id))
                state.load[key, default: 1] -= 1
            }
        }

        private func answer(_ job: DeliveryJob, _ key: String) -> DeliveryResult {
            let time = network.time
            let now = time.now
            let (isDown, isCalm) = network.state.withLock { (($0.downUntil[key] ?? .distantPast) > now, $0.isCalm) }
            if isDown {
                network.note("\(job.message.id) unreachable \(key)")
                return .uniform(job, .deferred, SMTPReply(451, .init(4, 4, 1), "No host could be reached"))
            }
            var result = DeliveryResult(outcomes: [], steps: [])
            let losesReply = !isCalm && time.happens(20)
            for recipient in job.recipients {
                let dice = isCalm ? 999 : time.random(below: 1000)
                let outcome: (DeliveryReport.Outcome.Result, SMTPReply)
                switch dice {
                case ..<100: outcome = (.deferred, SMTPReply(450, .init(4, 2, 0), "greylisted"))
                case ..<130: outcome = (.failed, SMTPReply(550, .init(5, 1, 1), "nobody"))
                default: outcome = (.delivered, SMTPReply(250, .init(2, 0, 0), "ok"))
                }
                network.state.withLock { state in
                    if outcome.0 == .delivered { state.received[recipient.id, default: 0] += 1 }
                    if outcome.0 == .delivered, losesReply { state.excused[recipient.id, default: 0] += 1 }
                    if outcome.0 == .failed, !losesReply { state.refused.insert(recipient.id) }
                }
                network.note("\(recipient.id) \(outcome.0) \(losesReply ? "reply lost" : "")")
                result.outcomes.append(
                    .init(
                        recipient: recipient.recipient, result: losesReply ? .deferred : outcome.0,
                        reply: losesReply ? SMTPReply(451, .init(4, 4, 2), "lost") : outcome.1, isLocal: losesReply, peerHandlesDSN: false))
            }
            return result
        }
    }
}
