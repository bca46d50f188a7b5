import Crypto
import DNS
import Foundation
import MailMessage
import Testing
import TransportSecurity

struct TLSRequirementTests {
    private let authority: TestAuthority
    private let enforce: MTASTSPolicy
    private let testing: MTASTSPolicy

    init() throws {
        authority = try TestAuthority()
        enforce = try MTASTSPolicyTests.policy("version: STSv1\nmode: enforce\nmx: mx.kartapuce.test\nmax_age: 86400")
        testing = try MTASTSPolicyTests.policy("version: STSv1\nmode: testing\nmx: mx.kartapuce.test\nmax_age: 86400")
    }

    private func dane(_ outcome: DANEDecision.Outcome, _ records: [TLSARecord] = []) throws -> DANEDecision {
        DANEDecision(
            outcome: outcome, baseDomain: records.isEmpty ? nil : try name("mx.kartapuce.test"), records: records,
            referenceIdentifiers: [try name("mx.kartapuce.test")], isRedirectionInsecure: false, lookups: [])
    }

    private func requirement(
        _ security: DNSSECStatus? = .insecure, local: LocalTLSPolicy = .opportunistic, dane: DANEDecision? = nil, sts: MTASTSPolicy? = nil,
        tag: TLSTag = .none, isNotice: Bool = false, isReport: Bool = false, host: String = "mx.kartapuce.test"
    ) throws -> TLSRequirement {
        TLSRequirement(
            TransportPolicyInput(
                nextHop: try name("kartapuce.test"), host: try name(host), exchangerSecurity: security, local: local, dane: dane, sts: sts, tag: tag,
                isNotice: isNotice, isReport: isReport))
    }

    private func judge(_ requirement: TLSRequirement, _ observation: TLSObservation, roots: PKIXRoots? = nil) throws -> TLSVerdict {
        var history = DestinationHistory()
        return requirement.judge(observation, roots: try roots ?? authority.roots, history: &history, at: TestAuthority.now)
    }

    private func encrypted(_ chain: [[UInt8]]? = nil, offersRequireTLS: Bool = false) throws -> TLSObservation {
        TLSObservation(
            isOffered: true, protocolVersion: "TLSv1.3", cipherSuite: "TLS_AES_256_GCM_SHA384", keyExchangeGroup: "X25519MLKEM768",
            chain: try chain ?? authority.chain, offersRequireTLS: offersRequireTLS)
    }

    private let clear = TLSObservation(isOffered: false)

    @Test func withoutAPolicyEverythingGoes() throws {
        let requirement = try requirement()
        #expect(requirement.level == .opportunistic && requirement.source == .opportunistic && requirement.checks.isEmpty)
        let clear = try judge(requirement, clear)
        #expect(clear.outcome == .proceed(withRequireTLS: false) && clear.receipt.resultType == .startTLSNotSupported)
        let verdict = try judge(requirement, try encrypted([[1, 2]]))
        #expect(verdict.outcome == .proceed(withRequireTLS: false) && !verdict.receipt.isAuthenticated && verdict.receipt.isEncrypted)
        #expect(verdict.receipt.resultType == nil && verdict.failures().isEmpty && verdict.receipt.policy.kind == .noPolicyFound)
        #expect(try self.requirement(local: .none).level == .none)
    }

    @Test func daneAuthenticatesAndOutranksMTASTS() throws {
        let decision = try dane(.authenticate, [try authority.server.record(3, 1, 1)])
        let requirement = try requirement(.secure, dane: decision, sts: testing)
        #expect(requirement.level == .authenticated && requirement.source == .dane && requirement.checks.map(\.method) == [.dane])
        #expect(requirement.reportedPolicy.kind == .tlsa && requirement.serverName.ascii == "mx.kartapuce.test")
        let verdict = try judge(requirement, try encrypted(), roots: PKIXRoots())
        #expect(verdict.outcome == .proceed(withRequireTLS: false) && verdict.receipt.isAuthenticated && verdict.receipt.checks[0].depth == 0)
        // RFC 8461 §2: an authority doesn't mend what DANE refuses.
        let other = try TestAuthority()
        let refused = try judge(requirement, try encrypted(try other.chain), roots: try other.roots)
        #expect(refused.receipt.resultType == .certificateNotTrusted && !refused.receipt.isAuthenticated)
        guard case .retry(EnhancedStatusCode(4, 7, 5), _) = refused.outcome else {
            Issue.record("\(refused.outcome)")
            return
        }
        guard case .retry(EnhancedStatusCode(4, 7, 10), _) = try judge(requirement, clear).outcome else {
            Issue.record("mail went in clear")
            return
        }
        #expect(try judge(requirement, clear).failures().map(\.result) == [.startTLSNotSupported])
    }

