import Foundation

/// Mail through servers, from `smtp-source`: `accept` until the last 250, `relay` until `smtp-sink` has the last message.
enum MailFlow {
    static func accept(_ run: Run) async throws { try await besidePostfix(run, .accept, smallMessages("accept")) }
    static func relay(_ run: Run) async throws { try await besidePostfix(run, .relay, smallMessages("relay")) }

    static func sizes(_ run: Run) async throws {
        for purpose in [MailPurpose.accept, .relay] {
            try await besidePostfix(
                run, purpose,
                [
                    Load(label: "\(purpose).100k", source: SMTPSource(sessions: 10, octets: 100 << 10), inMegabytes: true),
                    Load(label: "\(purpose).10m", source: SMTPSource(sessions: 10, octets: 10 << 20), inMegabytes: true),
                ])
        }
    }

    static func ceiling(_ run: Run) async throws {
        try await withServers([
            { try await DiscardServer.start(run.workshop, loops: 1) }, { try await DiscardServer.start(run.workshop, loops: 2) },
        ]) { servers in
            try await compare(run, servers, smallMessages("ceiling"), sink: nil)
        }
        say("  a server on NIO that answers and keeps nothing, with one event loop and with two; smtp-source itself is one process on one core")
    }

    static func journeyCost(_ run: Run) async throws {
        let sink = try await SMTPSink.start(run.workshop)
        let load = Load(label: "journey", source: SMTPSource(sessions: 50))
        let result = await Result {
            try await withServers([
                { try await PosternServer.start(run.workshop, binary: run.binary, purpose: .relay, sinkPort: sink.port, name: "on") },
                {
                    try await PosternServer.start(
                        run.workshop, binary: run.binary, purpose: .relay, sinkPort: sink.port, name: "off", extra: "journeys:\n  enabled: false\n")
                },
            ]) { servers in try await compare(run, servers, [load], sink: sink) }
        }
        await sink.stop()
        try result.get()
        guard let on = run.figures["journey.on"], let off = run.figures["journey.off"] else { return }
        run.figures["journey.cost"] = (off - on) / off * 100
        if let on = run.figures["journey.on.cpu_us"], let off = run.figures["journey.off.cpu_us"] {
            run.figures["journey.cost.cpu"] = (on - off) / off * 100
        }
        say(
            "  journeys cost \(show(run.figures["journey.cost"] ?? .nan)) % of the rate, \(show(run.figures["journey.cost.cpu"] ?? .nan)) % more CPU for each message"
        )
    }

    /// What is sent, and under which key its figures stand.
    struct Load: Sendable {
        var label: String
        var source: SMTPSource
        /// Whether the figure is in MB/s instead of messages a second.
        var inMegabytes = false

        /// What a rate in messages a second is multiplied with.
        var scale: Double { inMegabytes ? Double(source.octets) / 1e6 : 1 }
        /// The most messages of one run: no disk shall be filled by a benchmark.
        var limit: Int { max(source.sessions * 4, (768 << 20) / source.octets) }
    }

    private static func smallMessages(_ name: String) -> [Load] {
        [1, 10, 50].map { Load(label: "\(name).\($0)", source: SMTPSource(sessions: $0)) }
            + [Load(label: "\(name).50.kept", source: SMTPSource(sessions: 50, keepsSessions: true))]
    }

    private static func besidePostfix(_ run: Run, _ purpose: MailPurpose, _ loads: [Load]) async throws {
        let sink = try await SMTPSink.start(run.workshop)
        let silent = try await SilentHost.start()
        let port = purpose == .relay ? sink.port : silent.port
        let result = await Result {
            try await withServers([
                { try await PosternServer.start(run.workshop, binary: run.binary, purpose: purpose, sinkPort: port) },
                { try await PostfixServer.start(run.workshop, purpose: purpose, sinkPort: port) },
            ]) { servers in try await compare(run, servers, loads, sink: purpose == .relay ? sink : nil) }
        }
        await sink.stop()
        await silent.stop()
        try result.get()
        say("  durable on both sides: Postfix fsyncs each queue file; Postern commits all that waits in one SQLite transaction (WAL, synchronous=FULL)")
        say("  each message has a connection of its own, but with .kept, where a session sends one after the other")
    }

    /// Starts servers, and stops those that were started whatever happens.
    static func withServers(
        _ starts: [() async throws -> any MailServer], _ body: ([any MailServer]) async throws -> Void
    ) async throws {
        var servers: [any MailServer] = []
        let result = await Result {
            for start in starts { servers.append(try await start()) }
            try await body(servers)
        }
        for server in servers { await server.stop() }
        try result.get()
    }

