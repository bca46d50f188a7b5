import FoundationEssentials
import Journeys
import Logging
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Writes each log message as one line to standard error: text for people, or a JSON object for programs.
///
/// Strangers say what stands in many lines. In neither form can they begin a line of their own, or move a terminal's cursor.
struct HouseLogHandler: LogHandler {
    private static let levelInForce = Mutex(Logger.Level.info)

    /// The level of all loggers; a reload may change it.
    static var commonLevel: Logger.Level {
        get { levelInForce.withLock { $0 } }
        set { levelInForce.withLock { $0 = newValue } }
    }

    let label: String
    let isJSON: Bool
    var metadata: Logger.Metadata = [:]
    var metadataProvider: Logger.MetadataProvider?
    private var ownLevel: Logger.Level?

    init(label: String, isJSON: Bool) {
        self.label = label
        self.isJSON = isJSON
    }

    /// The common one, unless somebody gave this logger its own.
    var logLevel: Logger.Level {
        get { ownLevel ?? Self.commonLevel }
        set { ownLevel = newValue }
    }

    subscript(metadataKey key: String) -> Logger.Metadata.Value? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    func log(event: LogEvent) {
        let merged = metadata.merging(metadataProvider?.get() ?? [:]) { $1 }.merging(event.metadata ?? [:]) { $1 }
        let line = LogLine(
            time: JourneyTime(Date()).iso8601, level: event.level.rawValue, label: label, message: event.message.description,
            metadata: merged.mapValues { $0.description })
        // One call for one line, so that lines of several threads don't mix.
        Terminal.write((isJSON ? line.json : Array(line.text.utf8)) + [0x0A], to: STDERR_FILENO)
    }
}

/// What a log line says.
struct LogLine: Encodable {
    var time: String
    var level: String
    var label: String
    var message: String
    var metadata: [String: String]

    var json: [UInt8] {
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
        return (try? encoder.encode(self)).map(Array.init) ?? []
    }

    /// `2026-11-24T09:00:00.000Z info postern: message committed trace=… queue.id=12`; values with blanks stand in quotes.
    var text: String {
        // The trace comes first: it is what one looks for.
        let keys = metadata.keys.filter { $0 == "trace" } + metadata.keys.filter { $0 != "trace" }.sorted()
        let fields = keys.map { "\(Self.escaped($0))=\(Self.quoted(metadata[$0] ?? ""))" }
        return (["\(time) \(level) \(label): \(Self.escaped(message))"] + fields).joined(separator: " ")
    }

    private static func quoted(_ value: String) -> String {
        let escaped = escaped(value)
        let isPlain = !escaped.isEmpty && escaped == value && !value.unicodeScalars.contains { $0 == " " || $0 == "\"" || $0 == "=" }
        return isPlain ? value : "\"\(escaped.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\\\""))\""
    }

    /// Control characters, and those that turn the direction of writing, as `\u{…}`; a backslash doubled.
    private static func escaped(_ text: String) -> String {
        guard text.unicodeScalars.contains(where: isDangerous) else { return text }
        var result = ""
        for scalar in text.unicodeScalars {
            if scalar == "\\" {
                result += "\\\\"
            } else if isDangerous(scalar) {
                result += "\\u{\(String(scalar.value, radix: 16))}"
            } else {
                result.unicodeScalars.append(scalar)
            }
        }
        return result
    }

    private static func isDangerous(_ scalar: Unicode.Scalar) -> Bool {
        switch scalar.properties.generalCategory {
        case .control, .format, .lineSeparator, .paragraphSeparator: true
        default: scalar == "\\"
        }
    }
}
