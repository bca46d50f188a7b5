import DNS

/// Writes a DNS message. Names aren't compressed: RFC 2136 asks for no compression, and a signature covers them in full (RFC 8945 §4.3.3).
struct MessageWriter {
    private(set) var octets: [UInt8] = []

    mutating func append(_ octet: UInt8) { octets.append(octet) }

    mutating func append(_ number: UInt16) { octets += [UInt8(number >> 8), UInt8(truncatingIfNeeded: number)] }

    mutating func append(_ number: UInt32) {
        append(UInt16(number >> 16))
        append(UInt16(truncatingIfNeeded: number))
    }

    /// A number of 48 bits, as times of signatures are (RFC 8945 §4.2).
    mutating func append48(_ number: UInt64) {
        append(UInt16(truncatingIfNeeded: number >> 32))
        append(UInt32(truncatingIfNeeded: number))
    }

    mutating func append(_ some: some Sequence<UInt8>) { octets += some }

    mutating func append(_ name: DomainName) throws(DNSUpdateError) {
        for label in name.labels {
            guard (1...63).contains(label.utf8.count) else {
                throw DNSUpdateError(.invalidRecord, "\(name) has a label of \(label.utf8.count) octets (RFC 1035 §2.3.4)")
            }
            octets.append(UInt8(label.utf8.count))
            octets += label.utf8
        }
        octets.append(0)
    }

    mutating func appendRecord(name: DomainName, type: UInt16, recordClass: UInt16, timeToLive: UInt32, data: [UInt8]) throws(DNSUpdateError) {
        guard let length = UInt16(exactly: data.count) else {
            throw DNSUpdateError(.limitExceeded, "a record's data can't have \(data.count) octets (RFC 1035 §3.2.1)")
        }
        try append(name)
        append(type)
        append(recordClass)
        append(timeToLive)
        append(length)
        append(data)
    }
}
