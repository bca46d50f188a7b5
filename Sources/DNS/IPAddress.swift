/// An IPv4 or IPv6 address.
public enum IPAddress: Hashable, Sendable {
    case v4(UInt32)
    case v6(UInt64, UInt64)
}

/// A network: an address with the length of its prefix (RFC 4632 §3.1).
public struct IPNetwork: Hashable, Sendable {
    public let address: IPAddress
    public let prefixLength: Int
    public init(address: IPAddress, prefixLength: Int) {
        self.address = address
        self.prefixLength = prefixLength
    }
}
