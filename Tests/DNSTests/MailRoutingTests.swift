import DNS
import MailTesting
import Testing

@Suite struct MailRoutingTests {
    private func route(
        _ domain: String, _ resolver: any Resolver, families: [DNSRecordType] = [.aaaa, .a], ownName: String? = nil, seed: UInt64 = 1
    ) async throws -> MailRoute {
        var generator = SeededGenerator(state: seed)
        return await mailHosts(
            for: try name(domain), using: resolver, addressFamilies: families, ownName: try ownName.map { try name($0) }, random: &generator)
    }

    /// What the DNS says, in a line.
    private func summary(_ route: MailRoute) -> String {
        switch route.outcome {
        case .hosts(let hosts): hosts.map { "\($0.preference) \($0.name) \($0.addresses.map(\.description).joined(separator: ","))" }.joined(separator: "; ")
        case .nullMX: "null MX"
        case .noSuchDomain: "no such domain"
        case .ownHost: "own host"
        case .noAddress: "no address"
        case .temporary(let error): "temporary: \(error.code.rawValue)"
        }
    }

    @Test func ordersByPreference() async throws {
        var zones = ZoneResolver()
        for (preference, host) in [(30, "c"), (10, "a"), (20, "b")] as [(UInt16, String)] {
            try zones.addExchanger("gmail.test", preference, "\(host).gmail.test")
            try zones.addAddress("\(host).gmail.test", "192.0.2.\(preference)")
        }
        try zones.addAddress("a.gmail.test", "2001:db8::1")
        let both = try await route("gmail.test", zones)
        #expect(summary(both) == "10 a.gmail.test 2001:db8::1,192.0.2.10; 20 b.gmail.test 192.0.2.20; 30 c.gmail.test 192.0.2.30")
        // MX first, then two questions a host, in order.
        #expect(both.lookups.map { "\($0.name) \($0.type)" }.first == "gmail.test MX" && both.lookups.count == 7)
        let old = try await route("gmail.test", zones, families: [.a])
        #expect(summary(old) == "10 a.gmail.test 192.0.2.10; 20 b.gmail.test 192.0.2.20; 30 c.gmail.test 192.0.2.30")
        #expect(old.lookups.count == 4)
    }

    /// RFC 5321 §5.1: equal preferences are tried in random order.
    @Test func equalPreferencesAreShuffledByTheGenerator() async throws {
        var zones = ZoneResolver()
        for host in ["a", "b", "c", "d"] {
            try zones.addExchanger("gmail.test", 10, "\(host).gmail.test")
            try zones.addAddress("\(host).gmail.test", "192.0.2.1")
        }
        try zones.addExchanger("gmail.test", 5, "first.gmail.test")
        try zones.addAddress("first.gmail.test", "192.0.2.1")
        var firsts: Set<String> = []
        for seed in 0..<40 as Range<UInt64> {
            guard case .hosts(let hosts) = try await route("gmail.test", zones, seed: seed).outcome else {
                Issue.record("no hosts")
                return
            }
            #expect(hosts.map(\.name.ascii).first == "first.gmail.test" && Set(hosts.map(\.name)).count == 5)
            firsts.insert(hosts[1].name.ascii)
            #expect(summary(try await route("gmail.test", zones, seed: seed)) == summary(try await route("gmail.test", zones, seed: seed)))
        }
        #expect(firsts.count == 4)
    }

    @Test func nullExchanger() async throws {
        var zones = ZoneResolver()
        try zones.addExchanger("none.test", 0, ".")
        try zones.addAddress("none.test", "192.0.2.1")
        let none = try await route("none.test", zones)
        #expect(summary(none) == "null MX" && none.lookups.count == 1)
        // RFC 7505 §3: beside others it says nothing.
        try zones.addExchanger("none.test", 10, "mx.none.test")
        try zones.addAddress("mx.none.test", "192.0.2.2")
        #expect(summary(try await route("none.test", zones)) == "10 mx.none.test 192.0.2.2")
    }

    @Test func addressWithoutExchanger() async throws {
        var zones = ZoneResolver()
        try zones.addAddress("old.test", "192.0.2.1")
        #expect(summary(try await route("old.test", zones)) == "0 old.test 192.0.2.1")
        zones.alias(try name("new.test"), to: try name("old.test"))
        #expect(summary(try await route("new.test", zones)) == "0 old.test 192.0.2.1")
    }

    @Test func aliasOfTheDomainAndOfAHost() async throws {
        var zones = ZoneResolver()
        zones.alias(try name("alias.test"), to: try name("gmail.test"))
        try zones.addExchanger("gmail.test", 10, "mx.gmail.test")
        zones.alias(try name("mx.gmail.test"), to: try name("real.gmail.test"))
        try zones.addAddress("real.gmail.test", "192.0.2.1")
        #expect(summary(try await route("alias.test", zones)) == "10 mx.gmail.test 192.0.2.1")
    }

