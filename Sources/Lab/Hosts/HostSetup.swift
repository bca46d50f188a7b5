import Foundation

/// Does for each host what an operator does once: folder, certificates, configuration; and makes the accounts on the store.
struct HostSetup: Sendable {
    let options: Kartapuce.Options
    let folder: String
    let authority: PublicAuthority
    /// That of the host `mail`, which has to be there before the zone that names its key.
    let edgesCertificate: PublicAuthority.Issued
    let zones: SignedZones

    /// Makes Kartapuce's DKIM keys where the relay looks for them (`postern dkim generate`), and returns the records to publish.
    static func makeSigningKeys(binary: String, folder: String) async throws -> [String] {
        let keys = "\(folder)/smtp/data/dkim"
        try LabFiles.makeFolder("\(folder)/smtp/data", permissions: 0o700)
        let made = try await Command.require(binary, ["dkim", "generate", "--folder", keys, "--domain", LabNames.domain, "--active"])
        return made.outputText.split(separator: "\n").map(String.init)
    }

    /// The certificate of Kartapuce's edge, by the authority that everybody trusts.
    static func edgesCertificate(by authority: PublicAuthority, plan: AddressPlan) async throws -> PublicAuthority.Issued {
        let host = "mail.\(LabNames.domain)"
        // It hosts the policy, and tells mail programs their settings: at the domain itself, too.
        let names = [host, LabNames.domain] + ["mta-sts", "autoconfig", "autodiscover"].map { "\($0).\(LabNames.domain)" }
        return try await authority.issue(host: host, names: names, addresses: [plan.mail])
    }

    private var pkiFolder: String { "\(folder)/pki" }

    func make(report: @Sendable (String) -> Void) async throws -> [PosternHost] {
        report("Links: making the internal authority and a certificate for each host (postern pki)")
        try LabFiles.makeFolder(pkiFolder, permissions: 0o700)
        try await Command.require(options.binary, ["pki", "init", "--folder", "\(pkiFolder)/authority"])
        let plans = HostPlan.all(options.plan)
        var hosts: [PosternHost] = []
        for plan in plans {
            let place = "\(folder)/\(plan.name)"
            let unit = options.units?.launcher(unit: "postern-\(plan.role)", state: "\(place)/data", readable: folder) ?? []
            let host = PosternHost(plan: plan, folder: place, binary: options.binary, addresses: options.plan, launcher: plan.launcher + unit)
            try LabFiles.makeFolder("\(host.folder)/data", permissions: 0o700)
            if plan.hasLink {
                try await Command.require(
                    options.binary,
                    [
                        "pki", "issue", "--folder", "\(pkiFolder)/authority", "--host", plan.hostname, "--role", plan.role, "--out",
                        "\(host.folder)/link",
                    ]
                )
            }
            if plan.hasPublicCertificate {
                let issued =
                    plan.role == "mx"
                    ? edgesCertificate : try await authority.issue(host: plan.hostname, names: [plan.hostname], addresses: [plan.address])
                try LabFiles.write(try LabFiles.read(issued.certificate), to: "\(host.folder)/public.pem")
                try LabFiles.write(try LabFiles.read(issued.key), to: "\(host.folder)/public-key.pem", permissions: 0o600)
            }
            try LabFiles.write(
                plan.configuration(
                    plan: options.plan,
                    others: plans,
                    trustAnchorFile: zones.trustAnchorFile,
                    authorityFile: authority.certificateFile,
                    routes: plan.role == "relay" ? options.relayRoutes : [],
                    settings: plan.role == "relay" ? options.relaySettings : []
                ),
                to: host.configurationFile
            )
            let checked = try await host.command(["config", "check"])
            guard checked.succeeded else {
                throw LabError(.processFailed, "the configuration of \(plan.hostname) is refused:\n\(checked.errors)\(checked.outputText)")
            }
            hosts.append(host)
        }
        try await addPeople(hosts, report: report)
        if options.units != nil {
            for host in hosts { try await PlayedUnits.handOver(host.folder) }
        }
        return hosts
    }

    private func addPeople(_ hosts: [PosternHost], report: @Sendable (String) -> Void) async throws {
        guard let store = hosts.first(where: { $0.plan.role == "store" }) else { return }
        report("Accounts: \(Kartapuce.people.map(\.user).joined(separator: ", ")) (postern user add)")
        for person in Kartapuce.people {
            let added = try await store.command(["user", "add", person.user, "--password-stdin"], input: person.password + "\n")
            guard added.succeeded else { throw LabError(.processFailed, "postern user add \(person.user): \(added.errors)") }
        }
    }
}
