import DNS
import Yams

extension Configuration {
    /// The name under `routes` that stands for every domain of the internet without a route of its own.
    static let everyOtherDomain = "*"

    static let routesField = ConfigurationField<Configuration>(
        "routes", type: "mapping of domains", defaultValue: "none",
        example: "{kartapuce.test: {host: mail.inside.kartapuce.test, address: 10.0.0.5, transport: lmtp, port: 24}}",
        children: ConfigurationField.flatten(routeFields, below: "routes.<domain>"),
        "domains whose mail takes a way of its own, to a host that isn't Postern's; “*” is the internet by way of a smart host"
    ) { target, node, reader in
        guard case .mapping(let mapping) = node else {
            reader.reportError(at: node, "must be a mapping of domains: write “kartapuce.test:” with host and address below it")
            return
        }
        for (key, value) in mapping {
            let text = key.scalar?.string ?? ""
            guard let name = text == everyOtherDomain ? text : (try? DomainName(text))?.ascii else {
                reader.reportError(at: key, "“\(text)” is neither a domain nor “*”")
                continue
            }
            target.routes[name] = reader.within(text, at: key) { reader in
                var route = Route()
                reader.readMapping(value, routeFields, into: &route)
                return route
            }
        }
    }

    private static let routeFields: [ConfigurationField<Route>] = {
        let initial = Route()
        return [
            .init("host", \.host, .hostname, in: initial, required: true, example: "mail.inside.kartapuce.test", "the host's name"),
            .init("address", \.address, .address, in: initial, required: true, example: "10.0.0.5", "where it is reached"),
            .init("port", \.port, .port, in: initial, example: "24", "its port"),
            .init(
                "security", \.security, .word(), in: initial, example: "opportunistic",
                "verified: STARTTLS with a certificate for host, or no delivery; opportunistic: STARTTLS where it is offered; plain: never"),
            .init("transport", \.transport, .word(), in: initial, example: "lmtp", "what the host speaks: smtp or lmtp"),
            .init(
                "recipients", \.recipients, .word(), in: initial, example: "any",
                "of an own domain, at the edge: known takes those that the inside has told, any takes all"),
        ]
    }()
}
