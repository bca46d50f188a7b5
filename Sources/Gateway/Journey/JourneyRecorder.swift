import FoundationEssentials
public import Journeys
import MailMessage
public import MailStore

/// Turns what happened on this host into records of its journey log.
struct JourneyRecorder: Sendable {
    let host: String
    let log: any JourneyLog
    /// Whether anything is kept (`journeys.enabled`).
    var isEnabled = true

    /// One event.
    func event(_ operation: JourneyEvent.Operation, trace: TraceID, role: Configuration.Role, at time: Date, seconds: Double? = nil) -> JourneyEvent {
        JourneyEvent(trace: trace, time: time, host: host, role: role.rawValue, seconds: seconds, operation: operation)
    }

    /// The events of a step as records, one for each trace.
    func records(_ events: [JourneyEvent]) -> [JourneyRecord] {
        guard isEnabled, let first = events.first else { return [] }
        if events.indices.allSatisfy({ events[$0].trace == first.trace }) { return [JourneyRecord(events: events, first: first)] }
        var order: [TraceID] = []
        for event in events where !order.contains(event.trace) { order.append(event.trace) }
        return order.flatMap { trace in records(events.filter { $0.trace == trace }) }
    }
}

extension JourneyRecord {
    /// The events of one step, which belong to one trace and one host.
    fileprivate init(events: [JourneyEvent], first: JourneyEvent) {
        self.init(
            trace: first.trace, time: first.time, host: first.host, payload: JourneyCoding.encode(events),
            keys: JourneySearchKeys.keys(of: events))
    }

    /// A single event as a record of its host.
    public init(_ event: JourneyEvent) { self.init(events: [event], first: event) }
}

extension Duration {
    /// The duration in seconds, for journeys and logs.
    var seconds: Double {
        let parts = components
        return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
    }
}
