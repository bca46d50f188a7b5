import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

struct FeedbackReportTests {
    private func fields(_ text: String, _ limits: ReportLimits = ReportLimits()) throws(ReportError) -> FeedbackReport {
        try FeedbackReport(fieldsOf: ByteBuffer(string: text), limits: limits)
    }

    @Test func fieldsAreReadAndUnknownOnesKept() throws {
        let report = try fields(
            """

            Feedback-Type: Auth-Failure (really)
            Version: 1
            User-Agent: X/1
            Auth-Failure: dmarc
            Authentication-Results: a.test;
             dmarc=fail
            Identity-Alignment: dkim (no key) , spf
            Reported-Domain: kartapuce.test
            Reported-Domain: other.test
            Source-IP: 2001:db8::1 (somewhere)
            Source-Port: 65536
            Incidents: 7
            X-Weather: rain
            Reporting-MTA: dns; mx.receiver.test (Postern)
            DKIM-Canonicalized-Body: aGVs
             bG8=

            """)
        #expect(report.feedbackType == "auth-failure")
        #expect(report.identityAlignment == ["dkim", "spf"])
        #expect(report.reportedDomains == ["kartapuce.test", "other.test"])
        #expect(report.sourceIP == IPAddress("2001:db8::1"))
        #expect(report.sourcePort == nil)
        #expect(report.incidents == 7)
        #expect(report.value("x-weather") == "rain")
        #expect(report.reportingMTA == "mx.receiver.test")
        #expect(report.dkimCanonicalizedBody == "aGVsbG8=")
        #expect(report.problems.isEmpty)
        #expect(try JSONDecoder().decode(FeedbackReport.self, from: JSONEncoder().encode(report)) == report)
    }

    @Test func whatIsMissingOrRepeatedIsNamed() throws {
        #expect(throws: ReportError.self) { try fields("Version: 1\n") }
        #expect(throws: ReportError.self) { try fields("") }
        let report = try fields("Feedback-Type: auth-failure\nFeedback-Type: abuse\nSource-IP: here\nAuth-Failure: dmarc\nVersion: 2\n")
        #expect(report.feedbackType == "auth-failure")
        for word in ["User-Agent", "version isn't 1", "Feedback-Type", "Source-IP", "Authentication-Results", "Reported-Domain", "Identity-Alignment"] {
            #expect(report.problems.contains { $0.contains(word) }, "\(word)")
        }
        var limits = ReportLimits()
        limits.feedbackFields = 3
        #expect(throws: ReportError.self) { try fields("Feedback-Type: abuse\nA: 1\nB: 2\nC: 3\n", limits) }
    }

    @Test func commentsAreTakenOutInOneGo() throws {
        let nested = String(repeating: "(", count: 100_000) + String(repeating: ")", count: 99_999)
        #expect(try fields("Feedback-Type: abuse\nSource-IP: 203.0.113.7 \(nested)\n").sourceIP == IPAddress("203.0.113.7"))
    }
}

struct FailureReportTests {
    private static let key = Array("a key of the redaction's tests".utf8)

    private static let original = """
        Received: from [203.0.113.9] by mx.receiver.test for <jack.secret@receiver.test>; Mon, 23 Nov 2026 10:00:00 +0000
        From: "Alice Private" <alice.private@kartapuce.test>
        Sender: tom.hidden@kartapuce.test
        Reply-To: Mike Unknown <"mike unknown"@kartapuce.test>
        To: Jack Secret <jack.secret@receiver.test>
        Cc: tom.hidden@kartapuce.test
        Subject: Confidential matter
        Date: Mon, 23 Nov 2026 10:00:00 +0000 (alice.private)
        Message-ID: <alice.private.42@kartapuce.test>
        DKIM-Signature: v=1; a=rsa-sha256; d=kartapuce.test; s=k1; i=alice.private@kartapuce.test; h=From:Subject;
         z=Subject:Confidential=20matter|From:alice.private@kartapuce.test; bh=AAAA; b=BBBB
        X-Note: jack.secret
        List-Id: alice.private's list <tom.hidden@lists.kartapuce.test>

        The body says: Confidential matter, jack.secret.
        """

