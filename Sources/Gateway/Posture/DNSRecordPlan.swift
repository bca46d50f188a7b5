import ACME
import Crypto
public import DNS
import DNSUpdate
import FoundationEssentials
import MailAuthentication
import TransportSecurity

/// The records that the DNS must have for a domain of the configuration, each with its reason, and what can't be known here.
public struct DNSRecordPlan: Sendable {
    /// All records of one type at one name.
    public struct RecordSet: Sendable {
        /// The name.
        public var name: DomainName
        /// The type.
        public var type: DNSRecordType
        /// The data, as a zone file writes it.
        public var lines: [String]
        /// Why.
        public var reason: String
        /// The data to send.
        var records: [UpdateRecordData]
        /// Other records of the type may stand there: those of whom this word begins are ours.
        var ownPrefix: String?
    }

    /// The domain.
    public let domain: DomainName
    /// What is to be published.
    public private(set) var sets: [RecordSet] = []
    /// What belongs into the zone of whoever gave the addresses.
    public private(set) var reverse: [(name: DomainName, host: DomainName)] = []
    /// What is missing, and how to say it.
    public private(set) var gaps: [String] = []
    /// How long others may keep the records.
    public let timeToLive: UInt32

    /// Puts the records together.
    /// - Throws: ``HostError`` for a domain that isn't the organisation's, ``PKIError`` where keys can't be read.
    public init(for domain: DomainName, _ configuration: Configuration) throws {
        guard configuration.domains.contains(domain) else {
            throw HostError("\(domain) isn't one of the domains of this configuration")
        }
        self.domain = domain
        let settings = configuration.dns ?? Configuration.DNSSettings()
        timeToLive = UInt32(settings.timeToLiveSeconds)
        let exchangers = Self.exchangers(configuration, settings)
        exchange(exchangers, settings, configuration.clientServices)
        tlsa(exchangers, configuration)
        spf(exchangers, configuration, settings)
        try dkim(configuration)
        let reports = settings.reports ?? (configuration.reports == nil ? nil : configuration.reportSender)
        // A host that only plays a part of the organisation's doesn't know what the others offer, and denies nothing in their name.
        let speaksForAll = configuration.dns != nil || configuration.roles.isSuperset(of: [.mx, .relay, .submission, .store])
        if speaksForAll {
            dmarc(settings, reports.map { "\($0)" })
        } else {
            gaps.append("what receivers do with forgeries (DMARC), and where mail programs connect (SRV): add the section dns")
        }
        mtaSTS(configuration, exchangers, settings)
        tlsrpt(reports.map { "\($0)" })
        logo(settings)
        certificateAuthorities(configuration, settings)
        if speaksForAll { services(configuration) }
        clientSettings(configuration, exchangers, settings)
    }

    // MARK: Adding

    private mutating func add(_ labels: String, _ records: [UpdateRecordData], _ reason: String, ownPrefix: String? = nil) {
        guard let name = labels.isEmpty ? domain : try? domain.prefixed(with: labels) else {
            gaps.append("\(labels).\(domain) would be longer than a name can be")
            return
        }
        add(name, records, reason, ownPrefix: ownPrefix)
    }

    private mutating func add(_ name: DomainName, _ records: [UpdateRecordData], _ reason: String, ownPrefix: String? = nil) {
        guard let type = records.first?.type else { return }
        sets.append(RecordSet(name: name, type: type, lines: records.map(\.zoneText), reason: reason, records: records, ownPrefix: ownPrefix))
    }

    // MARK: What is known

    private static func exchangers(_ configuration: Configuration, _ settings: Configuration.DNSSettings) -> [DomainName] {
        if !settings.exchangers.isEmpty { return settings.exchangers }
        guard configuration.roles.contains(.mx), let own = try? DomainName(configuration.hostname) else { return [] }
        return [own]
    }

