public import FoundationEssentials
import MailMessage

/// How journey events are written as JSON.
///
/// Two forms, both read by ``decode(_:)``: the journey log holds times as seconds since 1970, exact and cheap to write; people and programs
/// that ask for JSON get ISO 8601 in UTC with milliseconds.
public enum JourneyCoding {
    /// The events of a step for the journey log, as JSON: an object with what they have in common (trace, host, role) and their array, or
    /// an array of whole events where they have not.
    public static func encode(_ events: [JourneyEvent]) -> [UInt8] {
        var writer = JSONWriter(reserving: 256 * (events.count + 1))
        // By index, so that none is copied.
        guard let first = events.first, events.indices.allSatisfy({ events[$0].isOfOneStep(with: first) }) else {
            writer.array { writer in
                for index in events.indices { events[index].write(into: &writer) }
            }
            return writer.octets
        }
        writer.object {
            $0.field("trace", first.trace.description)
            $0.field("host", first.host)
            $0.field("role", first.role)
            $0.array("events") { writer in
                for index in events.indices { events[index].write(into: &writer, isWhole: false) }
            }
        }
        return writer.octets
    }

    /// Reads the events of a step, in either form and with either form of times. What isn't an event that is known here (a newer Postern wrote
    /// it) is passed over.
    /// - Throws: `DecodingError` where it is no JSON array and no step.
    public static func decode(_ bytes: some Sequence<UInt8>) throws -> [JourneyEvent] {
        let data = Data(bytes)
        let isStep = data.first { $0 > 0x20 } == UInt8(ascii: "{")
        return isStep ? try decoder().decode(Step.self, from: data).whole : try decoder().decode([Tolerated].self, from: data).compactMap(\.event)
    }

    /// Events with what they have in common said once.
    private struct Step: Decodable {
        var trace: TraceID
        var host: String
        var role: String
        var events: [Part]

        /// An event without what the step says, or something that isn't one.
        struct Part: Decodable {
            var time: Date?
            var seconds: Double?
            var operation: JourneyEvent.Operation?

            private enum Key: CodingKey { case time, seconds, operation }

            init(from decoder: any Decoder) throws {
                let container = try? decoder.container(keyedBy: Key.self)
                time = try? container?.decode(Date.self, forKey: .time)
                seconds = try? container?.decodeIfPresent(Double.self, forKey: .seconds)
                operation = try? container?.decode(JourneyEvent.Operation.self, forKey: .operation)
            }
        }

        var whole: [JourneyEvent] {
            events.compactMap { part in
                guard let time = part.time, let operation = part.operation else { return nil }
                return JourneyEvent(trace: trace, time: time, host: host, role: role, seconds: part.seconds, operation: operation)
            }
        }
    }

    /// An event, or something that isn't one.
    private struct Tolerated: Decodable {
        var event: JourneyEvent?
        init(from decoder: any Decoder) throws { event = try? JourneyEvent(from: decoder) }
    }

    /// Events as a JSON array for people and programs.
    public static func encodeReadable(_ events: [JourneyEvent]) throws -> [UInt8] {
        [UInt8](try readableEncoder().encode(events))
    }

    /// Reads what ``encodeReadable(_:)`` wrote.
    public static func decodeAll(_ bytes: some Sequence<UInt8>) throws -> [JourneyEvent] {
        try decoder().decode([JourneyEvent].self, from: Data(bytes))
    }

    /// An encoder with the readable form of times, for values that hold events.
    public static func readableEncoder() -> JSONEncoder {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
        encoder.dateEncodingStrategy = .custom { date, encoder in
            var container = encoder.singleValueContainer()
            try container.encode(JourneyTime(date).iso8601)
        }
        return encoder
    }

    private static func decoder() -> JSONDecoder {
        let decoder = JSONDecoder()
        decoder.dateDecodingStrategy = .custom { decoder in
            let container = try decoder.singleValueContainer()
            if let seconds = try? container.decode(Double.self) { return Date(timeIntervalSince1970: seconds) }
            let text = try container.decode(String.self)
            guard let date = JourneyTime.parse(text) else {
                throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a time in ISO 8601: \(text)")
            }
            return date
        }
        return decoder
    }
}

extension JourneyEvent {
    /// Whether two events have trace, host and role in common.
    fileprivate func isOfOneStep(with other: JourneyEvent) -> Bool { trace == other.trace && host == other.host && role == other.role }
}

/// A time in UTC, in the forms in which journeys show it.
public struct JourneyTime: Sendable, Hashable {
    /// `2026-11-23`.
    public let day: String
    /// `21:13:05.123`.
    public let clock: String

