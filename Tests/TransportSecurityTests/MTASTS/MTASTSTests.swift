import DNS
import Foundation
import Testing
import TransportSecurity

struct MTASTSRecordTests {
    @Test(arguments: [
        ("v=STSv1; id=20160831085700Z;", "20160831085700Z"), ("v=STSv1;id=a", "a"), ("v=STSv1 \t; \t id=a \t; ", "a"), ("v=STSv1; x=y; id=a; id=b", "a"),
        ("v=STSv1; id=a; id=not-one", "a"),
    ]) func good(text: String, id: String) throws { #expect(try MTASTSRecord(parsing: Array(text.utf8)).id == id) }

    @Test(arguments: [
        "", "v=STSv1", "v=STSv1;", "v=STSv10; id=a", "V=STSv1; id=a", " v=STSv1; id=a", "v=STSv1; ID=a", "v=STSv1; id=", "v=STSv1; id=a b", "v=STSv1; id=a ",
        "v=STSv1; id=a;;", "v=STSv1;; id=a", "v=STSv1; id = a", "v=STSv1; id=a; x", "v=STSv1; id=a; x=", "v=STSv1; id=a; x=y=z", "v=STSv1; id=a; -x=y",
        "v=STSv1; id=a; x=é", "v=STSv1; id=012345678901234567890123456789012", "v=STSv1, id=a", "v=STSv1; id=a; 1%=a",
    ]) func bad(text: String) { #expect(throws: TransportSyntaxError.self) { try MTASTSRecord(parsing: Array(text.utf8)) } }

    @Test func justOneRecordCounts() throws {
        let one = Array("v=STSv1; id=a".utf8)
        let other = Array("v=spf1 -all".utf8)
        #expect(MTASTSRecord.choose([other, one]) == .record(try MTASTSRecord(parsing: one)))
        #expect(MTASTSRecord.choose([other]) == .notFound)
        #expect(MTASTSRecord.choose([Array("v=STSv10; id=a".utf8)]) == .notFound)
        #expect(MTASTSRecord.choose([one, one]) == .several(2))
        guard case .invalid = MTASTSRecord.choose([Array("v=STSv1; id".utf8)]) else {
            Issue.record("an invalid record counted")
            return
        }
    }

    @Test func theDNSIsAsked() async throws {
        let resolver = try ZoneFile.resolver(
            parsing:
                "_mta-sts.kartapuce.test. CNAME _mta-sts.provider.test.\n_mta-sts.provider.test. TXT \"v=STSv1; \" \"id=a\"\n;!TIMEOUT _mta-sts.slow.test. TXT")
        let (discovery, lookup) = await MTASTSDiscovery.ask(try name("kartapuce.test"), using: resolver)
        #expect(try discovery == .record(MTASTSRecord(parsing: Array("v=STSv1; id=a".utf8))) && lookup != nil)
        #expect(await MTASTSDiscovery.ask(try name("gmail.test"), using: resolver).discovery == .notFound)
        guard case .failed = await MTASTSDiscovery.ask(try name("slow.test"), using: resolver).discovery else {
            Issue.record("a time-out is no answer")
            return
        }
    }
}

struct MTASTSPolicyTests {
    static func policy(_ text: String) throws -> MTASTSPolicy { try MTASTSPolicy(parsing: Array(text.utf8)) }

    @Test func fieldsInAnyOrderWithEitherLineEnd() throws {
        let policy = try Self.policy("max_age: 604800\r\nmx: Mail.Kartapuce.test\nversion:STSv1 \t\r\nmx:*.gmail.test\nmode:\tenforce\nmore: é x")
        #expect(policy.mode == .enforce && policy.maximumAgeSeconds == 604_800)
        #expect(policy.patterns.map(\.description) == ["mail.kartapuce.test", "*.gmail.test"])
        #expect(policy.lines.prefix(2) == ["max_age: 604800", "mx: Mail.Kartapuce.test"])
        #expect(try policy.allows(name("mail.kartapuce.test")) && policy.allows(name("a.gmail.test")))
        #expect(try !policy.allows(name("gmail.test")) && !policy.allows(name("a.b.gmail.test")) && !policy.allows(name("a.mail.kartapuce.test")))
    }

    @Test func theFirstOfRepeatedFieldsCounts() throws {
        let policy = try Self.policy("version: STSv1\nmode: none\nmode: enforce\nmax_age: 1\nmax_age: 2\nversion: STSv2")
        #expect(policy.mode == .none && policy.maximumAgeSeconds == 1)
    }

    @Test func theLongestAgeIsAYear() throws {
        let policy = try Self.policy("version: STSv1\nmode: none\nmax_age: 9999999999")
        #expect(policy.maximumAgeSeconds == 31_557_600 && policy.notes.count == 1)
        #expect(try Self.policy("version: STSv1\nmode: none\nmax_age: 31557600").notes.isEmpty)
    }

    @Test(arguments: [
        "", "version: STSv1", "version: STSv1\nmode: none", "mode: none\nmax_age: 1", "version: STSv1\nmax_age: 1", "version: STSv1\nmode: enforce\nmax_age: 1",
        "version: stsv1\nmode: none\nmax_age: 1", "version: STSv1\nmode: None\nmax_age: 1", "version: STSv1\nmode: none\nmax_age: -1",
        "version: STSv1\nmode: none\nmax_age: 12345678901", "version: STSv1\nmode: none\nmax_age: 1\n\n", "version: STSv1\n\nmode: none\nmax_age: 1",
        "version : STSv1\nmode: none\nmax_age: 1", "version: STSv1\rmode: none\rmax_age: 1", "version: STSv1\nmode: none\nmax_age: 1\nx",
        "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a..b", "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a.test.",
        "version: STSv1\nmode: enforce\nmax_age: 1\nmx: café.test", "version: STSv1\nmode: enforce\nmax_age: 1\nmx: a_b.test",
        "version: STSv1\nmode: enforce\nmax_age: 1\nmx: m*.test", "version: STSv1\nmode: enforce\nmax_age: 1\nmx: *", " version: STSv1\nmode: none\nmax_age: 1",
    ]) func bad(text: String) { #expect(throws: TransportSyntaxError.self, "\(text.debugDescription)") { try Self.policy(text) } }

    @Test func octetsAndSizeAreChecked() {
        let start = Array("version: STSv1\nmode: none\nmax_age: 1\nx: ".utf8)
        #expect(throws: TransportSyntaxError.self) { try MTASTSPolicy(parsing: start + [0xFF]) }
        #expect(throws: TransportSyntaxError.self) { try MTASTSPolicy(parsing: start + [0x61, 0x00, 0x61]) }
        #expect(throws: Never.self) { try MTASTSPolicy(parsing: start + Array(repeating: 0x61, count: 65_536 - start.count)) }
        #expect(throws: TransportSyntaxError.self) { try MTASTSPolicy(parsing: start + Array(repeating: 0x61, count: 65_537 - start.count)) }
    }

    private struct Host: MTASTSFetcher {
        var response: Result<MTASTSResponse, MTASTSFetchError>
        func fetch(policyHost: DomainName, limit: Int) async throws(MTASTSFetchError) -> MTASTSResponse {
            #expect(policyHost.ascii == "mta-sts.kartapuce.test" && limit == 65_536)
            return try response.get()
        }
    }

    private func fetch(status: Int = 200, type: String? = "text/plain", body: String = "version: STSv1\nmode: none\nmax_age: 1") async throws -> MTASTSPolicy {
        try await MTASTSPolicy.fetch(
            name("kartapuce.test"), using: Host(response: .success(.init(status: status, contentType: type, body: Array(body.utf8)))))
    }

    @Test func responsesAreChecked() async throws {
        #expect(try await fetch().mode == .none)
        #expect(try await fetch(type: "Text/Plain ; charset=utf-16; x=y").mode == .none)
        for (status, type, body, code): (Int, String?, String, MTASTSFetchError.Code) in [
            (301, "text/plain", "", .status), (204, "text/plain", "", .status), (404, "text/plain", "", .status), (200, "text/html", "", .mediaType),
            (200, nil, "", .mediaType), (200, "text/plainer", "", .mediaType), (200, "text/plain", "version", .invalidPolicy),
            (200, "text/plain", String(repeating: "a", count: 65_537), .tooLarge),
        ] {
            do {
                _ = try await fetch(status: status, type: type, body: body)
                Issue.record("\(status) \(type ?? "-") was taken")
            } catch let error as MTASTSFetchError {
                #expect(error.code == code)
            }
        }
        #expect(MTASTSFetchError(.untrusted, reason: "").resultType == .stsWebPKIInvalid)
        #expect(MTASTSFetchError(.invalidPolicy, reason: "").resultType == .stsPolicyInvalid)
        #expect(MTASTSFetchError(.timeout, reason: "").resultType == .stsPolicyFetchError)
    }
}

/// The life of a policy in a sender's memory.
struct MTASTSPolicyStateTests {
    private let start = TestAuthority.now
    private let enforce = "version: STSv1\nmode: enforce\nmx: mx.kartapuce.test\nmax_age: 864000"

    private func record(_ id: String) throws -> MTASTSDiscovery { .record(try MTASTSRecord(parsing: Array("v=STSv1; id=\(id)".utf8))) }

    private func known(_ text: String? = nil) throws -> MTASTSPolicyState {
        var state = MTASTSPolicyState()
        state.fetched(.success(try MTASTSPolicyTests.policy(text ?? enforce)), record: "a", at: start)
        return state
    }

    @Test func nothingIsKnown() throws {
        let state = MTASTSPolicyState()
        #expect(state.plan(.notFound, at: start).fetch == .none && state.plan(.notFound, at: start).policy == nil)
        #expect(state.plan(.several(2), at: start).fetch == .none)
        #expect(state.plan(try record("a"), at: start).fetch == .before(recordID: "a"))
        #expect(state.isForgettable(at: start))
    }

    @Test func theCurrentEditionAppliesAndIsRefreshedDaily() throws {
        let state = try known()
        let plan = state.plan(try record("a"), at: start + 86_399)
        #expect(plan.policy?.mode == .enforce && plan.fetch == .none && !plan.isOutdated)
        #expect(state.plan(try record("a"), at: start + 86_400).fetch == .beside(recordID: "a"))
    }

    @Test func anotherEditionIsFetchedAndTheOldOneAppliesMeanwhile() throws {
        var state = try known()
        let plan = state.plan(try record("b"), at: start + 1)
        #expect(plan.fetch == .before(recordID: "b") && plan.policy?.mode == .enforce && plan.isOutdated)
        state.fetched(.failure(MTASTSFetchError(.timeout, reason: "")), record: "b", at: start + 1)
        let failed = state.plan(try record("b"), at: start + 300)
        #expect(failed.fetch == .none && failed.policy?.mode == .enforce && failed.reportable == .stsPolicyFetchError)
        #expect(state.plan(try record("b"), at: start + 301).fetch == .before(recordID: "b"))
        // Five minutes count for each edition (RFC 8461 §3.3).
        #expect(state.plan(try record("c"), at: start + 2).fetch == .before(recordID: "c"))
        state.fetched(.success(try MTASTSPolicyTests.policy("version: STSv1\nmode: none\nmax_age: 86400")), record: "b", at: start + 400)
        let taken = state.plan(try record("b"), at: start + 401)
        #expect(taken.policy == nil && taken.fetch == .none && taken.reportable == nil)
    }

    @Test func neitherAMissingRecordNorAFailureEndsAPolicy() throws {
        var state = try known()
        for discovery in [MTASTSDiscovery.notFound, .several(2), .invalid("x"), .failed(DNSError(.timeout, name: "x", type: .txt, reason: ""))] {
            let plan = state.plan(discovery, at: start + 10)
            #expect(plan.policy?.mode == .enforce && plan.fetch == .none && plan.isOutdated)
            #expect(state.plan(discovery, at: start + 86_400).fetch == .beside(recordID: "a"))
            #expect(state.plan(discovery, at: start + 864_000).policy != nil)
            #expect(state.plan(discovery, at: start + 864_001).policy == nil)
        }
        state.fetched(.failure(MTASTSFetchError(.untrusted, reason: "")), record: "a", at: start + 864_000)
        #expect(state.entry != nil && state.plan(.notFound, at: start + 864_000).policy?.mode == .enforce)
        #expect(state.plan(.notFound, at: start + 864_000).reportable == .stsWebPKIInvalid)
        #expect(!state.isForgettable(at: start + 864_000) && state.isForgettable(at: start + 866_000))
    }

    @Test func aFailureWithoutAPolicyMeansNone() throws {
        var state = MTASTSPolicyState()
        state.fetched(.failure(MTASTSFetchError(.status, reason: "")), record: "a", at: start)
        let plan = state.plan(try record("a"), at: start + 10)
        #expect(plan.policy == nil && plan.fetch == .none && plan.reportable == .stsPolicyFetchError)
        #expect(state.plan(try record("a"), at: start + 300).fetch == .before(recordID: "a"))
    }

    @Test func shortPoliciesAreFetchedAgainBeforeTheirEnd() throws {
        let state = try known("version: STSv1\nmode: testing\nmx: mx.kartapuce.test\nmax_age: 3600")
        #expect(state.plan(try record("a"), at: start + 1799).fetch == .none)
        #expect(state.plan(try record("a"), at: start + 1800).fetch == .beside(recordID: "a"))
    }

    /// RFC 8461 §8.1: a record that is newer than the policy.
    @Test func anUnchangedPolicyUnderANewEditionIsLookedAtSoon() throws {
        var state = try known()
        state.fetched(.success(try MTASTSPolicyTests.policy(enforce)), record: "b", at: start + 10)
        #expect(state.plan(try record("b"), at: start + 3609).fetch == .none)
        #expect(state.plan(try record("b"), at: start + 3610).fetch == .beside(recordID: "b"))
        state.fetched(.success(try MTASTSPolicyTests.policy(enforce)), record: "b", at: start + 3610)
        #expect(state.plan(try record("b"), at: start + 9000).fetch == .none)
    }

    @Test func aClockThatWasSetBackEndsNothing() throws {
        #expect(try known().plan(try record("a"), at: start - 10_000_000).policy != nil)
    }
}
