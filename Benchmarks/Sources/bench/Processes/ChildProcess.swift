import Foundation
import Synchronization

/// A program that the benchmarks started: a server in the foreground, or a load generator that ends by itself.
///
/// Output goes into files, never into pipes: one that nobody reads would stop the program.
final class ChildProcess: Sendable {
    let name: String
    let logFile: String
    let processIdentifier: Int32
    // Process is guarded by Foundation; the lock keeps starting, signals and the reading of the outcome apart.
    private let process: Mutex<Process>
    private let ended: AsyncStream<Void>

    /// - Parameter log: where standard output and error go.
    init(_ program: String, _ arguments: [String], log: String, folder: String? = nil, environment: [String: String] = [:]) throws {
        guard let path = Self.find(program) else { throw BenchError("\(program) is not installed; run scripts/install-dependencies.sh bench") }
        name = URL(fileURLWithPath: program).lastPathComponent
        logFile = log
        let process = Process()
        process.executableURL = URL(fileURLWithPath: path)
        process.arguments = arguments
        process.environment = ProcessInfo.processInfo.environment.merging(environment) { $1 }
        if let folder { process.currentDirectoryURL = URL(fileURLWithPath: folder) }
        try Data().write(to: URL(fileURLWithPath: log))
        let output = try FileHandle(forWritingTo: URL(fileURLWithPath: log))
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        let (ended, end) = AsyncStream.makeStream(of: Void.self)
        process.terminationHandler = { _ in end.finish() }
        try withoutBlockedSignals { try process.run() }
        try? output.close()
        self.ended = ended
        processIdentifier = process.processIdentifier
        self.process = Mutex(process)
        RunningChildren.add(processIdentifier)
    }

    /// Daemons live in folders that only root's search path has.
    static func find(_ program: String) -> String? {
        if program.contains("/") { return FileManager.default.isExecutableFile(atPath: program) ? program : nil }
        return ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"].map { "\($0)/\(program)" }
            .first { FileManager.default.isExecutableFile(atPath: $0) }
    }

    var isRunning: Bool { process.withLock { $0.isRunning } }

    /// Waits for its end; its exit code, or 128 and the number of the signal.
    @discardableResult func wait() async -> Int32 {
        for await _ in ended {}
        RunningChildren.remove(processIdentifier)
        return process.withLock { $0.terminationReason == .uncaughtSignal ? 128 + $0.terminationStatus : $0.terminationStatus }
    }

    /// Asks it to end, and makes it after a while.
    func stop(grace: Duration = .seconds(15)) async {
        signal(SIGTERM)
        let deadline = ContinuousClock.now + grace
        while isRunning, ContinuousClock.now < deadline { try? await Task.sleep(for: .milliseconds(10)) }
        signal(SIGKILL)
        await wait()
    }

    /// Signals it while its number is certainly its own.
    private func signal(_ number: Int32) {
        process.withLock { if $0.isRunning { _ = kill($0.processIdentifier, number) } }
    }

    func log() -> String { (try? String(contentsOfFile: logFile, encoding: .utf8)) ?? "" }
    func lastLines(_ count: Int = 12) -> String { log().split(separator: "\n").suffix(count).joined(separator: "\n") }

    /// Runs a program to its end, which must be a good one; what it printed.
    @discardableResult static func run(_ program: String, _ arguments: [String], log: String) async throws -> String {
        let child = try ChildProcess(program, arguments, log: log)
        let status = await child.wait()
        guard status == 0 else { throw BenchError("\(program) \(arguments.joined(separator: " ")): exit code \(status): \(child.lastLines())") }
        return child.log()
    }
}

/// The children that run, so that an interrupted run can end them.
enum RunningChildren {
    private static let numbers = Mutex<Set<Int32>>([])

    static func add(_ number: Int32) { numbers.withLock { _ = $0.insert(number) } }
    static func remove(_ number: Int32) { numbers.withLock { _ = $0.remove(number) } }
    /// Ends all of them, from a signal's handler.
    static func end() { for number in numbers.withLock({ $0 }) { kill(number, SIGTERM) } }
}
