import Gateway

/// One of Kartapuce's hosts: which box of the picture it is, what it listens on, and which others it dials.
struct HostPlan: Sendable {
    /// The box's name in the picture, without the domain: `msa`, `imap`, …
    let name: String
    let role: String
    /// Where clients and the internet reach it.
    let address: String
    /// Where the other hosts of the house reach it: another address for hosts of the DMZ that have two faces.
    let insideAddress: String
    /// What is put before its command line, so that it runs in its place.
    let launcher: [String]
    /// Kinds and ports.
    let listeners: [(kind: String, port: Int)]
    /// Whom it dials: the role, and whether the link, the control listener or both.
    let peers: [(role: String, link: Bool, control: Bool)]
    /// Whether clients or the internet see a certificate of the public authority.
    let hasPublicCertificate: Bool

    var hostname: String { "\(name).\(LabNames.domain)" }

    private init(
        name: String,
        role: String,
        address: String,
        insideAddress: String? = nil,
        in plan: AddressPlan,
        listeners: [(kind: String, port: Int)],
        peers: [(role: String, link: Bool, control: Bool)],
        hasPublicCertificate: Bool
    ) {
        self.name = name
        self.role = role
        self.address = address
        self.insideAddress = insideAddress ?? address
        launcher = plan.launcher(at: address)
        self.listeners = listeners
        self.peers = peers
        self.hasPublicCertificate = hasPublicCertificate
    }

    /// The address of a listener: links and control are for the inside only.
    func address(of listener: (kind: String, port: Int)) -> String {
        listener.kind == Self.link.kind || listener.kind == Self.control.kind ? insideAddress : address
    }

    /// All hosts, in the order in which they start: whoever is dialled first.
    ///
    /// What is dialled, and from where, is the zone rule of the architecture: of the DMZ only `mx` opens connections into the internal zone, to deliver; control
    /// goes from the inside out.
    static func all(_ plan: AddressPlan) -> [HostPlan] {
        [
            HostPlan(
                name: "imap",
                role: "store",
                address: plan.imap,
                in: plan,
                listeners: [("imaps", 993), ("imap", 143), link, control],
                peers: [("relay", true, true), ("mx", false, true), ("submission", false, true), ("internal", false, true)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "mail",
                role: "mx",
                address: plan.mail,
                insideAddress: plan.mailInside,
                in: plan,
                listeners: [("smtp", 25), ("policy", 443), link, control],
                peers: [("store", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "smtp",
                role: "relay",
                address: plan.smtp,
                insideAddress: plan.smtpInside,
                in: plan,
                listeners: [link, control],
                peers: [("mx", true, false)],
                hasPublicCertificate: false
            ),
            HostPlan(
                name: "msa",
                role: "submission",
                address: plan.msa,
                in: plan,
                listeners: [("submissions", 465), ("submission", 587), control],
                peers: [("store", true, true), ("relay", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "internalsmtp",
                role: "internal",
                address: plan.internalsmtp,
                in: plan,
                listeners: [("submissions", 465), ("submission", 587), control],
                peers: [("store", true, true), ("relay", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "webmail",
                role: "webmail",
                address: plan.webmail,
                in: plan,
                listeners: [("https", 443)],
                peers: [],
                hasPublicCertificate: true
            ),
        ]
    }

    /// Whether a flow leads from this host to the resolver. On loopback nothing keeps anybody from asking.
    private func asksResolver(_ plan: AddressPlan) -> Bool {
        guard plan.namespaces != nil, let role = ZoneRole(rawValue: role) else { return true }
        return FlowTable.flow(from: role, to: .resolver, .dns) != nil
    }

    /// The webmail has no link: it opens nothing that its users couldn't open.
    var hasLink: Bool { role != "webmail" }

    private static let link = (kind: "link", port: LabNames.linkPort)
    private static let control = (kind: "control", port: LabNames.controlPort)

    /// The host's `postern.yaml`. Paths are relative to its folder, as an operator would write them.
    func configuration(
        plan: AddressPlan, others: [HostPlan], trustAnchorFile: String, authorityFile: String, routes: [String] = [], settings: [String] = []
    ) -> String {
        var lines = [
            "# \(name) of the laboratory: \(role)",
            "hostname: \(hostname)",
            "roles: [\(role)]",
            "domains: [\(LabNames.domain)]",
            "dataFolder: data",
        ]
        if hasLink { lines.append("link: {certificate: link/link.pem, key: link/link-key.pem, authority: link/authority.pem}") }
        if hasPublicCertificate { lines.append("certificate: {certificate: public.pem, key: public-key.pem}") }
        lines.append("authorities: [\(authorityFile)]")
        lines.append("listeners:")
        lines += listeners.map { "  - {kind: \($0.kind), address: \(address(of: $0)), port: \($0.port)}" }
        if role == "webmail" {
            lines += [
                "webmail:", "  imapHost: imap.\(LabNames.domain)", "  imapAddress: \(plan.imap)", "  submissionHost: msa.\(LabNames.domain)",
                "  submissionAddress: \(plan.msa)",
            ]
        }
        if !peers.isEmpty { lines.append("peers:") }
        for peer in peers {
            guard let other = others.first(where: { $0.role == peer.role }) else { continue }
            var entry = "host: \(other.hostname), address: \(other.insideAddress)"
            if peer.link { entry += ", linkPort: \(LabNames.linkPort)" }
            if peer.control { entry += ", controlPort: \(LabNames.controlPort)" }
            lines.append("  \(peer.role): {\(entry)}")
        }
        if !routes.isEmpty { lines.append("routes:") }
        lines += routes.map { "  \($0)" }
        // On loopback every address would do, and the wrong one be chosen; in a namespace the route knows the face that an address is reached by.
        if plan.namespaces == nil { lines.append("outboundAddress: \(address)") }
        if asksResolver(plan) {
            lines += [
                "resolver:",
                "  forwarders: [\(plan.nsresolve)]",
                "  trustAnchorFile: \(trustAnchorFile)",
                "  secureProbe: \(LabNames.domain)",
                "  bogusProbe: \(LabNames.bogusDomain)",
                "  timeoutSeconds: 5s",
            ]
        }
        // The relay fetches policies of MTA-STS, and `postern check` looks from the edge; in the laboratory everybody's addresses are special ones.
        if ["relay", "mx"].contains(role) { lines.append("web: {authorities: \(authorityFile), specialNetworks: [\(plan.networks.joined(separator: ", "))]}") }
        lines += settings
        if role == "mx" {
            lines.append("mtaSTS: {mode: enforce}")
            lines.append("dns: {certificateAuthorities: [\(LabNames.authorityDomain)]}")
            lines.append("clients: {name: Kartapuce, imapHost: imap.\(LabNames.domain), submissionHost: msa.\(LabNames.domain)}")
        }
        if role == "store" { lines.append("reports: {organization: Kartapuce}") }
        lines += [
            // Waits of seconds instead of minutes: somebody is watching.
            "queue:",
            "  retrySeconds: [1s, 2s, 3s, 5s]",
            "journeys:",
            "  collectSeconds: 1s",
            "logging:",
            "  level: info",
        ]
        return lines.joined(separator: "\n") + "\n"
    }
}
