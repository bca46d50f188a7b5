import Crypto
import DNS
import FoundationEssentials
import Testing
import X509

@testable import ACME

@Suite("A client of a certificate authority (RFC 8555)")
struct ACMEClientTests {
    let authority = FakeAuthority()
    let accountKey = AccountKey(P256.Signing.PrivateKey())
    let key = Certificate.PrivateKey(P256.Signing.PrivateKey())

    private func account(url: String? = nil) -> ACMEAccount {
        ACMEAccount(key: accountKey, url: url, contacts: ["mailto:postmaster@kartapuce.test"], isAgreedToTerms: true)
    }

    private func order(_ names: [String] = ["mail.kartapuce.test"], _ kind: ACMEChallengeKind = .http01, replaces: String? = nil) throws -> ACMEJob {
        .order(ACMEOrderRequest(names: try names.map { try CertificateName($0) }, key: key, challenge: kind, replaces: replaces))
    }

    private func chain(_ dialogue: Dialogue) throws -> CertificateChain {
        guard case .certificate(let chain) = dialogue.outcome else {
            Issue.record("no certificate: \(String(describing: dialogue.error))")
            throw ACMEError(.orderFailed, "no certificate")
        }
        return chain
    }

    @Test("from nothing to a certificate for two names")
    func wholeOrder() throws {
        let dialogue = try Dialogue(order(["mail.kartapuce.test", "smtp.kartapuce.test"]), at: authority, account: account())
        let chain = try chain(dialogue)
        #expect(authority.faults.isEmpty)
        #expect(chain.names == ["mail.kartapuce.test", "smtp.kartapuce.test"] && chain.certificates.count == 2)
        #expect(chain.alternates == ["https://ca.test/certificate/2"])
        #expect(chain.leaf.publicKey == key.publicKey)
        #expect(try CertificateChain(pem: chain.pem).certificates == chain.certificates)
        #expect(dialogue.tasks.map(\.name.ascii) == ["mail.kartapuce.test", "smtp.kartapuce.test"])
        #expect(dialogue.tasks.allSatisfy { $0.keyAuthorization == accountKey.authorization(token: $0.token) })
        #expect(dialogue.client.account.url == "https://ca.test/accounts/1")
        #expect(authority.contacts == ["mailto:postmaster@kartapuce.test"])
        #expect(
            authority.log == [
                "GET /dir", "HEAD /nonce", "POST /account", "POST /order", "POST /authorizations/mail.kartapuce.test",
                "POST /authorizations/smtp.kartapuce.test", "POST /challenges/mail.kartapuce.test", "POST /challenges/smtp.kartapuce.test",
                "POST /authorizations/mail.kartapuce.test", "POST /authorizations/smtp.kartapuce.test", "POST /orders/1", "POST /finalize",
                "POST /certificate",
            ])
        #expect(authority.nonces.count == 1)
    }

    @Test("a name and its wildcard have two records under one name")
    func wildcard() throws {
        let dialogue = try Dialogue(order(["kartapuce.test", "*.kartapuce.test"], .dns01), at: authority, account: account())
        #expect(try chain(dialogue).names == ["kartapuce.test", "*.kartapuce.test"])
        #expect(dialogue.tasks.map(\.recordName?.ascii) == ["_acme-challenge.kartapuce.test", "_acme-challenge.kartapuce.test"])
        #expect(throws: ACMEError.self) { try Dialogue(order(["*.kartapuce.test"], .http01), at: authority, account: account()) }
        #expect(throws: ACMEError.self) { try Dialogue(order(["a.test", "A.test"]), at: authority, account: account()) }
        #expect(throws: ACMEError.self) { try Dialogue(order([]), at: authority, account: account()) }
    }

    @Test("names that are proven already need no proof")
    func proven() throws {
        authority.moods.isProvenAlready = true
        let dialogue = try Dialogue(order(), at: authority, account: account())
        _ = try chain(dialogue)
        #expect(dialogue.tasks.isEmpty)
        #expect(!authority.log.contains { $0.contains("challenge") })
    }

    @Test("nonces that aren't taken are followed by others, not for ever (RFC 8555 §6.5)")
    func badNonces() throws {
        authority.moods.badNonces = 5
        _ = try chain(Dialogue(order(), at: authority, account: account()))
        authority.moods.badNonces = 6
        let dialogue = try Dialogue(order(), at: FakeAuthority(moods: { $0.badNonces = 6 }), account: account())
        #expect(dialogue.error?.problem?.kind == .badNonce)
    }

    @Test("the server's time to wait is kept, in seconds and as a date; too long a time ends it")
    func retryAfter() throws {
        authority.moods.pendingPolls = 2
        authority.moods.retryAfter = "7"
        let dialogue = try Dialogue(order(), at: authority, account: account())
        _ = try chain(dialogue)
        #expect(dialogue.waits.count >= 4 && dialogue.waits.allSatisfy { $0 == 7 })
        // 1750000000 is 15:06:40.
        let dated = FakeAuthority(moods: {
            $0.pendingPolls = 1
            $0.retryAfter = "Sun, 15 Jun 2025 15:07:10 GMT"
        })
        #expect(try Dialogue(order(), at: dated, account: account()).waits.first == 30)
        let slow = FakeAuthority(moods: {
            $0.pendingPolls = 1
            $0.retryAfter = "121"
        })
        let error = try Dialogue(order(), at: slow, account: account()).error
        #expect(error?.code == .orderFailed && error?.retryAfterSeconds == 121 && error?.name?.ascii == "mail.kartapuce.test")
        // For ever pending: an end comes.
        let stuck = FakeAuthority(moods: { $0.pendingPolls = 1000 })
        let endless = try Dialogue(order(), at: stuck, account: account())
        #expect(endless.error?.code == .orderFailed && endless.waits.count == 60)
    }

    @Test("a server that fails, and connections that break, are tried again, not for ever")
    func failures() throws {
        authority.moods.failures = 4
        let dialogue = try Dialogue(order(), at: authority, account: account())
        _ = try chain(dialogue)
        #expect(dialogue.waits == [6, 12, 24, 48])
        let dead = FakeAuthority(moods: { $0.failures = 1000 })
        #expect(try Dialogue(order(), at: dead, account: account()).error?.code == .refused)
        #expect(dead.log.count == 5)
        // Each answer is lost once, whichever it is; the request may have been carried out.
        for lost in 0..<14 {
            let other = FakeAuthority()
            var count = 0
            let dialogue = try Dialogue(order(), at: other, account: account()) { _, response in
                count += 1
                return count == lost + 1 ? nil : response
            }
            #expect(try chain(dialogue).names == ["mail.kartapuce.test"], "lost answer \(lost)")
        }
        let alone = try Dialogue(order(), at: authority, account: account()) { _, _ in nil }
        #expect(alone.error?.code == .driverFailed)
    }

    @Test("a finalization whose answer got lost was taken")
    func finalizeLost() throws {
        authority.moods.finalizeAnswerLost = true
        _ = try chain(Dialogue(order(), at: authority, account: account()))
        #expect(authority.log.filter { $0 == "POST /finalize" }.count == 2)
    }

    @Test("a proof that fails says for which name, and what the server saw, in one line")
    func proofFails() throws {
        authority.moods.challengeError = "connection"
        let error = try #require(try Dialogue(order(), at: authority, account: account()).error)
        #expect(error.code == .authorizationFailed && error.problem?.kind == .connection && error.name?.ascii == "mail.kartapuce.test")
        #expect(error.problem?.detail == "no way")
    }

    @Test("a kind of proof that isn't offered")
    func kinds() throws {
        authority.moods.offeredKinds = ["dns-01", "future-01"]
        let error = try #require(try Dialogue(order(), at: authority, account: account()).error)
        #expect(error.code == .noSuchChallenge && error.reason.contains("future-01"))
    }

    @Test(
        "a token that leads elsewhere is no token (RFC 8555 §8.1)",
        arguments: ["../../../../../../../etc/passwd", "short", "aaaaaaaaaaaaaaaaaaaaaaaaaaa/b", ""])
    func tokens(_ token: String) throws {
        authority.moods.token = token
        #expect(try Dialogue(order(), at: authority, account: account()).error?.code == .protocolViolation)
    }

    @Test("a proof is given for ordered names only, and once")
    func otherNames() throws {
        for name in ["bank.test", "mail.kartapuce.test"] {
            let other = FakeAuthority(moods: { $0.extraAuthorization = name })
            let dialogue = try Dialogue(order(), at: other, account: account())
            #expect(dialogue.error?.code == .protocolViolation && dialogue.tasks.isEmpty)
        }
    }

    @Test("a certificate with another key or other names isn't taken")
    func wrongCertificate() throws {
        authority.moods.certificateKey = P256.Signing.PrivateKey()
        #expect(try Dialogue(order(), at: authority, account: account()).error?.code == .wrongCertificate)
        for names in [["bank.test"], ["mail.kartapuce.test", "bank.test"], []] {
            let other = FakeAuthority(moods: { $0.certificateNames = names })
            #expect(try Dialogue(order(), at: other, account: account()).error?.code == .wrongCertificate)
        }
    }

    @Test("accounts: terms, customers, one that is there, one that is forgotten")
    func accounts() throws {
        var stranger = account()
        stranger.isAgreedToTerms = false
        let error = try #require(try Dialogue(.account, at: authority, account: stranger).error)
        #expect(error.code == .termsNotAgreed && error.reason.contains("https://ca.test/terms"))
        let closed = FakeAuthority(moods: { $0.isExternalAccountRequired = true })
        #expect(try Dialogue(.account, at: closed, account: account()).error?.code == .externalAccountRequired)
        var customer = account()
        customer.external = try ExternalAccount(identifier: "kid-1", encodedSecret: "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8")
        #expect(try Dialogue(.account, at: closed, account: customer).error == nil)
        // The key finds its account, and new contacts are told.
        _ = try Dialogue(.account, at: authority, account: account())
        var again = account()
        again.contacts = ["mailto:alice@kartapuce.test"]
        let dialogue = try Dialogue(.account, at: authority, account: again)
        #expect(dialogue.client.account.url == "https://ca.test/accounts/1" && authority.contacts == ["mailto:alice@kartapuce.test"])
        // A URL that the server doesn't know any more: once.
        let moved = try Dialogue(order(), at: authority, account: account(url: "https://ca.test/accounts/77"))
        _ = try chain(moved)
        #expect(moved.client.account.url == "https://ca.test/accounts/1")
    }

    @Test("the account's key is changed by both (RFC 8555 §7.3.5)")
    func keyChange() throws {
        _ = try Dialogue(.account, at: authority, account: account())
        let new = AccountKey(P256.Signing.PrivateKey())
        let dialogue = try Dialogue(.changeKey(new), at: authority, account: account(url: "https://ca.test/accounts/1"))
        #expect(dialogue.error == nil)
        #expect(authority.accounts["https://ca.test/accounts/1"] == new.publicJWK.text)
    }

    @Test("revocation, also of what is revoked already; the end of an account")
    func revocation() throws {
        let chain = try chain(Dialogue(order(), at: authority, account: account()))
        for _ in 0..<2 {
            let dialogue = try Dialogue(.revoke(chain, reason: .superseded), at: authority, account: account(url: "https://ca.test/accounts/1"))
            guard case .revoked = dialogue.outcome else {
                Issue.record("not revoked: \(String(describing: dialogue.error))")
                return
            }
        }
        #expect(authority.revoked == [Base64URL.encode(try chain.leafOctets)])
        let end = try Dialogue(.deactivateAccount, at: authority, account: account(url: "https://ca.test/accounts/1"))
        #expect(end.error == nil && authority.faults.isEmpty)
    }

    @Test("renewal information needs no account and no signature (RFC 9773 §4.1)")
    func renewalInformation() throws {
        let chain = try chain(Dialogue(order(), at: authority, account: account()))
        // RFC 9773 §4.1 has this identifier for this serial number; the first part is this authority's.
        #expect(RenewalInformation.identifier(of: chain.leaf) == "aYhb.AIcB")
        let before = authority.log.count
        let dialogue = try Dialogue(.renewalInformation("aYhb.AIcB"), at: authority, account: account())
        guard case .renewalInformation(let information) = dialogue.outcome else {
            Issue.record("none: \(String(describing: dialogue.error))")
            return
        }
        #expect(information.end.timeIntervalSince(information.start) == 2 * 86_400 && information.retryAfterSeconds == 3600)
        #expect(Array(authority.log[before...]) == ["GET /dir", "GET /ari/aYhb.AIcB"])
        let silent = FakeAuthority(moods: { $0.hasRenewalInformation = false })
        #expect(try Dialogue(.renewalInformation("a.b"), at: silent, account: account()).error?.code == .notOffered)
    }

    @Test("what is replaced is said where it is understood, and left out where it is refused (RFC 9773 §5)")
    func replaces() throws {
        _ = try chain(Dialogue(order(replaces: "aYhb.AIcB"), at: authority, account: account()))
        #expect(authority.lastOrder?.object?["replaces"]?.string == "aYhb.AIcB")
        let silent = FakeAuthority(moods: { $0.hasRenewalInformation = false })
        _ = try chain(Dialogue(order(replaces: "aYhb.AIcB"), at: silent, account: account()))
        #expect(silent.lastOrder?.object?["replaces"] == nil)
        let refusing = FakeAuthority(moods: { $0.isReplacementRefused = true })
        _ = try chain(Dialogue(order(replaces: "aYhb.AIcB"), at: refusing, account: account()))
        #expect(refusing.lastOrder?.object?["replaces"] == nil)
    }

    @Test(
        "answers of another kind end the job",
        arguments: [
            ACMEResponse(status: 302, headers: [ACMEHeader("Location", "https://gmail.test")]), ACMEResponse(status: 200, body: Array("<html>".utf8)),
            ACMEResponse(status: 200, body: [UInt8](repeating: 0x20, count: 256 * 1024 + 1)), ACMEResponse(status: 200, body: Array("[]".utf8)),
            ACMEResponse(status: 404), ACMEResponse(status: 100), ACMEResponse(status: 200, body: Array("{}".utf8)), ACMEResponse(status: -1),
        ])
    func otherAnswers(_ response: ACMEResponse) throws {
        // Instead of each answer whose body is read, one after the other.
        let whole = FakeAuthority()
        _ = try Dialogue(order(), at: whole, account: account())
        for index in whole.log.indices where !whole.log[index].hasPrefix("HEAD") && !whole.log[index].contains("/challenges/") {
            var count = 0
            let dialogue = try Dialogue(order(), at: FakeAuthority(), account: account()) { _, answer in
                count += 1
                return count == index + 1 ? response : answer
            }
            #expect(dialogue.error != nil && dialogue.outcome == nil, "\(whole.log[index])")
        }
    }

    @Test(
        "only https goes (RFC 8555 §6.1)",
        arguments: ["http://ca.test/dir", "https://", "https:///dir", "https://ca.test/a b", "https://u@ca.test/", "ca.test"])
    func urls(_ url: String) {
        #expect(throws: ACMEError.self) { try ACMEClient(directory: url, account: account(), job: .directory) }
    }

    @Test("a rate limit says for how long (RFC 8555 §6.6)")
    func rateLimit() throws {
        let dialogue = try Dialogue(order(), at: authority, account: account()) { request, response in
            guard request.url.hasSuffix("/order") else { return response }
            return ACMEResponse(
                status: 429, headers: [ACMEHeader("Retry-After", "86400")],
                body: Array(
                    ("{\"type\":\"urn:ietf:params:acme:error:rateLimited\",\"detail\":\"too many\",\"subproblems\":[{\"type\":"
                        + "\"urn:ietf:params:acme:error:caa\",\"detail\":\"x\",\"identifier\":{\"type\":\"dns\",\"value\":\"a.test\"}}]}").utf8))
        }
        #expect(dialogue.error?.problem?.kind == .rateLimited && dialogue.error?.retryAfterSeconds == 86_400)
        #expect(dialogue.error?.problem?.subproblems.first?.kind == .caa)
        #expect(dialogue.error?.problem?.subproblems.first?.identifier == "a.test")
    }

    @Test("calls in another order than the steps say are the driver's mistake")
    func order() throws {
        var client = try ACMEClient(directory: "https://ca.test/dir", account: account(), job: .directory)
        guard case .failed(let error) = client.receive(ACMEResponse(status: 200), at: FakeAuthority.now) else {
            Issue.record("an answer before the question")
            return
        }
        #expect(error.code == .driverFailed)
    }
}

extension FakeAuthority {
    convenience init(moods change: (inout Moods) -> Void) {
        self.init()
        change(&moods)
    }
}
