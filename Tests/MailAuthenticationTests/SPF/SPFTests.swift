import DNS
import Foundation
import MailAuthentication
import Testing

struct SPFTests {
    private func check(_ zone: String, _ address: String, helo: String = "mail.gmail.test", from: String? = "tom@gmail.test") async throws -> SPFEvaluation {
        await SPFChecker(resolver: try ZoneFile.resolver(parsing: zone), receivingHost: "mail.kartapuce.test").check(
            address: try #require(IPAddress(address)), helo: helo, mailFrom: from, at: Date(timeIntervalSince1970: 1_000_000))
    }

    @Test func evidenceTellsEachTermInOrder() async throws {
        let zone = """
            gmail.test. TXT "v=spf1 include:_spf.gmail.test mx -all"
            _spf.gmail.test. TXT "v=spf1 ip4:198.51.100.0/24 ~all"
            gmail.test. MX 10 mx.gmail.test.
            mx.gmail.test. A 203.0.113.5
            """
        let evaluation = try await check(zone, "203.0.113.5")
        #expect(evaluation.result == .pass && evaluation.mechanism == "mx" && evaluation.domain == "gmail.test")
        #expect(evaluation.lookups == 2)
        #expect(
            evaluation.terms.map { "\($0.depth) \($0.text) \($0.matched.map { "\($0)" } ?? "-")" } == [
                "0 v=spf1 include:_spf.gmail.test mx -all -", "0 include:_spf.gmail.test false", "1 v=spf1 ip4:198.51.100.0/24 ~all -",
                "1 ip4:198.51.100.0/24 false", "1 ~all true", "0 mx true",
            ])
        #expect(evaluation.terms.last?.lookups.map { "\($0.name) \($0.type)" } == ["gmail.test MX", "mx.gmail.test A"])
        #expect(try await check(zone, "::ffff:203.0.113.5").result == .pass)
        #expect(try await check(zone, "203.0.113.6").result == .fail)
    }

    @Test func aNullReversePathIsJudgedByHELO() async throws {
        let zone = "mail.gmail.test. TXT \"v=spf1 a -all\"\nmail.gmail.test. A 198.51.100.7"
        let evaluation = try await check(zone, "198.51.100.7", from: "")
        #expect(evaluation.result == .pass && evaluation.identity == .helo && evaluation.domain == "mail.gmail.test")
        #expect(try await check(zone, "198.51.100.8", from: nil).result == .fail)
    }

    @Test func internationalDomainsAreAskedForAsALabels() async throws {
        let zone = "xn--bcher-kva.test. TXT \"v=spf1 exists:%{l}.%{d} -all\"\ntom.xn--bcher-kva.test. A 127.0.0.2"
        #expect(try await check(zone, "198.51.100.7", from: "tom@bücher.test").result == .pass)
        #expect(try await check(zone, "198.51.100.7", from: "bob@bücher.test").result == .fail)
    }

    @Test func failuresOfDNSAreTemporary() async throws {
        let zone = "gmail.test. TXT \"v=spf1 a:slow.test -all\"\n;!TIMEOUT slow.test. A\n;!SERVFAIL broken.test. *"
        #expect(try await check(zone, "198.51.100.7").result == .temperror)
        #expect(try await check(zone, "198.51.100.7", from: "x@broken.test").result == .temperror)
    }

    @Test(arguments: [
        "v=spf1 a:%{x}.test", "v=spf1 a:%{d0}.test", "v=spf1 ip4:1.2.3", "v=spf1 ip6:1.2.3.4", "v=spf1 a/33", "v=spf1 a//129", "v=spf1 a/032", "v=spf1 all:x",
        "v=spf1 include", "v=spf1 exp=a.test exp=b.test", "v=spf1 redirect=", "v=spf1 -foo", "v=spf1 a:b.test/", "v=spf1 exists:%{c}.test", "v=spf1 1a=x",
    ])
    func faultyRecordsAreRefused(text: String) { #expect(throws: SPFRecordError.self) { try SPFRecord(parsing: text) } }

    @Test(.timeLimit(.minutes(3))) func aHugeRecordEndsSoon() {
        #expect(throws: SPFRecordError.self) { try SPFRecord(parsing: Array("v=spf1 ".utf8) + Array(repeating: UInt8(ascii: "%"), count: 10 << 20)) }
        #expect(throws: SPFRecordError.self) { try SPFRecord(parsing: "v=spf1" + String(repeating: " a", count: 30_000)) }
    }

    @Test(.timeLimit(.minutes(3))) func aRecordFullOfMacrosEndsSoon() async throws {
        let macros = String(repeating: "%{s1r+-.,/_=}", count: 4_000)
        let zone = "gmail.test. TXT \"v=spf1 include:\(macros).gmail.test -all\"\n*.gmail.test. TXT \"v=spf1 include:\(macros).gmail.test -all\""
        let evaluation = try await check(zone, "203.0.113.5", from: String(repeating: "a.b-", count: 60) + "@gmail.test")
        #expect(evaluation.result == .permerror && evaluation.lookups == 11)
    }

    @Test func evidenceHasALimit() async throws {
        let zone = "gmail.test. TXT \"v=spf1" + String(repeating: " ip4:203.0.113.5", count: 1_500) + " -all\""
        let evaluation = try await check(zone, "203.0.113.6")
        #expect(evaluation.result == .fail && evaluation.mechanism == "-all" && evaluation.terms.count == 1_000 && evaluation.omittedTerms == 502)
    }

    @Test func whatStrangersSayStaysInItsPlaceInReceivedSPF() async throws {
        let evaluation = try await check("", "198.51.100.7", helo: "x) evil=\"\r\nSubject: a", from: "a\"b\\(c)\r\nX: y@gmail.test")
        let value = evaluation.receivedSPF(
            receiver: "mail.kartapuce.test", address: .v4(1), helo: "x) evil=\"\r\nSubject: a", mailFrom: "a\"b\\(c)\r\nX: y@gmail.test")
        #expect(value.utf8.allSatisfy { (0x20...0x7E).contains($0) })
        let long = evaluation.receivedSPF(
            receiver: "mail.kartapuce.test", address: .v4(1), helo: String(repeating: "(", count: 5_000), mailFrom: String(repeating: "\\", count: 5_000))
        #expect(long.split(separator: " ").allSatisfy { $0.utf8.count <= 900 })
        #expect(value.contains("helo=\"x) evil=\\\"??Subject: a\""))
        #expect(value.contains("envelope-from=\"a\\\"b\\\\(c)??X: y@gmail.test\""))
    }
}