    /// What one run of one server gave.
    private struct Outcome {
        var rate: Double
        var microseconds: Double
        var octetsWritten: Double
        var batch: Double?
    }

    /// Runs loads against servers, and prints a table.
    static func compare(_ run: Run, _ servers: [any MailServer], _ loads: [Load], sink: SMTPSink?) async throws {
        let names = servers.map(\.name)
        var table = Table(
            [""] + names.flatMap { ["\($0) \(loads.first?.inMegabytes == true ? "MB/s" : "/s")", "±%"] } + ["ratio"] + names.map { "\($0) µs CPU" }
                + ["messages/commit", "messages"])
        for load in loads {
            table.add(try await compare(run, servers, load, sink: sink))
        }
        say(table.text)
    }

    /// Runs one load against each server in turn, several times; a row for the table.
    private static func compare(_ run: Run, _ servers: [any MailServer], _ load: Load, sink: SMTPSink?) async throws -> [String] {
        var source = load.source
        // The first messages warm up both, and tell how many a run of the wanted length needs: the geometric mean of both rates, so that
        // neither is done too soon nor waited for too long.
        let isLarge = source.octets > 1 << 20
        var rates: [Double] = []
        for server in servers {
            source.messages = isLarge ? source.sessions : max(50, source.sessions * 4)
            _ = try await once(run, server, source, sink)
            source.messages *= isLarge ? 2 : 4
            rates.append(try await once(run, server, source, sink).rate)
        }
        let mean = pow(rates.reduce(1, *), 1 / Double(max(rates.count, 1)))
        source.messages = min(load.limit, max(source.sessions * 4, Int(run.seconds * mean)))
        var outcomes: [String: [Outcome]] = [:]
        for _ in 0..<run.runs {
            for server in servers { outcomes[server.name, default: []].append(try await once(run, server, source, sink)) }
        }
        var cells: [String] = []
        var medians: [Double] = []
        var costs: [String] = []
        var batches: [String] = []
        for server in servers {
            let all = outcomes[server.name] ?? []
            let rate = Samples(values: all.map { $0.rate * load.scale })
            let cost = Samples(values: all.map(\.microseconds))
            medians.append(rate.median)
            costs.append(show(cost.median))
            let key = "\(load.label).\(server.name)"
            run.figures[key] = rate.median
            run.figures["\(key).spread_percent"] = rate.spread
            run.figures["\(key).cpu_us"] = cost.median
            run.figures["\(key).written_bytes"] = Samples(values: all.map(\.octetsWritten)).median
            let batch = Samples(values: all.compactMap(\.batch))
            if !batch.values.isEmpty {
                run.figures["\(key).batch"] = batch.median
                batches.append(show(batch.median))
            }
            if let mode = server.fsyncMode { run.figures.note("\(key).fsync", mode) }
            cells += [show(rate.median), show(rate.spread)]
        }
        let ratio = medians[0] / (medians.last ?? .nan)
        if servers.contains(where: { $0.name == "postfix" }) { run.figures["\(load.label).ratio"] = ratio }
        let row = [load.label] + cells + [show(ratio)] + costs + [batches.joined(separator: ", "), "\(source.messages)"]
        say("    \(load.label): \(zip(servers.map(\.name), medians).map { "\($0) \(show($1))" }.joined(separator: ", ")), ratio \(show(ratio))")
        return row
    }

    /// One run of one server.
    private static func once(_ run: Run, _ server: any MailServer, _ source: SMTPSource, _ sink: SMTPSink?) async throws -> Outcome {
        let before = server.usage()
        let commits = server.commits()
        let already = sink?.count() ?? 0
        let start = ContinuousClock.now
        var duration = try await source.run(run.workshop, port: server.port)
        if let sink { duration = try await sink.reached(already + source.messages, patience: .seconds(60)) - start }
        // What is left to do after the last message belongs to it as well.
        try await Task.sleep(for: .milliseconds(300))
        let after = server.usage()
        let count = Double(source.messages)
        var batch: Double?
        if let commits, let now = server.commits(), now > commits { batch = count / Double(now - commits) }
        return Outcome(
            rate: count / (duration / .seconds(1)), microseconds: (after.cpuSeconds - before.cpuSeconds) * 1e6 / count,
            octetsWritten: Double(after.writtenBytes - before.writtenBytes) / count, batch: batch)
    }
}

extension Result where Failure == any Error {
    /// The result of something that may fail, to be looked at when everything is tidied up.
    init(_ body: () async throws -> Success) async {
        do { self = .success(try await body()) } catch { self = .failure(error) }
    }
}
