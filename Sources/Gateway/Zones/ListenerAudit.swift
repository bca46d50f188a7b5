import DNS

/// Looks whether a host's own configuration keeps the zones apart: what firewalls can't mend.
public struct ListenerAudit: Sendable, Hashable, Codable {
    /// Sentences about what stands wrong; none where nothing does.
    public let faults: [String]

    /// - Parameters:
    ///   - configuration: the host's.
    ///   - plan: the house's addresses.
    public init(_ configuration: Configuration, plan: ZonePlan) {
        var faults: [String] = []
        let open: Set<Configuration.Listener.Kind> = [.smtp, .https, .policy]
        let faces = configuration.listeners.filter { open.contains($0.kind) }.map(\.address)
        let outside = configuration.roles.compactMap { ZoneRole(rawValue: $0.rawValue) }.flatMap { plan.places[$0]?.outside ?? [] }
        for listener in configuration.listeners where listener.kind == .control || listener.kind == .link {
            let name = "the listener \(listener.kind.rawValue) at \(listener.address) port \(listener.port)"
            if listener.address.isUnspecified, !outside.isEmpty || !faces.isEmpty {
                faults.append("\(name) listens on every address, also towards the internet: give it the inside address")
            } else if faces.contains(listener.address) || outside.contains(where: { $0.contains(listener.address) }) {
                faults.append("\(name) shares the address that the internet reaches: give it the inside address")
            }
        }
        if configuration.roles.isSuperset(of: [.mx, .relay]) {
            faults.append("mx and relay are one process: whoever breaks into the edge sends as you; run them on separate hosts")
        }
        let dmz: Set<Configuration.Role> = [.mx, .relay, .webmail]
        if !configuration.roles.isDisjoint(with: dmz), !configuration.roles.isSubset(of: dmz) {
            faults.append("roles of the DMZ and of the internal zone are one process: no firewall stands between them")
        }
        self.faults = faults
    }
}

extension IPAddress {
    /// 0.0.0.0 and ::.
    var isUnspecified: Bool {
        switch self {
        case .v4(let value): value == 0
        case .v6(let high, let low): high == 0 && low == 0
        }
    }
}
