import Foundation
import MailMessage
import MailStore
import NIOCore
import NIOSSL

/// A queue and a mailbox with a million messages, beside empty ones.
enum MillionBenchmarks {
    // MARK: - Queue

    static func queue(_ run: Run) async throws {
        let sink = try await SMTPSink.start(run.workshop)
        let result = await Result {
            var table = Table(["queue", "start, s", "relay /s", "±%", "µs CPU", "RSS MB", "data MB"])
            for (label, count) in [("queue.empty", 0), ("queue.million", run.million)] {
                let folder = try run.workshop.makeFolder(label)
                let port = try await run.workshop.freePort()
                // Nobody listens at that port.
                try PosternServer.configure(
                    run.workshop, folder: folder, port: port, purpose: .relay, sinkPort: sink.port, extra: "outboundPort: 9\n", authentication: nil)
                if count > 0 {
                    let seconds = try await fillQueue(folder: "\(folder)/data", count: count)
                    say("    filled with \(count) messages in \(show(seconds)) s")
                }
                let start = ContinuousClock.now
                let server = try await PosternServer.start(run.workshop, binary: run.binary, folder: folder, port: port, name: label)
                let startup = (ContinuousClock.now - start) / .seconds(1)
                let measured = await Result {
                    // As many as an empty queue takes in the wanted time; the first are for warming up.
                    var source = SMTPSource(sessions: 50, messages: 500)
                    var rates: [Double] = []
                    var costs: [Double] = []
                    for number in 0...run.runs {
                        let before = server.usage()
                        let already = sink.count()
                        let start = ContinuousClock.now
                        _ = try await source.run(run.workshop, port: port)
                        let seconds = (try await sink.reached(already + source.messages, patience: .seconds(60)) - start) / .seconds(1)
                        if number > 0 {
                            rates.append(Double(source.messages) / seconds)
                            costs.append((server.usage().cpuSeconds - before.cpuSeconds) * 1e6 / Double(source.messages))
                        } else {
                            source.messages = max(500, Int(Double(source.messages) / seconds * run.seconds))
                        }
                    }
                    return (Samples(values: rates), Samples(values: costs), server.usage().residentBytes)
                }
                await server.stop()
                let (rate, cost, resident) = try measured.get()
                run.figures["\(label).start_s"] = startup
                run.figures["\(label).relay"] = rate.median
                run.figures["\(label).relay.cpu_us"] = cost.median
                run.figures["\(label).rss_mb"] = Double(resident) / 1e6
                run.figures["\(label).messages"] = Double(count)
                table.add([
                    "\(count) messages", show(startup), show(rate.median), show(rate.spread), show(cost.median), show(Double(resident) / 1e6),
                    show(Double(folderSize("\(folder)/data")) / 1e6),
                ])
                try FileManager.default.removeItem(atPath: folder)
            }
            if let full = run.figures["queue.million.relay"], let empty = run.figures["queue.empty.relay"] { run.figures["queue.million.ratio"] = full / empty }
            say(table.text)
            say("  the million: a third held, a third to be tried in some hours, a third due now for a host that can't be reached")
        }
        await sink.stop()
        try result.get()
    }

    /// Fills a spool through Postern's library, a thousand messages a transaction; the time it took.
    private static func fillQueue(folder: String, count: Int) async throws -> Double {
        let start = ContinuousClock.now
        let spool = try await SpoolStore.open(folder: folder, host: "postern.kartapuce.test")
        let result = await Result {
            let sender = EmailAddress(localPart: "tom", domain: "gmail.test")
            for first in stride(from: 0, to: count, by: 1000) {
                let messages = (first..<min(first + 1000, count)).map { number in
                    // A third waits for an operator, a third for its time (a message is tried first when it arrives: this one arrives
                    // in six hours), and a third is due now, for a host that can't be reached.
                    let (isHeld, isDown) = (number % 3 == 0, number % 3 == 2)
                    let domain = isDown ? "[127.0.0.9]" : "far\(number % 10).test"
                    let recipient = EnvelopeRecipient(address: EmailAddress(localPart: "user\(number)", domain: domain))
                    return NewSpoolMessage(
                        trace: .random(), envelope: Envelope(reversePath: sender), routes: [(recipient, isDown ? "ip:127.0.0.9" : "mx:\(domain)")],
                        prefix: ByteBuffer(string: "Received: by postern.kartapuce.test with SMTP id \(number)\r\n"),
                        content: BufferedContent(SampleMail.plain(number, octets: 1024)),
                        arrival: Date.now.addingTimeInterval(isHeld || isDown ? 0 : 6 * 3600), holdReason: isHeld ? "for the benchmark" : nil)
                }
                try await spool.record([], newMessages: messages, journey: [])
            }
            let counts = try await spool.counts()
            guard counts.held + counts.queued == count else { throw BenchError("the spool has \(counts) instead of \(count) messages") }
        }
        try await spool.close()
        try result.get()
        return (ContinuousClock.now - start) / .seconds(1)
    }

    // MARK: - Mailbox

    static func mailbox(_ run: Run) async throws {
        let folder = try run.workshop.makeFolder("mailbox-million")
        try await MailboxServers.makeCertificate(run.workshop, folder: folder)
        let start = ContinuousClock.now
        try await MailboxServers.fill(folder: "\(folder)/data", MailboxContent(count: run.million, octets: 1024))
        say(
            "    filled with \(run.million) messages in \(show((ContinuousClock.now - start) / .seconds(1))) s, \(show(Double(folderSize("\(folder)/data")) / 1e6)) MB"
        )
        let server = try await MailboxServers.startPostern(run.workshop, binary: run.binary, folder: folder)
        let result = await Result {
            let session = try await IMAPSessionClient.login(port: server.port, tls: try LineClient.trustingContext())
            var table = Table(["mailbox of \(run.million)", "ms", "first ms"])
            let commands = [
                ("select", "SELECT INBOX"), ("fetch_last", "FETCH * (FLAGS BODY.PEEK[])"),
                ("fetch_last_50", "FETCH \(max(1, run.million - 49)):* (UID FLAGS RFC822.SIZE ENVELOPE)"), ("search_flags", "SEARCH UNSEEN"),
                ("search_subject", "SEARCH SUBJECT \"week 777777\""), ("flags", "FETCH 1:* (FLAGS)"),
            ]
            for (key, command) in commands {
                var times: [Double] = []
                for _ in 0...run.runs {
                    let start = ContinuousClock.now
                    try await session.command(command)
                    times.append((ContinuousClock.now - start) / .milliseconds(1))
                }
                let samples = Samples(values: Array(times.dropFirst()))
                run.figures["mailbox.million.\(key)_ms"] = samples.median
                run.figures["mailbox.million.\(key)_first_ms"] = times.first
                table.add([command, show(samples.median), show(times.first ?? .nan)])
            }
            run.figures["mailbox.million.rss_mb"] = Double(ProcessUsage.of(server.child.processIdentifier).residentBytes) / 1e6
            await session.close()
            say(table.text)
            say("  RSS of the server afterwards: \(show(run.figures["mailbox.million.rss_mb"] ?? .nan)) MB")
        }
        await server.stop()
        try result.get()
        try FileManager.default.removeItem(atPath: folder)
    }

    private static func folderSize(_ path: String) -> Int {
        let files = FileManager.default.enumerator(atPath: path)
        var octets = 0
        while let name = files?.nextObject() as? String {
            let size = try? FileManager.default.attributesOfItem(atPath: "\(path)/\(name)")[.size] as? Int
            octets += size ?? 0
        }
        return octets
    }
}
