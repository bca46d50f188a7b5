import ArgumentParser
import DNS
import Gateway

/// `postern config`.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Check and explain the configuration.",
        subcommands: [ConfigCheckCommand.self, ConfigKeysCommand.self, ConfigShowCommand.self])
}

/// `postern config check`.
struct ConfigCheckCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Check a configuration with the files that it names; tell everything that is wrong at once.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    private struct Result: Encodable {
        var file: String
        var isUsable: Bool
        var problems: [ConfigurationProblem]
    }

    func execute() throws {
        let report = try Configuration.examine(path: options.config)
        try output.show(Result(file: options.config, isUsable: report.configuration != nil, problems: report.problems)) {
            let problems =
                report.problems.isEmpty
                ? [] : [ConfigurationError(.invalid, file: options.config, problems: report.problems).description]
            let errors = report.problems.count { $0.severity == .error }
            let verdict = report.configuration != nil ? "\(options.config): can be used" : "\(options.config): \(errors) error(s)"
            return (problems + [verdict]).joined(separator: "\n")
        }
        if report.configuration == nil { throw ExitCode(ExitStatus.configuration.rawValue) }
    }
}

/// `postern config keys`.
struct ConfigKeysCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "keys", abstract: "List every key of postern.yaml with its type, default and meaning.")

    @Argument(help: "Only keys that contain this text.")
    var filter: String?
    @OptionGroup var output: OutputOptions

    func execute() throws {
        let keys = Configuration.documentation.filter { key in filter.map { key.path.contains($0) || key.meaning.contains($0) } ?? true }
        guard !keys.isEmpty else { throw CommandFailure(.notFound, "no key contains “\(filter ?? "")”") }
        try output.show(keys) {
            keys.map { key in
                let value = key.isRequired ? "required" : "default: \(key.defaultValue)"
                return "\(key.path)\n    \(key.meaning)\n    \(key.type); \(value); example: \(key.example)"
            }.joined(separator: "\n")
        }
    }
}

/// `postern config show`.
struct ConfigShowCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Show what a configuration means: roles, listeners, peers, files.")

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    private struct Listener: Encodable {
        var kind: String
        var address: String
        var port: Int
    }
    private struct Peer: Encodable {
        var role: String
        var host: String
        var address: String
        var linkPort: Int?
        var controlPort: Int?
    }
    private struct Summary: Encodable {
        var hostname: String
        var roles: [String]
        var domains: [String]
        var dataFolder: String
        var hasCertificate: Bool
        var hasLink: Bool
        var listeners: [Listener]
        var peers: [Peer]
    }

    func execute() throws {
        let loaded = try options.load()
        let summary = Summary(
            hostname: loaded.hostname, roles: loaded.roles.map(\.rawValue).sorted(), domains: loaded.domains.map(\.ascii),
            dataFolder: loaded.dataFolder, hasCertificate: loaded.certificate != nil, hasLink: loaded.link != nil,
            listeners: loaded.listeners.map { .init(kind: $0.kind.rawValue, address: $0.address.description, port: $0.port) },
            peers: loaded.peers.sorted { $0.key.rawValue < $1.key.rawValue }.map {
                .init(
                    role: $0.key.rawValue, host: $0.value.host, address: $0.value.address.description, linkPort: $0.value.linkPort,
                    controlPort: $0.value.controlPort)
            })
        try output.show(summary) {
            var lines = [
                "host        \(summary.hostname)", "roles       \(summary.roles.joined(separator: ", "))",
                "domains     \(summary.domains.joined(separator: ", "))", "data        \(summary.dataFolder)",
                "certificate \(loaded.certificate?.certificate ?? "none: no TLS towards clients and the internet")",
                "link        \(loaded.link?.certificate ?? "none: no links to other hosts")",
            ]
            lines += summary.listeners.map { "listens     \($0.kind) on \($0.address) port \($0.port)" }
            lines += summary.peers.map { peer in
                let link = peer.linkPort.map { ", link \($0)" } ?? ""
                let control = peer.controlPort.map { ", control \($0)" } ?? ""
                return "peer        \(peer.role): \(peer.host) at \(peer.address)\(link)\(control)"
            }
            return lines.joined(separator: "\n")
        }
    }
}
