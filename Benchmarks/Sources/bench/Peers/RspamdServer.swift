import Foundation

/// A resolver on this machine that knows every answer: unbound, with the records of the signed mail.
struct LocalDNS: Sendable {
    let port: Int
    private let child: ChildProcess

    static func start(_ workshop: Workshop, mail: SignedMail) async throws -> LocalDNS {
        let folder = try workshop.makeFolder("unbound")
        let port = try await workshop.freePort()
        // A string of a TXT record has 255 octets at most.
        let text = Array(mail.record.utf8)
        let parts = stride(from: 0, to: text.count, by: 250).map { "\"\(String(decoding: text[$0..<min($0 + 250, text.count)], as: UTF8.self))\"" }
        try workshop.install(
            "unbound/unbound.conf", to: "\(folder)/unbound.conf", ["FOLDER": folder, "PORT": "\(port)", "KEY": parts.joined(separator: " ")])
        let child = try ChildProcess("unbound", ["-d", "-c", "\(folder)/unbound.conf"], log: workshop.logFile("unbound"))
        try await workshop.awaitServer(child, port: port)
        return LocalDNS(port: port, child: child)
    }

    func stop() async { await child.stop() }
}

/// Postfix with rspamd in front of it as a milter, which does SPF, DKIM, DMARC and ARC and nothing else.
struct RspamdServer: MailServer {
    let name = "rspamd"
    private let postfix: PostfixServer
    private let rspamd: ChildProcess

    /// - Parameter message: a file that rspamd is asked about once: its verdict must be the one that everything passes.
    static func start(
        _ workshop: Workshop, layer: PeerLayer, purpose: MailPurpose, sinkPort: Int, dnsPort: Int, message: String
    ) async throws -> RspamdServer {
        let folder = try workshop.makeFolder("rspamd")
        let (milterPort, httpPort) = (try await workshop.freePort(), try await workshop.freePort())
        try workshop.install(
            "rspamd/rspamd.conf", to: "\(folder)/rspamd.conf",
            [
                "FOLDER": folder, "DNS_PORT": "\(dnsPort)", "MILTER_PORT": "\(milterPort)", "HTTP_PORT": "\(httpPort)",
                "WORKERS": "\(ProcessInfo.processInfo.activeProcessorCount)",
            ])
        try Data("test\n".utf8).write(to: URL(fileURLWithPath: "\(folder)/suffixes"))
        // -i: as root, like everything here.
        let child = try layer.start("/usr/bin/rspamd", ["-f", "-i", "-c", "\(folder)/rspamd.conf"], log: "\(folder)/start.log")
        do {
            for port in [milterPort, httpPort] { try await workshop.awaitServer(child, port: port, timeout: .seconds(120)) }
            let ask = "\(workshop.peersFolder.absolutePath)/rspamd/ask.py"
            let symbols = try await ChildProcess.run("python3", [ask, "\(httpPort)", message], log: workshop.logFile("ask"))
            let missing = ["R_SPF_ALLOW", "R_DKIM_ALLOW", "DMARC_POLICY_ALLOW", "ARC_ALLOW"].filter { !symbols.contains($0) }
            guard missing.isEmpty else { throw BenchError("rspamd doesn't find \(missing.joined(separator: ", ")), only \(symbols)") }
            let postfix = try await PostfixServer.start(workshop, purpose: purpose, sinkPort: sinkPort, milters: "inet:127.0.0.1:\(milterPort)")
            return RspamdServer(postfix: postfix, rspamd: child)
        } catch {
            await child.stop()
            throw error
        }
    }

    var port: Int { postfix.port }
    var fsyncMode: String? { postfix.fsyncMode }

    func usage() -> ProcessUsage {
        var usage = postfix.usage()
        let more = ProcessUsage.of(rspamd.processIdentifier)
        usage.cpuSeconds += more.cpuSeconds
        usage.residentBytes += more.residentBytes
        usage.writtenBytes += more.writtenBytes
        usage.processes += more.processes
        return usage
    }

    func stop() async {
        await postfix.stop()
        await rspamd.stop()
    }
}
