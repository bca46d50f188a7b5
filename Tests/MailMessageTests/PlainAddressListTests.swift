import Testing

@testable import MailMessage

/// Addresses that are read without the parser are read as by the parser.
@Suite struct PlainAddressListTests {
    private func agree(_ text: String) {
        let octets = Array(text.utf8)
        let parsed = AddressList(parsing: octets).entries
        if let plain = PlainAddressList.entries(of: octets) { #expect(plain == parsed, "\(text)") }
        #expect(AddressList.entries(of: octets) == parsed, "\(text)")
    }

    @Test(arguments: [
        "bob@kartapuce.test", "Bob <bob@kartapuce.test>", "Bob B. Bobson <bob@kartapuce.test>, \"Jack, the other\" <jack@kartapuce.test>,tom@gmail.test",
        "=?utf-8?Q?Tom_Ch=C3=A2taignier?= <tom@gmail.test>", "=?utf-8?Q?a b?= <a@b.test>",
    ])
    func plainFieldsAreTaken(text: String) {
        #expect(PlainAddressList.entries(of: Array(text.utf8)) != nil)
        agree(text)
    }

    @Test(arguments: [
        "bob", "Bob <bob>", "<bob@kartapuce.test>", "bob@kartapuce.test (Bob)", "friends: bob@kartapuce.test;", "a@b.test,", "a@b.test,,c@d.test",
        "Bob  B <a@b.test>", "\"a\\\"b\" <a@b.test>", "\"a\"<a@b.test>", "Bob<a@b.test>", "<@c.test:a@b.test>", "a @b.test", "a@b.test c", "a@[127.0.0.1]",
        "Bob <a@b.test> c", "Bob <a@b.test", "\"a\"@b.test", "\u{e9} <a@b.test>", "a@b@c.test", "\"\" <a@b.test>", "a@b.test ",
        // Encoded-words are words whatever is in them.
        "=?utf-8?q?a@b?=", "x@=?utf-8?q?a,b@c?=", "Bob <=?utf-8?q?a@b?=>",
    ])
    func othersAreLeft(text: String) {
        #expect(PlainAddressList.entries(of: Array(text.utf8)) == nil)
        agree(text)
    }

    @Test func bothAgreeOnAnything() {
        let pieces = [
            "a", "Bob", "<", ">", "@", ",", ", ", " ", "\"", "b.test", ".", "=?utf-8?q?x?=", "=?utf-8?q?(?=", "=?utf-8?q?@?=", "=?utf-8?q?a,?=", "(", ")", ":",
            ";", "\\", "\t", "\u{e9}",
            "x@y.test",
        ]
        var state: UInt64 = 7
        func roll(_ count: Int) -> Int {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            return Int((state >> 33) % UInt64(count))
        }
        for _ in 0..<20_000 { agree((0..<1 + roll(9)).map { _ in pieces[roll(pieces.count)] }.joined()) }
    }
}