    private mutating func exchange(_ exchangers: [DomainName], _ settings: Configuration.DNSSettings, _ services: Configuration.ClientServices) {
        guard !exchangers.isEmpty else {
            gaps.append("which hosts take the mail (MX): set dns.exchangers")
            return
        }
        add(
            "", exchangers.enumerated().map { .mx(preference: UInt16(clamping: 10 * ($0.offset + 1)), exchange: $0.element) },
            "the hosts that take the domain's mail")
        let hosts = (exchangers + [services.submissionHost, services.imapHost].compactMap { $0 }).filter { $0.isEqualOrSubdomain(of: domain) }
        var seen: Set<DomainName> = []
        for host in hosts where seen.insert(host).inserted {
            guard let addresses = settings.addresses[host] else {
                gaps.append("the addresses of \(host) (A, AAAA, PTR): set dns.addresses")
                continue
            }
            for isOld in [true, false] {
                let family = addresses.filter { ($0.octets.count == 4) == isOld }
                if !family.isEmpty { add(host, family.map { .address($0) }, "where \(host) is reached\(isOld ? "" : " by IPv6")") }
            }
            reverse += addresses.map { (ReverseName.name(of: $0), host) }
        }
    }

    private mutating func tlsa(_ exchangers: [DomainName], _ configuration: Configuration) {
        guard let files = configuration.certificate, let text = FileManager.default.contents(atPath: files.certificate),
            let first = (try? PEMCertificates.parse(Array(text)))?.first
        else {
            if !exchangers.isEmpty { gaps.append("the key of the mail servers' certificate (TLSA): this configuration has no certificate") }
            return
        }
        let certificate = PeerCertificate(octets: first)
        let state = try? CertificateState.read(folder: configuration.dataFolder)
        // While a key is being changed both are named; a certificate that somebody else renews has one.
        var digests = state?.rollover?.digests ?? []
        let present = Array(SHA256.hash(data: certificate.subjectPublicKeyInfo))
        if !digests.contains(present) { digests.insert(present, at: 0) }
        let names = certificate.summary.names
        for host in exchangers {
            guard names.contains(where: { $0.lowercased() == host.ascii }) else {
                gaps.append("the key of \(host)'s certificate (TLSA): run this on that host")
                continue
            }
            guard let name = try? host.prefixed(with: "_25._tcp") else { continue }
            let reason = digests.count > 1 ? "the keys of the certificate, the present and the next one (DANE)" : "the key of the certificate (DANE)"
            add(name, digests.map { .tlsa(usage: 3, selector: 1, matching: 1, data: $0) }, reason)
        }
    }

    private mutating func spf(_ exchangers: [DomainName], _ configuration: Configuration, _ settings: Configuration.DNSSettings) {
        var senders = settings.senders
        let sends = configuration.roles.contains(.relay)
        if senders.isEmpty, sends, let address = configuration.outboundAddress { senders = [address] }
        if senders.isEmpty, sends, let own = try? DomainName(configuration.hostname) {
            senders = settings.addresses[own] ?? []
        }
        guard !senders.isEmpty else {
            gaps.append("which addresses send (SPF): set dns.senders")
            return
        }
        let terms = senders.map { ($0.octets.count == 4 ? "ip4:" : "ip6:") + "\($0)" }
        add(
            "", [.text("v=spf1 \(terms.joined(separator: " ")) -all")], "the addresses that send in the domain's name, and no others (SPF)", ownPrefix: "v=spf1"
        )
        // A notice has no sender: receivers look the greeting's name up instead (RFC 7208 §2.3).
        guard let own = try? DomainName(configuration.hostname), configuration.roles.contains(.relay), own.isSubdomain(of: domain) else { return }
        add(own, [.text("v=spf1 a -all")], "the same for the name that the host gives itself in EHLO", ownPrefix: "v=spf1")
    }

    private mutating func dkim(_ configuration: Configuration) throws {
        let entries = try DKIMKeyFolder(path: configuration.dkimFolder).entries().filter { $0.domain == domain }
        if entries.isEmpty { gaps.append("the keys that sign (DKIM): make them with “postern dkim generate” on the host that signs") }
        for entry in entries {
            let reason =
                switch entry.stage {
                case .published: "a key that will sign (DKIM); rotate when the record is everywhere"
                case .active: "a key that signs (DKIM)"
                case .retired: "a key that signed (DKIM); remove it a week after its retirement"
                }
            add("\(entry.selector.ascii)._domainkey", [.text(entry.record)], reason)
        }
    }

