import ACME
public import DNS
import Yams

extension Configuration {
    /// What mail programs are told at the listener `policy`: where to read and to send (Autoconfig and Autodiscover).
    public struct ClientSettings: Sendable, Equatable {
        /// How mail programs call the organisation; `nil`: as the domain is called.
        public var name: String?
        /// The host of IMAP under TLS; `nil`: `dns.imapHost`, or this host where it listens.
        public var imapHost: DomainName?
        /// The host of submission under TLS; `nil`: `dns.submissionHost`, or this host where it listens.
        public var submissionHost: DomainName?
        public init() {}
    }

    /// Where mail programs read and send: the one source of SRV records, of Autoconfig and of Autodiscover, so that they say the same.
    public struct ClientServices: Sendable, Equatable {
        /// The host of IMAP; `nil` where there is none for everybody.
        public var imapHost: DomainName?
        /// The host of submission; `nil` where there is none for everybody.
        public var submissionHost: DomainName?
        /// TLS from the first octet (RFC 8314 §3.2).
        public static let imapPort = 993
        /// TLS from the first octet (RFC 8314 §3.3).
        public static let submissionPort = 465
    }

    /// Where mail programs read and send.
    public var clientServices: ClientServices {
        /// This host, where it offers the service itself.
        func own(_ kind: Listener.Kind) -> DomainName? { listeners.contains { $0.kind == kind } ? try? DomainName(hostname) : nil }
        return ClientServices(
            imapHost: clients?.imapHost ?? dns?.imapHost ?? own(.imaps),
            submissionHost: clients?.submissionHost ?? dns?.submissionHost ?? own(.submissions))
    }

    private static let clientFields: [ConfigurationField<ClientSettings>] = {
        let initial = ClientSettings()
        return [
            .init(
                "name", \.name, ConfigurationValue.line("a name such as Kartapuce").optional, in: initial, example: "Kartapuce",
                "how mail programs call the organisation; none: as the domain is called"),
            .init(
                "imapHost", \.imapHost, ConfigurationValue.domain.optional, in: initial, example: "imap.kartapuce.test",
                "the host where mail programs read (port 993); none: dns.imapHost, or this host where it has a listener imaps"),
            .init(
                "submissionHost", \.submissionHost, ConfigurationValue.domain.optional, in: initial, example: "msa.kartapuce.test",
                "the host where mail programs send (port 465); none: dns.submissionHost, or this host where it has a listener submissions"),
        ]
    }()

    static let clientsField = ConfigurationField<Configuration>(
        "clients", type: "mapping", defaultValue: "none", example: "{imapHost: imap.kartapuce.test, submissionHost: msa.kartapuce.test}",
        children: ConfigurationField.flatten(clientFields, below: "clients"),
        "what role mx tells mail programs on the listener policy (Autoconfig, Autodiscover), and postern dns says of it; none: nothing"
    ) { target, node, reader in
        var settings = ClientSettings()
        reader.readMapping(node, clientFields, into: &settings)
        target.clients = settings
    }

    func checkClients(_ reader: inout ConfigurationReader) {
        guard let clients else { return }
        let services = clientServices
        for (key, word, host, own, other) in [
            ("imapHost", "read", services.imapHost, clients.imapHost, dns?.imapHost),
            ("submissionHost", "send", services.submissionHost, clients.submissionHost, dns?.submissionHost),
        ] {
            let keys = ["clients.\(key)", "clients"]
            if host == nil { reader.report(.error, keys: keys, "where mail programs \(word) can't be known here: name the host") }
            if let own, let other, own != other {
                reader.report(.error, keys: keys, "is \(own), and dns.\(key) is \(other): mail programs would be told two things; keep one of the keys")
            }
        }
        guard roles.contains(.mx) else { return }
        if !listeners.contains(where: { $0.kind == .policy }) {
            reader.report(.warning, keys: ["clients"], "mail programs can't ask here: add a listener policy, or have another server tell them")
        } else if let acme {
            let missing = clientHosts.filter { name in !acme.names.contains { $0.covers(name) } }
            if !missing.isEmpty {
                reader.report(
                    .warning, keys: ["acme.names", "clients"],
                    "mail programs believe only a certificate for \(missing.map(\.ascii).joined(separator: ", ")): add what is missing to acme.names")
            }
        }
    }

    /// `autoconfig.kartapuce.test`
    static func autoconfigHost(of domain: DomainName) -> DomainName? { try? domain.prefixed(with: "autoconfig") }

    /// `autodiscover.kartapuce.test`
    static func autodiscoverHost(of domain: DomainName) -> DomainName? { try? domain.prefixed(with: "autodiscover") }

    /// The names of the domains that mail programs ask.
    private var clientHosts: [DomainName] {
        domains.flatMap { [Self.autoconfigHost(of: $0), Self.autodiscoverHost(of: $0)].compactMap { $0 } }
    }
}

extension CertificateName {
    /// Whether a certificate with this name is one for a host (RFC 9525 §6.3).
    fileprivate func covers(_ host: DomainName) -> Bool { isWildcard ? host.parent == domain : host == domain }
}
