import Foundation
public import Gateway

/// The laboratory's own root: network namespaces for every host, with wires, routes and firewalls between them, below a namespace without any way out.
///
/// A small process holds it: its network namespace is the root of the wires, its mount namespace has the names. It waits for the end of its standard input, so
/// that everything vanishes with whoever started it. The machine's own network isn't touched.
public actor NamespaceWorld {
    private let holder: Process
    private let leash: Pipe
    /// The folder with a file for each namespace.
    public nonisolated let folder: String
    public nonisolated var plan: AddressPlan { AddressPlan(namespaces: folder) }
    private nonisolated let inRoot: [String]

    /// What is needed of the machine besides root.
    static let programs = ["unshare", "nsenter", "ip", "nft", "sh", "bash"]

    /// Which rules are loaded.
    public enum Rules: Sendable {
        /// Those of the firewalls and those of the hosts.
        case firewallsAndHosts
        /// Those of the firewalls alone: what still holds when somebody has broken into a host and removed its rules.
        case firewalls
        /// Those of the hosts alone.
        case hosts
    }

    /// Makes everything; a few hundred milliseconds.
    public init(rules: Rules = .firewallsAndHosts, plan: ZonePlan = Topology.zonePlan()) async throws {
        let missing = Self.programs.filter { Command.find($0) == nil }
        guard missing.isEmpty, let unshare = Command.find("unshare") else {
            throw LabError(.missingPrerequisite, "not installed: \(missing.joined(separator: ", ")); scripts/install-dependencies.sh installs them")
        }
        guard geteuid() == 0 else { throw LabError(.missingPrerequisite, "network namespaces need root; try sudo") }
        let scratch = try LabFiles.temporaryFolder("world")
        defer { LabFiles.remove(scratch) }
        let holder = Process()
        let leash = Pipe()
        holder.executableURL = URL(fileURLWithPath: unshare)
        let script = "mkdir -p /run/netns && mount -t tmpfs tmpfs /run/netns && : >\"$1\" && exec cat >/dev/null"
        holder.arguments = ["--net", "--mount", "--propagation", "private", "sh", "-c", script, "world", "\(scratch)/ready"]
        holder.standardInput = leash
        try withoutBlockedSignals { try holder.run() }
        self.holder = holder
        self.leash = leash
        let identifier = holder.processIdentifier
        folder = "/proc/\(identifier)/root/run/netns"
        inRoot = ["nsenter", "--target", String(identifier), "--net", "--mount", "--"]
        do {
            try await Waiting.until("the laboratory's own root", timeout: .seconds(10), every: 5) { () -> Bool? in
                guard holder.isRunning else { throw LabError(.processFailed, "the laboratory's namespaces can't be made; is this machine allowed to?") }
                return LabFiles.exists("\(scratch)/ready") ? true : nil
            }
            try await build()
            try await load(rules, FirewallRules(plan: plan))
        } catch {
            Self.end(holder, leash)
            throw error
        }
    }

    /// Ends the holder; the namespaces go with their last process.
    public func stop() {
        Self.end(holder, leash)
    }

    private static func end(_ holder: Process, _ leash: Pipe) {
        try? leash.fileHandleForWriting.close()
        if holder.isRunning { _ = kill(holder.processIdentifier, SIGKILL) }
        holder.waitUntilExit()
    }

    // MARK: Wires

    private func build() async throws {
        let names = Topology.Router.allCases.map(\.rawValue) + Topology.hosts.map(\.name)
        // Without duplicate address detection IPv6 works at once; nobody else is on the wire. The addresses say nodad themselves: whether the detection is over,
        // which the kernel finds out later and on its own, would decide whether they may be a route's source.
        let settings = "echo 0 >/proc/sys/net/ipv6/conf/default/accept_dad; echo 0 >/proc/sys/net/ipv6/conf/all/accept_dad; ip link set lo up"
        // Answers to what is forbidden come at once, however much is tried.
        let forwarding = "echo 1 >/proc/sys/net/ipv4/ip_forward; echo 1 >/proc/sys/net/ipv6/conf/all/forwarding"
        let unlimited = "echo 0 >/proc/sys/net/ipv4/icmp_ratelimit; echo 0 >/proc/sys/net/ipv6/icmp/ratelimit"
        var script = "set -e\n"
        for name in names {
            let isRouter = Topology.Router(rawValue: name) != nil
            script += "ip netns add \(name)\n"
            script += "nsenter --net=/run/netns/\(name) sh -c '\(settings); \(unlimited)\(isRouter ? "; \(forwarding)" : "")'\n"
        }
        for router in Topology.Router.allCases { script += commands("router \(router.rawValue)", in: router.rawValue, routerCommands(router)) }
        for host in Topology.hosts { script += commands(host.name, in: host.name, hostCommands(host)) }
        // Each firewall's way on: the outer's to the internet. The inner one has none.
        script += commands("uplink", in: "outer", uplinkCommands)
        try await run(script, "making the wires")
    }

    /// One `ip` for all commands of a namespace.
    private func commands(_ what: String, in namespace: String, _ lines: [String]) -> String {
        lines.isEmpty ? "" : "ip -n \(namespace) -batch - <<'EOF'\n\(lines.joined(separator: "\n"))\nEOF\n"
    }

    private func routerCommands(_ router: Topology.Router) -> [String] {
        // IPv6 asks for a neighbour on the wire alone: there the address stands on each wire, see ``farEnds()``.
        ["addr add \(router.address4)/32 dev lo"]
    }

    private func hostCommands(_ host: Topology.Host) -> [String] {
        host.wires.flatMap { wire -> [String] in
            let router = wire.router
            let device = "to-\(router.rawValue)"
            var lines = ["link add \(device) type veth peer name \(host.name) netns \(router.rawValue)"]
            for number in wire.numbers {
                lines += ["addr add \(wire.network.v4(number))/32 dev \(device)", "addr add \(wire.network.v6(number))/128 dev \(device) nodad"]
            }
            lines += ["link set \(device) up", "route add \(router.address4)/32 dev \(device)", "route add \(router.address6)/128 dev \(device)"]
            let first = (v4: wire.network.v4(wire.numbers.first ?? 0), v6: wire.network.v6(wire.numbers.first ?? 0))
            lines += router.routes.map { route in
                route.contains(":")
                    ? "route add \(route) via \(router.address6) dev \(device) src \(first.v6)"
                    : "route add \(route) via \(router.address4) dev \(device) src \(first.v4)"
            }
            return lines
        }
    }

    private var uplinkCommands: [String] {
        let (outer, backbone) = (Topology.Router.outer, Topology.Router.backbone)
        return [
            "link add uplink type veth peer name outer netns backbone", "addr add \(outer.address4)/32 dev uplink",
            "addr add \(outer.address6)/128 dev uplink nodad", "link set uplink up",
            "route add \(backbone.address4)/32 dev uplink", "route add \(backbone.address6)/128 dev uplink",
            "route add default via \(backbone.address4) dev uplink", "route add ::/0 via \(backbone.address6) dev uplink",
        ]
    }

    /// The other ends of the wires, once they are there: up, and with a route to each address behind them.
    private func farEnds() -> String {
        var lines: [Topology.Router: [String]] = [
            .backbone: [
                "link set outer up", "addr add \(Topology.Router.backbone.address6)/128 dev outer nodad",
                "route add \(Topology.Router.outer.address4)/32 dev outer", "route add \(Topology.Router.outer.address6)/128 dev outer",
                "route add 203.0.113.0/24 via \(Topology.Router.outer.address4)", "route add 2001:db8:113::/48 via \(Topology.Router.outer.address6)",
            ]
        ]
        for host in Topology.hosts {
            for wire in host.wires {
                lines[wire.router, default: []] += ["link set \(host.name) up", "addr add \(wire.router.address6)/128 dev \(host.name) nodad"]
                for number in wire.numbers {
                    lines[wire.router, default: []] += [
                        "route add \(wire.network.v4(number))/32 dev \(host.name)", "route add \(wire.network.v6(number))/128 dev \(host.name)",
                    ]
                }
            }
        }
        return Topology.Router.allCases.map { commands("", in: $0.rawValue, lines[$0] ?? []) }.joined()
    }

    // MARK: Rules

    private func load(_ rules: Rules, _ texts: FirewallRules) async throws {
        var script = "set -e\n" + farEnds()
        func load(_ text: String, in namespace: String) { script += "nsenter --net=/run/netns/\(namespace) nft -f - <<'EOF'\n\(text)\nEOF\n" }
        if rules != .hosts {
            for firewall in ZoneFirewall.allCases { load(texts.firewall(firewall), in: firewall.rawValue) }
        }
        if rules != .firewalls {
            for host in Topology.hosts where host.role.isServer { load(texts.host([host.role]), in: host.name) }
        }
        try await run(script, "loading the rules")
    }

    private func run(_ script: String, _ what: String) async throws {
        let result = try await Command.run("sh", ["-s"], launcher: inRoot, input: Data(script.utf8), timeout: .seconds(60))
        guard result.succeeded else { throw LabError(.processFailed, "\(what): exit code \(result.status): \(result.errors.suffix(2000))") }
    }
}