    private mutating func dmarc(_ settings: Configuration.DNSSettings, _ reports: String?) {
        if reports == nil { gaps.append("where reports on mail and on encryption go (DMARC, TLSRPT): set dns.reports") }
        let address = reports.map { "; rua=mailto:\($0)" } ?? ""
        add("_dmarc", [.text("v=DMARC1; p=\(settings.policy)\(address)")], "what receivers do with mail that isn't the domain's own (DMARC)")
    }

    /// The record's edition follows from the policy (RFC 8461 §3.1), which the listener `policy` of role `mx` serves.
    private mutating func mtaSTS(_ configuration: Configuration, _ exchangers: [DomainName], _ settings: Configuration.DNSSettings) {
        guard let record = MTASTSHosting(configuration).record(for: domain) else {
            gaps.append("the policy of MTA-STS: add the section mtaSTS where this runs as on the host that serves it")
            return
        }
        add("_mta-sts", [.text(record)], "that there is a policy of MTA-STS, and which edition")
        guard let host = MTASTSHosting.policyHost(of: domain) else { return }
        served(host, "where the policy of MTA-STS is fetched", exchangers, settings)
    }

    /// The records of a name whose listener `policy` is asked: addresses that are configured, and otherwise the host that takes the mail.
    private mutating func served(_ host: DomainName, _ reason: String, _ exchangers: [DomainName], _ settings: Configuration.DNSSettings) {
        if let addresses = settings.addresses[host] {
            for isOld in [true, false] {
                let family = addresses.filter { ($0.octets.count == 4) == isOld }
                if !family.isEmpty { add(host, family.map { .address($0) }, "\(reason)\(isOld ? "" : " by IPv6")") }
            }
        } else if let exchanger = exchangers.first {
            add(host, [.cname(exchanger)], "\(reason): the host that takes the mail serves it")
        } else {
            gaps.append("\(reason): set dns.addresses for \(host)")
        }
    }

    /// Autoconfig and Autodiscover, which the listener `policy` of role `mx` serves.
    private mutating func clientSettings(_ configuration: Configuration, _ exchangers: [DomainName], _ settings: Configuration.DNSSettings) {
        guard ClientSettingsHosting(configuration) != nil, let autoconfig = Configuration.autoconfigHost(of: domain),
            let autodiscover = Configuration.autodiscoverHost(of: domain)
        else { return }
        served(autoconfig, "where mail programs ask for their settings (Autoconfig)", exchangers, settings)
        served(autodiscover, "where Outlook asks for its settings (Autodiscover)", exchangers, settings)
        // An alias can't be the target (RFC 2782 §1).
        guard let target = settings.addresses[autodiscover] == nil ? exchangers.first : autodiscover else { return }
        add("_autodiscover._tcp", [.srv(priority: 0, weight: 1, port: 443, target: target)], "where Outlook asks, too: the host and its port (Autodiscover)")
    }

    private mutating func tlsrpt(_ reports: String?) {
        guard let reports else { return }
        add("_smtp._tls", [.text("v=TLSRPTv1; rua=mailto:\(reports)")], "where others report failures of encryption (TLSRPT)")
    }

    private mutating func logo(_ settings: Configuration.DNSSettings) {
        guard let logo = settings.logo else { return }
        let evidence = settings.logoCertificate.map { " a=\($0)" } ?? " a=;"
        add("default._bimi", [.text("v=BIMI1; l=\(logo);\(evidence)")], "the logo (BIMI)")
    }

    private mutating func certificateAuthorities(_ configuration: Configuration, _ settings: Configuration.DNSSettings) {
        guard !settings.certificateAuthorities.isEmpty else {
            gaps.append("who may issue certificates (CAA): set dns.certificateAuthorities")
            return
        }
        let account = (try? CertificateState.read(folder: configuration.dataFolder))?.accountURL
        let records = settings.certificateAuthorities.map { authority in
            let bound = configuration.acme == nil ? nil : account
            return UpdateRecordData.caa(isCritical: false, tag: "issue", value: Array((authority.ascii + (bound.map { "; accounturi=\($0)" } ?? "")).utf8))
        }
        add("", records, "who may issue certificates (CAA)")
    }

