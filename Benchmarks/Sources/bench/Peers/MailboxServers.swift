import Foundation
import MailMessage
import MailStore
import NIOCore
import SASL

/// What a mailbox is filled with.
struct MailboxContent: Sendable {
    var count: Int
    var octets: Int

    func message(_ number: Int) -> ByteBuffer { SampleMail.plain(number, octets: octets) }
    /// Every third message is unseen.
    func isSeen(_ number: Int) -> Bool { number % 3 != 0 }
}

/// A server with mailboxes, as far as measuring needs it.
struct MailboxServer: Sendable {
    let name: String
    let port: Int
    /// A listener for SMTP, where it has one.
    let smtpPort: Int
    let child: ChildProcess

    func stop() async { await child.stop() }
}

enum MailboxServers {
    /// A certificate that both servers use.
    static func makeCertificate(_ workshop: Workshop, folder: String) async throws {
        try await ChildProcess.run(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=imap.kartapuce.test",
                "-addext", "subjectAltName=DNS:imap.kartapuce.test", "-keyout", "\(folder)/server-key.pem", "-out", "\(folder)/server.pem",
            ], log: workshop.logFile("openssl"))
        try FileManager.default.setAttributes([.posixPermissions: 0o600], ofItemAtPath: "\(folder)/server-key.pem")
    }

    /// Postern with Bob's mailbox filled through its library.
    static func postern(_ workshop: Workshop, binary: String, content: MailboxContent) async throws -> MailboxServer {
        let folder = try workshop.makeFolder("postern-imap")
        try await makeCertificate(workshop, folder: folder)
        try await fill(folder: "\(folder)/data", content)
        return try await startPostern(workshop, binary: binary, folder: folder)
    }

    /// Starts Postern in a folder that has certificate and mailboxes already.
    static func startPostern(_ workshop: Workshop, binary: String, folder: String) async throws -> MailboxServer {
        let (port, smtpPort) = (try await workshop.freePort(), try await workshop.freePort())
        try workshop.install(
            "postern/store.yaml", to: "\(folder)/postern.yaml",
            ["FOLDER": folder, "ADDRESS": "127.0.0.1:\(port)", "SMTP_ADDRESS": "127.0.0.1:\(smtpPort)"])
        let child = try ChildProcess(binary, ["serve", "--config", "\(folder)/postern.yaml"], log: "\(folder)/postern.log", folder: folder)
        try await workshop.awaitServer(child, port: port)
        return MailboxServer(name: "postern", port: port, smtpPort: smtpPort, child: child)
    }

    /// Bob's account with a filled INBOX, in a data folder.
    static func fill(folder: String, _ content: MailboxContent) async throws {
        try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o700])
        let store = try await MailboxStore.open(folder: folder)
        let result = await Result {
            let user = try EmailAddress(parsing: TestAccount.user)
            let salt = (0..<16).map { _ in UInt8.random(in: .min ... .max) }
            try await store.addUser(user, verifier: SCRAMVerifier(password: TestAccount.password, salt: salt, iterations: 4096))
            for start in stride(from: 0, to: content.count, by: 2000) {
                let messages = (start..<min(start + 2000, content.count)).map { number in
                    (
                        content: BufferedContent(content.message(number)) as any MessageContent, flags: Set(content.isSeen(number) ? ["\\Seen"] : []),
                        internalDate: Date(timeIntervalSince1970: 1_790_000_000 + Double(number))
                    )
                }
                _ = try await store.append(messages, to: "INBOX", of: user)
            }
        }
        try await store.close()
        try result.get()
    }

    /// Dovecot with the same messages in a Maildir.
    static func dovecot(_ workshop: Workshop, content: MailboxContent) async throws -> MailboxServer {
        let folder = try workshop.makeFolder("dovecot")
        try await makeCertificate(workshop, folder: folder)
        let port = try await workshop.freePort()
        try workshop.install("dovecot/dovecot.conf", to: "\(folder)/dovecot.conf", ["FOLDER": folder, "PORT": "\(port)"])
        let verifier = try await ChildProcess.run(
            "doveadm", ["-c", "\(folder)/dovecot.conf", "pw", "-s", "SCRAM-SHA-256", "-p", TestAccount.password], log: workshop.logFile("doveadm"))
        try Data("\(TestAccount.user):\(verifier.split(separator: "\n").last ?? "")\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/users"))
        let maildir = "\(folder)/mail/\(TestAccount.user)/Maildir"
        for name in ["cur", "new", "tmp"] {
            try FileManager.default.createDirectory(atPath: "\(maildir)/\(name)", withIntermediateDirectories: true)
        }
        for number in 0..<content.count {
            // Lines of a Maildir end by LF alone.
            let octets = content.message(number).readableBytesView.filter { $0 != 0x0D }
            let name = "\(1_790_000_000 + number).M\(number)P1.bench,S=\(octets.count):2,\(content.isSeen(number) ? "S" : "")"
            try Data(octets).write(to: URL(fileURLWithPath: "\(maildir)/cur/\(name)"))
        }
        try await ChildProcess.run("chown", ["-R", "mail:mail", "\(folder)/mail"], log: workshop.logFile("chown"))
        let child = try ChildProcess("dovecot", ["-F", "-c", "\(folder)/dovecot.conf"], log: "\(folder)/dovecot-start.log", folder: folder)
        try await workshop.awaitServer(child, port: port)
        return MailboxServer(name: "dovecot", port: port, smtpPort: 0, child: child)
    }
}
