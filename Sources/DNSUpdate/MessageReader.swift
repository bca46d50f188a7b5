import DNS

/// Reads a DNS message from its first octet to its last. A name may point backwards only, so that none leads in a circle.
struct MessageReader {
    private let octets: [UInt8]
    private(set) var offset = 0

    init(_ octets: [UInt8]) { self.octets = octets }

    var isAtEnd: Bool { offset == octets.count }

    mutating func octet(_ what: String) throws(DNSUpdateError) -> UInt8 {
        guard offset < octets.count else { throw Self.truncated(what, offset) }
        defer { offset += 1 }
        return octets[offset]
    }

    mutating func number16(_ what: String) throws(DNSUpdateError) -> UInt16 {
        UInt16(try octet(what)) << 8 | UInt16(try octet(what))
    }

    mutating func number32(_ what: String) throws(DNSUpdateError) -> UInt32 {
        UInt32(try number16(what)) << 16 | UInt32(try number16(what))
    }

    mutating func number48(_ what: String) throws(DNSUpdateError) -> UInt64 {
        UInt64(try number16(what)) << 32 | UInt64(try number32(what))
    }

    mutating func take(_ count: Int, _ what: String) throws(DNSUpdateError) -> [UInt8] {
        guard octets.count - offset >= count else { throw Self.truncated(what, offset) }
        defer { offset += count }
        return Array(octets[offset..<offset + count])
    }

    /// A name in lower case as its labels; a label's octets may be anything (RFC 2181 §11), so that this is no ``DNS/DomainName``.
    ///
    /// RFC 1035 §4.1.4: a pointer leads to a name that stands before.
    mutating func name(_ what: String) throws(DNSUpdateError) -> [[UInt8]] {
        var labels: [[UInt8]] = []
        var length = 1
        var position = offset
        /// Where the reading goes on: after the first pointer.
        var end: Int?
        /// No pointer leads to here or behind: each leads before the part of the name that it ends.
        var barrier = offset
        var pointerCount = 0
        while true {
            guard position < octets.count else { throw Self.truncated(what, position) }
            let first = octets[position]
            switch first >> 6 {
            case 0:
                position += 1
                guard first > 0 else {
                    offset = end ?? position
                    return labels
                }
                guard octets.count - position >= Int(first) else { throw Self.truncated(what, position) }
                length += Int(first) + 1
                guard length <= 255 else {
                    throw DNSUpdateError(.malformed, "a name of more than 255 octets as \(what) at octet \(offset) (RFC 1035 §2.3.4)")
                }
                labels.append(octets[position..<position + Int(first)].map { (0x41...0x5A).contains($0) ? $0 | 0x20 : $0 })
                position += Int(first)
            case 3:
                guard position + 1 < octets.count else { throw Self.truncated(what, position) }
                pointerCount += 1
                guard pointerCount <= 127 else {
                    throw DNSUpdateError(.limitExceeded, "a name of more than 127 pointers as \(what) at octet \(offset)")
                }
                let target = Int(first & 0x3F) << 8 | Int(octets[position + 1])
                guard target < barrier else {
                    throw DNSUpdateError(.malformed, "a pointer that doesn't lead backwards in \(what) at octet \(position) (RFC 1035 §4.1.4)")
                }
                end = end ?? position + 2
                barrier = target
                position = target
            default: throw DNSUpdateError(.malformed, "a label of an unknown kind in \(what) at octet \(position) (RFC 6891 §5)")
            }
        }
    }

    private static func truncated(_ what: String, _ offset: Int) -> DNSUpdateError {
        DNSUpdateError(.malformed, "the message ends in \(what), at octet \(offset)")
    }
}

extension DomainName {
    /// The labels as ``MessageReader/name(_:)`` reads them.
    var wireLabels: [[UInt8]] { labels.map { Array($0.utf8) } }
}