    @Test func unusableRecordsRequireTLSAlone() throws {
        let requirement = try requirement(.secure, dane: try dane(.encrypt, [try authority.server.record(1, 1, 1)]))
        #expect(requirement.level == .encrypted && requirement.checks.isEmpty && requirement.source == .dane)
        #expect(try judge(requirement, try encrypted([])).outcome == .proceed(withRequireTLS: false))
        #expect(try judge(requirement, try encrypted([])).receipt.resultType == .tlsaInvalid)
        #expect(try judge(requirement, clear).outcome != .proceed(withRequireTLS: false))
        // A policy of MTA-STS authenticates where DANE can't.
        let both = try self.requirement(.secure, dane: try dane(.encrypt, [try authority.server.record(1, 1, 1)]), sts: enforce)
        #expect(both.level == .authenticated && both.source == .mtaSTS)
    }

    @Test func whatCannotBeFoundOutKeepsMailBack() throws {
        let requirement = try requirement(.secure, dane: try dane(.unavailable("SERVFAIL")))
        #expect(requirement.refusal?.resultType == .dnssecInvalid)
        guard case .retry = try judge(requirement, try encrypted()).outcome else {
            Issue.record("mail went")
            return
        }
    }

    @Test func policiesOfMTASTS() throws {
        let requirement = try requirement(sts: enforce)
        #expect(requirement.level == .authenticated && requirement.source == .mtaSTS && requirement.reportedPolicy.kind == .sts)
        #expect(try judge(requirement, try encrypted()).receipt.isAuthenticated)
        #expect(try judge(requirement, try encrypted(), roots: PKIXRoots()).receipt.resultType == .certificateNotTrusted)
        for (wish, result): (TestAuthority.Wish, TLSResultType) in [
            (.init(commonName: "s", names: ["other.test"]), .certificateHostMismatch),
            // RFC 8461 §4.2: the common name doesn't count.
            (.init(commonName: "mx.kartapuce.test"), .certificateHostMismatch),
            (.init(commonName: "s", names: ["mx.kartapuce.test"], notAfter: TestAuthority.now - 1), .certificateExpired),
        ] {
            let other = try TestAuthority(server: wish)
            let verdict = try judge(requirement, try encrypted(try other.chain), roots: try other.roots)
            #expect(verdict.receipt.resultType == result && verdict.outcome != .proceed(withRequireTLS: false))
            // The mode “testing” reports the same, and lets mail through.
            let tested = try judge(try self.requirement(sts: testing), try encrypted(try other.chain), roots: try other.roots)
            #expect(tested.receipt.resultType == result && tested.outcome == .proceed(withRequireTLS: false) && !tested.receipt.isAuthenticated)
        }
        #expect(try self.requirement(sts: enforce, host: "mx.gmail.test").refusal?.source == .mtaSTS)
        #expect(try self.requirement(sts: testing, host: "mx.gmail.test").refusal == nil)
        // RFC 8461 §5: what a policy of that mode would keep back is reported, with TLS and without it.
        let other = try self.requirement(sts: testing, host: "mx.gmail.test")
        #expect(other.shortcoming?.resultType == .validationFailure && other.reportedPolicy.kind == .sts)
        let verdict = try judge(other, try encrypted())
        #expect(verdict.receipt.resultType == .validationFailure && verdict.outcome == .proceed(withRequireTLS: false))
        #expect(try judge(other, clear).receipt.resultType == .startTLSNotSupported)
        let none = try MTASTSPolicyTests.policy("version: STSv1\nmode: none\nmax_age: 1")
        #expect(try self.requirement(sts: none).level == .opportunistic)
        #expect(try judge(try self.requirement(sts: testing), clear).outcome == .proceed(withRequireTLS: false))
    }

