import DNS
import Gateway
import TransportSecurity

/// The zones of the laboratory's small internet, from a root of its own down to the organisations, signed with DNSSEC.
///
/// - `.`, `test.`, `kartapuce.test.` and `gmail.test.`: each signed, each vouched for by a DS record of its parent; the root's key is the trust anchor.
/// - `bogus.test.`: signed, but its parent vouches for another key: a validating resolver must refuse every answer.
struct SignedZones: Sendable {
    let plan: AddressPlan
    /// The folder for zone files and keys.
    let folder: String
    var neighbours: [Neighbour] = []
    /// The records of Kartapuce's DKIM keys, as `postern dkim records` prints them.
    var signingRecords: [String] = []
    /// The digest of the provider's key, which its TLSA record has; `nil` where there is no such record.
    var providersKeyDigest: String?
    /// The same of Kartapuce's edge.
    var edgesKeyDigest: String?

    /// Attacks that are to be played, each on a domain of the provider's.
    var attacks: [AttackCase] = []

    /// The zones below `test.` that their parent vouches for.
    var organisations: [String] { [LabNames.domain, LabNames.providerDomain] + neighbours.map(\.domain) }

    /// Those that nobody signed and nobody vouches for.
    var unsigned: [String] { attacks.isEmpty ? [] : [LabNames.unsignedDomain, LabNames.attackersDomain] }

    var trustAnchorFile: String { "\(folder)/root.key" }
    var rootHintsFile: String { "\(folder)/root.hints" }

    /// The file of a signed zone. Names are those of the zone without the final dot; `root` for the root.
    func signedFile(_ zone: String) -> String { "\(folder)/\(zone).zone.signed" }

    /// Writes and signs all zones, leaves first: a parent needs its children's DS records before it is signed.
    func make() async throws {
        try LabFiles.makeFolder(folder)
        var delegations = [try await sign(zone: LabNames.domain, records: kartapuceRecords)]
        delegations.append(try await sign(zone: LabNames.providerDomain, records: gmailRecords))
        for neighbour in neighbours { delegations.append(try await sign(zone: neighbour.domain, records: neighbour.records)) }
        _ = try await sign(zone: LabNames.bogusDomain, records: bogusRecords)
        // Deliberate: the parent vouches for a key that never signed the zone.
        let strangersKey = try await makeKey(zone: LabNames.bogusDomain)
        let strangersDS = try LabFiles.readText("\(folder)/\(strangersKey).ds")
        try makeUnsigned(attacks.filter { !$0.isSigned }.flatMap { $0.records(plan, keyDigest: providersKeyDigest ?? "") }, zone: LabNames.unsignedDomain)
        try makeUnsigned(attacks.map { "\($0.attackersExchanger). IN A \($0.attackersAddress(plan))" }, zone: LabNames.attackersDomain)
        let zones = organisations + [LabNames.bogusDomain] + unsigned
        let test = try await sign(
            zone: "test",
            records: (delegations + [strangersDS]).map(trimmed)
                + zones.map { "\($0). IN NS ns.\($0)." }
                + zones.map { "ns.\($0). IN A \(plan.leafNameServer)" }
                + ["\(LabNames.authorityDomain). IN A \(plan.revocationHost)"],
            nameServerAddress: plan.testNameServer
        )
        _ = try await sign(
            zone: ".",
            records: [trimmed(test), "test. IN NS ns.test.", "ns.test. IN A \(plan.testNameServer)"],
            nameServerAddress: plan.rootNameServer
        )
        try LabFiles.write(". 3600000 IN NS ns.\nns. 3600000 IN A \(plan.rootNameServer)\n", to: rootHintsFile)
    }

    private var kartapuceRecords: [String] {
        [
            "@ IN A \(plan.mail)",
            "@ IN MX 10 mail",
            "@ IN TXT \"v=spf1 ip4:\(plan.smtp) -all\"",
            "_dmarc IN TXT \"v=DMARC1; p=reject; adkim=s; aspf=s; rua=mailto:dmarc-reports@kartapuce.test\"",
            "_smtp._tls IN TXT \"v=TLSRPTv1; rua=mailto:dmarc-reports@kartapuce.test\"",
            "@ IN CAA 0 issue \"\(LabNames.authorityDomain)\"",
            "mta-sts IN A \(plan.mail)",
            "autoconfig IN A \(plan.mail)",
            "autodiscover IN A \(plan.mail)",
            "_autodiscover._tcp IN SRV 0 1 443 mail",
            "_submissions._tcp IN SRV 0 1 465 msa",
            "_imaps._tcp IN SRV 0 1 993 imap",
            "mail IN A \(plan.mail)",
            "smtp IN A \(plan.smtp)",
            "nsresolve IN A \(plan.nsresolve)",
            "msa IN A \(plan.msa)",
            "internalsmtp IN A \(plan.internalsmtp)",
            "imap IN A \(plan.imap)",
            "webmail IN A \(plan.webmail)",
        ] + ["mail", "smtp", "msa", "internalsmtp", "imap", "webmail"].map { "\($0) IN TXT \"v=spf1 a -all\"" } + signingRecords
            + (edgesKeyDigest.map { ["_25._tcp.mail IN TLSA 3 1 1 \($0)"] } ?? []) + policyRecords
    }

