import MailMessage
import Testing

@testable import MailAuthentication

struct DMARCRecordTests {
    @Test func everyTagIsRead() throws {
        let record = try DMARCRecord(
            parsing: "v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=s; fo=1:d:s; psd=n; t=y;"
                + " rua=mailto:a@kartapuce.test,mailto:b%2Bc@gmail.test!10m; ruf=https://kartapuce.test/x")
        #expect(record.policy == .reject)
        #expect(record.subdomainPolicy == .quarantine)
        #expect(record.nonexistentSubdomainPolicy == DMARCPolicy.none)
        #expect(record.dkimAlignment == .strict && record.spfAlignment == .strict)
        #expect(record.failureOptions == [.anyFails, .dkim, .spf])
        #expect(record.publicSuffix == .no && record.isTesting)
        #expect(record.aggregateReportURIs.map { $0.mailbox?.description } == ["a@kartapuce.test", "b+c@gmail.test"])
        #expect(record.aggregateReportURIs.map(\.obsoleteSizeLimit) == [nil, 10 << 20])
        #expect(record.aggregateReportURIs.map(\.uri) == ["mailto:a@kartapuce.test", "mailto:b%2Bc@gmail.test"])
        #expect(record.failureReportURIs.map(\.mailbox) == [nil])
        #expect(record.notes.count == 2, "the size and the https URI: \(record.notes)")
    }

    @Test func defaultsAreThoseOfTheRFC() throws {
        let record = try DMARCRecord(parsing: "v=DMARC1;p=none")
        #expect(record.subdomainPolicy == nil && record.nonexistentSubdomainPolicy == nil)
        #expect(record.dkimAlignment == .relaxed && record.spfAlignment == .relaxed)
        #expect(record.failureOptions == [.allFail] && record.publicSuffix == .unknown && !record.isTesting)
        #expect(record.notes.isEmpty && record.isApplicable && !record.isReducedToReporting)
    }

    @Test(
        arguments: [
            ("", .notDMARC1), ("v=", .notDMARC1), ("v=DMARC12; p=none", .notDMARC1), ("v=dmarc1; p=none", .notDMARC1),
            ("v=DMARC1 p=none", .notDMARC1), ("p=none; v=DMARC1", .notDMARC1), (" v=DMARC1; p=none", .notDMARC1), ("vv=DMARC1; p=none", .notDMARC1),
            ("v=spf1 -all", .notDMARC1), ("\u{201C}v=DMARC1; p=none\u{201D}", .notDMARC1),
            ("v=DMARC1", .noUsablePolicy), ("v=DMARC1;", .noUsablePolicy), ("v=DMARC1;;", .noUsablePolicy), ("v=DMARC1; p=nonsense", .noUsablePolicy),
            ("v=DMARC1; p=", .noUsablePolicy), ("v=DMARC1; p=reject; sp=x", .noUsablePolicy), ("v=DMARC1; p=reject; np=x", .noUsablePolicy),
            ("v=DMARC1; rua=x", .noUsablePolicy), ("v=DMARC1; rua=mailto:", .noUsablePolicy), ("v=DMARC1; rua=mailto:bob", .noUsablePolicy),
            ("v=DMARC1; rua=mailto:a@kartapuce.test!", .noUsablePolicy), ("v=DMARC1; rua=mailto:a@kartapuce.test!1p", .noUsablePolicy),
            ("v=DMARC1; rua=mailto:a@b%zz.test", .noUsablePolicy), ("v=DMARC1; rua=mailto:a@kartapuce.test%0d%0aBcc:x", .noUsablePolicy),
            ("v=DMARC1; p=none; p=reject", .repeatedTag("p")), ("v=DMARC1; V=DMARC1; p=none", .repeatedTag("v")),
            ("v=DMARC1; p=none; x=1; X=2", .repeatedTag("x")),
        ] as [(String, DMARCRecordError.Code)])
    func othersAreRefused(_ text: String, _ code: DMARCRecordError.Code) {
        let error = #expect(throws: DMARCRecordError.self) { try DMARCRecord(parsing: text) }
        #expect(error?.code == code)
        #expect(error.map { "\($0)".contains("RFC ") } == true)
    }