    @Test func theOperatorsLeast() throws {
        #expect(try requirement(local: .encrypt).level == .encrypted)
        #expect(try requirement(local: .encrypt, sts: testing).source == .local)
        // An insecure name proves nothing: the certificate must be for the domain itself.
        let insecure = try requirement(.insecure, local: .verified)
        #expect(insecure.checks.map(\.method) == [.authority(names: [try name("kartapuce.test")], takesCommonName: true)])
        #expect(try judge(insecure, try encrypted()).receipt.resultType == .certificateHostMismatch)
        #expect(try judge(try requirement(.secure, local: .verified), try encrypted()).receipt.isAuthenticated)
        let domain = try TestAuthority(server: .init(commonName: "s", names: ["kartapuce.test"]))
        #expect(try judge(insecure, try encrypted(try domain.chain), roots: try domain.roots).receipt.isAuthenticated)
        #expect(try requirement(local: .dane).refusal?.resultType == .daneRequired)
        let decision = try dane(.authenticate, [try authority.server.record(3, 1, 1)])
        #expect(try requirement(.secure, local: .dane, dane: decision).refusal == nil)
        let digest = SHA256.hash(data: try authority.server.octets).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined(separator: ":").uppercased()
        #expect(try judge(try requirement(local: .fingerprint([digest])), try encrypted()).outcome == .proceed(withRequireTLS: false))
        #expect(try judge(try requirement(local: .fingerprint(["00"])), try encrypted()).outcome != .proceed(withRequireTLS: false))
        // A digest that the operator gave doesn't mend what DANE refuses.
        let foreign = try requirement(.secure, local: .fingerprint([digest]), dane: try dane(.authenticate, [try authority.issuer.record(3, 1, 1)]))
        #expect(try judge(foreign, try encrypted()).outcome != .proceed(withRequireTLS: false))
    }

    @Test func messagesThatAreToArriveAnyway() throws {
        let decision = try dane(.authenticate, [try authority.issuer.record(3, 1, 1)])
        for (tag, isReport) in [(TLSTag.optional, false), (.none, true)] {
            let requirement = try requirement(.secure, dane: decision, tag: tag, isReport: isReport)
            #expect(requirement.level == .opportunistic && requirement.checks.allSatisfy { !$0.isBinding })
            #expect(try judge(requirement, clear).outcome == .proceed(withRequireTLS: false))
            let verdict = try judge(requirement, try encrypted())
            #expect(verdict.outcome == .proceed(withRequireTLS: false) && verdict.receipt.resultType == .certificateNotTrusted)
            #expect(try self.requirement(.secure, dane: try dane(.unavailable("x")), tag: tag, isReport: isReport).refusal == nil)
            #expect(try self.requirement(sts: enforce, tag: tag, isReport: isReport, host: "mx.gmail.test").refusal == nil)
            // The operator's least isn't the domain's policy.
            #expect(try self.requirement(local: .encrypt, tag: tag, isReport: isReport).level == .encrypted)
        }
    }

    @Test func requireTLS() throws {
        #expect(try requirement(.insecure, tag: .required).refusal?.source == .requireTLS)
        guard
            case .refuse(EnhancedStatusCode(5, 7, 10), _) = try judge(try requirement(.insecure, tag: .required), try encrypted(offersRequireTLS: true)).outcome
        else {
            Issue.record("an insecure name was taken")
            return
        }
        for requirement in [
            try requirement(.secure, tag: .required), try requirement(.insecure, sts: enforce, tag: .required), try requirement(nil, tag: .required),
            try requirement(.insecure, sts: testing, tag: .required),
            try requirement(.secure, dane: try dane(.authenticate, [try authority.server.record(3, 1, 1)]), tag: .required),
        ] {
            #expect(requirement.level == .authenticated && requirement.needsRequireTLS)
            #expect(try judge(requirement, try encrypted(offersRequireTLS: true)).outcome == .proceed(withRequireTLS: true))
            guard case .refuse(EnhancedStatusCode(5, 7, 30), _) = try judge(requirement, try encrypted()).outcome,
                case .refuse(EnhancedStatusCode(5, 7, 10), _) = try judge(requirement, clear).outcome,
                case .refuse(EnhancedStatusCode(5, 7, 10), _) = try judge(requirement, try encrypted([[0]], offersRequireTLS: true)).outcome
            else {
                Issue.record("\(requirement.steps)")
                continue
            }
        }
        // RFC 8689 §5: a notice isn't lost.
        let notice = try requirement(.insecure, tag: .required, isNotice: true)
        #expect(try judge(notice, clear).outcome == .proceed(withRequireTLS: false))
        for offers in [false, true] {
            let observation = TLSObservation(isOffered: true, protocolVersion: "TLSv1.3", offersRequireTLS: offers)
            #expect(try judge(notice, observation).outcome == .proceed(withRequireTLS: offers))
        }
        // What the DNS can't say now isn't the sender's fault.
        guard case .retry = try judge(try requirement(.secure, dane: try dane(.unavailable("x")), tag: .required), clear).outcome else {
            Issue.record("a failure of the DNS returned the message")
            return
        }
    }

