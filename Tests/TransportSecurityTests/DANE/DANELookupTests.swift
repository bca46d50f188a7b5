import DNS
import Testing
import TransportSecurity

struct DANELookupTests {
    private static let record = "3 1 1 " + String(repeating: "ab", count: 32)

    private func decide(
        _ zone: String, host: String = "mx.kartapuce.test", origin: DANEDestination.Origin = .exchanger(.secure, canonicalNextHop: nil),
        follows: Bool = false, unsigned: [String] = []
    ) async throws -> DANEDecision {
        var resolver = try ZoneFile.resolver(parsing: ";!SECURE test.\n" + zone)
        for zone in unsigned { resolver.delegateUnsigned(try name(zone)) }
        return await DANELookup(resolver: resolver, followsInsecureExchangers: follows).decide(
            DANEDestination(nextHop: try name("kartapuce.test"), host: try name(host), origin: origin))
    }

    @Test func secureRecordsApply() async throws {
        let decision = try await decide("mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)")
        #expect(decision.outcome == .authenticate && decision.baseDomain?.ascii == "mx.kartapuce.test")
        #expect(decision.referenceIdentifiers.map(\.ascii) == ["mx.kartapuce.test", "kartapuce.test"])
        #expect(decision.verifier != nil && decision.records.count == 1)
        // RFC 7672 §2.2.2: addresses first.
        #expect(decision.lookups.map(\.type) == [.aaaa, .a, .tlsa])
    }

    @Test func recordsThatCannotBeUsedStillRequireTLS() async throws {
        let decision = try await decide(
            "mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. TLSA 1 1 1 \(String(repeating: "ab", count: 32))")
        #expect(decision.outcome == .encrypt && decision.verifier == nil)
    }

    @Test func denialsAndFailuresAreToldApart() async throws {
        let address = "mx.kartapuce.test. A 198.51.100.1\n"
        #expect(try await decide(address).outcome == .notApplicable(.secureDenial))
        for word in ["SERVFAIL", "TIMEOUT", "BOGUS"] {
            #expect(try await decide(address + ";!\(word) _25._tcp.mx.kartapuce.test. TLSA").isUnavailable, "\(word) let mail through")
        }
        #expect(try await decide("").isUnavailable, "a host without addresses")
        #expect(try await decide(";!SERVFAIL mx.kartapuce.test. *").isUnavailable, "addresses unknown")
        // One kind of address is enough.
        #expect(try await decide(address + ";!SERVFAIL mx.kartapuce.test. AAAA").outcome == .notApplicable(.secureDenial))
    }

    @Test func insecureZonesAreNotAsked() async throws {
        let zone = "mx.kartapuce.test. A 198.51.100.1\n;!SERVFAIL _25._tcp.mx.kartapuce.test. TLSA"
        let decision = try await decide(zone, unsigned: ["kartapuce.test"])
        #expect(decision.outcome == .notApplicable(.insecureAddresses))
        #expect(!decision.lookups.contains { $0.type == .tlsa })
        // Records whose own zone is unsigned say nothing.
        let records = "mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        #expect(try await decide(records, unsigned: ["_tcp.mx.kartapuce.test"]).outcome == .notApplicable(.insecureRecords))
    }

    @Test func insecureExchangersCountOnlyOnDemand() async throws {
        let zone = "mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        let origin = DANEDestination.Origin.exchanger(.insecure, canonicalNextHop: nil)
        #expect(try await decide(zone, origin: origin).outcome == .notApplicable(.insecureExchangers))
        let decision = try await decide(zone, origin: origin, follows: true)
        #expect(decision.outcome == .authenticate && decision.isRedirectionInsecure)
        #expect(decision.referenceIdentifiers.map(\.ascii) == ["mx.kartapuce.test"])
    }

    private static let aliased = "mx.kartapuce.test. CNAME host.provider.test.\nhost.provider.test. A 198.51.100.1\n"

    @Test func theEndOfAliasesComesFirst() async throws {
        let both = Self.aliased + "_25._tcp.host.provider.test. TLSA \(Self.record)\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        #expect(try await decide(both).baseDomain?.ascii == "host.provider.test")
        let original = Self.aliased + "_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        #expect(try await decide(original).baseDomain?.ascii == "mx.kartapuce.test")
        #expect(try await decide(Self.aliased).outcome == .notApplicable(.secureDenial))
        #expect(
            try await decide(original + "\n;!BOGUS _25._tcp.host.provider.test. TLSA").isUnavailable,
            "a failure at the first name is no denial (RFC 7672 §2.1.2)")
    }

    @Test func anAliasInASignedZoneIsEnough() async throws {
        let zone = Self.aliased + "_25._tcp.host.provider.test. TLSA \(Self.record)\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        let decision = try await decide(zone, unsigned: ["provider.test"])
        #expect(decision.baseDomain?.ascii == "mx.kartapuce.test")
        #expect(decision.lookups.map(\.type) == [.aaaa, .a, .cname, .tlsa])
        #expect(try await decide(zone, unsigned: ["provider.test", "kartapuce.test"]).outcome == .notApplicable(.insecureAddresses))
        #expect(try await decide(zone + "\n;!TIMEOUT mx.kartapuce.test. CNAME", unsigned: ["provider.test"]).isUnavailable, "the alias isn't known")
    }

    /// The example of RFC 7672 §3.2.2, with other names.
    @Test func namesOfTheNextHopCount() async throws {
        let zone = "mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. TLSA \(Self.record)"
        let expanded = try await decide(zone, origin: .exchanger(.secure, canonicalNextHop: try name("mail.kartapuce.test")))
        #expect(expanded.referenceIdentifiers.map(\.ascii) == ["mx.kartapuce.test", "kartapuce.test", "mail.kartapuce.test"])
        let relay = try await decide(zone, origin: .nextHop)
        #expect(relay.referenceIdentifiers.map(\.ascii) == ["mx.kartapuce.test", "kartapuce.test"])
    }

    @Test func recordsBehindAnAliasKeepTheBaseDomain() async throws {
        let zone = "mx.kartapuce.test. A 198.51.100.1\n_25._tcp.mx.kartapuce.test. CNAME tlsa.dane.test.\ntlsa.dane.test. TLSA \(Self.record)"
        #expect(try await decide(zone).baseDomain?.ascii == "mx.kartapuce.test")
        #expect(try await decide(zone, unsigned: ["dane.test"]).outcome == .notApplicable(.insecureRecords))
    }
}

extension DANEDecision {
    fileprivate var isUnavailable: Bool {
        if case .unavailable = outcome { return true }
        return false
    }
}
