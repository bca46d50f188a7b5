import Synchronization

/// The labels that an instrument's values are told apart by: a closed list, never something that a peer said.
public protocol MetricLabel: CaseIterable, RawRepresentable, Sendable where RawValue == Int {
    /// Names and values, as they stand in braces.
    var labels: [(name: String, value: String)] { get }
}

/// Something that is written into the exposition.
public protocol Instrument: Sendable {
    /// As Prometheus names it: `postern_…`, with the unit, counters ending in `_total`.
    var name: String { get }
    /// One sentence.
    var help: String { get }
    /// `counter`, `gauge` or `histogram`.
    var kind: String { get }
    /// Writes all values.
    func write(into exposition: inout Exposition)
}

/// A number that many threads change.
private final class Cell: Sendable {
    let value = Atomic<Int>(0)
}

/// Events, or something that comes and goes, for each label. Counting takes one instruction and no lock.
public final class Count<Label: MetricLabel>: Instrument {
    public let name: String
    public let help: String
    public let kind: String
    private let cells: [Cell]

    init(_ name: String, isGauge: Bool = false, _ help: String) {
        self.name = name
        self.help = help
        kind = isGauge ? "gauge" : "counter"
        cells = Label.allCases.map { _ in Cell() }
    }

    /// Counts.
    public func add(_ label: Label, _ count: Int = 1) {
        guard cells.indices.contains(label.rawValue) else { return }
        cells[label.rawValue].value.add(count, ordering: .relaxed)
    }

    /// Puts another value in place of the present one: of a gauge.
    public func set(_ label: Label, _ count: Int) {
        guard cells.indices.contains(label.rawValue) else { return }
        cells[label.rawValue].value.store(count, ordering: .relaxed)
    }

    /// What was counted.
    public func value(_ label: Label) -> Int { cells.indices.contains(label.rawValue) ? cells[label.rawValue].value.load(ordering: .relaxed) : 0 }

    public func write(into exposition: inout Exposition) {
        for label in Label.allCases { exposition.line(name, label.labels, Double(value(label))) }
    }
}

/// How long things took, or how large they were, in buckets.
public final class Histogram: Instrument {
    public let name: String
    public let help: String
    public let kind = "histogram"
    private let bounds: [Double]
    private let cells: [Cell]
    private let sum = Atomic<Int>(0)
    /// The sum is kept in parts of the unit, so that it can be an integer.
    private let scale: Double

    /// Seconds, from what memory answers to what somebody waits for in vain.
    static let seconds = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300]
    static let jobs: [Double] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512]

    init(_ name: String, bounds: [Double] = Histogram.seconds, scale: Double = 1e6, _ help: String) {
        self.name = name
        self.help = help
        self.bounds = bounds
        self.scale = scale
        cells = (0...bounds.count).map { _ in Cell() }
    }

    /// Counts one value.
    public func observe(_ value: Double) {
        let place = bounds.firstIndex { value <= $0 } ?? bounds.count
        cells[place].value.add(1, ordering: .relaxed)
        sum.add(Int(max(0, min(value, 1e9)) * scale), ordering: .relaxed)
    }

    /// Counts a duration, in seconds.
    public func observe(_ duration: Duration) {
        let (seconds, attoseconds) = duration.components
        observe(Double(seconds) + Double(attoseconds) * 1e-18)
    }

    /// How many values were counted.
    public var count: Int { cells.reduce(0) { $0 + $1.value.load(ordering: .relaxed) } }

    public func write(into exposition: inout Exposition) {
        var total = 0
        for (bound, cell) in zip(bounds, cells) {
            total += cell.value.load(ordering: .relaxed)
            exposition.line("\(name)_bucket", [("le", Exposition.text(bound))], Double(total))
        }
        total += cells.last?.value.load(ordering: .relaxed) ?? 0
        exposition.line("\(name)_bucket", [("le", "+Inf")], Double(total))
        exposition.line("\(name)_sum", [], Double(sum.load(ordering: .relaxed)) / scale)
        exposition.line("\(name)_count", [], Double(total))
    }
}

/// A value that is asked for when somebody wants to know it.
public struct Reading: Instrument {
    public let name: String
    public let help: String
    public let kind: String

    init(_ name: String, isCounter: Bool = false, _ help: String) {
        self.name = name
        self.help = help
        kind = isCounter ? "counter" : "gauge"
    }

    /// Nothing is kept here: who knows the value writes it by ``Exposition/reading(_:_:_:)``.
    public func write(into exposition: inout Exposition) {}
}

/// Metrics as text (Prometheus exposition format 0.0.4).
public struct Exposition: Sendable {
    /// What `Content-Type` says.
    public static let contentType = "text/plain; version=0.0.4; charset=utf-8"
    /// What was written.
    public private(set) var text = ""

    public init() {}

    /// Writes an instrument with all its values.
    public mutating func add(_ instrument: any Instrument) {
        head(instrument)
        instrument.write(into: &self)
    }

    /// Writes a reading with its values; without any it is left out.
    public mutating func reading(_ reading: Reading, _ values: [(labels: [(name: String, value: String)], value: Double)]) {
        guard !values.isEmpty else { return }
        head(reading)
        for value in values { line(reading.name, value.labels, value.value) }
    }

    /// Writes a reading with one value.
    public mutating func reading(_ reading: Reading, _ value: Double?) {
        self.reading(reading, value.map { [([], $0)] } ?? [])
    }

    private mutating func head(_ instrument: any Instrument) {
        text += "# HELP \(instrument.name) \(instrument.help)\n# TYPE \(instrument.name) \(instrument.kind)\n"
    }

    mutating func line(_ name: String, _ labels: [(name: String, value: String)], _ value: Double) {
        text += name
        if !labels.isEmpty { text += "{" + labels.map { "\($0.name)=\"\(Self.escaped($0.value))\"" }.joined(separator: ",") + "}" }
        text += " \(Self.text(value))\n"
    }

    private static func escaped(_ value: String) -> String {
        var result = ""
        for character in value.unicodeScalars {
            switch character {
            case "\\": result += "\\\\"
            case "\"": result += "\\\""
            case "\n": result += "\\n"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    static func text(_ value: Double) -> String {
        value.rounded() == value && abs(value) < 1e15 ? "\(Int(value))" : "\(value)"
    }
}
