import DNS
import MailMessage
import NIOCore
import Testing

@testable import MailAuthentication

struct DMARCAuthorTests {
    private func author(_ header: String) -> Result<DMARCAuthor, DMARCAuthorError> {
        author(Array("\(header)\r\nSubject: x\r\n\r\nbody\r\nFrom: nobody@gmail.test\r\n".utf8))
    }

    private func author(_ message: [UInt8]) -> Result<DMARCAuthor, DMARCAuthorError> {
        do throws(DMARCAuthorError) { return .success(try DMARCAuthor(message: ByteBuffer(bytes: message))) } catch { return .failure(error) }
    }

    private func code(_ result: Result<DMARCAuthor, DMARCAuthorError>) -> DMARCAuthorError.Code? {
        if case .failure(let error) = result { error.code } else { nil }
    }

    /// What a mail program shows as the address.
    @Test(
        arguments: [
            ("From: bob@kartapuce.test", "kartapuce.test", []),
            ("FROM: Bob <bob@KARTAPUCE.test>", "kartapuce.test", []),
            ("from : bob@kartapuce.test", "kartapuce.test", []),
            ("From:\r\n\tBob\r\n <bob@kartapuce.test>", "kartapuce.test", []),
            ("From: \"Bob, of kartapuce\" <bob@kartapuce.test>", "kartapuce.test", []),
            ("From: Bob, of kartapuce <bob@kartapuce.test>", "kartapuce.test", [.malformedAddress]),
            ("From: bob@kartapuce.test <bob@kartapuce.test>", "kartapuce.test", [.malformedAddress]),
            ("From: 'bob@kartapuce.test' <bob@kartapuce.test>", "kartapuce.test", [.malformedAddress]),
            ("From: Bob <bob@kartapuce.test> of kartapuce", "kartapuce.test", [.malformedAddress]),
            ("From: bob@kartapuce.test, jack@kartapuce.test", "kartapuce.test", [.severalAddresses]),
            ("From: friends: bob@kartapuce.test, jack@kartapuce.test;", "kartapuce.test", [.severalAddresses, .group]),
            ("From: bob@caf\u{E9}.test", "xn--caf-dma.test", [.internationalizedDomain]),
            ("From: bob@kartapuce\u{3002}test", "kartapuce.test", [.internationalizedDomain]),
            ("From: bob @ kartapuce . test (Bob)", "kartapuce.test", []),
            // Forms of an attack that give the attacker's own domain: DMARC is then asked of that one.
            ("From: =?utf-8?q?bob=40kartapuce=2Etest?= <attacker@evil.test>", "evil.test", [.displayNameHasOtherAddress]),
            ("From: \"bob@kartapuce.test\" <attacker@evil.test>", "evil.test", [.displayNameHasOtherAddress]),
            ("From: bob(@kartapuce.test)@evil.test", "evil.test", [.displayNameHasOtherAddress]),
            ("From: \"bob@kartapuce.test\"@evil.test", "evil.test", [.displayNameHasOtherAddress]),
            ("From: attacker@evil.test (bob@kartapuce.test)", "evil.test", [.displayNameHasOtherAddress]),
            ("From: <@kartapuce.test:attacker@evil.test>", "evil.test", [.sourceRoute]),
            ("From: \"<bob@kartapuce.test>,\" <attacker@evil.test>", "evil.test", [.displayNameHasOtherAddress]),
            ("From: bob@kartapuce.test.evil.test", "kartapuce.test.evil.test", []),
        ] as [(String, String, [DMARCAuthor.Deviation])])
    func oneDomain(_ header: String, _ domain: String, _ deviations: [DMARCAuthor.Deviation]) throws {
        let author = try author(header).get()
        #expect(author.domain.ascii == domain)
        #expect(author.deviations == deviations)
    }

    /// Two programs could show two addresses, or none.
    @Test(arguments: [
        "From: bob@kartapuce.test, attacker@evil.test",
        "From: attacker@evil.test, bob@kartapuce.test",
        "From: attacker@evil.test; bob@kartapuce.test",
        "From: <bob@kartapuce.test> <attacker@evil.test>",
        "From: <attacker@evil.test> <bob@kartapuce.test>",
        "From: bob@kartapuce.test <attacker@evil.test>",
        "From: bob@kartapuce.test attacker@evil.test",
        "From: attacker@evil.test bob",
        "From: attacker@evil.test kartapuce.test",
        "From: bob@kartapuce.test@evil.test",
        "From: attacker@evil.test@kartapuce.test",
        "From: a: bob@kartapuce.test;, attacker@evil.test",
        "From: attacker@evil.test (, bob@kartapuce.test",
        "From: attacker@evil.test (\\), bob@kartapuce.test",
        "From: \"Bob <attacker@evil.test>",
        "From: attacker@evil.test, \"bob@kartapuce.test",
        "From: =?utf-8?q?x <bob@kartapuce.test>,?= <attacker@evil.test>",
        "From: =?utf-8?q?\"?= <bob@kartapuce.test>, \"<attacker@evil.test>",
        "From: =?utf-8?q?\"?= <attacker@evil.test>, \"<bob@kartapuce.test>",
        "From: =?utf-8?q?(?= <attacker@evil.test>, <bob@kartapuce.test> (x)",
        "From: <@a.test:attacker@evil.test>, =?utf-8?q?x <bob@kartapuce.test>?= <y@evil.test>",
        "From: bob@kartapuce.test\u{0} <attacker@evil.test>",
        "From: <attacker@evil.test\u{0}@kartapuce.test>",
        "From: <attacker@evil.test\u{8}kartapuce.test>",
        "From: 'bob@kartapuce.test' <attacker@evil.test>",
        "From: =?utf-8?q?bob=40kartapuce=2Etest?=, <attacker@evil.test>",
        "From: =?utf-8?q?bob=40kartapuce=2Etest?= attacker@evil.test",
        "From: <attacker@evil.test> =?utf-8?q?bob=40kartapuce=2Etest?=",
        "From: Bob, \"<bob@kartapuce.test>\" <attacker@evil.test>",
        "From: =?utf-8?q?bob=40kartapuce=2Etest?= \\<attacker@evil.test>",
        "From: <<attacker@evil.test>>",
        "From: attacker@evil.test>, <bob@kartapuce.test",
        "From: @evil.test",
        "From: attacker@evil..test",
        "From: attacker@.evil.test",
        "From: attacker@evil.test\\@kartapuce.test",
        "From: <attacker@evil.test\r\n\r@kartapuce.test>",
    ])
    func ambiguousFieldsHaveNoAuthor(_ header: String) throws {
        let result = author(header)
        guard case .failure(let error) = result else {
            Issue.record("\(header): \(result)")
            return
        }
        #expect(error.isAmbiguous, "\(error)")
    }

