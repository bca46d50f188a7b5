import Foundation
import MailTesting

@testable import Lab

/// A Postfix of its own on loopback, with a milter before each of its two ports: no DNS, no TLS, mail into a Maildir.
struct MilterPostfix: MilterMTA {
    /// Where it listens: the first port has its milter at an address, the second at a socket of the file system.
    let ports: [Int]
    private let folder: String
    private let postfix: PostfixInstance
    private let child: ChildProcess

    static var isInstalled: Bool { PostfixInstance.isInstalled }

    /// Starts it.
    /// - Parameters:
    ///   - milterPort: where the milter listens.
    ///   - milterPath: where it listens too.
    ///   - version: of the protocol that Postfix speaks.
    ///   - firstPort: where it listens, where that is known.
    init(milterPort: Int, milterPath: String, version: Int, firstPort: Int? = nil) async throws {
        folder = try LabFiles.temporaryFolder("milter")
        let free = try FreePorts.take(2)
        ports = [firstPort ?? free[0], free[1]]
        postfix = try await PostfixInstance(
            folder: folder,
            logFile: "\(folder)/postfix.log",
            mailboxFolder: "\(folder)/mail",
            mailboxes: [("bob@kartapuce.test", "bob")],
            parameters: """
                myhostname = postfix.kartapuce.test
                mydomain = kartapuce.test
                inet_interfaces = 127.0.0.1
                mynetworks = 127.0.0.0/8
                virtual_mailbox_domains = kartapuce.test
                # As for clients from outside, whose header Postfix leaves as it is.
                local_header_rewrite_clients =
                smtpd_relay_restrictions = reject_unauth_destination
                smtpd_tls_security_level = none
                smtpd_peername_lookup = no
                # Tests speak as clients of anywhere.
                smtpd_authorized_xclient_hosts = 127.0.0.0/8
                smtp_dns_support_level = disabled
                smtp_host_lookup = native
                smtputf8_enable = no
                milter_default_action = tempfail
                milter_protocol = \(version)
                smtpd_milters = inet:127.0.0.1:\(milterPort)
                non_smtpd_milters = inet:127.0.0.1:\(milterPort)
                """,
            services: """
                127.0.0.1:\(ports[0]) inet n - n - - smtpd
                127.0.0.1:\(ports[1]) inet n - n - - smtpd
                    -o smtpd_milters=unix:\(milterPath)
                """,
            resolver: nil
        )
        child = try postfix.start(name: "postfix")
        do {
            for port in ports { try await postfix.waitUntilAnswering(child, address: "127.0.0.1", port: port) }
        } catch {
            await stop()
            throw error
        }
    }

    /// Postfix believes what a trusted client says of a client.
    func authenticate(_ client: ServerTestClient) async throws -> Bool {
        guard try await client.say("XCLIENT ADDR=203.0.113.99 NAME=[UNAVAILABLE] LOGIN=jack").hasPrefix("220") else { return false }
        return try await client.say("EHLO laptop.kartapuce.test").hasPrefix("250")
    }

    /// Hands a message in on the host itself.
    func handIn(_ message: [UInt8], from sender: String) async throws {
        try await postfix.handIn(Data(message), from: sender, to: "bob@kartapuce.test")
    }

    /// Ends it, and removes what it wrote.
    func stop() async {
        await postfix.stop(child)
        LabFiles.remove(folder)
    }

    /// The messages that were delivered, as they are in the Maildir, with the line ends that SMTP has.
    var delivered: [Data] {
        get throws { try postfix.messages(of: "bob") }
    }

    /// The messages that were put aside.
    var held: Int { Self.files(below: "\(folder)/queue/hold").count }
    var log: String { postfix.log }

    private static func files(below path: String) -> [String] {
        LabFiles.list(path).flatMap { name -> [String] in
            let kind = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")[.type] as? FileAttributeType
            return kind == .typeDirectory ? files(below: "\(path)/\(name)") : [name]
        }
    }
}
