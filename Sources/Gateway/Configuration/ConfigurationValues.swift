import ACME
import DNS
import FoundationEssentials
import Yams

// The types of values in `postern.yaml`. Everything is read from the text as it stands there: YAML's own guesses (`no` as false, `22:30` as
// a number in base 60) would surprise.

private func text(_ node: Node, _ reader: inout ConfigurationReader, expected: String) -> String? {
    guard case .scalar(let scalar) = node else {
        reader.reportError(at: node, "must be a single value: \(expected)")
        return nil
    }
    guard !ConfigurationReader.isEmpty(node) else {
        reader.reportError(at: node, "is empty; write \(expected)")
        return nil
    }
    guard !scalar.string.unicodeScalars.contains(where: { $0.value < 0x20 || $0.value == 0x7F }) else {
        reader.reportError(at: node, "has a line break or control character; write \(expected) on one line")
        return nil
    }
    return scalar.string
}

extension ConfigurationValue where Value == Int {
    /// A whole number within a range.
    static func integer(_ range: ClosedRange<Int>) -> Self {
        .init(
            name: "number",
            read: { node, reader in
                let expected = "a whole number from \(range.lowerBound) to \(range.upperBound)"
                guard let text = text(node, &reader, expected: expected) else { return nil }
                guard let number = Int(text), range.contains(number) else {
                    reader.reportError(at: node, "“\(text)” must be \(expected)")
                    return nil
                }
                return number
            },
            show: { String($0) }
        )
    }

    /// A TCP port.
    static var port: Self {
        .init(
            name: "port",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a port from 1 to 65535") else { return nil }
                guard let port = Int(text), (1...65535).contains(port) else {
                    reader.reportError(at: node, "“\(text)” must be a port from 1 to 65535")
                    return nil
                }
                return port
            },
            show: { String($0) }
        )
    }

    /// A number of octets: `50MiB`, `256KiB`, `1000000`.
    static func size(_ range: ClosedRange<Int>) -> Self {
        .init(
            name: "size",
            read: { node, reader in
                let limits = "\(showSize(range.lowerBound)) to \(showSize(range.upperBound))"
                guard let text = text(node, &reader, expected: "a size such as 50MiB") else { return nil }
                guard let size = parseQuantity(text, units: sizeUnits) else {
                    reader.reportError(at: node, "“\(text)” must be a size: a whole number of octets, or with KiB, MiB or GiB, such as 50MiB")
                    return nil
                }
                guard range.contains(size) else {
                    reader.reportError(at: node, "“\(text)” must be from \(limits)")
                    return nil
                }
                return size
            },
            show: showSize
        )
    }

    /// A span of time, kept in multiples of `unit` milliseconds; a bare number counts such units.
    static func duration(unit milliseconds: Int, _ range: ClosedRange<Int>) -> Self {
        let unitName = milliseconds == 1 ? "milliseconds" : milliseconds == 1000 ? "seconds" : "days"
        return .init(
            name: "duration",
            read: { node, reader in
                let example = milliseconds == 1 ? "500ms" : milliseconds == 1000 ? "5m" : "30d"
                guard let text = text(node, &reader, expected: "a duration such as \(example)") else { return nil }
                let parsed =
                    Int(text).flatMap { count -> Int? in
                        let product = count.multipliedReportingOverflow(by: milliseconds)
                        return product.overflow ? nil : product.partialValue
                    } ?? parseQuantity(text, units: durationUnits)
                guard let duration = parsed, duration % milliseconds == 0 else {
                    reader.reportError(
                        at: node,
                        "“\(text)” must be a duration: a whole number of \(unitName), or with ms, s, m, h or d, such as \(example)")
                    return nil
                }
                guard range.contains(duration / milliseconds) else {
                    reader.reportError(
                        at: node,
                        "“\(text)” must be from \(showDuration(range.lowerBound, unit: milliseconds)) to \(showDuration(range.upperBound, unit: milliseconds))"
                    )
                    return nil
                }
                return duration / milliseconds
            },
            show: { showDuration($0, unit: milliseconds) }
        )
    }
}

private let sizeUnits: [(String, Int)] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1), ("", 1)]
private let durationUnits: [(String, Int)] = [("ms", 1), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)]

/// A whole number followed by a unit, with or without a space between them.
private func parseQuantity(_ text: String, units: [(String, Int)]) -> Int? {
    for (suffix, factor) in units where text.hasSuffix(suffix) {
        var digits = text.dropLast(suffix.count)
        while digits.last == " " { digits.removeLast() }
        guard !digits.isEmpty, digits.utf8.allSatisfy({ (0x30...0x39).contains($0) }), let number = Int(digits) else { continue }
        let product = number.multipliedReportingOverflow(by: factor)
        return product.overflow ? nil : product.partialValue
    }
    return nil
}

private func showSize(_ octets: Int) -> String {
    for (suffix, factor) in sizeUnits where octets >= factor && octets % factor == 0 && factor > 1 { return "\(octets / factor)\(suffix)" }
    return String(octets)
}

