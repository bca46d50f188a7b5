import Foundation

/// The `postern` that was built together with the tests: it lies beside the test bundle, or above its folder.
package func posternBinary() throws -> String {
    let manager = FileManager.default
    let executable = try manager.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    var folders = [URL(fileURLWithPath: executable).deletingLastPathComponent().path]
    folders += CommandLine.arguments.filter { $0.contains(".xctest") }.map { URL(fileURLWithPath: $0).deletingLastPathComponent().path }
    folders += ["\(manager.currentDirectoryPath)/.build/debug"]
    guard let found = folders.map({ "\($0)/postern" }).first(where: { manager.isExecutableFile(atPath: $0) }) else {
        throw MissingBinary(description: "postern isn't built; looked in \(folders)")
    }
    return found
}

/// Nothing was built that could be run.
struct MissingBinary: Error, CustomStringConvertible { let description: String }
