import Crypto
import FoundationEssentials
public import MailMessage

/// The keyed digest of a recipient's address: HMAC-SHA256 (RFC 2104) of the address in lower case, cut to 16 octets.
public struct RecipientDigest: Hashable, Sendable {
    static let length = 16
    /// The 16 octets.
    public let octets: [UInt8]

    /// The digest of an address.
    public init(_ address: EmailAddress, key: [UInt8]) {
        self.init(text: "\(address.localPart)@\(address.domain)", key: key)
    }

    init(text: String, key: [UInt8]) {
        let code = HMAC<SHA256>.authenticationCode(for: Array(text.lowercased().utf8), using: SymmetricKey(data: key))
        octets = Array(code.prefix(Self.length))
    }
}

/// Which recipients exist, in a form that an edge host may hold: it can ask about an address, but read no list of addresses from it.
///
/// Who steals both the digests and the key can still try guesses, as he could by asking the host itself in RCPT commands, only faster.
public struct DigestSet: Hashable, Sendable {
    /// The key of all digests, 16 octets or more, random.
    public let key: [UInt8]
    private let digests: [UInt8]
    private let catchAllDomains: [UInt8]

    /// Digests addresses, and domains of which every address is known.
    public init(key: [UInt8], addresses: [EmailAddress], catchAllDomains: [String]) {
        self.key = key
        digests = Self.sorted(addresses.map { RecipientDigest($0, key: key).octets })
        self.catchAllDomains = Self.sorted(catchAllDomains.map { RecipientDigest(text: "@\($0)", key: key).octets })
    }

    /// The number of addresses.
    public var count: Int { digests.count / RecipientDigest.length }

    /// Whether the address is known: itself, without its sub-address (RFC 5233), or by its domain's catch-all.
    public func contains(_ address: EmailAddress, subaddressSeparator: String = "+") -> Bool {
        if Self.holds(digests, RecipientDigest(address, key: key).octets) { return true }
        if !subaddressSeparator.isEmpty, let cut = address.localPart.firstRange(of: subaddressSeparator),
            cut.lowerBound > address.localPart.startIndex
        {
            let base = EmailAddress(localPart: String(address.localPart[..<cut.lowerBound]), domain: address.domain)
            if Self.holds(digests, RecipientDigest(base, key: key).octets) { return true }
        }
        return Self.holds(catchAllDomains, RecipientDigest(text: "@\(address.domain)", key: key).octets)
    }

    private static func sorted(_ digests: [[UInt8]]) -> [UInt8] {
        Set(digests).sorted { $0.lexicographicallyPrecedes($1) }.flatMap { $0 }
    }

    private static func holds(_ sorted: [UInt8], _ digest: [UInt8]) -> Bool {
        var low = 0
        var high = sorted.count / RecipientDigest.length
        while low < high {
            let middle = (low + high) / 2
            let start = middle * RecipientDigest.length
            let found = sorted[start..<start + RecipientDigest.length]
            if found.elementsEqual(digest) { return true }
            if found.lexicographicallyPrecedes(digest) { low = middle + 1 } else { high = middle }
        }
        return false
    }
}

extension DigestSet {
    private static let magic = Array("PRD".utf8) + [1]

    /// The binary form: `PRD`, version 1, then key, digests and domains, each behind its length in 4 octets, big-endian.
    public var serialized: [UInt8] {
        var octets = Self.magic
        for part in [key, digests, catchAllDomains] {
            let length = UInt32(clamping: part.count)
            octets += [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> UInt32($0)) }
            octets += part
        }
        return octets
    }

    /// Reads the binary form.
    /// - Throws: ``StoreError`` `.unsupportedSchema` for another version, `.corrupted` for anything else.
    public init(serialized octets: [UInt8]) throws {
        guard octets.count >= 4, octets.prefix(3).elementsEqual(Self.magic.prefix(3)) else {
            throw StoreError(.corrupted, "these are no recipient digests: collect them again")
        }
        guard octets[3] == 1 else { throw StoreError(.unsupportedSchema, "the recipient digests have version \(octets[3]), not 1: upgrade") }
        var parts: [[UInt8]] = []
        var rest = octets.dropFirst(4)
        for _ in 0..<3 {
            let length = rest.prefix(4).reduce(0) { $0 << 8 | Int($1) }
            guard rest.count >= 4, rest.count - 4 >= length else {
                throw StoreError(.corrupted, "the recipient digests are cut short: collect them again")
            }
            parts.append(Array(rest.dropFirst(4).prefix(length)))
            rest = rest.dropFirst(4 + length)
        }
        func isSet(_ part: [UInt8]) -> Bool {
            guard part.count % RecipientDigest.length == 0 else { return false }
            return zip(stride(from: 0, to: part.count, by: 16), stride(from: 16, to: part.count, by: 16)).allSatisfy { first, second in
                part[first..<first + 16].lexicographicallyPrecedes(part[second..<second + 16])
            }
        }
        guard rest.isEmpty, isSet(parts[1]), isSet(parts[2]) else {
            throw StoreError(.corrupted, "the recipient digests are not in order: collect them again")
        }
        (key, digests, catchAllDomains) = (parts[0], parts[1], parts[2])
    }

    /// Writes `<folder>/recipients.digests`, readable by its owner alone, in one step.
    public func save(folder: String) throws {
        try BodyFolder.replaceFile("\(folder)/recipients.digests", with: serialized)
    }

    /// Reads `<folder>/recipients.digests`; `nil` where there is none.
    public static func load(folder: String) throws -> DigestSet? {
        let path = "\(folder)/recipients.digests"
        guard FileManager.default.fileExists(atPath: path) else { return nil }
        guard let data = FileManager.default.contents(atPath: path) else {
            throw StoreError(.inputOutput, "cannot read \(path): look at its permissions")
        }
        return try DigestSet(serialized: Array(data))
    }
}
