import Foundation

@testable import Lab

/// File systems of a test's own. They need root and the right to mount; where there is none, the test fails and says so.
enum FileSystems {
    /// What can't be mounted here.
    struct Unmountable: Error, CustomStringConvertible { let description: String }

    /// A file system in memory for the time of `body`.
    static func withMemory<T>(_ options: String, at folder: String, _ body: () async throws -> T) async throws -> T {
        try await mount(["-t", "tmpfs", "-o", options, "none", folder], at: folder)
        return try await leaving(folder, body)
    }

    /// An image with an empty ext4 in it.
    static func makeImage(_ path: String, mebibytes: Int) async throws {
        try await Command.require("truncate", ["-s", "\(mebibytes)M", path])
        try await Command.require("mkfs.ext4", ["-q", "-F", path])
    }

    /// An image, mounted for the time of `body`.
    static func withImage<T>(_ path: String, _ options: String, at folder: String, _ body: () async throws -> T) async throws -> T {
        try await mount(["-o", "loop,\(options)", path, folder], at: folder)
        return try await leaving(folder, body)
    }

    /// Changes the options of what is mounted.
    static func change(_ options: String, at folder: String) async throws { try await Command.require("mount", ["-o", "remount,\(options)", folder]) }

    private static func mount(_ arguments: [String], at folder: String) async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
        do { try await Command.require("mount", arguments) } catch {
            throw Unmountable(
                description: "THIS FAULT WAS NOT TRIED: it needs root and the right to mount file systems and loop devices, as in a virtual machine "
                    + "or a privileged container (\(error))")
        }
    }

    private static func leaving<T>(_ folder: String, _ body: () async throws -> T) async throws -> T {
        let result: Result<T, any Error>
        do { result = .success(try await body()) } catch { result = .failure(error) }
        // Whoever was killed a moment ago may still be letting go of the last file.
        _ = await eventually(within: 10) { (try? await Command.run("umount", [folder]))?.succeeded ?? false }
        return try result.get()
    }

    /// The loop device behind a mounted folder: `loop0`.
    static func device(of folder: String) async throws -> String {
        let source = try await Command.require("findmnt", ["-n", "-o", "SOURCE", folder]).outputText
        return source.split(whereSeparator: { $0 == "/" || $0.isNewline }).last.map(String.init) ?? ""
    }
}
