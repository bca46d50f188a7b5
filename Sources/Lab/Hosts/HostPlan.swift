/// One of Kartapuce's hosts: which box of the picture it is, what it listens on, and which others it dials.
struct HostPlan: Sendable {
    /// The box's name in the picture, without the domain: `msa`, `imap`, …
    let name: String
    let role: String
    let address: String
    /// Kinds and ports.
    let listeners: [(kind: String, port: Int)]
    /// Whom it dials: the role, and whether the link, the control listener or both.
    let peers: [(role: String, link: Bool, control: Bool)]
    /// Whether clients or the internet see a certificate of the public authority.
    let hasPublicCertificate: Bool

    var hostname: String { "\(name).\(LabNames.domain)" }

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
                listeners: [("imaps", 993), ("imap", 143), link, control],
                peers: [("relay", true, true), ("mx", false, true), ("submission", false, true), ("internal", false, true)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "mail",
                role: "mx",
                address: plan.mail,
                listeners: [("smtp", 25), link, control],
                peers: [("store", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "smtp",
                role: "relay",
                address: plan.smtp,
                listeners: [link, control],
                peers: [("mx", true, false)],
                hasPublicCertificate: false
            ),
            HostPlan(
                name: "msa",
                role: "submission",
                address: plan.msa,
                listeners: [("submissions", 465), ("submission", 587), control],
                peers: [("store", true, true), ("relay", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(
                name: "internalsmtp",
                role: "internal",
                address: plan.internalsmtp,
                listeners: [("submissions", 465), ("submission", 587), control],
                peers: [("store", true, true), ("relay", true, false)],
                hasPublicCertificate: true
            ),
            HostPlan(name: "webmail", role: "webmail", address: plan.webmail, listeners: [("https", 443)], peers: [], hasPublicCertificate: true),
        ]
    }

    /// The webmail has no link: it opens nothing that its users couldn't open.
    var hasLink: Bool { role != "webmail" }

    private static let link = (kind: "link", port: LabNames.linkPort)
    private static let control = (kind: "control", port: LabNames.controlPort)

    /// The host's `postern.yaml`. Paths are relative to its folder, as an operator would write them.
    func configuration(plan: AddressPlan, others: [HostPlan], trustAnchorFile: String, authorityFile: String, routes: [String] = []) -> String {
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
        lines += listeners.map { "  - {kind: \($0.kind), address: \(address), port: \($0.port)}" }
        if role == "webmail" {
            lines += [
                "webmail:", "  imapHost: imap.\(LabNames.domain)", "  imapAddress: \(plan.imap)", "  submissionHost: msa.\(LabNames.domain)",
                "  submissionAddress: \(plan.msa)",
            ]
        }
        if !peers.isEmpty { lines.append("peers:") }
        for peer in peers {
            guard let other = others.first(where: { $0.role == peer.role }) else { continue }
            var entry = "host: \(other.hostname), address: \(other.address)"
            if peer.link { entry += ", linkPort: \(LabNames.linkPort)" }
            if peer.control { entry += ", controlPort: \(LabNames.controlPort)" }
            lines.append("  \(peer.role): {\(entry)}")
        }
        if !routes.isEmpty { lines.append("routes:") }
        lines += routes.map { "  \($0)" }
        lines += [
            "outboundAddress: \(address)",
            "resolver:",
            "  forwarders: [\(plan.nsresolve)]",
            "  trustAnchorFile: \(trustAnchorFile)",
            "  secureProbe: \(LabNames.domain)",
            "  bogusProbe: \(LabNames.bogusDomain)",
            "  timeoutSeconds: 5s",
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
