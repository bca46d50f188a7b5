public import Foundation

/// A program that is run to its end, with what it printed.
public struct CommandResult: Sendable {
    /// The exit code; 128 and the number of the signal where a signal ended it.
    public let status: Int32
    public let output: Data
    public let errors: String

    public var succeeded: Bool { status == 0 }
    public var outputText: String { String(decoding: output, as: UTF8.self) }
}

/// Runs programs to their end.
public enum Command {
    /// Where the programs of the laboratory are, whatever the caller's search path is: daemons live in folders that only root's path has.
    private static let searchPath = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]

    /// The path of an installed program; `nil` where it isn't installed.
    public static func find(_ program: String) -> String? {
        if program.hasPrefix("/") { return FileManager.default.isExecutableFile(atPath: program) ? program : nil }
        return searchPath.map { "\($0)/\(program)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    /// The program to start and its arguments, with the launcher before both.
    static func commandLine(_ program: String, _ arguments: [String], launcher: [String]) throws(LabError) -> (path: String, arguments: [String]) {
        guard let path = find(program) else { throw LabError(.missingPrerequisite, "\(program) is not installed; run scripts/install-dependencies.sh") }
        guard let first = launcher.first else { return (path, arguments) }
        guard let starter = find(first) else { throw LabError(.missingPrerequisite, "\(first) is not installed; run scripts/install-dependencies.sh") }
        return (starter, launcher.dropFirst() + [path] + arguments)
    }

    /// Runs a program and waits for its end.
    ///
    /// - Parameters:
    ///   - launcher: what is put before the command line; see ``AddressPlan/launcher(at:)``.
    ///   - input: what its standard input gives; `nil` for nothing.
    ///   - timeout: after it the program is killed.
    /// - Returns: whatever the exit code, the result.
    /// - Throws: ``LabError`` where the program is missing, can't be started or takes too long.
    public static func run(
        _ program: String,
        _ arguments: [String],
        launcher: [String] = [],
        folder: String? = nil,
        input: Data? = nil,
        timeout: Duration = .seconds(120)
    ) async throws -> CommandResult {
        let (path, arguments) = try commandLine(program, arguments, launcher: launcher)
        let scratch = try LabFiles.temporaryFolder("command")
        defer { LabFiles.remove(scratch) }
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        // Files instead of pipes: whatever the amount of output and whoever inherits it, nobody waits for a reader.
        let output = try LabFiles.appending(to: "\(scratch)/output")
        let errors = try LabFiles.appending(to: "\(scratch)/errors")
        process.standardOutput = output
        process.standardError = errors
        if let input {
            try LabFiles.write(input, to: "\(scratch)/input")
            process.standardInput = try FileHandle(forReadingFrom: URL(fileURLWithPath: "\(scratch)/input"))
        } else {
            process.standardInput = FileHandle.nullDevice
        }
        try withoutBlockedSignals { try process.run() }
        try? output.close()
        try? errors.close()

        let deadline = ContinuousClock.now + timeout
        while process.isRunning {
            if ContinuousClock.now >= deadline || Task.isCancelled {
                _ = kill(process.processIdentifier, SIGKILL)
                process.waitUntilExit()
                let printed = (try? LabFiles.readText("\(scratch)/errors")) ?? ""
                throw LabError(.timedOut, "\(program) did not end within \(timeout): \(printed.suffix(2000))")
            }
            await LabFiles.pause(milliseconds: 5)
        }
        let signalled = process.terminationReason == .uncaughtSignal
        return CommandResult(
            status: signalled ? 128 + process.terminationStatus : process.terminationStatus,
            output: try LabFiles.read("\(scratch)/output"),
            errors: try LabFiles.readText("\(scratch)/errors")
        )
    }

    /// Runs a program that has to succeed.
    ///
    /// - Throws: ``LabError`` with what it printed where it doesn't.
    @discardableResult
    public static func require(_ program: String, _ arguments: [String], folder: String? = nil, input: Data? = nil) async throws -> CommandResult {
        let result = try await run(program, arguments, folder: folder, input: input)
        guard result.succeeded else {
            let said = (result.errors + result.outputText).suffix(2000)
            throw LabError(.processFailed, "\(program) \(arguments.joined(separator: " ")): exit code \(result.status): \(said)")
        }
        return result
    }
}
