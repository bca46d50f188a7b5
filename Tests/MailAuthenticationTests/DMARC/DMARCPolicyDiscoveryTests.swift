import DNS
import Testing

@testable import MailAuthentication

struct DMARCPolicyDiscoveryTests {
    private func names(_ queries: [DMARCQuery]) -> [String] { queries.map(\.lookup.name.ascii) }

    /// The example of RFC 9989 §4.10.
    @Test func longNamesAreShortenedToEightQuestions() async throws {
        let discovery = await DMARCPolicyDiscovery(resolver: ZoneResolver()).discover(try DomainName("a.b.c.d.e.f.g.h.i.j.mail.kartapuce.test"))
        #expect(discovery.outcome == .noPolicy)
        #expect(
            names(discovery.queries) == [
                "_dmarc.a.b.c.d.e.f.g.h.i.j.mail.kartapuce.test", "_dmarc.g.h.i.j.mail.kartapuce.test", "_dmarc.h.i.j.mail.kartapuce.test",
                "_dmarc.i.j.mail.kartapuce.test", "_dmarc.j.mail.kartapuce.test", "_dmarc.mail.kartapuce.test", "_dmarc.kartapuce.test",
                "_dmarc.test",
            ])
    }

    @Test(arguments: [1, 2, 7, 8, 9, 60])
    func neverMoreThanEightQuestions(_ labels: Int) throws {
        let domain = try DomainName((0..<labels).map { "l\($0)" }.joined(separator: "."))
        let names = DMARCTreeWalk.names(from: domain)
        #expect(names.count == min(labels, 8))
        #expect(names.first == domain)
        #expect(labels == 1 || names.last?.labels.count == 1)
        #expect(labels < 8 || names[1].labels.count == 7)
    }

    /// Author, records, where the policy comes from, which one, by which tag; the organizational domain.
    @Test(arguments: [
        ("kartapuce.test", [("kartapuce.test", "p=reject; sp=none")], "kartapuce.test", "reject", "p"),
        ("a.kartapuce.test", [("kartapuce.test", "p=reject; sp=none")], "kartapuce.test", "none", "sp"),
        ("a.kartapuce.test", [("kartapuce.test", "p=reject")], "kartapuce.test", "reject", "p"),
        ("a.kartapuce.test", [("a.kartapuce.test", "p=quarantine; sp=none"), ("kartapuce.test", "p=reject")], "a.kartapuce.test", "quarantine", "p"),
        // The record at the top counts, not that in between (RFC 9989 §4.10.2, rule 3).
        ("a.b.kartapuce.test", [("b.kartapuce.test", "p=none"), ("kartapuce.test", "p=reject")], "kartapuce.test", "reject", "p"),
        // psd=n ends the walk (rule 1).
        ("a.b.kartapuce.test", [("b.kartapuce.test", "p=none; psd=n"), ("kartapuce.test", "p=reject")], "b.kartapuce.test", "none", "p"),
        // psd=y: the domain one label below is the organizational one (rule 2); its record, or else the suffix's.
        ("a.b.kartapuce.test", [("kartapuce.test", "p=reject; psd=y"), ("test", "p=none")], "kartapuce.test", "reject", "p"),
        ("a.b.kartapuce.test", [("b.kartapuce.test", "p=quarantine"), ("kartapuce.test", "p=reject; psd=y")], "b.kartapuce.test", "quarantine", "p"),
        ("a.b.kartapuce.test", [("a.b.kartapuce.test", "p=none"), ("kartapuce.test", "p=reject; psd=y")], "a.b.kartapuce.test", "none", "p"),
        ("b.kartapuce.test", [("kartapuce.test", "p=reject; psd=y; sp=quarantine")], "kartapuce.test", "quarantine", "sp"),
        ("kartapuce.test", [("kartapuce.test", "p=reject; psd=y; sp=quarantine")], "kartapuce.test", "reject", "p"),
    ])
    func theRightRecordApplies(_ author: String, _ records: [(String, String)], _ at: String, _ policy: String, _ tag: String) async throws {
        let zone = try dmarcZone(records.map { ($0.0, "v=DMARC1; \($0.1)") })
        let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(try DomainName(author))
        guard case .policy(_, let domain) = discovery.outcome else {
            Issue.record("\(discovery.outcome)")
            return
        }
        #expect(domain.ascii == at)
        #expect(discovery.requested?.policy.rawValue == policy)
        #expect(discovery.requested?.tag.rawValue == tag)
    }

    @Test(
        arguments: [
            ("a.b.kartapuce.test", [("b.kartapuce.test", ""), ("kartapuce.test", "")], "kartapuce.test"),
            ("a.b.kartapuce.test", [("b.kartapuce.test", "psd=n")], "b.kartapuce.test"),
            ("a.b.kartapuce.test", [("test", "psd=y")], "kartapuce.test"),
            ("a.b.kartapuce.test", [("a.b.kartapuce.test", "psd=y"), ("test", "")], "a.b.kartapuce.test"),
            ("a.b.kartapuce.test", [("a.b.kartapuce.test", ""), ("b.kartapuce.test", "psd=y"), ("test", "")], "a.b.kartapuce.test"),
            ("a.b.kartapuce.test", [], "a.b.kartapuce.test"),
            ("1.2.3.4.5.6.7.8.9.kartapuce.test", [("kartapuce.test", "psd=y")], "9.kartapuce.test"),
            ("1.2.3.4.5.6.7.8.9.kartapuce.test", [("4.5.6.7.8.9.kartapuce.test", "psd=n")], "1.2.3.4.5.6.7.8.9.kartapuce.test"),
        ] as [(String, [(String, String)], String)])
    func organizationalDomains(_ domain: String, _ records: [(String, String)], _ expected: String) async throws {
        let zone = try dmarcZone(records.map { ($0.0, "v=DMARC1; p=none; \($0.1)") })
        let walk = await DMARCPolicyDiscovery(resolver: zone).walk(from: try DomainName(domain))
        #expect(walk.organizationalDomain?.ascii == expected)
    }

    /// A record without a usable policy says all the same where an organization begins.
    @Test func aRecordWithoutAPolicyStillEndsTheWalk() async throws {
        let zone = try dmarcZone([("test", "v=DMARC1; psd=y"), ("kartapuce.test", "v=DMARC1; p=reject")])
        let walk = await DMARCPolicyDiscovery(resolver: zone).walk(from: try DomainName("a.kartapuce.test"))
        #expect(walk.organizationalDomain?.ascii == "kartapuce.test")
        #expect(walk.publicSuffix?.domain.ascii == "test")
    }

    @Test func severalRecordsAreDiscarded() async throws {
        let zone = try dmarcZone([
            ("a.kartapuce.test", "v=DMARC1; p=none"), ("a.kartapuce.test", "v=DMARC1; p=quarantine"), ("kartapuce.test", "v=spf1 -all"),
            ("kartapuce.test", "v=DMARC1; p=reject"),
        ])
        let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(try DomainName("a.kartapuce.test"))
        #expect(discovery.queries.first?.finding == .severalRecords(2))
        #expect(discovery.requested?.policy == .reject)
    }

    @Test func npCountsOnlyForNamesThatDontExist() async throws {
        let records = [("kartapuce.test", "v=DMARC1; p=none; sp=quarantine; np=reject")]
        let zone = try dmarcZone(records, existing: ["there.kartapuce.test", "x.between.kartapuce.test"])
        for (author, exists, policy) in [
            ("there.kartapuce.test", true, DMARCPolicy.quarantine), ("between.kartapuce.test", true, .quarantine),
            ("nowhere.kartapuce.test", false, .reject),
        ] {
            let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(try DomainName(author))
            #expect(discovery.authorExists == exists)
            #expect(discovery.requested?.policy == policy, "\(author)")
        }
    }

    /// RFC 8020: NXDOMAIN behind an alias is about where it points to.
    @Test func anAliasExists() async throws {
        var zone = try dmarcZone([("kartapuce.test", "v=DMARC1; p=none; np=reject")])
        zone.alias(try DomainName("alias.kartapuce.test"), to: try DomainName("nowhere.test"))
        let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(try DomainName("alias.kartapuce.test"))
        #expect(discovery.authorExists == true)
    }

    @Test(arguments: [DNSError.Code.timeout, .serverFailure, .bogus])
    func failuresAreNoAbsence(_ code: DNSError.Code) async throws {
        for failing in ["_dmarc.a.kartapuce.test", "_dmarc.kartapuce.test", "_dmarc.test"] {
            var zone = try dmarcZone([("kartapuce.test", "v=DMARC1; p=reject")])
            zone.fail(try DomainName(failing), with: code)
            let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(try DomainName("a.kartapuce.test"))
            guard case .temporaryFailure(let error) = discovery.outcome else {
                Issue.record("\(failing): \(discovery.outcome)")
                continue
            }
            #expect(error.code == code && error.name == failing)
        }
    }

    @Test func aNameTooLongForTheLabelHasNoRecord() async throws {
        let label = String(repeating: "a", count: 61)
        let long = try DomainName([label, label, label, label, "test"].joined(separator: "."))
        let zone = try dmarcZone([("test", "v=DMARC1; p=reject; psd=y")])
        let discovery = await DMARCPolicyDiscovery(resolver: zone).discover(long)
        #expect(discovery.requested?.policy == .reject)
        #expect(discovery.queries.count == 4, "not the name itself")
    }
}
