import Testing

@testable import MailAuthentication

struct AuthenticationResultsWriterTests {
    private typealias Method = AuthenticationResults.MethodResult

    private static let hostile = [
        "x\r\nX-Evil: 1", "x\nX-Evil: 1", "x\rX-Evil: 1", "x\u{0}y", "x; dmarc=pass header.from=kartapuce.test", "x dmarc=pass", "x\" dmarc=pass", "x\\",
        "x\\\" ; dmarc=pass", "(x", "x)", "x (", "", " ", "\t", "\u{7F}", "\u{85}X", "\u{2028}X", "=", "a@b@c", "@", "a b@gmail.test", "\"a\"b\"@gmail.test",
        "caf\u{E9}.test", "j\u{F6}rg@caf\u{E9}.test", "\u{202E}x", String(repeating: "x", count: 5000), String(repeating: "\\", count: 5000),
        String(repeating: "\u{1F600}", count: 5000), "bob@[203.0.113.1]", "<>", "2001:db8::1", "x;", "x\r\n", "\"", "\"\"", "\"x\"@", "\"x\\\"@gmail.test",
    ]

    @Test func aFieldIsWrittenAndFolded() {
        let results = AuthenticationResults(
            identifier: "mx.kartapuce.test",
            results: [
                .spf("pass", mailFrom: "bob@gmail.test", helo: "mail.gmail.test", comment: "203.0.113.1 is allowed"),
                .dkim(
                    "pass", domain: "gmail.test", identity: "@gmail.test", selector: "s1", algorithm: "rsa-sha256", signature: "abcd/efg",
                    reason: "good \"enough\""),
                .dmarc("pass", headerFrom: "gmail.test", appliedPolicy: "none", recordPolicy: "reject", recordDomain: "gmail.test"),
                .arc("none", oldestPass: 0, remoteIP: "2001:db8::1"), .iprev("pass", address: "203.0.113.1"), .auth("none", user: "bob"),
                .bimi("pass", domain: "gmail.test", selector: "default", authority: "pass", authorityURI: "https://gmail.test/x"),
            ])
        #expect(
            results.field() == """
                Authentication-Results: mx.kartapuce.test;\r
                 spf=pass (203.0.113.1 is allowed) smtp.mailfrom=bob@gmail.test\r
                 smtp.helo=mail.gmail.test;\r
                 dkim=pass reason="good \\"enough\\"" header.d=gmail.test header.i=@gmail.test\r
                 header.s=s1 header.a=rsa-sha256 header.b="abcd/efg";\r
                 dmarc=pass header.from=gmail.test policy.dmarc=none polrec.p=reject\r
                 polrec.domain=gmail.test;\r
                 arc=none header.oldest-pass=0 smtp.remote-ip="2001:db8::1";\r
                 iprev=pass policy.iprev=203.0.113.1;\r
                 auth=none smtp.auth=bob;\r
                 bimi=pass header.d=gmail.test header.selector=default policy.authority=pass\r
                 policy.authority-uri="https://gmail.test/x"\r\n
                """)
        #expect(results.description.hasPrefix("mx.kartapuce.test; spf=pass (203.0.113.1 is allowed) smtp.mailfrom=bob@gmail.test smtp.helo"))
    }

    @Test func nothingIsNone() throws {
        #expect(AuthenticationResults(identifier: "mx.kartapuce.test").field() == "Authentication-Results: mx.kartapuce.test; none\r\n")
        #expect(AuthenticationResults(identifier: "x.test", version: 1).arcField(instance: 3) == "ARC-Authentication-Results: i=3; x.test 1; none\r\n")
    }

    /// Whatever comes in, the same number of results comes out, with the values where they were, and no line is anything but a part of the field.
    @Test(arguments: hostile, [true, false])
    func hostileValuesStayInTheirPlace(_ value: String, _ allowsUTF8: Bool) throws {
        let results = AuthenticationResults(
            identifier: value,
            results: [
                .spf(value, mailFrom: value, helo: value, reason: value, comment: value), .dkim("fail", identity: value, selector: value),
                Method(method: value, result: "none", properties: [.init(value, value, value)]), .dmarc("fail", headerFrom: "gmail.test"),
            ], comments: [value])
        let field = results.field(allowsUTF8: allowsUTF8)
        #expect(field.hasSuffix("\r\n"))
        let octets = Array(field.utf8)
        for (index, octet) in octets.enumerated() {
            if octet == 0x0D { #expect(octets[index + 1] == 0x0A) }
            if octet == 0x0A { #expect(octets[index - 1] == 0x0D && (index + 1 == octets.count || octets[index + 1] == 0x20)) }
            #expect(octet == 0x0D || octet == 0x0A || octet >= 0x20 && octet != 0x7F)
            #expect(allowsUTF8 || octet < 0x80)
        }
        #expect(field.split(separator: "\r\n").allSatisfy { $0.utf8.count <= 998 && !$0.allSatisfy { $0 == " " } })
        let read = try AuthenticationResults(parsing: field.dropFirst("Authentication-Results:".count))
        #expect(read.results.map(\.properties.count) == [2, 2, 1, 1])
        #expect(read.results.last?.value("header", "from") == "gmail.test")
        #expect(read.results(of: "dmarc").map(\.result) == ["fail"])
        #expect(!read.deviations.contains(.strayText) && !read.deviations.contains(.unquotedValue), "\(field)")
    }

    @Test(arguments: [
        ("bob@gmail.test", "bob@gmail.test"), ("gmail.test", "gmail.test"), ("@gmail.test", "@gmail.test"), ("a+b=c@gmail.test", "a+b=c@gmail.test"),
        ("\"a b\"@gmail.test", "\"a b\"@gmail.test"), ("a b@gmail.test", "\"a b@gmail.test\""), ("", "\"\""), ("a;b", "\"a;b\""),
        ("caf\u{E9}.test", "xn--caf-dma.test"), ("bob@caf\u{E9}.test", "bob@xn--caf-dma.test"), ("j\u{F6}rg@gmail.test", "j?rg@gmail.test"),
        ("x\r\ny", "\"x??y\""),
    ])
    func valuesAreQuotedOnlyWhereTheyMust(_ value: String, _ written: String) {
        let field = AuthenticationResults(identifier: "x.test", results: [.spf("pass", mailFrom: value)]).field()
        #expect(field == "Authentication-Results: x.test;\r\n spf=pass smtp.mailfrom=\(written)\r\n")
    }

    @Test func internationalMessagesKeepTheirNames() {
        let results = AuthenticationResults(identifier: "x.test", results: [.spf("pass", mailFrom: "j\u{F6}rg@caf\u{E9}.test")])
        #expect(results.field(allowsUTF8: true).contains("smtp.mailfrom=j\u{F6}rg@caf\u{E9}.test\r\n"))
    }

    /// RFC 6008 §4.
    @Test func signaturesAreToldApart() {
        #expect(Method.signaturePrefix("abcdefghijkl", among: ["abcdefghijkl", "zyx"]) == "abcdefgh")
        #expect(Method.signaturePrefix("abcde fghijkl", among: ["abcdefghixyz"]) == "abcdefghij")
        #expect(Method.signaturePrefix("abc", among: ["abcd"]) == "abc")
    }

    /// What is read, is written so that the same is read again.
    @Test func writtenFieldsAreReadAsTheyWere() throws {
        let pieces = [
            "x.test", ";", " ", "spf", "=", "pass", "(c)", "\"", "\"q s\"", "\\", "smtp", ".", "mailfrom", "a@b.test", "@b.test", "reason", "none", "/1", "1",
            "; dkim=fail header.b=", "; spf=pass smtp.mailfrom=", "caf\u{E9}.test", "\r\n ", "\t", "(a(b)c)", "=?", ">", ",",
        ]
        var state: UInt64 = 42
        var read = 0
        for _ in 0..<20_000 {
            var text = "x.test; spf=pass "
            for _ in 0..<(1 + state >> 33 % 8) {
                // Knuth's MMIX generator: the same fields each time.
                state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
                text += pieces[Int(state >> 33) % pieces.count]
            }
            guard var results = try? AuthenticationResults(parsing: text) else { continue }
            read += 1
            results.deviations = []
            // Tabs become blanks; blanks in comments are where folds may be.
            results.comments = results.comments.map { $0.split(separator: " ").joined(separator: " ") }
            for index in results.results.indices {
                results.results[index].comments = results.results[index].comments.map { $0.split(separator: " ").joined(separator: " ") }
                results.results[index].reason?.replace("\t", with: " ")
                for property in results.results[index].properties.indices {
                    results.results[index].properties[property].value.replace("\t", with: " ")
                }
            }
            let field = results.field(allowsUTF8: true)
            var again = try AuthenticationResults(parsing: field.dropFirst("Authentication-Results:".count))
            again.deviations = []
            #expect(again == results, "\(text.debugDescription): \(field.debugDescription)")
        }
        #expect(read > 2000, "\(read)")
    }
}
