import Foundation

/// Mail through a server, from `smtp-source`: `accept` until the last 250, `relay` until `smtp-sink` has the last message.
enum MailFlow {
    private static let sessionCounts = [1, 10, 50]

    static func accept(_ run: Run) async throws { try await measure(run, .accept) }
    static func relay(_ run: Run) async throws { try await measure(run, .relay) }

    /// What one run of one server gave.
    private struct Outcome {
        var rate: Double
        var microseconds: Double
        var octetsWritten: Double
    }

    private static func measure(_ run: Run, _ purpose: MailPurpose) async throws {
        let sink = try await SMTPSink.start(run.workshop)
        let silent = try await SilentHost.start()
        var servers: [any MailServer] = []
        var failure: (any Error)?
        do {
            let port = purpose == .relay ? sink.port : silent.port
            servers.append(try await PosternServer.start(run.workshop, binary: run.binary, purpose: purpose, sinkPort: port))
            servers.append(try await PostfixServer.start(run.workshop, purpose: purpose, sinkPort: port))
            var table = Table(["", "postern /s", "±%", "postfix /s", "±%", "ratio", "postern µs CPU", "postfix µs CPU", "messages"])
            for keeps in [false, true] {
                for sessions in keeps ? [sessionCounts.last ?? 50] : sessionCounts {
                    let label = "\(purpose).\(sessions)" + (keeps ? ".kept" : "")
                    let source = SMTPSource(sessions: sessions, messages: 0, keepsSessions: keeps)
                    try await compare(run, servers, source, label: label, sink: purpose == .relay ? sink : nil, &table)
                }
            }
            say(table.text)
            say("  durable on both sides: Postfix fsyncs each queue file; Postern commits all that wait in one SQLite transaction (WAL, synchronous=FULL)")
            say("  accept.N and relay.N have a new connection for each message; .kept sends all of a session's messages over one connection")
        } catch {
            failure = error
        }
        for server in servers { await server.stop() }
        await sink.stop()
        await silent.stop()
        if let failure { throw failure }
    }

    private static func compare(
        _ run: Run, _ servers: [any MailServer], _ source: SMTPSource, label: String, sink: SMTPSink?, _ table: inout Table
    ) async throws {
        var source = source
        // The first messages warm up both, and tell how many a run of the wanted length needs: the geometric mean of both rates, so that
        // neither is done too soon nor waited for too long.
        var rates: [Double] = []
        for server in servers {
            source.messages = max(50, source.sessions * 4)
            _ = try await once(run, server, source, sink)
            source.messages *= 4
            rates.append(try await once(run, server, source, sink).rate)
        }
        let mean = pow(rates.reduce(1, *), 1 / Double(max(rates.count, 1)))
        source.messages = max(source.sessions * 10, Int(run.seconds * mean))
        var outcomes: [String: [Outcome]] = [:]
        for _ in 0..<run.runs {
            for server in servers { outcomes[server.name, default: []].append(try await once(run, server, source, sink)) }
        }
        var cells: [String] = [label]
        var medians: [String: Double] = [:]
        var costs: [String: Double] = [:]
        for server in servers {
            let all = outcomes[server.name] ?? []
            let rate = Samples(values: all.map(\.rate))
            let cost = Samples(values: all.map(\.microseconds))
            medians[server.name] = rate.median
            costs[server.name] = cost.median
            run.figures["\(label).\(server.name)"] = rate.median
            run.figures["\(label).\(server.name).spread_percent"] = rate.spread
            run.figures["\(label).\(server.name).cpu_us"] = cost.median
            run.figures["\(label).\(server.name).written_bytes"] = Samples(values: all.map(\.octetsWritten)).median
            cells += [show(rate.median), show(rate.spread)]
        }
        let ratio = (medians["postern"] ?? .nan) / (medians["postfix"] ?? .nan)
        run.figures["\(label).ratio"] = ratio
        cells += [show(ratio), show(costs["postern"] ?? .nan), show(costs["postfix"] ?? .nan), "\(source.messages)"]
        table.add(cells)
        say("    \(label): postern \(show(medians["postern"] ?? .nan)), postfix \(show(medians["postfix"] ?? .nan)), ratio \(show(ratio))")
    }

    /// One run of one server.
    private static func once(_ run: Run, _ server: any MailServer, _ source: SMTPSource, _ sink: SMTPSink?) async throws -> Outcome {
        let before = server.usage()
        let already = sink?.count() ?? 0
        let start = ContinuousClock.now
        var duration = try await source.run(run.workshop, port: server.port)
        if let sink { duration = try await sink.reached(already + source.messages, patience: .seconds(60)) - start }
        // What is left to do after the last message belongs to it as well.
        try await Task.sleep(for: .milliseconds(300))
        let after = server.usage()
        let count = Double(source.messages)
        return Outcome(
            rate: count / (duration / .seconds(1)), microseconds: (after.cpuSeconds - before.cpuSeconds) * 1e6 / count,
            octetsWritten: Double(after.writtenBytes - before.writtenBytes) / count)
    }
}
