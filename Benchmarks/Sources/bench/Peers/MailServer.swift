import Foundation

/// A server under load.
protocol MailServer: Sendable {
    /// `postern` or `postfix`: the last part of a figure's key.
    var name: String { get }
    var port: Int { get }
    /// What it has used so far.
    func usage() -> ProcessUsage
    /// The transactions that it has made durable so far, where that can be told: each is one sync of the disk.
    func commits() -> Int?
    /// How it makes mail durable; `nil` where it doesn't.
    var fsyncMode: String? { get }
    func stop() async
}

extension MailServer {
    func commits() -> Int? { nil }
    var fsyncMode: String? { nil }
}

/// What becomes of the mail that a server takes.
enum MailPurpose: String, Sendable {
    /// It is stored durably and stays.
    case accept
    /// It goes on to the sink.
    case relay
}

/// `postern serve` with a configuration of its own.
struct PosternServer: MailServer {
    let name: String
    let port: Int
    let folder: String
    private let child: ChildProcess

    /// - Parameters:
    ///   - sinkPort: where all mail goes on; for `accept`, a port where nobody answers.
    ///   - extra: lines that are added to the configuration.
    ///   - authentication: the mode in which senders are judged, and the port of the resolver; `nil`: not at all, without a resolver.
    static func start(
        _ workshop: Workshop, binary: String, purpose: MailPurpose, sinkPort: Int, name: String = "postern", extra: String = "",
        authentication: (mode: String, dnsPort: Int)? = nil
    ) async throws -> PosternServer {
        let folder = try workshop.makeFolder(name)
        let port = try await workshop.freePort()
        try configure(workshop, folder: folder, port: port, purpose: purpose, sinkPort: sinkPort, extra: extra, authentication: authentication)
        return try await start(workshop, binary: binary, folder: folder, port: port, name: name)
    }

    /// Writes `postern.yaml`.
    static func configure(
        _ workshop: Workshop, folder: String, port: Int, purpose: MailPurpose, sinkPort: Int, extra: String, authentication: (mode: String, dnsPort: Int)?
    ) throws {
        let file = "\(folder)/postern.yaml"
        // An anchor of a domain that nobody asks for: nothing of the benchmarks' DNS is signed.
        let anchor = "\(folder)/anchor"
        try Data("anchor.test. IN DS 12345 13 2 \(String(repeating: "ab", count: 32))\n".utf8).write(to: URL(fileURLWithPath: anchor))
        try workshop.install(
            "postern/relay.yaml", to: file,
            [
                "FOLDER": folder, "ADDRESS": "127.0.0.1:\(port)", "SINK_PORT": "\(sinkPort)", "DELIVERIES": purpose == .accept ? "1" : "100",
                "AUTHENTICATION": authentication?.mode ?? "off", "RESOLVER": "127.0.0.1@\(authentication?.dnsPort ?? 1)", "ANCHOR": anchor,
            ])
        if !extra.isEmpty {
            let text = try String(contentsOfFile: file, encoding: .utf8)
            try Data((text + extra).utf8).write(to: URL(fileURLWithPath: file))
        }
    }

    /// Starts it in a folder that has `postern.yaml` already.
    static func start(_ workshop: Workshop, binary: String, folder: String, port: Int, name: String) async throws -> PosternServer {
        let child = try ChildProcess(binary, ["serve", "--config", "\(folder)/postern.yaml"], log: "\(folder)/postern.log", folder: folder)
        try await workshop.awaitServer(child, port: port)
        return PosternServer(name: name, port: port, folder: folder, child: child)
    }

    var processIdentifier: Int32 { child.processIdentifier }
    func usage() -> ProcessUsage { .of(child.processIdentifier) }

    var fsyncMode: String? { "one fdatasync of the SQLite log for each transaction (WAL, synchronous=FULL)" }

    /// SQLite counts transactions in the third word of the index of its log, in the machine's byte order, which is taken for little-endian (walformat, “iChange”).
    func commits() -> Int? {
        guard let file = FileHandle(forReadingAtPath: "\(folder)/data/spool.sqlite-shm") else { return nil }
        defer { try? file.close() }
        guard let words = try? file.read(upToCount: 12), words.count == 12 else { return nil }
        let octets = Array(words.suffix(4))
        return Int(octets.reversed().reduce(UInt32(0)) { $0 << 8 | UInt32($1) })
    }

    func stop() async {
        await child.stop()
        // It logs warnings only: what it had to say belongs beside the figures.
        let said = child.log()
        if said.contains(" error ") || said.contains("Fatal error") { say("    postern said:\n\(child.lastLines(6))") }
    }
}

/// Postfix, with the configuration in `Benchmarks/Peers/postfix`. The system's own Postfix isn't touched.
struct PostfixServer: MailServer {
    let name = "postfix"
    let port: Int
    private let configurationFolder: String
    private let stopLog: String
    private let child: ChildProcess

    static func start(_ workshop: Workshop, purpose: MailPurpose, sinkPort: Int, milters: String = "") async throws -> PostfixServer {
        let folder = try workshop.makeFolder("postfix")
        let configuration = "\(folder)/configuration"
        for name in ["configuration", "queue", "data"] {
            try FileManager.default.createDirectory(atPath: "\(folder)/\(name)", withIntermediateDirectories: true)
        }
        try await ChildProcess.run("chown", ["postfix", "\(folder)/data"], log: workshop.logFile("chown"))
        let port = try await workshop.freePort()
        let words = [
            "FOLDER": folder, "SINK_PORT": "\(sinkPort)", "SMTPD_ADDRESS": "127.0.0.1:\(port)",
            "RECIPIENT_RESTRICTIONS": purpose == .accept ? "check_client_access static:HOLD" : "", "MILTERS": milters,
        ]
        for file in ["main.cf", "master.cf"] { try workshop.install("postfix/\(file)", to: "\(configuration)/\(file)", words) }
        let child = try ChildProcess("postfix", ["-c", configuration, "start-fg"], log: "\(folder)/postfix.log", folder: folder)
        try await workshop.awaitServer(child, port: port)
        return PostfixServer(port: port, configurationFolder: configuration, stopLog: workshop.logFile("postfix-stop"), child: child)
    }

    func usage() -> ProcessUsage { .of(child.processIdentifier) }
    var fsyncMode: String? { "one fsync of the queue file for each message" }

    func stop() async {
        // The master is a child of the child; `postfix stop` ends it by the number in its own file.
        _ = try? await ChildProcess.run("postfix", ["-c", configurationFolder, "stop"], log: stopLog)
        await child.stop()
    }
}
