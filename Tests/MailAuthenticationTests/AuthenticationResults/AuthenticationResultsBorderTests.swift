import DNS
import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

struct AuthenticationResultsBorderTests {
    private let border = AuthenticationResultsBorder(identifiers: ["mx.kartapuce.test", "caf\u{E9}.kartapuce.test"])

    @Test(arguments: [
        "mx.kartapuce.test; spf=pass", "MX.Kartapuce.TEST; spf=pass", "mx.kartapuce.test 1; spf=pass", "mx.kartapuce.test/1; spf=pass",
        "mx.kartapuce.test", "mx.kartapuce.test.; none", "(gmail.test) mx.kartapuce.test (x); spf=pass", "\r\n mx.kartapuce.test\r\n ;\r\n spf=pass",
        "\"mx.kartapuce.test\"; spf=pass", "\"mx\\.kartapuce.test\"; spf=pass", "\" mx.kartapuce.test \"; spf=pass", "mx.kartapuce.test (a\r\n b); none",
        "caf\u{E9}.kartapuce.test; spf=pass", "CAF\u{C9}.kartapuce.test; spf=pass", "xn--caf-dma.kartapuce.test; spf=pass",
        "mx\u{3002}kartapuce\u{FF0E}test; spf=pass", "\u{FF4D}\u{FF58}.kartapuce.test; spf=pass", "mx.karta\u{AD}puce.test; spf=pass",
        "mx.karta\u{200B}puce.test; spf=pass",
    ])
    func claimsGo(_ value: String) { #expect(border.reason(forValue: Array(value.utf8)) == .claimsOurIdentifier) }

    @Test(arguments: [
        "=?utf-8?q?mx=2Ekartapuce=2Etest?=; spf=pass", "=?utf-8?b?bXgua2FydGFwdWNlLnRlc3Q=?=; spf=pass", "mx.kartapuce.test\u{0}; spf=pass",
        "mx.karta\u{0}puce.test; spf=pass", "mx.gmail.test; mx.kartapuce.test; spf=pass", "mx.kartapuce.test (; spf=pass", "\"mx.kartapuce.test; spf=pass",
        "; mx.kartapuce.test; spf=pass", "<mx.kartapuce.test>; spf=pass", "i=1; mx.kartapuce.test; spf=pass", "mx . kartapuce . test; spf=",
        "mx.kartapuce.test:25; spf=pass", "bob@mx.kartapuce.test; spf=pass", "mx.kartapuce.test x; spf=", "caf\u{E9}.kartapuce.test; spf=",
        ",mx.kartapuce.test; none",
    ])
    func whatCantBeReadButHasOurNameGoes(_ value: String) { #expect(border.reason(forValue: Array(value.utf8)) == .unreadableWithOurIdentifier) }

    @Test(arguments: [
        "mx.gmail.test; spf=pass smtp.mailfrom=bob@kartapuce.test", "mx.gmail.test; spf=pass smtp.helo=mx.kartapuce.test",
        "mx.gmail.test (for mx.kartapuce.test); spf=pass", "xmx.kartapuce.test; none", "mx.kartapuce.test.evil.test; none", "kartapuce.test; none",
        "mx.gmail.test; spf", "", ";", "spf=pass smtp.mailfrom=mx.kartapuce.test", "xn--mx-.gmail.test; none",
    ])
    func thoseOfOthersStay(_ value: String) { #expect(border.reason(forValue: Array(value.utf8)) == nil) }

    @Test func octetsThatAreNoUTF8DontHideAName() {
        let value = Array("mx.karta".utf8) + [0xFF] + Array("puce.test; spf=pass".utf8)
        #expect(border.reason(forValue: value) == .unreadableWithOurIdentifier)
    }

    @Test func fieldsAreFoundInAHeader() throws {
        let header = """
            Received: from x\r
            Authentication-Results: mx.gmail.test; spf=pass\r
            authentication-results : MX.KARTAPUCE.test;\r
             dmarc=pass\r
            Received-SPF: pass\r
            X-Capsule-State: opened\r
            AUTHENTICATION-RESULTS:\r
             (x)\r
             mx.kartapuce.test; none\r
            From: bob@kartapuce.test\r
            \r
            Authentication-Results: mx.kartapuce.test; none\r

            """
        let section = HeaderSection(parsing: ByteBuffer(string: header))
        #expect(border.removals(in: section).map(\.index) == [2, 5])
        let all = AuthenticationResultsBorder(identifiers: ["mx.kartapuce.test"], reservedNames: ["x-capsule-state"], removesReceivedSPF: true)
        let removals = all.removals(in: section)
        #expect(removals.map(\.index) == [2, 3, 4, 5])
        #expect(removals.map(\.reason) == [.claimsOurIdentifier, .receivedSPF, .reservedName, .claimsOurIdentifier])
        #expect(removals.map(\.range) == [2, 3, 4, 5].map { section[$0].range })
        var rest = Array(header.utf8)
        for removal in removals.reversed() { rest.removeSubrange(removal.range) }
        let left = String(decoding: rest, as: UTF8.self)
        #expect(left.hasPrefix("Received: from x\r\nAuthentication-Results: mx.gmail.test; spf=pass\r\nFrom: bob@kartapuce.test\r\n\r\n"))
    }

    @Test func ownDomainsAndFieldsWithoutANameCanGo() throws {
        let strict = AuthenticationResultsBorder(
            identifiers: ["mx.kartapuce.test"], ownDomains: [try DomainName("kartapuce.test")], removesFieldsWithoutIdentifier: true)
        #expect(strict.reason(forValue: Array("x.kartapuce.test; none".utf8)) == .claimsOurIdentifier)
        #expect(strict.reason(forValue: Array("kartapuce.test; none".utf8)) == .claimsOurIdentifier)
        #expect(strict.reason(forValue: Array("notkartapuce.test; none".utf8)) == nil)
        #expect(strict.reason(forValue: Array("spf=pass smtp.mailfrom=gmail.test".utf8)) == .withoutIdentifier)
    }

    @Test(arguments: ["mx.kartapuce.tes", "(", "\"", "=?utf-8?q?m?= ", "m", "\u{0}"])
    func hugeFieldsEnd(_ piece: String) {
        let huge = Array(String(repeating: piece, count: (1 << 18) / piece.utf8.count).utf8)
        #expect(border.reason(forValue: huge) == nil)
        #expect(border.reason(forValue: huge + Array("mx.kartapuce.test".utf8)) == .unreadableWithOurIdentifier)
    }
}
