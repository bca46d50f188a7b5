import Foundation
import NIOCore
import NIOPosix
import Synchronization

/// The folder of a run, the ports that are handed out, and the peers' configuration files.
final class Workshop: Sendable {
    let folder: String
    /// Where the configurations of the peers stand: `Benchmarks/Peers`.
    let peersFolder: String
    private let number = Mutex(0)

    init(folder: String?, peersFolder: String) throws {
        self.peersFolder = peersFolder
        let base = folder ?? NSTemporaryDirectory()
        self.folder = "\(base.hasSuffix("/") ? String(base.dropLast()) : base)/postern-bench-\(ProcessInfo.processInfo.processIdentifier)"
        try FileManager.default.createDirectory(atPath: self.folder, withIntermediateDirectories: true)
        // Postfix's programs don't run as root, and must get through.
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: self.folder)
    }

    func remove() { try? FileManager.default.removeItem(atPath: folder) }

    private func nextNumber() -> Int {
        number.withLock { number in
            number += 1
            return number
        }
    }

    /// A new folder for something.
    func makeFolder(_ name: String) throws -> String {
        let path = "\(folder)/\(name)-\(nextNumber())"
        try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
        return path
    }

    /// A name for the output of a program.
    func logFile(_ name: String) -> String { "\(folder)/\(name)-\(nextNumber()).log" }

    /// Copies a peer's file, with the words between @ signs filled in.
    func install(_ file: String, to path: String, _ words: [String: String]) throws {
        var text = try String(contentsOfFile: "\(peersFolder)/\(file)", encoding: .utf8)
        for (word, value) in words { text = text.replacingOccurrences(of: "@\(word)@", with: value) }
        try Data(text.utf8).write(to: URL(fileURLWithPath: path))
    }

    /// A port of 127.0.0.1 that is free now.
    func freePort() async throws -> Int {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .serverChannelOption(.socketOption(.so_reuseaddr), value: 1).bind(host: "127.0.0.1", port: 0).get()
        let port = channel.localAddress?.port ?? 0
        try await channel.close()
        return port
    }

    /// Waits until somebody accepts connections there.
    func awaitServer(_ child: ChildProcess, port: Int, timeout: Duration = .seconds(60)) async throws {
        let deadline = ContinuousClock.now + timeout
        while true {
            guard child.isRunning else { throw BenchError("\(child.name) ended at its start:\n\(child.lastLines())") }
            let channel = try? await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton).connect(host: "127.0.0.1", port: port).get()
            if let channel {
                try? await channel.close().get()
                return
            }
            guard ContinuousClock.now < deadline else { throw BenchError("\(child.name) doesn't answer on port \(port)") }
            try await Task.sleep(for: .milliseconds(20))
        }
    }
}
