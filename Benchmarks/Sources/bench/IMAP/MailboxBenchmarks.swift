import Foundation
import NIOCore
import NIOSSL

/// IMAP on a mailbox of 10,000 messages, beside Dovecot, by the same client under the same TLS.
enum MailboxBenchmarks {
    static func imap(_ run: Run) async throws {
        let content = MailboxContent(count: 10_000, octets: 4096)
        var servers: [MailboxServer] = []
        let result = await Result {
            servers.append(try await MailboxServers.postern(run.workshop, binary: run.binary, content: content))
            servers.append(try await MailboxServers.dovecot(run.workshop, content: content))
            try await compare(run, servers, content)
        }
        for server in servers { await server.stop() }
        try result.get()
        say("  both durable: Dovecot with mail_fsync=optimized on a Maildir, Postern one transaction for each APPEND (WAL, synchronous=FULL)")
        say("  all under TLS 1.3 with the same certificate; passwords are SCRAM verifiers of 4096 rounds on both sides")
    }

    /// One thing that is measured: how often it is done in a run, and what it does on a session.
    private struct Measure {
        var key: String
        var unit: String
        /// How many units one call is.
        var weight: Double
        var calls: Int
        var body: (MailboxServer, IMAPSessionClient) async throws -> ByteBuffer
        /// What must be in the answer, and how often.
        var expected: (text: String, count: Int)?
    }

    private static func compare(_ run: Run, _ servers: [MailboxServer], _ content: MailboxContent) async throws {
        let tls = try LineClient.trustingContext()
        let all = Double(content.count)
        let unseen = (0..<content.count).count { !content.isSeen($0) }
        let sample = content.message(77_777)
        func command(_ text: String) -> (MailboxServer, IMAPSessionClient) async throws -> ByteBuffer {
            { _, session in try await session.command(text) }
        }
        let measures = [
            Measure(key: "login", unit: "logins/s", weight: 1, calls: 40) { server, _ in
                let session = try await IMAPSessionClient.login(port: server.port, tls: tls)
                let answer = try await session.command("NOOP")
                await session.close()
                return answer
            },
            Measure(key: "select", unit: "selects/s", weight: 1, calls: 40, body: command("SELECT INBOX"), expected: ("\(content.count) EXISTS", 1)),
            Measure(key: "flags", unit: "messages/s", weight: all, calls: 4, body: command("FETCH 1:* (UID FLAGS)"), expected: (" FETCH (", content.count)),
            Measure(
                key: "envelopes", unit: "messages/s", weight: all, calls: 2, body: command("FETCH 1:* (UID FLAGS RFC822.SIZE INTERNALDATE ENVELOPE)"),
                expected: (" FETCH (", content.count)),
            Measure(
                key: "headers", unit: "messages/s", weight: all, calls: 1, body: command("FETCH 1:* (UID BODY.PEEK[HEADER])"),
                expected: (" FETCH (", content.count)),
            Measure(
                key: "fetch", unit: "messages/s", weight: all, calls: 1, body: command("FETCH 1:* (UID BODY.PEEK[])"), expected: (" FETCH (", content.count)),
            Measure(key: "fetch.one", unit: "messages/s", weight: 1, calls: 200) { _, session in
                try await session.command("FETCH \(Int.random(in: 1...content.count)) BODY.PEEK[]")
            },
            Measure(key: "append", unit: "messages/s", weight: 1, calls: 50) { _, session in
                try await session.command("APPEND Sent (\\Seen)", literal: sample)
            },
            Measure(key: "search.flags", unit: "searches/s", weight: 1, calls: 20, body: command("SEARCH UNSEEN"), expected: (" ", unseen)),
            Measure(key: "search.subject", unit: "searches/s", weight: 1, calls: 4, body: command("SEARCH SUBJECT \"week 77\""), expected: (" ", 111)),
            Measure(key: "search.body", unit: "searches/s", weight: 1, calls: 1, body: command("SEARCH BODY \"not in any of them\""), expected: nil),
            Measure(key: "search.text", unit: "searches/s", weight: 1, calls: 1, body: command("SEARCH TEXT \"week 77\""), expected: (" ", 111)),
        ]
        var sessions: [IMAPSessionClient] = []
        for server in servers {
            let session = try await IMAPSessionClient.login(port: server.port, tls: tls)
            // It exists in one of them from the beginning.
            _ = try? await session.command("CREATE Sent")
            try await session.command("SELECT INBOX")
            sessions.append(session)
        }
        var table = Table(["imap"] + servers.map(\.name) + ["", "ratio"] + servers.map { "\($0.name) ms CPU/call" } + servers.map { "first, s \($0.name)" })
        for measure in measures {
            var rates: [String: [Double]] = [:]
            var costs: [String: [Double]] = [:]
            var firsts: [Double] = []
            // The first time fills the servers' caches, and is looked at closely.
            for (server, session) in zip(servers, sessions) {
                let start = ContinuousClock.now
                let answer = try await measure.body(server, session)
                firsts.append((ContinuousClock.now - start) / .seconds(1))
                try verify(measure, answer, server)
            }
            for _ in 0..<run.runs {
                for (server, session) in zip(servers, sessions) {
                    let before = ProcessUsage.of(server.child.processIdentifier).cpuSeconds
                    let start = ContinuousClock.now
                    for _ in 0..<measure.calls { _ = try await measure.body(server, session) }
                    let seconds = (ContinuousClock.now - start) / .seconds(1)
                    let cost = ProcessUsage.of(server.child.processIdentifier).cpuSeconds - before
                    rates[server.name, default: []].append(Double(measure.calls) * measure.weight / seconds)
                    costs[server.name, default: []].append(cost / Double(measure.calls) * 1000)
                }
            }
            let medians = servers.map { Samples(values: rates[$0.name] ?? []).median }
            for (server, median) in zip(servers, medians) {
                run.figures["imap.\(measure.key).\(server.name)"] = median
                run.figures["imap.\(measure.key).\(server.name).spread_percent"] = Samples(values: rates[server.name] ?? []).spread
                run.figures["imap.\(measure.key).\(server.name).cpu_ms"] = Samples(values: costs[server.name] ?? []).median
            }
            let ratio = medians[0] / medians[1]
            run.figures["imap.\(measure.key).ratio"] = ratio
            table.add(
                [measure.key] + medians.map { show($0) } + [measure.unit, show(ratio)] + servers.map { show(Samples(values: costs[$0.name] ?? []).median) }
                    + firsts.map { show($0) })
            say("    imap.\(measure.key): postern \(show(medians[0])), dovecot \(show(medians[1])) \(measure.unit), ratio \(show(ratio))")
        }
        for session in sessions { await session.close() }
        say(table.text)
    }

    /// A fast answer that is wrong is no answer.
    private static func verify(_ measure: Measure, _ answer: ByteBuffer, _ server: MailboxServer) throws {
        guard let (text, wanted) = measure.expected else { return }
        var found: Int
        if measure.key.hasPrefix("search") {
            let line = String(buffer: answer).split(separator: "\r\n").first { $0.hasPrefix("* SEARCH") } ?? ""
            found = max(0, line.split(separator: " ").count - 2)
        } else {
            found = 0
            let pattern = Array(text.utf8)
            let view = answer.readableBytesView
            var place = view.startIndex
            while let start = view[place...].firstIndex(of: pattern[0]) {
                if view.endIndex - start >= pattern.count, view[start..<start + pattern.count].elementsEqual(pattern) { found += 1 }
                place = start + 1
            }
        }
        guard found == wanted else { throw BenchError("\(server.name) answers \(measure.key) with \(found) instead of \(wanted)") }
    }
}
