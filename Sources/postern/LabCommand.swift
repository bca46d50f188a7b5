import ArgumentParser
import Dispatch
import Foundation
import Lab

/// `postern lab`.
struct LabCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "lab",
        abstract: "Bring up Kartapuce, a whole mail infrastructure with a small internet, on this machine.",
        subcommands: [LabRunCommand.self, LabAttacksCommand.self]
    )
}

/// Work with a laboratory, which has to be stopped in good order whatever ends it.
enum LabTask {
    /// Works until the end or until Ctrl-C.
    /// - Returns: `nil` where the work was cancelled or the laboratory failed; why is said.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () async throws -> Value) async throws -> Value? {
        let work = Task { try await body() }
        let signals = [SIGINT, SIGTERM].map { number in
            let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
            source.setEventHandler {
                FileHandle.standardError.write(Data("Stopping Kartapuce\n".utf8))
                work.cancel()
            }
            source.resume()
            return source
        }
        defer { for source in signals { source.cancel() } }
        do {
            return try await work.value
        } catch is CancellationError {
            return nil
        } catch let error as LabError {
            FileHandle.standardError.write(Data("postern lab: \(error)\n".utf8))
            return nil
        }
    }
}

/// `postern lab run`.
struct LabRunCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "run",
        abstract: "Start Kartapuce, send the use case, tell the messages' journeys, and stay up until Ctrl-C.",
        discussion:
            "Needs root for the real ports, and nsd, unbound, ldnsutils, postfix and curl. Everything runs on loopback addresses, or with --namespaces in networks that only the laboratory sees."
    )

    @Flag(help: "End after the use case: exit code 0 if all of it went well, 1 if not.")
    var once = false
    @Flag(help: "Leave configurations, logs and data behind.")
    var keep = false
    @Option(help: ArgumentHelp("A new folder for everything; a temporary one where it is absent.", valueName: "folder"), completion: .directory)
    var folder: String?
    @Flag(help: "Give every host a network namespace, and put the two firewalls between the zones.")
    var namespaces = false
    @Option(help: ArgumentHelp("The second octet of all addresses, 1 to 254.", valueName: "number"))
    var network = AddressPlan.defaultNetwork

    func validate() throws {
        guard (1...254).contains(network) else { throw ValidationError("--network must be a number from 1 to 254") }
    }

    func run() async throws {
        // A pipe or a file gets the lines as they come, too.
        let report: @Sendable (String) -> Void = { FileHandle.standardOutput.write(Data("\($0)\n".utf8)) }
        let succeeded = try await LabTask.run { try await runLab(report: report) }
        if succeeded != true { throw ExitCode(1) }
    }

    private func runLab(report: @escaping @Sendable (String) -> Void) async throws -> Bool {
        guard let binary = Bundle.main.executablePath else { throw LabError(.missingPrerequisite, "the path of this program can't be found out") }
        let options = Kartapuce.Options(binary: binary, plan: AddressPlan(network: network), inNamespaces: namespaces, folder: folder, keepsFolder: keep)
        let kartapuce = try await Kartapuce.start(options, report: report)
        var zonesHold = true
        if namespaces {
            report("\nThe zones, tried from each host:")
            do {
                for line in try await kartapuce.verifyZones() { report("  \(line)") }
            } catch {
                report("  FAILED: \(error)")
                zonesHold = false
            }
        }
        report("\nThe use case:")
        let results = await kartapuce.runUseCase(report: report)
        for result in results {
            if let journey = result.journey { report("\nThe journey of “\(result.name)”:\n\(journey)") }
        }
        let failed = results.filter { !$0.passed }
        report("\nUse case: \(results.count - failed.count) of \(results.count) scenarios passed")
        for result in failed { report("  FAILED: \(result.name): \(result.detail)") }
        if keep { report("Everything is kept in \(kartapuce.folder)") }
        if !once, !Task.isCancelled {
            report("\n\(kartapuce.invitation)\n\nCtrl-C ends it.")
            while !Task.isCancelled { try? await Task.sleep(for: .seconds(3600)) }
        }
        await kartapuce.stop()
        return failed.isEmpty && zonesHold
    }
}
