import DNS
import Foundation
import MailAuthentication
import Testing

/// check_host() beyond what the public suite asks (RFC 7208 §4 to §7).
struct SPFEvaluationTests {
    private func check(_ zone: String, _ address: String, helo: String = "mail.gmail.test", from: String? = "tom@gmail.test") async throws -> SPFEvaluation {
        await SPFChecker(resolver: try ZoneFile.resolver(parsing: zone), receivingHost: "mail.kartapuce.test").check(
            address: try #require(IPAddress(address)), helo: helo, mailFrom: from, at: Date(timeIntervalSince1970: 1_000_000))
    }

    // RFC 7208 §5: IPv4 clients are listed by “ip4” only.
    @Test func ip6NeverMeansAnIPv4Client() async throws {
        for term in ["ip6:::ffff:203.0.113.5", "ip6:::ffff:0:0/96", "ip6:::/0", "ip6:::ffff:203.0.113.0/120"] {
            let zone = "gmail.test. TXT \"v=spf1 \(term) -all\""
            #expect(try await check(zone, "203.0.113.5").result == .fail, "\(term)")
            #expect(try await check(zone, "::ffff:203.0.113.5").result == .fail, "\(term)")
        }
        #expect(try await check("gmail.test. TXT \"v=spf1 ip6:::/0 -all\"", "2001:db8::1").result == .pass)
        #expect(try await check("gmail.test. TXT \"v=spf1 ip4:0.0.0.0/0 -all\"", "2001:db8::1").result == .fail)
    }

    // RFC 8616 §4
    @Test func aLocalPartThatIsNotASCIIMatchesNothing() async throws {
        let zone = """
            gmail.test. TXT "v=spf1 exists:%{l1r-}.gmail.test include:%{l}.gmail.test a:%{s}.gmail.test ip4:203.0.113.5 -all"
            *.gmail.test. A 203.0.113.6
            *.gmail.test. TXT "v=spf1 +all"
            """
        #expect(try await check(zone, "203.0.113.5", from: "jürgen@gmail.test").mechanism == "ip4:203.0.113.5")
        let evaluation = try await check(zone, "203.0.113.6", from: "jürgen@gmail.test")
        #expect(evaluation.result == .fail && evaluation.voidLookups == 0)
        #expect(evaluation.terms.flatMap(\.lookups).map { "\($0.name)" } == ["gmail.test"])
        #expect(evaluation.terms[1].note.contains("RFC 8616"))
        #expect(try await check(zone, "203.0.113.6", from: "jurgen@gmail.test").mechanism == "exists:%{l1r-}.gmail.test")
    }

    @Test func macrosShowALabels() async throws {
        let zone = """
            xn--bcher-kva.test. TXT "v=spf1 exists:%{o}.o.gmail.test exists:%{h}.h.gmail.test -all exp=why.gmail.test"
            why.gmail.test. TXT "%{s} %{o} %{d} %{h}"
            """
        let evaluation = try await check(zone, "203.0.113.5", helo: "bücher.test", from: "tom@bücher.test")
        #expect(evaluation.terms.compactMap(\.target).dropFirst().prefix(2) == ["xn--bcher-kva.test.o.gmail.test", "xn--bcher-kva.test.h.gmail.test"])
        #expect(evaluation.explanation == "tom@xn--bcher-kva.test xn--bcher-kva.test xn--bcher-kva.test xn--bcher-kva.test")
    }

    @Test func bothIdentitiesCanBeAskedFor() async throws {
        let zone = """
            gmail.test. TXT "v=spf1 -all"
            mail.gmail.test. TXT "v=spf1 a -all"
            mail.gmail.test. A 203.0.113.5
            """
        let checker = SPFChecker(resolver: try ZoneFile.resolver(parsing: zone), receivingHost: "mail.kartapuce.test")
        let address = try #require(IPAddress("203.0.113.5"))
        let helo = await checker.checkHELO(address: address, helo: "mail.gmail.test", at: .distantPast)
        #expect(helo.result == .pass && helo.identity == .helo)
        let mailFrom = await checker.checkMailFrom(address: address, helo: "mail.gmail.test", mailFrom: "tom@gmail.test", at: .distantPast)
        #expect(mailFrom.result == .fail && mailFrom.identity == .mailfrom && mailFrom.mechanism == "-all")
    }

    // RFC 7208 §4.6.4: terms are counted, so that an `mx` whose hosts have no IPv6 address is one.
    @Test func aTermIsVoidOnce() async throws {
        let zone = """
            gmail.test. TXT "v=spf1 a mx ip6:2001:db8::5 -all"
            many.test. TXT "v=spf1 a mx exists:no.test ip6:2001:db8::5 -all"
            ptr.test. TXT "v=spf1 a:a.test a:b.test ptr -all"
            ptrs.test. TXT "v=spf1 ptr ptr ptr -all"
            gmail.test. A 203.0.113.5
            many.test. A 203.0.113.5
            gmail.test. MX 1 a.mx.test.
            gmail.test. MX 2 b.mx.test.
            many.test. MX 2 b.mx.test.
            a.mx.test. A 203.0.113.6
            b.mx.test. A 203.0.113.7
            """
        let two = try await check(zone, "2001:db8::5")
        #expect(two.result == .pass && two.voidLookups == 2)
        let three = try await check(zone, "2001:db8::5", from: "tom@many.test")
        #expect(three.result == .permerror && three.problem?.contains("§4.6.4") == true)
        #expect(try await check(zone, "2001:db8::5", from: "tom@ptr.test").result == .permerror)
        #expect(try await check(zone, "2001:db8::5", from: "tom@ptrs.test").result == .permerror)
    }

    @Test func onlyTheFirstTenNamesOfAnAddressCount() async throws {
        var zone = "gmail.test. TXT \"v=spf1 ptr:ok.test -all\"\n"
        for index in 0..<10 { zone += "5.113.0.203.in-addr.arpa. PTR n\(index).other.test.\nn\(index).other.test. A 203.0.113.5\n" }
        zone += "5.113.0.203.in-addr.arpa. PTR mx.ok.test.\nmx.ok.test. A 203.0.113.5\n"
        let evaluation = try await check(zone, "203.0.113.5")
        #expect(evaluation.result == .fail)
        #expect(evaluation.terms[1].lookups.count == 11)
    }

    @Test func theExplanationIsThatOfTheRecordThatDecided() async throws {
        let zone = """
            gmail.test. TXT "v=spf1 include:other.test redirect=next.test exp=first.test"
            other.test. TXT "v=spf1 -all exp=include.test"
            next.test. TXT "v=spf1 -all exp=next.exp.test"
            first.test. TXT "first"
            include.test. TXT "include"
            next.exp.test. TXT "%{c} %{r} %{t} %{L} 100%% %_%-"
            """
        #expect(try await check(zone, "203.0.113.5", from: "a/b@gmail.test").explanation == "203.0.113.5 mail.kartapuce.test 1000000 a%2Fb 100%  %20")
    }

    @Test(arguments: [
        "why.test. TXT a\nwhy.test. TXT b", "why.test. TXT \"%{x}\"", "why.test. TXT \"\\195\\188\"", "why.test. TXT \"a\\010b\"", ";!SERVFAIL why.test. TXT",
        "",
    ])
    func aFaultyExplanationIsNone(zone: String) async throws {
        let evaluation = try await check("gmail.test. TXT \"v=spf1 -all exp=why.test\"\n" + zone, "203.0.113.5")
        #expect(evaluation.result == .fail && evaluation.explanation == nil)
    }

    @Test(arguments: ["[203.0.113.5]", "203.0.113.5", "localhost", "a..gmail.test", "", ".", String(repeating: "a", count: 64) + ".gmail.test"])
    func whatIsNoDomainIsNotAskedFor(helo: String) async throws {
        let evaluation = try await check("*.gmail.test. TXT \"v=spf1 -all\"", "203.0.113.5", helo: helo, from: nil)
        #expect(evaluation.result == .none && evaluation.terms.isEmpty && evaluation.problem?.contains("§4.3") == true)
    }

    @Test func sentencesAreShortWhateverTheRecordSays() async throws {
        let long = String(repeating: "x%%", count: 5_000)
        for record in [
            "redirect=\(long)", "include:\(long)", "\(long)", "1\(long)=x", "a:\(long).1", "exists:\(long)" + String(repeating: " exists:a.test", count: 10),
        ] {
            let evaluation = try await check("gmail.test. TXT \"v=spf1 \(record)\"\na.test. A 127.0.0.1", "203.0.113.5")
            #expect((evaluation.problem ?? "").count <= 600 && evaluation.terms.allSatisfy { $0.note.count <= 600 }, "\(record.prefix(20))")
        }
    }

    // RFC 7208 §7.3
    @Test func longNamesLoseTheirFirstLabels() async throws {
        let local = Array(repeating: "label678", count: 40).joined(separator: ".")
        let evaluation = try await check("gmail.test. TXT \"v=spf1 exists:%{l}.%{d} -all\"", "203.0.113.5", from: "\(local)@gmail.test")
        let target = try #require(evaluation.terms[1].target)
        #expect(target.utf8.count <= 253 && target.utf8.count > 244 && target.hasPrefix("label678.") && target.hasSuffix(".gmail.test"))
    }

    @Test func tenTermsMayAskAndNoMore() async throws {
        func zone(_ count: Int) -> String {
            "gmail.test. TXT \"v=spf1" + String(repeating: " a:x.test", count: count) + " -all\"\nx.test. A 203.0.113.9"
        }
        #expect(try await check(zone(10), "203.0.113.5").result == .fail)
        #expect(try await check(zone(11), "203.0.113.5").result == .permerror)
        let loop = try await check("gmail.test. TXT \"v=spf1 include:gmail.test -all\"", "203.0.113.5")
        #expect(loop.result == .permerror && loop.lookups == 11)
        #expect(loop.terms.map(\.depth).max() == 10)
    }

    @Test func whatTakesTooLongIsTemporary() async throws {
        var limits = SPFLimits()
        limits.time = .zero
        let checker = SPFChecker(resolver: try ZoneFile.resolver(parsing: "gmail.test. TXT \"v=spf1 +all\""), receivingHost: "x", limits: limits)
        let evaluation = await checker.check(address: .v4(1), helo: "x", mailFrom: "tom@gmail.test", at: .distantPast)
        #expect(evaluation.result == .temperror && evaluation.problem?.contains("§4.6.4") == true)
    }

    @Test func aCancelledEvaluationAsksNothing() async throws {
        let resolver = try ZoneFile.resolver(parsing: "gmail.test. TXT \"v=spf1 +all\"")
        let evaluation = await withTaskGroup(of: SPFEvaluation.self) { group in
            group.cancelAll()
            group.addTask {
                await SPFChecker(resolver: resolver, receivingHost: "x").check(address: .v4(1), helo: "x", mailFrom: "tom@gmail.test", at: .distantPast)
            }
            return await group.next()
        }
        #expect(evaluation?.result == .temperror && evaluation?.terms.isEmpty == true)
    }

    // RFC 7208 §7.4
    @Test(arguments: [
        ("%{s}", "strong-bad@email.example.test"), ("%{o}", "email.example.test"), ("%{d}", "email.example.test"), ("%{d4}", "email.example.test"),
        ("%{d3}", "email.example.test"), ("%{d2}", "example.test"), ("%{d1}", "test"), ("%{dr}", "test.example.email"), ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"), ("%{l-}", "strong.bad"), ("%{lr}", "strong-bad"), ("%{lr-}", "bad.strong"), ("%{l1r-}", "strong"), ("%{ir}", "3.113.0.203"),
        ("%{v}", "in-addr"), ("%{S}", "strong-bad%40email.example.test"), ("%{d99999999999999999999}", "email.example.test"), ("%{p}", "unknown"),
        ("%{h}", "mx.example.test"), ("%{l,+-}", "strong.bad"), ("%{DR}", "test.example.email"),
    ])
    func macroExpansions(macro: String, expected: String) async throws {
        let zone = "email.example.test. TXT \"v=spf1 -all exp=why.test\"\nwhy.test. TXT \"\(macro)\""
        let evaluation = try await check(zone, "203.0.113.3", helo: "mx.example.test", from: "strong-bad@email.example.test")
        #expect(evaluation.explanation == expected)
    }
}
