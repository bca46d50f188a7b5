import DNS
import Yams

extension Configuration.Listener.Kind {
    /// The port where none is written (RFC 5321 §4.5.4.2, RFC 6409 §3.1, RFC 8314 §3; the two last are Postern's own).
    public var defaultPort: Int {
        switch self {
        case .smtp: 25
        case .submission: 587
        case .submissions: 465
        case .imap: 143
        case .imaps: 993
        case .link: 4025
        case .control: 4443
        case .https, .policy: 443
        }
    }

    /// The roles that answer on such a listener.
    var roles: Set<Configuration.Role> {
        switch self {
        case .smtp: [.mx]
        case .submission, .submissions: [.submission, .internal]
        case .imap, .imaps: [.store, .internal]
        case .link, .control: Set(Configuration.Role.allCases).subtracting([.webmail])
        case .https: [.webmail]
        case .policy: [.mx]
        }
    }
}

extension Configuration {
    /// The listeners of a process with these roles where the configuration names none: all IPv4 addresses, the usual ports; `link` and
    /// `control` where the host has a link certificate and something to do with them, `policy` where it has something to tell there.
    static func defaultListeners(for roles: Set<Role>, hasLink: Bool, hasPolicies: Bool) -> [Listener] {
        guard !roles.isEmpty else { return [] }
        let kinds = Listener.Kind.allCases.filter { kind in
            switch kind {
            case .smtp, .submission, .submissions, .https: !kind.roles.isDisjoint(with: roles)
            case .imap, .imaps: roles.contains(.store)
            case .policy: hasPolicies && roles.contains(.mx)
            // A host that plays every role has nobody to link with.
            case .link, .control: hasLink && !(roles.contains(.mx) && roles.contains(.store)) && roles != [.webmail]
            }
        }
        return kinds.map { Listener(kind: $0, address: everyAddress, port: $0.defaultPort) }
    }

    /// Deliberate: IPv4 only, because a host without IPv6 could not start otherwise; `address: "::"` serves both where there is IPv6.
    private static let everyAddress = IPAddress.v4(0)

    static let listenersField = ConfigurationField<Configuration>(
        "listeners", type: "list of listeners", defaultValue: "those of the roles on 0.0.0.0", example: "[imaps: \"127.0.0.1:993\"]",
        children: ConfigurationField.flatten(listenerFields, below: "listeners[]"),
        "where connections are accepted; an element is {kind, address, port} or short “kind: address:port”"
    ) { target, node, reader in
        target.listeners = readListeners(node, &reader)
    }

    /// A listener while it is read.
    private struct ListenerDraft {
        var kind: String = ""
        var address: IPAddress = Configuration.everyAddress
        var port: Int?
        var proxies: [IPNetwork] = []
    }

    private static let listenerFields: [ConfigurationField<ListenerDraft>] = {
        let initial = ListenerDraft()
        return [
            .init(
                "kind", \.kind, .choice(Listener.Kind.allCases.map(\.rawValue)), in: initial, required: true, example: "imaps",
                "what is spoken there"),
            .init("address", \.address, .address, in: initial, example: "127.0.0.1", "the local address"),
            .init(
                "port", \.port, ConfigurationValue.port.optional, in: initial, example: "993", "the port; none: the usual one of the kind"),
            .init(
                "proxies", \.proxies, ConfigurationValue.network.list(), in: initial, example: "[192.0.2.7/32]",
                "networks whose connections begin with a header of the PROXY protocol; not for link, control, https and policy"),
        ]
    }()

    private static func readListeners(_ node: Node, _ reader: inout ConfigurationReader) -> [Listener] {
        switch node {
        case .mapping(let mapping):
            // `listeners: {imaps: 127.0.0.1:993}`
            return mapping.flatMap { readShortForm(key: $0, value: $1, &reader) }
        case .sequence(let sequence):
            var listeners: [Listener] = []
            for (index, element) in sequence.enumerated() {
                listeners += reader.within(String(index), at: element) { reader in
                    if case .mapping(let mapping) = element, mapping.count == 1, let pair = mapping.first,
                        pair.key.scalar?.string != "kind"
                    {
                        return readShortForm(key: pair.key, value: pair.value, &reader)
                    }
                    return readLongForm(element, &reader).map { [$0] } ?? []
                }
            }
            return listeners
        case .scalar, .alias:
            reader.reportError(at: node, "must be a list: write each listener as “- imaps: 127.0.0.1:993”")
            return []
        }
    }

