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
        /// This host is the domain's best exchanger itself: whoever sent on from here would get the message back.
        case ownHost
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
    /// The name that was asked for.
    public var name: DomainName
    /// The type that was asked for.
    public var type: DNSRecordType
    /// What came back.
    public var result: Result<DNSAnswer, DNSError>
    /// How long it took.
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

/// The most hosts that are asked for; more would let a domain make us work for it.
private let hostLimit = 20

/// Finds the hosts that take mail for a domain (RFC 5321 §5.1): its MX records by preference, in random order among equals, or where
/// there is none the domain's own addresses. At most 20 hosts are asked for, all at the same time.
///
/// A host whose addresses can't be found is left out as long as another one remains (RFC 7672 §2.1.2).
/// - Parameters:
///   - addressFamilies: the address records to ask for, in the order of the addresses in the result.
///   - ownName: the asking host's own name. Where it is an exchanger of the domain, those that are not better than itself are left
///     out (RFC 5321 §5.1), or mail would go round in circles.
public func mailHosts(
    for domain: DomainName, using resolver: any Resolver, addressFamilies: [DNSRecordType] = [.aaaa, .a], ownName: DomainName? = nil,
    random generator: inout some RandomNumberGenerator
) async -> MailRoute {
    let exchangers = await DNSLookup(domain, .mx, using: resolver)
    let answer: DNSAnswer
    switch exchangers.result {
    case .failure(let error): return MailRoute(outcome: .temporary(error), lookups: [exchangers])
    case .success(let success): answer = success
    }
    var candidates: [MailHost] = []
    switch answer.outcome {
    case .nonexistentDomain: return MailRoute(outcome: .noSuchDomain, lookups: [exchangers])
    case .noData:
        let name = answer.canonicalName ?? domain
        if name == ownName { return MailRoute(outcome: .ownHost, lookups: [exchangers]) }
        candidates = [MailHost(name: name, preference: 0, addresses: [], security: answer.security)]
    case .records:
        for case .mx(let preference, let exchange) in answer.records {
            candidates.append(MailHost(name: exchange, preference: preference, addresses: [], security: answer.security))
        }
        guard !candidates.isEmpty else {
            let error = DNSError(.serverFailure, name: domain.ascii, type: .mx, reason: "no record of the answer can be read")
            return MailRoute(outcome: .temporary(error), lookups: [exchangers])
        }
        // RFC 7505 §3: a single record that names the root. Beside others such a record says nothing.
        candidates.removeAll { $0.name == .root }
        if candidates.isEmpty { return MailRoute(outcome: .nullMX, lookups: [exchangers]) }
        if let own = candidates.filter({ $0.name == ownName }).map(\.preference).min() {
            candidates.removeAll { $0.preference >= own }
            if candidates.isEmpty { return MailRoute(outcome: .ownHost, lookups: [exchangers]) }
        }
        candidates = candidates.shuffled(using: &generator).sorted { $0.preference < $1.preference }
        var seen: Set<DomainName> = []
        candidates = Array(candidates.filter { seen.insert($0.name).inserted }.prefix(hostLimit))
    }
    let lookups = await addressLookups(of: candidates.map(\.name), addressFamilies, using: resolver)
    var hosts: [MailHost] = []
    var lastError: DNSError?
    for (candidate, lookups) in zip(candidates, lookups) {
        var host = candidate
        for lookup in lookups {
            switch lookup.result {
            case .failure(let error): lastError = error
            case .success(let addresses):
                if addresses.security == .insecure { host.security = .insecure }
                for case .address(let address) in addresses.records { host.addresses.append(address) }
            }
        }
        if !host.addresses.isEmpty { hosts.append(host) }
    }
    let outcome: MailRoute.Outcome = hosts.isEmpty ? lastError.map { .temporary($0) } ?? .noAddress : .hosts(hosts)
    return MailRoute(outcome: outcome, lookups: [exchangers] + lookups.joined())
}

/// Asks for the addresses of all hosts at once; the result has the order of the hosts and of the types.
private func addressLookups(of names: [DomainName], _ types: [DNSRecordType], using resolver: any Resolver) async -> [[DNSLookup]] {
    await withTaskGroup(of: (host: Int, type: Int, lookup: DNSLookup).self) { group in
        for (host, name) in names.enumerated() {
            for (position, type) in types.enumerated() {
                group.addTask { (host, position, await DNSLookup(name, type, using: resolver)) }
            }
        }
        var results: [[Int: DNSLookup]] = Array(repeating: [:], count: names.count)
        for await (host, type, lookup) in group { results[host][type] = lookup }
        return results.map { lookups in types.indices.compactMap { lookups[$0] } }
    }
}
