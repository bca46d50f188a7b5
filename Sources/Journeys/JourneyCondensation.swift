import SMTP

/// Shortens what a story would repeat: the pieces of a message (RFC 3030) that were taken one like the other become one line. The events
/// themselves stay; JSON has them all.
enum JourneyCondensation {
    static func condense(_ events: [JourneyEvent]) -> [JourneyEvent] {
        var condensed: [JourneyEvent] = []
        var run = Run()
        for event in events {
            if run.takes(event) { continue }
            condensed += run.end()
            if !run.takes(event) { condensed.append(event) }
        }
        return condensed + run.end()
    }

    /// Pieces of one message on one connection, taken one after the other.
    private struct Run {
        private var events: [JourneyEvent] = []
        private var octets = 0

        /// Whether the event is one more piece; then it is kept here.
        mutating func takes(_ event: JourneyEvent) -> Bool {
            guard case .exchanged(let value) = event.operation, value.reply.code == 250,
                let size = Self.size(of: value.command)
            else { return false }
            if case .exchanged(let first)? = events.first?.operation {
                guard first.peer == value.peer, first.outbound == value.outbound else { return false }
            }
            events.append(event)
            octets += size
            return true
        }

        mutating func end() -> [JourneyEvent] {
            defer { self = Run() }
            guard events.count > 2, var event = events.first, case .exchanged(var value)? = events.last?.operation else { return events }
            value.command = "BDAT, \(events.count) times, \(JourneyText.size(octets)) together"
            event.operation = .exchanged(value)
            event.seconds = events.compactMap(\.seconds).reduce(0, +)
            return [event]
        }

        /// The octets of a piece that isn't the last one.
        private static func size(of command: String) -> Int? {
            let words = command.split(separator: " ")
            return words.count == 2 && words[0] == "BDAT" ? Int(words[1]) : nil
        }
    }
}
