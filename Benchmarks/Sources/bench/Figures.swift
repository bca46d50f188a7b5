import Foundation

/// Several measurements of one thing.
struct Samples: Sendable {
    var values: [Double] = []

    var median: Double {
        let sorted = values.sorted()
        guard !sorted.isEmpty else { return .nan }
        let middle = sorted.count / 2
        return sorted.count % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
    }

    /// How far the measurements lie apart, in per cent of the median.
    var spread: Double {
        guard let low = values.min(), let high = values.max(), median != 0 else { return 0 }
        return (high - low) / median * 100
    }
}

/// Everything that was measured: flat keys, in the order in which they came.
final class Figures {
    private(set) var keys: [String] = []
    private var values: [String: Value] = [:]

    enum Value {
        case number(Double)
        case text(String)
    }

    subscript(key: String) -> Double? {
        get { if case .number(let number)? = values[key] { number } else { nil } }
        set { set(key, newValue.map { .number($0) }) }
    }

    func set(_ key: String, _ value: Value?) {
        if values[key] == nil { keys.append(key) }
        values[key] = value
    }

    func note(_ key: String, _ text: String) { set(key, .text(text)) }

    /// Writes them as one JSON object. Keys of an earlier run stay where this one measured something else (`ONLY=`).
    func write(to path: String) throws {
        var object: [String: Any] = [:]
        if let old = FileManager.default.contents(atPath: path), let read = try? JSONSerialization.jsonObject(with: old) as? [String: Any] { object = read }
        for (key, value) in values {
            switch value {
            case .number(let number): object[key] = number.isFinite ? Self.rounded(number) : nil
            case .text(let text): object[key] = text
            }
        }
        let data = try JSONSerialization.data(withJSONObject: object, options: [.prettyPrinted, .sortedKeys])
        try (data + Data("\n".utf8)).write(to: URL(fileURLWithPath: path))
    }

    /// Four digits that mean something are enough.
    private static func rounded(_ number: Double) -> Double {
        guard number != 0 else { return 0 }
        let scale = pow(10, 3 - floor(log10(abs(number))))
        return abs(number) >= 1000 ? number.rounded() : (number * scale).rounded() / scale
    }
}

/// Text in columns.
struct Table {
    private var rows: [[String]]
    init(_ heads: [String]) { rows = [heads] }
    mutating func add(_ cells: [String]) { rows.append(cells) }

    /// The first column is flush left, the others right.
    var text: String {
        let widths = (0..<(rows.map(\.count).max() ?? 0)).map { column in rows.map { $0.count > column ? $0[column].count : 0 }.max() ?? 0 }
        var lines: [String] = []
        for row in rows {
            let cells = row.enumerated().map { index, cell in
                let blanks = String(repeating: " ", count: max(0, widths[index] - cell.count))
                return index == 0 ? cell + blanks : blanks + cell
            }
            lines.append("  " + cells.joined(separator: "  "))
            if lines.count == 1 { lines.append("  " + String(repeating: "─", count: widths.reduce(0, +) + 2 * (widths.count - 1))) }
        }
        return lines.joined(separator: "\n")
    }
}

/// A number for people: no digits that mean nothing.
func show(_ number: Double, _ unit: String = "") -> String {
    let text: String
    switch abs(number) {
    case _ where !number.isFinite: text = "–"
    case 10_000...: text = "\(Int(number / 100) * 100)"
    case 100...: text = "\(Int(number.rounded()))"
    case 10...: text = String(format: "%.1f", number)
    default: text = String(format: "%.2f", number)
    }
    return unit.isEmpty ? text : "\(text) \(unit)"
}

/// Prints a line at once, also into a pipe.
func say(_ text: String) { FileHandle.standardOutput.write(Data("\(text)\n".utf8)) }
