import FoundationEssentials
import Journeys
import MailMessage
import MailStore

/// Turns what happened on this host into records of its journey log.
struct JourneyRecorder: Sendable {
    let host: String
    let log: any JourneyLog
    /// Whether anything is kept (`journeys.enabled`).
    var isEnabled = true

    /// One event of a trace as a record.
    func record(_ operation: JourneyEvent.Operation, trace: TraceID, role: Configuration.Role, at time: Date, seconds: Double? = nil) -> JourneyRecord {
        let event = JourneyEvent(trace: trace, time: time, host: host, role: role.rawValue, seconds: seconds, operation: operation)
        return record(event)
    }

    /// An event as a record.
    func record(_ event: JourneyEvent) -> JourneyRecord {
        guard isEnabled else {
            return JourneyRecord(trace: event.trace, time: event.time, host: host, kind: event.operation.kind, payload: [], keys: [])
        }
        return JourneyRecord(
            trace: event.trace, time: event.time, host: host, kind: event.operation.kind, payload: encode(event),
            keys: JourneySearchKeys.keys(of: event))
    }

    /// The records that go to the log: all, or none where journeys are off.
    func kept(_ records: [JourneyRecord]) -> [JourneyRecord] { isEnabled ? records : [] }

    /// Only a duration that is no number can't be written: then the event is kept without it.
    private func encode(_ event: JourneyEvent) -> [UInt8] {
        if let payload = try? JourneyCoding.encode(event) { return payload }
        var event = event
        event.seconds = nil
        return (try? JourneyCoding.encode(event)) ?? []
    }
}

extension Duration {
    /// The duration in seconds, for journeys and logs.
    var seconds: Double {
        let parts = components
        return Double(parts.seconds) + Double(parts.attoseconds) / 1e18
    }
}
