import Crypto
import DNS
import FoundationEssentials
import SwiftASN1
import Testing
import X509

@testable import ACME

@Suite("Renewal and rollover")
struct RenewalTests {
    private let begin = Date(timeIntervalSince1970: 1_000_000)
    private let day: TimeInterval = 86_400

    @Test("a third of the lifetime is left, spread by the jitter")
    func plan() {
        let end = begin + 90 * day
        #expect(RenewalPlan(notBefore: begin, notAfter: end, jitter: 0).renewal == begin + 60 * day)
        #expect(abs(RenewalPlan(notBefore: begin, notAfter: end, jitter: 0.5).renewal.timeIntervalSince(begin) - 58.5 * day) < 1)
        for jitter in [-1, 0.999, 1, 5, Double.nan, .infinity] {
            let renewal = RenewalPlan(notBefore: begin, notAfter: end, jitter: jitter).renewal
            #expect(renewal <= begin + 60 * day && renewal >= begin + 57 * day)
        }
        let plan = RenewalPlan(notBefore: begin, notAfter: end, jitter: 0)
        #expect(!plan.isDue(at: begin + 60 * day - 1) && plan.isDue(at: begin + 60 * day))
        // Six days, as the shortest are.
        #expect(RenewalPlan(notBefore: begin, notAfter: begin + 6 * day, jitter: 0).renewal == begin + 4 * day)
    }

    @Test("the authority's window counts, but not until it is too late (RFC 9773 §4.2)")
    func window() {
        let end = begin + 90 * day
        func renewal(_ from: Double, _ to: Double, _ jitter: Double) -> Date {
            RenewalPlan(
                notBefore: begin, notAfter: end, information: RenewalInformation(start: begin + from * day, end: begin + to * day), jitter: jitter
            ).renewal
        }
        #expect(renewal(70, 72, 0) == begin + 70 * day)
        #expect(renewal(70, 72, 0.5) == begin + 71 * day)
        #expect(renewal(-2, -1, 0.5) < begin)
        #expect(renewal(100, 200, 0) == begin + 81 * day)
    }

    @Test("after failures: later each time, but in time")
    func retries() {
        let plan = RenewalPlan(notBefore: begin, notAfter: begin + 90 * day, jitter: 0)
        let early = begin + 60 * day
        #expect([1, 2, 3, 4, 5, 6, 100].map { plan.retryDelay(failures: $0, at: early) / 3600 } == [1, 2, 4, 8, 16, 24, 24])
        #expect(plan.retryDelay(failures: 9, at: begin + 90 * day - 7200) == 1800)
        #expect(plan.retryDelay(failures: 9, at: begin + 91 * day) == 600)
    }

    @Test("a rollover step by step; at no time is a key in use that no record names")
    func rollover() throws {
        var rollover = KeyRollover(current: [1], timeToLive: 300)
        #expect(rollover.action(at: begin) == .none && rollover.digests == [[1]])
        let same = rollover.begin(next: [1], timeToLive: 300)
        let began = rollover.begin(next: [2], timeToLive: 60)
        let twice = rollover.begin(next: [3], timeToLive: 60)
        #expect(!same && began && !twice)
        #expect(rollover.action(at: begin) == .publish([[1], [2]]))
        rollover.switched()
        #expect(rollover.current == [1])
        rollover.published(at: begin)
        // Twice the former, longer lifetime.
        #expect(rollover.action(at: begin) == .wait(until: begin + 600))
        rollover.switching(at: begin + 599)
        #expect(rollover.action(at: begin + 599) == .wait(until: begin + 600))
        // A clock that was set back.
        #expect(rollover.action(at: begin - 9999) == .wait(until: begin + 600))
        #expect(rollover.action(at: begin + 600) == .switchCertificate)
        rollover.switching(at: begin + 600)
        #expect(rollover.digests == [[1], [2]])
        let calledOff = rollover.cancel()
        #expect(!calledOff)
        rollover.switched()
        #expect(rollover.current == [2] && rollover.action(at: begin + 600) == .publish([[2]]))
        rollover.withdrawn()
        #expect(rollover.isSettled && rollover.digests == [[2]] && rollover.other == nil)
    }

    @Test("before the switch it can be called off")
    func cancel() {
        var rollover = KeyRollover(current: [1], timeToLive: 300)
        _ = rollover.begin(next: [2], timeToLive: 300)
        rollover.published(at: begin)
        let calledOff = rollover.cancel()
        #expect(calledOff && rollover.action(at: begin) == .publish([[1]]))
        rollover.withdrawn()
        #expect(rollover == KeyRollover(current: [1], timeToLive: 300))
    }

    @Test(
        "times as authorities write them",
        arguments: [
            ("2025-06-15T15:06:40Z", 1_750_000_000.0), ("2025-06-15t15:06:40.123z", 1_750_000_000), ("2025-06-15T17:06:40+02:00", 1_750_000_000),
            ("2025-06-15T14:36:40-00:30", 1_750_000_000), ("2000-02-29T00:00:00Z", 951_782_400), ("1970-01-01T00:00:00Z", 0),
        ])
    func timestamps(_ text: String, _ seconds: Double) {
        #expect(HTTPDate.timestamp(text)?.timeIntervalSince1970 == seconds)
    }

    @Test(
        "what is no time",
        arguments: [
            "", "2025-06-15", "2025-06-15T15:06:40", "2025-13-15T15:06:40Z", "2025-02-29T15:06:40Z", "2025-06-15T24:06:40Z", "2025-06-15T15:06:40.Z",
            "2025-06-15T15:06:40+0200", "2025-06-15T15:06:40+02:60", "+025-06-15T15:06:40Z", "2025-06-15T15:06:40ZZ",
        ])
    func noTimestamps(_ text: String) { #expect(HTTPDate.timestamp(text) == nil) }

    @Test("dates of HTTP (RFC 9110 §5.6.7)")
    func dates() {
        #expect(HTTPDate.date("Sun, 06 Nov 1994 08:49:37 GMT")?.timeIntervalSince1970 == 784_111_777)
        for text in ["Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 UTC", "Sun, 31 Feb 1994 08:49:37 GMT", "", "Sun, 06 Nov 1994 08:49 GMT"] {
            #expect(HTTPDate.date(text) == nil)
        }
    }

    @Test("the certificate for tls-alpn-01: the name, the digest, critical, signed by its own key (RFC 8737 §3)")
    func validationCertificate() throws {
        let token = "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA"
        let task = ACMEChallengeTask(
            name: try DomainName("mail.kartapuce.test"), kind: .tlsALPN01, token: token, keyAuthorization: try SignedBodyTests.key().authorization(token: token)
        )
        let certificate = try task.validationCertificate(key: P256.Signing.PrivateKey(), at: begin)
        let identifier = try #require(certificate.extensions.first { $0.oid == [1, 3, 6, 1, 5, 5, 7, 1, 31] })
        #expect(identifier.critical)
        #expect(Array(identifier.value) == [0x04, 0x20] + Array(SHA256.hash(data: Array(task.keyAuthorization.utf8))))
        #expect(try certificate.extensions.subjectAlternativeNames == SubjectAlternativeNames([.dnsName("mail.kartapuce.test")]))
        #expect(certificate.publicKey.isValidSignature(certificate.signature, for: certificate))
    }

    @Test("the digest of TLSA 3 1 1 stays while the key does")
    func digest() throws {
        let key = P256.Signing.PrivateKey()
        let expected = Array(SHA256.hash(data: key.publicKey.derRepresentation))
        #expect(try KeyDigest.octets(Certificate.PublicKey(key.publicKey)) == expected)
    }
}
