import ArgumentParser
import Gateway

/// The command line of Postern.
@main
struct Postern: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "postern",
        abstract: "A secure mail gateway.",
        discussion: """
            Exit codes: 0 done; 1 failed; 64 wrong use of the command line; 65 wrong data; 66 no such user, message, journey or file; \
            69 a file or service can't be used; 75 failed for now, try again; 78 wrong configuration.

            Shell completion: postern --generate-completion-script bash (zsh, fish).
            """,
        version: PosternVersion.text,
        subcommands: [
            ServeCommand.self, MilterCommand.self, ReloadCommand.self, ConfigCommand.self, PKICommand.self, ACMECommand.self, UserCommand.self,
            AliasCommand.self,
            QueueCommand.self, TraceCommand.self, AuthCommand.self, DKIMCommand.self, ReportsCommand.self, BackupCommand.self, RestoreCommand.self,
            ZonesCommand.self, CheckCommand.self, DNSCommand.self, LabCommand.self, VersionCommand.self,
        ]
    )
}

/// Which Postern this is.
enum PosternVersion {
    static let number = PosternRelease.number
    static var text: String { "postern \(number)" }
}

/// `postern version`.
struct VersionCommand: PosternCommand {
    static let configuration = CommandConfiguration(commandName: "version", abstract: "Print the version.")

    @OptionGroup var output: OutputOptions

    func execute() throws {
        try output.show(["version": PosternVersion.number]) { PosternVersion.text }
    }
}
