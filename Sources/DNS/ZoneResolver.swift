/// A resolver that answers from zones in memory: for tests, and wherever an outcome must be replayed.
public struct ZoneResolver: Resolver {
    private var records: [DomainName: [DNSRecordType: [DNSRecordData]]] = [:]
    private var aliases: [DomainName: DomainName] = [:]
    private var failures: [DomainName: DNSError.Code] = [:]
    private var secureZones: Set<DomainName> = []

    /// A resolver that knows no name.
    public init() {}

    /// Adds a record.
    public mutating func add(_ name: DomainName, _ type: DNSRecordType, _ data: DNSRecordData) {
        records[name, default: [:]][type, default: []].append(data)
    }

    /// Adds a CNAME record.
    public mutating func alias(_ name: DomainName, to target: DomainName) { aliases[name] = target }

    /// Makes every question for a name fail.
    public mutating func fail(_ name: DomainName, with code: DNSError.Code) { failures[name] = code }

    /// Makes answers from a zone secure.
    public mutating func sign(_ zone: DomainName) { secureZones.insert(zone) }

    public func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        var current = name
        var isSecure = true
        for _ in 0..<9 {
            if let code = failures[current] { throw DNSError(code, name: name.ascii, type: type, reason: "as the zone is set up") }
            isSecure = isSecure && secureZones.contains { current.isEqualOrSubdomain(of: $0) }
            if type != .cname, let target = aliases[current] {
                current = target
                continue
            }
            let found = records[current]?[type] ?? []
            // RFC 8020: a name with others below it exists, even without records of its own.
            let exists =
                records[current] != nil || records.keys.contains { $0.isSubdomain(of: current) }
                || aliases.keys.contains { $0.isSubdomain(of: current) }
            return DNSAnswer(
                name: name, type: type, outcome: !found.isEmpty ? .records : exists ? .noData : .nonexistentDomain,
                canonicalName: current == name ? nil : current, records: found, security: isSecure ? .secure : .insecure)
        }
        throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "a chain of more than 8 CNAMEs")
    }
}
