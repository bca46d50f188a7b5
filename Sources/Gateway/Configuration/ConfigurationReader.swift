import Yams

/// Walks through the YAML tree of a configuration and collects what is wrong with it, so that one run shows everything.
struct ConfigurationReader {
    /// The folder that relative paths start from, absolute.
    let folder: String
    /// What was found so far.
    private(set) var problems: [ConfigurationProblem] = []
    /// Where each key stands that was read, for the checks that look at several keys.
    private(set) var places: [String: Mark] = [:]
    private var path: [String] = []

    init(folder: String) { self.folder = folder }

    /// The key that is being read, with those above it.
    var currentKey: String { path.joined(separator: ".") }

    mutating func reportError(at node: Node, _ message: String) {
        report(.error, at: node.mark, key: currentKey, message)
    }

    mutating func report(_ severity: ConfigurationProblem.Severity, at mark: Mark?, key: String, _ message: String) {
        problems.append(.init(severity: severity, line: mark?.line ?? 0, column: mark?.column ?? 0, key: key, message: message))
    }

    /// Reports something that several keys have to do with, at the place of the first of `keys` that is written in the file.
    mutating func report(_ severity: ConfigurationProblem.Severity, keys: [String], _ message: String) {
        let written = keys.first { places[$0] != nil }
        report(severity, at: written.flatMap { places[$0] }, key: written ?? keys.first ?? "", message)
    }

    func isWritten(_ key: String) -> Bool { places[key] != nil }

    /// Reads a mapping by a table of its keys; unknown, missing and empty keys are reported.
    mutating func readMapping<Target>(_ node: Node, _ fields: [ConfigurationField<Target>], into target: inout Target) {
        guard case .mapping(let mapping) = node else {
            reportError(
                at: node, "must be a mapping of keys: write each of \(Self.list(fields.map(\.key.name))) on a line of its own, indented")
            return
        }
        var seen: Set<String> = []
        for (keyNode, value) in mapping {
            let name = keyNode.scalar?.string ?? ""
            guard let field = fields.first(where: { $0.key.name == name }) else {
                reportUnknownKey(name, at: keyNode, known: fields.map(\.key.name))
                continue
            }
            seen.insert(name)
            path.append(name)
            places[currentKey] = keyNode.mark
            if Self.isEmpty(value) {
                reportError(at: keyNode, "has no value; write one, for example “\(field.key.example)”, or remove the key")
            } else {
                field.read(&target, value, &self)
            }
            path.removeLast()
        }
        for field in fields where field.key.isRequired && !seen.contains(field.key.name) {
            path.append(field.key.name)
            report(
                .error, at: path.count > 1 ? node.mark : nil, key: currentKey,
                "is missing; add it, for example “\(field.key.name): \(field.key.example)” (\(field.key.meaning))")
            path.removeLast()
        }
    }

    /// Reads something below a key that isn't in a table, such as a role of `peers` or an element of a list.
    mutating func within<Result>(_ name: String, at node: Node, _ body: (inout ConfigurationReader) -> Result) -> Result {
        path.append(name)
        places[currentKey] = node.mark
        defer { path.removeLast() }
        return body(&self)
    }

    mutating func reportUnknownKey(_ name: String, at node: Node, known: [String]) {
        path.append(name)
        let advice = Self.nearest(to: name, among: known).map { "did you mean “\($0)”?" } ?? "known here: \(Self.list(known))"
        reportError(at: node, "unknown key; \(advice)")
        path.removeLast()
    }

    /// A value that isn't there: `key:` with nothing behind it, `~` or `null`.
    static func isEmpty(_ node: Node) -> Bool {
        guard case .scalar(let scalar) = node, scalar.style == .plain || scalar.style == .any else { return false }
        return ["", "~", "null"].contains(scalar.string)
    }

    static func list(_ words: [String]) -> String { words.joined(separator: ", ") }

    /// The known word that a misspelt one most likely means.
    static func nearest(to word: String, among known: [String]) -> String? {
        let candidates = known.map { (word: $0, distance: editDistance(word.lowercased(), $0.lowercased())) }
        guard let best = candidates.min(by: { $0.distance < $1.distance }) else { return nil }
        if best.distance <= max(2, best.word.count / 3) { return best.word }
        // Somebody who writes `messageSize` means `messageSizeBytes`.
        let prefixed = known.filter { word.count >= 4 && $0.lowercased().hasPrefix(word.lowercased()) }
        return prefixed.count == 1 ? prefixed.first : nil
    }

    /// The number of insertions, deletions and substitutions that lead from one word to the other (Levenshtein).
    static func editDistance(_ first: String, _ second: String) -> Int {
        // The words come from a configuration file; a cap keeps a pathological one cheap.
        let first = Array(first.unicodeScalars.prefix(64))
        let second = Array(second.unicodeScalars.prefix(64))
        var previous = Array(0...second.count)
        for (row, left) in first.enumerated() {
            var current = [row + 1]
            for (column, right) in second.enumerated() {
                current.append(min(previous[column] + (left == right ? 0 : 1), previous[column + 1] + 1, current[column] + 1))
            }
            previous = current
        }
        return previous[second.count]
    }
}
