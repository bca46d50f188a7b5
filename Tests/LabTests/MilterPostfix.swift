import Foundation
import MailTesting

@testable import Lab

/// A Postfix of its own on loopback, with a milter before each of its two ports: no DNS, no TLS, mail into a Maildir.
struct MilterPostfix {
    /// Where it listens: the first port has its milter at an address, the second at a socket of the file system.
    let ports: [Int]
    private let folder: String
    private let child: ChildProcess

    static var isInstalled: Bool { Command.find("postfix") != nil && geteuid() == 0 }

    /// Starts it.
    /// - Parameters:
    ///   - milterPort: where the milter listens.
    ///   - milterPath: where it listens too.
    ///   - version: of the protocol that Postfix speaks.
    init(milterPort: Int, milterPath: String, version: Int) async throws {
        folder = try LabFiles.temporaryFolder("milter")
        ports = try Self.freePorts(2)
        let configuration = "\(folder)/configuration"
        for name in ["configuration", "data", "queue"] { try LabFiles.makeFolder("\(folder)/\(name)") }
        try LabFiles.makeFolder("\(folder)/mail", permissions: 0o777)
        try LabFiles.makeFolder("\(folder)/log", permissions: 0o777)
        try await Command.require("chown", ["postfix", "\(folder)/data"])
        let owner = try await Command.require("id", ["-u", "nobody"]).outputText.filter(\.isNumber)
        let group = try await Command.require("id", ["-g", "nobody"]).outputText.filter(\.isNumber)
        try LabFiles.write("bob@kartapuce.test bob/\n", to: "\(configuration)/mailboxes")
        try LabFiles.write(Self.main(folder, milterPort: milterPort, version: version, owner: owner, group: group), to: "\(configuration)/main.cf")
        try LabFiles.write(Self.master(ports, milterPath: milterPath), to: "\(configuration)/master.cf")
        child = try ChildProcess(
            name: "postfix", program: "postfix", arguments: ["-c", configuration, "start-fg"], folder: folder, logFile: "\(folder)/start.log")
        do {
            for port in ports {
                try await Waiting.until("Postfix answering at port \(port)", timeout: .seconds(30)) { () -> Bool? in
                    guard child.isRunning else { throw LabError(.processFailed, "Postfix ended:\n\(child.lastLines())\n\(log)") }
                    return await Waiting.accepts(address: "127.0.0.1", port: port) ? true : nil
                }
            }
        } catch {
            await stop()
            throw error
        }
    }

    /// Hands a message in on the host itself.
    func handIn(_ message: [UInt8], from sender: String) async throws {
        try await Command.require("sendmail", ["-C", "\(folder)/configuration", "-i", "-f", sender, "bob@kartapuce.test"], input: Data(message))
    }

    /// Ends it, and removes what it wrote.
    func stop() async {
        // Its master is a child of the child: ask it by the number in its own file, then wait for all.
        _ = try? await Command.run("postfix", ["-c", "\(folder)/configuration", "stop"], timeout: .seconds(20))
        await child.stop()
        LabFiles.remove(folder)
    }

    /// The messages that were delivered, as they are in the Maildir, with the line ends that SMTP has.
    var delivered: [Data] {
        get throws {
            let inbox = "\(folder)/mail/bob/new"
            return try LabFiles.list(inbox).map { name in
                let lines = try LabFiles.read("\(inbox)/\(name)").split(separator: 0x0A, omittingEmptySubsequences: false)
                return Data(lines.joined(separator: [0x0D, 0x0A]))
            }
        }
    }

    /// The messages that were put aside.
    var held: Int { Self.files(below: "\(folder)/queue/hold").count }
    var log: String { (try? LabFiles.readText("\(folder)/log/main")) ?? "" }

    private static func files(below path: String) -> [String] {
        LabFiles.list(path).flatMap { name -> [String] in
            let kind = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")[.type] as? FileAttributeType
            return kind == .typeDirectory ? files(below: "\(path)/\(name)") : [name]
        }
    }

    private static func main(_ folder: String, milterPort: Int, version: Int, owner: String, group: String) -> String {
        """
        compatibility_level = 3.6
        queue_directory = \(folder)/queue
        data_directory = \(folder)/data
        maillog_file = \(folder)/log/main
        maillog_file_prefixes = \(folder)
        myhostname = postfix.kartapuce.test
        mydomain = kartapuce.test
        mydestination =
        inet_interfaces = 127.0.0.1
        inet_protocols = ipv4
        mynetworks = 127.0.0.0/8
        alias_maps =
        alias_database =
        local_recipient_maps =
        virtual_mailbox_domains = kartapuce.test
        virtual_mailbox_base = \(folder)/mail
        virtual_mailbox_maps = texthash:\(folder)/configuration/mailboxes
        virtual_uid_maps = static:\(owner)
        virtual_gid_maps = static:\(group)
        virtual_minimum_uid = 1
        virtual_mailbox_limit = 0
        # As for clients from outside, whose header Postfix leaves as it is.
        local_header_rewrite_clients =
        smtpd_relay_restrictions = reject_unauth_destination
        smtpd_tls_security_level = none
        smtpd_peername_lookup = no
        # Tests speak as clients of anywhere.
        smtpd_authorized_xclient_hosts = 127.0.0.1
        smtp_dns_support_level = disabled
        smtp_host_lookup = native
        smtputf8_enable = no
        notify_classes =
        milter_default_action = tempfail
        milter_protocol = \(version)
        smtpd_milters = inet:127.0.0.1:\(milterPort)
        non_smtpd_milters = inet:127.0.0.1:\(milterPort)

        """
    }

    private static func master(_ ports: [Int], milterPath: String) -> String {
        """
        127.0.0.1:\(ports[0]) inet n - n - - smtpd
        127.0.0.1:\(ports[1]) inet n - n - - smtpd
            -o smtpd_milters=unix:\(milterPath)
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

    /// Ports that are free now: Postfix can't be asked which one it got.
    private static func freePorts(_ count: Int) throws -> [Int] {
        var sockets: [Int32] = []
        defer { for socket in sockets { close(socket) } }
        return try (0..<count).map { _ in
            let socket = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            guard socket >= 0 else { throw LabError(.processFailed, "no socket") }
            sockets.append(socket)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            // The structure is the system's own, and the calls read and write no more than its length.
            let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
                unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                    unsafe bind(socket, pointer, length) == 0 && getsockname(socket, pointer, &length) == 0
                }
            }
            guard isBound else { throw LabError(.processFailed, "no free port") }
            return Int(UInt16(bigEndian: address.sin_port))
        }
    }
}
