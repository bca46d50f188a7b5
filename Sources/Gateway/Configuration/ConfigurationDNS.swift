public import DNS
public import MailMessage
import Yams

extension Configuration {
    /// What the DNS is to say of the organisation's domains, as far as nothing else in the configuration tells it.
    public struct DNSSettings: Sendable, Equatable {
        /// The mail servers of the internet's side, the first one preferred; empty: this host, where it has role mx.
        public var exchangers: [DomainName] = []
        /// Addresses of hosts.
        public var addresses: [DomainName: [IPAddress]] = [:]
        /// The addresses that send; empty: `outboundAddress`, and otherwise those of this host where it has role relay.
        public var senders: [IPAddress] = []
        /// What receivers are to do with forgeries (RFC 9989 §4.7).
        public var policy: String = "reject"
        /// Where reports are sent; `nil`: to whom the section reports names, and otherwise nowhere.
        public var reports: EmailAddress?
        /// The host of submission under TLS; `nil`: nobody submits.
        public var submissionHost: DomainName?
        /// The host of IMAP under TLS; `nil`: nobody reads.
        public var imapHost: DomainName?
        /// The logo (BIMI); `nil`: there is none.
        public var logo: String?
        /// Its mark certificate.
        public var logoCertificate: String?
        /// Who may issue certificates; empty: no CAA records are wanted.
        public var certificateAuthorities: [DomainName] = []
        public var timeToLiveSeconds: Int = 3600
        /// The name server that takes updates; `nil`: that of the section acme.
        public var updateServer: IPAddress?
        public var updatePort: Int = 53
        public var updateZone: DomainName?
        public var updateKeyFile: String?
        /// Whether the organisation's domains are checked once a day.
        public var checks: Bool = true
        public init() {}
    }

    private static let dnsFields: [ConfigurationField<DNSSettings>] = {
        let initial = DNSSettings()
        return [
            .init(
                "exchangers", \.exchangers, ConfigurationValue.domain.list(), in: initial, example: "[mail.kartapuce.test]",
                "the mail servers that the internet sends to (MX), the first one preferred; none: this host, where it has role mx"),
            .init(
                "addresses", type: "mapping of hosts", defaultValue: "none", example: "{mail.kartapuce.test: [203.0.113.25, \"2001:db8::25\"]}",
                children: [], "public addresses of hosts"
            ) { target, node, reader in
                guard case .mapping(let mapping) = node else {
                    return reader.reportError(at: node, "must be a mapping of hosts: write “mail.kartapuce.test: [203.0.113.25]”")
                }
                let list = ConfigurationValue.address.list(minimum: 1)
                for (key, value) in mapping {
                    let text = key.scalar?.string ?? ""
                    guard let name = try? DomainName(text) else {
                        reader.reportError(at: key, "“\(text)” is no host's name")
                        continue
                    }
                    if let addresses = reader.within(text, at: key, { reader in list.read(value, &reader) }) { target.addresses[name] = addresses }
                }
            },
            .init(
                "senders", \.senders, ConfigurationValue.address.list(), in: initial, example: "[203.0.113.26]",
                "the addresses that send to the internet (SPF); none: outboundAddress, and otherwise this host's addresses where it has role relay"),
            .init(
                "policy", \.policy, .choice(["none", "quarantine", "reject"]), in: initial, example: "quarantine",
                "what receivers are to do with mail that isn't the domain's own (DMARC)"),
            .init(
                "reports", \.reports, ConfigurationValue.mailAddress.optional, in: initial, example: "dmarc-reports@kartapuce.test",
                "where others send their reports on mail and on encryption; none: to reports.from where that section is there"),
            .init(
                "submissionHost", \.submissionHost, ConfigurationValue.domain.optional, in: initial, example: "mail.kartapuce.test",
                "the host where mail programs send (port 465); none: there is none for everybody"),
            .init(
                "imapHost", \.imapHost, ConfigurationValue.domain.optional, in: initial, example: "imap.kartapuce.test",
                "the host where mail programs read (port 993); none: there is none for everybody"),
            .init(
                "logo", \.logo, ConfigurationValue.httpsURL.optional, in: initial, example: "https://www.kartapuce.test/logo.svg", "the domains' logo (BIMI)"),
            .init(
                "logoCertificate", \.logoCertificate, ConfigurationValue.httpsURL.optional, in: initial, example: "https://www.kartapuce.test/mark.pem",
                "the logo's mark certificate"),
            .init(
                "certificateAuthorities", \.certificateAuthorities, ConfigurationValue.domain.list(), in: initial, example: "[authority.test]",
                "who may issue certificates (CAA), by the names that authorities have there; none: no such records"),
            .init(
                "timeToLiveSeconds", \.timeToLiveSeconds, .duration(unit: 1000, 60...604_800), in: initial, example: "1h",
                "how long others may keep the records"),
            .init(
                "updateServer", \.updateServer, ConfigurationValue.address.optional, in: initial, example: "127.0.0.1",
                "the name server that takes updates (RFC 2136); none: that of the section acme"),
            .init("updatePort", \.updatePort, .port, in: initial, example: "53", "its port"),
            .init(
                "updateZone", \.updateZone, ConfigurationValue.domain.optional, in: initial, example: "kartapuce.test",
                "the zone that is updated; none: the domain itself"),
            .init(
                "updateKeyFile", \.updateKeyFile, ConfigurationValue.path("file").optional, in: initial, example: "update.key",
                "file of the key that signs updates (TSIG); none: that of the section acme"),
            .init(
                "checks", \.checks, .flag, in: initial, example: "true",
                "whether role relay checks the organisation's domains once a day, and tells what the DNS says differently"),
        ]
    }()

    static let dnsField = ConfigurationField<Configuration>(
        "dns", type: "mapping", defaultValue: "none", example: "{exchangers: [mail.kartapuce.test]}",
        children: ConfigurationField.flatten(dnsFields, below: "dns"),
        "what the DNS is to say of domains, for postern dns and for the daily check; none: nobody compares"
    ) { target, node, reader in
        var settings = DNSSettings()
        reader.readMapping(node, dnsFields, into: &settings)
        target.dns = settings
    }

    func checkDNS(_ reader: inout ConfigurationReader) {
        guard let dns else { return }
        if dns.logo == nil, dns.logoCertificate != nil { reader.report(.error, keys: ["dns.logoCertificate", "dns"], "needs dns.logo") }
        if (dns.updateServer == nil) != (dns.updateKeyFile == nil) {
            reader.report(.error, keys: ["dns.updateServer", "dns.updateKeyFile", "dns"], "updateServer and updateKeyFile go together")
        }
    }
}
