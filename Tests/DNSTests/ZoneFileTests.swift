import DNS
import Testing

struct ZoneFileTests {
    private func lookup(_ zone: String, _ name: String, _ type: DNSRecordType) async throws -> DNSAnswer {
        try await ZoneFile.resolver(parsing: zone).lookup(DomainName.question(name), type)
    }

    @Test func recordsOfManyFormsAreRead() async throws {
        let zone = """
            $ORIGIN kartapuce.test.
            $TTL 1h
            @ 3600 IN SOA ns hostmaster ( 1 ; serial
                2 3 4 5 )
              IN 300 MX 10 mail
              MX 20 mx.gmail.test.
            mail A 198.51.100.25
                 AAAA 2001:db8::25
            _dmarc TXT "v=DMARC1; " "p=reject" ; a comment
            text TXT a\\032b "c\\"d" e\\;f
            *.wild TXT "any"
            alias CNAME mail
            25.100.51.198.in-addr.arpa. PTR mail
            _25._tcp.mail TLSA 3 1 1 0a0B ff
            odd\\032label.kartapuce.test. A 198.51.100.1
            raw TYPE65280 \\# 2 0102
            """
        #expect(
            try await lookup(zone, "kartapuce.test", .mx).records == [
                .mx(preference: 10, exchange: DomainName("mail.kartapuce.test")), .mx(preference: 20, exchange: DomainName("mx.gmail.test")),
            ])
        #expect(try await lookup(zone, "alias.kartapuce.test", .a).records == [.address(.v4(0xC633_6419))])
        #expect(try await lookup(zone, "_dmarc.kartapuce.test", .txt).records == [.txt(Array("v=DMARC1; p=reject".utf8))])
        #expect(try await lookup(zone, "text.kartapuce.test", .txt).records == [.txt(Array("a bc\"de;f".utf8))])
        #expect(try await lookup(zone, "x.wild.kartapuce.test", .txt).records == [.txt(Array("any".utf8))])
        #expect(try await lookup(zone, "25.100.51.198.in-addr.arpa", .ptr).records == [.name(DomainName("mail.kartapuce.test"))])
        #expect(
            try await lookup(zone, "_25._tcp.mail.kartapuce.test", .tlsa).records == [.tlsa(usage: 3, selector: 1, matching: 1, data: [0x0A, 0x0B, 0xFF])])
        #expect(try await lookup(zone, "odd label.kartapuce.test", .a).outcome == .records)
        #expect(try await lookup(zone, "raw.kartapuce.test", DNSRecordType(rawValue: 65280)).records == [.other([1, 2])])
    }

    @Test func whatIsNotThereDoesNotExistAndWhatShallFailFails() async throws {
        let zone = """
            ;!SERVFAIL broken.test. TXT
            ;!TIMEOUT slow.test. *
            ;!SECURE signed.test.
            a.b.signed.test. A 198.51.100.1
            broken.test. A 198.51.100.2
            """
        #expect(try await lookup(zone, "c.signed.test", .a).outcome == .nonexistentDomain)
        #expect(try await lookup(zone, "b.signed.test", .a).outcome == .noData)
        #expect(try await lookup(zone, "a.b.signed.test", .a).security == .secure)
        #expect(try await lookup(zone, "broken.test", .a).outcome == .records)
        for (name, code) in [("broken.test", DNSError.Code.serverFailure), ("slow.test", .timeout)] {
            do {
                _ = try await lookup(zone, name, .txt)
                Issue.record("\(name) answered")
            } catch let error as DNSError {
                #expect(error.code == code)
            }
        }
    }

    // RFC 3597 §5: any type may be written so, and means the same.
    @Test func genericFormsOfKnownTypesAreThese() async throws {
        let zone = """
            a.test. A \\# 4 c6336401
            a.test. TYPE28 \\# 16 20010db8 00000000 0000000000000001
            a.test. TXT \\# 5 0161 026263
            a.test. MX \\# 6 000a 026d78 00
            b.test. CNAME \\# 8 0161 04746573 7400
            a.test. TLSA \\# 4 030101ff
            a.test. CLASS1 300 CAA \\# 2 0001
            text.test. TXT "#" "1" ; no such form
            """
        #expect(try await lookup(zone, "b.test", .a).records == [.address(.v4(0xC633_6401))])
        #expect(try await lookup(zone, "a.test", .aaaa).records == [.address(.v6(0x2001_0DB8_0000_0000, 1))])
        #expect(try await lookup(zone, "a.test", .txt).records == [.txt(Array("abc".utf8))])
        #expect(try await lookup(zone, "a.test", .mx).records == [.mx(preference: 10, exchange: DomainName("mx"))])
        #expect(try await lookup(zone, "a.test", .tlsa).records == [.tlsa(usage: 3, selector: 1, matching: 1, data: [0xFF])])
        #expect(try await lookup(zone, "a.test", DNSRecordType(rawValue: 257)).records == [.other([0, 1])])
        #expect(try await lookup(zone, "text.test", .txt).records == [.txt(Array("#1".utf8))])
    }

    /// A record's description is what a zone file has in its place, whatever octets its names are made of.
    @Test(arguments: [
        ("MX", DNSRecordType.mx, "10 mail\\;a\\ b.gmail.test", "10 mail\\;a\\ b.gmail.test"),
        ("CNAME", .cname, "\\(a\\).\\\"b", "\\(a\\).\\\"b"),
        ("PTR", .ptr, "@.", "@."),
        ("NS", .ns, ".", "."),
        ("SRV", .srv, "0 1 993 .", "0 1 993 ."),
    ])
    func whatARecordSaysOfItselfIsReadAsTheSame(word: String, type: DNSRecordType, data: String, description: String) async throws {
        let first = try await lookup("kartapuce.test. \(word) \(data)", "kartapuce.test", type)
        #expect(first.records.map(\.description) == [description])
        let second = try await lookup("kartapuce.test. \(word) \(description)", "kartapuce.test", type)
        #expect(second.records == first.records)
    }

    // RFC 4592 §3.3.1
    @Test func wildcardsSpeakForNamesThatDoNotExist() async throws {
        let zone = """
            *.test. CNAME target.test.
            target.test. A 198.51.100.1
            a.b.test. TXT "x"
            """
        #expect(try await lookup(zone, "x.y.test", .a).records == [.address(.v4(0xC633_6401))])
        #expect(try await lookup(zone, "x.y.test", .cname).records == [.name(DomainName("target.test"))])
        #expect(try await lookup(zone, "b.test", .a).outcome == .noData)
        #expect(try await lookup(zone, "c.b.test", .a).outcome == .nonexistentDomain)
    }

    @Test func linesOfOtherSystemsAreRead() async throws {
        let zone = "\u{FEFF}$ORIGIN test.\r\n;!TIMEOUT slow *\r\na\tIN\t1h30m\tA\t198.51.100.1\r\n\r\n  \r\n\tTXT\t( \"a\"\"b\"\r\n c ) ; end"
        #expect(try await lookup(zone, "a.test", .a).outcome == .records)
        #expect(try await lookup(zone, "a.test", .txt).records == [.txt(Array("abc".utf8))])
        await #expect(throws: DNSError.self) { _ = try await lookup(zone, "slow.test", .a) }
    }

    @Test func aLargeZoneIsReadAndAskedInLinearTime() async throws {
        let zone = (0..<8_000).map { "n\($0).a.b.c.d.test. A 198.51.100.1\n" }.joined()
        let resolver = try ZoneFile.resolver(parsing: zone)
        for index in 0..<8_000 {
            let answer = try await resolver.lookup(DomainName("x.n\(index).a.b.c.d.test"), .a)
            #expect(answer.outcome == .nonexistentDomain)
        }
    }

    @Test(arguments: [
        ("a.test. A 198.51.100.256", 1), ("\na.test. AAAA 198.51.100.2", 2), ("a.test. TXT \"open", 1), ("a.test. MX ten mail.test.", 1),
        (" A 198.51.100.1", 1),
        ("a.test. NOSUCH x", 1), ("a.test. TXT ( x", 1), ("a.test. TXT x )", 1), ("a.test. TXT \\25", 1), ("$INCLUDE x", 1), (";!NOSUCH a.test. A", 1),
        ("a..test. A 198.51.100.1", 1), ("a.test. A \u{1}", 1), ("\u{1}", 1), ("a.test. A \\# 5 c6336401", 1), ("a.test. A \\# 2 c633", 1),
        ("a.test. TXT \\# 2 0561", 1), ("a.test. MX \\# 3 000a01", 1),
    ])
    func errorsNameTheirLine(zone: String, line: Int) {
        do {
            _ = try ZoneFile.resolver(parsing: zone)
            Issue.record("\(zone) was read")
        } catch {
            #expect(error.line == line)
        }
    }
}
