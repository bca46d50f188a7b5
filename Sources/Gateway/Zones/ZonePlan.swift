public import DNS
import FoundationEssentials
import Yams

/// Where each box of the picture stands: the addresses of a house, as `zones.yaml` names them.
///
/// A host of the DMZ has two faces, one to the outer firewall and one to the inner; what the internet may reach is only on the first, links and control only on
/// the second. A host with one address has the same face on both sides.
public struct ZonePlan: Sendable, Equatable {
    /// The addresses of one role's hosts.
    public struct Place: Sendable, Equatable {
        /// Towards the internet; empty where it has no such face.
        public var outside: [IPNetwork] = []
        /// Towards the inner firewall and the other hosts.
        public var inside: [IPNetwork] = []

        public init(outside: [IPNetwork] = [], inside: [IPNetwork] = []) {
            self.outside = outside
            self.inside = inside
        }

        /// The addresses on one side.
        func face(outside isOutside: Bool) -> [IPNetwork] {
            if isOutside { return outside.isEmpty ? inside : outside }
            return inside.isEmpty ? outside : inside
        }
    }

    /// The house's roles with their addresses. For `internet`: addresses out there that may be tried when the rules are verified.
    public var places: [ZoneRole: Place] = [:]
    /// Ports of links and control where they aren't the usual ones.
    public var linkPort: Int = ZoneService.link.usualPort
    public var controlPort: Int = ZoneService.control.usualPort
    /// Whether `mx` has a listener `policy`.
    public var hasPolicies: Bool = false

    /// The flows of this house: those of the table without what it doesn't have.
    public var flows: [Flow] { FlowTable.flows.filter { hasPolicies || !($0.to == .mx && $0.service == .https) } }

    /// The flow that lets one role speak with another here; `nil` where that is forbidden.
    func flow(from: ZoneRole, to: ZoneRole, _ service: ZoneService) -> Flow? {
        flows.first { $0.from == from && $0.to == to && $0.service == service }
    }

    public init() {}

    /// The port of a service in this house.
    public func port(_ service: ZoneService) -> Int {
        switch service {
        case .link: linkPort
        case .control: controlPort
        case .smtp, .submissions, .submission, .imaps, .imap, .https, .dns, .ssh, .other: service.usualPort
        }
    }

    /// All addresses of the house: whoever has none of them is the internet.
    var house: [IPNetwork] {
        ZoneRole.allCases.filter { $0 != .internet }.flatMap { role in (places[role]?.outside ?? []) + (places[role]?.inside ?? []) }
    }

    /// From where a flow's connections come; `nil` for the internet.
    func sources(of flow: Flow) -> [IPNetwork]? {
        flow.from == .internet ? nil : places[flow.from]?.face(outside: flow.to == .internet) ?? []
    }

    /// Where a flow's connections go; `nil` for the internet.
    func targets(of flow: Flow) -> [IPNetwork]? {
        flow.to == .internet ? nil : places[flow.to]?.face(outside: flow.from == .internet) ?? []
    }
}

extension ZonePlan {
    /// No plan of a sane person is larger.
    private static let fileSizeLimit = 1 << 20

    /// Reads a plan.
    /// - Throws: ``ConfigurationError`` with everything that is wrong at once.
    public static func load(path: String) throws(ConfigurationError) -> ZonePlan {
        guard let data = FileManager.default.contents(atPath: path), data.count <= fileSizeLimit, let yaml = String(validating: data, as: UTF8.self) else {
            throw .init(
                .unreadable, file: path,
                problems: [.init(severity: .error, line: 0, column: 0, key: "", message: "can't be read as UTF-8 text of at most 1 MiB")])
        }
        return try ZonePlan(yaml: yaml, fileName: path)
    }

    /// Reads the text of a plan.
    /// - Throws: ``ConfigurationError`` with everything that is wrong at once.
    public init(yaml: String, fileName: String = "zones.yaml") throws(ConfigurationError) {
        self.init()
        var reader = ConfigurationReader(folder: "")
        do {
            if let root = try compose(yaml: yaml) {
                reader.readMapping(root, Self.fields, into: &self)
            } else {
                reader.report(.error, at: nil, key: "", "is empty; name the hosts by role: mx, relay, store…")
            }
        } catch {
            reader.report(.error, at: nil, key: "", "isn't YAML: \(error)")
        }
        if house.contains(where: { $0.prefixLength == 0 }) {
            reader.report(.error, at: nil, key: "", "a network of the house is everybody (prefix length 0): then nobody would be the internet")
        }
        if reader.problems.contains(where: { $0.severity == .error }) { throw .init(.invalid, file: fileName, problems: reader.problems) }
    }

    private static let fields: [ConfigurationField<ZonePlan>] =
        ZoneRole.allCases.map { role in
            .init(
                role.rawValue, type: "mapping", defaultValue: "none", example: "{outside: 203.0.113.20, inside: 10.0.2.20}",
                children: ConfigurationField.flatten(placeFields, below: role.rawValue), "the addresses of \(role.rawValue)"
            ) { plan, node, reader in
                var place = Place()
                reader.readMapping(node, placeFields, into: &place)
                plan.places[role] = place
            }
        } + [
            .init("linkPort", \.linkPort, .port, in: ZonePlan(), example: "4025", "the port of the listeners link"),
            .init("controlPort", \.controlPort, .port, in: ZonePlan(), example: "4443", "the port of the listeners control"),
            .init("policies", \.hasPolicies, .flag, in: ZonePlan(), example: "true", "whether mx has a listener policy, which the internet reaches"),
        ]

    private static let placeFields: [ConfigurationField<Place>] = [
        .init("outside", \.outside, ConfigurationValue.network.list(), in: Place(), example: "[203.0.113.20]", "addresses towards the internet"),
        .init("inside", \.inside, ConfigurationValue.network.list(), in: Place(), example: "[10.0.2.20]", "addresses towards the inner firewall"),
    ]

    /// The plan as ``init(yaml:fileName:)`` reads it.
    public var yaml: String {
        func list(_ networks: [IPNetwork]) -> String { "[\(networks.map { "\"\($0.written)\"" }.joined(separator: ", "))]" }
        let roles = ZoneRole.allCases.compactMap { role in
            places[role].map { "\(role.rawValue): {outside: \(list($0.outside)), inside: \(list($0.inside))}" }
        }
        return (roles + ["linkPort: \(linkPort)", "controlPort: \(controlPort)", "policies: \(hasPolicies)"]).joined(separator: "\n") + "\n"
    }
}

extension IPNetwork {
    /// Whether it is an IPv6 network.
    var isIPv6: Bool { if case .v6 = address { true } else { false } }

    /// The one address of a network of one; `nil` for larger ones.
    var host: IPAddress? { prefixLength == address.octets.count * 8 ? address : nil }

    /// As nft and `zones.yaml` write it: a single address without its length.
    var written: String { host.map { "\($0)" } ?? "\(address)/\(prefixLength)" }
}
