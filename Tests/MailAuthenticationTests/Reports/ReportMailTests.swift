import DNS
import Foundation
import MailAuthentication
import MailMessage
import NIOCore
import Testing

struct ReportMailTests {
    private func base64(_ octets: [UInt8]) -> String { Data(octets).base64EncodedString(options: [.lineLength76Characters, .endLineWithLineFeed]) }

    private func mail(_ type: String, _ body: String, encoding: String = "base64", more: String = "") -> [UInt8] {
        Array("From: Bob <bob@receiver.test>\nSubject: x\nContent-Type: \(type)\nContent-Transfer-Encoding: \(encoding)\n\(more)\n\(body)\n".utf8)
    }

    private func found(_ octets: [UInt8], _ limits: ReportLimits = ReportLimits()) throws -> ReceivedReport {
        try ReportMail.find(in: ByteBuffer(bytes: octets), limits: limits)
    }

    private func code(_ octets: [UInt8], _ limits: ReportLimits = ReportLimits()) -> ReportError.Code? {
        do {
            _ = try found(octets, limits)
            return nil
        } catch {
            return (error as? ReportError)?.code
        }
    }

    /// Types and names are wrong too often to decide anything.
    @Test(arguments: [
        "application/gzip", "application/x-gzip", "application/octet-stream; name=\"a!b!1!2.xml.gz\"", "application/zip", "text/xml", "image/png",
        "text/plain",
    ])
    func theMessageMayBeTheAttachment(_ type: String) throws {
        let report = try found(mail(type, base64(ReportSample.report.gzip())))
        guard case .dmarcAggregate(let aggregate) = report else {
            Issue.record("another kind of report")
            return
        }
        #expect(aggregate.metadata == ReportSample.report.metadata)
    }

    @Test func plainXMLIsFound() throws {
        let xml = String(decoding: ReportSample.xml(), as: UTF8.self)
        for type in ["text/xml", "application/xml", "text/plain"] {
            #expect(code(mail(type, xml, encoding: "7bit")) == nil)
            #expect(code(mail(type, xml.replacing("=", with: "=3D"), encoding: "quoted-printable")) == nil)
        }
        #expect(code(mail("text/plain", "<hello> bob", encoding: "7bit")) == .noReport)
        #expect(code(mail("text/html", "<html><p>feedback</p></html>", encoding: "7bit")) == .noReport)
        #expect(code(mail("text/xml", "<other/>", encoding: "7bit")) == .notAReport)
    }

    @Test func theReportIsFoundAmongOtherParts() throws {
        let parts = [
            "Content-Type: text/html\n\n<p>Hello</p>", "Content-Type: text/xml\n\n<other/>",
            "Content-Type: application/octet-stream\nContent-Transfer-Encoding: base64\n\n\(base64(try ReportSample.report.gzip()))",
        ]
        let body = parts.map { "--b\n\($0)\n" }.joined() + "--b--"
        for type in ["multipart/mixed; boundary=b", "multipart/report; report-type=dmarc; boundary=b"] {
            #expect(code(mail(type, body, encoding: "7bit")) == nil)
        }
        var limits = ReportLimits()
        limits.messageParts = 2
        #expect(code(mail("multipart/mixed; boundary=b", body, encoding: "7bit"), limits) == .notAReport)
        limits.inputOctets = 10
        #expect(code(mail("multipart/mixed; boundary=b", body, encoding: "7bit"), limits) == .tooLarge)
    }

    @Test func reportsOnTLSAreHandedOn() throws {
        let json = #"{"organization-name": "R"}"#
        #expect(try found(mail("application/tlsrpt+json", json, encoding: "7bit")) == .tls(Array((json + "\n").utf8)))
        #expect(try ReportMail.read(file: Array(json.utf8)) == .tls(Array(json.utf8)))
    }

    @Test func filesAreReadAsTheyAre() throws {
        let xml = try ReportSample.report.xml()
        let plain = try ReportMail.read(file: xml)
        #expect(try ReportMail.read(file: ReportSample.report.gzip()) == plain)
        #expect(throws: ReportError.self) { try ReportMail.read(file: []) }
        #expect(throws: ReportError.self) { try ReportMail.read(file: Array("hello".utf8)) }
    }

    // MARK: - Reports that are sent

    private func message(_ uniqueID: String? = nil) throws -> DMARCReportMessage {
        DMARCReportMessage(
            report: ReportSample.report, submitter: try DomainName("receiver.test"), from: try EmailAddress(parsing: "dmarc@receiver.test"),
            to: try EmailAddress(parsing: "reports@kartapuce.test"), date: MessageDate(Date(timeIntervalSince1970: 1_795_910_400)),
            messageID: "42.x@receiver.test", uniqueID: uniqueID)
    }

    @Test func whatIsSentIsFound() throws {
        let octets = try message().serialized()
        #expect(try octets == message().serialized())
        guard case .dmarcAggregate(let report) = try ReportMail.find(in: octets) else {
            Issue.record("another kind of report")
            return
        }
        #expect(report.metadata == ReportSample.report.metadata)
        #expect(octets.readableBytesView.allSatisfy { $0 < 0x80 })
        let lines = String(buffer: octets).components(separatedBy: "\r\n")
        #expect(lines.allSatisfy { $0.utf8.count <= 998 && !$0.contains("\n") && !$0.contains("\r") })
    }

    /// RFC 9990 §3.5.2.
    @Test func headerAndNameAreAsTheStandardSays() throws {
        let parsed = Message(parsing: try message().serialized())
        #expect(parsed.deviations.isEmpty)
        #expect(parsed.subject == "Report Domain: kartapuce.test Submitter: receiver.test Report-ID: <42.x@receiver.test>")
        #expect(parsed.messageID == "<42.x@receiver.test>")
        #expect(parsed.header.first(named: "Auto-Submitted")?.value == "auto-generated")
        #expect(parsed.from.mailboxes.first?.address?.description == "dmarc@receiver.test")
        let attachment = try #require(parsed.allParts.last)
        #expect(attachment.contentType.mediaType == "application/gzip")
        #expect(attachment.filename == "receiver.test!kartapuce.test!1795824000!1795910399.xml.gz")
        #expect(try message("abc123").fileName() == "receiver.test!kartapuce.test!1795824000!1795910399!abc123.xml.gz")
    }

    @Test func namesThatCantStandInAMessageAreRefused() throws {
        #expect(throws: ReportError.self) { try self.message("a/b").fileName() }
        #expect(throws: ReportError.self) { try self.message("").fileName() }
        for reportID in ["", "a b", "<a", "a@b@c", "a..b", "a\r\nBcc: attacker@x.test", "é"] {
            var message = try self.message()
            message.report.metadata.reportID = reportID
            #expect(throws: ReportError.self) { try message.subject() }
            #expect(throws: ReportError.self) { try message.serialized() }
        }
        var message = try self.message()
        message.report.policy.domain = "a\"; x=\r\n.test"
        #expect(throws: ReportError.self) { try message.serialized() }
        message = try self.message()
        message.report.records = []
        #expect(throws: ReportError.self) { try message.serialized() }
    }
}
