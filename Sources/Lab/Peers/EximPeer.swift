/// Exim (Debian's exim4-daemon-heavy).
final class EximPeer: MailPeer {
    let files: PeerFolder
    private let layer: PeerLayer
    private let child: ChildProcess

    init(_ files: PeerFolder) async throws {
        self.files = files
        layer = try PeerLayer("exim")
        try LabFiles.write((Neighbour.users + ["rené"]).map { "\($0): \($0)\n" }.joined(), to: "\(files.path)/users")
        // Only from its default path does Exim deliver: with `-C` it gives up root and mail stays in the queue.
        try LabFiles.makeFolder("\(files.overrides)/exim4")
        try LabFiles.write(Self.configuration(files), to: "\(files.overrides)/exim4/exim4.conf")
        child = try layer.start(name: "daemon", overrides: files.overrides, program: "/usr/sbin/exim4", ["-bdf", "-q1s"], folder: files.path)
        do {
            try await files.waitUntilAnswering(child)
        } catch {
            await child.stop()
            throw error
        }
    }

    func stop() async { await child.stop() }

    /// Its queue is run every second anyway.
    func retryQueue() async throws {}

    private static func configuration(_ files: PeerFolder) -> String {
        let neighbour = files.neighbour
        return """
            primary_hostname = \(neighbour.host)
            qualify_domain = \(neighbour.domain)
            domainlist local_domains = \(neighbour.domains.joined(separator: " : "))
            hostlist relay_from = \(files.plan.providerNetwork)
            local_interfaces = \(neighbour.address) : \(neighbour.plainAddress)
            daemon_smtp_ports = 25
            spool_directory = \(files.path)/spool
            log_file_path = \(files.path)/log/%s
            log_selector = -queue_run +pipelining +received_recipients +smtp_confirmation +tls_certificate_verified
            keep_environment =
            tls_advertise_hosts = ${if eq{$received_ip_address}{\(neighbour.plainAddress)}{}{*}}
            tls_certificate = \(files.certificate.certificate)
            tls_privatekey = \(files.certificate.key)
            dsn_advertise_hosts = *
            smtputf8_advertise_hosts = *
            message_size_limit = 100M
            rfc1413_query_timeout = 0s
            # Several messages come at once, from one address and from several connections.
            smtp_accept_max_per_connection = 1000
            smtp_accept_queue_per_connection = 0
            never_users =
            acl_smtp_rcpt = acl_rcpt

            begin acl
            acl_rcpt:
              defer local_parts = grey
                    domains = +local_domains
                    condition = ${if exists{\(files.greylistingFile)}}
                    message = greylisted, come back later
              accept domains = +local_domains
                     verify = recipient
              deny domains = +local_domains
                   message = no such user here
              accept hosts = +relay_from
                     control = submission/sender_retain
              deny message = relaying denied

            begin routers
            remote:
              driver = dnslookup
              domains = ! +local_domains
              transport = smtp
              # Every address of this laboratory is one of this machine.
              self = send
              no_more
            local:
              driver = accept
              local_parts = lsearch;\(files.path)/users
              transport = maildir

            begin transports
            smtp:
              driver = smtp
              interface = \(neighbour.address)
              allow_localhost
              tls_verify_certificates = \(files.authorityFile)
              tls_try_verify_hosts = *
              hosts_avoid_tls = ${if eq{$sender_address_domain}{\(neighbour.plainDomain)}{*}}
              # DANE would keep what goes without TLS back.
              hosts_try_dane = ${if eq{$sender_address_domain}{\(neighbour.plainDomain)}{}{*}}
            maildir:
              driver = appendfile
              directory = \(files.path)/mail/$local_part_data
              maildir_format
              user = nobody
              group = nogroup

            begin retry
            * * F,1h,1s

            """
    }
}
