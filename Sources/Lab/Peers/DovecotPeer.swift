import Foundation

/// Dovecot's LMTP server with mailboxes of its own, one of them with a quota that a larger message exceeds.
final class DovecotPeer: MailPeer {
    let files: PeerFolder
    private let child: ChildProcess

    /// The port of its LMTP server.
    static let port = 24
    /// The quota of the user `full`, in octets.
    static let quota = 20_000

    init(_ files: PeerFolder) async throws {
        self.files = files
        let layer = try PeerLayer("dovecot")
        try LabFiles.write(
            """
            alice@\(files.neighbour.routedDomain):{PLAIN}unused::::::
            dave@\(files.neighbour.routedDomain):{PLAIN}unused::::::
            full@\(files.neighbour.routedDomain):{PLAIN}unused::::::userdb_quota_rule=*:bytes=\(Self.quota)

            """,
            to: "\(files.path)/users"
        )
        try LabFiles.write(try await Self.configuration(files), to: "\(files.path)/dovecot.conf")
        let child = try layer.start(
            name: "daemon",
            overrides: files.overrides,
            program: "/usr/sbin/dovecot",
            ["-F", "-c", "\(files.path)/dovecot.conf"],
            folder: files.path
        )
        self.child = child
        do {
            try await Waiting.until("Dovecot answering", timeout: .seconds(30)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "dovecot ended:\n\(child.lastLines())\n\(files.lastLogLines())") }
                return await Waiting.accepts(address: files.neighbour.address, port: Self.port) ? true : nil
            }
        } catch {
            await child.stop()
            throw error
        }
    }

    func stop() async { await child.stop() }

    /// It has no queue.
    func retryQueue() async throws {}

    private static func configuration(_ files: PeerFolder) async throws -> String {
        let owner = try await Command.require("id", ["-u", "nobody"]).outputText.filter(\.isNumber)
        let group = try await Command.require("id", ["-g", "nobody"]).outputText.filter(\.isNumber)
        return """
            protocols = lmtp
            log_path = \(files.logFile)
            ssl = yes
            ssl_cert = <\(files.certificate.certificate)
            ssl_key = <\(files.certificate.key)
            first_valid_uid = 1
            first_valid_gid = 1
            mail_uid = \(owner)
            mail_gid = \(group)
            mail_location = maildir:\(files.path)/mail/%n
            mail_plugins = quota
            plugin {
              quota = count:user quota
              quota_vsizes = yes
              quota_grace = 0
            }
            passdb {
              driver = passwd-file
              args = \(files.path)/users
            }
            userdb {
              driver = passwd-file
              args = \(files.path)/users
            }
            postmaster_address = postmaster@\(files.neighbour.routedDomain)
            # Asked at RCPT, it would refuse only who is over the quota already.
            lmtp_rcpt_check_quota = no
            service lmtp {
              inet_listener lmtp {
                address = \(files.neighbour.address)
                port = \(port)
              }
            }
            protocol lmtp {
              mail_plugins = quota
            }

            """
    }
}
