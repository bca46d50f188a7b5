/// Puts the entries of a master file into a resolver.
struct ZoneFileReader {
    private(set) var resolver = ZoneResolver()
    private var origin = DomainName.root
    private var owner: (name: DomainName, isWildcard: Bool)?

    mutating func take(_ entry: ZoneFileEntry) throws(ZoneFileError) {
        if let directive = entry.directive { return try take(directive, line: entry.line) }
        var words = entry.words[...]
        if let first = words.first, !first.isQuoted, !entry.startsWithBlank {
            switch first.text.uppercased() {
            case "$ORIGIN":
                guard words.count == 2, let word = words.last else { throw ZoneFileError(entry.line, "$ORIGIN needs a name") }
                origin = try name(word.text, entry.line)
                return
            case "$TTL": return
            case let word where word.hasPrefix("$"): throw ZoneFileError(entry.line, "\(first.text) isn't known here")
            default:
                owner = try ownerName(first.text, entry.line)
                words.removeFirst()
            }
        }
        guard let owner else { throw ZoneFileError(entry.line, "the first record needs a name") }
        // TTL and class stand in either order, or not at all.
        for _ in 0..<2 {
            guard let word = words.first, !word.isQuoted, words.count > 1 else { break }
            let text = word.text.uppercased()
            guard ["IN", "CH", "HS", "CLASS1"].contains(text) || Self.isTimeToLive(text) else { break }
            words.removeFirst()
        }
        guard let type = words.popFirst(), !type.isQuoted else { throw ZoneFileError(entry.line, "the record has no type") }
        try add(type.text.uppercased(), Array(words), owner, entry.line)
    }

    private static func isTimeToLive(_ text: String) -> Bool {
        guard let first = text.utf8.first, (0x30...0x39).contains(first) else { return false }
        return text.utf8.allSatisfy { (0x30...0x39).contains($0) || "SMHDW".utf8.contains($0) }
    }

    /// `SERVFAIL name. TYPE` and its like.
    private mutating func take(_ directive: String, line: Int) throws(ZoneFileError) {
        let words = directive.split { $0 == " " || $0 == "\t" || $0 == "\r" }.map(String.init)
        guard let verb = words.first?.uppercased(), words.count >= 2 else { throw ZoneFileError(line, "“;!” needs a word, a name and a type") }
        let target = try name(words[1], line)
        let code: DNSError.Code
        switch verb {
        case "SECURE": return resolver.sign(target)
        case "SERVFAIL": code = .serverFailure
        case "TIMEOUT": code = .timeout
        case "BOGUS": code = .bogus
        default: throw ZoneFileError(line, "“;!\(verb)” isn't known here: write SERVFAIL, TIMEOUT, BOGUS or SECURE")
        }
        let word = words.count > 2 ? words[2].uppercased() : "*"
        guard word != "*" else { return resolver.fail(target, nil, with: code) }
        guard let type = Self.type(word) else { throw ZoneFileError(line, "“\(word)” is no record type") }
        resolver.fail(target, type, with: code)
    }

    private mutating func add(
        _ typeName: String, _ words: [ZoneFileEntry.Word], _ owner: (name: DomainName, isWildcard: Bool), _ line: Int
    ) throws(ZoneFileError) {
        guard let type = Self.type(typeName) else { throw ZoneFileError(line, "“\(typeName)” is no record type") }
        if words.first?.isGeneric == true {
            let octets = try Self.hexadecimal(words.dropFirst(2), line)
            guard words.count > 1, Int(words[1].text) == octets.count else {
                throw ZoneFileError(line, "the number after “\\#” isn't that of the octets")
            }
            guard let data = DNSRecordData(octets: octets, type: type) else { throw ZoneFileError(line, "the octets are no data for \(typeName)") }
            return put(type, data, owner)
        }
        func word(_ index: Int) throws(ZoneFileError) -> String {
            guard index < words.count else { throw ZoneFileError(line, "\(typeName) needs more values") }
            return words[index].text
        }
        func number<Value: FixedWidthInteger>(_ index: Int) throws(ZoneFileError) -> Value {
            let text = try word(index)
            guard let value = Value(text) else { throw ZoneFileError(line, "“\(text)” is no number for \(typeName)") }
            return value
        }
        switch type {
        case .a, .aaaa:
            let text = try word(0)
            guard let address = IPAddress(text), (address.octets.count == 4) == (type == .a) else {
                throw ZoneFileError(line, "“\(text)” is no address for \(typeName)")
            }
            put(type, .address(address), owner)
        case .txt:
            guard !words.isEmpty else { throw ZoneFileError(line, "TXT needs a text") }
            put(type, .txt(words.flatMap(\.octets)), owner)
        case .mx: put(type, .mx(preference: try number(0), exchange: try name(try word(1), line)), owner)
        case .cname, .ptr, .ns: put(type, .name(try name(try word(0), line)), owner)
        case .srv:
            put(type, .srv(priority: try number(0), weight: try number(1), port: try number(2), target: try name(try word(3), line)), owner)
        case .tlsa:
            put(
                type, .tlsa(usage: try number(0), selector: try number(1), matching: try number(2), data: try Self.hexadecimal(words.dropFirst(3), line)),
                owner)
        case .caa:
            let tag = try word(1)
            guard words.count == 3, (1...255).contains(tag.utf8.count) else { throw ZoneFileError(line, "CAA has a number, a tag and a value") }
            put(type, .other([try number(0) as UInt8, UInt8(tag.utf8.count)] + tag.utf8 + words[2].octets), owner)
        default: put(type, .other(Array(words.map(\.octets).joined(separator: [0x20]))), owner)
        }
    }

