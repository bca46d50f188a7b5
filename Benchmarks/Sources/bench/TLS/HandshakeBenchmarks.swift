import Foundation

/// `bench tls`: TLS 1.3 handshakes a second, in full and resumed: Postern's IMAPS listener, a bare server on NIOSSL, and `openssl s_server`.
enum HandshakeBenchmarks {
    /// A server that shakes hands.
    private struct Peer {
        let name: String
        let port: Int
        /// Whether the client must speak first.
        var isSilent = false
        let child: ChildProcess
    }

    static func all(_ run: Run) async throws {
        var peers: [Peer] = []
        let result = await Result {
            let postern = try await MailboxServers.postern(run.workshop, binary: run.binary, content: MailboxContent(count: 1, octets: 1024))
            peers.append(Peer(name: "postern", port: postern.port, child: postern.child))
            let folder = try run.workshop.makeFolder("handshakes")
            try await MailboxServers.makeCertificate(run.workshop, folder: folder)
            peers.append(try await start(run, "niossl", program, ["greet", "--folder", folder]))
            peers.append(
                try await start(
                    run, "openssl", "openssl",
                    ["s_server", "-quiet", "-rev", "-tls1_3", "-cert", "\(folder)/server.pem", "-key", "\(folder)/server-key.pem"], isSilent: true))
            try await compare(run, peers)
        }
        for peer in peers { await peer.child.stop() }
        try result.get()
        say(
            "  OpenSSL's client on eight threads, x25519 and ECDSA P-256; each session ends with the first octet from the server; s_server serves one after the other"
        )
    }

    private static var program: String {
        let program = CommandLine.arguments[0]
        return program.contains("/") ? program : "/proc/self/exe"
    }

    private static func start(_ run: Run, _ name: String, _ program: String, _ arguments: [String], isSilent: Bool = false) async throws -> Peer {
        let port = try await run.workshop.freePort()
        let place = program == "openssl" ? ["-accept", "127.0.0.1:\(port)"] : ["--port", "\(port)"]
        let child = try ChildProcess(program, arguments + place, log: run.workshop.logFile(name))
        try await run.workshop.awaitServer(child, port: port)
        return Peer(name: name, port: port, isSilent: isSilent, child: child)
    }

    private static func compare(_ run: Run, _ peers: [Peer]) async throws {
        var table = Table([""] + peers.flatMap { ["\($0.name) /s", "±%"] } + ["of NIOSSL %"] + peers.map { "\($0.name) µs CPU" })
        for kind in ["full", "resumed"] {
            var rates = [Samples](repeating: Samples(), count: peers.count)
            var costs = rates
            for _ in 0..<run.runs {
                for (index, peer) in peers.enumerated() {
                    let before = ProcessUsage.of(peer.child.processIdentifier).cpuSeconds
                    let counts = try await load(run, peer, isResumed: kind == "resumed")
                    rates[index].values.append(counts.rate)
                    costs[index].values.append((ProcessUsage.of(peer.child.processIdentifier).cpuSeconds - before) / counts.done * 1e6)
                }
            }
            for (index, peer) in peers.enumerated() {
                run.figures["tls.\(kind).\(peer.name)"] = rates[index].median
                run.figures["tls.\(kind).\(peer.name).cpu_us"] = costs[index].median
            }
            run.figures["tls.\(kind).niossl_share"] = rates[0].median / rates[1].median * 100
            table.add(
                [kind] + rates.flatMap { [show($0.median), show($0.spread)] } + [show(rates[0].median / rates[1].median * 100)]
                    + costs.map { show($0.median) })
        }
        say(table.text)
    }

    private static func load(_ run: Run, _ peer: Peer, isResumed: Bool) async throws -> (done: Double, rate: Double) {
        let log = run.workshop.logFile("handshakes")
        let options = (isResumed ? ["--resumed"] : []) + (peer.isSilent ? ["--speaks"] : [])
        let said = try await ChildProcess.run(
            program, ["handshakes", "--port", "\(peer.port)", "--seconds", "\(run.seconds)"] + options, log: log)
        let words = said.split(whereSeparator: \.isWhitespace).compactMap { Double($0) }
        guard words.count == 3, words[0] > 0 else { throw BenchError("no handshakes with \(peer.name): \(said)") }
        // A rate of resumed sessions that weren't would be another thing's rate.
        let share = words[1] / words[0]
        guard isResumed ? share > 0.99 : share == 0 else { throw BenchError("\(peer.name): \(Int(words[1])) of \(Int(words[0])) sessions were resumed") }
        return (words[0], words[0] / words[2])
    }
}
