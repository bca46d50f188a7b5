public import FoundationEssentials
import SMTP

/// Where a message is now for one recipient, and why: what all hosts' evidence says together.
public struct JourneyOutcome: Sendable, Hashable, Codable {
    /// Where the message ended, or waits. The order is that in which one state outweighs another, the weakest first: hosts' clocks differ,
    /// so that the time alone doesn't tell which of two events is the later one.
    public enum State: String, Sendable, Hashable, Codable, CaseIterable {
        /// Nothing says anything.
        case unknown
        /// The client left before the message was complete.
        case abandoned
        /// A host took the recipient; its further way stands under other addresses, or on hosts whose evidence isn't here.
        case accepted
        /// A host refused it; the client has been told.
        case refused
        /// Another organisation's host took it.
        case handedOver
        /// It waits in a queue.
        case waiting
        /// It waits for an operator.
        case held
        /// It was given up.
        case failed
        /// An operator deleted it.
        case deleted
        /// It lies in a mailbox.
        case delivered

        fileprivate var weight: Int { Self.allCases.firstIndex(of: self) ?? 0 }
    }
    /// The recipient as it was addressed.
    public var recipient: String
    /// Where it is.
    public var state: State
    /// The host that says so.
    public var host: String?
    /// Since when.
    public var since: Date?
    /// A sentence for people, without the recipient; text of peers in it is neutralised when a story shows it.
    public var explanation: String

    /// The outcomes of a journey, by recipient in the order in which they were first named.
    public static func outcomes(of events: [JourneyEvent]) -> [JourneyOutcome] {
        var collector = Collector()
        for event in events.sorted(by: { $0.time < $1.time }) { collector.add(event) }
        return collector.results
    }

    private struct Key: Hashable {
        var recipient: String
        var host: String
        var queueID: String?
    }

    private struct Collector {
        /// How each recipient was first written, by its form for searches.
        var spelling: [String: String] = [:]
        var order: [String] = []
        /// The last word of each host's queue about each recipient.
        var states: [Key: JourneyOutcome] = [:]
        /// The recipients of each queue entry, and what was told to whom.
        var queues: [Key: [String]] = [:]
        var notices: [String: JourneyEvent.Notified] = [:]
        var abandoned: (host: String, time: Date, reason: String)?

        mutating func add(_ event: JourneyEvent) {
            switch event.operation {
            case .connected, .secured, .protected, .authenticated, .resolved, .described, .checked, .judged: break
            case .exchanged(let value):
                guard !value.outbound, let path = JourneyPath(command: value.command), path.kind == .forward else { return }
                if value.reply.code >= 400 {
                    set(path.address, event, nil, .refused, "was refused by \(event.host) at RCPT: \(value.reply)")
                } else {
                    set(path.address, event, nil, .accepted, "was accepted by \(event.host) at RCPT; no evidence of more is here")
                }
            case .decided(let value):
                let recipients = value.recipient.map { [$0] } ?? order
                guard value.verdict != "accept" else {
                    for recipient in recipients {
                        set(recipient, event, nil, .accepted, "was accepted by \(event.host); its further way stands under other addresses")
                    }
                    return
                }
                let verb = value.verdict == "tempfail" ? "was refused for now" : "was refused"
                let reply = value.reply.map { ", told the client “\($0)”" } ?? ""
                for recipient in recipients { set(recipient, event, nil, .refused, "\(verb) by \(event.host): \(value.reason)\(reply)") }
            case .committed(let value):
                queues[Key(recipient: "", host: event.host, queueID: value.queueID)] = value.recipients
                for recipient in value.recipients {
                    set(recipient, event, value.queueID, .waiting, "waits at \(event.host) in the queue (\(value.queueID)) for its delivery")
                }
            case .routed(let value): note(value.recipient)
            case .attempted(let value): add(value, event)
            case .delivered(let value):
                let copy = value.isDuplicate ? " (it was there already; the repeated delivery changed nothing)" : ""
                set(
                    value.recipient, event, "mailbox", .delivered,
                    "is in the mailbox \(value.mailbox) of \(value.user) on \(event.host), UID \(value.uid) (UIDVALIDITY \(value.uidValidity))\(copy)")
            case .notified(let value): notices[JourneySearchKeys.normalise(value.recipient)] = value
            case .queued(let value): add(value, event)
            case .abandoned(let value): abandoned = (event.host, event.time, value.reason)
            }
        }

