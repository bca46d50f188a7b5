/// Where mail for a domain goes (RFC 5321 §5.1), with every question that was asked on the way.
public struct MailRoute: Sendable {
    /// What the DNS says.
    public enum Outcome: Sendable {
        /// The hosts in the order in which they are to be tried. Never empty.
        case hosts([MailHost])
        /// The domain accepts no mail (RFC 7505).
        case nullMX
        /// The domain doesn't exist.
        case noSuchDomain
        /// The domain, or each of its exchangers, has no address.
        case noAddress
        /// Nobody can tell now.
        case temporary(DNSError)
    }

    /// What the DNS says.
    public var outcome: Outcome
    /// The questions and their answers, in order.
    public var lookups: [DNSLookup]
}

/// A host that takes mail for a domain.
public struct MailHost: Hashable, Sendable {
    /// The host's name.
    public var name: DomainName
    /// The MX record's preference; 0 where there was no MX record.
    public var preference: UInt16
    /// The host's addresses, IPv6 first. Never empty.
    public var addresses: [IPAddress]
    /// Secure only where the MX record and the addresses are.
    public var security: DNSSECStatus
}

/// A question to the DNS, its answer, and how long it took.
public struct DNSLookup: Sendable {
    public var name: DomainName
    public var type: DNSRecordType
    public var result: Result<DNSAnswer, DNSError>
    public var duration: Duration

    /// Asks.
    public init(_ name: DomainName, _ type: DNSRecordType, using resolver: any Resolver) async {
        let start = ContinuousClock.now
        self.name = name
        self.type = type
        do {
            result = .success(try await resolver.lookup(name, type))
        } catch {
            result = .failure(error)
        }
        duration = ContinuousClock.now - start
    }
}

/// Finds the hosts that take mail for a domain (RFC 5321 §5.1): its MX records by preference, in random order among equals, or where
/// there is none the domain's own addresses. At most 20 hosts are asked for.
public func mailHosts(for domain: DomainName, using resolver: any Resolver, random generator: inout some RandomNumberGenerator) async -> MailRoute {
    let exchangers = await DNSLookup(domain, .mx, using: resolver)
    var lookups = [exchangers]
    let answer: DNSAnswer
    switch exchangers.result {
    case .failure(let error): return MailRoute(outcome: .temporary(error), lookups: lookups)
    case .success(let success): answer = success
    }
    var candidates: [(name: DomainName, preference: UInt16)] = []
    switch answer.outcome {
    case .nonexistentDomain: return MailRoute(outcome: .noSuchDomain, lookups: lookups)
    case .noData: candidates = [(answer.canonicalName ?? domain, 0)]
    case .records:
        for record in answer.records {
            if case .mx(let preference, let exchange) = record { candidates.append((exchange, preference)) }
        }
        // RFC 7505 §3: a single record that names the root.
        if candidates.allSatisfy({ $0.name == .root }) { return MailRoute(outcome: .nullMX, lookups: lookups) }
        candidates = candidates.filter { $0.name != .root }.shuffled(using: &generator).sorted { $0.preference < $1.preference }
    }
    var hosts: [MailHost] = []
    var lastError: DNSError?
    for candidate in candidates.prefix(20) {
        var host = MailHost(name: candidate.name, preference: candidate.preference, addresses: [], security: answer.security)
        for type in [DNSRecordType.aaaa, .a] {
            let lookup = await DNSLookup(candidate.name, type, using: resolver)
            lookups.append(lookup)
            switch lookup.result {
            case .failure(let error): lastError = error
            case .success(let addresses):
                if addresses.security == .insecure { host.security = .insecure }
                for case .address(let address) in addresses.records { host.addresses.append(address) }
            }
        }
        if !host.addresses.isEmpty { hosts.append(host) }
    }
    if !hosts.isEmpty { return MailRoute(outcome: .hosts(hosts), lookups: lookups) }
    return MailRoute(outcome: lastError.map { .temporary($0) } ?? .noAddress, lookups: lookups)
}
