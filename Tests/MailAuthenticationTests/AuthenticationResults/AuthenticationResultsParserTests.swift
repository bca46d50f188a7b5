import Testing

@testable import MailAuthentication

struct AuthenticationResultsParserTests {
    @Test func everyPartIsRead() throws {
        let results = try AuthenticationResults(
            parsing: " (first) mx.kartapuce.test (second) 1;\r\n SPF = Pass (ok (nested) \\)) smtp.mailfrom=bob@gmail.test;\r\n"
                + "\tdkim/2=fail reason=\"bad; \\\"signature\\\"\" header . d = gmail.test header.b=\"a+b/c\";"
                + " dmarc=pass header.from=gmail.test policy.dmarc=none (p=none)")
        #expect(results.identifier == "mx.kartapuce.test" && results.version == 1 && results.isKnownVersion)
        #expect(results.comments == ["first", "second"])
        #expect(results.results.map(\.method) == ["spf", "dkim", "dmarc"])
        #expect(results.results.map(\.result) == ["pass", "fail", "pass"])
        #expect(results.results[0].value("smtp", "mailfrom") == "bob@gmail.test" && results.results[0].comments == ["ok (nested) )"])
        #expect(results.results[1].methodVersion == 2 && results.results[1].reason == "bad; \"signature\"")
        #expect(results.results[1].value("header", "d") == "gmail.test" && results.results[1].value("Header", "B") == "a+b/c")
        #expect(results.results[2].properties.count == 2 && results.results(of: "DMARC").count == 1)
        #expect(results.deviations.isEmpty)
    }

    /// RFC 8601 Appendix B and forms of pvalue.
    @Test(arguments: [
        ("example.org 1; none", "example.org", 0), ("example.com; none", "example.com", 0), ("\"mx kartapuce\"; none", "mx kartapuce", 0),
        ("x.test; auth=pass (cram-md5) smtp.auth=sender@gmail.test", "x.test", 1), ("x.test; dkim=pass header.i=@gmail.test", "x.test", 1),
        ("x.test; dkim=pass header.i=\"bob@gmail.test\"@evil.test", "x.test", 1),
        ("caf\u{E9}.test; spf=pass smtp.mailfrom=j\u{F6}rg@caf\u{E9}.test", "caf\u{E9}.test", 1),
        ("x.test;spf=pass smtp.mailfrom=bounce+1=a=gmail.test@gmail.test;dkim=none", "x.test", 2),
    ])
    func goodFieldsHaveNoDeviation(_ text: String, _ identifier: String, _ count: Int) throws {
        let results = try AuthenticationResults(parsing: text)
        #expect(results.identifier == identifier && results.results.count == count)
        #expect(results.deviations.isEmpty, "\(results.deviations)")
    }

    @Test func aQuotedLocalPartKeepsItsQuotes() throws {
        let results = try AuthenticationResults(parsing: "x.test; dkim=pass header.i=\"bob@gmail.test\"@evil.test")
        #expect(results.results.first?.value("header", "i") == "\"bob@gmail.test\"@evil.test")
    }

    @Test(
        arguments: [
            ("x.test; spf=pass;", [.emptyResult], 1), ("x.test;; spf=pass", [.emptyResult], 1), ("x.test;", [.emptyResult, .noResult], 0),
            ("x.test", [.noResult], 0), ("spf=pass (sender IP is 203.0.113.1) smtp.mailfrom=x.test; dkim=none", [.missingIdentifier], 2),
            ("spf/1=pass; dkim=none", [.missingIdentifier], 2), ("x.test/1; spf=pass", [.slashedVersion], 1),
            ("x.test; dkim=pass header.b=g5+zM/w=", [.unquotedValue], 1), ("x.test; spf=none smtp.mailfrom=<>", [.unquotedValue], 1),
            ("x.test; spf=none smtp.mailfrom=", [.unquotedValue], 1), ("x.test; iprev=pass policy.iprev=2001:db8::1", [.unquotedValue], 1),
            ("x.test; dmarc=fail action=none header.from=y.test;compauth=fail reason=001", [.untypedProperty], 2),
            ("x.test; dkim=none header.d=none;x.test; dmarc=none", [.strayText], 2), ("x.test; spf", [.noResult, .strayText], 0),
            ("x.test from=y.test; domainkeys=pass (ok)", [.strayText], 1), ("x.test; spf=pass ? smtp.mailfrom=y.test", [.strayText], 1),
        ] as [(String, [AuthenticationResults.Deviation], Int)])
    func oldFormsAreRead(_ text: String, _ deviations: [AuthenticationResults.Deviation], _ count: Int) throws {
        let results = try AuthenticationResults(parsing: text)
        #expect(results.deviations == deviations && results.results.count == count)
    }

    @Test(
        arguments: [
            ("", .empty), (" \r\n (x) ", .empty), (";", .invalidIdentifier), ("; spf=pass", .invalidIdentifier), ("=", .invalidIdentifier),
            ("=?utf-8?q?x?=; spf=pass", .invalidIdentifier), ("a@x.test; spf=pass", .invalidIdentifier), ("x.test 1a; spf=pass", .invalidVersion),
            ("x.test 99999999999; none", .invalidVersion), ("x.test (; spf=pass", .unterminatedComment), ("\"x.test; spf=pass", .unterminatedQuotedString),
            ("x.test; spf x", .invalidMethod), ("x.test; =pass", .invalidMethod), ("x.test; spf/=pass", .invalidMethod), ("x.test; spf=", .invalidResult),
            ("x.test; spf=;", .invalidResult), ("x.test; spf=pass\u{0}", .controlCharacter), ("x.test\u{7F}; spf=pass", .controlCharacter),
            ("x.test; spf=pass\r\nX: y", .controlCharacter), ("x.test; spf=pass\r x", .controlCharacter), ("x.test; spf=pass\nX: y", .controlCharacter),
        ] as [(String, AuthenticationResultsError.Code)])
    func othersAreRefused(_ text: String, _ code: AuthenticationResultsError.Code) {
        let error = #expect(throws: AuthenticationResultsError.self) { try AuthenticationResults(parsing: text) }
        #expect(error?.code == code)
    }

    @Test func arcFieldsBeginWithTheirInstance() throws {
        let (instance, results) = try AuthenticationResults.parsingARC(Array(" i = 2 ; mx.kartapuce.test; dmarc=pass header.from=gmail.test".utf8))
        #expect(instance == 2 && results.identifier == "mx.kartapuce.test" && results.results.first?.result == "pass")
        for text in ["mx.kartapuce.test; dmarc=pass", "i=; x.test; none", "i=1 x.test; none", "i=x; x.test; none", ""] {
            #expect(throws: AuthenticationResultsError.self) { try AuthenticationResults.parsingARC(Array(text.utf8)) }
        }
    }

    @Test(arguments: ["(", "(x)", "\"", "; ", ";spf=pass", " a.b=c", " x", "\\", "\r\n ", "=", ";none"])
    func hugeFieldsEnd(_ piece: String) {
        let start = "x.test; spf=pass "
        let huge = start + String(repeating: piece, count: (piece == "(" ? 10 << 20 : 1 << 20) / piece.utf8.count)
        #expect(throws: AuthenticationResultsError.self) { try AuthenticationResults(parsing: huge) }
        // As long as is read.
        _ = try? AuthenticationResults(parsing: Array(huge.utf8.prefix(AuthenticationResults.octetLimit)))
    }
}
