public import DNS
import MailAuthentication
public import MailMessage

/// What mail programs are told of the organisation's domains: where to read and where to send, with TLS from the first octet and nothing else (RFC 8314 §3).
///
/// No answer depends on whether a person exists: it is made of the domain, and of what was asked.
public struct ClientSettingsHosting: Sendable {
    /// Where Thunderbird and its like ask first, at `autoconfig.kartapuce.test`.
    public static let autoconfigPath = "/mail/config-v1.1.xml"
    /// Where they ask at the domain itself.
    public static let wellKnownPath = "/.well-known/autoconfig/mail/config-v1.1.xml"
    /// Where Outlook and its like ask, at `autodiscover.kartapuce.test`; in whatever case.
    public static let autodiscoverPath = "/autodiscover/autodiscover.xml"

    /// What a place tells.
    enum Place: Equatable {
        case autoconfig(DomainName)
        case autodiscover
    }

    private let name: String?
    private let imapHost: DomainName
    private let submissionHost: DomainName
    private let domains: [DomainName]
    /// By host and path.
    private let places: [String: Place]

    /// The settings of a configuration; `nil` where none are told.
    public init?(_ configuration: Configuration) {
        let services = configuration.clientServices
        guard let settings = configuration.clients, let imapHost = services.imapHost, let submissionHost = services.submissionHost else { return nil }
        name = settings.name
        self.imapHost = imapHost
        self.submissionHost = submissionHost
        domains = configuration.domains
        var places = ["\(configuration.hostname.lowercased())\(Self.autodiscoverPath)": Place.autodiscover]
        for domain in configuration.domains {
            places["\(domain.ascii)\(Self.wellKnownPath)"] = .autoconfig(domain)
            if let host = Configuration.autoconfigHost(of: domain) { places["\(host.ascii)\(Self.autoconfigPath)"] = .autoconfig(domain) }
            // The domain itself is where Outlook asks first.
            for host in [Configuration.autodiscoverHost(of: domain), domain] { if let host { places["\(host.ascii)\(Self.autodiscoverPath)"] = .autodiscover } }
        }
        self.places = places
    }

    /// What is asked for; `nil` where it is nothing of ours. The query (`emailaddress=…`) changes nothing.
    func place(host: String, target: String) -> Place? {
        let path = target.prefix { $0 != "?" }
        return places["\(host)\(path)"] ?? places["\(host)\(path.lowercased())"].flatMap { $0 == .autodiscover ? $0 : nil }
    }

    /// Whether an address is in one of our domains.
    func isOurs(_ address: EmailAddress) -> Bool { (try? DomainName(address.domain)).map(domains.contains) ?? false }

    /// A domain's settings in the format of Autoconfig, version 1.1. Mail programs put the address in where `%EMAILADDRESS%` stands.
    public func autoconfig(for domain: DomainName) -> String {
        let name = XMLText.escaped(name ?? "\(domain)")
        func server(_ tag: String, _ type: String, _ host: DomainName, _ port: Int) -> String {
            // The password goes in clear within TLS: there is nothing else that all of them know.
            """
                <\(tag) type="\(type)">
                  <hostname>\(host.ascii)</hostname>
                  <port>\(port)</port>
                  <socketType>SSL</socketType>
                  <authentication>password-cleartext</authentication>
                  <username>%EMAILADDRESS%</username>
                </\(tag)>
            """
        }
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <clientConfig version="1.1">
              <emailProvider id="\(domain.ascii)">
                <domain>\(domain.ascii)</domain>
                <displayName>\(name)</displayName>
                <displayShortName>\(name)</displayShortName>
            \(server("incomingServer", "imap", imapHost, Configuration.ClientServices.imapPort))
            \(server("outgoingServer", "smtp", submissionHost, Configuration.ClientServices.submissionPort))
              </emailProvider>
            </clientConfig>

            """
    }

    /// The answer of Autodiscover in its plain form (MS-OXDSCLI §2.2.4) for an address of ours.
    public func autodiscover(for address: EmailAddress) -> String {
        let login = XMLText.escaped("\(address)")
        func service(_ type: String, _ host: DomainName, _ port: Int, _ more: String = "") -> String {
            """
                  <Protocol>
                    <Type>\(type)</Type>
                    <Server>\(host.ascii)</Server>
                    <Port>\(port)</Port>
                    <DomainRequired>off</DomainRequired>
                    <LoginName>\(login)</LoginName>
                    <SPA>off</SPA>
                    <SSL>on</SSL>
                    <Encryption>SSL</Encryption>
                    <AuthRequired>on</AuthRequired>\(more)
                  </Protocol>
            """
        }
        return """
            <?xml version="1.0" encoding="UTF-8"?>
            <Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006">
              <Response xmlns="\(AutodiscoverRequest.responseSchema)">
                <Account>
                  <AccountType>email</AccountType>
                  <Action>settings</Action>
            \(service("IMAP", imapHost, Configuration.ClientServices.imapPort))
            \(service("SMTP", submissionHost, Configuration.ClientServices.submissionPort, "\n        <UsePOPAuth>on</UsePOPAuth>\n        <SMTPLast>off</SMTPLast>"))
                </Account>
              </Response>
            </Autodiscover>

            """
    }
}
