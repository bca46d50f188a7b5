import ArgumentParser
import Gateway
import Logging

/// `postern milter`.
struct MilterCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "milter", abstract: "Filter for a Postfix or Sendmail that stays where it is: SPF, DKIM, DMARC, ARC, and signatures.",
        discussion: """
            Needs hostname, domains and the section milter of a configuration; roles, certificates and listeners it doesn't need. Runs in the \
            foreground and logs to standard error. SIGTERM and SIGINT end it after the messages at hand; SIGHUP makes it read configuration and \
            keys again.
            """)

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let configuration = try options.load()
        guard let settings = configuration.milter else {
            throw CommandFailure(.configuration, "\(options.config) has no section milter; add “milter: {listen: [\"inet:127.0.0.1:8891\"]}”")
        }
        let isJSON = configuration.logging.json || output.isJSON
        HouseLogHandler.commonLevel = Logger.Level(rawValue: configuration.logging.level) ?? .info
        LoggingSystem.bootstrap { HouseLogHandler(label: $0, isJSON: isJSON) }
        try await MilterHost(
            configuration: configuration, settings: settings, reread: { [path = options.config] in try Configuration.load(path: path) },
            setLogLevel: { HouseLogHandler.commonLevel = $0 }, logger: Logger(label: "postern")
        ).run()
    }
}
