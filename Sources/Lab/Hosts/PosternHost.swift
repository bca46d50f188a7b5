import Foundation

/// A running host of Kartapuce: a process of the same `postern` binary with a configuration, a data folder and a link certificate of its own.
public actor PosternHost {
    nonisolated let plan: HostPlan
    nonisolated let folder: String
    private nonisolated let binary: String
    private nonisolated let addresses: AddressPlan
    private nonisolated let launcher: [String]
    private var child: ChildProcess?

    init(plan: HostPlan, folder: String, binary: String, addresses: AddressPlan, launcher: [String]) {
        self.plan = plan
        self.addresses = addresses
        self.launcher = launcher
        self.folder = folder
        self.binary = binary
    }

    public nonisolated var name: String { plan.name }
    public nonisolated var configurationFile: String { "\(folder)/postern.yaml" }
    public nonisolated var logFile: String { "\(folder)/postern.log" }

    public var isRunning: Bool { child?.isRunning ?? false }

    /// Starts the host; returns when each of its listeners accepts connections.
    public func start() async throws {
        if let child, child.isRunning { return }
        let child = try ChildProcess(
            name: plan.name,
            program: binary,
            arguments: ["serve", "--config", configurationFile],
            launcher: launcher,
            folder: folder,
            logFile: logFile
        )
        self.child = child
        for listener in plan.listeners {
            let address = plan.address(of: listener)
            try await Waiting.until("\(plan.name) accepting connections on \(address):\(listener.port)", timeout: .seconds(30)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "\(plan.hostname) ended at its start:\n\(child.lastLines())") }
                return await Waiting.accepts(address: address, port: listener.port, in: addresses) ? true : nil
            }
        }
    }

    /// Ends it in good order (SIGTERM).
    public func stop() async {
        await child?.stop(grace: .seconds(15))
        child = nil
    }

    /// Kills it (SIGKILL), as a crash or a power cut of the host would.
    public func crash() async {
        await child?.crash()
        child = nil
    }

    /// Runs a `postern` command against this host's configuration.
    public nonisolated func command(_ arguments: [String], input: String? = nil) async throws -> CommandResult {
        try await Command.run(binary, arguments + ["--config", configurationFile], input: input.map { .init($0.utf8) }, timeout: .seconds(60))
    }

    /// The last lines of its log.
    public nonisolated func lastLogLines(_ count: Int = 20) -> String {
        ((try? LabFiles.readText(logFile)) ?? "").split(separator: "\n").suffix(count).joined(separator: "\n")
    }
}
