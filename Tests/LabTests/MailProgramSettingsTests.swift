import Foundation
import Testing

@testable import Lab

extension InteropKartapuceTests {
    /// What mail programs are told of Kartapuce, asked with curl, read with Python, and used: whoever follows it gets in.
    @Suite struct MailProgramSettingsTests {
        @Test func whoeverFollowsTheSettingsReadsAndSends() async throws {
            let kartapuce = try LabRunning.kartapuce
            let result = try await PythonClient(kartapuce: kartapuce).run(Self.script)
            #expect(result.succeeded, "\(result.errors)\n\(result.outputText)")
        }

        /// The check of our own domain finds them, and says the same of the zone's SRV records.
        @Test func theCheckFindsTheSettingsAndNoOutdatedTLS() async throws {
            let kartapuce = try LabRunning.kartapuce
            let result = try await kartapuce.host("smtp").command(["check", LabNames.domain, "--json", "--fail-on", "none"])
            #expect(result.succeeded, "\(result.errors)")
            struct Report: Decodable {
                struct Finding: Decodable {
                    var code: String
                    var subject: String
                    var text: String
                }
                var findings: [Finding]
            }
            let findings = try JSONDecoder().decode(Report.self, from: result.output).findings
            func subjects(_ code: String) -> Set<String> { Set(findings.filter { $0.code == code }.map(\.subject)) }
            #expect(subjects("clients.settings") == ["autoconfig.kartapuce.test", "autodiscover.kartapuce.test"], "\(result.outputText)")
            #expect(findings.contains { $0.code == "clients.settings" && $0.text.hasSuffix(", as the SRV records do") })
            #expect(subjects("tls.oldRefused") == ["mail.kartapuce.test", "mta-sts.kartapuce.test"], "\(result.outputText)")
            #expect(subjects("tls.oldAccepted").isEmpty && subjects("clients.good") == ["kartapuce.test"])
        }

        private static let script = #"""
            import imaplib, smtplib, subprocess
            import xml.etree.ElementTree as tree

            def curl(url, *more):
                host = url.split("/")[2]
                done = subprocess.run(
                    ["curl", "-sS", "--cacert", lab["ca"], "--resolve", "%s:443:%s" % (host, lab["mail"]), "-w", "\n%{http_code} %{content_type}", url, *more],
                    capture_output=True, text=True, timeout=30)
                assert done.returncode == 0, done.stderr
                body, last = done.stdout.rsplit("\n", 1)
                return int(last.split(" ")[0]), body

            def get_in(imap, smtp, user):
                """Reads and sends as a mail program does with these settings."""
                assert [int(place[1]) for place in (imap, smtp)] == [993, 465], (imap, smtp)
                mailbox = imaplib.IMAP4_SSL(imap[0], 993, ssl_context=trusting, timeout=30)
                assert mailbox.login(user, lab["bobs_password"])[0] == "OK"
                assert mailbox.select("INBOX")[0] == "OK"
                mailbox.logout()
                with smtplib.SMTP_SSL(smtp[0], 465, context=trusting, timeout=30) as sender:
                    sender.login(user, lab["bobs_password"])
                    assert sender.mail(lab["bob"])[0] == 250 and sender.rcpt(lab["jack"])[0] == 250

            # Thunderbird and its like.
            code, body = curl("https://autoconfig.kartapuce.test/mail/config-v1.1.xml?emailaddress=" + lab["bob"].replace("@", "%40"))
            assert code == 200, body
            provider = tree.fromstring(body).find("emailProvider")
            assert provider.findtext("domain") == "kartapuce.test"
            def server(tag):
                found = provider.findall(tag)
                assert len(found) == 1 and found[0].findtext("socketType") == "SSL"
                assert found[0].findtext("username").replace("%EMAILADDRESS%", lab["bob"]) == lab["bob"]
                return found[0].findtext("hostname"), found[0].findtext("port")
            get_in(server("incomingServer"), server("outgoingServer"), lab["bob"])
            assert curl("https://kartapuce.test/.well-known/autoconfig/mail/config-v1.1.xml") == (200, body)
            assert curl("https://autoconfig.kartapuce.test/mail/config-v1.1.xml?emailaddress=nobody%40kartapuce.test") == (200, body)

            # Outlook and its like.
            request = '<?xml version="1.0" encoding="utf-8"?>%s<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006"><Request>' \
                '<EMailAddress>%s</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a' \
                '</AcceptableResponseSchema></Request></Autodiscover>'
            def discover(address, doctype="", host="autodiscover.kartapuce.test"):
                return curl("https://" + host + "/autodiscover/autodiscover.xml", "-H", "Content-Type: text/xml", "--data-binary", request % (doctype, address))
            code, body = discover(lab["bob"])
            assert code == 200, body
            schema = "{http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a}"
            protocols = {found.findtext(schema + "Type"): found for found in tree.fromstring(body).iter(schema + "Protocol")}
            assert set(protocols) == {"IMAP", "SMTP"} and all(found.findtext(schema + "SSL") == "on" for found in protocols.values())
            def place(kind): return protocols[kind].findtext(schema + "Server"), protocols[kind].findtext(schema + "Port")
            get_in(place("IMAP"), place("SMTP"), protocols["IMAP"].findtext(schema + "LoginName"))
            assert discover(lab["bob"], host="mail.kartapuce.test") == (200, body)
            # Nobody learns who has a mailbox, reads a file, or makes much of little.
            assert discover("nobody-at-all@kartapuce.test") == (200, body.replace(lab["bob"], "nobody-at-all@kartapuce.test"))
            assert discover("tom@gmail.test")[0] == 404
            assert discover("&x;@kartapuce.test", '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>')[0] == 400
            assert discover("a" * 9000 + "@kartapuce.test")[0] == 413
            """#
    }
}
