import DNS
import Foundation
import Testing

@Suite struct IPAddressTests {
    /// The canonical form is that of RFC 5952 §4.
    @Test(arguments: [
        ("192.0.2.1", "192.0.2.1"), ("0.0.0.0", "0.0.0.0"), ("255.255.255.255", "255.255.255.255"), ("::", "::"), ("::1", "::1"), ("1::", "1::"),
        ("2001:db8:0:0:0:0:0:1", "2001:db8::1"), ("2001:0DB8::0001", "2001:db8::1"), ("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"),
        ("2001:0:0:1:0:0:0:1", "2001:0:0:1::1"), ("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"), ("::ffff:192.0.2.1", "::ffff:192.0.2.1"),
        ("::ffff:c000:201", "::ffff:192.0.2.1"), ("64:ff9b::192.0.2.33", "64:ff9b::c000:221"), ("1:2:3:4:5:6:7::", "1:2:3:4:5:6:7:0"),
        ("::2:3:4:5:6:7:8", "0:2:3:4:5:6:7:8"), ("1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:102:304"), ("0:0:0:0:0:0:0:0", "::"), ("fe80::", "fe80::"),
    ])
    func readAndWritten(_ text: String, _ canonical: String) throws {
        let address = try #require(IPAddress(text))
        #expect(address.description == canonical)
        #expect(IPAddress(canonical) == address)
        #expect(IPAddress(octets: address.octets) == address)
        #expect(try JSONDecoder().decode([IPAddress].self, from: JSONEncoder().encode([address])) == [address])
    }

    @Test(arguments: [
        "", ".", "1", "1.2.3", "1.2.3.4.5", "1.2.3.256", "1.2.3.04", "01.2.3.4", "1.2.3.", ".1.2.3", "1..2.3", "1.2.3.4 ", " 1.2.3.4", "+1.2.3.4", "1.2.3.-4",
        "0x1.2.3.4", "1.2.3.4/24", "1.2.3.\u{664}", ":", ":::", "1:2:3:4:5:6:7", "1:2:3:4:5:6:7:8:9", "1:2:3:4:5:6:7:8::", "::1::", "1::2::3", "12345::", "g::",
        "1:::2", ":1::", "::1:", "+1::", "-1::", "::1.2.3", "1.2.3.4::", "::1.2.3.4:5", "1:2:3:4:5:6:7:1.2.3.4", "fe80::1%eth0", "[::1]", "::ffff:1.2.3.256",
        "1.2.3.4:25",
    ])
    func refused(_ text: String) {
        #expect(IPAddress(text) == nil, "\(text)")
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([IPAddress].self, from: JSONEncoder().encode([text])) }
    }

    @Test func octets() {
        #expect(IPAddress(octets: [192, 0, 2, 1]) == IPAddress("192.0.2.1"))
        #expect(IPAddress("::1")?.octets == Array(repeating: 0, count: 15) + [1])
        for count in [0, 3, 5, 15, 17] { #expect(IPAddress(octets: Array(repeating: 0, count: count)) == nil) }
    }

    @Test func loopbackAndMapped() throws {
        for (text, isLoopback) in [
            ("127.0.0.1", true), ("127.255.0.9", true), ("128.0.0.1", false), ("::1", true), ("::", false), ("::ffff:127.0.0.1", true),
            ("::ffff:192.0.2.1", false),
            ("::2", false), ("::127.0.0.1", false),
        ] { #expect(IPAddress(text)?.isLoopback == isLoopback, "\(text)") }
        #expect(IPAddress("::ffff:192.0.2.1")?.unmapped == IPAddress("192.0.2.1"))
        #expect(IPAddress("::fffe:192.0.2.1")?.unmapped == IPAddress("::fffe:192.0.2.1"))
    }

    @Test func networkForLimits() {
        #expect(IPAddress("192.0.2.77")?.network().description == "192.0.2.0/24")
        #expect(IPAddress("::ffff:192.0.2.77")?.network().description == "192.0.2.0/24")
        #expect(IPAddress("2001:db8:1:2:3:4:5:6")?.network().description == "2001:db8:1:2::/64")
        #expect(IPAddress("2001:db8:1:2:3:4:5:6")?.network(v6Prefix: 56).description == "2001:db8:1::/56")
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.0/24"), ("192.0.2.77/24", "192.0.2.0/24"), ("192.0.2.1", "192.0.2.1/32"), ("0.0.0.0/0", "0.0.0.0/0"),
        ("10.1.2.3/9", "10.0.0.0/9"),
        ("2001:db8::1", "2001:db8::1/128"), ("2001:db8:ffff::/33", "2001:db8:8000::/33"), ("::/0", "::/0"), ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::ffff:0.0.0.0/96", "0.0.0.0/0"), ("2001:db8::ffff/127", "2001:db8::fffe/127"), ("2001:db8::ffff/64", "2001:db8::/64"),
    ])
    func networks(_ text: String, _ canonical: String) throws {
        let network = try #require(IPNetwork(text))
        #expect(network.description == canonical)
        #expect(IPNetwork(canonical) == network)
        #expect(try JSONDecoder().decode([IPNetwork].self, from: JSONEncoder().encode([network])) == [network])
    }

    @Test(arguments: [
        "", "/", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+1", "192.0.2.0/a", "/24", "192.0.2/24", "::/129", "::/1/2", "192.0.2.0/24 ",
        "192.0.2.0/99999999999999999999",
    ])
    func noNetwork(_ text: String) {
        #expect(IPNetwork(text) == nil, "\(text)")
        #expect(throws: DecodingError.self) { try JSONDecoder().decode([IPNetwork].self, from: JSONEncoder().encode([text])) }
    }

    @Test(arguments: [
        ("192.0.2.0/24", "192.0.2.255", true), ("192.0.2.0/24", "192.0.3.0", false), ("192.0.2.0/24", "::ffff:192.0.2.9", true),
        ("0.0.0.0/0", "203.0.113.1", true),
        ("0.0.0.0/0", "::1", false), ("::/0", "::1", true), ("::/0", "192.0.2.1", false), ("2001:db8::/32", "2001:db8:ffff::1", true),
        ("2001:db8::/32", "2001:db9::", false), ("2001:db8::/65", "2001:db8:0:0:8000::", false), ("192.0.2.1/32", "192.0.2.1", true),
        ("192.0.2.1/32", "192.0.2.0", false), ("::ffff:192.0.2.0/120", "192.0.2.5", true),
    ])
    func membership(_ network: String, _ address: String, _ expected: Bool) throws {
        let network = try #require(IPNetwork(network))
        let address = try #require(IPAddress(address))
        #expect(network.contains(address) == expected)
    }

    @Test func lengthsAreLimited() throws {
        let address = try #require(IPAddress("192.0.2.1"))
        #expect(IPNetwork(address: address, prefixLength: 99).prefixLength == 32)
        #expect(IPNetwork(address: address, prefixLength: -5).description == "0.0.0.0/0")
    }
}
