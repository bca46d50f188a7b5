import DNS

/// One attempt of `postern zones verify`: an address and a port, and whether the architecture lets this role reach it.
public struct ZoneProbe: Sendable, Hashable, Codable {
    public let from: ZoneRole
    public let to: ZoneRole
    public let service: ZoneService
    public let transport: ZoneService.Transport
    public let address: String
    public let port: Int
    /// The flow that allows it; `nil` where it is forbidden.
    public let flow: String?

    /// Everything that a role can try in this house: each service at each address of each other role, allowed or not.
    public static func all(from role: ZoneRole, in plan: ZonePlan) -> [ZoneProbe] {
        ZoneRole.allCases.filter { $0 != role }.flatMap { target -> [ZoneProbe] in
            guard let place = plan.places[target] else { return [] }
            let reachable = Set(place.face(outside: role == .internet))
            let networks = place.outside + place.inside.filter { !place.outside.contains($0) }
            return networks.flatMap { network -> [ZoneProbe] in
                guard let address = network.host else { return [] }
                return ZoneService.allCases.flatMap { service -> [ZoneProbe] in
                    // What stands in no flow at the address's other face is forbidden, whatever the face here allows.
                    let flow = target == .internet || reachable.contains(network) ? plan.flow(from: role, to: target, service) : nil
                    return service.transports.map { transport in
                        ZoneProbe(
                            from: role, to: target, service: service, transport: transport, address: "\(address)", port: plan.port(service),
                            flow: flow?.id)
                    }
                }
            }
        }
    }
}

/// What a probe found.
public struct ZoneFinding: Sendable, Hashable, Codable {
    /// How the attempt ended.
    public enum Outcome: String, Sendable, Codable, Hashable {
        /// The other side answered.
        case open
        /// Refused with a reset or an ICMP message.
        case refused
        /// No answer in time.
        case silent
    }

    public let probe: ZoneProbe
    public let outcome: Outcome
    /// Whether the outcome is what the table of flows wants.
    public var isRight: Bool
}

/// What `postern zones verify` found from one role.
public struct ZoneVerification: Sendable, Codable {
    public let from: ZoneRole
    public let findings: [ZoneFinding]

    /// Judges outcomes. A flow to the internet holds where one of the addresses out there answers, for each version of IP; a forbidden one is refused by all.
    public init(from: ZoneRole, outcomes: [(probe: ZoneProbe, outcome: ZoneFinding.Outcome)]) {
        struct Service: Hashable {
            let service: ZoneService
            let transport: ZoneService.Transport
            let isIPv6: Bool
            init(_ probe: ZoneProbe) {
                service = probe.service
                transport = probe.transport
                isIPv6 = probe.address.contains(":")
            }
        }
        let answered = Set(outcomes.filter { $0.probe.to == .internet && $0.outcome == .open }.map { Service($0.probe) })
        self.from = from
        findings = outcomes.map { probe, outcome in
            let isOpen = outcome == .open || (probe.flow != nil && probe.to == .internet && answered.contains(Service(probe)))
            return ZoneFinding(probe: probe, outcome: outcome, isRight: isOpen == (probe.flow != nil))
        }
    }

    public var wrong: [ZoneFinding] { findings.filter { !$0.isRight } }
    public var allowed: Int { findings.count { $0.probe.flow != nil } }
    public var forbidden: Int { findings.count { $0.probe.flow == nil } }
}
