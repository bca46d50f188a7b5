import DNS
import Testing

@Suite struct ZoneResolverTests {
    private func zones() throws -> ZoneResolver {
        var zones = ZoneResolver()
        try zones.addAddress("mx.kartapuce.test", "192.0.2.1")
        zones.add(try name("kartapuce.test"), .txt, .txt(Array("v=spf1 -all".utf8)))
        zones.alias(try name("www.kartapuce.test"), to: try name("mx.kartapuce.test"))
        return zones
    }

    private func outcome(_ zones: ZoneResolver, _ text: String, _ type: DNSRecordType) async throws -> DNSAnswer.Outcome {
        try await zones.lookup(try name(text), type).outcome
    }

    @Test func recordsNoDataNoName() async throws {
        let zones = try zones()
        #expect(try await outcome(zones, "mx.kartapuce.test", .a) == .records)
        #expect(try await outcome(zones, "mx.kartapuce.test", .aaaa) == .noData)
        #expect(try await outcome(zones, "nothing.kartapuce.test", .a) == .nonexistentDomain)
        // RFC 8020: a name with others below it exists.
        #expect(try await outcome(zones, "test", .a) == .noData)
        #expect(try await outcome(zones, ".", .a) == .noData)
        #expect(try await outcome(ZoneResolver(), "test", .a) == .nonexistentDomain)
    }

    @Test func aliases() async throws {
        var zones = try zones()
        let answer = try await zones.lookup(name("www.kartapuce.test"), .a)
        #expect(answer.canonicalName?.ascii == "mx.kartapuce.test" && answer.records.count == 1)
        #expect(try await zones.lookup(name("www.kartapuce.test"), .cname).records == [.name(name("mx.kartapuce.test"))])
        zones.alias(try name("away.kartapuce.test"), to: try name("gone.test"))
        let gone = try await zones.lookup(name("away.kartapuce.test"), .a)
        #expect(gone.outcome == .nonexistentDomain && gone.canonicalName?.ascii == "gone.test")
    }

    @Test func aliasesInACircleOrTooMany() async throws {
        var zones = ZoneResolver()
        zones.alias(try name("a.test"), to: try name("b.test"))
        zones.alias(try name("b.test"), to: try name("a.test"))
        zones.alias(try name("self.test"), to: try name("self.test"))
        for step in 0..<10 { zones.alias(try name("c\(step).test"), to: try name("c\(step + 1).test")) }
        try zones.addAddress("c10.test", "192.0.2.1")
        for text in ["a.test", "self.test", "c1.test"] {
            let error = await #expect(throws: DNSError.self) { _ = try await zones.lookup(name(text), .a) }
            #expect(error?.code == .serverFailure, "\(text)")
        }
        #expect(try await outcome(zones, "c2.test", .a) == .records)
    }

    @Test func failuresOfOneTypeOrOfAll() async throws {
        var zones = try zones()
        zones.fail(try name("mx.kartapuce.test"), .a, with: .timeout)
        zones.fail(try name("kartapuce.test"), with: .bogus)
        let timeout = await #expect(throws: DNSError.self) { _ = try await zones.lookup(name("mx.kartapuce.test"), .a) }
        #expect(timeout?.code == .timeout && timeout?.name == "mx.kartapuce.test")
        #expect(try await outcome(zones, "mx.kartapuce.test", .aaaa) == .noData)
        let bogus = await #expect(throws: DNSError.self) { _ = try await zones.lookup(name("kartapuce.test"), .txt) }
        #expect(bogus?.code == .bogus)
        // The alias leads to the failure.
        let behind = await #expect(throws: DNSError.self) { _ = try await zones.lookup(name("www.kartapuce.test"), .a) }
        #expect(behind?.code == .timeout && behind?.name == "www.kartapuce.test")
    }

    @Test func security() async throws {
        var zones = try zones()
        zones.sign(.root)
        zones.delegateUnsigned(try name("kartapuce.test"))
        zones.sign(try name("www.kartapuce.test"))
        #expect(try await zones.lookup(name("gone.test"), .a).security == .secure)
        #expect(try await zones.lookup(name("mx.kartapuce.test"), .a).security == .insecure)
        // A secure alias to an insecure address is insecure; the alias itself is secure.
        #expect(try await zones.lookup(name("www.kartapuce.test"), .a).security == .insecure)
        #expect(try await zones.lookup(name("www.kartapuce.test"), .cname).security == .secure)
    }

    /// RFC 4592 §2.2.1
    @Test func wildcards() async throws {
        var zones = try zones()
        zones.addWildcard(below: try name("wild.test"), .mx, .mx(preference: 10, exchange: try name("mx.kartapuce.test")))
        try zones.addAddress("there.wild.test", "192.0.2.2")
        try zones.addAddress("deep.sub.wild.test", "192.0.2.3")
        let cases: [(String, DNSRecordType, DNSAnswer.Outcome)] = [
            ("any.wild.test", .mx, .records), ("any.wild.test", .a, .noData), ("a.b.wild.test", .mx, .records),
            // The zone itself, a name that is there, and names below one that is there get nothing of it.
            ("wild.test", .mx, .noData), ("there.wild.test", .mx, .noData), ("below.there.wild.test", .mx, .nonexistentDomain), ("sub.wild.test", .mx, .noData),
            ("x.sub.wild.test", .mx, .nonexistentDomain), ("other.test", .mx, .nonexistentDomain),
        ]
        for (text, type, expected) in cases { #expect(try await outcome(zones, text, type) == expected, "\(text) \(type)") }
    }
}
