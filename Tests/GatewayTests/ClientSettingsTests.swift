import DNS
import Foundation
import MailTesting
import MailTransport
import NIOCore
import Testing

@testable import Gateway

/// What the listener `policy` tells mail programs (checklist of gateways, A13).
@Suite struct ClientSettingsTests {
    private static func configuration(_ change: (inout Configuration) throws -> Void = { _ in }) throws -> Configuration {
        var configuration = Configuration()
        configuration.hostname = "mail.kartapuce.test"
        configuration.domains = [try DomainName("kartapuce.test"), try DomainName("second.test")]
        configuration.clients = .init()
        configuration.clients?.name = "Kartapuce & <Söhne>"
        configuration.clients?.imapHost = try DomainName("imap.kartapuce.test")
        configuration.clients?.submissionHost = try DomainName("msa.kartapuce.test")
        try change(&configuration)
        return configuration
    }

    private func request(_ method: String, _ url: String, type: String? = nil, _ body: String = "") -> HTTPSServerRequestDescription {
        let rest = url.dropFirst("https://".count)
        let host = rest.prefix { $0 != "/" }
        return .init(method: method, host: String(host), target: String(rest.dropFirst(host.count)), type: type, body: body)
    }

    /// What comes of a request.
    private func ask(_ request: HTTPSServerRequestDescription, _ configuration: Configuration) async -> (status: Int, body: String) {
        let service = PolicyService(configuration, reports: nil)
        var wanted = request.head
        switch service.begin(wanted) {
        case .answer(let response): return (response.status, String(decoding: response.body, as: UTF8.self))
        case .read(let limit):
            guard request.body.utf8.count <= limit else { return (413, "") }
            wanted.body = ByteBuffer(string: request.body)
            let response = await service.answer(wanted)
            return (response.status, String(decoding: response.body, as: UTF8.self))
        }
    }

    private func outlook(_ address: String, schema: String = AutodiscoverRequest.responseSchema, before: String = "") -> String {
        """
        <?xml version="1.0" encoding="utf-8"?>\(before)
        <Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
          <Request>
            <EMailAddress>\(address)</EMailAddress>
            <AcceptableResponseSchema>\(schema)</AcceptableResponseSchema>
          </Request>
        </Autodiscover>
        """
    }

    private func post(
        _ body: String, to url: String = "https://autodiscover.kartapuce.test/autodiscover/autodiscover.xml", type: String? = "text/xml"
    )
        -> HTTPSServerRequestDescription
    { request("POST", url, type: type, body) }

    // MARK: Autoconfig

