import Foundation

/// A mail server of another make, with a configuration and mailboxes in a folder of its own.
protocol MailPeer: Sendable {
    var files: PeerFolder { get }
    /// Ends it.
    func stop() async
    /// Has it try everything in its queue now.
    func retryQueue() async throws
}

/// The folder of a foreign mail server: what each of them needs in the same way.
struct PeerFolder: Sendable {
    let neighbour: Neighbour
    let plan: AddressPlan
    let path: String
    /// The server's certificate for its names, and the key (PEM).
    let certificate: (certificate: String, key: String)
    let authorityFile: String

    init(neighbour: Neighbour, plan: AddressPlan, path: String, authority: PublicAuthority) async throws {
        self.neighbour = neighbour
        self.plan = plan
        self.path = path
        authorityFile = authority.certificateFile
        let issued = try await authority.issue(host: neighbour.host, names: [neighbour.host], addresses: [neighbour.address])
        // Exim reads its key as the user that it runs as.
        try LabFiles.write(try LabFiles.read(issued.key), to: "\(path)-key.pem")
        certificate = (issued.certificate, "\(path)-key.pem")
        // The servers give up root and deliver as others: every part is open to all. The folder is a test's.
        for name in ["etc", "mail", "spool", "log"] { try LabFiles.makeFolder("\(path)/\(name)", permissions: 0o777) }
        try LabFiles.write("nameserver \(plan.nsresolve)\noptions trust-ad edns0 timeout:3 attempts:2\n", to: "\(overrides)/resolv.conf")
    }

    /// What is put into the server's /etc.
    var overrides: String { "\(path)/etc" }
    var logFile: String { "\(path)/log/main" }

    /// The last lines of the server's log.
    func lastLogLines(_ count: Int = 25) -> String {
        ((try? LabFiles.readText(logFile)) ?? "").split(separator: "\n").suffix(count).joined(separator: "\n")
    }

    var log: String { (try? LabFiles.readText(logFile)) ?? "" }

    /// The messages in somebody's Maildir, with the line ends that SMTP has.
    func messages(of user: String) throws -> [Data] {
        try PostfixInstance.messages(inMaildir: "\(path)/mail/\(user)")
    }

    /// While this file is there, mail for `grey` is put off.
    var greylistingFile: String { "\(path)/greylisting" }

    func greylist(_ isOn: Bool) throws {
        if isOn { try LabFiles.write("", to: greylistingFile) } else { LabFiles.remove(greylistingFile) }
    }

    /// Waits until the server answers on both of its addresses.
    func waitUntilAnswering(_ child: ChildProcess) async throws {
        for address in [neighbour.address, neighbour.plainAddress] {
            try await Waiting.until("\(neighbour.host) answering at \(address)", timeout: .seconds(30)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "\(neighbour.name) ended:\n\(child.lastLines())\n\(lastLogLines())") }
                return await Waiting.accepts(address: address, port: 25) ? true : nil
            }
        }
    }
}
