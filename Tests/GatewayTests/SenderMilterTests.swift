import DNS
import Foundation
import MailAuthentication
import MailMessage
import MailTesting
import MailTransport
import Milter
import NIOCore
import NIOPosix
import Testing

@testable import Gateway

/// What the filter of an MTA says about messages, with the DNS as a zone.
struct SenderMilterTests {
    private static let zone = """
        gmail.test. TXT "v=spf1 ip4:203.0.113.7 -all"
        _dmarc.gmail.test. TXT "v=DMARC1; p=reject"
        careful.test. TXT "v=spf1 -all"
        _dmarc.careful.test. TXT "v=DMARC1; p=quarantine"
        default._bimi.gmail.test. TXT "v=BIMI1; l=https://logos.gmail.test/logo.svg"
        default._bimi.careful.test. TXT "v=BIMI1; l=https://logos.gmail.test/logo.svg"
        logos.gmail.test. A 127.0.0.1
        """
    private static let outside = IPAddress("203.0.113.7")
    private static let attacker = IPAddress("198.51.100.66")
    private static let own = "kartapuce.test"

    private struct Filter {
        var milter: SenderMilter
        var resolver: ZoneResolver
        var configuration: Configuration
    }

    /// A change of the configuration.
    private struct Change {
        var apply: (inout Configuration) -> Void
    }

