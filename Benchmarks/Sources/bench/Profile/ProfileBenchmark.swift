import Foundation

/// Where Postern's time goes while it relays: samples of all its threads by Linux's `perf`, summed up three ways.
enum ProfileBenchmark {
    /// What a stack is counted for: the first of these that is in it, from the innermost frame outwards.
    private static let places: [(name: String, patterns: [String])] = [
        ("syncing the disk (its CPU time, not the waiting)", ["fdatasync", "fsync"]),
        ("evidence: making and encoding journeys", ["JourneyCoding", "JourneyRecorder", "ReceptionJourney", "JourneySearchKeys"]),
        ("evidence: writing journeys to the store", ["JourneyLine"]),
        ("store: writing messages and recipients", ["PreparedMessage", "SQLiteWriter", "TypedJob", "enqueue"]),
        ("store: reading", ["DatabasePool", "SerializedDatabase", "DatabaseReader", "StoreDatabase"]),
        ("queue: choosing, settling", ["QueueRunner", "Settlement", "Notices"]),
        ("delivery: the client's side", ["SMTPClient", "SMTPDeliveryAgent"]),
        ("reception: the server's side", ["SMTPServer", "Reception", "MessageCollector", "DataDecoder", "EdgePolicy"]),
        ("parsing messages", ["MailMessage"]),
        ("sockets and event loops", ["NIOPosix"]),
        ("runtime: tasks and queues", ["libswift_Concurrency", "libdispatch", "swift_job"]),
    ]

    /// For the stacks that end in a library without frame pointers, so that who called it can't be seen.
    private static let lastPlaces: [(name: String, patterns: [String])] = [
        ("SQLite, and the kernel writing for it", ["sqlite3", "pwrite", "ext4", "libsqlite3"]),
        ("memory: malloc and free", ["malloc", "_int_free", "cfree", "unlink_chunk", "realloc"]),
    ]

    static func profile(_ run: Run) async throws {
        guard ChildProcess.find("perf") != nil else {
            say("  perf isn't installed (package linux-perf): nothing to see here")
            return
        }
        let sink = try await SMTPSink.start(run.workshop)
        let result = await Result {
            let server = try await PosternServer.start(run.workshop, binary: run.binary, purpose: .relay, sinkPort: sink.port)
            let result = await Result { try await record(run, server, sink) }
            await server.stop()
            try result.get()
        }
        await sink.stop()
        try result.get()
    }

    private static func record(_ run: Run, _ server: PosternServer, _ sink: SMTPSink) async throws {
        let data = "\(server.folder)/perf.data"
        var source = SMTPSource(sessions: 50, messages: 500)
        let start = ContinuousClock.now
        let already = sink.count()
        _ = try await source.run(run.workshop, port: server.port)
        let warm = (try await sink.reached(already + source.messages, patience: .seconds(60)) - start) / .seconds(1)
        source.messages = max(500, Int(500 / warm * run.seconds * 2))
        let perf = try ChildProcess(
            "perf", ["record", "-q", "-e", "cpu-clock", "-F", "997", "-g", "-p", "\(server.processIdentifier)", "-o", data], log: run.workshop.logFile("perf"))
        try await Task.sleep(for: .milliseconds(500))
        let before = sink.count()
        let measured = await Result {
            _ = try await source.run(run.workshop, port: server.port)
            _ = try await sink.reached(before + source.messages, patience: .seconds(60))
        }
        // SIGINT is how perf is told to write what it has; it takes SIGTERM as well.
        await perf.stop(grace: .seconds(30))
        try measured.get()
        let script = run.workshop.logFile("perf-script")
        try await ChildProcess.run("perf", ["script", "-i", data, "-F", "comm,ip,sym,dso"], log: script)
        // Without the compiler's tool the names stay mangled; most places are recognised even so.
        let names = try await ChildProcess.run(
            "sh", ["-c", "swift demangle --compact < \"$1\" || cat \"$1\"", "sh", script], log: run.workshop.logFile("demangled"))
        let stacks = Stacks(script: names)
        guard stacks.total > 0 else { throw BenchError("perf took no samples") }
        var table = Table(["where Postern's CPU time goes while relaying (50 sessions)", "%"])
        for (place, share) in stacks.shares([places, lastPlaces]) {
            table.add([place, show(share * 100)])
            run.figures["profile.\(place)"] = share * 100
        }
        say(table.text)
        var threads = Table(["threads", "%"])
        for (name, share) in stacks.threads.prefix(8) { threads.add([name, show(share * 100)]) }
        say(threads.text)
        var libraries = Table(["code of", "%"])
        for (name, share) in stacks.libraries.prefix(10) { libraries.add([name, show(share * 100)]) }
        say(libraries.text)
        let folded = "bench-profile.folded"
        try Data(stacks.folded.utf8).write(to: URL(fileURLWithPath: folded))
        say("  \(stacks.total) samples; whole stacks in \(folded), as programs for flame graphs read them")
    }
}

/// Samples as `perf script` tells them: a line with the thread's name, then its frames from the innermost on, then an empty line.
private struct Stacks {
    private var samples: [(thread: String, frames: [(symbol: String, library: String)])] = []
    var total: Int { samples.count }

    init(script: String) {
        var thread = ""
        var frames: [(symbol: String, library: String)] = []
        for line in script.split(separator: "\n", omittingEmptySubsequences: false) {
            if line.allSatisfy({ $0 == " " || $0 == "\t" }) {
                if !frames.isEmpty { samples.append((thread, frames)) }
                frames = []
            } else if line.first == " " || line.first == "\t" {
                // 7f1c2a sqlite3_step (/usr/lib/libsqlite3.so.0)
                let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" })
                let library = words.last.map { $0.dropFirst().dropLast().split(separator: "/").last.map(String.init) ?? "" } ?? ""
                frames.append((words.dropFirst().dropLast().joined(separator: " "), library))
            } else {
                thread = line.trimmingCharacters(in: .whitespaces)
            }
        }
        if !frames.isEmpty { samples.append((thread, frames)) }
    }

    private func counted(_ key: ((thread: String, frames: [(symbol: String, library: String)])) -> String) -> [(String, Double)] {
        var counts: [String: Int] = [:]
        for sample in samples { counts[key(sample), default: 0] += 1 }
        return counts.sorted { $0.value > $1.value }.map { ($0.key, Double($0.value) / Double(max(total, 1))) }
    }

    var threads: [(String, Double)] { counted { $0.thread } }
    var libraries: [(String, Double)] { counted { $0.frames.first?.library ?? "" } }

    /// Each sample counts for one place: that of the innermost frame that belongs to any of the first list; else of the next one.
    func shares(_ lists: [[(name: String, patterns: [String])]]) -> [(String, Double)] {
        counted { sample in
            for places in lists {
                for frame in sample.frames {
                    for place in places where place.patterns.contains(where: { frame.symbol.contains($0) || frame.library.contains($0) }) {
                        return place.name
                    }
                }
            }
            return "other"
        }
    }

    var folded: String {
        var counts: [String: Int] = [:]
        for sample in samples { counts[([sample.thread] + sample.frames.reversed().map(\.symbol)).joined(separator: ";"), default: 0] += 1 }
        return counts.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value)\n" }.joined()
    }
}