    /// RFC 8314 §5.1; a service that isn't there is denied (RFC 6186 §3.4).
    private mutating func services(_ configuration: Configuration) {
        let (submissionHost, imapHost) = (configuration.clientServices.submissionHost, configuration.clientServices.imapHost)
        func service(_ host: DomainName?, _ port: UInt16) -> [UpdateRecordData] {
            [.srv(priority: 0, weight: host == nil ? 0 : 1, port: host == nil ? 0 : port, target: host ?? .root)]
        }
        add(
            "_submissions._tcp", service(submissionHost, UInt16(Configuration.ClientServices.submissionPort)),
            submissionHost == nil ? "there is no submission for everybody" : "where mail programs send")
        add(
            "_imaps._tcp", service(imapHost, UInt16(Configuration.ClientServices.imapPort)),
            imapHost == nil ? "there is no IMAP for everybody" : "where mail programs read")
        for label in ["_submission._tcp", "_imap._tcp", "_pop3._tcp", "_pop3s._tcp"] { add(label, service(nil, 0), "not offered") }
    }
}

extension UpdateRecordData {
    /// A TXT record.
    static func text(_ text: String) -> UpdateRecordData { .txt(Array(text.utf8)) }

    /// As a zone file has it (RFC 1035 §5.1).
    var zoneText: String {
        func absolute(_ name: DomainName) -> String { "\(name.ascii)." }
        switch self {
        case .address(let address): return "\(address)"
        case .mx(let preference, let exchange): return "\(preference) \(absolute(exchange))"
        case .txt(let octets):
            // A character-string has 255 octets at most (RFC 1035 §3.3).
            let parts = stride(from: 0, to: max(octets.count, 1), by: 250).map { "\(DNSRecordData.txt(Array(octets.dropFirst($0).prefix(250))))" }
            return parts.count == 1 ? parts[0] : "( \(parts.joined(separator: " ")) )"
        case .cname(let name), .ptr(let name), .ns(let name): return absolute(name)
        case .srv(let priority, let weight, let port, let target): return "\(priority) \(weight) \(port) \(absolute(target))"
        case .tlsa(let usage, let selector, let matching, let data):
            return "\(TLSARecord(usage: usage, selector: selector, matchingType: matching, data: data))"
        case .caa(let isCritical, let tag, let value): return "\(isCritical ? 128 : 0) \(tag) \(DNSRecordData.txt(value))"
        case .raw(_, let data): return "\(DNSRecordData.other(data))"
        }
    }

    /// The same record as an answer of the DNS has it.
    var answerData: DNSRecordData {
        switch self {
        case .address(let address): .address(address)
        case .mx(let preference, let exchange): .mx(preference: preference, exchange: exchange)
        case .txt(let octets): .txt(octets)
        case .cname(let name), .ptr(let name), .ns(let name): .name(name)
        case .srv(let priority, let weight, let port, let target): .srv(priority: priority, weight: weight, port: port, target: target)
        case .tlsa(let usage, let selector, let matching, let data): .tlsa(usage: usage, selector: selector, matching: matching, data: data)
        case .caa(let isCritical, let tag, let value): .other([isCritical ? 128 : 0, UInt8(truncatingIfNeeded: tag.utf8.count)] + Array(tag.utf8) + value)
        case .raw(_, let data): .other(data)
        }
    }

    /// What an answer says, to be sent back.
    init(_ data: DNSRecordData, _ type: DNSRecordType) {
        switch data {
        case .address(let address): self = .address(address)
        case .mx(let preference, let exchange): self = .mx(preference: preference, exchange: exchange)
        case .txt(let octets): self = .txt(octets)
        case .name(let name): self = type == .ptr ? .ptr(name) : type == .ns ? .ns(name) : .cname(name)
        case .tlsa(let usage, let selector, let matching, let octets): self = .tlsa(usage: usage, selector: selector, matching: matching, data: octets)
        case .srv(let priority, let weight, let port, let target): self = .srv(priority: priority, weight: weight, port: port, target: target)
        case .other(let octets): self = .raw(type, octets)
        }
    }
}