    /// A filter with keys of our domain in a folder.
    private func withFilter(
        _ change: Change? = nil, failing: String? = nil, web: WebAuthority? = nil, _ work: (Filter) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            var configuration = Configuration()
            configuration.hostname = "mail.kartapuce.test"
            configuration.domains = [try DomainName(Self.own)]
            configuration.roles = []
            configuration.dataFolder = folder
            configuration.milter = .init()
            change?.apply(&configuration)
            var resolver = try ZoneFile.resolver(parsing: Self.zone)
            if let failing { resolver.fail(try DomainName(failing), with: .serverFailure) }
            let keys = DKIMKeyFolder(path: configuration.dkimFolder)
            for (selector, key) in [("r", try DKIMKeyPair.generate(rsaBits: 2048)), ("e", DKIMKeyPair.generateEd25519())] {
                let entry = try keys.generate(
                    domain: try DomainName(Self.own), selector: try DomainName(selector), key: key, stage: .active, at: .now)
                resolver.add(try DomainName(entry.recordName), .txt, .txt(Array(entry.record.utf8)))
            }
            let verifier = SenderVerifier(resolver: resolver, receivingHost: configuration.hostname)
            try web?.write(to: "\(folder)/web.pem")
            let group = MultiThreadedEventLoopGroup.singleton
            let indicators = try IndicatorSource(configuration, isFilter: true)
            let rules = SenderMilter.Rules(
                configuration, try #require(configuration.milter), verifier: verifier, keys: try keys.activeKeys(),
                indicators: indicators.map { ($0, $0.judge(configuration, resolver: resolver, group: group)) })
            let milter = SenderMilter(rules: rules, now: { Date.now }, logger: TestHouse.quiet)
            try await work(Filter(milter: milter, resolver: resolver, configuration: configuration))
            await milter.indicators?.close()
        }
    }

    private func text(from author: String, above: String = "", below: String = "") -> String {
        "\(above)From: Bob <\(author)>\r\nTo: alice@kartapuce.test\r\nSubject: hello\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x.test>\r\n\(below)\r\nHello,\r\n.\r\n"
    }

    private func message(
        _ text: String, from address: IPAddress?, sender: String, to recipients: [String] = ["alice@kartapuce.test"], user: String? = nil
    ) -> MilterMessage {
        var session = MilterSessionInfo(id: 1, listener: "milter", mtaAddress: nil, connectedAt: .now)
        session.client = MilterConnection(hostName: "unknown", peer: address.map { .internet($0, port: 1234) } ?? .unknown)
        session.helo = "mail.example"
        if let user { session.macros.set(["{auth_authen}": user], at: .mail) }
        return MilterMessage(
            session: session, envelope: MilterEnvelope(sender: MilterPath("<\(sender)>"), recipients: recipients.map { MilterPath("<\($0)>") }),
            content: BufferedContent(ByteBuffer(string: text)), startedAt: .now, transferDuration: .zero)
    }

    /// What the MTA makes of it: changes in their order, counted in what is there. Where deleted fields still count or not is the caller's
    /// choice, as MTAs don't agree.
    private func apply(_ changes: [MilterChange], to text: String, deletedCount: Bool = false) throws -> String {
        let buffer = ByteBuffer(string: text)
        let header = HeaderSection(parsing: buffer)
        var fields: [(name: String, octets: String, isGone: Bool)] = header.map { ($0.name, String(buffer: $0.rawField), false) }
        for change in changes {
            switch change {
            case .insertHeader(let index, let name, let value):
                let place = fields.indices.filter { !fields[$0].isGone }.dropFirst(Int(index)).first ?? fields.endIndex
                fields.insert((name, "\(name):\(String(buffer: value))\r\n", false), at: place)
            case .deleteHeader(let name, let occurrence):
                let candidates = fields.indices.filter { fields[$0].name.lowercased() == name.lowercased() && (deletedCount || !fields[$0].isGone) }
                fields[try #require(candidates.dropFirst(Int(occurrence) - 1).first)].isGone = true
            case .addHeader, .changeHeader, .addRecipient, .deleteRecipient, .changeSender, .replaceBody: Issue.record("\(change)")
            }
        }
        let body = String(
            buffer: try #require(buffer.getSlice(at: header.fieldsRange.upperBound, length: buffer.readableBytes - header.fieldsRange.upperBound)))
        return fields.filter { !$0.isGone }.map(\.octets).joined() + body
    }

    private func reply(_ verdict: MilterVerdict) -> String? { if case .reply(let reply) = verdict.decision { "\(reply)" } else { nil } }

    @Test func mailThatIsProvenGetsItsResultsOnTop() async throws {
        try await withFilter { filter in
            let text = text(from: "bob@gmail.test")
            let verdict = await filter.milter.message(message(text, from: Self.outside, sender: "bob@gmail.test"))
            #expect(verdict.decision == .continue)
            let result = try apply(verdict.changes, to: text)
            #expect(result.hasPrefix("Authentication-Results: mail.kartapuce.test;"))
            let header = HeaderSection(parsing: ByteBuffer(string: result))
            #expect(header.prefix(2).map(\.name) == ["Authentication-Results", "Received-SPF"])
            let results = try AuthenticationResults(parsing: header[0].value)
            #expect(results.results(of: "spf").first?.result == "pass" && results.results(of: "dmarc").first?.result == "pass")
            #expect(result.hasSuffix(text))
        }
    }

    @Test func mailThatIsNotProvenIsRefusedAsItsDomainWants() async throws {
        let text = text(from: "bob@gmail.test")
        let spoofed = message(text, from: Self.attacker, sender: "attacker@gmail.test")
        try await withFilter { filter in
            let verdict = await filter.milter.message(spoofed)
            #expect(reply(verdict)?.hasPrefix("550 5.7.1 The policy of gmail.test refuses") == true, "\(verdict)")
            #expect(verdict.changes.isEmpty)
        }
        try await withFilter(Change { $0.authentication.reject = .junk }) { filter in
            let verdict = await filter.milter.message(spoofed)
            #expect(verdict.decision == .continue)
            try #expect(apply(verdict.changes, to: text).contains("\r\nPostern-Disposition: junk\r\nFrom: Bob"))
        }
        try await withFilter(Change { $0.authentication.mode = .observe }) { filter in
            let verdict = await filter.milter.message(spoofed)
            #expect(verdict.decision == .continue)
            let result = try apply(verdict.changes, to: text)
            #expect(result.contains("dmarc=fail") && !result.contains("Postern-Disposition"))
        }
        try await withFilter(Change { $0.authentication.mode = .off }) { filter in
            #expect(await filter.milter.message(spoofed) == MilterVerdict(.continue))
        }
    }

    /// Behind the results, after DMARC has passed; what strangers write goes whether indicators are looked for or not.
    @Test(arguments: [true, false]) func indicatorsAreWrittenAndForgedOnesTakenOut(enabled: Bool) async throws {
        let web = try WebAuthority()
        let server = try await ScriptedWebServer.start(
            tls: try web.server(names: ["logos.gmail.test"]), answers: ["/logo.svg": .content(200, type: "image/svg+xml", body: IndicatorTests.svg)])
        let outcome: Result<Void, any Error>
        do {
            let change = Change { configuration in
                configuration.authentication.bimi.enabled = enabled
                configuration.authentication.bimi.evidence = .optional
                configuration.authentication.bimi.waitMilliseconds = 10_000
                configuration.web.authorities = "\(configuration.dataFolder)/web.pem"
                configuration.web.specialNetworks = [IPNetwork(address: TestHouse.loopback, prefixLength: 8)]
                configuration.web.port = server.port
            }
            outcome = .success(try await withFilter(change, web: web) { filter in try await indicators(filter, server, enabled: enabled) })
        } catch { outcome = .failure(error) }
        try await server.stop()
        try outcome.get()
    }

    private func indicators(_ filter: Filter, _ server: ScriptedWebServer, enabled: Bool) async throws {
        let forged = "BIMI-Location: v=BIMI1; l=https://forged.test/logo.svg\r\nbimi-indicator: forged\r\n"
        let text = text(from: "bob@gmail.test", above: forged, below: "BIMI-Location: v=BIMI1; l=https://forged.test/\r\n")
        for _ in 0..<2 {
            let verdict = await filter.milter.message(message(text, from: Self.outside, sender: "bob@gmail.test"))
            #expect(verdict.decision == .continue)
            let result = try apply(verdict.changes, to: text)
            #expect(!result.contains("forged"))
            let header = HeaderSection(parsing: ByteBuffer(string: result))
            let shown = ["BIMI-Location", "BIMI-Indicator", "BIMI-Logo-Preference"]
            #expect(header.prefix(enabled ? 6 : 3).map(\.name) == ["Authentication-Results", "Received-SPF"] + (enabled ? shown : []) + ["From"])
            let results = try AuthenticationResults(parsing: header[0].value)
            #expect(results.results(of: "bimi").first?.result == (enabled ? "pass" : nil))
            guard enabled else { continue }
            let indicator = try #require(header.first(named: "BIMI-Indicator")).rawValue.readableBytesView.filter { $0 > 0x20 }
            #expect(Data(base64Encoded: Data(indicator)).map(Array.init) == IndicatorTests.svg)
        }
        // The second message finds it in the cache.
        #expect(server.requests.count == (enabled ? 1 : 0))
        // Nothing is shown beside what isn't proven.
        let spoofed = self.text(from: "bob@careful.test")
        let verdict = await filter.milter.message(message(spoofed, from: Self.attacker, sender: "bob@careful.test"))
        #expect(try !apply(verdict.changes, to: spoofed).contains("BIMI-"))
    }

    @Test func junkIsMarkedOrHeld() async throws {
        let text = text(from: "bob@careful.test", above: "Postern-Disposition: accept\r\n")
        let junk = message(text, from: Self.attacker, sender: "bob@careful.test")
        try await withFilter { filter in
            let verdict = await filter.milter.message(junk)
            #expect(verdict.decision == .continue)
            let result = try apply(verdict.changes, to: text)
            #expect(result.contains("Postern-Disposition: junk\r\n") && !result.contains("Postern-Disposition: accept"))
        }
        try await withFilter(Change { $0.milter?.quarantine = .hold }) { filter in
            let verdict = await filter.milter.message(junk)
            guard case .quarantine(let reason) = verdict.decision else { throw MissingDecision(verdict: verdict) }
            #expect(reason.hasPrefix("DMARC: "))
            #expect(try apply(verdict.changes, to: text).hasPrefix("Authentication-Results: mail.kartapuce.test;"))
        }
    }

    private struct MissingDecision: Error { var verdict: MilterVerdict }

    @Test func whatTheDNSDoesNotSayIsDeferredWhereThatIsWanted() async throws {
        let text = text(from: "bob@gmail.test")
        let unclear = message(text, from: Self.attacker, sender: "bob@gmail.test")
        try await withFilter(Change { $0.authentication.temporaryErrors = .defer }, failing: "_dmarc.gmail.test") { filter in
            let verdict = await filter.milter.message(unclear)
            #expect(reply(verdict)?.hasPrefix("451 4.4.3 ") == true, "\(verdict)")
        }
        try await withFilter(failing: "_dmarc.gmail.test") { filter in
            #expect(await filter.milter.message(unclear).decision == .continue)
        }
    }

    @Test(arguments: [false, true]) func forgedFieldsAreTakenOutByTheirNumberAmongThoseOfTheirName(deletedCount: Bool) async throws {
        try await withFilter { filter in
            let text = text(
                from: "bob@gmail.test",
                above: "Authentication-Results: lists.gmail.test; spf=pass\r\nauthentication-results: mail.kartapuce.test;\r\n\tdmarc=pass forged\r\n",
                below:
                    "Authentication-Results: other.test; dkim=none\r\nAUTHENTICATION-RESULTS: kartapuce.test; dkim=pass forged\r\nPostern-Capsule: forged\r\n")
            let verdict = await filter.milter.message(message(text, from: Self.outside, sender: "bob@gmail.test"))
            let deletions: [(String, UInt32)] = verdict.changes.compactMap {
                if case .deleteHeader(let name, let occurrence) = $0 { (name.lowercased(), occurrence) } else { nil }
            }
            #expect(deletions.map(\.0) == ["postern-capsule", "authentication-results", "authentication-results"])
            #expect(deletions.map(\.1) == [1, 4, 2])
            let result = try apply(verdict.changes, to: text, deletedCount: deletedCount)
            #expect(!result.contains("forged"))
            #expect(result.contains("lists.gmail.test; spf=pass") && result.contains("other.test; dkim=none"))
            #expect(result.hasPrefix("Authentication-Results: mail.kartapuce.test;"))
        }
    }

    @Test(arguments: ["user", "network", "this host", "no address"]) func mailOfOurOwnIsSigned(origin: String) async throws {
        let networks = [IPNetwork(address: .v4(0x0A00_0000), prefixLength: 8), IPNetwork(address: .v4(0x7F00_0000), prefixLength: 8)]
        try await withFilter(Change { $0.milter?.internalNetworks = networks }) { filter in
            let text = text(from: "jack@kartapuce.test", above: "Authentication-Results: mail.kartapuce.test; spf=pass\r\n")
            let address: IPAddress? =
                switch origin {
                case "user": Self.outside
                case "network": .v4(0x0A01_0203)
                case "this host": .v4(0x7F00_0001)
                default: nil
                }
            let verdict = await filter.milter.message(
                message(text, from: address, sender: "jack@kartapuce.test", to: ["bob@gmail.test"], user: origin == "user" ? "jack" : nil))
            #expect(verdict.decision == .continue)
            let result = ByteBuffer(string: try apply(verdict.changes, to: text))
            let header = HeaderSection(parsing: result)
            #expect(header.prefix(2).map(\.name) == ["DKIM-Signature", "DKIM-Signature"])
            // Our own hosts may have judged it before; a user can't have.
            #expect(header.count(named: "Authentication-Results") == (origin == "user" ? 0 : 1))
            #expect(header.count(named: "Received-SPF") == 0)
            let found = try await DKIMVerifier(resolver: filter.resolver).verify(header: header, content: BufferedContent(result), at: .now)
            #expect(found.map(\.result) == [.pass, .pass], "\(found.map(\.reason))")
            #expect(Set(found.compactMap { $0.signature?.tags["a"] }) == ["rsa-sha256", "ed25519-sha256"])
        }
    }

    @Test func nothingElseIsSigned() async throws {
        try await withFilter { filter in
            // From outside in our name: judged, not signed. Of ours in another's name: not signed.
            let forged = text(from: "jack@kartapuce.test")
            let outside = await filter.milter.message(message(forged, from: Self.attacker, sender: "jack@kartapuce.test"))
            try #expect(!apply(outside.changes, to: forged).contains("DKIM-Signature"))
            let foreign = text(from: "bob@gmail.test")
            #expect(await filter.milter.message(message(foreign, from: Self.outside, sender: "jack@kartapuce.test", user: "jack")) == MilterVerdict(.continue))
        }
        try await withFilter(Change { $0.signing.enabled = false }) { filter in
            let own = text(from: "jack@kartapuce.test")
            #expect(await filter.milter.message(message(own, from: nil, sender: "jack@kartapuce.test")) == MilterVerdict(.continue))
        }
    }

    @Test func mailThatGoesOnIsSealedWhereThatIsWanted() async throws {
        let text = text(from: "bob@gmail.test")
        for (seals, recipients, isSealed) in [
            (true, ["alice@kartapuce.test", "tom@gmail.test"], true), (true, ["alice@KARTAPUCE.test"], false), (false, ["tom@gmail.test"], false),
        ] {
            try await withFilter(Change { $0.milter?.seals = seals }) { filter in
                let verdict = await filter.milter.message(message(text, from: Self.outside, sender: "bob@gmail.test", to: recipients))
                let result = ByteBuffer(string: try apply(verdict.changes, to: text))
                let header = HeaderSection(parsing: result)
                #expect((header.count(named: "ARC-Seal") == 1) == isSealed)
                let chain = try await ARCVerifier(resolver: filter.resolver).verify(header: header, content: BufferedContent(result), at: .now)
                #expect(chain.result == (isSealed ? .pass : .none), "\(chain.reason)")
            }
        }
    }

    @Test func aMessageThatCannotBeReadIsRefusedForNow() async throws {
        struct Unreadable: MessageContent {
            struct Failure: Error {}
            var byteCount: Int { 10 }
            func read(_ range: Range<Int>) async throws -> ByteBuffer { throw Failure() }
        }
        try await withFilter { filter in
            var broken = message("", from: Self.outside, sender: "bob@gmail.test")
            broken.content = Unreadable()
            #expect(await filter.milter.message(broken) == MilterVerdict(.tempFail))
        }
    }
}
