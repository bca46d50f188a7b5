/// A connection that the architecture needs: who opens it, to whom, and what for. Replies belong to it; everything else is forbidden.
public struct Flow: Sendable, Hashable, Codable {
    /// F1 to F11 as in the requirements' list of flows; D and I for those inside the DMZ and inside the internal zone, which that list leaves to the product.
    public let id: String
    public let from: ZoneRole
    public let to: ZoneRole
    public let service: ZoneService
    public let why: String
}

/// All flows of a Postern house: the one table that the firewalls' rules, `postern zones verify`, the tests and the documentation are made from.
public enum FlowTable {
    /// What isn't listed is forbidden.
    public static let flows: [Flow] = {
        func flow(_ id: String, _ from: ZoneRole, _ to: ZoneRole, _ services: ZoneService..., why: String) -> [Flow] {
            services.map { Flow(id: id, from: from, to: to, service: $0, why: why) }
        }
        var flows: [Flow] = []
        flows += flow("F1", .internet, .mx, .smtp, why: "mail from the internet: its only way in")
        flows += flow(
            "F1", .internet, .mx, .https, why: "policies of MTA-STS, settings of mail programs and reports on TLS, where the plan says `policies: true`")
        flows += flow("F2", .mx, .store, .link, why: "the edge hands over what it has accepted")
        flows += flow("F4", .submission, .relay, .link, why: "users' mail to the internet")
        flows += flow("F4", .internal, .relay, .link, why: "users' mail to the internet")
        flows += flow("F4", .store, .relay, .link, why: "notices to senders outside")
        flows += flow("F6", .relay, .internet, .smtp, why: "mail to the internet: its only way out")
        flows += flow("F6", .relay, .internet, .https, why: "policies of MTA-STS of other organisations")
        flows += flow("F7", .laptop, .submission, .submissions, .submission, why: "people send")
        flows += flow("F7", .laptop, .internal, .submissions, .submission, why: "people send to colleagues")
        flows += flow("F7", .laptop, .store, .imaps, .imap, why: "people read")
        flows += flow("F8", .internet, .webmail, .https, why: "people on their way, where there is a webmail")
        flows += flow("F8", .webmail, .store, .imaps, why: "the webmail reads as its user")
        flows += flow("F8", .webmail, .submission, .submissions, why: "the webmail sends as its user")
        for role in [ZoneRole.mx, .relay, .submission, .internal] {
            flows += flow("F9", .store, role, .control, why: "the inside dials out: digests of recipients, collection of journeys (F10)")
        }
        for role in ZoneRole.allCases where role.isServer {
            flows += flow("F9", .administration, role, .ssh, why: "administrators, where the plan names their network")
        }
        flows += flow("F11", .mx, .resolver, .dns, why: "checks of inbound mail")
        flows += flow("F11", .relay, .resolver, .dns, why: "mail exchangers of other organisations")
        flows += flow("F11", .resolver, .internet, .dns, why: "the resolver asks the authoritative servers")
        flows += flow("D1", .relay, .mx, .link, why: "failure notices for own users go in by the edge")
        flows += flow("I1", .submission, .store, .link, why: "users' mail to colleagues")
        flows += flow("I1", .internal, .store, .link, why: "users' mail to colleagues")
        flows += flow("I2", .submission, .store, .control, why: "verifiers of passwords, users' addresses")
        flows += flow("I2", .internal, .store, .control, why: "verifiers of passwords, users' addresses")
        return flows
    }()

    /// The flow that lets one role speak with another; `nil` where that is forbidden.
    public static func flow(from: ZoneRole, to: ZoneRole, _ service: ZoneService) -> Flow? {
        flows.first { $0.from == from && $0.to == to && $0.service == service }
    }
}

extension Flow {
    /// The firewalls between the two: the outer one stands between internet and DMZ, the inner one between all others.
    public var firewall: ZoneFirewall { from == .internet || to == .internet ? .outer : .inner }
}

/// The two firewalls. They share no network: what passes both has a host of the DMZ between them.
public enum ZoneFirewall: String, Sendable, Codable, CaseIterable, Hashable { case outer, inner }
