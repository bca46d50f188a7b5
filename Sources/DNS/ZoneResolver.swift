/// A resolver that answers from zones in memory: for tests, and wherever an outcome must be replayed.
public struct ZoneResolver: Resolver {
    private var records: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    /// Records of `*` below a name.
    private var wildcards: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    private var aliases: [DomainName: DomainName] = [:]
    /// CNAMEs of `*` below a name.
    private var wildcardAliases: [DomainName: DomainName] = [:]
    /// Every name that has something, and those above it.
    private var existing: Set<DomainName> = []
    private var failures: [DomainName: [DNSRecordType?: DNSError.Code]] = [:]
    private var zones: [DomainName: DNSSECStatus] = [:]

    /// A resolver that knows no name.
    public init() {}

    /// Adds a record.
    public mutating func add(_ name: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        records[name, default: [:]][type, default: []].append(data)
        exist(name)
    }

    /// Adds a record for every name below `parent` that doesn't exist otherwise (`*` in a zone file, RFC 4592).
    public mutating func addWildcard(below parent: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        wildcards[parent, default: [:]][type, default: []].append(data)
        exist(parent)
    }

    /// Adds a CNAME record.
    public mutating func alias(_ name: DomainName, to target: DomainName) {
        aliases[name] = target
        exist(name)
    }

    /// Adds a CNAME record for every name below `parent` that doesn't exist otherwise.
    public mutating func aliasWildcard(below parent: DomainName, to target: DomainName) {
        wildcardAliases[parent] = target
        exist(parent)
    }

    /// RFC 8020: a name with others below it exists, even without records of its own; so does one with a wildcard below it.
    private mutating func exist(_ name: DomainName) {
        var current: DomainName? = name
        // Whatever is there already has its parents there too.
        while let name = current, existing.insert(name).inserted { current = name.parent }
    }

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

    /// The closest name above that exists: only its wildcard speaks for a name that doesn't exist (RFC 4592 §3.3.1).
    private func encloser(of name: DomainName) -> DomainName? {
        var encloser = name.parent
        while let current = encloser, !existing.contains(current) { encloser = current.parent }
        return encloser
    }

    public func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        var current = name
        var isSecure = true
        for _ in 0..<9 {
            if let code = failures[current]?[type] ?? failures[current]?[nil] {
                throw DNSError(code, name: name.ascii, type: type, reason: "as the zone is set up")
            }
            isSecure = isSecure && self.isSecure(current)
            let isThere = existing.contains(current)
            let encloser = isThere ? nil : self.encloser(of: current)
            let alias = aliases[current] ?? encloser.flatMap { wildcardAliases[$0] }
            if type != .cname, let alias {
                current = alias
                continue
            }
            let wildcard = encloser.flatMap { wildcards[$0] }
            let found = type == .cname ? alias.map { [.name($0)] } ?? [] : (wildcard ?? records[current])?[type] ?? []
            let exists = isThere || wildcard != nil || alias != nil
            return DNSAnswer(
                name: name, type: type, outcome: !found.isEmpty ? .records : exists ? .noData : .nonexistentDomain,
                canonicalName: current == name ? nil : current, records: found, security: isSecure ? .secure : .insecure)
        }
        throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "a chain of more than 8 CNAMEs")
    }
}
