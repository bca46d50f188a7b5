package import DNS
package import NIOCore

extension SocketAddress {
    /// A socket's address of an IP address and a port.
    package init(_ address: IPAddress, port: Int) throws {
        var packed = ByteBuffer()
        switch address {
        case .v4(let value): packed.writeInteger(value)
        case .v6(let high, let low): packed.writeMultipleIntegers(high, low)
        }
        try self.init(packedIPAddress: packed, port: port)
    }

    /// The IP address; `nil` for a socket of the file system. An IPv4 address that is written as IPv6 comes back as IPv4.
    package var internetAddress: IPAddress? {
        // Copies the C structure's octets; nothing keeps the pointer, and the length is the structure's own.
        let octets = unsafe withSockAddr { address, length in unsafe Array(UnsafeRawBufferPointer(start: address, count: length)) }
        func number(_ range: Range<Int>) -> UInt64? {
            range.upperBound <= octets.count ? octets[range].reduce(0) { $0 << 8 | UInt64($1) } : nil
        }
        switch self {
        case .v4:
            // struct sockaddr_in: family, port, then the address at octet 4.
            return number(4..<8).map { .v4(UInt32(truncatingIfNeeded: $0)) }
        case .v6:
            // struct sockaddr_in6: family, port, flow information, then the address at octet 8.
            guard let high = number(8..<16), let low = number(16..<24) else { return nil }
            return high == 0 && low >> 32 == 0xffff ? .v4(UInt32(truncatingIfNeeded: low)) : .v6(high, low)
        case .unixDomainSocket: return nil
        }
    }
}
