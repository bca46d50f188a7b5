/// The authoritative name servers of the small internet (NSD, one process for the root, one for `test.` and one for the organisations) and Kartapuce's
/// `nsresolve`, the private recursive server that validates (Unbound).
final class NameServers: Sendable {
    let plan: AddressPlan
    let zones: SignedZones
    /// The attacker before the organisations' name server; `nil` where no attacks are played.
    let interceptor: DNSInterceptor?
    private let folder: String
    private let children: [ChildProcess]

    /// Signs the zones and starts the servers; returns when the resolver gives validated answers.
    ///
    /// - Parameters:
    ///   - neighbours: further organisations of the internet, whose zones are signed as the provider's is.
    ///   - signingRecords: the records of Kartapuce's DKIM keys.
    ///   - providersKeyDigest: what the provider's TLSA record says.
    ///   - edgesKeyDigest: what that of Kartapuce's edge says.
    ///   - units: the restrictions under which the resolver runs.
    ///   - attacks: attacks that are to be played: then the attacker sits before the organisations' name server.
    init(
        plan: AddressPlan, folder: String, neighbours: [Neighbour] = [], signingRecords: [String] = [], providersKeyDigest: String? = nil,
        edgesKeyDigest: String? = nil,
        units: PlayedUnits? = nil, attacks: [AttackCase] = []
    ) async throws {
        self.plan = plan
        self.folder = folder
        try LabFiles.makeFolder(folder)
        zones = SignedZones(
            plan: plan, folder: "\(folder)/zones", neighbours: neighbours, signingRecords: signingRecords, providersKeyDigest: providersKeyDigest,
            edgesKeyDigest: edgesKeyDigest, attacks: attacks)
        try await zones.make()
        var resolverLauncher = plan.launcher(at: plan.nsresolve)
        if let units {
            let state = "\(folder)/nsresolve-state"
            try LabFiles.makeFolder(state)
            try await PlayedUnits.handOver(state)
            resolverLauncher += units.launcher(unit: "postern-resolver", state: state, readable: folder)
        }
        var children: [ChildProcess] = []
        interceptor = attacks.isEmpty ? nil : try DNSInterceptor(real: plan.hiddenNameServer)
        let leafAddress = attacks.isEmpty ? plan.leafNameServer : plan.hiddenNameServer
        do {
            try await interceptor?.start(at: plan.leafNameServer)
            let leaves = zones.organisations + [LabNames.bogusDomain] + zones.unsigned
            for (name, address, served) in [
                ("root-ns", plan.rootNameServer, ["root"]), ("test-ns", plan.testNameServer, ["test"]), ("leaf-ns", leafAddress, leaves),
            ] {
                children.append(
                    try Self.startAuthoritative(name: name, address: address, zones: served, launcher: plan.launcher(at: address), in: folder, signed: zones))
            }
            children.append(
                try Self.startResolver(
                    name: "nsresolve", address: plan.nsresolve, outgoing: plan.nsresolveOutside, clients: plan.resolverClients,
                    launcher: resolverLauncher, in: folder, zones: zones))
            if plan.providersResolver != plan.nsresolve {
                children.append(
                    try Self.startResolver(
                        name: "providers-resolver", address: plan.providersResolver, outgoing: plan.provider, clients: "127.0.0.0/8",
                        launcher: plan.launcher(at: plan.provider), in: folder, zones: zones))
            }
            try await Self.waitUntilValidating(plan: plan, children: children)
        } catch {
            for child in children { await child.stop() }
            await interceptor?.stop()
            throw error
        }
        self.children = children
    }

    func stop() async {
        for child in children.reversed() { await child.stop() }
        await interceptor?.stop()
    }

    private static func startAuthoritative(
        name: String,
        address: String,
        zones: [String],
        launcher: [String],
        in folder: String,
        signed: SignedZones
    ) throws -> ChildProcess {
        // Port 53 of the server's own address: behind a resolver's stub on another port, insecure delegations become SERVFAIL.
        var text = """
            server:
                ip-address: \(address)@53
                do-ip6: no
                server-count: 1
                username: ""
                chroot: ""
                zonesdir: "\(folder)"
                pidfile: ""
                database: ""
                xfrdfile: "\(folder)/\(name).xfrd"
                xfrdir: "\(folder)"
                zonelistfile: "\(folder)/\(name).list"
                hide-version: yes
            remote-control:
                control-enable: no

            """
        for zone in zones {
            text += """
                zone:
                    name: "\(zone == "root" ? "." : zone)"
                    zonefile: "\(signed.signedFile(zone))"

                """
        }
        let file = "\(folder)/\(name).conf"
        try LabFiles.write(text, to: file)
        return try start("nsd", ["-d", "-c", file], name: name, launcher: launcher, in: folder)
    }

