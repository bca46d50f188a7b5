import Foundation
import Synchronization

/// A daemon of the laboratory: a child process that stays in the foreground, logs into a file, and is ended by its own process number.
///
/// Nothing is piped: a pipe that nobody reads would stop the daemon, and one that its grandchildren hold open would stop the laboratory.
public final class ChildProcess: Sendable {
    /// What the laboratory calls it, such as `mail`.
    public let name: String
    /// Where its standard output and error go.
    public let logFile: String
    // Process is a class whose state is guarded by Foundation itself; the lock keeps `run`, signals and the reading of the outcome apart.
    private let process: Mutex<Process>

    /// Starts a program.
    ///
    /// - Parameter launcher: what is put before the command line; it has to become the program, not to start it.
    /// - Throws: ``LabError`` where the program can't be started.
    public init(name: String, program: String, arguments: [String], launcher: [String] = [], folder: String, logFile: String) throws(LabError) {
        let (path, arguments) = try Command.commandLine(program, arguments, launcher: launcher)
        self.name = name
        self.logFile = logFile
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        do {
            let log = try LabFiles.appending(to: logFile)
            process.standardInput = FileHandle.nullDevice
            process.standardOutput = log
            process.standardError = log
            try withoutBlockedSignals { try process.run() }
            try? log.close()
        } catch {
            throw LabError(.processFailed, "\(name): cannot start \(program): \(error)")
        }
        processIdentifier = process.processIdentifier
        self.process = Mutex(process)
    }

    public let processIdentifier: Int32

    /// Whether it still runs.
    public var isRunning: Bool { process.withLock { $0.isRunning } }

    /// Sends SIGKILL: a crash at this very moment. Returns when the process is gone.
    public func crash() async {
        signal(SIGKILL)
        await waitForExit(timeout: .seconds(10))
    }

    /// Asks the process to end, and makes it after a while.
    public func stop(grace: Duration = .seconds(10)) async {
        signal(SIGTERM)
        if await waitForExit(timeout: grace) { return }
        signal(SIGKILL)
        await waitForExit(timeout: .seconds(10))
    }

    /// Signals the process while it is certainly ours: a number is free for others as soon as its process has been waited for.
    private func signal(_ number: Int32) {
        process.withLock { process in
            if process.isRunning { _ = kill(process.processIdentifier, number) }
        }
    }

    /// Waits until the process is gone; `false` where it still runs after the time. A cancelled task doesn't wait less: what was started must end.
    @discardableResult
    private func waitForExit(timeout: Duration) async -> Bool {
        let deadline = ContinuousClock.now + timeout
        while isRunning {
            if ContinuousClock.now >= deadline { return false }
            await LabFiles.pause(milliseconds: 10)
        }
        return true
    }

    /// The last lines of its log, for an error message.
    public func lastLines(_ count: Int = 12) -> String {
        let text = (try? LabFiles.readText(logFile)) ?? ""
        return text.split(separator: "\n", omittingEmptySubsequences: true).suffix(count).joined(separator: "\n")
    }
}
