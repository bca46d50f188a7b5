import ArgumentParser
import FoundationEssentials
import Gateway
import Journeys

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// A command that says what went wrong and exits with the code that means it.
protocol PosternCommand: AsyncParsableCommand {
    var output: OutputOptions { get }
    /// Does the work. Not named `run`, so that no command can forget the reporting.
    func execute() async throws
}

extension PosternCommand {
    func run() async throws {
        do {
            try await execute()
        } catch let error as ExitCode {
            throw error
        } catch let error as ValidationError {
            throw error
        } catch {
            let status = ExitStatus(error)
            output.reportFailure(error, status)
            throw ExitCode(status.rawValue)
        }
    }
}

/// How results are written.
struct OutputOptions: ParsableArguments {
    @Flag(name: .customLong("json"), help: "Write JSON for programs.")
    var isJSON = false

    /// Writes a result: as JSON, or as the text for people.
    func show(_ value: some Encodable, text: () throws -> String) throws {
        if isJSON {
            let bytes = try JourneyCoding.readableEncoder().encode(value)
            Terminal.write(Array(bytes) + [0x0A], to: STDOUT_FILENO)
        } else {
            let text = try text()
            Terminal.write(Array((text.isEmpty || text.hasSuffix("\n") ? text : text + "\n").utf8), to: STDOUT_FILENO)
        }
    }

    private struct Failure: Encodable {
        struct Detail: Encodable {
            var exitCode: Int32
            var message: String
            var problems: [ConfigurationProblem]?
        }
        var error: Detail
    }

    /// Says on standard error what went wrong.
    func reportFailure(_ error: any Error, _ status: ExitStatus) {
        let message = String(describing: error)
        if isJSON {
            let failure = Failure(
                error: .init(exitCode: status.rawValue, message: message, problems: (error as? ConfigurationError)?.problems))
            if let bytes = try? JourneyCoding.readableEncoder().encode(failure) {
                Terminal.write(Array(bytes) + [0x0A], to: STDERR_FILENO)
                return
            }
        }
        // Compilers' form stays as it is, so that editors can jump to the place.
        let prefix = error is ConfigurationError ? "" : "postern: "
        Terminal.write(Array("\(prefix)\(message)\n".utf8), to: STDERR_FILENO)
    }
}

/// The configuration that a command works with.
struct ConfigurationOptions: ParsableArguments {
    @Option(name: .long, help: ArgumentHelp("The configuration file.", valueName: "file"), completion: .file(extensions: ["yaml", "yml"]))
    var config = "/etc/postern/postern.yaml"

    func load() throws -> Configuration { try Configuration.load(path: config) }
}

/// Standard input, output and error.
enum Terminal {
    /// Writes everything; a reader that has gone away (`postern trace | head`) is no error.
    static func write(_ bytes: [UInt8], to descriptor: Int32) {
        var written = 0
        while written < bytes.count {
            // The pointer is used during the call only, and the count ends within the array.
            let count = unsafe bytes[written...].withUnsafeBytes { buffer in
                guard let base = buffer.baseAddress else { return 0 }
                #if canImport(Glibc)
                return unsafe Glibc.write(descriptor, base, buffer.count)
                #elseif canImport(Musl)
                return unsafe Musl.write(descriptor, base, buffer.count)
                #else
                return unsafe Darwin.write(descriptor, base, buffer.count)
                #endif
            }
            if count < 0, errno == EINTR { continue }
            guard count > 0 else { return }
            written += count
        }
    }

    /// Whether colours make sense on standard output (https://no-color.org).
    static var showsColours: Bool {
        isatty(STDOUT_FILENO) == 1 && ProcessInfo.processInfo.environment["NO_COLOR"] == nil
    }
}

/// Text in columns.
struct TextTable {
    var rows: [[String]]

    init(header: [String]) { rows = [header] }

    var text: String {
        let columns = rows.map(\.count).max() ?? 0
        let widths = (0..<columns).map { column in rows.map { column < $0.count ? $0[column].count : 0 }.max() ?? 0 }
        return rows.map { row in
            let line = zip(row, widths).map { $0 + String(repeating: " ", count: $1 - $0.count) }.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }
}
