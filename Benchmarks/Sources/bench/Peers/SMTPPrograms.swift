import Foundation
import NIOCore
import NIOPosix

/// Postfix's `smtp-sink`: takes all mail, keeps none, and counts.
struct SMTPSink: Sendable {
    let port: Int
    private let child: ChildProcess

    static func start(_ workshop: Workshop) async throws -> SMTPSink {
        let port = try await workshop.freePort()
        // -c: a line of counters for each event, ended by a carriage return.
        // It refuses to run as root.
        let user = geteuid() == 0 ? ["-u", "nobody"] : []
        let child = try ChildProcess("smtp-sink", user + ["-c", "-4", "127.0.0.1:\(port)", "1024"], log: workshop.logFile("smtp-sink"))
        try await workshop.awaitServer(child, port: port)
        return SMTPSink(port: port, child: child)
    }

    /// The messages that it has taken so far.
    func count() -> Int {
        guard let file = try? FileHandle(forReadingFrom: URL(fileURLWithPath: child.logFile)) else { return 0 }
        defer { try? file.close() }
        guard let size = try? file.seekToEnd() else { return 0 }
        try? file.seek(toOffset: size > 512 ? size - 512 : 0)
        let text = String(decoding: (try? file.readToEnd()) ?? Data(), as: UTF8.self)
        // sess=3 quit=2 mesg=17
        guard let last = text.split(whereSeparator: { $0 == "\r" || $0 == "\n" }).last(where: { $0.contains("mesg=") }) else { return 0 }
        return last.split(separator: " ").first { $0.hasPrefix("mesg=") }.flatMap { Int($0.dropFirst(5)) } ?? 0
    }

    /// Waits until it has taken so many; the time when it had.
    func reached(_ wanted: Int, patience: Duration) async throws -> ContinuousClock.Instant {
        var last = count()
        var since = ContinuousClock.now
        while true {
            let now = count()
            let time = ContinuousClock.now
            if now >= wanted { return time }
            if now != last { (last, since) = (now, time) }
            guard time - since < patience else { throw BenchError("the sink waits since \(patience): it has \(now) of \(wanted) messages") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    func stop() async { await child.stop() }
}

/// Postfix's `smtp-source`: sends messages in so many sessions at once.
struct SMTPSource: Sendable {
    var sessions: Int
    var messages: Int = 0
    var octets = 4096
    /// Whether a session sends one message after the other; otherwise each message has a connection of its own.
    var keepsSessions = false
    /// A message to send, with lines that LF ends; `nil`: text of so many octets.
    var file: String?
    var sender = "bob@kartapuce.test"
    /// What it calls itself; `nil`: this machine's name.
    var host: String?

    /// Sends all; the time from the first connection to the last reply.
    func run(_ workshop: Workshop, port: Int) async throws -> Duration {
        var arguments = ["-4", "-s", "\(sessions)", "-m", "\(messages)", "-C", "50"]
        arguments += file.map { ["-F", $0] } ?? ["-l", "\(octets)"]
        if let host { arguments += ["-M", host] }
        if keepsSessions { arguments.append("-d") }
        arguments += ["-f", sender, "-t", "jack@kartapuce.test", "127.0.0.1:\(port)"]
        let start = ContinuousClock.now
        let child = try ChildProcess("smtp-source", arguments, log: workshop.logFile("smtp-source"))
        let status = await child.wait()
        let duration = ContinuousClock.now - start
        guard status == 0 else { throw BenchError("smtp-source: exit code \(status): \(child.lastLines(4))") }
        return duration
    }
}

/// A host that takes connections and never says a word.
struct SilentHost: Sendable {
    let port: Int
    private let channel: any Channel

    static func start() async throws -> SilentHost {
        let channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton).bind(host: "127.0.0.1", port: 0).get()
        return SilentHost(port: channel.localAddress?.port ?? 0, channel: channel)
    }

    func stop() async { try? await channel.close() }
}
