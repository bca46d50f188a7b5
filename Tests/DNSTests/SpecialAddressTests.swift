import DNS
import Testing

/// Addresses that belong to no single host on the Internet.
struct SpecialAddressTests {
    @Test func specialAddresses() throws {
        let forbidden = [
            "0.0.0.0", "10.1.2.3", "100.64.0.1", "127.0.0.1", "169.254.169.254", "172.31.255.255", "192.168.1.1", "192.0.2.1", "198.51.100.1", "203.0.113.9",
            "198.19.0.1", "224.0.0.1", "255.255.255.255", "::", "::1", "::ffff:10.0.0.1", "::10.0.0.1", "64:ff9b::a00:1", "fe80::1", "fc00::1", "ff02::1",
            "2001:db8::1", "2001::1", "2002:7f00:1::1", "2002:a00:1::1", "3fff::1", "fec0::1",
        ]
        for text in forbidden { #expect(try #require(IPAddress(text)).isSpecial, "\(text)") }
        for text in ["1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1", "2a00::1", "::ffff:8.8.8.8", "2002:808:808::1"] {
            #expect(try !#require(IPAddress(text)).isSpecial, "\(text)")
        }
    }
}
