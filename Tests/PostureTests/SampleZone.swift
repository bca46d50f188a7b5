import DNS
import Foundation
import Posture

/// A zone in which everything is as it should be, and what becomes of it when single records change.
struct SampleZone {
    /// Lines by a short name.
    private var lines: [String: String]
    private var order: [String]

    /// The time of all checks.
    static let now = Date(timeIntervalSince1970: 1_795_816_800)
    static let domain = name("kartapuce.test")

    static func name(_ text: String) -> DomainName {
        do { return try DomainName(text) } catch { preconditionFailure("\(error)") }
    }

    /// Takes mail at two servers, sends it, and says all that can be said.
    static let good = SampleZone([
        ("signed", ";!SECURE test."),
        ("mx1", "kartapuce.test. MX 10 mx1.kartapuce.test."),
        ("mx2", "kartapuce.test. MX 20 mx2.kartapuce.test."),
        ("mx1.a", "mx1.kartapuce.test. A 203.0.113.1"),
        ("mx1.aaaa", "mx1.kartapuce.test. AAAA 2001:db8:1::1"),
        ("mx2.a", "mx2.kartapuce.test. A 198.51.100.2"),
        ("mx2.aaaa", "mx2.kartapuce.test. AAAA 2001:db8:2::2"),
        ("mx1.ptr", "1.113.0.203.in-addr.arpa. PTR mx1.kartapuce.test."),
        ("mx1.ptr6", "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx1.kartapuce.test."),
        ("mx2.ptr", "2.100.51.198.in-addr.arpa. PTR mx2.kartapuce.test."),
        ("mx2.ptr6", "2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.2.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mx2.kartapuce.test."),
        ("mx1.tlsa", "_25._tcp.mx1.kartapuce.test. TLSA 3 1 1 \(digest("1"))"),
        ("mx1.tlsa2", "_25._tcp.mx1.kartapuce.test. TLSA 3 1 1 \(digest("2"))"),
        ("mx2.tlsa", "_25._tcp.mx2.kartapuce.test. TLSA 3 1 1 \(digest("3"))"),
        ("mx2.tlsa2", "_25._tcp.mx2.kartapuce.test. TLSA 2 1 1 \(digest("4"))"),
        ("sts", "_mta-sts.kartapuce.test. TXT \"v=STSv1; id=20261128\""),
        ("tlsrpt", "_smtp._tls.kartapuce.test. TXT \"v=TLSRPTv1; rua=mailto:tls@kartapuce.test\""),
        ("spf", "kartapuce.test. TXT \"v=spf1 ip4:203.0.113.0/24 ip6:2001:db8::/32 -all\""),
        ("other", "kartapuce.test. TXT \"something else\""),
        ("dkim1", "s1._domainkey.kartapuce.test. TXT \(key("v=DKIM1; k=rsa; p=\(SampleKeys.rsa2048)"))"),
        ("dkim2", "s2._domainkey.kartapuce.test. TXT \(key("v=DKIM1; k=ed25519; p=\(SampleKeys.ed25519)"))"),
        ("dmarc", "_dmarc.kartapuce.test. TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@kartapuce.test\""),
        ("bimi", "default._bimi.kartapuce.test. TXT \"v=BIMI1; l=https://kartapuce.test/logo.svg; a=https://kartapuce.test/mark.pem\""),
        ("caa", "kartapuce.test. CAA 0 issue \"authority.test; accounturi=https://authority.test/1\""),
        ("submissions", "_submissions._tcp.kartapuce.test. SRV 0 1 465 mail.kartapuce.test."),
        ("imaps", "_imaps._tcp.kartapuce.test. SRV 0 1 993 mail.kartapuce.test."),
        ("submission", "_submission._tcp.kartapuce.test. SRV 0 0 0 ."),
        ("imap", "_imap._tcp.kartapuce.test. SRV 0 0 0 ."),
        ("mail.a", "mail.kartapuce.test. A 203.0.113.9"),
        ("autoconfig", "autoconfig.kartapuce.test. CNAME mail.kartapuce.test."),
        ("autodiscover", "autodiscover.kartapuce.test. CNAME mail.kartapuce.test."),
    ])

    /// Neither takes nor sends mail, and says so.
    static let unused = SampleZone([
        ("signed", ";!SECURE test."),
        ("mx", "kartapuce.test. MX 0 ."),
        ("spf", "kartapuce.test. TXT \"v=spf1 -all\""),
        ("dmarc", "_dmarc.kartapuce.test. TXT \"v=DMARC1; p=reject; rua=mailto:dmarc@kartapuce.test\""),
        ("dkim", "*._domainkey.kartapuce.test. TXT \"v=DKIM1; p=\""),
        ("caa", "kartapuce.test. CAA 0 issue \";\""),
    ])

    init(_ lines: [(String, String)]) {
        self.lines = Dictionary(uniqueKeysWithValues: lines)
        order = lines.map(\.0)
    }

    /// The zone with other lines; an empty one is left out.
    func with(_ changes: [String: String]) -> SampleZone {
        var zone = self
        for (key, line) in changes.sorted(by: { $0.key < $1.key }) {
            if zone.lines[key] == nil { zone.order.append(key) }
            zone.lines[key] = line
        }
        return zone
    }

    var text: String { order.compactMap { lines[$0] }.joined(separator: "\n") + "\n" }

    func resolver() throws -> ZoneResolver { try ZoneFile.resolver(parsing: text) }

    /// What is found, by the DNS alone unless probes are given.
    func check(_ domain: DomainName = domain, probes: PostureProbes = PostureProbes(), selectors: [String] = []) async throws -> PostureReport {
        var options = PostureChecker.Options()
        options.selectors = selectors.map(Self.name)
        return await PostureChecker(resolver: try resolver(), probes: probes, options: options).check(domain, at: Self.now)
    }

    /// A text as strings of a TXT record, 250 octets each.
    static func key(_ text: String) -> String {
        stride(from: 0, to: text.utf8.count, by: 250).map { "\"\(text.dropFirst($0).prefix(250))\"" }.joined(separator: " ")
    }

    /// SHA-256 digests that are none.
    static func digest(_ digit: String) -> String { String(repeating: digit, count: 64) }
}

extension PostureReport {
    /// The codes of what isn't good.
    var problems: Set<PostureCode> { Set(findings.filter { $0.severity != .good }.map(\.code)) }
}
