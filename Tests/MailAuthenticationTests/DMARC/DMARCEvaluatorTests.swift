import DNS
import NIOCore
import Testing

@testable import MailAuthentication

struct DMARCEvaluatorTests {
    private func evaluate(
        _ author: String, _ records: [(String, String)], spf: [DMARCSPFResult] = [], dkim: [(String, String)] = [], failing: [String] = []
    ) async throws -> DMARCEvaluation {
        var zone = try dmarcZone(records.map { ($0.0, "v=DMARC1; \($0.1)") })
        for name in failing { zone.fail(try DomainName(name), with: .timeout) }
        let dkim = dkim.map { DMARCDKIMResult(domain: $0.0, selector: "s", result: $0.1) }
        return await DMARCEvaluator(resolver: zone).evaluate(DMARCAuthor(domain: try DomainName(author)), spf: spf, dkim: dkim)
    }

    private func spf(_ domain: String, _ result: String = "pass", _ identity: DMARCSPFResult.Identity = .mailFrom) -> [DMARCSPFResult] {
        [DMARCSPFResult(domain: domain, result: result, identity: identity)]
    }

    private let reject = [("kartapuce.test", "p=reject")]

    @Test func anIdenticalIdentifierPassesWithOneQuestion() async throws {
        for evaluation in [
            try await evaluate("kartapuce.test", reject, dkim: [("Kartapuce.test", "pass")]),
            try await evaluate("kartapuce.test", reject, spf: spf("kartapuce.test")),
            try await evaluate("kartapuce.test", reject, spf: spf("kartapuce.test", "Pass", .heloOfNullReversePath)),
        ] {
            #expect(evaluation.result == .pass && evaluation.requestedPolicy == .reject)
            #expect(evaluation.queryCount == 1 && evaluation.headerFrom == "kartapuce.test" && evaluation.recordDomain?.ascii == "kartapuce.test")
            #expect(evaluation.identifiers.map(\.finding) == [.identical])
        }
    }

    @Test func relaxedAlignmentComparesOrganizations() async throws {
        let up = try await evaluate("a.kartapuce.test", reject, dkim: [("b.c.kartapuce.test", "pass")])
        #expect(up.result == .pass && up.identifiers.first?.finding == .sameOrganization)
        #expect(up.identifiers.first?.organizationalDomain?.ascii == "kartapuce.test" && up.authorOrganizationalDomain?.ascii == "kartapuce.test")
        // psd=n in between makes another organization of it.
        let cut = try await evaluate("a.kartapuce.test", reject + [("c.kartapuce.test", "p=none; psd=n")], dkim: [("b.c.kartapuce.test", "pass")])
        #expect(cut.result == .fail && cut.identifiers.first?.finding == .otherOrganization)
        // Two owners below one public suffix are none either.
        let suffix = try await evaluate("a.test", [("test", "p=reject; psd=y")], spf: spf("b.test"), dkim: [("test", "pass")])
        #expect(suffix.result == .fail && suffix.identifiers.allSatisfy { $0.finding == .otherOrganization })
        #expect(suffix.requestedPolicy == .reject)
    }

    @Test func strictAlignmentWantsTheSameDomain() async throws {
        let records = [("kartapuce.test", "p=reject; adkim=s; aspf=r")]
        let evaluation = try await evaluate("a.kartapuce.test", records, dkim: [("kartapuce.test", "pass")])
        #expect(evaluation.result == .fail && evaluation.identifiers.first?.finding == .notIdentical)
        #expect(evaluation.identifiers.first?.mode == .strict)
        let spf = try await evaluate("a.kartapuce.test", records, spf: spf("kartapuce.test"), dkim: [("kartapuce.test", "pass")])
        #expect(spf.result == .pass && spf.isSPFAligned && !spf.isDKIMAligned)
    }

    @Test func whatIsNotAuthenticatedNeverCounts() async throws {
        for result in ["fail", "none", "softfail", "neutral", "temperror", "permerror", "policy", "", "passed", "pass "] {
            let evaluation = try await evaluate("kartapuce.test", reject, spf: spf("kartapuce.test", result), dkim: [("kartapuce.test", result)])
            #expect(evaluation.result == .fail, "\(result)")
        }
        // RFC 9989 §3.2.4: the HELO identity is none of DMARC's.
        let helo = try await evaluate("kartapuce.test", reject, spf: spf("kartapuce.test", "pass", .helo))
        #expect(helo.result == .fail && helo.identifiers.first?.finding == .heloIdentity)
        let broken = try await evaluate("kartapuce.test", reject, dkim: [("kartapuce.test\u{0}", "pass"), ("", "pass"), (".", "pass")])
        #expect(broken.result == .fail && broken.identifiers.allSatisfy { $0.finding == .noDomainName })
    }

    @Test func similarNamesAreNotAligned() async throws {
        let evaluation = try await evaluate(
            "kartapuce.test", reject, dkim: [("evilkartapuce.test", "pass"), ("kartapuce.test.evil.test", "pass"), ("test", "pass")])
        #expect(evaluation.result == .fail && evaluation.identifiers.allSatisfy { $0.finding == .otherOrganization })
    }

    @Test func strangersCostNoQuestions() async throws {
        let strangers = (0..<100).map { ("l\($0).a.b.c.gmail.test", "pass") } + [("mail.gmail.example", "pass")]
        let evaluation = try await evaluate("kartapuce.test", reject, dkim: strangers)
        #expect(evaluation.result == .fail && evaluation.queryCount == 2, "the author's own walk: \(evaluation.queryCount)")
        let relatives = (0..<100).map { ("l\($0).a.b.c.kartapuce.test", "pass") }
        let records = reject + [("a.b.c.kartapuce.test", "p=none; psd=n")]
        let limited = try await evaluate("kartapuce.test", records, dkim: relatives)
        #expect(limited.result == .fail && limited.queryCount <= 2 + DMARCEvaluator.identifierLimit * DMARCTreeWalk.queryLimit)
        #expect(limited.identifiers.last?.finding == .overLimit)
    }

