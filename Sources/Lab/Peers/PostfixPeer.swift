import Foundation

/// Postfix, the system's own program with a configuration, a queue and mailboxes of its own.
final class PostfixPeer: MailPeer {
    let files: PeerFolder
    private let child: ChildProcess

    private var configurationFolder: String { "\(files.path)/configuration" }

    init(_ files: PeerFolder) async throws {
        self.files = files
        let configuration = "\(files.path)/configuration"
        for name in ["configuration", "data"] { try LabFiles.makeFolder("\(files.path)/\(name)") }
        // Its own programs change owners and modes below the queue's folder, and the folder itself has to be root's alone.
        try LabFiles.makeFolder("\(files.path)/queue")
        try await Command.require("chown", ["postfix", "\(files.path)/data"])
        let users = Neighbour.users + ["rené"]
        let mailboxes = files.neighbour.domains.flatMap { domain in users.map { "\($0)@\(domain) \($0)/\n" } }
        try LabFiles.write(mailboxes.joined(), to: "\(configuration)/mailboxes")
        try LabFiles.write(Self.greylisting(flag: files.greylistingFile), to: "\(files.path)/greylist.sh", permissions: 0o755)
        let owner = try await Command.require("id", ["-u", "nobody"]).outputText.filter(\.isNumber)
        let group = try await Command.require("id", ["-g", "nobody"]).outputText.filter(\.isNumber)
        try LabFiles.write(Self.main(files, owner: owner, group: group), to: "\(configuration)/main.cf")
        try LabFiles.write(Self.master(files), to: "\(configuration)/master.cf")
        guard let unshare = Command.find("unshare"), let postfix = Command.find("postfix") else {
            throw LabError(.missingPrerequisite, "postfix or unshare is not installed; run scripts/install-dependencies.sh")
        }
        let script = "mount --make-rprivate / && mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" -c \"$3\" start-fg"
        child = try ChildProcess(
            name: "postfix",
            program: unshare,
            arguments: ["-m", "sh", "-c", script, "peer", "\(files.overrides)/resolv.conf", postfix, configuration],
            folder: files.path,
            logFile: "\(files.path)/start.log"
        )
        do {
            try await files.waitUntilAnswering(child)
        } catch {
            await stop()
            throw error
        }
    }

    func stop() async {
        // Postfix's master is a child of the child: ask it by the number in its own file, then wait for all.
        _ = try? await Command.run("postfix", ["-c", configurationFolder, "stop"], timeout: .seconds(20))
        await child.stop()
    }

    func retryQueue() async throws { try await Command.require("postqueue", ["-c", configurationFolder, "-f"]) }

    private static func main(_ files: PeerFolder, owner: String, group: String) -> String {
        let neighbour = files.neighbour
        return """
            compatibility_level = 3.6
            queue_directory = \(files.path)/queue
            data_directory = \(files.path)/data
            maillog_file = \(files.logFile)
            maillog_file_prefixes = \(files.path)
            myhostname = \(neighbour.host)
            mydomain = \(neighbour.domain)
            mydestination =
            inet_interfaces = all
            inet_protocols = ipv4
            smtp_bind_address = \(neighbour.address)
            mynetworks = \(files.plan.providerNetwork)
            alias_maps =
            alias_database =
            local_recipient_maps =
            virtual_mailbox_domains = \(neighbour.domains.joined(separator: ", "))
            virtual_mailbox_base = \(files.path)/mail
            virtual_mailbox_maps = texthash:\(files.path)/configuration/mailboxes
            virtual_uid_maps = static:\(owner)
            virtual_gid_maps = static:\(group)
            virtual_minimum_uid = 1
            virtual_mailbox_limit = 0
            message_size_limit = 104857600
            smtpd_relay_restrictions = permit_mynetworks, reject_unauth_destination
            smtpd_recipient_restrictions = check_policy_service unix:private/greylist
            smtpd_tls_cert_file = \(files.certificate.certificate)
            smtpd_tls_key_file = \(files.certificate.key)
            smtpd_tls_security_level = may
            smtpd_tls_loglevel = 1
            smtp_tls_security_level = may
            smtp_tls_CAfile = \(files.authorityFile)
            smtp_tls_loglevel = 1
            smtp_dns_support_level = dnssec
            smtp_host_lookup = dns
            sender_dependent_default_transport_maps = inline:{ { @\(neighbour.plainDomain) = plainsmtp: } }
            minimal_backoff_time = 2s
            maximal_backoff_time = 3s
            queue_run_delay = 2s
            smtputf8_enable = yes
            notify_classes =

            """
    }

    private static func master(_ files: PeerFolder) -> String {
        """
        \(files.neighbour.address):25 inet n - n - - smtpd
        \(files.neighbour.plainAddress):25 inet n - n - - smtpd
            -o smtpd_tls_security_level=none
        greylist unix - n n - 0 spawn
            user=nobody argv=/bin/sh \(files.path)/greylist.sh
        plainsmtp unix - - n - - smtp
            -o smtp_tls_security_level=none
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

        """
    }

    /// A policy server in the protocol of Postfix's SMTPD_POLICY_README.
    private static func greylisting(flag: String) -> String {
        """
        #!/bin/sh
        action=DUNNO
        while read -r line; do
            case "$line" in
                recipient=grey@*) if [ -e "\(flag)" ]; then action='451 4.7.1 greylisted, come back later'; fi ;;
                '') printf 'action=%s\\n\\n' "$action"; action=DUNNO ;;
            esac
        done

        """
    }
}
