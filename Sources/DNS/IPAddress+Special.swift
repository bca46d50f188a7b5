extension IPAddress {
    /// Whether an address belongs to this machine, to a private or special network, or to no single host on the Internet. Nobody fetches anything
    /// from such addresses: whoever owns a domain could make the gateway speak to hosts that only it reaches.
    ///
    /// The registries of special addresses (RFC 6890 §2.2) decide. For IPv6 only what the Internet uses at all, 2000::/3, is allowed, and
    /// without those parts of it that lead elsewhere; addresses that carry an IPv4 address count as that one too.
    public var isSpecial: Bool {
        switch unmapped {
        case .v4: return Self.special4.contains { $0.contains(unmapped) }
        case .v6(let high, _):
            guard high >> 61 == 0b001 else { return true }
            if Self.special6.contains(where: { $0.contains(self) }) { return true }
            // 6to4 carries the IPv4 address of its gateway in the second to sixth octet (RFC 3056 §2).
            if high >> 48 == 0x2002 { return IPAddress.v4(UInt32(truncatingIfNeeded: high >> 16)).isSpecial }
            return false
        }
    }

    private static func networks(_ texts: [String]) -> [IPNetwork] { texts.compactMap { IPNetwork($0) } }

    private static let special4 = networks([
        "0.0.0.0/8",  // this network (RFC 791 §3.2)
        "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16",  // private (RFC 1918 §3)
        "100.64.0.0/10",  // shared by carriers (RFC 6598 §7)
        "127.0.0.0/8",  // loopback (RFC 1122 §3.2.1.3)
        "169.254.0.0/16",  // link-local, where clouds keep their secrets (RFC 3927 §2.1)
        "192.0.0.0/24",  // protocol assignments (RFC 6890 §2.2.2)
        "192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24",  // documentation (RFC 5737 §3)
        "192.88.99.0/24",  // anycast of 6to4, withdrawn (RFC 7526 §4)
        "198.18.0.0/15",  // measurements (RFC 2544, appendix C.2.2)
        "224.0.0.0/4",  // multicast (RFC 5771 §3)
        "240.0.0.0/4",  // reserved, and broadcast (RFC 1112 §4)
    ])

    private static let special6 = networks([
        "2001::/23",  // protocol assignments, Teredo and ORCHID among them (RFC 2928)
        "2001:db8::/32", "3fff::/20",  // documentation (RFC 3849, RFC 9637)
    ])
}
