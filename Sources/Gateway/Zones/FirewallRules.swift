import DNS

/// Rule sets for nftables, made from ``FlowTable``: for the two firewalls, and for each host as a second line behind them.
///
/// Every rule set allows the listed flows and the replies to them and refuses the rest, in both directions. It replaces its own table as a whole and in one
/// transaction, and touches no other table.
public struct FirewallRules: Sendable {
    private let plan: ZonePlan

    public init(plan: ZonePlan) { self.plan = plan }

    /// The rules of a firewall.
    public func firewall(_ firewall: ZoneFirewall) -> String {
        let flows = plan.flows.filter { $0.firewall == firewall }
        let administration = (plan.places[.administration]?.inside ?? []) + (plan.places[.administration]?.outside ?? [])
        let chains = [
            // An address that wouldn't be answered through the interface where it came in is forged (BCP 38).
            chain(
                "prerouting", "type filter hook prerouting priority raw; policy accept;",
                neighbours + ["fib saddr . iif oif missing counter drop comment \"forged source\""]),
            chain("forward", "type filter hook forward priority filter; policy drop;", stateful + flows.flatMap(rules) + refuse(firewall.rawValue)),
            // The firewall itself is nobody's partner but the administrators'.
            chain(
                "input", "type filter hook input priority filter; policy drop;",
                ["iif \"lo\" accept"] + stateful + neighbours
                    + accept(from: administration, to: nil, service: .ssh, comment: "F9 administration to the firewall")),
        ]
        return table("The \(firewall.rawValue) firewall", chains)
    }

    /// The rules of a host that plays these roles: with them, a program on the host that isn't Postern's can't do more than the firewalls allow either.
    public func host(_ roles: Set<ZoneRole>) -> String {
        let name = roles.map(\.rawValue).sorted().joined(separator: "+")
        let inbound = plan.flows.filter { roles.contains($0.to) && !roles.contains($0.from) }
        let outbound = plan.flows.filter { roles.contains($0.from) && !roles.contains($0.to) }
        return table(
            "The host with \(name)",
            [
                chain(
                    "input", "type filter hook input priority filter; policy drop;",
                    ["iif \"lo\" accept"] + stateful + neighbours + inbound.flatMap(rules) + refuse("\(name) in")),
                chain(
                    "output", "type filter hook output priority filter; policy drop;",
                    ["oif \"lo\" accept"] + stateful + neighbours + outbound.flatMap(rules) + refuse("\(name) out")),
                chain("forward", "type filter hook forward priority filter; policy drop;", ["counter drop comment \"a host is no router\""]),
            ])
    }

    // MARK: Rules

    /// Replies, and the ICMP errors that belong to a connection: without them path MTU discovery fails (RFC 4890 §4.3.1).
    private var stateful: [String] { ["ct state established,related accept", "ct state invalid counter drop"] }

    /// IPv6 finds its neighbours by ICMP (RFC 4890 §4.4.1).
    private var neighbours: [String] {
        ["icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert, nd-router-solicit, nd-router-advert } ip6 hoplimit 255 accept"]
    }

    /// An answer instead of silence: a program that tries something forbidden learns it at once, and so does the operator who reads its log.
    private func refuse(_ name: String) -> [String] {
        [
            "limit rate 5/second burst 20 packets log prefix \"postern zones \(name): \"", "meta l4proto tcp counter reject with tcp reset",
            "counter reject with icmpx admin-prohibited",
        ]
    }

    private func rules(_ flow: Flow) -> [String] {
        accept(
            from: plan.sources(of: flow), to: plan.targets(of: flow), service: flow.service,
            comment: "\(flow.id) \(flow.from.rawValue) to \(flow.to.rawValue) \(flow.service.rawValue)")
    }

    /// A rule for each version of IP; `nil` is the internet: whoever isn't of the house.
    private func accept(from: [IPNetwork]?, to: [IPNetwork]?, service: ZoneService, comment: String) -> [String] {
        [false, true].compactMap { isIPv6 in
            guard let source = match("saddr", from, isIPv6), let target = match("daddr", to, isIPv6) else { return nil }
            let transports = service.transports.map(\.rawValue).joined(separator: ", ")
            return "\(source) \(target) meta l4proto { \(transports) } th dport \(plan.port(service)) ct state new counter accept comment \"\(comment)\""
        }
    }

    private func match(_ field: String, _ networks: [IPNetwork]?, _ isIPv6: Bool) -> String? {
        let family = isIPv6 ? "ip6" : "ip"
        guard let networks else { return "\(family) \(field) != @house\(isIPv6 ? "6" : "4")" }
        let wanted = networks.filter { $0.isIPv6 == isIPv6 }
        return wanted.isEmpty ? nil : "\(family) \(field) { \(wanted.map(\.written).joined(separator: ", ")) }"
    }

    // MARK: Text

    private func chain(_ name: String, _ hook: String, _ rules: [String]) -> String {
        (["    chain \(name) {", "        \(hook)"] + rules.map { "        \($0)" } + ["    }"]).joined(separator: "\n")
    }

    private func set(_ isIPv6: Bool) -> String {
        let elements = Set(plan.house.filter { $0.isIPv6 == isIPv6 }.map(\.written)).sorted()
        var lines = ["    set house\(isIPv6 ? "6" : "4") {", "        type ipv\(isIPv6 ? "6" : "4")_addr", "        flags interval", "        auto-merge"]
        if !elements.isEmpty { lines.append("        elements = { \(elements.joined(separator: ", ")) }") }
        return (lines + ["    }"]).joined(separator: "\n")
    }

    private func table(_ what: String, _ chains: [String]) -> String {
        // Naming the table before deleting it makes the first time no error; all of the file is one transaction.
        let opening = [
            "# \(what): made by postern zones nftables. Load it with nft -f.", "table inet postern_zones", "delete table inet postern_zones",
            "table inet postern_zones {",
        ]
        return (opening + [set(false), set(true)] + chains + ["}", ""]).joined(separator: "\n")
    }
}
