import ArgumentParser
import Gateway
import Logging
import Portal

/// `postern serve`.
struct ServeCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "serve", abstract: "Run the roles that the configuration names.",
        discussion:
            "Runs in the foreground and logs to standard error. SIGTERM and SIGINT end it after the work at hand; SIGHUP, or postern reload, makes it read configuration and certificates again."
    )

    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func execute() async throws {
        let report = try Configuration.examine(path: options.config)
        guard let configuration = report.configuration else {
            throw ConfigurationError(.invalid, file: options.config, problems: report.problems)
        }
        guard !configuration.roles.isEmpty else {
            throw CommandFailure(
                .configuration, "\(options.config) names no role, so that there is nothing to serve; a filter beside an MTA is run by postern milter")
        }
        let level = Logger.Level(rawValue: configuration.logging.level) ?? .info
        let isJSON = configuration.logging.json || output.isJSON
        HouseLogHandler.commonLevel = level
        LoggingSystem.bootstrap { HouseLogHandler(label: $0, isJSON: isJSON) }
        let logger = Logger(label: "postern")
        for problem in report.problems {
            logger.warning("doubtful configuration", metadata: ["config.problem": "\(problem)"])
        }
        // The webmail has no spool, no mailboxes and no queue: it is another server.
        if configuration.roles.contains(.webmail) {
            try await WebmailServer(configuration: configuration, logger: logger).run()
        } else {
            try await PosternServer(
                configuration: configuration, reread: { [path = options.config] in try Configuration.load(path: path) },
                setLogLevel: { HouseLogHandler.commonLevel = $0 }, logger: logger
            ).run()
        }
    }
}
