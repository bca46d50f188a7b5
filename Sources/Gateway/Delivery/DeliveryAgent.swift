import DNS
import FoundationEssentials
import Journeys
import MailMessage
import MailStore
import MailTransport
import SMTP

/// Recipients of one message with one destination: what is attempted at once.
struct DeliveryJob: Sendable {
    let message: SpooledMessage
    let recipients: [QueuedRecipient]
    let destination: Destination

    /// The message's envelope with these recipients only.
    var envelope: Envelope {
        var envelope = message.envelope
        envelope.recipients = recipients.map(\.recipient)
        return envelope
    }
}

/// What came of a job.
struct DeliveryResult: Sendable {
    /// One for each recipient of the job, in its order.
    var outcomes: [DeliveryReport.Outcome]
    /// What was done on the way.
    var steps: [Step]
    /// The host that answered last.
    var host: String?
    var address: IPAddress?
    /// Connections and TLS sessions that failed.
    var failures: [String] = []
    /// How long it all took.
    var duration: Duration?
    /// Copies that go on to other addresses (aliases that lead outside), for the spool.
    var forwards: [(recipient: EnvelopeRecipient, destination: String)] = []

    /// Recipients of the job that turned out to lead elsewhere, by their place in it.
    var redirections: [Int: Redirection] = [:]

    /// How a recipient that was an alias went on. It decides what a sender who asked for NOTIFY=SUCCESS is told here.
    enum Redirection: Sendable {
        /// To one other address, with all that the sender asked for: nothing is told here (RFC 3461 §5.2.7.2).
        case renamed
        /// To several: told as expanded, and the others' successes aren't told any more (RFC 3461 §5.2.7.3 (c)).
        case expanded
    }

    /// Something that was done, and when.
    struct Step: Sendable {
        var operation: JourneyEvent.Operation
        var time: Date
        var seconds: Double?
    }

    /// The same outcome for everyone, made here.
    static func uniform(_ job: DeliveryJob, _ result: DeliveryReport.Outcome.Result, _ reply: SMTPReply, steps: [Step] = []) -> DeliveryResult {
        DeliveryResult(
            outcomes: job.recipients.map {
                DeliveryReport.Outcome(recipient: $0.recipient, result: result, reply: reply, isLocal: true, peerHandlesDSN: false)
            }, steps: steps)
    }

    /// Nobody could be reached: the destination is to be left alone for a while.
    var isUnreachable: Bool { !outcomes.isEmpty && outcomes.allSatisfy { $0.result == .deferred && $0.isLocal } }
}

/// Delivers jobs to one kind of destination.
protocol DeliveryAgent: Sendable {
    func deliver(_ job: DeliveryJob) async -> DeliveryResult
}