    private static func readLongForm(_ node: Node, _ reader: inout ConfigurationReader) -> Listener? {
        var draft = ListenerDraft()
        reader.readMapping(node, listenerFields, into: &draft)
        return Listener.Kind(rawValue: draft.kind).map {
            Listener(kind: $0, address: draft.address, port: draft.port ?? $0.defaultPort, proxies: draft.proxies)
        }
    }

    private static func readShortForm(key: Node, value: Node, _ reader: inout ConfigurationReader) -> [Listener] {
        let name = key.scalar?.string ?? ""
        guard let kind = Listener.Kind(rawValue: name) else {
            reader.reportUnknownKey(name, at: key, known: Listener.Kind.allCases.map(\.rawValue))
            return []
        }
        return reader.within(name, at: key) { reader in
            let endpoints = if case .sequence(let sequence) = value { Array(sequence) } else { [value] }
            return endpoints.compactMap { endpoint in
                guard let text = endpoint.scalar?.string, let (address, port) = parseEndpoint(text, defaultPort: kind.defaultPort) else {
                    reader.reportError(
                        at: endpoint, "must be an address with a port, such as 127.0.0.1:\(kind.defaultPort) or \"[::1]:\(kind.defaultPort)\"")
                    return nil
                }
                return Listener(kind: kind, address: address, port: port)
            }
        }
    }

    /// Reads `127.0.0.1:993`, `[::1]:993`, `127.0.0.1`, `::1` or `993`.
    static func parseEndpoint(_ text: String, defaultPort: Int) -> (IPAddress, Int)? {
        if let port = Int(text) { return (1...65535).contains(port) ? (everyAddress, port) : nil }
        if let address = IPAddress(text) { return (address, defaultPort) }
        guard let colon = text.lastIndex(of: ":"), let port = Int(text[text.index(after: colon)...]), (1...65535).contains(port) else {
            return nil
        }
        var host = String(text[..<colon])
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = String(host.dropFirst().dropLast())
        } else if host.contains(":") {
            // An IPv6 address without brackets can't be told from its port.
            return nil
        }
        return IPAddress(host).map { ($0, port) }
    }

    static let peersField = ConfigurationField<Configuration>(
        "peers", type: "mapping of roles", defaultValue: "none",
        example: "{store: {host: imap.kartapuce.test, address: 192.0.2.4, linkPort: 4025}}",
        children: ConfigurationField.flatten(peerFields, below: "peers.<role>"), "the other hosts of the organisation by their role"
    ) { target, node, reader in
        guard case .mapping(let mapping) = node else {
            reader.reportError(at: node, "must be a mapping of roles: write “store:” with host and address below it")
            return
        }
        for (key, value) in mapping {
            let name = key.scalar?.string ?? ""
            guard let role = Role(rawValue: name) else {
                reader.reportUnknownKey(name, at: key, known: Role.allCases.map(\.rawValue))
                continue
            }
            target.peers[role] = reader.within(name, at: key) { reader in
                var draft = Peer(host: "", address: .v4(0), linkPort: nil, controlPort: nil)
                reader.readMapping(value, peerFields, into: &draft)
                return draft
            }
        }
    }

    private static let peerFields: [ConfigurationField<Peer>] = {
        let initial = Peer(host: "", address: .v4(0), linkPort: nil, controlPort: nil)
        return [
            .init(
                "host", \.host, .hostname, in: initial, required: true, example: "imap.kartapuce.test", "the name in its link certificate"),
            .init("address", \.address, .address, in: initial, required: true, example: "192.0.2.4", "where it is reached"),
            .init(
                "linkPort", \.linkPort, ConfigurationValue.port.optional, in: initial, example: "4025",
                "the port of its link listener; none: nothing is delivered to it from here"),
            .init(
                "controlPort", \.controlPort, ConfigurationValue.port.optional, in: initial, example: "4443",
                "the port of its control listener; none: it isn't dialled from here"),
        ]
    }()
}