    /// The record of MTA-STS names the edition of the policy that the host `mail` serves.
    private var policyRecords: [String] {
        guard let domain = try? DomainName(LabNames.domain) else { return [] }
        var edge = Configuration()
        edge.hostname = "mail.\(LabNames.domain)"
        edge.roles = [.mx]
        edge.domains = [domain]
        edge.mtaSTS = .init()
        edge.mtaSTS?.mode = .enforce
        return MTASTSHosting(edge).record(for: domain).map { ["_mta-sts IN TXT \"\($0)\""] } ?? []
    }

    private var gmailRecords: [String] {
        [
            "@ IN A \(plan.provider)",
            "@ IN MX 10 mail",
            "@ IN TXT \"v=spf1 ip4:\(plan.provider) -all\"",
            "_dmarc IN TXT \"v=DMARC1; p=none; sp=quarantine\"",
            "mail IN A \(plan.provider)",
            "mail IN TXT \"v=spf1 a -all\"",
            // Whoever delivers to Tom can know that it is his provider: by DANE, or where nobody validates, by MTA-STS.
            "_mta-sts IN TXT \"v=STSv1; id=\(PolicyHost.firstEdition)\"",
            "mta-sts IN A \(plan.policyHost)",
        ] + (providersKeyDigest.map { ["_25._tcp.mail IN TLSA 3 1 1 \($0)"] } ?? [])
            + attacks.filter(\.isSigned).flatMap { $0.records(plan, keyDigest: providersKeyDigest ?? "") }
    }

    private var bogusRecords: [String] {
        ["@ IN A \(plan.attacker)", "@ IN MX 10 mail", "mail IN A \(plan.attacker)"]
    }

    /// Writes a zone that isn't signed where signed ones are.
    private func makeUnsigned(_ records: [String], zone: String) throws {
        try LabFiles.write(text(zone: zone, records: records), to: signedFile(zone))
    }

    /// A zone with its SOA and NS records.
    private func text(zone: String, records: [String], nameServerAddress: String? = nil) -> String {
        let isRoot = zone == "."
        let origin = isRoot ? "." : "\(zone)."
        let nameServer = isRoot ? "ns." : "ns.\(zone)."
        let lines =
            [
                "$ORIGIN \(origin)", "$TTL 60",
                "@ IN SOA \(nameServer) hostmaster.\(isRoot ? "" : origin) 1 3600 600 86400 60",
                "@ IN NS \(nameServer)",
                "\(nameServer) IN A \(nameServerAddress ?? plan.leafNameServer)",
            ] + records
        return lines.joined(separator: "\n") + "\n"
    }

    /// Writes a zone with its SOA and NS records, makes its key, signs it, and returns its DS record.
    private func sign(zone: String, records: [String], nameServerAddress: String? = nil) async throws -> String {
        let isRoot = zone == "."
        let origin = isRoot ? "." : "\(zone)."
        let name = isRoot ? "root" : zone
        let file = "\(folder)/\(name).zone"
        try LabFiles.write(text(zone: zone, records: records, nameServerAddress: nameServerAddress), to: file)
        let key = try await makeKey(zone: zone)
        try await Command.require("ldns-signzone", ["-o", origin, "-f", signedFile(name), file, key], folder: folder)
        if isRoot { try LabFiles.write(try LabFiles.readText("\(folder)/\(key).key"), to: trustAnchorFile) }
        return try LabFiles.readText("\(folder)/\(key).ds")
    }

    /// Makes a key that signs a zone and its keys (one key for both is enough for a zone that never rolls over), and returns its base name.
    private func makeKey(zone: String) async throws -> String {
        let made = try await Command.require("ldns-keygen", ["-a", "ECDSAP256SHA256", "-k", zone], folder: folder)
        return trimmed(made.outputText)
    }

    private func trimmed(_ text: String) -> String {
        var text = Substring(text)
        while let last = text.last, last.isWhitespace { text.removeLast() }
        return String(text)
    }
}
