import ArgumentParser
import FoundationEssentials
import Gateway
import MailStore

/// `postern backup`.
struct BackupCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup", abstract: "Copy this host's data, while it serves.",
        discussion: """
            The copy has everything that was acknowledged before the command was begun: queue, journeys, mailboxes and users, with the configuration \
            and the certificates and keys that it names. It is as secret as they are. Each file stands in manifest.json with its SHA-256.
            """)

    @Argument(help: "A folder that is empty or doesn't exist.", completion: .directory)
    var target: String
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let configuration = try options.load()
        let manifest = try StoreBackup.make(
            of: configuration.dataFolder, host: configuration.hostname, further: try configuration.filesToKeep(file: options.config), to: target,
            at: Date())
        try output.show(BackupResult(manifest, folder: target)) {
            "\(target) is a copy of \(manifest.host): \(BackupResult.contents(of: manifest))"
        }
    }
}

/// `postern restore`.
struct RestoreCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "restore", abstract: "Bring back the data that postern backup copied.",
        discussion: """
            Every file is compared with the manifest first. The host must not be running, and its data folder must be empty or not exist. \
            Run it as the user that the host runs as. What was in the queue when the copy was made may have been delivered since: it is held, so \
            that nobody gets it twice, until postern queue release.
            """)

    @Argument(help: "The copy.", completion: .directory)
    var source: String
    @Flag(help: "Deliver what was in the queue when the copy was made, even if that was done before.")
    var release = false
    @Flag(help: "Only compare the copy with its manifest.")
    var verify = false
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        if verify {
            let manifest = try StoreBackup.verify(source)
            return try output.show(BackupResult(manifest, folder: source)) {
                "\(source) is a whole copy of \(manifest.host): \(BackupResult.contents(of: manifest))"
            }
        }
        let configuration = try options.load()
        if let process = HostLock.holder(of: configuration.dataFolder) {
            throw CommandFailure(.unavailable, "the host runs as process \(process): stop it first")
        }
        let manifest = try StoreBackup.restore(source, to: configuration.dataFolder)
        var held = 0
        if !release {
            let spool = try await SpoolStore.open(folder: configuration.dataFolder, host: configuration.hostname)
            held = try await spool.hold(nil, reason: "restored from a copy of \(PeopleTime.text(manifest.time))")
            try await spool.close()
        }
        var result = BackupResult(manifest, folder: configuration.dataFolder)
        result.heldRecipients = held
        try output.show(result) {
            let note = held > 0 ? "\n\(held) recipient(s) of the queue are held: postern queue list, then postern queue release" : ""
            return "\(configuration.dataFolder) is restored: \(BackupResult.contents(of: manifest))\(note)"
        }
    }
}

private struct BackupResult: Encodable {
    var folder: String
    var host: String
    var time: Date
    var files: Int
    var byteCount: Int
    var queuedMessages: Int
    var mailboxMessages: Int
    var heldRecipients: Int?

    init(_ manifest: BackupManifest, folder: String) {
        self.folder = folder
        host = manifest.host
        time = manifest.time
        files = manifest.files.count
        byteCount = manifest.files.reduce(0) { $0 + $1.byteCount }
        queuedMessages = manifest.queuedMessages
        mailboxMessages = manifest.mailboxMessages
    }

    static func contents(of manifest: BackupManifest) -> String {
        let result = BackupResult(manifest, folder: "")
        return "\(result.queuedMessages) message(s) in the queue and \(result.mailboxMessages) in mailboxes at \(PeopleTime.text(result.time)), "
            + "\(result.files) files with \(result.byteCount) bytes"
    }
}

extension Configuration {
    /// The configuration's own file and those that it names, by their paths in a copy.
    fileprivate func filesToKeep(file: String) throws -> [String: String] {
        var files = ["configuration/postern.yaml": file]
        var named = authorities
        named += certificate.map { [$0.certificate, $0.key] } ?? []
        named += link.map { [$0.certificate, $0.key, $0.authority] } ?? []
        named += [resolver.trustAnchorFile, resolver.rootHintsFile].compactMap { $0 }
        for path in named where FileManager.default.fileExists(atPath: path) {
            files["configuration/files/" + path.drop { $0 == "/" }] = path
        }
        return files
    }
}
