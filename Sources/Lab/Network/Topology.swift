import DNS
public import Gateway

/// The world of namespaces: who is there, on which wire.
///
/// Every host has a wire of its own to the firewall that it belongs to, and a host of the DMZ one to each of the two: nobody can speak with anybody without a
/// firewall between them, and no network joins the firewalls. The wires carry single addresses (/32 and /128), so that there is nothing else on them.
public enum Topology {
    /// A network from which hosts have addresses.
    struct Network: Sendable {
        let prefix4: String
        let prefix6: String
        func v4(_ number: Int) -> String { "\(prefix4)\(number)" }
        func v6(_ number: Int) -> String { "\(prefix6)\(number)" }
    }

    static let servers = Network(prefix4: "10.77.1.", prefix6: "fd77:0:0:1::")
    static let dmzInside = Network(prefix4: "10.77.2.", prefix6: "fd77:0:0:2::")
    static let laptops = Network(prefix4: "10.77.5.", prefix6: "fd77:0:0:5::")
    static let administration = Network(prefix4: "10.77.9.", prefix6: "fd77:0:0:9::")
    static let dmzOutside = Network(prefix4: "203.0.113.", prefix6: "2001:db8:113::")
    static let internet = Network(prefix4: "198.51.100.", prefix6: "2001:db8:51::")

    /// A network stack with its wires.
    struct Host: Sendable {
        let name: String
        let role: ZoneRole
        /// The router at the other end of each wire, with the addresses on this one.
        let wires: [(router: Router, network: Network, numbers: [Int])]

        init(_ name: String, _ role: ZoneRole, _ wires: (Router, Network, [Int])...) {
            self.name = name
            self.role = role
            self.wires = wires.map { ($0.0, $0.1, $0.2) }
        }

        var addresses: [String] { wires.flatMap { wire in wire.numbers.flatMap { [wire.network.v4($0), wire.network.v6($0)] } } }
    }

    /// The stacks that forward: the internet's backbone, and the two firewalls.
    enum Router: String, Sendable, CaseIterable {
        case backbone, outer, inner

        var address4: String {
            switch self {
            case .backbone: "198.51.100.254"
            case .outer: "203.0.113.1"
            case .inner: "10.77.0.1"
            }
        }
        var address6: String {
            switch self {
            case .backbone: "2001:db8:51::254"
            case .outer: "2001:db8:113::1"
            case .inner: "fd77::1"
            }
        }
        /// What a host reaches through it.
        var routes: [String] {
            switch self {
            case .backbone, .outer: ["default", "::/0"]
            case .inner: ["10.77.0.0/16", "fd77::/48"]
            }
        }
    }

    static let hosts: [Host] = [
        Host("provider", .internet, (.backbone, internet, [10])),
        Host("nameservers", .internet, (.backbone, internet, [1, 2, 3])),
        Host("authority", .internet, (.backbone, internet, [5])),
        Host("tom", .internet, (.backbone, internet, [103])),
        Host("attacker", .internet, (.backbone, internet, [166])),
        Host("smtp", .relay, (.outer, dmzOutside, [10]), (.inner, dmzInside, [10])),
        Host("mail", .mx, (.outer, dmzOutside, [20]), (.inner, dmzInside, [20])),
        Host("webmail", .webmail, (.outer, dmzOutside, [30]), (.inner, dmzInside, [30])),
        Host("nsresolve", .resolver, (.outer, dmzOutside, [53]), (.inner, dmzInside, [53])),
        Host("msa", .submission, (.inner, servers, [10])),
        Host("internalsmtp", .internal, (.inner, servers, [20])),
        Host("imap", .store, (.inner, servers, [30])),
        Host("laptops", .laptop, (.inner, laptops, [101, 102])),
        Host("administration", .administration, (.inner, administration, [10])),
    ]

    /// The host from which a role's view is tried: for the internet the attacker's.
    static func host(of role: ZoneRole) -> Host? { hosts.last { $0.role == role } }

    /// The house's plan, as `postern zones` reads it.
    ///
    /// - Parameter servedOnly: leaves out what no daemon of the laboratory answers: IPv6 and the administrators' ssh.
    public static func zonePlan(servedOnly: Bool = false) -> ZonePlan {
        func networks(_ network: Network, _ numbers: [Int]) -> [IPNetwork] {
            numbers.flatMap { servedOnly ? [network.v4($0)] : [network.v4($0), network.v6($0)] }.compactMap { IPNetwork($0) }
        }
        var plan = ZonePlan()
        plan.linkPort = LabNames.linkPort
        plan.controlPort = LabNames.controlPort
        plan.hasPolicies = true
        for host in hosts where host.role != .administration || !servedOnly {
            // Of the internet, those that have something to offer.
            if host.role == .internet, !["provider", "nameservers"].contains(host.name) { continue }
            var place = plan.places[host.role] ?? .init()
            for wire in host.wires {
                switch wire.router {
                case .backbone: place.outside += networks(wire.network, host.name == "nameservers" ? [3] : wire.numbers)
                case .outer: place.outside += networks(wire.network, wire.numbers)
                case .inner: place.inside += networks(wire.network, wire.numbers)
                }
            }
            plan.places[host.role] = place
        }
        return plan
    }
}
