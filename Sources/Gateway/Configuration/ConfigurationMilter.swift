public import DNS
import Yams

extension Configuration {
    /// How `postern milter` serves an MTA that stays where it is.
    public struct MilterSettings: Sendable, Equatable {
        /// Where an MTA finds the filter.
        public enum Endpoint: Sendable, Hashable {
            case internet(IPAddress, port: Int)
            /// A socket of the file system.
            case local(path: String)
        }
        /// What is done with a message that belongs into the folder for junk.
        public enum Quarantine: String, Sendable, CaseIterable {
            /// A field says so, for those who deliver it.
            case header
            /// The MTA puts it aside, until an operator looks at it.
            case hold
        }
        public var listen: [Endpoint] = [.internet(.v4(0x7F00_0001), port: 8891)]
        /// The MTAs that are served; those that come by a socket of the file system always are.
        public var clients: [IPNetwork] = Self.thisHost
        /// Clients of the MTA whose mail is our own: it is signed and not judged.
        public var internalNetworks: [IPNetwork] = Self.thisHost
        public var quarantine: Quarantine = .header
        /// Whether mail from outside that goes on to the outside gets an ARC seal.
        public var seals: Bool = false
        /// Where the filter hands in the reports that it sends, by SMTP; of this kind only places of the internet's.
        public var submit: Endpoint = .internet(.v4(0x7F00_0001), port: 25)
        public init() {}

        static let thisHost = [IPNetwork(address: .v4(0x7F00_0000), prefixLength: 8), IPNetwork(address: .v6(0, 1), prefixLength: 128)]
    }

    private static let milterFields: [ConfigurationField<MilterSettings>] = {
        let initial = MilterSettings()
        return [
            .init(
                "listen", \.listen, ConfigurationValue.milterEndpoint.list(minimum: 1), in: initial, example: "[\"unix:/run/postern/milter.sock\"]",
                "where the MTA finds the filter: inet:address:port or unix:path"),
            .init(
                "clients", \.clients, ConfigurationValue.network.list(), in: initial, example: "[127.0.0.0/8, \"::1/128\"]",
                "networks of MTAs that are served at inet addresses; whoever can connect is believed"),
            .init(
                "internalNetworks", \.internalNetworks, ConfigurationValue.network.list(), in: initial, example: "[127.0.0.0/8, 10.0.0.0/8]",
                "networks whose mail is our own, as that of users who authenticated: it is signed and not judged"),
            .init(
                "quarantine", \.quarantine, .word(), in: initial, example: "hold",
                "what junk means: header adds the field Postern-Disposition: junk; hold puts the message into the MTA's hold queue"),
            .init(
                "seals", \.seals, .flag, in: initial, example: "true",
                "whether mail from outside gets an ARC seal where recipients are outside of domains"),
            .init(
                "submit", \.submit, ConfigurationValue.milterSubmission, in: initial, example: "inet:127.0.0.1:25",
                "where the MTA takes the reports that the filter sends (section reports), as mail of our own"),
        ]
    }()

    static let milterField = ConfigurationField<Configuration>(
        "milter", type: "mapping", defaultValue: "none", example: "{seals: true}",
        children: ConfigurationField.flatten(milterFields, below: "milter"),
        "how postern milter serves Postfix or Sendmail; without roles in the same file there are none then"
    ) { target, node, reader in
        var settings = MilterSettings()
        reader.readMapping(node, milterFields, into: &settings)
        target.milter = settings
    }

    func checkMilter(_ reader: inout ConfigurationReader) {
        guard let milter else {
            if roles.isEmpty {
                reader.report(.error, keys: ["roles"], "must have at least 1 element(s); only a file with the section milter may have none")
            }
            return
        }
        for (networks, name) in [(milter.clients, "clients"), (milter.internalNetworks, "internalNetworks")] {
            guard let network = networks.first(where: { $0.prefixLength == 0 }) else { continue }
            reader.report(
                .error, keys: ["milter.\(name)", "milter"],
                "\(network) is everybody: \(name == "clients" ? "the protocol knows no password" : "anybody could have mail signed as ours"); name the networks"
            )
        }
        if Set(milter.listen).count != milter.listen.count {
            reader.report(.error, keys: ["milter.listen", "milter"], "names a place twice; keep one")
        }
    }
}