    @Test(arguments: [
        "V = DMARC1 ; P = Reject", "v=DMARC1; p=reject;", "v=DMARC1; p=reject; ;", "v=DMARC1; p=reject; junk", "v=DMARC1; p=reject; =x",
        "v=DMARC1\t;\tp=reject", "v=DMARC1; p=reject; caf\u{E9}=1", "v=DMARC1; sp=reject; p=reject", "v=DMARC1; p=reject; adkim=x; aspf=; t=maybe; psd=z",
    ])
    func whatIsWrongBehindTheVersionIsLeftOut(_ text: String) throws {
        let record = try DMARCRecord(parsing: text)
        #expect(record.policy == .reject)
        #expect(record.dkimAlignment == .relaxed && record.spfAlignment == .relaxed && !record.isTesting && record.publicSuffix == .unknown)
    }

    @Test(arguments: [
        "v=DMARC1; rua=mailto:a@kartapuce.test", "v=DMARC1; p=x; rua=mailto:a@kartapuce.test",
        "v=DMARC1; p=reject; sp=invalid; rua=mailto:a@kartapuce.test", "v=DMARC1; p=reject; np=; sp=reject; rua=junk,mailto:a@kartapuce.test",
    ])
    func withoutAUsablePolicyOnlyTheReportsCount(_ text: String) throws {
        let record = try DMARCRecord(parsing: text)
        #expect(record.policy == DMARCPolicy.none && record.isReducedToReporting)
        #expect(record.policyForSubdomain(exists: true).policy == DMARCPolicy.none)
        #expect(record.policyForSubdomain(exists: false).policy == DMARCPolicy.none)
    }

    @Test func retiredTagsChangeNothingAndAreNamed() throws {
        let record = try DMARCRecord(parsing: "v=DMARC1; p=reject; pct=0; rf=afrf; ri=86400")
        #expect(record.policy == .reject && !record.isTesting)
        #expect(record.notes.count == 3)
        #expect(record.notes.contains { $0.contains("pct=0") && $0.contains("t=y") })
    }

    @Test(
        arguments: [
            ("0", [.allFail]), ("1:d", [.anyFails, .dkim]), ("d:0:s", [.allFail, .dkim, .spf]), ("s", [.spf]), ("0:1", [.allFail]), ("01", [.allFail]),
            ("d:d", [.allFail]), ("", [.allFail]), ("x", [.allFail]), ("D : S", [.dkim, .spf]),
        ] as [(String, [DMARCFailureOption])])
    func failureOptions(_ text: String, _ options: [DMARCFailureOption]) throws {
        #expect(try DMARCRecord(parsing: "v=DMARC1; p=none; ruf=mailto:a@kartapuce.test; fo=\(text)").failureOptions == options)
    }

    @Test func sizesThatAreTooLargeDontOverflow() throws {
        let digits = String(repeating: "9", count: 50)
        let record = try DMARCRecord(parsing: "v=DMARC1; rua=mailto:a@kartapuce.test!\(digits),mailto:b@kartapuce.test!99999999999t")
        #expect(record.aggregateReportURIs.map(\.obsoleteSizeLimit) == [.max, .max])
    }

    @Test(arguments: [";", "a", "p=none;", "x=y,", "rua=mailto:a@b.test,", ",", "=", "\u{0}"])
    func hugeRecordsEnd(_ piece: String) {
        let huge = "v=DMARC1; p=none;" + String(repeating: piece, count: (piece == ";" ? 10 << 20 : 1 << 20) / piece.utf8.count)
        #expect(throws: DMARCRecordError.self) { try DMARCRecord(parsing: huge) }
        // As large as a TXT record may be.
        _ = try? DMARCRecord(parsing: String(huge.utf8.prefix(DMARCRecord.octetLimit)) ?? "")
    }
}
