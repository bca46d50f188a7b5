/// A resolver that answers from zones in memory: for tests, and wherever an outcome must be replayed.
public struct ZoneResolver: Resolver {
    private var records: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    private var aliases: [DomainName: DomainName] = [:]
    private var failures: [DomainName: [DNSRecordType?: DNSError.Code]] = [:]
    private var zones: [DomainName: DNSSECStatus] = [:]

    /// A resolver that knows no name.
    public init() {}

    /// Adds a record.
    public mutating func add(_ name: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        records[name, default: [:]][type, default: []].append(data)
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
            let found = type == .cname ? alias.map { [.name($0)] } ?? [] : records[current]?[type] ?? []
            // RFC 8020: a name with others below it exists, even without records of its own.
            let exists =
                alias != nil || records[current] != nil || records.keys.contains { $0.isSubdomain(of: current) }
                || aliases.keys.contains { $0.isSubdomain(of: current) }
            return DNSAnswer(
                name: name, type: type, outcome: !found.isEmpty ? .records : exists ? .noData : .nonexistentDomain,
                canonicalName: current == name ? nil : current, records: found, security: isSecure ? .secure : .insecure)
        }
        throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "a chain of more than 8 CNAMEs")
    }
}
