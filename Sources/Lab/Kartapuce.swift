import Foundation
import Gateway

/// Kartapuce as in the picture: five Postern hosts in two zones, the private resolver, and a small internet with a provider, all on loopback addresses of one
/// machine.
///
/// Every host is a process of its own with its own configuration, data folder and certificate; nothing here reaches into them but what an operator
/// has too: configuration files, signals, the `postern` commands, and the ports.
public actor Kartapuce {
    /// What can be chosen.
    public struct Options: Sendable {
        /// The `postern` binary whose hosts are started.
        public var binary: String
        public var plan: AddressPlan
        /// Whether every host gets a network namespace, with firewalls between the zones; the plan is that world's then.
        public var inNamespaces: Bool
        /// The systemd units that the hosts run under; `nil` for none.
        public var units: PlayedUnits?
        /// Where everything is kept; `nil` for a new folder for temporary files.
        public var folder: String?
        /// Whether the folder stays after ``Kartapuce/stop()``.
        public var keepsFolder: Bool
        /// Further organisations that the DNS knows; their servers are started by whoever names them.
        public var neighbours: [Neighbour] = []
        /// Routes of the relay, each as it is written in its `postern.yaml`.
        public var relayRoutes: [String] = []
        /// Further lines of the relay's `postern.yaml`.
        var relaySettings: [String] = []
        /// Attacks that are to be played, each on a domain of the provider's for it alone; on loopback only.
        var attacks: [AttackCase] = []

        public init(
            binary: String, plan: AddressPlan = .init(), inNamespaces: Bool = false, units: PlayedUnits? = nil, folder: String? = nil, keepsFolder: Bool = false
        ) {
            self.binary = binary
            self.plan = plan
            self.inNamespaces = inNamespaces
            self.units = units
            self.folder = folder
            self.keepsFolder = keepsFolder
        }
    }

    /// The people of Kartapuce with their passwords. They are no secrets: the laboratory is reachable from this machine only.
    public static let people = [
        MailClient.Login(user: "bob@kartapuce.test", password: "bobs-lab-password"),
        MailClient.Login(user: "jack@kartapuce.test", password: "jacks-lab-password"),
    ]
    public static var bob: MailClient.Login { people[0] }
    public static var jack: MailClient.Login { people[1] }

    public nonisolated let plan: AddressPlan
    /// The `postern` binary of the hosts.
    nonisolated let binary: String
    /// Everything that the laboratory writes is below this folder.
    public nonisolated let folder: String
    public nonisolated let provider: MailProvider
    /// The web server with the provider's policy of MTA-STS.
    nonisolated let policyHost: PolicyHost
    private let revocationHost: RevocationHost
    /// The hosts, in the order in which they were started.
    public nonisolated let hosts: [PosternHost]
    /// The authority of the certificates that mail clients see (PEM).
    public nonisolated var authorityFile: String { authority.certificateFile }
    nonisolated let authority: PublicAuthority
    nonisolated let servers: NameServers
    /// The namespaces; `nil` on loopback.
    private let world: NamespaceWorld?
    private let keepsFolder: Bool

    private init(
        plan: AddressPlan,
        binary: String,
        folder: String,
        provider: MailProvider,
        policyHost: PolicyHost,
        revocationHost: RevocationHost,
        hosts: [PosternHost],
        authority: PublicAuthority,
        servers: NameServers,
        world: NamespaceWorld?,
        keepsFolder: Bool
    ) {
        self.plan = plan
        self.binary = binary
        self.folder = folder
        self.provider = provider
        self.policyHost = policyHost
        self.revocationHost = revocationHost
        self.hosts = hosts
        self.authority = authority
        self.servers = servers
        self.world = world
        self.keepsFolder = keepsFolder
    }

    /// Brings everything up, each part once those that it needs answer.
    ///
    /// - Parameter report: gets a line for each step.
    /// - Throws: ``LabError``; what was started is stopped again.
    public static func start(_ options: Options, report: @escaping @Sendable (String) -> Void = { _ in }) async throws -> Kartapuce {
        guard options.inNamespaces else { return try await start(options, in: nil, report: report) }
        report("Zones: making a network namespace for each host, two firewalls between them, and their rules (postern zones)")
        let world = try await NamespaceWorld()
        var options = options
        options.plan = world.plan
        do {
            return try await start(options, in: world, report: report)
        } catch {
            await world.stop()
            throw error
        }
    }

    private static func start(_ options: Options, in world: NamespaceWorld?, report: @escaping @Sendable (String) -> Void) async throws -> Kartapuce {
        let prerequisites = Prerequisites(plan: options.plan)
        try await prerequisites.check()
        let folder = try options.folder.map { try ownFolder($0) } ?? LabFiles.temporaryFolder("lab")
        var started: [@Sendable () async -> Void] = []
        do {
            report("DNS: signing the zones; starting the name servers and the validating resolver at \(options.plan.nsresolve)")
            let signingRecords = try await HostSetup.makeSigningKeys(binary: options.binary, folder: folder)
            let authority = try await PublicAuthority(folder: "\(folder)/public-authority")
            let providersCertificate = try await MailProvider.certificate(
                by: authority, plan: options.plan, furtherNames: options.attacks.flatMap(\.certificateNames))
            let edgesCertificate = try await HostSetup.edgesCertificate(by: authority, plan: options.plan)
            let servers = try await NameServers(
                plan: options.plan, folder: "\(folder)/dns", neighbours: options.neighbours, signingRecords: signingRecords,
                providersKeyDigest: try providersCertificate.keyDigest(), edgesKeyDigest: try edgesCertificate.keyDigest(), units: options.units,
                attacks: options.attacks)
            started.append { await servers.stop() }
            report("Provider: starting Postfix as \(LabNames.providerHost) at \(options.plan.provider), and the host of its policy of MTA-STS")
            let provider = try await MailProvider(
                plan: options.plan, folder: "\(folder)/provider", authority: authority, certificate: providersCertificate,
                attacks: options.attacks)
            started.append { await provider.stop() }
            try await provider.start()
            let policyHost = try PolicyHost(name: "policy-host", address: options.plan.policyHost, plan: options.plan, folder: "\(folder)/policy-host")
            started.append { await policyHost.stop() }
            let policyName = "mta-sts.\(LabNames.providerDomain)"
            try await policyHost.publish(
                .init(
                    policy: PolicyHost.policy(exchangers: [LabNames.providerHost]),
                    certificate: try await authority.issue(host: policyName, names: [policyName], addresses: [])), at: policyName)
            try await policyHost.start()
            let revocationHost = try await RevocationHost(plan: options.plan, authority: authority, folder: "\(folder)/revocation-host")
            started.append { await revocationHost.stop() }
            let hosts = try await HostSetup(
                options: options, folder: folder, authority: authority, edgesCertificate: edgesCertificate, zones: servers.zones
            ).make(report: report)
            for host in hosts {
                report("Kartapuce: starting \(host.plan.hostname) (\(host.plan.role)) at \(host.plan.address)")
                started.append { await host.stop() }
                try await host.start()
            }
            try await edgeKnowsItsRecipients(hosts, report: report)
            return Kartapuce(
                plan: options.plan,
                binary: options.binary,
                folder: folder,
                provider: provider,
                policyHost: policyHost,
                revocationHost: revocationHost,
                hosts: hosts,
                authority: authority,
                servers: servers,
                world: world,
                keepsFolder: options.keepsFolder
            )
        } catch {
            let stops = started
            await uncancelled { for stop in stops.reversed() { await stop() } }
            if !options.keepsFolder { LabFiles.remove(folder) }
            throw error
        }
    }

    /// The edge defers all mail until the inside has told it the digests of its recipients.
    private static func edgeKnowsItsRecipients(_ hosts: [PosternHost], report: @Sendable (String) -> Void) async throws {
        guard let store = hosts.first(where: { $0.plan.role == "store" }) else { return }
        report("Kartapuce: \(store.plan.hostname) publishes the digests of its recipients to the edge")
        try await Waiting.until("the edge knowing its recipients", timeout: .seconds(30)) { () -> Bool? in
            try LabFiles.readText(store.logFile).contains("recipients published to the edge") ? true : nil
        }
    }

    /// A folder that somebody named has to be new or empty: the laboratory removes it at its end.
    private static func ownFolder(_ path: String) throws -> String {
        let absolute = path.hasPrefix("/") ? path : "\(FileManager.default.currentDirectoryPath)/\(path)"
        guard LabFiles.list(absolute).isEmpty else {
            throw LabError(.file, "\(absolute) isn't empty; name a new folder, because the laboratory fills it and removes it at its end")
        }
        try LabFiles.makeFolder(absolute)
        return absolute
    }

    /// Stops everything in reverse order, and removes the folder unless it shall stay.
    public func stop() async {
        let (hosts, provider, policyHost, revocationHost, servers, world) = (hosts, provider, policyHost, revocationHost, servers, world)
        await uncancelled {
            for host in hosts.reversed() { await host.stop() }
            await revocationHost.stop()
            await policyHost.stop()
            await provider.stop()
            await servers.stop()
            await world?.stop()
        }
        if !keepsFolder { LabFiles.remove(folder) }
    }

    /// A host by its name in the picture, such as `mail`.
    public nonisolated func host(_ name: String) throws -> PosternHost {
        guard let host = hosts.first(where: { $0.name == name }) else { throw LabError(.processFailed, "there is no host \(name)") }
        return host
    }

    /// People's mail program.
    public nonisolated var client: MailClient { MailClient(plan: plan, authorityFile: authorityFile) }

    public nonisolated var msaServer: MailClient.Server { server("msa", plan.msa, 465, .implicitTLS) }
    public nonisolated var internalServer: MailClient.Server { server("internalsmtp", plan.internalsmtp, 465, .implicitTLS) }
    public nonisolated var imapServer: MailClient.Server { server("imap", plan.imap, 993, .implicitTLS) }
    /// Where the internet brings Kartapuce's mail.
    public nonisolated var inboundServer: MailClient.Server { server("mail", plan.mail, 25, .startTLS) }
    /// Where Tom submits: his provider, in whose network he is.
    public nonisolated var providerServer: MailClient.Server {
        .init(host: LabNames.providerHost, address: plan.provider, port: 25, security: .startTLS)
    }

    private nonisolated func server(_ name: String, _ address: String, _ port: Int, _ security: MailClient.Server.Security) -> MailClient.Server {
        .init(host: "\(name).\(LabNames.domain)", address: address, port: port, security: security)
    }

    /// Tries from each role's host what it may reach and what it must not, with the hosts' own listeners at the other ends (postern zones verify).
    ///
    /// - Returns: the last line of each role's verification.
    /// - Throws: ``LabError`` with everything that is wrong; on loopback, where there are no firewalls.
    public nonisolated func verifyZones() async throws -> [String] {
        guard plan.namespaces != nil else { throw LabError(.processFailed, "there are no firewalls on loopback: start the laboratory in namespaces") }
        let zones = Topology.zonePlan(servedOnly: true)
        let file = "\(folder)/zones.yaml"
        try LabFiles.write(zones.yaml, to: file)
        var lines: [String] = []
        for role in ZoneRole.allCases {
            guard zones.places[role] != nil, let host = Topology.host(of: role) else { continue }
            var arguments = ["zones", "verify", "--zones", file, "--as", role.rawValue]
            if let posternHost = hosts.first(where: { $0.plan.role == role.rawValue }) { arguments += ["--config", posternHost.configurationFile] }
            let launcher = host.addresses.first.map(plan.launcher) ?? []
            let tried = try await Command.run(binary, arguments, launcher: launcher, timeout: .seconds(120))
            guard tried.succeeded else { throw LabError(.processFailed, "the zones are not as they should be:\n\(tried.outputText)\(tried.errors)") }
            lines += tried.outputText.split(separator: "\n").map(String.init)
        }
        return lines
    }

    /// Runs the use case; see ``UseCase``.
    public nonisolated func runUseCase(seed: UInt64 = 1, report: @escaping @Sendable (String) -> Void = { _ in }) async -> [ScenarioResult] {
        await UseCase(self, seed: seed, report: report).run()
    }
}
