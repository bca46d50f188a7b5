import DNS

/// Where a domain's mail goes: the MX records with their hosts and addresses, and what is to be said of them (RFC 5321 §5.1).
struct PostureExchange: Sendable {
    /// What the domain does.
    enum Kind: Sendable {
        /// It takes mail.
        case receiving
        /// It says that it takes none (RFC 7505 §3).
        case null
        /// It has neither MX records nor an address.
        case nowhere
        /// It doesn't exist.
        case missing
        /// Nobody can tell.
        case unknown
    }

    /// A mail server.
    struct Host: Sendable {
        var name: DomainName
        var addresses: [IPAddress]
        /// The questions for its addresses.
        var lookups: [DNSLookup]
        /// Whether DNSSEC vouches for the addresses.
        var isSecure: Bool { lookups.contains { $0.answer?.outcome == .records && $0.answer?.security == .secure } }
    }

    var kind: Kind
    var lookup: DNSLookup
    var hosts: [Host] = []
    var findings: [PostureFinding] = []

    /// Asks.
    static func find(_ domain: DomainName, _ resolver: any Resolver, hostLimit: Int) async -> PostureExchange {
        let lookup = await DNSLookup(domain, .mx, using: resolver)
        var exchange = PostureExchange(kind: .unknown, lookup: lookup)
        let answer: DNSAnswer
        switch lookup.result {
        case .failure(let error):
            exchange.add(error.code == .bogus ? .dnssecBogus : .domainUnknown, domain.ascii, "gives no answer for its MX records: \(error.reason)")
            return exchange
        case .success(let found): answer = found
        }
        switch answer.outcome {
        case .nonexistentDomain:
            exchange.kind = .missing
            exchange.add(.domainMissing, domain.ascii, "doesn't exist")
        case .noData: await exchange.takeOwnAddress(of: domain, resolver)
        case .records: await exchange.take(answer, of: domain, resolver, hostLimit)
        }
        return exchange
    }

    private mutating func add(_ code: PostureCode, _ subject: String, _ text: String, _ lookups: [DNSLookup]? = nil) {
        findings.append(PostureFinding(code, subject, text, (lookups ?? [lookup]).map(PostureFinding.Evidence.init)))
    }

    private mutating func takeOwnAddress(of domain: DomainName, _ resolver: any Resolver) async {
        let host = await Self.host(lookup.answer?.canonicalName ?? domain, resolver)
        if host.addresses.isEmpty, host.lookups.contains(where: { $0.failure != nil }) {
            add(.domainUnknown, domain.ascii, "there is no MX record, and its addresses can't be had", [lookup] + host.lookups)
        } else if host.addresses.isEmpty {
            kind = .nowhere
            add(.mxNone, domain.ascii, "has neither an MX record nor an address: mail for it waits for nothing, or fails", [lookup] + host.lookups)
        } else {
            kind = .receiving
            hosts = [host]
            add(.mxImplicit, domain.ascii, "has no MX record, so mail goes to \(Self.list(host.addresses))", [lookup] + host.lookups)
            judge(host)
        }
    }

    private mutating func take(_ answer: DNSAnswer, of domain: DomainName, _ resolver: any Resolver, _ hostLimit: Int) async {
        var records: [(preference: UInt16, name: DomainName)] = []
        for case .mx(let preference, let exchange) in answer.records { records.append((preference, exchange)) }
        let named = records.filter { $0.name != .root }
        if named.isEmpty, let null = records.first {
            kind = .null
            if records.count > 1 || null.preference != 0 {
                add(.mxNullPreference, domain.ascii, "says that it takes no mail, with the preference \(null.preference)")
            } else {
                add(.mxNull, domain.ascii, "says that it takes no mail")
            }
            return
        }
        if named.count < records.count { add(.mxNullBesideOthers, domain.ascii, "says at once that it takes no mail and that it does") }
        kind = .receiving
        var names: [DomainName] = []
        for record in named.sorted(by: { ($0.preference, $0.name) < ($1.preference, $1.name) }) where !names.contains(record.name) {
            names.append(record.name)
        }
        if names.count > hostLimit { add(.mxMany, domain.ascii, "has \(names.count) mail servers; \(hostLimit) were looked at") }
        names = Array(names.prefix(hostLimit))
        hosts = await withTaskGroup(of: (Int, Host).self) { group in
            for (number, name) in names.enumerated() { group.addTask { (number, await Self.host(name, resolver)) } }
            var found: [Int: Host] = [:]
            for await (number, host) in group { found[number] = host }
            return names.indices.compactMap { found[$0] }
        }
        for host in hosts { judge(host) }
        judgeTogether(domain)
    }

