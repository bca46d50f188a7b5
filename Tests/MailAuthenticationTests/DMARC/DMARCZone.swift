import DNS

/// A zone of TXT records at `_dmarc`, and of names that exist.
func dmarcZone(_ records: [(domain: String, record: String)], existing: [String] = []) throws -> ZoneResolver {
    var zone = ZoneResolver()
    for (domain, record) in records { zone.add(try DomainName("_dmarc.\(domain)"), .txt, .txt(Array(record.utf8))) }
    for name in existing {
        zone.add(try DomainName(name), .a, .other([203, 0, 113, 1]))
    }
    return zone
}
