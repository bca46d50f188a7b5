/// The systemd units of the hosts, played: where no systemd runs as process 1, `scripts/play-unit.py` gives a process what its unit would give it.
///
/// With them the laboratory proves that Postern serves under the restrictions that `deploy/systemd` promises.
public struct PlayedUnits: Sendable {
    /// The program that plays a unit.
    public var player: String
    /// The folder of the units.
    public var folder: String

    public init(player: String, folder: String) {
        self.player = player
        self.folder = folder
    }

    /// The user that the hosts run as. It has no name on this machine, and nothing else belongs to it.
    static let user = 64077

    /// What is put before a command line, after the launcher of its place.
    ///
    /// - Parameters:
    ///   - unit: the unit's name without its suffix.
    ///   - state: the folder that stands for the unit's StateDirectory.
    ///   - readable: what the process must see although it lies where the unit hides things, such as below /tmp.
    func launcher(unit: String, state: String, readable: String) -> [String] {
        // The system's Python: one in a home folder would vanish with ProtectHome.
        ["/usr/bin/python3", player, "\(folder)/\(unit).service", "--state", state, "--visible", readable, "--uid", String(Self.user), "--"]
    }

    /// Gives a folder with all in it to the hosts' user.
    static func handOver(_ folder: String) async throws {
        try await Command.require("chown", ["-R", "\(user):\(user)", folder])
    }
}