    private static func startResolver(
        name: String,
        address: String,
        outgoing: String,
        clients: String,
        launcher: [String],
        in folder: String,
        zones: SignedZones
    ) throws -> ChildProcess {
        // `test.` is one of the names that Unbound answers itself unless told otherwise (RFC 6303); so is localhost's network.
        let text = """
            server:
                interface: \(address)@53
                outgoing-interface: \(outgoing)
                access-control: \(clients) allow
                access-control: \(address)/32 allow
                do-not-query-localhost: no
                do-ip6: no
                do-daemonize: no
                username: ""
                chroot: ""
                directory: "\(folder)"
                pidfile: ""
                use-syslog: no
                logfile: ""
                num-threads: 1
                module-config: "validator iterator"
                root-hints: "\(zones.rootHintsFile)"
                trust-anchor-file: "\(zones.trustAnchorFile)"
                local-zone: "test." nodefault
                val-bogus-ttl: 1
                val-clean-additional: yes
                target-fetch-policy: "0 0 0 0 0"
                infra-host-ttl: 1
                serve-expired: no
            remote-control:
                control-enable: no

            """
        let file = "\(folder)/\(name).conf"
        try LabFiles.write(text, to: file)
        return try start("unbound", ["-d", "-p", "-c", file], name: name, launcher: launcher, in: folder)
    }

    private static func start(_ program: String, _ arguments: [String], name: String, launcher: [String], in folder: String) throws -> ChildProcess {
        guard let path = Command.find(program) else {
            throw LabError(.missingPrerequisite, "\(program) is not installed; run scripts/install-dependencies.sh")
        }
        return try ChildProcess(name: name, program: path, arguments: arguments, launcher: launcher, folder: folder, logFile: "\(folder)/\(name).log")
    }

    /// Asks for a signed name until the answer comes validated, and makes sure that the bogus one doesn't.
    private static func waitUntilValidating(plan: AddressPlan, children: [ChildProcess]) async throws {
        let launcher = plan.launcher(at: plan.nsresolve)
        try await Waiting.until("a validated answer of nsresolve", timeout: .seconds(20), every: 100) { () -> Bool? in
            if let dead = children.first(where: { !$0.isRunning }) {
                throw LabError(.processFailed, "\(dead.name) ended at once:\n\(dead.lastLines())")
            }
            let answers = [
                try await query(LabNames.domain, "MX", at: plan.nsresolve, launcher: launcher),
                try await query(LabNames.providerDomain, "MX", at: plan.nsresolve, launcher: launcher),
            ]
            return answers.allSatisfy { $0.isValidated && !$0.records.isEmpty } ? true : nil
        }
        let bogus = try await query(LabNames.bogusDomain, "A", at: plan.nsresolve, launcher: launcher)
        guard bogus.status == "SERVFAIL" else {
            throw LabError(.processFailed, "nsresolve answered \(bogus.status) for \(LabNames.bogusDomain): it does not validate")
        }
    }

    /// What a name server said.
    struct Answer: Sendable, Hashable {
        /// The response code, such as `NOERROR` or `SERVFAIL`; `none` without an answer.
        var status: String
        /// The AD bit: the resolver vouches that the answer is validated.
        var isValidated: Bool
        /// The records of the answer section without signatures, in dig's text form.
        var records: [String]
    }

    /// One question by `dig`, as an administrator would ask it.
    static func query(_ name: String, _ type: String, at server: String, launcher: [String] = []) async throws -> Answer {
        let options = ["+dnssec", "+time=2", "+tries=1", "+noall", "+comments", "+answer"]
        let asked = try await Command.run("dig", ["@\(server)", name, type] + options, launcher: launcher)
        var answer = Answer(status: "none", isValidated: false, records: [])
        for line in asked.outputText.split(separator: "\n") {
            if let range = line.firstRange(of: "status: ") {
                answer.status = String(line[range.upperBound...].prefix { $0.isLetter })
            } else if line.hasPrefix(";; flags:") {
                let flags = line.dropFirst(";; flags:".count).prefix { $0 != ";" }
                answer.isValidated = flags.split(separator: " ").contains("ad")
            } else if !line.hasPrefix(";") {
                let fields = line.split(whereSeparator: { $0.isWhitespace })
                if fields.count > 3, fields[3] != "RRSIG" { answer.records.append(fields.joined(separator: " ")) }
            }
        }
        return answer
    }
}
