import FoundationEssentials
public import MailMessage
import SMTP

/// A message's journey as a story for people: who wrote to whom, what each host did, and where the message is now.
///
/// Text that came from peers or from the message can't do anything to the terminal that shows it: controls are made visible, and every
/// piece has a limit. Times are UTC.
public struct JourneyStory: Sendable {
    /// How a story is written.
    public struct Style: Sendable, Hashable {
        /// Colours by ANSI sequences, for terminals.
        public var isColoured: Bool
        /// Hides local parts of addresses, subject and Message-ID, so that a story can be shown to others.
        public var isRedacted: Bool
        /// Makes a style.
        public init(isColoured: Bool = false, isRedacted: Bool = false) {
            self.isColoured = isColoured
            self.isRedacted = isRedacted
        }
    }

    /// More events are not told one by one.
    static let eventLimit = 5000

    /// The journey's identity; `nil` where there are no events.
    public let trace: TraceID?
    /// All events by time.
    public let events: [JourneyEvent]
    /// Where the message is for each recipient.
    public let outcomes: [JourneyOutcome]
    private let style: Style

    /// Takes the events of one trace, in any order and from any number of hosts.
    public init(events: [JourneyEvent], style: Style = Style()) {
        // A stable order: events of one instant stay as they were given.
        self.events = events.enumerated().sorted { ($0.element.time, $0.offset) < ($1.element.time, $1.offset) }.map(\.element)
        self.style = style
        trace = self.events.first?.trace
        outcomes = JourneyOutcome.outcomes(of: self.events)
    }

    /// One piece of foreign text, made fit for a terminal as the story does it.
    public static func harmless(_ text: String) -> String { JourneyText.neutralise(text) }

    /// The whole story, ended by a line break.
    public var text: String {
        guard let first = events.first, let last = events.last else { return "There is no evidence of this journey.\n" }
        var lines = header(first: first, last: last)
        for section in sections {
            lines.append("")
            lines.append(paint("\(clean(section.host)) (\(clean(section.role)))", .bold))
            for event in section.events {
                for (index, line) in JourneySentence(event.operation).lines.enumerated() {
                    let clock = index == 0 ? JourneyTime(event.time).clock : String(repeating: " ", count: 12)
                    let label = JourneyText.pad(index == 0 ? JourneySentence.label(of: event.operation) : "", to: 8)
                    let duration = index == 0 ? event.seconds.map { paint("  (\(JourneyText.duration($0)))", .faint) } ?? "" : ""
                    lines.append("  \(paint(clock, .faint))  \(paint(label, colour(of: event.operation)))  \(clean(line))\(duration)")
                }
            }
        }
        if events.count > Self.eventLimit { lines.append("\n  … and \(events.count - Self.eventLimit) more events; --json has them all") }
        lines.append("")
        lines += outcomes.map { outcome in
            paint("\(clean(outcome.recipient)): the message \(clean(outcome.explanation, limit: 1200)).", colour(of: outcome.state))
        }
        if outcomes.isEmpty { lines.append(ending) }
        return lines.joined(separator: "\n") + "\n"
    }

    /// A line for a list of journeys: time, identity, sender, recipients, outcome.
    public var summary: String {
        let time = events.first.map { JourneyTime($0.time) }
        let ends = outcomes.prefix(3).map { "\(clean($0.recipient, limit: 80)) \($0.state.rawValue)" }.joined(separator: ", ")
        let more = outcomes.count > 3 ? " and \(outcomes.count - 3) more" : ""
        return "\(time.map { "\($0.day) \($0.clock)" } ?? "")  \(trace?.description ?? "")  \(clean(sender ?? "?", limit: 80)) → \(ends)\(more)"
    }

    /// The envelope's sender, `<>` for notifications; the From field's where no MAIL command is known.
    public var sender: String? {
        var from: String?
        for event in events {
            switch event.operation {
            case .exchanged(let value):
                if let path = JourneyPath(command: value.command), path.kind == .reverse {
                    return path.address.isEmpty ? "<>" : path.address
                }
            case .described(let value): from = from ?? value.from
            default: break
            }
        }
        return from
    }

    private var description: JourneyEvent.Described? {
        for case .described(let value) in events.map(\.operation) { return value }
        return nil
    }

