import MailMessage
import Testing

@testable import MailAuthentication

/// Records and reporting URIs in the form that nearly all have are read as those in other forms.
struct DMARCPlainRecordTests {
    /// A scheme in upper case goes to the reader of all forms.
    @Test func reportingURIsAtRandom() {
        let pieces = [
            "bob", "d", "@", "@", "gmail.test", ".", "-", "_", "+", "%", "%40", "%2", "!", "!10m", "?", "?x=y", "[127.0.0.1]", ":", "/", " ", ",", "\u{E9}",
            "\"", "a--b.test",
            "GMAIL.test", String(repeating: "a", count: 64), String(repeating: "b.", count: 130),
        ]
        var generator = DKIMSeededGenerator(seed: 31)
        var usable = 0
        for round in 0..<20_000 {
            let rest = (0..<Int.random(in: 0...6, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            let text = round % 3 == 0 ? "bob@gmail.test\(rest)" : rest
            let (fast, full) = (DMARCReportingURI(parsing: "mailto:\(text)"), DMARCReportingURI(parsing: "MAILTO:\(text)"))
            #expect(fast?.mailbox == full?.mailbox && fast?.obsoleteSizeLimit == full?.obsoleteSizeLimit && (fast == nil) == (full == nil), "\(text)")
            #expect(fast?.uri.dropFirst(7) == full?.uri.dropFirst(7), "\(text)")
            if fast?.mailbox != nil { usable += 1 }
        }
        #expect(usable > 500, "\(usable)")
    }

    @Test func asManyTagsAsThereMayBe() throws {
        let full = "v=DMARC1;p=reject" + String(repeating: ";", count: DMARCRecord.tagLimit - 2)
        #expect(try DMARCRecord(parsing: full).policy == .reject)
        #expect(throws: DMARCRecordError(.tooManyTags)) { try DMARCRecord(parsing: full + ";") }
        let many = (0..<DMARCRecord.tagLimit - 2).map { ";x\($0)=y" }.joined()
        #expect(try DMARCRecord(parsing: "v=DMARC1;p=reject\(many)").policy == .reject)
        #expect(throws: DMARCRecordError(.notDMARC1)) { try DMARCRecord(parsing: "x\(full);") }
    }

    @Test(arguments: ["p=none;P=none", "p=none; v=DMARC1", "p=none;x1=a; X1 =b", "rua=mailto:a@b.test;p=none;rua=mailto:a@b.test", "p=none;fo=1;\tfo=1"])
    func aNameThatComesTwice(_ tags: String) throws {
        let error = #expect(throws: DMARCRecordError.self) { try DMARCRecord(parsing: "v=DMARC1; \(tags)") }
        guard case .repeatedTag = error?.code else {
            Issue.record("\(tags): \(String(describing: error))")
            return
        }
    }

    @Test func emptyPairsMeanNothing() throws {
        let record = try DMARCRecord(parsing: "v=DMARC1 ;; ; p = Reject ;\t; T=Y;adkim=S; psd = n;fo=d:s; ruf=mailto:f@b.test ,https://b.test/x;;")
        #expect(record.policy == .reject && record.isTesting && record.dkimAlignment == .strict && record.publicSuffix == .no)
        #expect(record.failureOptions == [.dkim, .spf] && record.failureReportURIs.map(\.uri) == ["mailto:f@b.test", "https://b.test/x"])
        #expect(record.notes.count == 1)
    }
}
