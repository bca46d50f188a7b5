import Foundation

/// Where data of others lies that is no part of the project: the folder that the variable POSTERN_SUITES names.
enum ConformanceSuites {
    static let folder: URL? = ProcessInfo.processInfo.environment["POSTERN_SUITES"].map {
        URL(fileURLWithPath: $0, isDirectory: true)
    }

    static func has(_ path: String) -> Bool {
        guard let folder else { return false }
        return FileManager.default.fileExists(atPath: folder.appendingPathComponent(path).path)
    }

    static func data(_ path: String) throws -> Data {
        guard let folder else { throw CocoaError(.fileNoSuchFile) }
        return try Data(contentsOf: folder.appendingPathComponent(path))
    }

    /// The files below `path` whose name ends in one of `endings`, in order.
    static func files(_ path: String, endings: [String]) throws -> [URL] {
        guard let folder else { return [] }
        let root = folder.appendingPathComponent(path)
        let names = try FileManager.default.subpathsOfDirectory(atPath: root.path).sorted()
        return names.filter { name in endings.contains { name.hasSuffix($0) } }.map { root.appendingPathComponent($0) }
    }
}
