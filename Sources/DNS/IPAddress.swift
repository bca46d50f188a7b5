/// An IPv4 or IPv6 address.
public enum IPAddress: Hashable, Sendable {
    /// The 32 bits of an IPv4 address.
    case v4(UInt32)
    /// The upper and lower 64 bits of an IPv6 address.
    case v6(UInt64, UInt64)

    /// The octets in network order: 4 or 16.
    public var octets: [UInt8] {
        switch self {
        case .v4(let value): Self.octets(of: value)
        case .v6(let high, let low): Self.octets(of: high) + Self.octets(of: low)
        }
    }

    /// An address of 4 or 16 octets; `nil` for another number.
    public init?(octets: [UInt8]) {
        func number<Number: FixedWidthInteger>(_ part: ArraySlice<UInt8>) -> Number { part.reduce(0) { $0 << 8 | Number($1) } }
        switch octets.count {
        case 4: self = .v4(number(octets[...]))
        case 16: self = .v6(number(octets[..<8]), number(octets[8...]))
        default: return nil
        }
    }

    private static func octets(of value: some FixedWidthInteger) -> [UInt8] {
        stride(from: value.bitWidth - 8, through: 0, by: -8).map { UInt8(truncatingIfNeeded: value >> $0) }
    }

    /// The number of its bits: 32 or 128.
    fileprivate var bitWidth: Int {
        switch self {
        case .v4: 32
        case .v6: 128
        }
    }

    /// 127.0.0.0/8, also as IPv4-mapped IPv6 addresses, and ::1.
    public var isLoopback: Bool {
        switch unmapped {
        case .v4(let value): value >> 24 == 127
        case .v6(let high, let low): high == 0 && low == 1
        }
    }

    /// The IPv4 address of an IPv4-mapped IPv6 address (RFC 4291 §2.5.5.2), and every other address as it is.
    public var unmapped: IPAddress {
        guard case .v6(0, let low) = self, low >> 32 == 0xFFFF else { return self }
        return .v4(UInt32(truncatingIfNeeded: low))
    }

    /// The network that the address belongs to for limits: so many bits of IPv4, so many of IPv6. An IPv4-mapped address counts as
    /// the IPv4 address, or all of IPv4 would share one limit.
    public func network(v4Prefix: Int = 24, v6Prefix: Int = 64) -> IPNetwork {
        switch unmapped {
        case .v4: IPNetwork(address: unmapped, prefixLength: v4Prefix)
        case .v6: IPNetwork(address: self, prefixLength: v6Prefix)
        }
    }

    fileprivate func masked(to length: Int) -> IPAddress {
        func mask<Number: FixedWidthInteger>(_ value: Number, _ bits: Int) -> Number {
            bits <= 0 ? 0 : bits >= Number.bitWidth ? value : value & ~(Number.max >> Number(bits))
        }
        switch self {
        case .v4(let value): return .v4(mask(value, length))
        case .v6(let high, let low): return .v6(mask(high, length), mask(low, length - 64))
        }
    }
}

extension IPAddress: LosslessStringConvertible, Codable {
    /// Reads dotted decimals or the text forms of RFC 4291 §2.2; `nil` for anything else.
    public init?(_ description: String) {
        guard description.utf8.contains(UInt8(ascii: ":")) else {
            guard let value = Self.parseV4(description[...]) else { return nil }
            self = .v4(value)
            return
        }
        guard let value = Self.parseV6(description) else { return nil }
        self = value
    }

    private static func parseV4(_ text: Substring) -> UInt32? {
        var value: UInt32 = 0
        var parts = 1
        var digits = 0
        var part: UInt32 = 0
        for octet in text.utf8 {
            switch octet {
            case UInt8(ascii: "."):
                guard digits > 0, parts < 4 else { return nil }
                value = value << 8 | part
                parts += 1
                digits = 0
                part = 0
            case 0x30...0x39:
                // No leading zeros: some read them as octal.
                guard digits == 0 || part > 0 else { return nil }
                part = part * 10 + UInt32(octet - 0x30)
                digits += 1
                guard part <= 255 else { return nil }
            default: return nil
            }
        }
        return parts == 4 && digits > 0 ? value << 8 | part : nil
    }

    private static func parseV6(_ text: String) -> IPAddress? {
        guard text.utf8.count <= 45 else { return nil }
        var head = text[...]
        var groups: [UInt16] = []
        var tail: [UInt16]?
        if let gap = text.firstRange(of: "::") {
            head = text[..<gap.lowerBound]
            let rest = text[gap.upperBound...]
            guard !rest.contains("::"), let parsed = parseGroups(rest, mayEndInIPv4: true) else { return nil }
            tail = parsed
        }
        // Dotted decimals stand at the very end only (RFC 4291 §2.2).
        guard let parsed = parseGroups(head, mayEndInIPv4: tail == nil) else { return nil }
        groups = parsed
        if let tail {
            let missing = 8 - groups.count - tail.count
            guard missing >= 1 else { return nil }
            groups += Array(repeating: 0, count: missing) + tail
        }
        guard groups.count == 8 else { return nil }
        return IPAddress(octets: groups.flatMap { [UInt8($0 >> 8), UInt8($0 & 255)] })
    }

