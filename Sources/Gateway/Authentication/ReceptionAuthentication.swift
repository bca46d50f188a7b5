import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailTransport
import NIOCore
import SMTP

/// What a listener does about who sent a message, on its way in.
struct ReceptionAuthentication: Sendable {
    /// Takes forged fields out, where mail comes from outside.
    var border: HeaderBorder?
    /// Judges the sender, where mail comes from the internet.
    var judge: SenderJudge?
    /// Reads what the edge found out, where mail comes from other hosts of ours.
    var capsules: CapsuleReader?
    /// Signs, where mail leaves.
    var signer: OutboundSigner?

    /// What comes of it.
    struct Outcome: Sendable {
        var refusal: SMTPReply?
        var disposition: AuthenticationCapsule.Disposition?
        /// The fields to put on top.
        var fields = ByteBuffer()
        /// Octets of the message that only our own hosts read, and that stay here.
        var removed: [Range<Int>] = []
        var steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = []
    }

    /// Takes forged fields out of a message.
    /// - Returns: a step that tells which those were; `nil` where there are none.
    func clean(_ transaction: inout SMTPTransaction, _ description: inout MessageDescription) async throws -> JourneyEvent.Operation? {
        guard let forgeries = border?.forgeries(in: description.header), !forgeries.ranges.isEmpty else { return nil }
        transaction.content = ExcisedContent(transaction.content, without: forgeries.ranges)
        description = try await MessageDescription(of: transaction.content)
        let explanation = "fields that only we may write: \(forgeries.names.joined(separator: ", "))"
        return .checked(.init(check: "border", result: "removed", explanation: explanation))
    }

    /// Judges, believes or signs.
    func run(_ transaction: SMTPTransaction, _ description: MessageDescription, trace: TraceID, at time: Date) async throws -> Outcome {
        var outcome = Outcome()
        if let judge {
            let judgement = try await judge.judge(transaction, description, trace: trace, at: time)
            outcome.refusal = judgement.refusal
            outcome.disposition = judgement.disposition
            outcome.fields = judgement.fields
            outcome.steps = judgement.steps
        }
        let capsule = try await capsule(of: transaction, description, &outcome, at: time)
        if let capsule {
            outcome.disposition = capsule.disposition
            if capsule.author != nil, signer != nil, let field = description.header.first(named: AuthenticationCapsule.fieldName) {
                // It has done its work here, and names hosts that strangers need not know.
                outcome.removed.append(field.range)
            }
        }
        if let signer { try await signer.sign(transaction, description, capsule: capsule, into: &outcome, at: time) }
        return outcome
    }

    /// The capsule of a message from another host; one that can't be believed is none.
    private func capsule(
        of transaction: SMTPTransaction, _ description: MessageDescription, _ outcome: inout Outcome, at time: Date
    ) async throws -> AuthenticationCapsule? {
        guard let capsules, let field = description.header.first(named: AuthenticationCapsule.fieldName) else { return nil }
        do {
            let capsule = try await capsules.open(field, of: transaction.content, at: time)
            let explanation =
                capsule.author.map { "\(capsule.host) wrote the message itself: \($0.rawValue)" }
                ?? "\(capsule.host) judged \(capsule.client): \(capsule.results)"
            outcome.steps.append((.checked(.init(check: "capsule", result: "believed", explanation: explanation)), nil))
            return capsule
        } catch let doubt as CapsuleReader.Doubt {
            outcome.steps.append((.checked(.init(check: "capsule", result: "not believed", explanation: "\(doubt)")), nil))
            return nil
        }
    }
}