    @Test(arguments: [
        "From: attacker@evil.test\r\nFrom: bob@kartapuce.test", "From: bob@kartapuce.test\r\nfrom : attacker@evil.test",
        "From: a@evil.test\r\nTo: x@gmail.test\r\nFROM:\r\n b@evil.test",
    ])
    func severalFieldsHaveNoAuthor(_ header: String) { #expect(code(author(header)) == .repeatedFrom(2)) }

    /// Fields that only some programs see.
    @Test(arguments: [
        "From: attacker@evil.test\r\nX: y\rFrom: bob@kartapuce.test", "From: attacker@evil.test\r\nno field\r\nFrom: bob@kartapuce.test",
        "From: attacker@evil.test\r\nFr\u{0}om: bob@kartapuce.test", "From: attacker@evil.test\r\nFrom\u{1}: bob@kartapuce.test",
        "From: attacker@evil.test\r\nX: y\u{0}From: bob@kartapuce.test", "From: attacker@evil.test\r\n\u{FEFF}From: bob@kartapuce.test",
        "no field\r\nFrom: bob@kartapuce.test", " From: bob@kartapuce.test\r\nFrom: attacker@evil.test",
    ])
    func hiddenFieldsHaveNoAuthor(_ header: String) { #expect(code(author(header)) == .hiddenFrom) }

    @Test(
        arguments: [
            ("To: x@gmail.test", .noFrom), ("From:", .noDomain), ("From: Bob", .noDomain), ("From: Bob <>", .noDomain), ("From: undisclosed:;", .noDomain),
            ("From: \"bob@kartapuce.test\"", .noDomain), ("From: =?utf-8?q?bob=40kartapuce=2Etest?=", .noDomain),
            ("From: bob@[203.0.113.1]", .invalidDomain("[203.0.113.1]")), ("From: bob@-.test", .invalidDomain("-.test")),
            ("From: bob@=?utf-8?q?kartapuce=2Etest?=", .invalidDomain("=?utf-8?q?kartapuce=2Etest?=")),
        ] as [(String, DMARCAuthorError.Code)])
    func noDomain(_ header: String, _ expected: DMARCAuthorError.Code) { #expect(code(author(header)) == expected) }

    @Test func aDomainThatIsNoUTF8IsRefused() { #expect(code(author(Array("From: bob@caf".utf8) + [0xE9] + Array(".test\r\n\r\n".utf8))) == .malformed) }

    @Test func theBodyIsNotTheHeader() throws {
        #expect(try author("From: bob@kartapuce.test").get().domain.ascii == "kartapuce.test")
        #expect(try author(Array("From: bob@kartapuce.test\n\nFrom: x@evil.test\n".utf8)).get().domain.ascii == "kartapuce.test")
        #expect(try author(Array("From jack Sat Nov 28 16:24:45 2026\nFrom: bob@kartapuce.test\n\n".utf8)).get().domain.ascii == "kartapuce.test")
    }

    @Test func aFieldBehindTheLimitsCantHide() {
        let many = String(repeating: "X: y\r\n", count: 3000)
        #expect(code(author("From: attacker@evil.test\r\n\(many)From: bob@kartapuce.test")) == .headerTooLarge)
        let long = String(repeating: "X: \(String(repeating: "y", count: 900))\r\n", count: 1500)
        #expect(code(author("From: attacker@evil.test\r\n\(long)From: bob@kartapuce.test")) == .headerTooLarge)
    }

    @Test(arguments: ["(", "\"", "<", "@", ",", "a@b.test,", "=?utf-8?q?x?= ", "\\", ":", ";", "a.", "((", "[", " ", "\r\n "])
    func hugeFieldsEnd(_ piece: String) {
        // One of them as long as a message may be; the others just beyond what is read.
        let huge = String(repeating: piece, count: (piece == "(" ? 10 << 20 : 3 << 18) / piece.utf8.count)
        #expect(code(author("From: \(huge)")) != nil)
        // What is just short enough to be read.
        _ = author("From: bob@kartapuce.test \(huge.utf8.prefix(DMARCAuthor.fieldLimit - 100))")
    }
}
