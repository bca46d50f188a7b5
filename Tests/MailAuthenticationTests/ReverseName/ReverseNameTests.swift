import DNS
import MailAuthentication
import Testing

/// “iprev” (RFC 8601 §2.7.3, §3).
struct ReverseNameTests {
    private func check(_ zone: String, _ address: String) async throws -> ReverseNameEvaluation {
        await ReverseNameChecker(resolver: try ZoneFile.resolver(parsing: zone)).check(try #require(IPAddress(address)))
    }

    @Test(arguments: [
        ("203.0.113.5", "5.113.0.203.in-addr.arpa"), ("2001:db8::cb01", "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"),
    ])
    func namesOfAddresses(address: String, name: String) throws { #expect(ReverseName.name(of: try #require(IPAddress(address))).ascii == name) }

    @Test func aNameThatLeadsBackPasses() async throws {
        let zone = """
            5.113.0.203.in-addr.arpa. PTR other.gmail.test.
            5.113.0.203.in-addr.arpa. PTR mail.gmail.test.
            other.gmail.test. A 203.0.113.6
            mail.gmail.test. A 203.0.113.4
            mail.gmail.test. A 203.0.113.5
            1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa. PTR mail.gmail.test.
            mail.gmail.test. AAAA 2001:db8::1
            """
        let evaluation = try await check(zone, "203.0.113.5")
        #expect(evaluation.result == .pass && evaluation.names.map(\.ascii) == ["mail.gmail.test"])
        #expect(evaluation.claimed.map(\.ascii) == ["other.gmail.test", "mail.gmail.test"] && evaluation.lookups.count == 3)
        #expect(try await check(zone, "::ffff:203.0.113.5").result == .pass)
        #expect(try await check(zone, "2001:db8::1").result == .pass)
    }

    @Test(arguments: [
        ("", ReverseNameEvaluation.Result.permerror), ("x.5.113.0.203.in-addr.arpa. PTR a.test.", .permerror),
        (";!SERVFAIL 5.113.0.203.in-addr.arpa. PTR", .temperror),
        ("5.113.0.203.in-addr.arpa. PTR no.test.", .fail), ("5.113.0.203.in-addr.arpa. PTR a.test.\na.test. A 203.0.113.6", .fail),
        ("5.113.0.203.in-addr.arpa. PTR a.test.\na.test. AAAA 2001:db8::1", .fail),
        ("5.113.0.203.in-addr.arpa. PTR slow.test.\n5.113.0.203.in-addr.arpa. PTR no.test.\n;!TIMEOUT slow.test. *", .temperror),
        ("5.113.0.203.in-addr.arpa. PTR slow.test.\n5.113.0.203.in-addr.arpa. PTR a.test.\n;!TIMEOUT slow.test. *\na.test. A 203.0.113.5", .pass),
    ])
    func resultsInTheWordsOfTheRFC(zone: String, result: ReverseNameEvaluation.Result) async throws {
        let evaluation = try await check(zone, "203.0.113.5")
        #expect(evaluation.result == result)
        #expect((evaluation.problem == nil) == (result == .pass))
    }

    @Test func noMoreThanTenNamesAreAskedFor() async throws {
        let zone = (0..<12).map { "5.113.0.203.in-addr.arpa. PTR n\($0).test.\n" }.joined() + "n11.test. A 203.0.113.5"
        let evaluation = try await check(zone, "203.0.113.5")
        #expect(evaluation.result == .fail && evaluation.claimed.count == 10 && evaluation.omittedNames == 2 && evaluation.lookups.count == 11)
    }
}