    @Test func internationalizedNamesCompareAsALabels() async throws {
        let evaluation = try await evaluate("xn--caf-dma.test", [("xn--caf-dma.test", "p=reject")], dkim: [("caf\u{E9}.test", "pass")])
        #expect(evaluation.result == .pass)
    }

    @Test func withoutARecordThereIsNoResult() async throws {
        let none = try await evaluate("kartapuce.test", [], dkim: [("kartapuce.test", "pass")])
        #expect(none.result == .none && none.requestedPolicy == nil)
        // RFC 9989 §4.10.1: no usable policy and no reports.
        let inapplicable = try await evaluate("kartapuce.test", [("kartapuce.test", "sp=quarantine; np=reject")])
        #expect(inapplicable.result == .none && !inapplicable.warnings.isEmpty)
        // RFC 9989 §9.2.
        let broken = try await evaluate("kartapuce.test", [("kartapuce.test", "p=none; p=none")])
        #expect(broken.result == .permerror)
    }

    @Test func failuresOfTheDNSDecideNothing() async throws {
        let policy = try await evaluate("kartapuce.test", reject, dkim: [("kartapuce.test", "pass")], failing: ["_dmarc.kartapuce.test"])
        #expect(policy.result == .temperror)
        let identifier = try await evaluate("kartapuce.test", reject, dkim: [("a.kartapuce.test", "pass")], failing: ["_dmarc.a.kartapuce.test"])
        #expect(identifier.result == .temperror && identifier.identifiers.first?.finding == .unknown)
        // Another identifier is aligned: nobody needs to know.
        let other = try await evaluate(
            "kartapuce.test", reject, dkim: [("a.kartapuce.test", "pass"), ("kartapuce.test", "pass")], failing: ["_dmarc.a.kartapuce.test"])
        #expect(other.result == .pass)
        let existence = try await evaluate("a.kartapuce.test", [("kartapuce.test", "p=none; np=reject")], failing: ["a.kartapuce.test"])
        #expect(existence.result == .temperror)
    }

    @Test func aTestIsOneStepWeaker() async throws {
        for (policy, effective) in [("reject", DMARCPolicy.quarantine), ("quarantine", .none), ("none", .none)] {
            let evaluation = try await evaluate("kartapuce.test", [("kartapuce.test", "p=\(policy); t=y")])
            #expect(evaluation.requestedPolicy?.rawValue == policy && evaluation.effectivePolicy == effective && evaluation.isTesting)
        }
    }

    /// Each form in which the attacker's own domain is authenticated: a pass is never one for the domain that he shows.
    @Test(arguments: [
        "From: =?utf-8?q?bob=40kartapuce=2Etest?= <attacker@evil.test>", "From: bob@kartapuce.test, attacker@evil.test",
        "From: bob@kartapuce.test\r\nFrom: attacker@evil.test", "From: <bob@kartapuce.test> <attacker@evil.test>",
        "From: bob(@kartapuce.test)@evil.test", "From: bob@kartapuce.test\u{0}@evil.test", "From : bob@kartapuce.test",
        "FROM:\r\n\tbob@kartapuce.test", "From: x: bob@kartapuce.test;", "From: \"attacker@evil.test\"@kartapuce.test",
        "From: <@evil.test:bob@kartapuce.test>", "From: <@kartapuce.test:attacker@evil.test>", "From: attacker@evil.test\rFrom: bob@kartapuce.test",
    ])
    func anAttackersDomainNeverPassesForAnother(_ from: String) async throws {
        let zone = try dmarcZone([("kartapuce.test", "v=DMARC1; p=reject"), ("evil.test", "v=DMARC1; p=none")])
        let evaluation = await DMARCEvaluator(resolver: zone).evaluate(
            message: ByteBuffer(string: "\(from)\r\n\r\nx\r\n"), spf: [DMARCSPFResult(domain: "evil.test", result: "pass")],
            dkim: [DMARCDKIMResult(domain: "evil.test", selector: "s", result: "pass")])
        if evaluation.headerFrom == "evil.test" {
            #expect(evaluation.result == .pass)
        } else {
            #expect(evaluation.result == .fail && evaluation.requestedPolicy == .reject || evaluation.result == .permerror, "\(evaluation.reason)")
        }
        var policy = DMARCDispositionPolicy()
        policy.mode = .enforce
        #expect((policy.decide(evaluation).disposition == .reject) == (evaluation.headerFrom != "evil.test"))
    }

    @Test func evidenceCanBeRead() async throws {
        let evaluation = try await evaluate("a.kartapuce.test", [("kartapuce.test", "p=none; np=reject")])
        #expect(
            evaluation.queries.map(\.description) == [
                "_dmarc.a.kartapuce.test TXT: no policy record", "_dmarc.kartapuce.test TXT: a policy record: v=DMARC1; p=none; np=reject",
                "_dmarc.test TXT: no policy record", "a.kartapuce.test A: the domain doesn't exist (RFC 9989 §3.2.13)",
            ])
    }

    @Test func withoutASingleAuthorThereIsAPermanentError() throws {
        let evaluation = DMARCEvaluator(resolver: ZoneResolver()).evaluate(DMARCAuthorError(.repeatedFrom(2)))
        #expect(evaluation.result == .permerror && evaluation.headerFrom == nil && evaluation.reason.contains("2 From fields"))
    }
}