    private static func parseGroups(_ text: Substring, mayEndInIPv4: Bool) -> [UInt16]? {
        guard !text.isEmpty else { return [] }
        var groups: [UInt16] = []
        let parts = text.split(separator: ":", omittingEmptySubsequences: false)
        for (index, part) in parts.enumerated() {
            if mayEndInIPv4, index == parts.count - 1, part.contains(".") {
                guard let value = parseV4(part) else { return nil }
                groups += [UInt16(value >> 16), UInt16(value & 0xFFFF)]
            } else {
                guard (1...4).contains(part.utf8.count), part.utf8.allSatisfy({ $0 != 0x2B && $0 != 0x2D }),
                    let value = UInt16(part, radix: 16)
                else { return nil }
                groups.append(value)
            }
        }
        return groups
    }

    /// The canonical text (RFC 5952 §4).
    public var description: String {
        switch self {
        case .v4(let value): return Self.dotted(value)
        case .v6(let high, let low):
            if case .v4 = unmapped { return "::ffff:\(unmapped)" }
            let words = [high, low].flatMap { half in stride(from: 48, through: 0, by: -16).map { UInt16(truncatingIfNeeded: half >> UInt64($0)) } }
            var best = 0..<0
            var start = 0
            for index in 0...8 where index == 8 || words[index] != 0 {
                if index - start > best.count, index - start >= 2 { best = start..<index }
                start = index + 1
            }
            let text = { (part: ArraySlice<UInt16>) in part.map { String($0, radix: 16) }.joined(separator: ":") }
            return best.isEmpty ? text(words[...]) : text(words[..<best.lowerBound]) + "::" + text(words[best.upperBound...])
        }
    }

    /// At most 15 octets, which a String holds in itself.
    private static func dotted(_ value: UInt32) -> String {
        unsafe String(unsafeUninitializedCapacity: 15) { buffer in
            var count = 0
            func put(_ octet: UInt32) {
                // Four times three digits and three dots at most: there is room for 15.
                unsafe buffer[count] = UInt8(truncatingIfNeeded: octet)
                count += 1
            }
            for shift in [24, 16, 8, 0] as [UInt32] {
                let part = value >> shift & 0xFF
                if part >= 100 { put(0x30 + part / 100) }
                if part >= 10 { put(0x30 + part / 10 % 10) }
                put(0x30 + part % 10)
                if shift > 0 { put(0x2E) }
            }
            return count
        }
    }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "“\(text)” is no IP address")
        }
        self = address
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// A network: an address with the length of its prefix (RFC 4632 §3.1). The bits after the prefix are zero.
public struct IPNetwork: Hashable, Sendable {
    /// The network's first address.
    public let address: IPAddress
    /// The number of bits that count.
    public let prefixLength: Int

    /// Makes a network; bits after the prefix are cleared, and the length is limited to the address's. A network of IPv4-mapped
    /// addresses alone becomes the IPv4 network.
    public init(address: IPAddress, prefixLength: Int) {
        var address = address
        var prefixLength = prefixLength
        if case .v6 = address, case .v4 = address.unmapped, prefixLength >= 96 {
            address = address.unmapped
            prefixLength -= 96
        }
        self.prefixLength = max(0, min(prefixLength, address.bitWidth))
        self.address = address.masked(to: self.prefixLength)
    }

    /// Whether the network has this address. An IPv4-mapped address counts as the IPv4 address.
    public func contains(_ other: IPAddress) -> Bool {
        let other = other.unmapped
        guard other.bitWidth == address.bitWidth else { return false }
        return other.masked(to: prefixLength) == address
    }
}

extension IPNetwork: LosslessStringConvertible, Codable {
    /// Reads `192.0.2.0/24`; an address alone is a network of one.
    public init?(_ description: String) {
        let parts = description.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let first = parts.first, let address = IPAddress(String(first)) else { return nil }
        let bits = address.octets.count * 8
        guard parts.count == 2 else {
            self.init(address: address, prefixLength: bits)
            return
        }
        guard parts[1].utf8.allSatisfy({ (0x30...0x39).contains($0) }), let length = Int(parts[1]), length <= bits else { return nil }
        self.init(address: address, prefixLength: length)
    }

    public var description: String { "\(address)/\(prefixLength)" }

    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let network = IPNetwork(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "“\(text)” is no network")
        }
        self = network
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
