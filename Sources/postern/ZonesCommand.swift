import ArgumentParser
import Gateway

/// `postern zones`.
struct ZonesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "zones", abstract: "The zones' flows: print them, make firewall rules from them, try them.",
        subcommands: [ZonesFlowsCommand.self, ZonesNftablesCommand.self, ZonesVerifyCommand.self])
}

/// The plan of the house that a command works with.
struct ZonePlanOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The addresses of the house by role.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var zones = "/etc/postern/zones.yaml"

    func load() throws -> ZonePlan { try ZonePlan.load(path: zones) }
}

/// `postern zones flows`.
struct ZonesFlowsCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "flows", abstract: "List every connection that the architecture needs; whatever isn't listed is forbidden.")

    @OptionGroup var output: OutputOptions

    func execute() throws {
        try output.show(FlowTable.flows) {
            var table = TextTable(header: ["FLOW", "FROM", "TO", "SERVICE", "PORT", "FIREWALL", "WHY"])
            for flow in FlowTable.flows {
                table.rows.append([
                    flow.id, flow.from.rawValue, flow.to.rawValue, flow.service.rawValue, String(flow.service.usualPort), flow.firewall.rawValue, flow.why,
                ])
            }
            return table.text
        }
    }
}

/// `postern zones nftables`.
struct ZonesNftablesCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "nftables", abstract: "Print the rule set of a firewall or of a host, for nft -f.",
        discussion: "postern zones nftables outer | inner | ROLE… (several roles for a host that plays them)")

    @Argument(help: "outer, inner, or the roles of a host: mx, relay, resolver, webmail, submission, internal, store.")
    var place: [String]
    @OptionGroup var plan: ZonePlanOptions
    @OptionGroup var output: OutputOptions

    func execute() throws {
        let rules = FirewallRules(plan: try plan.load())
        let text: String
        if place.count == 1, let firewall = place.first.flatMap(ZoneFirewall.init) {
            text = rules.firewall(firewall)
        } else {
            text = rules.host(Set(try place.map(serverRole)))
        }
        try output.show(["place": place.joined(separator: "+"), "rules": text]) { text }
    }

    private func serverRole(_ name: String) throws -> ZoneRole {
        guard let role = ZoneRole(rawValue: name), role.isServer else {
            let known = ZoneRole.allCases.filter(\.isServer).map(\.rawValue).joined(separator: ", ")
            throw CommandFailure(.usage, "“\(name)” is neither a firewall (outer, inner) nor a host with rules of its own (\(known))")
        }
        return role
    }
}

/// `postern zones verify`.
struct ZonesVerifyCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify", abstract: "Try from here what a role may reach and what it must not; exit code 1 where something is wrong.",
        discussion: """
            Run it on each host with --as ROLE, and from outside with --as internet. It opens connections and closes them, and sends nothing but a question to \
            port 53. With --config it also looks whether the host's own listeners keep the zones apart.
            """)

    @Option(name: .customLong("as"), help: ArgumentHelp("The role from which it is tried: the host where this runs.", valueName: "role"))
    var role: String
    @Option(help: ArgumentHelp("How long an answer may take.", valueName: "seconds"))
    var timeout = 3.0
    @Option(name: .long, help: ArgumentHelp("This host's configuration, to look at its listeners.", valueName: "file"))
    var config: String?
    @OptionGroup var plan: ZonePlanOptions
    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        var from: ZoneRole
        var allowed: Int
        var forbidden: Int
        var wrong: [ZoneFinding]
        var listeners: [String]
    }

    func validate() throws {
        guard timeout > 0, timeout <= 60 else { throw ValidationError("--timeout must be more than 0 and at most 60 seconds") }
    }

    func execute() async throws {
        guard let from = ZoneRole(rawValue: role) else {
            throw CommandFailure(.usage, "“\(role)” is no role of the zones; known are \(ZoneRole.allCases.map(\.rawValue).joined(separator: ", "))")
        }
        let plan = try plan.load()
        let listeners = try config.map { ListenerAudit(try Configuration.load(path: $0), plan: plan).faults } ?? []
        let prober = ZoneProber(timeout: .seconds(timeout))
        let found = try await prober.verify(from, in: plan)
        let result = Result(from: from, allowed: found.allowed, forbidden: found.forbidden, wrong: found.wrong, listeners: listeners)
        try output.show(result) {
            var lines = found.wrong.map { finding in
                let probe = finding.probe
                let wanted = probe.flow.map { "\($0) must be open" } ?? "must be refused"
                return "WRONG: \(probe.from.rawValue) to \(probe.to.rawValue), \(probe.service.rawValue) at \(probe.address) port \(probe.port)/"
                    + "\(probe.transport.rawValue): \(wanted), is \(finding.outcome.rawValue)"
            }
            lines += listeners.map { "WRONG: \($0)" }
            lines.append("\(from.rawValue): \(found.allowed) allowed and \(found.forbidden) forbidden connections tried, \(found.wrong.count) wrong")
            return lines.joined(separator: "\n")
        }
        if !found.wrong.isEmpty || !listeners.isEmpty { throw ExitCode(ExitStatus.failure.rawValue) }
    }
}
