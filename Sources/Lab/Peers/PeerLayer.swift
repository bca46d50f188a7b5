import Foundation

/// The files of foreign programs that `scripts/install-peers.sh` has installed beside the system, as layers over /usr, /etc and /var. A program of a layer runs in a
/// mount namespace of its own where the layer is part of the system; what it writes to /etc and /var is gone with it.
public struct PeerLayer: Sendable {
    private let base: String
    private let name: String

    /// The variable of the environment that names the folder of the layers.
    public static let variable = "POSTERN_PEERS"

    /// Whether somebody has installed the layers and says where.
    public static var areInstalled: Bool { ProcessInfo.processInfo.environment[variable] != nil }

    /// - Parameter name: `exim`, `opensmtpd`, `sendmail`, `dovecot`, `clients` or `authentication`.
    /// - Throws: ``LabError`` where the layer isn't there.
    public init(_ name: String) throws {
        guard let base = ProcessInfo.processInfo.environment[Self.variable], LabFiles.exists("\(base)/\(name)/packages"), LabFiles.exists("\(base)/run") else {
            throw LabError(.missingPrerequisite, "the layer \(name) isn't installed; make interop installs it, or scripts/install-peers.sh")
        }
        self.base = base
        self.name = name
    }

    /// What runs a program in a mount namespace where the layer is part of the system: a copy of `scripts/run-peer.sh`.
    var runner: String { "\(base)/run" }

    /// The arguments of ``runner`` for a program of the layer.
    ///
    /// - Parameters:
    ///   - overrides: a folder whose files are put into /etc first, such as `resolv.conf`; `nil` for none.
    ///   - program: its absolute path.
    func arguments(overrides: String?, program: String, _ arguments: [String]) -> [String] {
        ["\(base)/\(name)", overrides ?? "-", program] + arguments
    }

    /// Runs a program of the layer to its end.
    func run(
        overrides: String?,
        program: String,
        _ arguments: [String],
        input: Data? = nil,
        timeout: Duration = .seconds(120)
    ) async throws -> CommandResult {
        try await Command.run(runner, self.arguments(overrides: overrides, program: program, arguments), input: input, timeout: timeout)
    }

    /// Starts a daemon of the layer, which must stay in the foreground.
    func start(name: String, overrides: String?, program: String, _ arguments: [String], folder: String, logFile: String? = nil) throws -> ChildProcess {
        try ChildProcess(
            name: name,
            program: runner,
            arguments: self.arguments(overrides: overrides, program: program, arguments),
            folder: folder,
            logFile: logFile ?? "\(folder)/\(name).log"
        )
    }
}
