import Foundation
import NIOCore
import NIOPosix
import NIOSSL

/// Sessions that do nothing: what each of them costs the server in memory.
enum IdleBenchmarks {
    static func idle(_ run: Run) async throws {
        let count = run.idleSessions
        try raiseFileLimit(to: UInt64(count + 2000))
        let server = try await MailboxServers.postern(
            run.workshop, binary: run.binary, content: MailboxContent(count: 20, octets: 4096))
        let result = await Result {
            var table = Table(["idle sessions", "RSS MB", "KB a session", "before MB", "opened in s"])
            let tls = try LineClient.trustingContext()
            for kind in ["smtp", "imaps"] {
                let before = ProcessUsage.of(server.child.processIdentifier).residentBytes
                let start = ContinuousClock.now
                let clients = try await open(count) { number in
                    let source = "127.0.\(1 + number / 200 % 100).\(1 + number % 200)"
                    if kind == "smtp" {
                        let client = try await LineClient.connect(port: server.smtpPort, tls: nil, source: source)
                        _ = try await client.exchange(ByteBuffer(), until: .reply)
                        _ = try await client.exchange(ByteBuffer(string: "EHLO client.gmail.test\r\n"), until: .reply)
                        return client
                    }
                    let client = try await LineClient.connect(port: server.port, tls: tls, source: source)
                    _ = try await client.exchange(ByteBuffer(), until: .line)
                    for command in ["LOGIN \(TestAccount.user) \(TestAccount.password)", "SELECT INBOX"] {
                        let answer = try await client.exchange(ByteBuffer(string: "A \(command)\r\n"), until: .tagged("A"))
                        guard String(buffer: answer).contains("A OK ") else { throw BenchError("\(command): \(String(buffer: answer).suffix(200))") }
                    }
                    return client
                }
                let seconds = (ContinuousClock.now - start) / .seconds(1)
                // What was only needed for opening has time to go.
                try await Task.sleep(for: .seconds(3))
                let after = ProcessUsage.of(server.child.processIdentifier).residentBytes
                run.figures["idle.\(kind).rss_mb"] = Double(after) / 1e6
                run.figures["idle.\(kind).kb_per_session"] = Double(after - before) / Double(count) / 1e3
                run.figures["idle.\(kind).sessions"] = Double(count)
                table.add([
                    "\(count) \(kind)", show(Double(after) / 1e6), show(Double(after - before) / Double(count) / 1e3), show(Double(before) / 1e6),
                    show(seconds),
                ])
                // They must still be alive, or the figure means nothing.
                if let last = clients.last {
                    let answer = try await last.exchange(
                        ByteBuffer(string: kind == "smtp" ? "NOOP\r\n" : "B NOOP\r\n"), until: kind == "smtp" ? .reply : .tagged("B"))
                    guard answer.readableBytes > 0 else { throw BenchError("an idle session was dead") }
                }
                await close(clients)
                try await Task.sleep(for: .seconds(2))
                let closed = ProcessUsage.of(server.child.processIdentifier).residentBytes
                run.figures["idle.\(kind).after_close_mb"] = Double(closed) / 1e6
            }
            say(table.text)
            say("  RSS of the server's process as it is, nothing subtracted; smtp after EHLO without TLS; imaps logged in, INBOX selected, TLS 1.3")
        }
        await server.stop()
        try result.get()
    }

    /// Opens so many sessions, 64 at a time.
    private static func open(_ count: Int, _ connect: @escaping @Sendable (Int) async throws -> LineClient) async throws -> [LineClient] {
        try await withThrowingTaskGroup(of: LineClient.self) { group in
            var clients: [LineClient] = []
            clients.reserveCapacity(count)
            for number in 0..<count {
                if number >= 64, let client = try await group.next() { clients.append(client) }
                group.addTask { try await connect(number) }
            }
            for try await client in group { clients.append(client) }
            return clients
        }
    }

    private static func close(_ clients: [LineClient]) async {
        await withTaskGroup(of: Void.self) { group in
            for client in clients { group.addTask { await client.close() } }
        }
    }

    /// Lets this process, and the servers that it starts afterwards, have so many files open.
    private static func raiseFileLimit(to wanted: UInt64) throws {
        var limit = rlimit()
        // Safe: both calls fill or read the structure, which lives for the call.
        guard unsafe getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { throw BenchError("getrlimit failed") }
        guard limit.rlim_cur < wanted else { return }
        limit.rlim_cur = rlim_t(wanted)
        limit.rlim_max = max(limit.rlim_max, limit.rlim_cur)
        guard unsafe setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else {
            throw BenchError("\(wanted) open files are needed; run as root, or raise the limit (ulimit -n)")
        }
    }
}