    @Test func autoconfigTellsImplicitTLSAndNothingElse() async throws {
        let configuration = try Self.configuration()
        let (status, body) = await ask(
            request("GET", "https://autoconfig.kartapuce.test/mail/config-v1.1.xml?emailaddress=bob%40kartapuce.test"), configuration)
        #expect(status == 200)
        for part in [
            "<emailProvider id=\"kartapuce.test\">", "<domain>kartapuce.test</domain>", "<displayName>Kartapuce &amp; &lt;Söhne&gt;</displayName>",
            "<hostname>imap.kartapuce.test</hostname>\n      <port>993</port>\n      <socketType>SSL</socketType>",
            "<hostname>msa.kartapuce.test</hostname>\n      <port>465</port>\n      <socketType>SSL</socketType>",
        ] { #expect(body.contains(part), "\(part) isn't in\n\(body)") }
        #expect(body.ranges(of: "<socketType>").count == 2 && body.ranges(of: "<username>%EMAILADDRESS%</username>").count == 2)
        // Whoever asks learns nothing of people: the answer is the same for everybody.
        for query in ["", "?emailaddress=nobody%40kartapuce.test", "?emailaddress=", "?x"] {
            let other = await ask(request("GET", "https://autoconfig.kartapuce.test/mail/config-v1.1.xml\(query)"), configuration)
            #expect(other.status == 200 && other.body == body, "\(query)")
        }
        let same = await ask(request("GET", "https://kartapuce.test/.well-known/autoconfig/mail/config-v1.1.xml"), configuration)
        #expect(same.body == body)
        let second = await ask(request("GET", "https://autoconfig.second.test/mail/config-v1.1.xml"), configuration)
        #expect(second.body.contains("<domain>second.test</domain>"))
    }

    @Test func onlyOwnDomainsAreToldOf() async throws {
        let configuration = try Self.configuration()
        let own = "https://autoconfig.kartapuce.test/mail/config-v1.1.xml"
        for (method, url, wanted) in [
            ("GET", "https://autoconfig.gmail.test/mail/config-v1.1.xml", 404), ("GET", "https://gmail.test/.well-known/autoconfig/mail/config-v1.1.xml", 404),
            ("GET", "https://autoconfig.kartapuce.test/", 404), ("GET", "https://autoconfig.kartapuce.test/Mail/Config-v1.1.xml", 404),
            ("GET", "https://kartapuce.test/mail/config-v1.1.xml", 404), ("GET", "https://mail.kartapuce.test/mail/config-v1.1.xml", 404),
            ("GET", "https://x.autoconfig.kartapuce.test/mail/config-v1.1.xml", 404), ("HEAD", own, 200), ("POST", own, 405), ("GET", own, 200),
            ("GET", "https://autodiscover.kartapuce.test/autodiscover/autodiscover.xml", 405),
            ("GET", "https://autodiscover.kartapuce.test/autodiscover/autodiscover.json", 404),
            ("POST", "https://autodiscover.gmail.test/autodiscover/autodiscover.xml", 404),
        ] { #expect(await ask(request(method, url, type: "text/xml"), configuration).status == wanted, "\(method) \(url)") }
        // Nothing is told without the section.
        let without = try Self.configuration { $0.clients = nil }
        #expect(await ask(request("GET", own), without).status == 404)
        #expect(await ask(post(outlook("bob@kartapuce.test")), without).status == 404)
    }

    /// `postern config check` looks into the certificates.
    @Test func theCertificateMustHaveTheNames() async throws {
        try await withTemporaryFolder { folder in
            let authority = try LinkAuthority.create()
            func problems(_ hosts: [String], _ sections: String = "clients: {}\nmtaSTS: {}") throws -> [String] {
                let files = try authority.issueServer(hosts: hosts).write(folder: folder, name: "server")
                let yaml = """
                    hostname: mail.kartapuce.test
                    domains: [kartapuce.test]
                    dataFolder: \(folder)/data
                    certificate: {certificate: \(files.certificate), key: \(files.key)}
                    \(sections)

                    """
                let report = Configuration.examine(yaml: yaml, folder: folder, checkingFiles: true)
                return report.problems.map(\.message).filter { $0.contains("whoever asks there") }
            }
            let names = ["mta-sts.kartapuce.test", "autoconfig.kartapuce.test", "autodiscover.kartapuce.test"]
            #expect(try problems(["mail.kartapuce.test"]).first?.hasPrefix("there is no \(names.joined(separator: ", ")), and") == true)
            #expect(try problems(["mail.kartapuce.test"], "mtaSTS: {}").first?.hasPrefix("there is no mta-sts.kartapuce.test, and") == true)
            #expect(try problems(["mail.kartapuce.test"] + names).isEmpty)
        }
    }

    // MARK: Autodiscover

    @Test func autodiscoverTellsImplicitTLSAndNothingElse() async throws {
        let configuration = try Self.configuration()
        let (status, body) = await ask(post(outlook("Bob@kartapuce.test")), configuration)
        #expect(status == 200)
        for part in [
            "<Autodiscover xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006\">",
            "<Response xmlns=\"http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a\">", "<Action>settings</Action>",
            "<Type>IMAP</Type>\n        <Server>imap.kartapuce.test</Server>\n        <Port>993</Port>",
            "<Type>SMTP</Type>\n        <Server>msa.kartapuce.test</Server>\n        <Port>465</Port>",
        ] { #expect(body.contains(part), "\(part) isn't in\n\(body)") }
        for part in ["<SSL>on</SSL>", "<Encryption>SSL</Encryption>", "<LoginName>Bob@kartapuce.test</LoginName>", "<SPA>off</SPA>"] {
            #expect(body.ranges(of: part).count == 2, "\(part)\n\(body)")
        }
        // Whoever isn't there gets what whoever is there gets, with the other name in it.
        let nobody = await ask(post(outlook("nobody-at-all@kartapuce.test")), configuration)
        #expect(nobody.status == 200 && nobody.body.replacing("nobody-at-all", with: "Bob") == body)
        // Every place where Outlook asks, in whatever case it writes it.
        for url in [
            "https://autodiscover.kartapuce.test/Autodiscover/Autodiscover.xml", "https://kartapuce.test/autodiscover/autodiscover.xml",
            "https://mail.kartapuce.test/AutoDiscover/autodiscover.XML", "https://autodiscover.second.test/autodiscover/autodiscover.xml?x=1",
        ] { #expect(await ask(post(outlook("Bob@kartapuce.test"), to: url), configuration).body == body, "\(url)") }
        let second = await ask(post(outlook(" bob@SECOND.test\n")), configuration)
        #expect(second.status == 200 && second.body.contains("<LoginName>bob@second.test</LoginName>"))
        let odd = await ask(post(outlook("&quot;a&lt;b&quot;@kartapuce.test")), configuration)
        #expect(odd.status == 200 && odd.body.contains("<LoginName>\"a&lt;b\"@kartapuce.test</LoginName>"), "\(odd)")
    }

    @Test func hostileRequestsAreRefused() async throws {
        let configuration = try Self.configuration()
        let good = outlook("bob@kartapuce.test")
        let laughs = "<!DOCTYPE a [<!ENTITY b \"c\"><!ENTITY d \"&b;&b;&b;&b;\">]>"
        for (name, body, wanted) in [
            ("good", good, 200), ("nothing", "", 400), ("no XML", "bob@kartapuce.test", 400), ("cut", String(good.dropLast(20)), 400),
            ("a document type", outlook("bob@kartapuce.test", before: "<!DOCTYPE Autodiscover>"), 400),
            ("entities", outlook("&d;@kartapuce.test", before: laughs), 400),
            ("a file", outlook("&x;@kartapuce.test", before: "<!DOCTYPE a [<!ENTITY x SYSTEM \"file:///etc/hostname\">]>"), 400),
            ("an instruction", outlook("bob@kartapuce.test", before: "<?php x?>"), 400),
            ("deep", String(repeating: "<a>", count: 9) + String(repeating: "</a>", count: 9), 400),
            ("many", "<a>" + String(repeating: "<b/>", count: 40) + "</a>", 400),
            ("a long text", outlook(String(repeating: "a", count: 1100) + "@kartapuce.test"), 400),
            ("too much", good + String(repeating: " ", count: 9000), 413), ("no address", outlook(""), 400),
            ("two at-signs", outlook("a@b@kartapuce.test"), 400),
            ("elsewhere", "<Autodiscover><EMailAddress>bob@kartapuce.test</EMailAddress></Autodiscover>", 400),
            ("another schema", outlook("bob@kartapuce.test", schema: "http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006"), 400),
            ("a stranger", outlook("tom@gmail.test"), 404), ("a subdomain", outlook("bob@sub.kartapuce.test"), 404),
            ("an address literal", outlook("bob@[127.0.0.1]"), 404),
        ] {
            let answer = await ask(post(body), configuration)
            #expect(answer.status == wanted, "\(name): \(answer)")
            #expect(!answer.body.contains("hostname"), "\(name)")
        }
        #expect(await ask(post(good, type: "application/json"), configuration).status == 415)
        #expect(await ask(post(good, type: nil), configuration).status == 415)
        #expect(await ask(post(good, type: "application/xml"), configuration).status == 200)
    }
}

/// A request, written shortly.
struct HTTPSServerRequestDescription {
    var method: String
    var host: String
    var target: String
    var type: String?
    var body: String

    var head: HTTPSServerRequest {
        HTTPSServerRequest(
            method: method, target: target, host: host, contentType: type, contentEncoding: nil, client: .v4(0x7f00_0001), clientPort: 1,
            server: .v4(0x7f00_0001), serverPort: 443)
    }
}
