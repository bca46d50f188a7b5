import FoundationEssentials
import Yams

/// What was found in a configuration: its value where it can be used, and every problem.
public struct ConfigurationReport: Sendable {
    /// The configuration; `nil` where a problem is an error.
    public var configuration: Configuration?
    /// Errors and warnings in the order of the file.
    public var problems: [ConfigurationProblem]
}

extension Configuration {
    /// No configuration of a sane person is larger.
    private static let fileSizeLimit = 1 << 20

    /// Reads and checks a configuration file.
    /// - Parameter path: the file, absolute or relative to the working folder.
    /// - Throws: ``ConfigurationError`` with everything that is wrong at once.
    public static func load(path: String) throws(ConfigurationError) -> Configuration {
        let (yaml, folder) = try read(path: path)
        return try Configuration(yaml: yaml, folder: folder, fileName: path)
    }

    /// Reads and checks a configuration file for an operator: with its warnings, and with a look at the files that it names.
    /// - Throws: ``ConfigurationError`` `.unreadable`; everything else is in the report.
    public static func examine(path: String) throws(ConfigurationError) -> ConfigurationReport {
        let (yaml, folder) = try read(path: path)
        return examine(yaml: yaml, folder: folder, checkingFiles: true)
    }

    /// Reads and checks the text of a configuration.
    /// - Parameters:
    ///   - yaml: the text.
    ///   - folder: the folder that relative paths in it start from, absolute.
    ///   - fileName: how the text is called in errors.
    /// - Throws: ``ConfigurationError`` with everything that is wrong at once.
    public init(yaml: String, folder: String, fileName: String = "postern.yaml") throws(ConfigurationError) {
        let report = Self.examine(yaml: yaml, folder: folder, checkingFiles: false)
        guard let configuration = report.configuration else {
            throw ConfigurationError(.invalid, file: fileName, problems: report.problems)
        }
        self = configuration
    }

    /// Reads and checks the text of a configuration, and tells everything that was found.
    /// - Parameters:
    ///   - yaml: the text.
    ///   - folder: the folder that relative paths in it start from, absolute.
    ///   - checkingFiles: whether files that it names must exist.
    public static func examine(yaml: String, folder: String, checkingFiles: Bool) -> ConfigurationReport {
        var folder = folder
        while folder.count > 1, folder.hasSuffix("/") { folder.removeLast() }
        var reader = ConfigurationReader(folder: folder == "/" ? "" : folder)
        var configuration = Configuration()
        // The defaults are relative to the configuration's folder as well.
        configuration.dataFolder = "\(reader.folder)/\(configuration.dataFolder)"
        do {
            guard yaml.utf8.count <= fileSizeLimit else {
                reader.report(.error, at: nil, key: "", "is larger than 1 MiB; this is no configuration of Postern")
                return ConfigurationReport(configuration: nil, problems: reader.problems)
            }
            if let root = try compose(yaml: yaml) {
                reader.readMapping(root, fields, into: &configuration)
            } else {
                reader.report(.error, at: nil, key: "", "is empty; it needs at least hostname and domains")
            }
        } catch {
            reader.report(yamlError: error)
            return ConfigurationReport(configuration: nil, problems: reader.problems)
        }
        // A filter beside an MTA plays no role, unless the file says so.
        if configuration.milter != nil, !reader.isWritten("roles") { configuration.roles = [] }
        if configuration.listeners.isEmpty, !reader.isWritten("listeners") {
            configuration.listeners = defaultListeners(
                for: configuration.roles, hasLink: configuration.link != nil,
                hasPolicies: configuration.mtaSTS != nil || configuration.clients != nil || configuration.reports?.httpsPath != nil)
        }
        if !reader.problems.contains(where: { $0.severity == .error }) {
            configuration.checkMeaning(&reader)
            if checkingFiles { configuration.checkFiles(&reader) }
        }
        let problems = reader.problems.sorted { ($0.line, $0.column) < ($1.line, $1.column) }
        let isUsable = !problems.contains { $0.severity == .error }
        return ConfigurationReport(configuration: isUsable ? configuration : nil, problems: problems)
    }

    private static func read(path: String) throws(ConfigurationError) -> (yaml: String, folder: String) {
        let manager = FileManager.default
        let absolute = path.hasPrefix("/") ? path : "\(manager.currentDirectoryPath)/\(path)"
        func failure(_ message: String) -> ConfigurationError {
            .init(.unreadable, file: path, problems: [.init(severity: .error, line: 0, column: 0, key: "", message: message)])
        }
        guard let data = manager.contents(atPath: absolute) else {
            throw failure("can't be read; check that it exists and that this user may read it")
        }
        guard let yaml = String(validating: data, as: UTF8.self) else {
            throw failure("isn't UTF-8; save it as UTF-8 text")
        }
        let folder = absolute.lastIndex(of: "/").map { String(absolute[..<$0]) } ?? ""
        return (yaml, folder.isEmpty ? "/" : folder)
    }
}

extension ConfigurationReader {
    /// Says in our words what the YAML parser stumbled over.
    fileprivate mutating func report(yamlError error: any Error) {
        guard let error = error as? YamlError else {
            report(.error, at: nil, key: "", "isn't YAML: \(error)")
            return
        }
        switch error {
        case .scanner(_, let problem, let mark, _), .parser(_, let problem, let mark, _), .composer(_, let problem, let mark, _):
            report(.error, at: mark, key: "", "isn't YAML: \(problem); look at indentation, quotes and brackets here and just above")
        case .duplicatedKeysInMapping(let duplicates, let context):
            report(.error, at: context.mark, key: duplicates.first ?? "", "stands twice in the mapping; keep one")
        case .no, .memory, .reader, .writer, .emitter, .representer, .dataCouldNotBeDecoded:
            report(.error, at: nil, key: "", "isn't YAML: \(error)")
        }
    }
}