    private mutating func put(_ type: DNSRecordType, _ data: DNSRecordData, _ owner: (name: DomainName, isWildcard: Bool)) {
        switch (type, data, owner.isWildcard) {
        case (.cname, .name(let target), true): resolver.aliasWildcard(below: owner.name, to: target)
        case (.cname, .name(let target), false): resolver.alias(owner.name, to: target)
        case (_, _, true): resolver.addWildcard(below: owner.name, type, data)
        case (_, _, false): resolver.add(owner.name, type, data)
        }
    }

    private static func hexadecimal(_ words: ArraySlice<ZoneFileEntry.Word>, _ line: Int) throws(ZoneFileError) -> [UInt8] {
        var octets: [UInt8] = []
        var high: UInt8?
        for digit in words.flatMap(\.octets) {
            let value: UInt8
            switch digit {
            case 0x30...0x39: value = digit - 0x30
            case 0x41...0x46: value = digit - 0x41 + 10
            case 0x61...0x66: value = digit - 0x61 + 10
            default: throw ZoneFileError(line, "the data isn't written in hexadecimal digits")
            }
            if let first = high {
                octets.append(first << 4 | value)
                high = nil
            } else {
                high = value
            }
        }
        guard high == nil else { throw ZoneFileError(line, "the data has half an octet at its end") }
        return octets
    }

    /// The types that IANA has registered for records.
    private static let types: [String: UInt16] = [
        "A": 1, "NS": 2, "MD": 3, "MF": 4, "CNAME": 5, "SOA": 6, "MB": 7, "MG": 8, "MR": 9, "NULL": 10, "WKS": 11, "PTR": 12, "HINFO": 13, "MINFO": 14,
        "MX": 15, "TXT": 16, "RP": 17, "AFSDB": 18, "X25": 19, "ISDN": 20, "RT": 21, "NSAP": 22, "NSAP-PTR": 23, "SIG": 24, "KEY": 25, "PX": 26,
        "GPOS": 27, "AAAA": 28, "LOC": 29, "NXT": 30, "EID": 31, "NIMLOC": 32, "SRV": 33, "ATMA": 34, "NAPTR": 35, "KX": 36, "CERT": 37, "A6": 38,
        "DNAME": 39, "SINK": 40, "APL": 42, "DS": 43, "SSHFP": 44, "IPSECKEY": 45, "RRSIG": 46, "NSEC": 47, "DNSKEY": 48, "DHCID": 49, "NSEC3": 50,
        "NSEC3PARAM": 51, "TLSA": 52, "SMIMEA": 53, "HIP": 55, "NINFO": 56, "RKEY": 57, "TALINK": 58, "CDS": 59, "CDNSKEY": 60, "OPENPGPKEY": 61,
        "CSYNC": 62, "ZONEMD": 63, "SVCB": 64, "HTTPS": 65, "DSYNC": 66, "SPF": 99, "UINFO": 100, "UID": 101, "GID": 102, "UNSPEC": 103, "NID": 104,
        "L32": 105, "L64": 106, "LP": 107, "EUI48": 108, "EUI64": 109, "URI": 256, "CAA": 257, "AVC": 258, "DOA": 259, "AMTRELAY": 260, "RESINFO": 261,
        "WALLET": 262, "TA": 32768, "DLV": 32769,
    ]

    private static func type(_ text: String) -> DNSRecordType? {
        if let value = types[text] { return DNSRecordType(rawValue: value) }
        guard text.hasPrefix("TYPE"), let value = UInt16(text.dropFirst(4)) else { return nil }
        return DNSRecordType(rawValue: value)
    }

    private func ownerName(_ text: String, _ line: Int) throws(ZoneFileError) -> (name: DomainName, isWildcard: Bool) {
        if text == "*" || text == "*." { return (text == "*" ? origin : .root, true) }
        if text.hasPrefix("*.") { return (try name(String(text.dropFirst(2)), line), true) }
        return (try name(text, line), false)
    }

    private func name(_ text: String, _ line: Int) throws(ZoneFileError) -> DomainName {
        if text == "." { return .root }
        if text == "@" { return origin }
        do {
            if text.hasSuffix(".") || origin == .root { return try DomainName.question(text) }
            return try DomainName.question("\(text).\(origin.ascii)")
        } catch {
            throw ZoneFileError(line, "\(error)")
        }
    }
}
