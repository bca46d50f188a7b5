/// A resolver that answers from zones in memory: for tests, and wherever an outcome must be replayed.
public struct ZoneResolver: Resolver {
    private var records: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    /// Records of `*` below a name.
    private var wildcards: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    private var aliases: [DomainName: DomainName] = [:]
    private var failures: [DomainName: [DNSRecordType?: DNSError.Code]] = [:]
    private var zones: [DomainName: DNSSECStatus] = [:]

    /// A resolver that knows no name.
    public init() {}

    /// Adds a record.
    public mutating func add(_ name: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        records[name, default: [:]][type, default: []].append(data)
    }

    /// Adds a record for every name below `parent` that doesn't exist otherwise (`*` in a zone file, RFC 4592).
    public mutating func addWildcard(below parent: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        wildcards[parent, default: [:]][type, default: []].append(data)
    }

    /// Adds a CNAME record.
    public mutating func alias(_ name: DomainName, to target: DomainName) { aliases[name] = target }

    /// Makes questions for a name fail: those for one type, or all of them.
    public mutating func fail(_ name: DomainName, _ type: DNSRecordType? = nil, with code: DNSError.Code) {
        failures[name, default: [:]][type] = code
    }

    /// Makes answers from a zone secure, and from the zones below it that aren't set otherwise.
    public mutating func sign(_ zone: DomainName) { zones[zone] = .secure }

    /// Makes answers from a zone insecure below a signed one: a delegation without DS records.
    public mutating func delegateUnsigned(_ zone: DomainName) { zones[zone] = .insecure }

    /// The nearest zone at or above the name decides.
    private func isSecure(_ name: DomainName) -> Bool {
        var current: DomainName? = name
        while let zone = current {
            if let status = zones[zone] { return status == .secure }
            current = zone.parent
        }
        return false
    }

    /// RFC 8020: a name with others below it exists, even without records of its own; so does one with a wildcard below it.
    private func exists(_ name: DomainName) -> Bool {
        records[name] != nil || aliases[name] != nil || wildcards.keys.contains { $0.isEqualOrSubdomain(of: name) }
            || records.keys.contains { $0.isSubdomain(of: name) } || aliases.keys.contains { $0.isSubdomain(of: name) }
    }

    /// What the wildcard at the closest name above that exists says; another one further up says nothing (RFC 4592 §3.3.1).
    private func wildcard(for name: DomainName) -> [DNSRecordType: [DNSRecordData]]? {
        var encloser = name.parent
        while let current = encloser, !exists(current) { encloser = current.parent }
        return encloser.flatMap { wildcards[$0] }
    }

    public func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        var current = name
        var isSecure = true
        for _ in 0..<9 {
            if let code = failures[current]?[type] ?? failures[current]?[nil] {
                throw DNSError(code, name: name.ascii, type: type, reason: "as the zone is set up")
            }
            isSecure = isSecure && self.isSecure(current)
            let alias = aliases[current]
            if type != .cname, let alias {
                current = alias
                continue
            }
            let isThere = exists(current)
            let wildcard = isThere ? nil : self.wildcard(for: current)
            let found = type == .cname ? alias.map { [.name($0)] } ?? [] : (wildcard ?? records[current])?[type] ?? []
            return DNSAnswer(
                name: name, type: type, outcome: !found.isEmpty ? .records : isThere || wildcard != nil ? .noData : .nonexistentDomain,
                canonicalName: current == name ? nil : current, records: found, security: isSecure ? .secure : .insecure)
        }
        throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "a chain of more than 8 CNAMEs")
    }
}