        private mutating func add(_ value: JourneyEvent.Attempted, _ event: JourneyEvent) {
            let target = [value.host ?? value.destination, value.address.map { "(\($0))" }].compactMap { $0 }.joined(separator: " ")
            switch value.result {
            case "delivered":
                // Deliberate: a hop within the house isn't an end; the next host's own evidence, where there is any, says more.
                let sentence = "was handed over to \(target), which answered “\(value.reply)”"
                set(value.recipient, event, value.queueID, .handedOver, sentence)
            case "deferred":
                let next = value.nextAttempt.map { " and will be tried again at \(JourneyTime($0).iso8601)" } ?? ""
                let speaker = value.isLocal ? "we found" : "\(target) said"
                set(
                    value.recipient, event, value.queueID, .waiting,
                    "waits at \(event.host)\(next), because \(speaker) “\(value.reply)” at attempt \(value.attempt)")
            default:
                let speaker = value.isLocal ? "we found" : "\(target) said"
                set(
                    value.recipient, event, value.queueID, .failed,
                    "was given up by \(event.host) at attempt \(value.attempt), because \(speaker) “\(value.reply)”")
            }
        }

        private mutating func add(_ value: JourneyEvent.Queued, _ event: JourneyEvent) {
            let recipients = queues[Key(recipient: "", host: event.host, queueID: value.queueID)] ?? order
            for recipient in recipients {
                let key = Key(recipient: JourneySearchKeys.normalise(recipient), host: event.host, queueID: value.queueID)
                // What has left the queue is no longer concerned.
                if let state = states[key]?.state, state != .waiting, state != .held { continue }
                switch value.action {
                case "held": set(recipient, event, value.queueID, .held, "is held at \(event.host): \(value.reason)")
                case "released", "retried":
                    set(recipient, event, value.queueID, .waiting, "waits at \(event.host) for its delivery, \(value.action): \(value.reason)")
                case "deleted": set(recipient, event, value.queueID, .deleted, "was deleted at \(event.host): \(value.reason)")
                default: set(recipient, event, value.queueID, .failed, "was given up by \(event.host) (\(value.action)): \(value.reason)")
                }
            }
        }

        @discardableResult
        private mutating func note(_ recipient: String) -> String {
            let key = JourneySearchKeys.normalise(recipient)
            if spelling[key] == nil {
                spelling[key] = recipient
                order.append(key)
            }
            return key
        }

        private mutating func set(
            _ recipient: String, _ event: JourneyEvent, _ queueID: String?, _ state: State, _ explanation: String
        ) {
            let key = Key(recipient: note(recipient), host: event.host, queueID: queueID)
            states[key] = JourneyOutcome(
                recipient: recipient, state: state, host: event.host, since: event.time, explanation: explanation)
        }

        var results: [JourneyOutcome] {
            let byRecipient = Dictionary(grouping: states, by: \.key.recipient)
            return order.map { key in
                let candidates = (byRecipient[key] ?? []).map(\.value)
                let best = candidates.max { first, second in
                    (first.state.weight, first.since ?? .distantPast) < (second.state.weight, second.since ?? .distantPast)
                }
                let name = spelling[key] ?? key
                var result =
                    best ?? JourneyOutcome(recipient: name, state: .unknown, host: nil, since: nil, explanation: "has left no evidence of its end")
                if result.state.weight <= State.accepted.weight, let abandoned {
                    result = JourneyOutcome(
                        recipient: name, state: .abandoned, host: abandoned.host, since: abandoned.time,
                        explanation: "was never taken over by \(abandoned.host): \(abandoned.reason)")
                }
                result.recipient = name
                if let notice = notices[key] {
                    let who = notice.notified.map { "\($0) was told (\(notice.kind))" } ?? "nobody was told (\(notice.kind): \(notice.reason))"
                    result.explanation += "; \(who)"
                }
                return result
            }
        }
    }
}
