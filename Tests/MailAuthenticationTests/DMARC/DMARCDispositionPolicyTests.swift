import DNS
import Testing

@testable import MailAuthentication

struct DMARCDispositionPolicyTests {
    private func failed(
        _ policy: String = "p=reject", author: String = "kartapuce.test", spf: [DMARCSPFResult] = [], dkim: [DMARCDKIMResult] = []
    ) async throws -> DMARCEvaluation {
        let zone = try dmarcZone([("kartapuce.test", "v=DMARC1; \(policy)")])
        return await DMARCEvaluator(resolver: zone).evaluate(DMARCAuthor(domain: try DomainName(author)), spf: spf, dkim: dkim)
    }

    private func enforcing() -> DMARCDispositionPolicy {
        var policy = DMARCDispositionPolicy()
        policy.mode = .enforce
        return policy
    }

    @Test func theOwnersWishIsFollowed() async throws {
        for (wish, disposition) in [("p=reject", DMARCDisposition.reject), ("p=quarantine", .quarantine), ("p=none", .none)] {
            let decision = enforcing().decide(try await failed(wish))
            #expect(decision.disposition == disposition && decision.overrides.isEmpty && decision.observed == nil)
        }
    }

    /// RFC 9989 §7.4.
    @Test func whoKnowsNothingElseQuarantines() async throws {
        let decision = DMARCDispositionPolicy().decide(try await failed())
        #expect(decision.disposition == .quarantine && decision.overrides.map(\.kind) == [.localPolicy])
    }

    @Test func observingRecordsWhatWouldHaveBeen() async throws {
        var policy = enforcing()
        policy.domainModes = [try DomainName("kartapuce.test"): .observe, try DomainName("b.kartapuce.test"): .enforce]
        let decision = policy.decide(try await failed())
        #expect(decision.disposition == .none && decision.observed == .reject && decision.overrides.map(\.kind) == [.localPolicy])
        #expect(policy.decide(try await failed(author: "a.kartapuce.test")).disposition == .none)
        #expect(policy.decide(try await failed(author: "a.b.kartapuce.test")).disposition == .reject)
    }

    @Test func aTestIsRecorded() async throws {
        let decision = enforcing().decide(try await failed("p=reject; t=y"))
        #expect(decision.disposition == .quarantine && decision.overrides.map(\.kind) == [.policyTestMode])
        #expect(enforcing().decide(try await failed("p=quarantine; t=y")).disposition == .none)
    }

    @Test(
        arguments: [
            ("pass", [(1, "gmail.test", "pass", "kartapuce.test")], true), ("pass", [(1, "gmail.test", "pass", nil)], true),
            // The newest sealer saw a forwarded message, the one before it the original; both are trusted.
            ("pass", [(1, "gmail.test", "pass", nil), (2, "list.test", "fail", nil)], true),
            ("fail", [(1, "gmail.test", "pass", nil)], false), ("none", [], false), ("pass", [], false),
            ("pass", [(1, "gmail.test", "fail", nil)], false), ("pass", [(1, "gmail.test", nil, nil)], false),
            ("pass", [(1, "evil.test", "pass", nil)], false), ("pass", [(1, "gmail.test", "pass", "evil.test")], false),
            // Whoever sealed last could have changed the message.
            ("pass", [(1, "gmail.test", "pass", nil), (2, "evil.test", "pass", nil)], false),
            ("pass", [(1, "gmail.test", "pass", nil), (2, "evil.test", "pass", nil), (3, "list.test", "fail", nil)], false),
        ] as [(String, [(Int, String, String?, String?)], Bool)])
    func trustedForwarders(_ status: String, _ seals: [(Int, String, String?, String?)], _ isTrusted: Bool) async throws {
        var policy = enforcing()
        policy.trustedSealers = [try DomainName("gmail.test"), try DomainName("list.test")]
        let evidence = DMARCForwarderEvidence(
            chainStatus: status, seals: seals.map { DMARCForwarderSeal(instance: $0.0, sealer: $0.1, dmarcResult: $0.2, headerFrom: $0.3) })
        let decision = policy.decide(try await failed(), arc: evidence)
        #expect(decision.disposition == (isTrusted ? .none : .reject))
        #expect(decision.overrides.map(\.kind) == (isTrusted ? [.trustedForwarder] : []))
    }

    @Test func exceptionsNeedAnAuthenticatedIdentifier() async throws {
        var policy = enforcing()
        let list = try DomainName("list.test")
        policy.allowlist = [.init(identifier: list, mechanism: .dkim, isMailingList: true, comment: "the club")]
        let signed = policy.decide(try await failed(dkim: [DMARCDKIMResult(domain: "List.test", selector: "s", result: "pass")]))
        #expect(signed.disposition == .none && signed.overrides == [DMARCPolicyOverride(.mailingList, "allowed by DKIM domain list.test: the club")])
        for evaluation in [
            try await failed(dkim: [DMARCDKIMResult(domain: "list.test", selector: "s", result: "fail")]),
            try await failed(spf: [DMARCSPFResult(domain: "list.test", result: "pass")]),
            try await failed(dkim: [DMARCDKIMResult(domain: "a.list.test", selector: "s", result: "pass")]),
            try await failed(),
        ] {
            #expect(policy.decide(evaluation).disposition == .reject)
        }
        // An exception for the author's domain itself doesn't let its forgers in.
        policy.allowlist = [.init(identifier: try DomainName("kartapuce.test"))]
        #expect(policy.decide(try await failed()).disposition == .reject)
        policy.allowlist = [.init(identifier: list, authors: [try DomainName("gmail.test")])]
        let other = try await failed(dkim: [DMARCDKIMResult(domain: "list.test", selector: "s", result: "pass")])
        #expect(policy.decide(other).disposition == .reject)
        // The HELO identity is not what DMARC authenticates.
        policy.allowlist = [.init(identifier: list, mechanism: .spf)]
        #expect(policy.decide(try await failed(spf: [DMARCSPFResult(domain: "list.test", result: "pass", identity: .helo)])).disposition == .reject)
    }

    @Test func errorsAreDecidedByThisReceiver() async throws {
        let evaluator = DMARCEvaluator(resolver: ZoneResolver())
        var policy = enforcing()
        #expect(policy.decide(evaluator.evaluate(DMARCAuthorError(.repeatedFrom(2)))).disposition == .reject)
        #expect(policy.decide(evaluator.evaluate(DMARCAuthorError(.noFrom))).disposition == .quarantine)
        policy.mode = .observe
        let observed = policy.decide(evaluator.evaluate(DMARCAuthorError(.repeatedFrom(2))))
        #expect(observed.disposition == .none && observed.observed == .reject)
        policy = enforcing()
        var zone = ZoneResolver()
        zone.fail(try DomainName("_dmarc.kartapuce.test"), with: .timeout)
        let unknown = await DMARCEvaluator(resolver: zone).evaluate(DMARCAuthor(domain: try DomainName("kartapuce.test")), spf: [], dkim: [])
        #expect(policy.decide(unknown).disposition == .none && !policy.decide(unknown).isDeferred)
        policy.defersTemporaryErrors = true
        #expect(policy.decide(unknown).isDeferred)
    }

    @Test func passAndNoneDoNothing() async throws {
        let passed = try await failed(dkim: [DMARCDKIMResult(domain: "kartapuce.test", selector: "s", result: "pass")])
        #expect(passed.result == .pass && enforcing().decide(passed).disposition == .none)
    }
}