private func showDuration(_ value: Int, unit: Int) -> String {
    let milliseconds = value * unit
    for (suffix, factor) in durationUnits.dropFirst() where milliseconds >= factor && milliseconds % factor == 0 {
        return "\(milliseconds / factor)\(suffix)"
    }
    return "\(milliseconds)ms"
}

extension ConfigurationValue where Value == Bool {
    /// `true` or `false`.
    static var flag: Self {
        .init(
            name: "true or false",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "true or false") else { return nil }
                switch text {
                case "true": return true
                case "false": return false
                default:
                    reader.reportError(at: node, "“\(text)” must be true or false")
                    return nil
                }
            },
            show: { $0 ? "true" : "false" }
        )
    }
}

extension ConfigurationValue where Value == Date {
    /// A day, as 2027-03-31: its beginning in UTC.
    static var day: Self {
        .init(
            name: "day",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a day such as 2027-03-31") else { return nil }
                guard text.utf8.count == 10, let date = try? Date("\(text)T00:00:00Z", strategy: .iso8601) else {
                    reader.reportError(at: node, "“\(text)” must be a day such as 2027-03-31")
                    return nil
                }
                return date
            },
            show: { String($0.formatted(.iso8601).prefix(10)) }
        )
    }
}

extension ConfigurationValue where Value == String {
    /// A few words for people.
    static var words: Self {
        .init(name: "text", read: { node, reader in text(node, &reader, expected: "a few words") }, show: { $0 })
    }

    /// A name of a host: a domain name of at least two labels.
    static var hostname: Self {
        .init(
            name: "host name",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a name such as mail.kartapuce.test") else { return nil }
                guard let name = DomainName(configuredHost: text) else {
                    reader.reportError(at: node, "“\(text)” must be a full host name such as mail.kartapuce.test")
                    return nil
                }
                return name.ascii
            },
            show: { $0 }
        )
    }

    /// A file or folder; a relative path starts at the configuration's folder.
    static func path(_ kind: String) -> Self {
        .init(
            name: kind,
            read: { node, reader in
                guard let text = text(node, &reader, expected: "the path of a \(kind)") else { return nil }
                return text.hasPrefix("/") ? text : "\(reader.folder)/\(text)"
            },
            show: { $0 }
        )
    }

    /// A text on one line.
    static func line(_ expected: String) -> Self {
        .init(name: "text", read: { node, reader in text(node, &reader, expected: expected) }, show: { $0 })
    }

    /// One of some words.
    static func choice(_ words: [String]) -> Self {
        .init(
            name: "one of \(words.joined(separator: ", "))",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "one of \(words.joined(separator: ", "))") else { return nil }
                guard words.contains(text) else {
                    let nearest = ConfigurationReader.nearest(to: text, among: words).map { "; did you mean “\($0)”?" } ?? ""
                    reader.reportError(at: node, "“\(text)” must be one of \(words.joined(separator: ", "))\(nearest)")
                    return nil
                }
                return text
            },
            show: { $0 }
        )
    }

    /// At most one character that may separate a sub-address; empty for none.
    static var separator: Self {
        .init(
            name: "one character, or empty",
            read: { node, reader in
                guard case .scalar(let scalar) = node else {
                    reader.reportError(at: node, "must be one character such as “+”, or \"\" for none")
                    return nil
                }
                // RFC 5321 §4.1.2: an atom's characters, without those that occur in nearly every address.
                let allowed = "!#$%&'*+-/=?^_`{|}~"
                guard scalar.string.isEmpty || (scalar.string.count == 1 && allowed.contains(scalar.string)) else {
                    reader.reportError(at: node, "“\(scalar.string)” must be one of \(allowed), or \"\" for none")
                    return nil
                }
                return scalar.string
            },
            show: { "\"\($0)\"" }
        )
    }

    /// A recursive server: an address, with `@port` where it isn't 53.
    static var forwarder: Self {
        .init(
            name: "address or address@port",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "an address such as 127.0.0.1 or 127.0.0.1@5353") else { return nil }
                let parts = text.split(separator: "@", omittingEmptySubsequences: false)
                let port = parts.count == 2 ? Int(parts[1]) : 53
                guard (1...2).contains(parts.count), IPAddress(String(parts[0])) != nil, let port, (1...65535).contains(port)
                else {
                    reader.reportError(at: node, "“\(text)” must be an address such as 127.0.0.1, or with a port 127.0.0.1@5353")
                    return nil
                }
                return text
            },
            show: { $0 }
        )
    }
}

extension ConfigurationValue where Value == DomainName {
    /// A domain name.
    static var domain: Self {
        .init(
            name: "domain name",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a domain name such as kartapuce.test") else { return nil }
                guard let name = DomainName(configured: text), !name.ascii.isEmpty else {
                    reader.reportError(at: node, "“\(text)” must be a domain name such as kartapuce.test")
                    return nil
                }
                return name
            },
            show: { $0.ascii }
        )
    }
}

