import DNS
import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import SMTP

/// The delivery agent for mailboxes of this host (the MDA of the picture).
struct MailboxDelivery: DeliveryAgent {
    let accounts: any AccountStore
    let store: any MailStore
    let router: Router
    /// Reads what comes to the addresses for reports.
    var reports: ReportReception?
    let now: @Sendable () -> Date
    let logger: Logger

    func deliver(_ job: DeliveryJob) async -> DeliveryResult {
        var result = DeliveryResult(outcomes: [], steps: [])
        for (place, recipient) in job.recipients.enumerated() {
            let reply = await deliver(job.message, to: recipient.recipient, at: place, into: &result)
            let kind: DeliveryReport.Outcome.Result = reply.isPositive ? .delivered : reply.isTransientFailure ? .deferred : .failed
            result.outcomes.append(
                DeliveryReport.Outcome(recipient: recipient.recipient, result: kind, reply: reply, isLocal: true, peerHandlesDSN: false))
        }
        return result
    }

    private func deliver(
        _ message: SpooledMessage, to recipient: EnvelopeRecipient, at place: Int, into result: inout DeliveryResult
    ) async -> SMTPReply {
        do {
            let targets = try await accounts.resolve(recipient.address)
            if let reports, reports.takes(recipient.address) {
                let start = now()
                let checked = try await reports.take(message)
                result.steps.append(.init(operation: .checked(checked), time: start))
                if targets.isEmpty { return SMTPReply(250, .init(2, 0, 0), "Read as a report (\(checked.result)); no mailbox has this address") }
            }
            guard !targets.isEmpty else {
                return SMTPReply(550, .init(5, 1, 1), "<\(recipient.address)>: no such mailbox here")
            }
            // All of an alias or none: ways out are looked for before anything is delivered. A try that fails half-way is made again as a
            // whole, and mailboxes recognise the repetition.
            var forwards: [(recipient: EnvelopeRecipient, destination: String)] = []
            var steps: [DeliveryResult.Step] = []
            for case .remote(let address) in targets.map(\.target) {
                forwards.append(try forward(recipient, to: address, isOnly: targets.count == 1, steps: &steps))
            }
            for case .user(let user) in targets.map(\.target) { try await deliver(message, to: recipient, user: user, into: &result) }
            if !forwards.isEmpty { result.redirections[place] = targets.count == 1 ? .renamed : .expanded }
            result.forwards += forwards
            result.steps += steps
            return SMTPReply(250, .init(2, 1, 5), "Delivered")
        } catch let refusal as Router.Refusal {
            return refusal.reply
        } catch let error as StoreError where error.code == .full {
            return SMTPReply(452, .init(4, 2, 2), "The store is full: \(error.message)")
        } catch {
            logger.error("delivery into a mailbox failed", metadata: ["recipient": "\(recipient.address)", "error": "\(error)"])
            return SMTPReply(451, .init(4, 3, 0), "The mailbox can't be written now: \(error)")
        }
    }

    private func deliver(
        _ message: SpooledMessage, to recipient: EnvelopeRecipient, user: EmailAddress, into result: inout DeliveryResult
    ) async throws {
        let start = now()
        let clock = ContinuousClock.now
        // RFC 5321 §4.4: the final delivery adds the reverse-path.
        let reversePath = message.envelope.reversePath.map { "\($0)" } ?? ""
        let prefix = ByteBuffer(string: "Return-Path: <\(reversePath)>\r\nDelivered-To: \(recipient.address)\r\n")
        let delivered = try await store.deliver(
            message.content, prefix: prefix, to: MessageNotes(of: message).disposition == .junk ? "Junk" : "INBOX", of: user, flags: [], internalDate: start,
            deliveryID: "\(message.trace)/\(recipient.address.lowercased)")
        let evidence = JourneyEvent.Delivered(
            recipient: "\(recipient.address)", user: "\(user)", mailbox: delivered.mailbox, uid: delivered.uid,
            uidValidity: delivered.uidValidity, isDuplicate: delivered.isDuplicate)
        result.steps.append(.init(operation: .delivered(evidence), time: start, seconds: (ContinuousClock.now - clock).seconds))
    }

    private func forward(
        _ recipient: EnvelopeRecipient, to address: EmailAddress, isOnly: Bool, steps: inout [DeliveryResult.Step]
    ) throws -> (recipient: EnvelopeRecipient, destination: String) {
        let decision = try router.route(address).get()
        var copy = recipient
        copy.originalRecipient = recipient.originalRecipient ?? "rfc822;\(recipient.address)"
        copy.address = address
        // RFC 3461 §5.2.7.3 (c)
        if !isOnly { copy.notify?.remove(.success) }
        steps.append(
            .init(
                operation: .routed(
                    .init(
                        recipient: "\(address)", destination: decision.destination.key,
                        reason: "<\(recipient.address)> is an alias for <\(address)>; \(decision.reason)")), time: now()))
        return (copy, decision.destination.key)
    }
}