    /// Takes a date; one that no calendar of four digits has is shown at its border.
    public init(_ date: Date) {
        // 0000-01-01 and 9999-12-31T23:59:59.999.
        let seconds = min(max(date.timeIntervalSince1970, -62_167_219_200), 253_402_300_799.999)
        let milliseconds = Int((seconds * 1000).rounded())
        let (days, inDay) = milliseconds.flooredDivision(by: 86_400_000)
        let (year, month, dayOfMonth) = Self.civil(daysSince1970: days)
        day = "\(Self.digits(year, 4))-\(Self.digits(month, 2))-\(Self.digits(dayOfMonth, 2))"
        let (hour, minute, second) = (inDay / 3_600_000, inDay / 60_000 % 60, inDay / 1000 % 60)
        clock = "\(Self.digits(hour, 2)):\(Self.digits(minute, 2)):\(Self.digits(second, 2)).\(Self.digits(inDay % 1000, 3))"
    }

    /// `2026-11-23T21:13:05.123Z`.
    public var iso8601: String { "\(day)T\(clock)Z" }

    /// Reads ISO 8601: a day, or a day with a time (seconds and their fraction may be missing), in UTC or with an offset.
    ///
    /// `2026-11-23`, `2026-11-23T21:13`, `2026-11-23 21:13:05`, `2026-11-23T21:13:05.123456Z`, `2026-11-23T22:13:05+01:00`.
    public static func parse(_ text: String) -> Date? {
        var rest = Array(text.utf8)[...]
        func number(_ count: Int) -> Int? {
            guard rest.count >= count else { return nil }
            var value = 0
            for digit in rest.prefix(count) {
                guard (0x30...0x39).contains(digit) else { return nil }
                value = value * 10 + Int(digit - 0x30)
            }
            rest = rest.dropFirst(count)
            return value
        }
        func take(_ characters: String) -> Bool {
            guard let first = rest.first, characters.utf8.contains(first) else { return false }
            rest = rest.dropFirst()
            return true
        }
        guard text.utf8.count <= 40, let year = number(4), take("-"), let month = number(2), take("-"), let day = number(2),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        let days = daysSince1970(year: year, month: month, day: day)
        guard civil(daysSince1970: days) == (year, month, day) else { return nil }
        var seconds = Double(days) * 86_400
        if rest.isEmpty { return Date(timeIntervalSince1970: seconds) }
        guard take("T ") else { return nil }
        guard let hour = number(2), take(":"), let minute = number(2), hour < 24, minute < 60 else { return nil }
        seconds += Double(hour * 3600 + minute * 60)
        if take(":") {
            guard let second = number(2), second <= 60 else { return nil }
            seconds += Double(second)
            if take(".") {
                var scale = 0.1
                var count = 0
                while let digit = number(1) {
                    seconds += Double(digit) * scale
                    scale /= 10
                    count += 1
                }
                if count == 0 { return nil }
            }
        }
        if let sign = rest.first, sign == UInt8(ascii: "+") || sign == UInt8(ascii: "-") {
            rest = rest.dropFirst()
            guard let hours = number(2), take(":"), let minutes = number(2), hours < 24, minutes < 60 else { return nil }
            let offset = Double(hours * 3600 + minutes * 60)
            seconds += sign == UInt8(ascii: "+") ? -offset : offset
        } else if !rest.isEmpty {
            guard take("Zz") else { return nil }
        }
        return rest.isEmpty ? Date(timeIntervalSince1970: seconds) : nil
    }

    private static func digits(_ value: Int, _ count: Int) -> String {
        let text = String(value)
        return String(repeating: "0", count: max(0, count - text.count)) + text
    }

    /// The proleptic Gregorian calendar's day, counted in eras of 400 years that begin in March, so that leap days come last.
    private static func civil(daysSince1970 days: Int) -> (year: Int, month: Int, day: Int) {
        let (era, dayOfEra) = (days + 719_468).flooredDivision(by: 146_097)
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let shifted = (5 * dayOfYear + 2) / 153
        let month = shifted < 10 ? shifted + 3 : shifted - 9
        return (yearOfEra + era * 400 + (month <= 2 ? 1 : 0), month, dayOfYear - (153 * shifted + 2) / 5 + 1)
    }

    private static func daysSince1970(year: Int, month: Int, day: Int) -> Int {
        let (era, yearOfEra) = (month <= 2 ? year - 1 : year).flooredDivision(by: 400)
        let dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1
        return era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }
}

extension Int {
    fileprivate func flooredDivision(by divisor: Int) -> (quotient: Int, remainder: Int) {
        let (quotient, remainder) = quotientAndRemainder(dividingBy: divisor)
        return remainder < 0 ? (quotient - 1, remainder + divisor) : (quotient, remainder)
    }
}