extension ConfigurationValue where Value == IPAddress {
    /// An IPv4 or IPv6 address.
    static var address: Self {
        .init(
            name: "IP address",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "an address such as 192.0.2.1") else { return nil }
                guard let address = IPAddress(text) else {
                    reader.reportError(at: node, "“\(text)” must be an IPv4 or IPv6 address such as 192.0.2.1 or 2001:db8::1")
                    return nil
                }
                return address
            },
            show: { $0.description }
        )
    }
}

extension ConfigurationValue where Value == IPNetwork {
    /// A network in CIDR notation; a bare address is a network of one.
    static var network: Self {
        .init(
            name: "network",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a network such as 192.0.2.0/24") else { return nil }
                let parts = text.split(separator: "/", omittingEmptySubsequences: false)
                guard (1...2).contains(parts.count), let address = IPAddress(String(parts[0])) else {
                    reader.reportError(at: node, "“\(text)” must be a network such as 192.0.2.0/24 or 2001:db8::/32")
                    return nil
                }
                let longest = if case .v4 = address { 32 } else { 128 }
                let length = parts.count == 2 ? Int(parts[1]) : longest
                guard let length, (0...longest).contains(length) else {
                    reader.reportError(at: node, "the prefix length of “\(text)” must be from 0 to \(longest)")
                    return nil
                }
                return IPNetwork(address: address, prefixLength: length)
            },
            // A plain scalar of YAML can't begin with a colon in a list.
            show: { if case .v6 = $0.address { "\"\($0)\"" } else { $0.description } }
        )
    }
}

extension ConfigurationValue where Value == Set<Configuration.Role> {
    /// One role or several.
    static var roles: Self {
        let words = Configuration.Role.allCases.map(\.rawValue)
        let list = ConfigurationValue<String>.choice(words).list()
        return .init(
            name: "list of roles (\(words.joined(separator: ", ")))",
            read: { node, reader in list.read(node, &reader).map { Set($0.compactMap(Configuration.Role.init(rawValue:))) } },
            show: { roles in "[\(Configuration.Role.allCases.filter(roles.contains).map(\.rawValue).joined(separator: ", "))]" }
        )
    }
}

extension DomainName {
    /// A name as somebody wrote it into the configuration; a final dot is allowed.
    init?(configured text: String) {
        // An address is a name by the grammar of the DNS, and never what is meant.
        guard IPAddress(text) == nil, let name = try? DomainName(text) else { return nil }
        self = name
    }

    /// A full host name as somebody wrote it: no underscores, which hosts can't have (RFC 952, RFC 1123 §2.1).
    init?(configuredHost text: String) {
        self.init(configured: text)
        guard ascii.contains("."), !ascii.contains("_"), !ascii.contains("*") else { return nil }
    }
}

extension ConfigurationValue where Value: RawRepresentable & CaseIterable & Sendable, Value.RawValue == String {
    /// One of the words of an enumeration.
    static func word() -> Self {
        let choice = ConfigurationValue<String>.choice(Value.allCases.map(\.rawValue))
        return .init(name: choice.name, read: { node, reader in choice.read(node, &reader).flatMap(Value.init) }, show: { $0.rawValue })
    }
}

extension ConfigurationValue where Value == CertificateName {
    /// A name of a certificate.
    static var certificateName: Self {
        .init(
            name: "domain name or wildcard",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a name such as mail.kartapuce.test") else { return nil }
                guard let name = try? CertificateName(text), DomainName(configuredHost: name.domain.ascii) != nil else {
                    reader.reportError(at: node, "“\(text)” must be a host name such as mail.kartapuce.test, or \"*.kartapuce.test\"")
                    return nil
                }
                return name
            },
            show: { "\"\($0)\"" }
        )
    }
}

extension ConfigurationValue where Value == String {
    /// A URL of HTTPS.
    static var httpsURL: Self {
        .init(
            name: "https URL",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "a URL such as https://acme.gmail.test/directory") else { return nil }
                guard WebAddress(text) != nil else {
                    reader.reportError(at: node, "“\(text)” must be a URL with a host's name such as https://acme.gmail.test/directory")
                    return nil
                }
                return text
            },
            show: { $0 }
        )
    }

    /// A contact of an account (RFC 8555 §7.3).
    static var contact: Self {
        .init(
            name: "mailto URL",
            read: { node, reader in
                guard let text = text(node, &reader, expected: "an address such as mailto:postmaster@kartapuce.test") else { return nil }
                guard text.hasPrefix("mailto:"), text.contains("@"), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }) else {
                    reader.reportError(at: node, "“\(text)” must be an address such as mailto:postmaster@kartapuce.test")
                    return nil
                }
                return text
            },
            show: { "\"\($0)\"" }
        )
    }

    /// Some printable word.
    static func word(_ name: String) -> Self {
        .init(name: name, read: { node, reader in text(node, &reader, expected: "a word") }, show: { $0 })
    }
}