    @Test func receiptsCanBeKept() throws {
        let decision = try dane(.authenticate, [try authority.issuer.record(2, 0, 1)])
        let verdict = try judge(try requirement(.secure, dane: decision), try encrypted())
        #expect(verdict.receipt.chain.count == 3 && verdict.receipt.checks[0].depth == 1)
        #expect(verdict.receipt.keyExchangeGroup == "X25519MLKEM768" && verdict.receipt.exchangerSecurity == .secure)
        let kept = try JSONDecoder().decode(TLSReceipt.self, from: JSONEncoder().encode(verdict.receipt))
        #expect(kept == verdict.receipt)
    }

    /// It was judged as a host without TLS, to which mail may go: the receipt said so, though nothing went.
    @Test func whereSomebodyInjectsNothingIsSentWhateverIsWanted() throws {
        let injected = TLSObservation(isOffered: true, handshakeFailure: "injected", isInjected: true)
        for requirement in [try requirement(), try requirement(local: .none), try requirement(tag: .optional)] {
            guard case .retry(EnhancedStatusCode(4, 7, 0), _) = try judge(requirement, injected).outcome else {
                Issue.record("mail went")
                return
            }
        }
    }

    @Test func aHostThatHadTLSAndHasNoneIsWaitedFor() throws {
        let requirement = try requirement()
        let limits = DestinationHistory.Limits(sessions: 2, memorySeconds: 1000, deferralSeconds: 100)
        var history = DestinationHistory()
        let start = TestAuthority.now
        func judge(_ observation: TLSObservation, _ seconds: Double, _ requirement: TLSRequirement) throws -> TLSVerdict {
            requirement.judge(observation, roots: PKIXRoots(), history: &history, limits: limits, at: start + seconds)
        }
        _ = try judge(encrypted(), 0, requirement)
        #expect(try judge(clear, 1, requirement).suspicion == .none)
        _ = try judge(encrypted(), 2, requirement)
        let first = try judge(clear, 10, requirement)
        #expect(first.suspicion == .wait(until: start + 110))
        #expect(first.receipt.steps.contains { $0.hasPrefix("downgrade.suspected") })
        guard case .retry(EnhancedStatusCode(4, 7, 10), _) = first.outcome else {
            Issue.record("mail went in clear")
            return
        }
        // A message that is to arrive anyway doesn't wait, nor does one of an operator who wants no TLS.
        #expect(try judge(clear, 11, self.requirement(tag: .optional)).outcome == .proceed(withRequireTLS: false))
        #expect(try judge(clear, 11, self.requirement(local: .none)).outcome == .proceed(withRequireTLS: false))
        #expect(try judge(TLSObservation(isOffered: true, handshakeFailure: "x"), 109, requirement).suspicion == .wait(until: start + 110))
        let last = try judge(clear, 110, requirement)
        #expect(last.suspicion == .waited && last.outcome == .proceed(withRequireTLS: false))
        history.sentInClear()
        #expect(try judge(clear, 111, requirement).suspicion == .none)
        // TLS that comes back ends the suspicion, and what is too old is forgotten.
        for second in 200..<203 { _ = try judge(encrypted(), Double(second), requirement) }
        #expect(history.missingSince == nil && history.encryptedSessions == 3)
        #expect(try judge(clear, 1300, requirement).suspicion == .none && history.isForgettable(at: start + 1300, limits: limits))
    }
}
