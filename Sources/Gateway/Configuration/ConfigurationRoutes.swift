import DNS
import Yams

// The section `routes` of `postern.yaml`.

extension Configuration {
    static let routesField = ConfigurationField<Configuration>(
        "routes", type: "list of routes", defaultValue: "[]",
        example: "[{domain: \"*\", host: smarthost.gmail.test, address: 192.0.2.25}]",
        children: ConfigurationField.flatten(routeFields, below: "routes[]"),
        "where role relay sends mail for other organisations instead of to their mail exchangers"
    ) { target, node, reader in
        guard case .sequence(let elements) = node else {
            reader.reportError(at: node, "must be a list: write each route as “- {domain: …, host: …, address: …}”")
            return
        }
        for (index, element) in elements.enumerated() {
            let route = reader.within(String(index), at: element) { reader in
                var draft = RouteDraft()
                reader.readMapping(element, routeFields, into: &draft)
                return draft.route
            }
            if let route { target.routes.append(route) }
        }
    }

    /// A route while it is read.
    private struct RouteDraft {
        var domain: DomainName?
        var host = ""
        var address = IPAddress.v4(0)
        var port = 25
        var transport = Route.Transport.smtp.rawValue
        var security = Route.Security.verified.rawValue

        var route: Route? {
            guard let transport = Route.Transport(rawValue: transport), let security = Route.Security(rawValue: security) else { return nil }
            return Route(domain: domain, host: host, address: address, port: port, transport: transport, security: security)
        }
    }

    private static let routeFields: [ConfigurationField<RouteDraft>] = {
        let initial = RouteDraft()
        return [
            .init(
                "domain", \.domain, .routedDomain, in: initial, required: true, example: "\"*\"",
                "the recipients' domain, without those below it; * for every domain without a route of its own"),
            .init(
                "host", \.host, .hostname, in: initial, required: true, example: "smarthost.gmail.test",
                "the next host's name, which its certificate must have if security is verified"),
            .init("address", \.address, .address, in: initial, required: true, example: "192.0.2.25", "where it is reached"),
            .init("port", \.port, .port, in: initial, example: "24", "its port"),
            .init(
                "transport", \.transport, .choice(Route.Transport.allCases.map(\.rawValue)), in: initial, example: "lmtp",
                "what is spoken: smtp, or lmtp, which answers for each recipient"),
            .init(
                "security", \.security, .choice(Route.Security.allCases.map(\.rawValue)), in: initial, example: "opportunistic",
                "STARTTLS: verified (with a certificate for host, or no delivery), opportunistic (where offered) or plain (never)"),
        ]
    }()
}

extension ConfigurationValue where Value == DomainName? {
    /// A domain name, or `*`.
    static var routedDomain: Self {
        .init(
            name: "domain name or *",
            read: { node, reader in
                if node.scalar?.string == "*" { return .some(nil) }
                return ConfigurationValue<DomainName>.domain.read(node, &reader).map { .some($0) }
            },
            show: { $0?.ascii ?? "*" }
        )
    }
}

extension Configuration {
    /// What routes must mean together with the rest.
    func checkRoutes(_ reader: inout ConfigurationReader) {
        if !routes.isEmpty, !roles.contains(.relay) {
            reader.report(.warning, keys: ["routes"], "is used by role relay only, which this process doesn't play")
        }
        for (index, route) in routes.enumerated() {
            let keys = ["routes.\(index).domain", "routes.\(index)", "routes"]
            if routes[..<index].contains(where: { $0.domain == route.domain }) {
                reader.report(.error, keys: keys, "another route has the same domain; remove one")
            }
            if let domain = route.domain, domains.contains(domain) {
                reader.report(.error, keys: keys, "\(domain.ascii) is one of the organisation's own domains, whose mail goes to its mailboxes")
            }
            if route.transport == .smtp, route.security == .plain {
                reader.report(
                    .warning, keys: ["routes.\(index).security"] + keys,
                    "all mail to \(route.host) goes unencrypted; opportunistic takes TLS where it is offered")
            }
        }
    }
}
