import ArgumentParser
import FoundationEssentials
import Gateway
import Logging

/// `postern acme`.
struct ACMECommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "acme", abstract: "Have the host's certificate from a certificate authority, and renew it.",
        discussion: """
            A host that serves does all this by itself. Before it serves for the first time, postern acme renew has the first certificate; it answers \
            the authority's challenges itself where no host serves from the data folder.
            """,
        subcommands: [Status.self, Renew.self, Rollover.self])

    struct Status: PosternCommand {
        static let configuration = CommandConfiguration(abstract: "Show the certificate, when it is renewed and where a rollover of its key stands.")
        @OptionGroup var options: ConfigurationOptions
        @OptionGroup var output: OutputOptions

        func execute() async throws { try output.show(try keeper(options).status()) }
    }

    struct Renew: PosternCommand {
        static let configuration = CommandConfiguration(abstract: "Renew the certificate where it is time for it, with the same key.")
        @Flag(help: "Renew it although it isn't time.")
        var force = false
        @OptionGroup var options: ConfigurationOptions
        @OptionGroup var output: OutputOptions

        func execute() async throws { try output.show(try await keeper(options).renew(force: force)) }
    }

    struct Rollover: PosternCommand {
        static let configuration = CommandConfiguration(
            abstract: "Change the certificate's key together with its TLSA records.",
            discussion: "Begins, or goes on with what has begun; a host that serves goes on by itself. The waits follow from acme.tlsaTimeToLiveSeconds.")
        @Flag(help: "Call it off, while the next key isn't in use.")
        var cancel = false
        @OptionGroup var options: ConfigurationOptions
        @OptionGroup var output: OutputOptions

        func execute() async throws {
            let keeper = try keeper(options)
            try output.show(try await cancel ? keeper.cancelRollover() : keeper.rollOver())
        }
    }
}

private func keeper(_ options: ConfigurationOptions) throws -> CertificateKeeper {
    var logger = Logger(label: "postern.acme")
    // What is done stands in the report.
    logger.logLevel = .warning
    return try CertificateKeeper.make(options.load(), logger: logger)
}

extension OutputOptions {
    fileprivate func show(_ report: CertificateKeeper.Report) throws {
        try show(report) {
            var lines = report.done
            lines.append("names: \(report.names.isEmpty ? "no certificate yet" : report.names.joined(separator: ", "))")
            if let end = report.notAfter { lines.append("until: \(end)") }
            if let renewal = report.renewal { lines.append("renewed from: \(renewal)\(report.explanation.map { " (\($0))" } ?? "")") }
            if let account = report.account { lines.append("account: \(account)") }
            for digest in report.keyDigests { lines.append("TLSA 3 1 1: \(digest)") }
            lines.append("rollover: \(report.rollover)")
            if let error = report.lastError { lines.append("failed \(report.failures) times, at last: \(error)") }
            return lines.joined(separator: "\n")
        }
    }
}
