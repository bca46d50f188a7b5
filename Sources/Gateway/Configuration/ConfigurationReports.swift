import DNS
public import MailMessage
import Yams

extension Configuration {
    /// Reports about mail: those that the inside makes for other organisations, and those that come about ours.
    public struct ReportSettings: Sendable, Equatable {
        /// Reports on single messages.
        public struct Failures: Sendable, Equatable {
            public var enabled: Bool = false
            public var perDomain: Int = 10
            public var perDay: Int = 100
            public init() {}
        }
        /// Whether other organisations get aggregate reports, where they ask for them.
        public var aggregates: Bool = true
        /// Whether other organisations get reports on TLS, where they ask for them.
        public var tls: Bool = true
        /// Who sends reports; `nil`: `dmarc-reports` at the organisation's first domain.
        public var from: EmailAddress?
        /// How the organisation calls itself; `nil`: its first domain.
        public var organization: String?
        /// The hour of UTC from which on a day's reports are sent, the day after.
        public var hour: Int = 1
        /// Addresses whose mail is read as reports; `nil`: that of ``from``.
        public var receive: [EmailAddress]?
        /// The path where the listener `policy` takes reports on TLS; `nil`: it takes none.
        public var httpsPath: String?
        /// How many reports on TLS the clients of a network may send there in a minute.
        public var httpsPerMinute: Int = 30
        public var failures: Failures = .init()
        /// How long reports are kept, those that came and those that were sent.
        public var keepDays: Int = 180
        public init() {}
    }

    /// Who sends reports.
    public var reportSender: EmailAddress {
        reports?.from ?? EmailAddress(localPart: "dmarc-reports", domain: domains.first?.ascii ?? hostname)
    }

    /// The addresses whose mail is read as reports, in lower case.
    public var reportAddresses: Set<EmailAddress> {
        guard let reports else { return [] }
        return Set((reports.receive ?? [reportSender]).map(\.lowercased))
    }

    /// Where reports go that come another way than by mail; `nil` where none are taken.
    var firstReportAddress: EmailAddress? {
        guard let reports else { return nil }
        guard let addresses = reports.receive else { return reportSender }
        return addresses.first
    }

    private static let failureFields: [ConfigurationField<ReportSettings.Failures>] = {
        let initial = ReportSettings.Failures()
        return [
            .init(
                "enabled", \.enabled, .flag, in: initial, example: "false",
                "whether reports on single messages are sent (RFC 9991), redacted; they can tell strangers who writes to whom, and few receivers send them"),
            .init("perDomain", \.perDomain, .integer(1...10_000), in: initial, example: "10", "how many a domain gets in a day at most"),
            .init("perDay", \.perDay, .integer(1...100_000), in: initial, example: "100", "how many are sent in a day at most"),
        ]
    }()

    private static let reportFields: [ConfigurationField<ReportSettings>] = {
        let initial = ReportSettings()
        return [
            .init(
                "aggregates", \.aggregates, .flag, in: initial, example: "true",
                "whether domains that ask for it are told once a day what came in their name (RFC 9990)"),
            .init(
                "tls", \.tls, .flag, in: initial, example: "true",
                "whether domains that ask for it are told once a day how sessions with their hosts were protected (RFC 8460)"),
            .init(
                "from", \.from, ConfigurationValue.mailAddress.optional, in: initial, example: "dmarc-reports@kartapuce.test",
                "who sends reports; none: dmarc-reports at the first of domains"),
            .init(
                "organization", \.organization, ConfigurationValue.line("a name such as Kartapuce").optional, in: initial, example: "Kartapuce",
                "how reports call this organisation; none: the first of domains"),
            .init("hour", \.hour, .integer(0...23), in: initial, example: "1", "the hour (UTC) from which on the reports of the day before are sent"),
            .init(
                "receive", \.receive, ConfigurationValue.mailAddress.list().optional, in: initial, example: "[dmarc-reports@kartapuce.test]",
                "addresses whose mail is read as reports, with a mailbox or without; none: that of from"),
            .init(
                "httpsPath", \.httpsPath, ConfigurationValue.webPath.optional, in: initial, example: "/.well-known/tlsrpt",
                "where the listener policy of role mx takes reports on TLS, and hands them to the first address of receive; none: it takes none"),
            .init(
                "httpsPerMinute", \.httpsPerMinute, .integer(1...10_000), in: initial, example: "30",
                "how many reports the clients of a network (/24, or /48 of IPv6) may send there in a minute; the others are to come again in the next one"),
            .init("failures", \.failures, fields: failureFields, "reports on single messages; the edge must have the same, as it keeps what they are made of"),
            .init(
                "keepDays", \.keepDays, .duration(unit: 86_400_000, 2...3650), in: initial, example: "180d",
                "how long reports that came are kept, and what was counted for those that were sent"),
        ]
    }()

    static let reportsField = ConfigurationField<Configuration>(
        "reports", type: "mapping", defaultValue: "none", example: "{organization: Kartapuce}",
        children: ConfigurationField.flatten(reportFields, below: "reports"),
        "reports by DMARC on mail, and on TLS: role store sends and receives them, postern milter sends those on mail; none: neither"
    ) { target, node, reader in
        var settings = ReportSettings()
        reader.readMapping(node, reportFields, into: &settings)
        target.reports = settings
    }

