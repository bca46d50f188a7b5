import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import PosternMetrics
import SMTP

/// Turns the result of an attempt into what happens to each recipient: done, another try, a notice to the sender, or waiting for an
/// operator. Everything is stored in one transaction, so that no notice is sent twice and none is forgotten.
struct Settlement: Sendable {
    let spool: any Spool
    let recorder: JourneyRecorder
    let notices: Notices
    let schedule: RetrySchedule
    let role: Configuration.Role
    /// The edge holds what it can't deliver: it sends no notices (they would need a way to the internet that it must not have).
    let holdsFailures: Bool
    let now: @Sendable () -> Date
    /// Where the jitter of the next attempts comes from.
    var random: @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }
    let logger: Logger

    func settle(_ job: DeliveryJob, _ result: DeliveryResult) async throws {
        let time = now()
        var generator = Randomness(next: random)
        var batch = Batch()
        var told = Notices.Requests()
        var events = result.steps.map { recorder.event($0.operation, trace: job.message.trace, role: role, at: $0.time, seconds: $0.seconds) }
        for (place, (recipient, outcome)) in zip(job.recipients, result.outcomes).enumerated() {
            let fate = fate(of: recipient, outcome, result.redirections[place], in: job, at: time, using: &generator)
            batch.outcomes.append((recipient.id, fate.disposition))
            Metrics.deliveries.add(.init(outcome.result))
            told.add(fate.notice, .init(recipient: recipient, outcome: outcome, host: result.host))
            let attempted = JourneyEvent.Attempted(
                queueID: "\(job.message.id)", recipient: "\(recipient.recipient.address)", destination: job.destination.key,
                host: result.host, address: result.address.map { "\($0)" }, result: outcome.result.rawValue, reply: outcome.reply,
                isLocal: outcome.isLocal, attempt: recipient.attempts + 1, nextAttempt: fate.nextAttempt, failures: result.failures)
            events.append(
                recorder.event(.attempted(attempted), trace: job.message.trace, role: role, at: time, seconds: result.duration?.seconds))
            if case .hold(let reason, _) = fate.disposition {
                let held = JourneyEvent.Queued(action: "held", queueID: "\(job.message.id)", reason: reason)
                events.append(recorder.event(.queued(held), trace: job.message.trace, role: role, at: time))
                logger.warning("recipient held", metadata: ["queue.id": "\(job.message.id)", "reason": "\(reason)"])
            }
            logger.info(
                "delivery attempt",
                metadata: [
                    "trace": "\(job.message.trace)", "queue.id": "\(job.message.id)", "destination": "\(job.destination.key)",
                    "result": "\(outcome.result.rawValue)", "reply": "\(outcome.reply)",
                ])
        }
        if !result.forwards.isEmpty { batch.messages.append(forward(job, result.forwards, at: time)) }
        let notified = await notices.make(told, for: job.message, at: time)
        batch.messages += notified.messages
        events += notified.events.map { recorder.event($0.operation, trace: $0.trace, role: role, at: time) }
        try await spool.record(batch.outcomes, newMessages: batch.messages, journey: recorder.records(events))
    }

    private struct Randomness: RandomNumberGenerator {
        let source: @Sendable () -> UInt64
        init(next source: @escaping @Sendable () -> UInt64) { self.source = source }
        mutating func next() -> UInt64 { source() }
    }

    private struct Batch {
        var outcomes: [(recipient: Int64, disposition: QueueDisposition)] = []
        var messages: [NewSpoolMessage] = []
    }

    private struct Fate {
        var disposition: QueueDisposition
        var notice: Notices.Kind?
        var nextAttempt: Date?
    }

    private func fate(
        of recipient: QueuedRecipient, _ outcome: DeliveryReport.Outcome, _ redirection: DeliveryResult.Redirection?, in job: DeliveryJob,
        at time: Date, using generator: inout some RandomNumberGenerator
    ) -> Fate {
        switch outcome.result {
        case .delivered:
            switch (job.destination, redirection) {
            case (_, .renamed?): return Fate(disposition: .done)
            case (_, .expanded?): return Fate(disposition: .done, notice: .expanded)
            case (.mailbox, nil): return Fate(disposition: .done, notice: .delivered)
            case (.link, nil), (.route, nil), (.exchangers, nil), (.literal, nil):
                return Fate(disposition: .done, notice: outcome.peerHandlesDSN ? nil : .relayed)
            }
        case .failed:
            return giveUp(outcome, reason: "refused: \(outcome.reply)")
        case .deferred:
            if schedule.isExpired(arrival: job.message.arrival, at: time) {
                return giveUp(outcome, reason: "expired; the last attempt ended with: \(outcome.reply)")
            }
            let next = schedule.nextAttempt(after: recipient.attempts + 1, at: time, using: &generator)
            let warns = !holdsFailures && !recipient.delayNotified && schedule.isDelayed(arrival: job.message.arrival, at: time)
            let retry = QueueDisposition.retry(
                nextAttempt: next, status: "\(outcome.reply)", delayNotified: recipient.delayNotified || warns)
            return Fate(disposition: retry, notice: warns ? .delayed(until: schedule.expiry(of: job.message.arrival)) : nil, nextAttempt: next)
        }
    }

    private func giveUp(_ outcome: DeliveryReport.Outcome, reason: String) -> Fate {
        holdsFailures
            ? Fate(disposition: .hold(reason: "undeliverable: \(reason)", status: "\(outcome.reply)"))
            : Fate(disposition: .done, notice: .failed)
    }

    /// Copies for addresses that an alias leads to go on as a message of their own, with the same trace.
    private func forward(
        _ job: DeliveryJob, _ routes: [(recipient: EnvelopeRecipient, destination: String)], at time: Date
    ) -> NewSpoolMessage {
        NewSpoolMessage(
            trace: job.message.trace, envelope: job.message.envelope, routes: routes, prefix: .init(), content: job.message.content,
            arrival: job.message.arrival)
    }
}

extension Metrics.DeliveryOutcome {
    fileprivate init(_ result: DeliveryReport.Outcome.Result) {
        switch result {
        case .delivered: self = .delivered
        case .deferred: self = .deferred
        case .failed: self = .failed
        }
    }
}