extension ConfigurationValue where Value == Configuration.MilterSettings.Endpoint {
    /// A place where an MTA finds a filter, nearly as Postfix writes it.
    static var milterEndpoint: Self {
        .init(
            name: "inet:address:port or unix:path",
            read: { node, reader in
                let expected = "inet:127.0.0.1:8891, \"inet:[::1]:8891\" or unix:/run/postern/milter.sock"
                guard case .scalar(let scalar) = node else {
                    reader.reportError(at: node, "must be a single value: \(expected)")
                    return nil
                }
                let text = scalar.string
                if text.hasPrefix("inet:"), let (address, port) = Configuration.parseEndpoint(String(text.dropFirst(5)), defaultPort: 0), port > 0 {
                    return .internet(address, port: port)
                }
                // A socket's address has 107 octets for its path.
                if text.hasPrefix("unix:/"), text.utf8.count - 5 <= 107, !text.utf8.contains(0) { return .local(path: String(text.dropFirst(5))) }
                reader.reportError(at: node, "“\(text)” must be \(expected)")
                return nil
            },
            show: { "\"\($0)\"" }
        )
    }
}

extension ConfigurationValue where Value == Configuration.MilterSettings.Endpoint {
    /// A place where an MTA takes mail.
    static var milterSubmission: Self {
        .init(
            name: "inet:address:port",
            read: { node, reader in
                guard let endpoint = milterEndpoint.read(node, &reader) else { return nil }
                guard case .internet = endpoint else {
                    reader.reportError(at: node, "“\(endpoint)” must be where the MTA listens for SMTP: inet:127.0.0.1:25")
                    return nil
                }
                return endpoint
            },
            show: { "\"\($0)\"" }
        )
    }
}

extension Configuration {
    /// The filter sends reports itself: no host of this configuration does.
    public var filterSendsReports: Bool { milter != nil && reports != nil && roles.isEmpty }

    /// The filter counts what it judges: it reports on it, or the host that has its data folder does.
    public var filterCounts: Bool { milter != nil && reports != nil && (roles.isEmpty || roles.contains(.store)) }

    /// What the filter's own queue goes by: a host that hands everything to the MTA and does nothing else. The MTA shows what it takes to the
    /// filter, which signs it as other mail of our own.
    func filterOffice(_ milter: MilterSettings) -> Configuration {
        var office = self
        office.roles = [.relay]
        (office.listeners, office.peers, office.certificates) = ([], [:], [])
        (office.certificate, office.link, office.monitoring, office.acme, office.dns) = (nil, nil, nil, nil, nil)
        office.authentication.bimi.enabled = false
        office.signing.enabled = false
        (office.transport.mtaSTS, office.transport.reports) = (false, false)
        office.reports?.tls = false
        guard case .internet(let address, let port) = milter.submit else { return office }
        var route = Route()
        (route.host, route.address, route.port) = (hostname, address, port)
        // On this host nobody listens; elsewhere the MTA's certificate may be one of its own.
        route.security = MilterSettings.thisHost.contains { $0.contains(address) } ? .plain : .opportunistic
        office.routes = [Self.everyOtherDomain: route]
        for domain in domains { office.routes[domain.ascii] = route }
        return office
    }
}

extension Configuration.MilterSettings.Endpoint: CustomStringConvertible {
    /// `inet:127.0.0.1:8891`, `unix:/run/postern/milter.sock`.
    public var description: String {
        switch self {
        case .internet(let address, let port):
            if case .v6 = address { "inet:[\(address)]:\(port)" } else { "inet:\(address):\(port)" }
        case .local(let path): "unix:\(path)"
        }
    }
}
