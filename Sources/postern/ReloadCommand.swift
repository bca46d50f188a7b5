import ArgumentParser
import FoundationEssentials
import Gateway

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// `postern reload`.
struct ReloadCommand: PosternCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload", abstract: "Make the running host read its configuration and certificates again.",
        discussion: """
            Sessions that are open go on as they began. A configuration that can't be used changes nothing, and this command fails. What takes a \
            restart is told.
            """)

    @Option(help: "How many seconds to wait for the host's answer.")
    var wait = 30
    @OptionGroup var options: ConfigurationOptions
    @OptionGroup var output: OutputOptions

    func validate() throws {
        if wait < 1 || wait > 3600 { throw ValidationError("--wait must be from 1 to 3600") }
    }

    func execute() async throws {
        // Refused here, it never reaches the host.
        let configuration = try options.load()
        guard let process = HostLock.holder(of: configuration.dataFolder) else {
            throw CommandFailure(.unavailable, "no host serves from \(configuration.dataFolder)")
        }
        let before = ReloadReport.read(folder: configuration.dataFolder)
        guard kill(process, SIGHUP) == 0 else {
            throw CommandFailure(.unavailable, "process \(process) can't be told (error \(errno)): run this as its user, or as root")
        }
        guard let report = try await answer(configuration.dataFolder, after: before) else {
            throw CommandFailure(.temporary, "process \(process) gave no answer within \(wait) s; its log tells more")
        }
        guard report.succeeded else {
            throw CommandFailure(.configuration, "the host refused, and everything stays as it was: \(report.problems.joined(separator: "; "))")
        }
        try output.show(report) {
            var lines = [
                "reloaded; changed: \(report.changed.isEmpty ? "nothing but what the files of the certificates hold" : report.changed.joined(separator: ", "))"
            ]
            if !report.needsRestart.isEmpty { lines.append("takes a restart: \(report.needsRestart.joined(separator: ", "))") }
            return lines.joined(separator: "\n")
        }
    }

    private func answer(_ folder: String, after before: ReloadReport?) async throws -> ReloadReport? {
        for _ in 0..<(wait * 20) {
            if let report = ReloadReport.read(folder: folder), report != before { return report }
            try await Task.sleep(for: .milliseconds(50))
        }
        return nil
    }
}
