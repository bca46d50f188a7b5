public import Foundation

/// The provider of Tom, Alice and Mike: a real Postfix with a configuration, a queue and mailboxes of its own. The system's Postfix isn't touched.
public actor MailProvider {
    public nonisolated let plan: AddressPlan
    private nonisolated let folder: String
    private var child: ChildProcess?

    /// The people who have a mailbox there.
    public static let users = ["tom", "alice", "mike"]
    /// The user that owns the mailboxes: Postfix delivers as somebody who isn't root.
    private static let mailboxOwner = "nobody"

    init(plan: AddressPlan, folder: String, authority: PublicAuthority) async throws {
        self.plan = plan
        self.folder = folder
        let certificate = try await authority.issue(
            host: LabNames.providerHost,
            names: [LabNames.providerHost, LabNames.providerDomain],
            addresses: [plan.provider]
        )
        try await writeConfiguration(certificate: certificate, authority: authority)
    }

    private var configurationFolder: String { "\(folder)/configuration" }
    private nonisolated var mailboxFolder: String { "\(folder)/mailboxes" }
    private var logFile: String { "\(folder)/postfix.log" }

    private func writeConfiguration(certificate: (certificate: String, key: String), authority: PublicAuthority) async throws {
        for name in ["configuration", "queue", "data", "mailboxes"] { try LabFiles.makeFolder("\(folder)/\(name)") }
        try await Command.require("chown", ["postfix", "\(folder)/data"])
        try await Command.require("chown", [Self.mailboxOwner, mailboxFolder])
        let owner = try await Command.require("id", ["-u", Self.mailboxOwner]).outputText.filter(\.isNumber)
        let group = try await Command.require("id", ["-g", Self.mailboxOwner]).outputText.filter(\.isNumber)
        try LabFiles.write("nameserver \(plan.providersResolver)\noptions trust-ad edns0 timeout:3 attempts:2\n", to: "\(folder)/resolv.conf")
        try LabFiles.write(
            Self.users.map { "\($0)@\(LabNames.providerDomain) \($0)/\n" }.joined(),
            to: "\(configurationFolder)/mailboxes"
        )
        try LabFiles.write(
            """
            compatibility_level = 3.6
            queue_directory = \(folder)/queue
            data_directory = \(folder)/data
            maillog_file = \(logFile)
            maillog_file_prefixes = \(folder)
            myhostname = \(LabNames.providerHost)
            mydomain = \(LabNames.providerDomain)
            mydestination =
            inet_interfaces = all
            inet_protocols = ipv4
            smtp_bind_address = \(plan.provider)
            mynetworks = \(plan.providerNetwork)
            alias_maps =
            alias_database =
            local_recipient_maps =
            virtual_mailbox_domains = \(LabNames.providerDomain)
            virtual_mailbox_base = \(mailboxFolder)
            virtual_mailbox_maps = texthash:\(configurationFolder)/mailboxes
            virtual_uid_maps = static:\(owner)
            virtual_gid_maps = static:\(group)
            virtual_minimum_uid = 1
            virtual_mailbox_limit = 0
            message_size_limit = 104857600
            smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
            smtpd_tls_cert_file = \(certificate.certificate)
            smtpd_tls_key_file = \(certificate.key)
            smtpd_tls_security_level = may
            smtpd_tls_received_header = yes
            smtp_tls_security_level = may
            smtp_tls_CAfile = \(authority.certificateFile)
            smtp_tls_loglevel = 1
            smtp_dns_support_level = dnssec
            smtp_host_lookup = dns
            minimal_backoff_time = 3s
            maximal_backoff_time = 5s
            queue_run_delay = 3s
            smtputf8_enable = yes
            notify_classes =

            """,
            to: "\(configurationFolder)/main.cf"
        )
        // The services of Postfix's own master.cf, none in a chroot: there would be no resolv.conf. The address to listen on stands here and not in
        // `inet_interfaces`, because Postfix takes there only addresses that an interface lists, and loopback lists one for all of 127.0.0.0/8.
        try LabFiles.write(
            """
            \(plan.provider):25 inet n - n - - smtpd
            pickup unix n - n 60 1 pickup
            cleanup unix n - n - 0 cleanup
            qmgr unix n - n 300 1 qmgr
            tlsmgr unix - - n 1000? 1 tlsmgr
            rewrite unix - - n - - trivial-rewrite
            bounce unix - - n - 0 bounce
            defer unix - - n - 0 bounce
            trace unix - - n - 0 bounce
            verify unix - - n - 1 verify
            flush unix n - n 1000? 0 flush
            proxymap unix - - n - - proxymap
            proxywrite unix - - n - 1 proxymap
            smtp unix - - n - - smtp
            relay unix - - n - - smtp
            error unix - - n - - error
            retry unix - - n - - error
            discard unix - - n - - discard
            virtual unix - n n - - virtual
            anvil unix - - n - 1 anvil
            scache unix - - n - 1 scache
            postlog unix-dgram n - n - 1 postlogd

            """,
            to: "\(configurationFolder)/master.cf"
        )
    }

    /// Starts Postfix; returns when it answers on port 25.
    public func start() async throws {
        guard child == nil else { return }
        guard let unshare = Command.find("unshare"), let postfix = Command.find("postfix") else {
            throw LabError(.missingPrerequisite, "postfix or unshare is not installed; run scripts/install-dependencies.sh")
        }
        // Postfix reads /etc/resolv.conf and nothing else. In a mount namespace of its own it sees the laboratory's, and nobody else does.
        let script = "mount --make-rprivate / && mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" -c \"$3\" start-fg"
        let child = try ChildProcess(
            name: "provider",
            program: unshare,
            arguments: ["-m", "sh", "-c", script, "provider", "\(folder)/resolv.conf", postfix, configurationFolder],
            launcher: plan.launcher(at: plan.provider),
            folder: folder,
            logFile: "\(folder)/start.log"
        )
        self.child = child
        try await Waiting.until("the provider's Postfix answering on port 25", timeout: .seconds(30)) { () -> Bool? in
            guard child.isRunning else { throw LabError(.processFailed, "the provider's Postfix ended:\n\(child.lastLines())\n\(lastLogLines())") }
            return await Waiting.accepts(address: plan.provider, port: 25, in: plan) ? true : nil
        }
    }

    /// Ends Postfix; its queue and mailboxes stay.
    public func stop() async {
        guard let child else { return }
        self.child = nil
        // Postfix's master is a child of the child: ask it by the number in its own file, as `postfix stop` does, then wait for all.
        _ = try? await Command.run("postfix", ["-c", configurationFolder, "stop"], timeout: .seconds(20))
        await child.stop()
    }

    /// Has Postfix try everything in its queue now.
    public func retryQueue() async throws {
        try await Command.require("postqueue", ["-c", configurationFolder, "-f"])
    }

    /// The last lines of Postfix's log.
    public func lastLogLines(_ count: Int = 12) -> String {
        ((try? LabFiles.readText(logFile)) ?? "").split(separator: "\n").suffix(count).joined(separator: "\n")
    }

    /// The messages in somebody's mailbox, oldest name first, with the line ends that SMTP has.
    public nonisolated func messages(of user: String) throws -> [Data] {
        let folder = "\(mailboxFolder)/\(user)/new"
        return try LabFiles.list(folder).map { Self.withNetworkLineEnds(try LabFiles.read("\(folder)/\($0)")) }
    }

    /// Postfix stores lines with LF alone; on the wire they had CRLF.
    static func withNetworkLineEnds(_ data: Data) -> Data {
        var result = [UInt8]()
        result.reserveCapacity(data.count + data.count / 32)
        for byte in data {
            if byte == 0x0A { result.append(0x0D) }
            result.append(byte)
        }
        return Data(result)
    }
}