    private func message() throws -> ByteBuffer {
        var report = FailureReport(
            reportedDomain: try DomainName("kartapuce.test"), failure: .dmarc, identityAlignment: ["dkim", "spf"],
            authenticationResults: "mx.receiver.test; dmarc=fail header.from=kartapuce.test; spf=fail smtp.mailfrom=alice.private@kartapuce.test",
            userAgent: "Postern/1", reportingMTA: try DomainName("mx.receiver.test"))
        report.sourceIP = IPAddress("203.0.113.9")
        report.mailFrom = try EmailAddress(parsing: "alice.private@kartapuce.test")
        report.delivery = .reject
        report.signature = .init(domain: "kartapuce.test", identity: "alice.private@kartapuce.test", selector: "k1")
        report.spfDNS = ["txt : kartapuce.test : \"v=spf1 -all\""]
        report.incidents = 3
        let writer = FailureReportWriter(from: try EmailAddress(parsing: "dmarc@receiver.test"), redactor: try FailureReportRedactor(key: Self.key))
        return writer.serialize(
            report, original: HeaderSection(parsing: ByteBuffer(string: Self.original)), to: try EmailAddress(parsing: "ruf@kartapuce.test"),
            date: MessageDate(Date(timeIntervalSince1970: 1_795_910_400)), messageID: "f1@receiver.test", boundary: "0123456789abcdef")
    }

    @Test func nothingLeaks() throws {
        let text = String(buffer: try message())
        let unfolded = text.replacing("\r\n ", with: " ").lowercased()
        for secret in ["alice", "private", "jack", "secret", "tom.hidden", "hidden", "mike", "unknown", "confidential", "matter", "the body"] {
            #expect(!unfolded.contains(secret), "\(secret)")
        }
        #expect(!unfolded.contains("subject: conf"))
    }

    @Test func whatIsWrittenIsReadAgain() throws {
        let octets = try message()
        #expect(Message(parsing: octets).deviations.isEmpty)
        guard case .feedback(let report) = try ReportMail.find(in: octets) else {
            Issue.record("another kind of report")
            return
        }
        #expect(report.problems.isEmpty)
        #expect(report.feedbackType == "auth-failure")
        #expect(report.authFailure == "dmarc")
        #expect(report.identityAlignment == ["dkim", "spf"])
        #expect(report.sourceIP == IPAddress("203.0.113.9"))
        #expect(report.incidents == 3)
        #expect(report.deliveryResult == "reject")
        #expect(report.reportedDomains == ["kartapuce.test"])
        #expect(report.dkimSelector == "k1")
        let hash = try FailureReportRedactor(key: Self.key).hash("alice.private")
        #expect(report.originalMailFrom == "<\(hash)@kartapuce.test>")
        #expect(report.dkimIdentity == "\(hash)@kartapuce.test")
        let original = try #require(report.original)
        #expect(original.isHeaderOnly)
        let header = HeaderSection(parsing: ByteBuffer(bytes: original.octets))
        #expect(header.map { $0.name.lowercased() } == ["from", "sender", "reply-to", "date", "message-id", "dkim-signature", "list-id"])
        #expect(header.first(named: "From")?.value == "\(hash)@kartapuce.test")
        #expect(header.first(named: "DKIM-Signature")?.value.contains("z=") == false)
    }

    @Test func textsAreRedacted() throws {
        let redactor = try FailureReportRedactor(key: Self.key)
        let bob = redactor.hash("bob")
        #expect(bob.utf8.count == 16)
        #expect(redactor.redact("bob@x.test") == "\(bob)@x.test")
        #expect(redactor.redact("a <bob@x.test>, smtp.mailfrom=bob@y.test; z") == "a <\(bob)@x.test>, smtp.mailfrom=\(bob)@y.test; z")
        #expect(redactor.redact("@x.test and nothing") == "@x.test and nothing")
        #expect(redactor.redact("\"bob \\\" jones\"@x.test") == "\(redactor.hash("\"bob \\\" jones\""))@x.test")
        #expect(redactor.redact("a@b@c") == "\(redactor.hash("a"))@\(redactor.hash("b"))@c")
        let other = try FailureReportRedactor(key: Self.key + [1])
        #expect(other.hash("bob") != bob)
        #expect(throws: ReportError.self) { try FailureReportRedactor(key: [1, 2, 3]) }
    }

    @Test(.timeLimit(.minutes(3)), arguments: ["@", "a@", "\"@", "=@", "\\\"@"])
    func redactionTakesLinearTime(_ unit: String) throws {
        let redactor = try FailureReportRedactor(key: Self.key)
        let text = String(decoding: ReportSample.repeated(Array(unit.utf8), octets: 200_000), as: UTF8.self)
        #expect(!redactor.redact(text).isEmpty)
    }
}
