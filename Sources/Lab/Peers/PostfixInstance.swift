import Foundation

/// A real Postfix with a configuration, a queue and mailboxes of its own. The system's Postfix isn't touched.
///
/// What all of the laboratory's have in common is here; whom they serve and how is for those who use them.
struct PostfixInstance: Sendable {
    let folder: String
    let logFile: String
    /// Where the Maildirs are, one for each user.
    let mailboxFolder: String
    /// What it reads instead of the system's `resolv.conf`; `nil`: the system's.
    let resolverFile: String?

    /// The user that owns the mailboxes: Postfix delivers as somebody who isn't root.
    private static let mailboxOwner = "nobody"

    static var isInstalled: Bool { Command.find("postfix") != nil && geteuid() == 0 }

    /// Writes its configuration.
    ///
    /// - Parameters:
    ///   - mailboxes: addresses, and the users whose Maildirs they lead to.
    ///   - parameters: the lines of `main.cf` that are its own.
    ///   - services: the lines of `master.cf` that are its own: where it listens, above all. An address to listen on stands there and not in
    ///     `inet_interfaces`, because Postfix takes there only addresses that an interface lists, and loopback lists one for all of 127.0.0.0/8.
    ///   - resolver: the address of its resolver; `nil` for the system's.
    init(
        folder: String, logFile: String, mailboxFolder: String, mailboxes: [(address: String, user: String)], parameters: String, services: String,
        resolver: String?
    ) async throws {
        self.folder = folder
        self.logFile = logFile
        self.mailboxFolder = mailboxFolder
        resolverFile = resolver.map { _ in "\(folder)/resolv.conf" }
        // Its own programs change owners and modes below the queue's folder, and the folder itself has to be root's alone.
        for path in ["\(folder)/configuration", "\(folder)/queue", "\(folder)/data", mailboxFolder] { try LabFiles.makeFolder(path) }
        try await Command.require("chown", ["postfix", "\(folder)/data"])
        try await Command.require("chown", [Self.mailboxOwner, mailboxFolder])
        let owner = try await Command.require("id", ["-u", Self.mailboxOwner]).outputText.filter(\.isNumber)
        let group = try await Command.require("id", ["-g", Self.mailboxOwner]).outputText.filter(\.isNumber)
        if let resolverFile, let resolver {
            try LabFiles.write("nameserver \(resolver)\noptions trust-ad edns0 timeout:3 attempts:2\n", to: resolverFile)
        }
        try LabFiles.write(mailboxes.map { "\($0.address) \($0.user)/\n" }.joined(), to: "\(configurationFolder)/mailboxes")
        try LabFiles.write(
            """
            compatibility_level = 3.6
            queue_directory = \(folder)/queue
            data_directory = \(folder)/data
            maillog_file = \(logFile)
            maillog_file_prefixes = \(folder)
            mydestination =
            inet_protocols = ipv4
            alias_maps =
            alias_database =
            local_recipient_maps =
            virtual_mailbox_base = \(mailboxFolder)
            virtual_mailbox_maps = texthash:\(configurationFolder)/mailboxes
            virtual_uid_maps = static:\(owner)
            virtual_gid_maps = static:\(group)
            virtual_minimum_uid = 1
            virtual_mailbox_limit = 0
            notify_classes =
            \(parameters)

            """, to: "\(configurationFolder)/main.cf")
        try LabFiles.write("\(services)\n\(Self.services)\n", to: "\(configurationFolder)/master.cf")
    }

    var configurationFolder: String { "\(folder)/configuration" }

    /// The services of Postfix's own master.cf, none in a chroot: there would be no resolv.conf.
    private static let services = """
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

    /// Starts it.
    ///
    /// - Parameter launcher: what is put before the command line.
    func start(name: String, launcher: [String] = []) throws -> ChildProcess {
        guard let unshare = Command.find("unshare"), let postfix = Command.find("postfix") else {
            throw LabError(.missingPrerequisite, "postfix or unshare is not installed; run scripts/install-dependencies.sh")
        }
        var (program, arguments) = (postfix, ["-c", configurationFolder, "start-fg"])
        if let resolverFile {
            // Postfix reads /etc/resolv.conf and nothing else. In a mount namespace of its own it sees the laboratory's, and nobody else does.
            let script = "mount --make-rprivate / && mount --bind \"$1\" /etc/resolv.conf && exec \"$2\" -c \"$3\" start-fg"
            (program, arguments) = (unshare, ["-m", "sh", "-c", script, name, resolverFile, postfix, configurationFolder])
        }
        return try ChildProcess(
            name: name, program: program, arguments: arguments, launcher: launcher, folder: folder, logFile: "\(folder)/start.log")
    }

    /// Ends what ``start(name:launcher:)`` started; queue and mailboxes stay.
    func stop(_ child: ChildProcess) async {
        // Postfix's master is a child of the child: ask it by the number in its own file, as `postfix stop` does, then wait for all.
        _ = try? await Command.run("postfix", ["-c", configurationFolder, "stop"], timeout: .seconds(20))
        await child.stop()
    }

    /// Waits until it answers there.
    func waitUntilAnswering(_ child: ChildProcess, address: String, port: Int, in plan: AddressPlan? = nil) async throws {
        try await Waiting.until("\(child.name)'s Postfix answering at \(address), port \(port)", timeout: .seconds(30)) { () -> Bool? in
            guard child.isRunning else { throw LabError(.processFailed, "\(child.name)'s Postfix ended:\n\(child.lastLines())\n\(lastLogLines())") }
            if let plan { return await Waiting.accepts(address: address, port: port, in: plan) ? true : nil }
            return await Waiting.accepts(address: address, port: port) ? true : nil
        }
    }

    /// Has it try everything in its queue now.
    func retryQueue() async throws { try await Command.require("postqueue", ["-c", configurationFolder, "-f"]) }

    /// Hands a message in on the host itself.
    func handIn(_ message: Data, from sender: String, to recipient: String) async throws {
        try await Command.require("sendmail", ["-C", configurationFolder, "-i", "-f", sender, recipient], input: message)
    }

    var log: String { (try? LabFiles.readText(logFile)) ?? "" }

    /// The last lines of its log.
    func lastLogLines(_ count: Int = 12) -> String { log.split(separator: "\n").suffix(count).joined(separator: "\n") }

    /// The messages in somebody's mailbox, oldest name first, with the line ends that SMTP has.
    func messages(of user: String) throws -> [Data] { try Self.messages(inMaildir: "\(mailboxFolder)/\(user)") }

    /// The messages of a Maildir, oldest name first, with the line ends that SMTP has.
    static func messages(inMaildir folder: String) throws -> [Data] {
        try LabFiles.list("\(folder)/new").map { withNetworkLineEnds(try LabFiles.read("\(folder)/new/\($0)")) }
    }

    /// Mail servers store lines with LF alone; on the wire they had CRLF.
    private static func withNetworkLineEnds(_ data: Data) -> Data {
        var result = [UInt8]()
        result.reserveCapacity(data.count + data.count / 32)
        for byte in data {
            if byte == 0x0A { result.append(0x0D) }
            result.append(byte)
        }
        return Data(result)
    }
}