    private static func host(_ name: DomainName, _ resolver: any Resolver) async -> Host {
        async let v6 = DNSLookup(name, .aaaa, using: resolver)
        async let v4 = DNSLookup(name, .a, using: resolver)
        let lookups = [await v6, await v4]
        let addresses = lookups.flatMap { $0.answer?.records ?? [] }.compactMap { if case .address(let address) = $0 { address } else { nil } }
        return Host(name: name, addresses: addresses, lookups: lookups)
    }

    private mutating func judge(_ host: Host) {
        let evidence = [lookup] + host.lookups
        let name = host.name.ascii
        if IPAddress(name) != nil {
            return add(.mxLiteral, name, "stands in the MX record, which must name a host", evidence)
        }
        if let canonical = host.lookups.compactMap({ $0.answer?.canonicalName }).first, kind == .receiving {
            add(.mxAlias, name, "is an alias of \(canonical.ascii)", evidence)
        }
        let failures = host.lookups.compactMap(\.failure)
        if let failure = failures.first(where: { $0.code == .bogus }) {
            add(.dnssecBogus, name, "gives no answer for its addresses: \(failure.reason)", evidence)
        } else if !failures.isEmpty {
            add(.mxUnknown, name, "gives no answer for its \(failures.map { $0.type.description }.joined(separator: " and ")) records", evidence)
        }
        guard !host.addresses.isEmpty else {
            if failures.isEmpty { add(.mxNoAddress, name, "has no address", evidence) }
            return
        }
        let unreachable = host.addresses.filter(Self.isUnreachable)
        if unreachable.isEmpty {
            if failures.isEmpty { add(.mxGood, name, "takes the mail, at \(Self.list(host.addresses))", evidence) }
        } else {
            add(.mxPrivateAddress, name, "has \(Self.list(unreachable)), where nobody from outside comes to", evidence)
        }
    }

    private mutating func judgeTogether(_ domain: DomainName) {
        let addresses = hosts.flatMap(\.addresses)
        guard !addresses.isEmpty else { return }
        let evidence = [lookup] + hosts.flatMap(\.lookups)
        if hosts.count == 1 {
            add(.mxSingle, domain.ascii, "has one mail server", [lookup])
        } else {
            // Distinct in IPv4 or in IPv6: what is near by one way is taken to be one place.
            let networks = Set(addresses.map { $0.network(v4Prefix: 24, v6Prefix: 48) })
            let placesV4 = networks.count { $0.address.octets.count == 4 }
            let placesV6 = networks.count - placesV4
            if max(placesV4, placesV6) > 1 {
                add(.mxRedundant, domain.ascii, "has \(hosts.count) mail servers in \(max(placesV4, placesV6)) networks", evidence)
            } else {
                add(.mxSameNetwork, domain.ascii, "has \(hosts.count) mail servers in one network", evidence)
            }
        }
        if !addresses.contains(where: { $0.octets.count == 16 }), !hosts.contains(where: { $0.lookups.contains { $0.failure != nil } }) {
            add(.mxNoIPv6, domain.ascii, "is reached by IPv4 only", evidence)
        }
    }

    /// Addresses of documentation count as public ones: laboratories and tests are built of them.
    private static func isUnreachable(_ address: IPAddress) -> Bool {
        address.isSpecial && !documentation.contains { $0.contains(address) }
    }

    private static let documentation = ["198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32"].compactMap { IPNetwork($0) }

    static func list(_ addresses: [IPAddress]) -> String { addresses.map { "\($0)" }.joined(separator: ", ") }
}
