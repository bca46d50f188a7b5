import Foundation
import Synchronization

/// Files and waiting, as the laboratory needs them.
enum LabFiles {
    private static let counter = Atomic<Int>(0)

    /// A new folder below the system's folder for temporary files.
    static func temporaryFolder(_ purpose: String) throws -> String {
        let number = counter.wrappingAdd(1, ordering: .relaxed).newValue
        let base = FileManager.default.temporaryDirectory.path
        let path = "\(base)/postern-\(purpose)-\(ProcessInfo.processInfo.processIdentifier)-\(number)-\(UUID().uuidString.prefix(8))"
        try makeFolder(path)
        return path
    }

    /// Makes a folder with those above it. Daemons that give up root must be able to pass through: hence 0755.
    static func makeFolder(_ path: String, permissions: Int = 0o755) throws {
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: permissions])
        try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path)
    }

    static func write(_ text: String, to path: String, permissions: Int = 0o644) throws {
        try write(Data(text.utf8), to: path, permissions: permissions)
    }

    static func write(_ data: Data, to path: String, permissions: Int = 0o644) throws {
        try data.write(to: URL(fileURLWithPath: path))
        try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: path)
    }

    static func read(_ path: String) throws -> Data { try Data(contentsOf: URL(fileURLWithPath: path)) }

    static func readText(_ path: String) throws -> String { String(decoding: try read(path), as: UTF8.self) }

    static func exists(_ path: String) -> Bool { FileManager.default.fileExists(atPath: path) }

    /// The names in a folder, sorted; none where it doesn't exist.
    static func list(_ folder: String) -> [String] { ((try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []).sorted() }

    static func remove(_ path: String) { try? FileManager.default.removeItem(atPath: path) }

    /// A handle that appends to a file, which is created where it is missing.
    static func appending(to path: String) throws -> FileHandle {
        if !exists(path) { try write(Data(), to: path) }
        let handle = try FileHandle(forWritingTo: URL(fileURLWithPath: path))
        try handle.seekToEnd()
        return handle
    }

    /// Waits, whether the task is cancelled or not.
    static func pause(milliseconds: Int) async {
        await withCheckedContinuation { continuation in
            DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { continuation.resume() }
        }
    }
}
