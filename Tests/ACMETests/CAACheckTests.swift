import DNS
import Testing

@testable import ACME

@Suite("CAA before an order (RFC 8659, RFC 8657)")
struct CAACheckTests {
    private static let account = "https://ca.test/accounts/1"

    private func evaluate(
        _ records: [(String, UInt8, String, String)], for name: String = "mail.kartapuce.test", account: String? = Self.account,
        challenge: ACMEChallengeKind = .dns01, zone change: (inout ZoneResolver) throws -> Void = { _ in }
    ) async throws -> CAAEvaluation {
        var zone = ZoneResolver()
        for (owner, flags, tag, value) in records {
            zone.add(try DomainName(owner), .caa, .other([flags, UInt8(tag.utf8.count)] + Array(tag.utf8) + Array(value.utf8)))
        }
        try change(&zone)
        return await CAACheck(identities: ["ca.test"], accountURL: account, challenge: challenge)
            .evaluate(try CertificateName(name), resolver: zone)
    }

    @Test("the nearest records count, and no others (RFC 8659 §3)")
    func climbing() async throws {
        let nothing = try await evaluate([])
        #expect(nothing.result == .unrestricted && nothing.steps.map(\.name.ascii) == ["mail.kartapuce.test", "kartapuce.test", "test"])
        #expect(try await evaluate([("kartapuce.test", 0, "issue", "ca.test")]).result == .allowed)
        #expect(try await evaluate([("kartapuce.test", 0, "issue", "other.test")]).result == .forbidden)
        let near = try await evaluate([("kartapuce.test", 0, "issue", "other.test"), ("mail.kartapuce.test", 0, "issue", "ca.test")])
        #expect(near.result == .allowed && near.source?.ascii == "mail.kartapuce.test" && near.steps.count == 1)
        // Also such that say nothing about who may issue.
        #expect(try await evaluate([("kartapuce.test", 0, "issue", ";"), ("mail.kartapuce.test", 0, "iodef", "mailto:a@b.test")]).result == .unrestricted)
        #expect(try await evaluate([("test", 0, "ISSUE", "CA.TEST")]).result == .allowed)
    }

    @Test("a question without an answer isn't a yes")
    func failure() async throws {
        let broken = try await evaluate([("kartapuce.test", 0, "issue", "ca.test")]) { zone in
            zone.fail(try DomainName("mail.kartapuce.test"), .caa, with: .serverFailure)
        }
        #expect(broken.result == .undetermined && !broken.isIssuanceExpected && broken.steps.first?.failure != nil)
    }

    @Test("an alias's target has the records (RFC 8659 §3)")
    func alias() async throws {
        let evaluation = try await evaluate([("target.gmail.test", 0, "issue", ";"), ("kartapuce.test", 0, "issue", "ca.test")]) { zone in
            zone.alias(try DomainName("mail.kartapuce.test"), to: try DomainName("target.gmail.test"))
        }
        #expect(evaluation.result == .forbidden)
    }

    @Test("wildcards have a property of their own (RFC 8659 §4.3)")
    func wildcards() async throws {
        let wild = "*.kartapuce.test"
        #expect(try await evaluate([("kartapuce.test", 0, "issue", "ca.test")], for: wild).result == .allowed)
        #expect(try await evaluate([("kartapuce.test", 0, "issue", "ca.test"), ("kartapuce.test", 0, "issuewild", ";")], for: wild).result == .forbidden)
        #expect(try await evaluate([("kartapuce.test", 0, "issue", ";"), ("kartapuce.test", 0, "issuewild", "ca.test")], for: wild).result == .allowed)
        #expect(try await evaluate([("kartapuce.test", 0, "issuewild", ";")]).result == .unrestricted)
    }

    @Test("accounts and proofs (RFC 8657 §3 and §4)")
    func parameters() async throws {
        func result(_ value: String, account: String? = Self.account, _ challenge: ACMEChallengeKind = .dns01) async throws -> CAAEvaluation.Result {
            try await evaluate([("kartapuce.test", 128, "issue", value)], account: account, challenge: challenge).result
        }
        #expect(try await result("ca.test; accounturi=\(Self.account)") == .allowed)
        #expect(try await result("ca.test; accounturi=\(Self.account)2") == .forbidden)
        #expect(try await result("ca.test; accounturi=\(Self.account)", account: nil) == .forbidden)
        #expect(try await result("ca.test; accounturi=\(Self.account); accounturi=\(Self.account)") == .forbidden)
        #expect(try await result("ca.test; validationmethods=http-01,dns-01") == .allowed)
        #expect(try await result("ca.test;validationmethods=http-01", .http01) == .allowed)
        #expect(try await result("ca.test; validationmethods=http-01") == .forbidden)
        #expect(try await result("ca.test; validationmethods=dns-012") == .forbidden)
        #expect(try await result("ca.test; unknown=1") == .allowed)
        #expect(try await result("ca.test; accounturi=\(Self.account); validationmethods=tls-alpn-01") == .forbidden)
    }

    @Test(
        "what forbids everything",
        arguments: [
            (0, "issue", ";"), (0, "issue", ""), (0, "issue", "ca.test; a b"), (0, "issue", "-ca.test"), (0, "issue", "ca.test; =1"), (0, "issue", "ca..test"),
            (128, "future", "x"), (0, "issue", "ca.test;;x=1"), (0, "issue", "ca.tést"),
        ])
    func forbidden(_ flags: Int, _ tag: String, _ value: String) async throws {
        #expect(try await evaluate([("kartapuce.test", UInt8(flags), tag, value)]).result == .forbidden)
    }

    @Test("octets that are no CAA record forbid", arguments: [[UInt8]](arrayLiteral: [], [0], [0, 0], [0, 5, 0x61], [0, 1, 0x2D, 0x61]))
    func malformed(_ octets: [UInt8]) async throws {
        #expect(CAARecord(octets: octets) == nil)
        let evaluation = try await evaluate([("kartapuce.test", 0, "issue", "ca.test")]) { zone in
            zone.add(try DomainName("kartapuce.test"), .caa, .other(octets))
        }
        #expect(evaluation.result == .forbidden)
    }
}
