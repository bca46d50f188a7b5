import DNS

/// What the library said, copied out of its memory.
struct UnboundReply: Sendable {
    var responseCode: Int32
    var hasData: Bool
    var isNonexistent: Bool
    var isSecure: Bool
    var isBogus: Bool
    var bogusReason: String?
    var canonicalName: String?
    var timeToLive: UInt32
    var records: [[UInt8]]

    /// The reply as an answer.
    func answer(to name: DomainName, _ type: DNSRecordType) throws(DNSError) -> DNSAnswer {
        if isBogus { throw DNSError(.bogus, name: name.ascii, type: type, reason: bogusReason ?? "DNSSEC validation failed") }
        // RFC 1035 §4.1.1: 0 is no error, 3 a name error; everything else is a failure of the servers.
        guard responseCode == 0 || responseCode == 3 else {
            throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "response code \(responseCode)")
        }
        let data = records.compactMap { RecordData.parse($0, type: type) }
        // To call this "no data" would send mail past an MX record that is there, only unreadable.
        guard records.isEmpty || !data.isEmpty else {
            throw DNSError(.serverFailure, name: name.ascii, type: type, reason: "no record of the answer can be read")
        }
        let outcome: DNSAnswer.Outcome = !data.isEmpty ? .records : isNonexistent ? .nonexistentDomain : .noData
        var canonical: DomainName?
        if let canonicalName, let parsed = try? DomainName(canonicalName), parsed != name { canonical = parsed }
        return DNSAnswer(
            name: name, type: type, outcome: outcome, canonicalName: canonical, records: data, security: isSecure ? .secure : .insecure,
            timeToLive: timeToLive)
    }
}

/// Reads the data of records (RFC 1035 §3.3). What doesn't follow its type's form is left out.
enum RecordData {
    /// The data of one record of a type; `nil` where it is malformed.
    static func parse(_ octets: [UInt8], type: DNSRecordType) -> DNSRecordData? {
        var reader = Reader(octets: octets[...])
        switch type {
        case .a, .aaaa:
            guard octets.count == (type == .a ? 4 : 16) else { return nil }
            return IPAddress(octets: octets).map { .address($0) }
        case .mx:
            guard let preference = reader.number(), let exchange = reader.name(), reader.octets.isEmpty else { return nil }
            return .mx(preference: preference, exchange: exchange)
        case .txt:
            guard !octets.isEmpty else { return nil }
            var text: [UInt8] = []
            while !reader.octets.isEmpty {
                guard let length = reader.octet(), let part = reader.take(Int(length)) else { return nil }
                text += part
            }
            return .txt(text)
        case .cname, .ns, .ptr:
            guard let name = reader.name(), reader.octets.isEmpty else { return nil }
            return .name(name)
        case .tlsa:
            guard let usage = reader.octet(), let selector = reader.octet(), let matching = reader.octet(), !reader.octets.isEmpty else {
                return nil
            }
            return .tlsa(usage: usage, selector: selector, matching: matching, data: Array(reader.octets))
        case .srv:
            guard let priority = reader.number(), let weight = reader.number(), let port = reader.number(), let target = reader.name(),
                reader.octets.isEmpty
            else { return nil }
            return .srv(priority: priority, weight: weight, port: port, target: target)
        default:
            return .other(octets)
        }
    }

    private struct Reader {
        var octets: ArraySlice<UInt8>

        mutating func octet() -> UInt8? { octets.popFirst() }

        mutating func number() -> UInt16? {
            guard let high = octets.popFirst(), let low = octets.popFirst() else { return nil }
            return UInt16(high) << 8 | UInt16(low)
        }

        mutating func take(_ count: Int) -> ArraySlice<UInt8>? {
            guard octets.count >= count else { return nil }
            defer { octets = octets.dropFirst(count) }
            return octets.prefix(count)
        }

        /// A name without compression: the library has expanded it. At most 127 labels fit into 255 octets.
        mutating func name() -> DomainName? {
            var labels: [String] = []
            while let length = octet() {
                guard length != 0 else { return labels.isEmpty ? .root : try? DomainName(labels.joined(separator: ".")) }
                // A dot within a label would make two of it, and what isn't ASCII would be mapped to another name.
                guard length < 64, labels.count < 127, let label = take(Int(length)),
                    label.allSatisfy({ (0x21...0x7E).contains($0) && $0 != UInt8(ascii: ".") })
                else { return nil }
                labels.append(String(decoding: label, as: UTF8.self))
            }
            // The data ended before the root's label did.
            return nil
        }
    }
}
