import Foundation

/// Postfix, the system's own program with a configuration, a queue and mailboxes of its own.
final class PostfixPeer: MailPeer {
    let files: PeerFolder
    private let postfix: PostfixInstance
    private let child: ChildProcess

    init(_ files: PeerFolder) async throws {
        self.files = files
        try LabFiles.write(Self.greylisting(flag: files.greylistingFile), to: "\(files.path)/greylist.sh", permissions: 0o755)
        let neighbour = files.neighbour
        let users = Neighbour.users + ["rené"]
        postfix = try await PostfixInstance(
            folder: files.path,
            logFile: files.logFile,
            mailboxFolder: "\(files.path)/mail",
            mailboxes: neighbour.domains.flatMap { domain in users.map { ("\($0)@\(domain)", $0) } },
            parameters: """
                myhostname = \(neighbour.host)
                mydomain = \(neighbour.domain)
                inet_interfaces = all
                smtp_bind_address = \(neighbour.address)
                mynetworks = \(files.plan.providerNetwork)
                virtual_mailbox_domains = \(neighbour.domains.joined(separator: ", "))
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
                """,
            services: """
                \(neighbour.address):25 inet n - n - - smtpd
                \(neighbour.plainAddress):25 inet n - n - - smtpd
                    -o smtpd_tls_security_level=none
                greylist unix - n n - 0 spawn
                    user=nobody argv=/bin/sh \(files.path)/greylist.sh
                plainsmtp unix - - n - - smtp
                    -o smtp_tls_security_level=none
                """,
            resolver: files.plan.nsresolve
        )
        child = try postfix.start(name: neighbour.name)
        do {
            for address in [neighbour.address, neighbour.plainAddress] { try await postfix.waitUntilAnswering(child, address: address, port: 25) }
        } catch {
            await stop()
            throw error
        }
    }

    func stop() async { await postfix.stop(child) }

    func retryQueue() async throws { try await postfix.retryQueue() }

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
