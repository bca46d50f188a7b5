import Foundation

/// Programs that `scripts/install-peers.sh` has put beside the system, below `.build-peers` or the folder in `POSTERN_PEERS`.
struct PeerLayer: Sendable {
    private let path: String

    private static let folder = (ProcessInfo.processInfo.environment["POSTERN_PEERS"] ?? ".build-peers").absolutePath

    /// The interpreter with the libraries in Python; `nil` where it isn't there.
    static var python: String? { ChildProcess.find("\(folder)/python/bin/python3") }

    /// `nil` where the layer isn't there, or this user can't mount it.
    init?(_ name: String) {
        path = "\(Self.folder)/\(name)"
        guard geteuid() == 0, FileManager.default.fileExists(atPath: "\(path)/packages"), ChildProcess.find(Self.runner) != nil else { return nil }
    }

    private static var runner: String { "\(folder)/run" }

    /// Starts a program of the layer, which must stay in the foreground.
    func start(_ program: String, _ arguments: [String], log: String) throws -> ChildProcess {
        try ChildProcess(Self.runner, [path, "-", program] + arguments, log: log)
    }

    /// Runs a program to its end, which must be a good one; what it printed.
    func run(_ program: String, _ arguments: [String], log: String) async throws -> String {
        try await ChildProcess.run(Self.runner, [path, "-", program] + arguments, log: log)
    }
}

extension String {
    /// The path from the root, for programs that are started elsewhere.
    var absolutePath: String { hasPrefix("/") ? self : "\(FileManager.default.currentDirectoryPath)/\(self)" }
}
