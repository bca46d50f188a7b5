public import DNS

/// The data of a record that is added, deleted or required.
public enum UpdateRecordData: Hashable, Sendable {
    /// A or AAAA, by the address's family (RFC 1035 §3.4.1, RFC 3596 §2.2).
    case address(IPAddress)
    /// MX (RFC 1035 §3.3.9); the root as exchange says that there is no mail (RFC 7505).
    case mx(preference: UInt16, exchange: DomainName)
    /// TXT; text of more than 255 octets is written as several character-strings (RFC 1035 §3.3.14).
    case txt([UInt8])
    /// CNAME (RFC 1035 §3.3.1).
    case cname(DomainName)
    /// PTR (RFC 1035 §3.3.12).
    case ptr(DomainName)
    /// NS (RFC 1035 §3.3.11).
    case ns(DomainName)
    /// SRV (RFC 2782).
    case srv(priority: UInt16, weight: UInt16, port: UInt16, target: DomainName)
    /// TLSA (RFC 6698 §2.1).
    case tlsa(usage: UInt8, selector: UInt8, matching: UInt8, data: [UInt8])
    /// CAA (RFC 8659 §4.1): whoever doesn't know the tag of a critical property may issue nothing.
    case caa(isCritical: Bool, tag: String, value: [UInt8])
    /// Any other type, its data as it stands in a message without compression (RFC 3597).
    case raw(DNSRecordType, [UInt8])

    /// The record's type.
    public var type: DNSRecordType {
        switch self {
        case .address(.v4): .a
        case .address(.v6): .aaaa
        case .mx: .mx
        case .txt: .txt
        case .cname: .cname
        case .ptr: .ptr
        case .ns: .ns
        case .srv: .srv
        case .tlsa: .tlsa
        case .caa: .caa
        case .raw(let type, _): type
        }
    }

    /// The record's data as it stands in a message.
    func octets() throws(DNSUpdateError) -> [UInt8] {
        var writer = MessageWriter()
        switch self {
        case .address(let address): writer.append(address.octets)
        case .mx(let preference, let exchange):
            writer.append(preference)
            try writer.append(exchange)
        case .txt(let text):
            // At least one character-string, empty where there is no text.
            var rest = text[...]
            repeat {
                let part = rest.prefix(255)
                writer.append(UInt8(part.count))
                writer.append(part)
                rest = rest.dropFirst(255)
            } while !rest.isEmpty
        case .cname(let name), .ptr(let name), .ns(let name): try writer.append(name)
        case .srv(let priority, let weight, let port, let target):
            writer.append(priority)
            writer.append(weight)
            writer.append(port)
            try writer.append(target)
        case .tlsa(let usage, let selector, let matching, let data):
            writer.append([usage, selector, matching])
            writer.append(data)
        case .caa(let isCritical, let tag, let value):
            guard (1...255).contains(tag.utf8.count), tag.utf8.allSatisfy(Self.isTagOctet) else {
                throw DNSUpdateError(.invalidRecord, "a CAA property's tag has letters and digits only, not “\(tag.prefix(64))” (RFC 8659 §4.1)")
            }
            writer.append([isCritical ? 0x80 : 0, UInt8(tag.utf8.count)])
            writer.append(tag.utf8)
            writer.append(value)
        case .raw(let type, let data):
            // Types from 128 to 255 are questions and the protocol's own records (RFC 6895 §3.1), and 41 is EDNS.
            guard type.rawValue != 0, !(128...255).contains(type.rawValue), type.rawValue != 41 else {
                throw DNSUpdateError(.invalidRecord, "no zone has records of \(type) (RFC 2136 §3.4.1.2)")
            }
            writer.append(data)
        }
        guard writer.octets.count <= 65_535 else {
            throw DNSUpdateError(.limitExceeded, "a record's data can't have \(writer.octets.count) octets (RFC 1035 §3.2.1)")
        }
        return writer.octets
    }

    private static func isTagOctet(_ octet: UInt8) -> Bool {
        switch octet {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
        default: false
        }
    }
}
