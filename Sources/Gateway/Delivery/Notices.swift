import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import SMTP

/// Makes the notifications that senders are owed (RFC 3464), as far as they asked for them or didn't decline (RFC 3461 §4.1). The
/// null reverse-path is never written to (RFC 5321 §4.5.5), so a notification can't cause another.
struct Notices: Sendable {
    let router: Router
    let hostname: String
    let postmaster: EmailAddress
    let logger: Logger

    /// What a sender is told.
    enum Kind: Hashable, Sendable {
        case failed
        case delayed(until: Date)
        case delivered
        case relayed
        case expanded

        var action: DeliveryStatusNotification.Kind {
            switch self {
            case .failed: .failed
            case .delayed: .delayed
            case .delivered: .delivered
            case .relayed: .relayed
            case .expanded: .expanded
            }
        }

        /// Whether a sender with this `NOTIFY` wants to be told; without one, failures and delays are told (RFC 3461 §4.1).
        func isWanted(_ notify: DSNNotify?) -> Bool {
            switch self {
            case .failed: notify?.contains(.failure) ?? true
            case .delayed: notify?.contains(.delay) ?? true
            case .delivered, .relayed, .expanded: notify?.contains(.success) ?? false
            }
        }
    }

    /// What is to be told about one recipient.
    struct Member: Sendable {
        var recipient: QueuedRecipient
        var outcome: DeliveryReport.Outcome
        /// The host that was spoken with.
        var host: String?
    }

    /// What is to be told after an attempt, grouped so that one notification speaks of all recipients with the same fate.
    struct Requests: Sendable {
        fileprivate var groups: [Kind: [Member]] = [:]

        mutating func add(_ kind: Kind?, _ member: Member) {
            guard let kind, kind.isWanted(member.recipient.recipient.notify) else { return }
            groups[kind, default: []].append(member)
        }
    }

    /// What was made.
    struct Made: Sendable {
        var messages: [NewSpoolMessage] = []
        var events: [(operation: JourneyEvent.Operation, trace: TraceID)] = []
    }

    /// Makes the notifications; what can't be sent is told to the operator and to the journey instead.
    func make(_ requests: Requests, for message: SpooledMessage, at time: Date) async -> Made {
        var made = Made()
        for (kind, members) in requests.groups.sorted(by: { $0.key.action.rawValue < $1.key.action.rawValue }) {
            guard let sender = message.envelope.reversePath else {
                for member in members {
                    made.events.append((evidence(kind, member, notified: nil, trace: nil, reason: "the reverse-path is null"), message.trace))
                }
                continue
            }
            switch router.route(sender) {
            case .failure(let refusal):
                logger.warning("a sender can't be notified", metadata: ["sender": "\(sender)", "reason": "\(refusal.reply)"])
                for member in members {
                    made.events.append((evidence(kind, member, notified: nil, trace: nil, reason: "\(refusal.reply)"), message.trace))
                }
            case .success(let decision):
                let trace = TraceID.random()
                let notice = await notification(kind, members, message: message, sender: sender, trace: trace, at: time)
                made.messages.append(
                    NewSpoolMessage(
                        trace: trace,
                        // RFC 8689 §5: it is protected as the message was.
                        envelope: Envelope(
                            reversePath: nil, bodyType: notice.bodyType, usesSMTPUTF8: notice.needsSMTPUTF8, requiresTLS: message.envelope.requiresTLS),
                        routes: [(EnvelopeRecipient(address: sender, notify: .never), decision.destination.key)], prefix: ByteBuffer(),
                        content: BufferedContent(notice.octets), arrival: time))
                for member in members {
                    let reason = "\(member.outcome.reply)"
                    made.events.append((evidence(kind, member, notified: "\(sender)", trace: trace, reason: reason), message.trace))
                    made.events.append((evidence(kind, member, notified: "\(sender)", trace: trace, reason: reason), trace))
                }
            }
        }
        return made
    }

    private func notification(
        _ kind: Kind, _ members: [Member], message: SpooledMessage, sender: EmailAddress, trace: TraceID, at time: Date
    ) async -> (octets: ByteBuffer, bodyType: BodyType, needsSMTPUTF8: Bool) {
        // RFC 8689 §5: of a message that requires TLS the header fields come back, whatever was asked for.
        let returns = message.envelope.requiresTLS ? .headers : message.envelope.dsnReturn ?? .headers
        // A large message isn't sent back as a whole, whatever was asked for: RFC 3461 §6.2 leaves that to us.
        let limit = returns == .full && message.content.byteCount <= 1024 * 1024 ? message.content.byteCount : 64 * 1024
        let original = (try? await message.content.read(0..<min(limit, message.content.byteCount))) ?? ByteBuffer()
        var retryUntil: MessageDate?
        if case .delayed(let until) = kind { retryUntil = MessageDate(until) }
        let notification = DeliveryStatusNotification(
            kind: kind.action, reportingMTA: hostname, arrival: MessageDate(message.arrival), envelopeID: message.envelope.envelopeID,
            recipients: members.map { member in
                DeliveryStatusNotification.PerRecipient(
                    finalRecipient: member.recipient.recipient.address, originalRecipient: member.recipient.recipient.originalRecipient,
                    status: member.outcome.reply.enhancedStatus ?? EnhancedStatusCode(UInt8(clamping: member.outcome.reply.code / 100), 0, 0),
                    remoteMTA: member.outcome.isLocal ? nil : member.host, diagnostic: "\(member.outcome.reply)",
                    lastAttempt: MessageDate(time), willRetryUntil: retryUntil)
            },
            original: original, returns: limit == message.content.byteCount ? returns : .headers, from: postmaster, to: sender,
            date: MessageDate(time), messageID: "\(trace)@\(hostname)", boundary: "\(TraceID.random())")
        let octets = notification.message()
        return (octets.octets, octets.bodyType, notification.needsSMTPUTF8)
    }

    private func evidence(
        _ kind: Kind, _ member: Member, notified: String?, trace: TraceID?, reason: String
    ) -> JourneyEvent.Operation {
        .notified(
            .init(
                kind: kind.action.rawValue, recipient: "\(member.recipient.recipient.address)", notified: notified, notificationTrace: trace,
                reason: reason))
    }
}
