import DNS
import MailAuthentication
import Testing

/// The grammar of records (RFC 7208 §12).
struct SPFRecordTests {
    @Test(arguments: [
        "v=spf1", "V=SPF1 ", "v=spf1 a", "v=spf1   A/24//64  MX//0 ", "v=spf1 a:b.test/0", "v=spf1 a:b.test.", "v=spf1 a:b.t-1", "v=spf1 a:%{d}/24",
        "v=spf1 a:%{i/}/24//12", "v=spf1 exists:%%.%_.%-", "v=spf1 exists:%{lr+-,/_=}.%{D2}", "v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 ?all",
        "v=spf1 redirect=%{d}", "v=spf1 exp=a.test redirect=b.test x-1._=%{s}:/=", "v=spf1 x= x=", "v=spf1 x=%{t}", "v=spf1 a=b", "v=spf1 ptr ptr:a.test",
        "v=spf1 ~include:_spf.a.test",
        "v=spf1 a:b.test:c.test", "v=spf1 a:-b!.test", "v=spf1 all=x -ALL", "v=spf1 ip6:::1/128 ip6:::",
    ])
    func recordsOfTheGrammarAreRead(text: String) throws { _ = try SPFRecord(parsing: text) }

    @Test(arguments: [
        ("v=spf10", 0), ("v=spf1\ta", 0), ("v=spf1 a:%{x}.test", 9), ("v=spf1 a:b.%", 11), ("v=spf1 a:%{d0}", 9), ("v=spf1 a:%{dr1}", 9), ("v=spf1 a:%{d;}", 9),
        ("v=spf1 ip4:1.2.3", 10), ("v=spf1 ip4", 10), ("v=spf1 ip4:", 10), ("v=spf1 ip4:1.2.3.4/", 10), ("v=spf1 ip4:1.2.3.04", 10),
        ("v=spf1 ip4:1.2.3.4/33", 10),
        ("v=spf1 ip4:1.2.3.4//24", 10), ("v=spf1 ip6:1.2.3.4", 10), ("v=spf1 ip6:::1/129", 10), ("v=spf1 ip6:::1//64", 10), ("v=spf1 ip6:fe80::1%eth0", 10),
        ("v=spf1 a/33", 8), ("v=spf1 a//129", 8), ("v=spf1 a/032", 8), ("v=spf1 a/", 8), ("v=spf1 a//", 8), ("v=spf1 a/24/64", 8), ("v=spf1 a:", 9),
        ("v=spf1 a:b", 9), ("v=spf1 a:b.", 9), ("v=spf1 a:b.12", 9), ("v=spf1 a:b.-t", 9), ("v=spf1 a:b.t-", 9), ("v=spf1 a:b.test..", 9),
        ("v=spf1 a:b.test/24x", 9),
        ("v=spf1 a:b.test:25", 9), ("v=spf1 a:%{d}x", 9), ("v=spf1 -all.", 7), ("v=spf1 all:", 10), ("v=spf1 all/8", 10), ("v=spf1 include", 14),
        ("v=spf1 include:", 15),
        ("v=spf1 include:a.test/24", 15), ("v=spf1 exists", 13), ("v=spf1 ptr:", 11), ("v=spf1 ptr/24", 10), ("v=spf1 -", 7), ("v=spf1 --all", 7),
        ("v=spf1 exp=a.test exp=b.test", 18), ("v=spf1 Redirect=a.test redirect=a.test", 23), ("v=spf1 redirect=", 16), ("v=spf1 exp=", 11), ("v=spf1 -x=y", 7),
        ("v=spf1 1x=y", 7), ("v=spf1 =y", 7), ("v=spf1 x=%", 9), ("v=spf1 x=%{z}", 9), ("v=spf1 foo", 7), ("v=spf1 a\u{E9}", 8), ("v=spf1 a\u{7F}", 8),
    ])
    func theRestIsRefusedWithItsPlace(text: String, offset: Int) {
        let error = #expect(throws: SPFRecordError.self) { try SPFRecord(parsing: text) }
        #expect(error?.offset == offset && error?.description.contains("RFC 7208 §") == true, "\(text): \(error.map { "\($0)" } ?? "")")
    }

    @Test func whatIsReadIsThereInOrder() throws {
        let record = try SPFRecord(parsing: "v=spf1 ~a:b.test/8//16 ip4:203.0.113.7/24 x=1 redirect=c.test exp=d.test")
        #expect(record.directives.map(\.qualifier) == [.softfail, .pass])
        guard case .a(let target, v4Prefix: 8, v6Prefix: 16) = record.directives[0].mechanism else {
            Issue.record("no “a”")
            return
        }
        #expect(target?.text == "b.test")
        #expect(record.directives[1].mechanism == .ip4(IPNetwork(address: .v4(0xCB00_7100), prefixLength: 24)))
        #expect(record.redirect?.text == "c.test" && record.explanation?.text == "d.test" && record.unknownModifiers == ["x"])
    }
}
