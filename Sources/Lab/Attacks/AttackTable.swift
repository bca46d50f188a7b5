/// Attacks with their outcomes, for people.
public struct AttackTable: Sendable, CustomStringConvertible {
    private let results: [AttackResult]

    public init(_ results: [AttackResult]) { self.results = results }

    public var description: String {
        let header = ["attack", "means", "the message", "the attacker saw", "verdict"]
        let rows = results.map { result in
            [
                result.attack.rawValue, result.means.rawValue, result.outcome.isEmpty ? "-" : result.outcome,
                result.attackerSaw.isEmpty ? "-" : result.attackerSaw, result.isRight ? "as it should be" : "WRONG",
            ]
        }
        let widths = header.indices.map { column in ([header] + rows).map { $0[column].count }.max() ?? 0 }
        func line(_ cells: [String]) -> String {
            var text = ""
            for (cell, width) in zip(cells, widths) { text += cell + String(repeating: " ", count: width - cell.count + 2) }
            return String(text.reversed().drop { $0 == " " }.reversed())
        }
        var lines = [line(header), line(widths.map { String(repeating: "-", count: $0) })] + rows.map(line)
        for result in results where !result.isRight { lines.append("WRONG: \(result.name): \(result.fault ?? "no reason")") }
        lines.append("\(results.count(where: \.isRight)) of \(results.count) are as they should be")
        return lines.joined(separator: "\n")
    }
}
