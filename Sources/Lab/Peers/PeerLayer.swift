import Foundation

/// The files of foreign programs that `scripts/install-peers.sh` has installed beside the system, as layers over /usr, /etc and /var. A program of a layer runs in a
/// mount namespace of its own where the layer is part of the system; what it writes to /etc and /var is gone with it.
public struct PeerLayer: Sendable {
    let folder: String

    /// The variable of the environment that names the folder of the layers.
    public static let variable = "POSTERN_PEERS"

    /// Whether somebody has installed the layers and says where.
    public static var areInstalled: Bool { ProcessInfo.processInfo.environment[variable] != nil }

    /// - Parameter name: `exim`, `opensmtpd`, `dovecot` or `clients`; `system` for programs of the system itself.
    /// - Throws: ``LabError`` where the layer isn't there.
    public init(_ name: String) throws {
        guard let base = ProcessInfo.processInfo.environment[Self.variable], LabFiles.exists("\(base)/\(name)/packages") else {
            throw LabError(.missingPrerequisite, "the layer \(name) isn't installed; make interop installs it, or scripts/install-peers.sh")
        }
        folder = "\(base)/\(name)"
    }

    // The layers below are read only, so that several laboratories can use them at once; what is written goes to a tmpfs of the namespace. A file of
    // `overrides` replaces the one of that name in /etc.
    private static let script = """
        set -eu
        layer=$1 overrides=$2; shift 2
        mount --make-rprivate /
        mount -t tmpfs tmpfs /run
        mkdir -p /run/lock /run/upper/etc /run/upper/var /run/work/etc /run/work/var
        mount -t overlay postern-usr -o "lowerdir=$layer/usr:/usr" /usr
        for part in etc var; do
            mount -t overlay "postern-$part" -o "lowerdir=$layer/$part:/$part,upperdir=/run/upper/$part,workdir=/run/work/$part" "/$part"
        done
        cp -r "$overrides/." /etc
        exec "$@"
        """

    /// The arguments of `unshare` that run a program of the layer.
    ///
    /// - Parameters:
    ///   - overrides: a folder whose files are put into /etc first, such as `resolv.conf`.
    ///   - program: its absolute path.
    func arguments(overrides: String, program: String, _ arguments: [String]) -> [String] {
        ["-m", "sh", "-c", Self.script, "peer", folder, overrides, program] + arguments
    }

    /// Runs a program of the layer to its end.
    func run(
        overrides: String,
        program: String,
        _ arguments: [String],
        input: Data? = nil,
        timeout: Duration = .seconds(120)
    ) async throws -> CommandResult {
        try await Command.run("unshare", self.arguments(overrides: overrides, program: program, arguments), input: input, timeout: timeout)
    }

    /// Starts a daemon of the layer, which must stay in the foreground.
    func start(name: String, overrides: String, program: String, _ arguments: [String], folder: String, logFile: String? = nil) throws -> ChildProcess {
        guard let unshare = Command.find("unshare") else { throw LabError(.missingPrerequisite, "unshare is not installed") }
        return try ChildProcess(
            name: name,
            program: unshare,
            arguments: self.arguments(overrides: overrides, program: program, arguments),
            folder: folder,
            logFile: logFile ?? "\(folder)/\(name).log"
        )
    }
}
