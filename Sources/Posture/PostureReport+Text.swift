import DNS

extension PostureReport {
    /// The report for people: what is good in a line each, problems with what shows them and what to do.
    /// - Parameter isVerbose: whether evidence is told of everything.
    public func text(isVerbose: Bool = false) -> String {
        var lines = [headline]
        for topic in PostureTopic.allCases {
            let found = findings.filter { $0.code.topic == topic }
            guard !found.isEmpty else { continue }
            lines += ["", topic.title]
            for finding in found.sorted(by: { $0.severity > $1.severity }) { lines += Self.lines(finding, isVerbose: isVerbose) }
        }
        return lines.joined(separator: "\n")
    }

    private var headline: String {
        func some(_ severity: PostureSeverity, _ one: String, _ more: String) -> String? {
            let count = count(of: severity)
            return count == 0 ? nil : "\(count) \(count == 1 ? one : more)"
        }
        let parts = [
            some(.error, "error", "errors"), some(.warning, "warning", "warnings"), some(.unknown, "thing not looked at", "things not looked at"),
        ].compactMap { $0 }
        let verdict = parts.isEmpty ? "all good" : (result == .good ? "nothing wrong, " : "") + parts.joined(separator: ", ")
        return "\(domain.ascii): \(verdict)"
    }

    private static func lines(_ finding: PostureFinding, isVerbose: Bool) -> [String] {
        let mark =
            switch finding.severity {
            case .good: "ok"
            case .info: "info"
            case .unknown: "?"
            case .warning: "WARNING"
            case .error: "ERROR"
            }
        let indent = String(repeating: " ", count: 11)
        var lines = ["  \(mark)\(String(repeating: " ", count: 9 - mark.count))\(finding.subject) \(finding.text)"]
        let isProblem = finding.severity >= .warning
        if isVerbose || isProblem {
            for evidence in finding.evidence.prefix(isVerbose ? PostureFinding.evidenceLimit : 6) {
                lines += ["\(indent)\(shortened(evidence.question, isVerbose)): \(shortened(evidence.answer, isVerbose))"]
            }
        }
        // What nobody looked at has one reason for all of it; it needs no line each.
        if !finding.advice.isEmpty, isVerbose || isProblem || finding.severity == .unknown { lines.append("\(indent)→ \(finding.advice)") }
        if isVerbose || isProblem { lines.append("\(indent)\(finding.code.rawValue), \(finding.reference)") }
        return lines
    }

    /// A line's worth of what somebody else said, without what could move the cursor.
    private static func shortened(_ text: String, _ isVerbose: Bool) -> String {
        let safe = String(text.unicodeScalars.map { $0.value < 0x20 || $0.value == 0x7F || (0x80...0x9F).contains($0.value) ? "?" : Character($0) })
        return isVerbose || safe.count <= 150 ? safe : String(safe.prefix(149)) + "…"
    }
}