    func checkReports(_ reader: inout ConfigurationReader) {
        guard let reports else { return }
        let own = Set(domains)
        func isOwn(_ address: EmailAddress) -> Bool { (try? DomainName(address.domain)).map(own.contains) ?? false }
        if !isOwn(reportSender) {
            reader.report(
                .error, keys: ["reports.from", "reports"],
                "\(reportSender) is of no domain in domains: reports must be signed as ours (RFC 9990 §3.5.2); give an address of one of them")
        }
        for address in reports.receive ?? [] where !isOwn(address) {
            reader.report(.error, keys: ["reports.receive", "reports"], "\(address) is of no domain in domains, so that its mail never comes here")
        }
        if reports.httpsPath != nil, firstReportAddress == nil {
            reader.report(.error, keys: ["reports.receive", "reports"], "has no address, and reports that come to reports.httpsPath go to the first one")
        }
        if roles.isEmpty {
            // postern milter sends them.
            if reports.httpsPath != nil {
                reader.report(
                    .warning, keys: ["reports.httpsPath", "reports"], "does nothing here: postern milter sends reports on mail, and reads none that come")
            }
            if authentication.mode == .off {
                reader.report(.warning, keys: ["authentication.mode", "reports"], "nothing is judged, so that there is nothing to report on")
            }
            return
        }
        let isEdge = roles.contains(.mx) && !roles.contains(.store)
        guard roles.contains(.store) else {
            if !isEdge || !reports.failures.enabled && reports.httpsPath == nil {
                reader.report(
                    .warning, keys: ["reports"],
                    "is used by role store, which collects the journeys, and by role mx where reports.failures.enabled is true or reports.httpsPath is set; here it does nothing"
                )
            }
            return
        }
        if !journeys.enabled {
            reader.report(.error, keys: ["journeys.enabled", "reports"], "reports are made of journeys: set journeys.enabled to true, or remove reports")
        }
        let sends = reports.aggregates || reports.tls || reports.failures.enabled
        if sends, !roles.contains(.relay), peers[.relay]?.linkPort == nil {
            reader.report(
                .error, keys: ["reports", "peers"],
                "reports leave by the host that sends to the internet: add role relay, or peers.relay with host, address and linkPort; or set reports.aggregates and reports.tls to false"
            )
        }
        let asks = reports.aggregates || reports.failures.enabled
        if asks, !roles.contains(.relay), !roles.contains(.mx), peers[.relay]?.controlPort == nil, peers[.mx]?.controlPort == nil {
            reader.report(
                .warning, keys: ["reports", "peers.relay", "peers"],
                "whether another organisation agrees to get reports is asked in the DNS by this very host, as no peers.relay or peers.mx has a controlPort"
            )
        }
        if reports.tls, !roles.contains(.relay), peers[.relay] != nil, peers[.relay]?.controlPort == nil {
            reader.report(
                .warning, keys: ["reports.tls", "reports", "peers.relay", "peers"],
                "reports on TLS that a domain wants by HTTPS are sent by the relay, which is asked over control: without peers.relay.controlPort they aren't sent"
            )
        }
        if !reportAddresses.contains(reportSender.lowercased) {
            reader.report(
                .warning, keys: ["reports.receive", "reports"],
                "doesn't have \(reportSender): what receivers answer to our reports is lost unless a mailbox or alias has that address")
        }
    }
}

extension ConfigurationValue where Value == String {
    /// The path of a resource, as it stands in a URI.
    static var webPath: Self {
        .init(
            name: "path",
            read: { node, reader in
                let line = ConfigurationValue<String>.line("a path such as /.well-known/tlsrpt")
                guard let text = line.read(node, &reader) else { return nil }
                // RFC 3986 §3.3, without what would have to be encoded.
                guard text.hasPrefix("/"), (2...200).contains(text.utf8.count), text.utf8.allSatisfy({ (0x21...0x7E).contains($0) }),
                    !text.contains(where: { "?#%\"\\<>^`{|}".contains($0) })
                else {
                    reader.reportError(at: node, "“\(text)” must be a path such as /.well-known/tlsrpt")
                    return nil
                }
                return text
            },
            show: { $0 }
        )
    }
}

extension ConfigurationValue where Value == EmailAddress {
    /// A mail address.
    static var mailAddress: Self {
        .init(
            name: "mail address",
            read: { node, reader in
                let line = ConfigurationValue<String>.line("an address such as dmarc-reports@kartapuce.test")
                guard let text = line.read(node, &reader) else { return nil }
                do {
                    let address = try EmailAddress(parsing: text)
                    if address.isASCII { return address }
                    reader.reportError(at: node, "“\(text)” must have ASCII characters only")
                } catch {
                    reader.reportError(at: node, "“\(text)” must be an address such as dmarc-reports@kartapuce.test: \(error)")
                }
                return nil
            },
            show: { "\($0)" }
        )
    }
}
