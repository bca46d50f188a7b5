/// One thing that is wrong, or doubtful, in a configuration, with its place.
public struct ConfigurationProblem: Sendable, Hashable, Codable, CustomStringConvertible {
    /// Whether the server can start in spite of it.
    public enum Severity: String, Sendable, Hashable, Codable { case error, warning }
    /// Whether the server can start in spite of it.
    public var severity: Severity
    /// The line of the file, from 1 on; 0 where the problem belongs to no line.
    public var line: Int
    /// The column of the line in characters, from 1 on; 0 where the problem belongs to no line.
    public var column: Int
    /// The key with those above it: `limits.recipients`. Empty for the file as a whole.
    public var key: String
    /// What is wrong and what to do about it.
    public var message: String

    /// Makes a problem.
    public init(severity: Severity, line: Int, column: Int, key: String, message: String) {
        self.severity = severity
        self.line = line
        self.column = column
        self.key = key
        self.message = message
    }

    /// `3:5: error: limits.recipients: must be between 1 and 100000; write for example 1000`.
    public var description: String {
        let place = line > 0 ? "\(line):\(column): " : ""
        return "\(place)\(severity.rawValue): \(key.isEmpty ? "" : key + ": ")\(message)"
    }
}

/// Why a configuration can't be used: everything that is wrong with it at once.
public struct ConfigurationError: Error, Sendable, Hashable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Sendable, Hashable {
        /// The file can't be read.
        case unreadable
        /// The file isn't YAML, or its values are wrong.
        case invalid
    }
    /// The kind of failure.
    public var code: Code
    /// The file's path as it was given.
    public var file: String
    /// What is wrong, in the order of the file; warnings are among them.
    public var problems: [ConfigurationProblem]

    /// Makes an error.
    public init(_ code: Code, file: String, problems: [ConfigurationProblem]) {
        self.code = code
        self.file = file
        self.problems = problems
    }

    /// One problem a line, each with file, line and column as compilers write them.
    public var description: String {
        problems.map { $0.line > 0 ? "\(file):\($0)" : "\(file): \($0)" }.joined(separator: "\n")
    }
}
