public import Foundation

/// The provider of Tom, Alice and Mike: a real Postfix with a configuration, a queue and mailboxes of its own. The system's Postfix isn't touched.
public actor MailProvider {
    public nonisolated let plan: AddressPlan
    private nonisolated let postfix: PostfixInstance
    private var child: ChildProcess?

    /// The people who have a mailbox there.
    public static let users = ["tom", "alice", "mike"]

    init(plan: AddressPlan, folder: String, authority: PublicAuthority, certificate: PublicAuthority.Issued, attacks: [AttackCase] = []) async throws {
        self.plan = plan
        postfix = try await PostfixInstance(
            folder: folder,
            logFile: "\(folder)/postfix.log",
            mailboxFolder: "\(folder)/mailboxes",
            mailboxes: Self.users.map { ("\($0)@\(LabNames.providerDomain)", $0) } + attacks.map { ($0.recipient, $0.mailbox) },
            parameters: """
                myhostname = \(LabNames.providerHost)
                mydomain = \(LabNames.providerDomain)
                inet_interfaces = all
                smtp_bind_address = \(plan.provider)
                mynetworks = \(plan.providerNetwork)
                virtual_mailbox_domains = \(([LabNames.providerDomain] + attacks.map(\.domain)).joined(separator: ", "))
                message_size_limit = 104857600
                smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
                smtpd_tls_cert_file = \(certificate.certificate)
                smtpd_tls_key_file = \(certificate.key)
                smtpd_tls_security_level = may
                smtpd_tls_received_header = yes
                smtp_tls_security_level = dane
                smtp_tls_CAfile = \(authority.certificateFile)
                smtp_tls_loglevel = 1
                smtp_dns_support_level = dnssec
                smtp_host_lookup = dns
                minimal_backoff_time = 3s
                maximal_backoff_time = 5s
                queue_run_delay = 3s
                smtputf8_enable = yes
                """,
            services: "\(plan.provider):25 inet n - n - - smtpd",
            resolver: plan.providersResolver
        )
    }

    /// Its certificate, by the authority that everybody trusts.
    static func certificate(by authority: PublicAuthority, plan: AddressPlan, furtherNames: [String] = []) async throws -> PublicAuthority.Issued {
        try await authority.issue(
            host: LabNames.providerHost, names: [LabNames.providerHost, LabNames.providerDomain] + furtherNames, addresses: [plan.provider])
    }

    /// Starts Postfix; returns when it answers on port 25.
    public func start() async throws {
        guard child == nil else { return }
        let child = try postfix.start(name: "provider", launcher: plan.launcher(at: plan.provider))
        self.child = child
        try await postfix.waitUntilAnswering(child, address: plan.provider, port: 25, in: plan)
    }

    /// Ends Postfix; its queue and mailboxes stay.
    public func stop() async {
        guard let child else { return }
        self.child = nil
        await postfix.stop(child)
    }

    /// Has Postfix try everything in its queue now.
    public func retryQueue() async throws { try await postfix.retryQueue() }

    /// What it reads instead of the system's `resolv.conf`.
    nonisolated var resolverFile: String? { postfix.resolverFile }
    nonisolated var configurationFolder: String { postfix.configurationFolder }

    /// How Postfix's log says that its session with a host was protected, such as `Verified`; each session's.
    nonisolated func tlsLevels(with host: String) -> [String] {
        postfix.log.split(separator: "\n").filter { $0.contains(" TLS connection established to \(host)[") }
            .compactMap { line in line.split(separator: " TLS connection").first?.split(separator: " ").last.map(String.init) }
    }

    /// The last lines of Postfix's log.
    public func lastLogLines(_ count: Int = 12) -> String { postfix.lastLogLines(count) }

    /// The messages in somebody's mailbox, oldest name first, with the line ends that SMTP has.
    public nonisolated func messages(of user: String) throws -> [Data] { try postfix.messages(of: user) }
}