    @Test func nothingToSendTo() async throws {
        var zones = ZoneResolver()
        #expect(summary(try await route("gone.test", zones)) == "no such domain")
        zones.alias(try name("alias.test"), to: try name("gone.test"))
        #expect(summary(try await route("alias.test", zones)) == "no such domain")
        zones.add(try name("text.test"), .txt, .txt([65]))
        #expect(summary(try await route("text.test", zones)) == "no address")
        try zones.addExchanger("dead.test", 10, "gone.test")
        #expect(summary(try await route("dead.test", zones)) == "no address")
    }

    @Test func failuresAreTemporary() async throws {
        var zones = ZoneResolver()
        zones.fail(try name("slow.test"), with: .timeout)
        zones.fail(try name("forged.test"), .mx, with: .bogus)
        try zones.addAddress("forged.test", "192.0.2.1")
        try zones.addExchanger("half.test", 10, "slow.test")
        zones.alias(try name("circle.test"), to: try name("circle.test"))
        #expect(summary(try await route("slow.test", zones)) == "temporary: timeout")
        // An address must not be used where the exchangers can't be believed.
        #expect(summary(try await route("forged.test", zones)) == "temporary: bogus")
        #expect(summary(try await route("half.test", zones)) == "temporary: timeout")
        #expect(summary(try await route("circle.test", zones)) == "temporary: serverFailure")
        // One that can be found is enough.
        try zones.addExchanger("half.test", 20, "forged.test")
        #expect(summary(try await route("half.test", zones)) == "20 forged.test 192.0.2.1")
        // One family that fails leaves the other.
        zones.fail(try name("forged.test"), .aaaa, with: .serverFailure)
        #expect(summary(try await route("half.test", zones)) == "20 forged.test 192.0.2.1")
    }

    @Test func exchangersThatCannotBeRead() async throws {
        var zones = ZoneResolver()
        zones.add(try name("odd.test"), .mx, .other([1]))
        try zones.addAddress("odd.test", "192.0.2.1")
        #expect(summary(try await route("odd.test", zones)) == "temporary: serverFailure")
    }

    @Test func atMostTwentyHostsAreAskedFor() async throws {
        var zones = ZoneResolver()
        for number in 0..<60 as Range<UInt16> {
            try zones.addExchanger("many.test", number, "h\(number).many.test")
            // The same host again, less preferred: it counts once.
            try zones.addExchanger("many.test", 1000 + number, "h\(number).many.test")
            try zones.addAddress("h\(number).many.test", "192.0.2.1")
        }
        let resolver = RecordingResolver(zones)
        guard case .hosts(let hosts) = try await route("many.test", resolver).outcome else {
            Issue.record("no hosts")
            return
        }
        #expect(hosts.map(\.preference) == Array(0..<20))
        #expect(resolver.asked.count == 1 + 20 * 2 && Set(resolver.asked).count == resolver.asked.count)
    }

    /// RFC 5321 §5.1: only better ones than oneself, and none of the same preference.
    @Test func ownHostAmongTheExchangers() async throws {
        var zones = ZoneResolver()
        for (preference, host) in [(10, "best"), (20, "mx"), (20, "equal"), (30, "worse")] as [(UInt16, String)] {
            try zones.addExchanger("kartapuce.test", preference, "\(host).kartapuce.test")
            // Our own name needs no address here to be recognised.
            if host != "mx" { try zones.addAddress("\(host).kartapuce.test", "192.0.2.\(preference)") }
        }
        for seed in 0..<8 as Range<UInt64> {
            let found = try await route("kartapuce.test", zones, ownName: "mx.kartapuce.test", seed: seed)
            #expect(summary(found) == "10 best.kartapuce.test 192.0.2.10")
        }
        #expect(summary(try await route("kartapuce.test", zones, ownName: "best.kartapuce.test")) == "own host")
        #expect(summary(try await route("kartapuce.test", zones, ownName: "other.test")).hasPrefix("10 best"))
        try zones.addAddress("host.test", "192.0.2.9")
        #expect(summary(try await route("host.test", zones, ownName: "host.test")) == "own host")
    }

    @Test func secureOnlyWhereAllIsSigned() async throws {
        var zones = ZoneResolver()
        zones.sign(.root)
        zones.delegateUnsigned(try name("unsigned.test"))
        try zones.addExchanger("gmail.test", 10, "mx.gmail.test")
        try zones.addExchanger("gmail.test", 20, "mx.unsigned.test")
        try zones.addExchanger("unsigned.test", 10, "mx.gmail.test")
        try zones.addAddress("mx.gmail.test", "192.0.2.1")
        try zones.addAddress("mx.unsigned.test", "192.0.2.2")
        guard case .hosts(let hosts) = try await route("gmail.test", zones).outcome,
            case .hosts(let others) = try await route("unsigned.test", zones).outcome
        else {
            Issue.record("no hosts")
            return
        }
        #expect(hosts.map(\.security) == [.secure, .insecure] && others.map(\.security) == [.insecure])
    }
}
