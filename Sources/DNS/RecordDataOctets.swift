extension DNSRecordData {
    /// Reads the octets of a record (RFC 1035 §3.3, RFC 3596 §2.2, RFC 2782, RFC 6698 §2.1), its names not compressed (RFC 3597 §4).
    ///
    /// Data of types that aren't known here stays as it is; `nil` for what a known type can't have.
    init?(octets: [UInt8], type: DNSRecordType) {
        var rest = octets[...]
        switch type {
        case .a, .aaaa:
            guard octets.count == (type == .a ? 4 : 16), let address = IPAddress(octets: octets) else { return nil }
            self = .address(address)
        case .txt:
            var text: [UInt8] = []
            guard !rest.isEmpty else { return nil }
            while let length = rest.popFirst() {
                guard rest.count >= Int(length) else { return nil }
                text += rest.prefix(Int(length))
                rest = rest.dropFirst(Int(length))
            }
            self = .txt(text)
        case .mx:
            guard let preference = Self.number(&rest), let exchange = Self.name(&rest), rest.isEmpty else { return nil }
            self = .mx(preference: preference, exchange: exchange)
        case .cname, .ptr, .ns:
            guard let name = Self.name(&rest), rest.isEmpty else { return nil }
            self = .name(name)
        case .srv:
            guard let priority = Self.number(&rest), let weight = Self.number(&rest), let port = Self.number(&rest),
                let target = Self.name(&rest), rest.isEmpty
            else { return nil }
            self = .srv(priority: priority, weight: weight, port: port, target: target)
        case .tlsa:
            guard octets.count >= 3 else { return nil }
            self = .tlsa(usage: octets[0], selector: octets[1], matching: octets[2], data: Array(octets[3...]))
        default: self = .other(octets)
        }
    }

    private static func number(_ rest: inout ArraySlice<UInt8>) -> UInt16? {
        guard let high = rest.popFirst(), let low = rest.popFirst() else { return nil }
        return UInt16(high) << 8 | UInt16(low)
    }

    /// A sequence of labels up to the empty one (RFC 1035 §3.1).
    private static func name(_ rest: inout ArraySlice<UInt8>) -> DomainName? {
        var labels: [String] = []
        while let length = rest.popFirst(), length <= 63, labels.count <= 127 {
            guard length > 0 else { return labels.isEmpty ? .root : try? DomainName.question(labels.joined(separator: ".")) }
            let label = rest.prefix(Int(length))
            // A dot within a label would make two of it.
            guard label.count == length, !label.contains(UInt8(ascii: ".")) else { return nil }
            labels.append(String(decoding: label, as: UTF8.self))
            rest = rest.dropFirst(Int(length))
        }
        return nil
    }
}