    private func header(first: JourneyEvent, last: JourneyEvent) -> [String] {
        var lines = [paint("Journey \(first.trace)", .bold)]
        func add(_ name: String, _ value: String) { lines.append("  \(JourneyText.pad(name, to: 12))\(value)") }
        add("From", clean(sender ?? "unknown"))
        if let from = description?.from, from != sender { add("", "written as \(clean(from))") }
        for (index, outcome) in outcomes.prefix(20).enumerated() { add(index == 0 ? "To" : "", clean(outcome.recipient)) }
        if outcomes.count > 20 { add("", "and \(outcomes.count - 20) more") }
        if let description {
            if let subject = description.subject { add("Subject", style.isRedacted ? "(hidden)" : clean(subject)) }
            if let identity = description.messageID { add("Message-ID", style.isRedacted ? "(hidden)" : clean(identity)) }
            add("Size", "\(JourneyText.size(description.byteCount)), SHA-256 \(clean(description.sha256))")
        }
        let begin = JourneyTime(first.time)
        let hosts = Set(events.map(\.host)).count
        let took = JourneyText.duration(last.time.timeIntervalSince(first.time))
        add("When", "\(begin.day) \(begin.clock) UTC, \(took) on \(hosts) host\(hosts == 1 ? "" : "s")")
        for (index, outcome) in outcomes.prefix(20).enumerated() {
            let state = paint(outcome.state.words, colour(of: outcome.state))
            add(index == 0 ? "Outcome" : "", "\(clean(outcome.recipient)): \(state)")
        }
        return lines
    }

    /// The hosts in the order in which the message came to them, each with its events.
    private var sections: [(host: String, role: String, events: [JourneyEvent])] {
        struct Place: Hashable {
            var host: String
            var role: String
        }
        var order: [Place] = []
        var byPlace: [Place: [JourneyEvent]] = [:]
        for event in events.prefix(Self.eventLimit) {
            let place = Place(host: event.host, role: event.role)
            // A connection that was kept open is older than the message.
            if !event.operation.isOfConnection, !order.contains(place) { order.append(place) }
            byPlace[place, default: []].append(event)
        }
        order += byPlace.keys.filter { !order.contains($0) }.sorted { ($0.host, $0.role) < ($1.host, $1.role) }
        return order.map { ($0.host, $0.role, JourneyCondensation.condense(byPlace[$0] ?? [])) }
    }

    /// What is said where nobody was named as recipient.
    private var ending: String {
        for event in events.reversed() {
            switch event.operation {
            case .abandoned(let value): return "The client left before there was a message: \(clean(value.reason))."
            case .authenticated(let value) where !value.succeeded: return "The login as \(clean(value.user)) failed; no message came."
            default: continue
            }
        }
        return "No recipient was named; no message came."
    }

    private func clean(_ text: String, limit: Int = JourneyText.limit) -> String {
        JourneyText.neutralise(style.isRedacted ? JourneyText.redact(text) : text, limit: limit)
    }

    private enum Paint: String {
        case bold = "1"
        case faint = "2"
        case red = "31"
        case green = "32"
        case yellow = "33"
        case cyan = "36"
    }

    private func paint(_ text: String, _ paint: Paint) -> String {
        style.isColoured ? "\u{1B}[\(paint.rawValue)m\(text)\u{1B}[0m" : text
    }

    private func colour(of state: JourneyOutcome.State) -> Paint {
        switch state {
        case .delivered, .handedOver: .green
        case .refused, .failed, .deleted, .abandoned: .red
        case .waiting, .held, .unknown, .accepted: .yellow
        }
    }

    private func colour(of operation: JourneyEvent.Operation) -> Paint {
        switch operation {
        case .committed, .delivered: .green
        case .abandoned: .red
        case .attempted(let value): value.result == "delivered" ? .green : value.result == "deferred" ? .yellow : .red
        case .decided(let value): value.verdict == "accept" ? .green : .red
        case .authenticated(let value): value.succeeded ? .green : .red
        case .exchanged(let value): value.reply.code >= 400 ? .red : .cyan
        case .resolved(let value): value.security == "bogus" ? .red : .cyan
        case .notified, .queued: .yellow
        case .protected(let value): value.verdict == "proceed" ? value.encrypted ? .green : .yellow : .red
        case .connected, .secured, .described, .checked, .judged, .routed: .cyan
        }
    }
}

extension JourneyEvent.Operation {
    /// It says how the connection came about, not what happened to the message.
    fileprivate var isOfConnection: Bool {
        switch self {
        case .connected, .secured, .authenticated: true
        default: false
        }
    }
}

extension JourneyOutcome.State {
    /// The state in a few words.
    var words: String {
        switch self {
        case .unknown: "unknown"
        case .abandoned: "not taken over"
        case .accepted: "accepted"
        case .refused: "refused"
        case .handedOver: "handed over"
        case .waiting: "waits in a queue"
        case .held: "held"
        case .failed: "given up"
        case .deleted: "deleted"
        case .delivered: "in a mailbox"
        }
    }
}
