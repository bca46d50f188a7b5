import Foundation
import NIOCore

/// `bench auth`: verifying alone, and what all checks of a sender cost the rate at which mail is taken.
enum AuthenticationBenchmarks {
    static func all(_ run: Run) async throws {
        try await SignatureBenchmarks.measure(run)
        try await checks(run)
    }

    /// `accept.50` with signed mail: Postern with SPF, DKIM, DMARC and ARC and without, Postfix without and with rspamd.
    private static func checks(_ run: Run) async throws {
        let mail = try SignedMail()
        let message = try mail.sealed(try mail.message(.text, octets: 3 << 10, at: .now), at: .now)
        // smtp-source wants lines that LF ends.
        let file = "\(try run.workshop.makeFolder("signed"))/message"
        try Data(message.readableBytesView.filter { $0 != 0x0D }).write(to: URL(fileURLWithPath: file))
        let whole = file + ".eml"
        try Data(message.readableBytesView).write(to: URL(fileURLWithPath: whole))
        let dns = try await LocalDNS.start(run.workshop, mail: mail)
        let silent: SilentHost
        do { silent = try await SilentHost.start() } catch {
            await dns.stop()
            throw error
        }
        var source = SMTPSource(sessions: 50, octets: message.readableBytes)
        source.file = file
        source.sender = "bob@\(SignedMail.domain)"
        source.host = "mail.\(SignedMail.domain)"
        let load = MailFlow.Load(label: "checks.50", source: source)
        func postern(_ name: String, _ mode: String) -> () async throws -> any MailServer {
            {
                try await PosternServer.start(
                    run.workshop, binary: run.binary, purpose: .accept, sinkPort: silent.port, name: name, authentication: (mode, dns.port))
            }
        }
        var starts = [
            postern("postern", "enforce"), postern("off", "off"),
            { try await PostfixServer.start(run.workshop, purpose: .accept, sinkPort: silent.port) as any MailServer },
        ]
        if let layer = PeerLayer("rspamd") {
            starts.append {
                try await RspamdServer.start(
                    run.workshop, layer: layer, purpose: .accept, sinkPort: silent.port, dnsPort: dns.port, message: whole)
            }
        } else {
            say("  rspamd isn't installed, or can't be used by this user: scripts/install-dependencies.sh bench")
        }
        let result = await Result {
            try await MailFlow.withServers(starts) { servers in
                try await expectVerdicts(run, servers[0], source)
                try await MailFlow.compare(run, servers, [load], sink: nil)
            }
        }
        await silent.stop()
        await dns.stop()
        try result.get()
        summarize(run)
    }

    /// One message, and a look at what Postern kept of it: a rate with checks that didn't pass would be another thing's rate.
    private static func expectVerdicts(_ run: Run, _ server: any MailServer, _ source: SMTPSource) async throws {
        guard let server = server as? PosternServer else { return }
        var one = source
        (one.sessions, one.messages) = (1, 1)
        _ = try await one.run(run.workshop, port: server.port)
        let kept = ["", "-wal"].compactMap { FileManager.default.contents(atPath: "\(server.folder)/data/spool.sqlite\($0)") }
        let missing = ["spf=pass", "dkim=pass", "dmarc=pass", "arc=pass"].filter { word in !kept.contains { $0.range(of: Data(word.utf8)) != nil } }
        guard missing.isEmpty else { throw BenchError("Postern didn't find \(missing.joined(separator: ", "))") }
    }

    private static func summarize(_ run: Run) {
        let figures = run.figures
        func share(_ key: String, _ on: String, _ off: String, _ suffix: String = "") {
            guard let on = figures["checks.50.\(on)\(suffix)"], let off = figures["checks.50.\(off)\(suffix)"], off > 0 else { return }
            figures[key] = on / off * 100
        }
        share("checks.50.kept_share", "postern", "off")
        share("checks.50.rspamd.kept_share", "rspamd", "postfix")
        if let on = figures["checks.50.postern.cpu_us"], let off = figures["checks.50.off.cpu_us"] { figures["checks.50.cost_us"] = on - off }
        if let on = figures["checks.50.rspamd.cpu_us"], let off = figures["checks.50.postfix.cpu_us"] { figures["checks.50.rspamd.cost_us"] = on - off }
        // Of a run without rspamd there is no ratio.
        figures["checks.50.ratio"] = figures["checks.50.rspamd"].flatMap { rspamd in figures["checks.50.postern"].map { $0 / rspamd } }
        say(
            "  with checks Postern keeps \(show(figures["checks.50.kept_share"] ?? .nan)) % of its rate, Postfix with rspamd \(show(figures["checks.50.rspamd.kept_share"] ?? .nan)) %"
        )
        say(
            "  µs of CPU for the checks of a message: Postern \(show(figures["checks.50.cost_us"] ?? .nan)), rspamd \(show(figures["checks.50.rspamd.cost_us"] ?? .nan))"
        )
        say("  each message has an RSA-2048 signature and a seal of ARC; SPF, DKIM, DMARC and ARC pass; names from unbound on this machine")
    }
}
