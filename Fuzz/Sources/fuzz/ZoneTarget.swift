import DNS

/// A master file: refused with its line, or records that are read as the same when they are written.
enum ZoneTarget {
    private static let types: [DNSRecordType] = [.a, .aaaa, .mx, .txt, .tlsa, .cname, .ns, .ptr, .srv, .soa, .openPGPKey]

    static func run(_ data: [UInt8]) {
        let octets = Input(data).octets
        let text = String(decoding: octets, as: UTF8.self)
        let zone: ZoneResolver
        do throws(ZoneFileError) {
            zone = try ZoneFile.resolver(parsing: text)
        } catch {
            let lines = text.utf8.reduce(1) { $0 + ($1 == 0x0A ? 1 : 0) }
            return require((1...lines).contains(error.line), "an error in line \(error.line) of \(lines)")
        }
        for name in names(text) {
            for type in types { check(zone, name, type) }
        }
    }

    /// The first words of some lines, and a name below each.
    private static func names(_ text: String) -> Set<DomainName> {
        var names: Set<DomainName> = []
        for line in text.utf8.split(separator: 0x0A).prefix(20) {
            let word = String(decoding: Array(line.prefix { $0 > 0x20 && $0 != UInt8(ascii: ";") }), as: UTF8.self)
            guard let name = try? DomainName(word.hasPrefix("*.") ? "below." + word.dropFirst(2) : word) else { continue }
            names.insert(name)
            if let below = try? name.prefixed(with: "below") { names.insert(below) }
        }
        return names
    }

    private static func check(_ zone: ZoneResolver, _ name: DomainName, _ type: DNSRecordType) {
        let answer = CallingThread.run { try? await zone.lookup(name, type) }
        guard let answer else { return }
        require(answer.records.isEmpty == (answer.outcome != .records), "\(answer.outcome) with \(answer.records.count) records")
        for record in answer.records.prefix(20) {
            let written = "\(name.ascii) \(type) \(record)"
            guard let again = try? ZoneFile.resolver(parsing: written) else {
                require(false, "what was read can't be read again: \(written)")
                continue
            }
            let second = CallingThread.run { try? await again.lookup(name, type) }
            // A record other than CNAME is found under the name, a CNAME under the question for it.
            require(second?.records == [record], "\(written) is read back as \(String(describing: second?.records))")
        }
    }
}
