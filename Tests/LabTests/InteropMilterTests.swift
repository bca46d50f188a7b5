import DNS
import Foundation
import Logging
import MailAuthentication
import MailMessage
import MailTesting
import MailTransport
import Milter
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import Gateway
@testable import Lab

/// Real MTAs, Postfix and Sendmail, whose mail is judged and signed by Postern's filter within this process, so that the DNS can be a zone.
@Suite(.serialized, .timeLimit(.minutes(5)), .enabled(if: !MilterMTAKind.installed.isEmpty, "needs Postfix or the layer sendmail, and root"))
struct InteropMilterTests {
    /// Our own clients come from 127.0.0.1, everybody else from other addresses of loopback.
    private static let zone = """
        gmail.test. TXT "v=spf1 ip4:127.0.0.7 -all"
        _dmarc.gmail.test. TXT "v=DMARC1; p=reject; rua=mailto:bob@kartapuce.test"
        gmail.test._report._dmarc.kartapuce.test. TXT "v=DMARC1"
        careful.test. TXT "v=spf1 -all"
        _dmarc.careful.test. TXT "v=DMARC1; p=quarantine"
        """
    private static let domain = "kartapuce.test"
    private static let host = "mail.kartapuce.test"
    private static let proven = "127.0.0.7"
    private static let attacker = "127.0.0.66"
    private static let ours = "127.0.0.1"

    /// An MTA with its filter, and what a test asks about them.
    private struct Stand {
        var mta: any MilterMTA
        var milter: SenderMilter
        var office: MilterOffice
        var clock: TestClock
        var resolver: ZoneResolver
        var records: [String: String]
        var rules: @Sendable (Configuration.MilterSettings.Quarantine) throws -> SenderMilter.Rules
    }

    private func withStand(_ kind: MilterMTAKind, _ work: (Stand) async throws -> Void) async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        var configuration = Configuration()
        configuration.hostname = Self.host
        configuration.domains = [try DomainName(Self.domain)]
        configuration.roles = []
        configuration.dataFolder = "\(folder)/data"
        configuration.reports = .init()
        var settings = Configuration.MilterSettings()
        settings.quarantine = .hold
        settings.internalNetworks = [try #require(IPNetwork("127.0.0.1/32"))]
        // The office hands reports in as any program of the host does.
        let submission = try FreePorts.take(1)[0]
        settings.submit = .internet(.v4(0x7F00_0001), port: submission)
        configuration.milter = settings
        var resolver = try ZoneFile.resolver(parsing: Self.zone)
        let folderOfKeys = DKIMKeyFolder(path: configuration.dkimFolder)
        var records: [String: String] = [:]
        for (selector, key) in [("r", try DKIMKeyPair.generate(rsaBits: 2048)), ("e", DKIMKeyPair.generateEd25519())] {
            let entry = try folderOfKeys.generate(
                domain: try DomainName(Self.domain), selector: try DomainName(selector), key: key, stage: .active, at: .now)
            records[entry.recordName] = entry.record
            resolver.add(try DomainName(entry.recordName), .txt, .txt(Array(entry.record.utf8)))
        }
        let keys = try folderOfKeys.activeKeys()
        let rules: @Sendable (Configuration.MilterSettings.Quarantine) throws -> SenderMilter.Rules = { [configuration, settings, resolver] quarantine in
            var settings = settings
            settings.quarantine = quarantine
            return SenderMilter.Rules(
                configuration, settings, verifier: SenderVerifier(resolver: resolver, receivingHost: configuration.hostname), keys: keys)
        }
        let (logger, group) = (Logger(label: "test"), MultiThreadedEventLoopGroup.singleton)
        let clock = TestClock(.now)
        let office = try #require(
            try await MilterOffice.open(configuration, settings, resolver: resolver, group: group, now: { clock.now }, logger: logger))
        let milter = SenderMilter(rules: try rules(.hold), ledger: office.ledger, now: { clock.now }, logger: logger)
        let server = MilterServer(
            listenerName: "milter", settings: MilterHost.serverSettings(configuration, settings), service: milter, group: group,
            budget: MemoryBudget(limit: 64 << 20), makeIncomingFile: nil, logger: logger)
        let port = try await server.bind(address: .v4(0x7F00_0001), port: 0)
        let result: Result<Void, any Error>
        do {
            try await server.bind(path: "\(folder)/milter", permissions: 0o660)
            // Postfix runs as another user; Sendmail wants no file that everybody may write to.
            if kind == .postfix { try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: "\(folder)/milter") }
            let mta = try await kind.start(milterPort: port, milterPath: "\(folder)/milter", submissionPort: submission)
            let stand = Stand(mta: mta, milter: milter, office: office, clock: clock, resolver: resolver, records: records, rules: rules)
            do {
                try await work(stand)
                result = .success(())
            } catch { result = .failure(error) }
            await mta.stop()
        } catch {
            await server.shutdown(grace: .zero)
            try await office.close()
            throw error
        }
        await server.shutdown(grace: .seconds(5))
        #expect(server.openConnections == 0)
        try await office.close()
        try result.get()
    }

    private static func text(from author: String, number: Int, above: String = "", identified: Bool = true) -> String {
        let identity = identified ? "Date: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <\(number)@x.test>\r\n" : ""
        return
            "\(above)From: Somebody <\(author)>\r\nTo: bob@kartapuce.test\r\n\(identity)X-Number: \(number)\r\nSubject: folded\r\n here\r\n\r\nHello,\r\n\r\nbye \r\n\r\n"
    }

    /// Sends a message as a client at an address; returns the last reply.
    private func send(
        _ text: String, from sender: String, client address: String, _ mta: any MilterMTA, listener: Int = 0, authenticated: Bool = false
    ) async throws -> String {
        try await mta.send(text, from: sender, client: address, listener: listener) { client in
            guard authenticated else { return }
            let isUser = try await mta.authenticate(client)
            #expect(isUser, "\(mta.log)")
        }
    }

    private func delivered(_ number: Int, by mta: any MilterMTA) throws -> ByteBuffer? { try mta.delivered(with: "X-Number: \(number)\r\n") }

    private func expectSigned(_ message: ByteBuffer, _ stand: Stand) async throws {
        let header = HeaderSection(parsing: message)
        #expect(header.prefix(3).map(\.name) == ["DKIM-Signature", "DKIM-Signature", "Received"], "\(String(buffer: message))")
        let found = try await DKIMVerifier(resolver: stand.resolver).verify(header: header, content: BufferedContent(message), at: stand.clock.now)
        #expect(found.map(\.result) == [.pass, .pass], "\(found.map(\.reason)) \(String(buffer: message))")
        #expect(Set(found.compactMap { $0.signature?.tags["a"] }) == ["rsa-sha256", "ed25519-sha256"])
    }

    @Test(arguments: MilterMTAKind.installed) func mailFromOutsideIsJudged(_ kind: MilterMTAKind) async throws {
        try await withStand(kind) { stand in
            let mta = stand.mta
            let forged =
                "BIMI-Location: v=BIMI1; l=https://forged.test/\r\nAuthentication-Results: lists.gmail.test; dkim=none\r\nAuthentication-Results: \(Self.host);\r\n\tdmarc=pass forged\r\nauthentication-results: kartapuce.test; spf=pass forged\r\nBIMI-Indicator: forged\r\n"
            for (number, listener) in [(1, 0), (2, 1)] {
                let proven = Self.text(from: "bob@gmail.test", number: number, above: forged)
                let reply = try await send(proven, from: "bob@gmail.test", client: Self.proven, mta, listener: listener)
                #expect(reply.hasPrefix("250 2.0.0"), "\(reply) \(mta.log)")
            }
            let spoofed = try await send(Self.text(from: "bob@gmail.test", number: 3), from: "bob@gmail.test", client: Self.attacker, mta)
            #expect(spoofed.hasPrefix("550 5.7.1 The policy of gmail.test refuses mail that isn't proven to be from gmail.test"), "\(spoofed)")
            let doubtful = Self.text(from: "bob@careful.test", number: 4)
            #expect(try await send(doubtful, from: "bob@careful.test", client: Self.attacker, mta).hasPrefix("250 2.0.0"))
            #expect(await eventually { (try? mta.delivered.count) == 2 && mta.held == 1 }, "\(mta.log)")
            stand.milter.change(try stand.rules(.header))
            let marked = Self.text(from: "bob@careful.test", number: 5, above: "Postern-Disposition: accept\r\n")
            #expect(try await send(marked, from: "bob@careful.test", client: Self.attacker, mta).hasPrefix("250 2.0.0"))
            #expect(await eventually { (try? mta.delivered.count) == 3 }, "\(mta.log)")
            #expect(try delivered(3, by: mta) == nil && delivered(4, by: mta) == nil && mta.held == 1)

            for number in 1...2 {
                let message = try #require(try delivered(number, by: mta))
                let header = HeaderSection(parsing: message)
                #expect(
                    header.prefix(6).map(\.name) == ["Authentication-Results", "Received-SPF", "Received", "Authentication-Results", "From", "To"],
                    "\(String(buffer: message))")
                let results = try AuthenticationResults(parsing: header[0].value)
                #expect(results.identifier == Self.host)
                #expect(["spf", "dmarc"].map { results.results(of: $0).first?.result } == ["pass", "pass"])
                #expect(results.results(of: "iprev").first?.value("policy", "iprev") == Self.proven)
                #expect(!String(buffer: message).contains("forged"))
            }
            let junk = HeaderSection(parsing: try #require(try delivered(5, by: mta)))
            #expect(junk.prefix(4).map(\.name) == ["Authentication-Results", "Received-SPF", "Postern-Disposition", "Received"])
            #expect(junk.all(named: "Postern-Disposition").map(\.value) == ["junk"])
        }
    }

    @Test(arguments: MilterMTAKind.installed) func mailOfOurOwnIsSigned(_ kind: MilterMTAKind) async throws {
        try await withStand(kind) { stand in
            let mta = stand.mta
            let author = "jack@kartapuce.test"
            let forged = "Authentication-Results: \(Self.host); spf=pass forged\r\n"
            #expect(try await send(Self.text(from: author, number: 1), from: author, client: Self.ours, mta).hasPrefix("250 2.0.0"))
            #expect(try await send(Self.text(from: author, number: 2), from: author, client: Self.ours, mta, listener: 1).hasPrefix("250 2.0.0"))
            try await mta.handIn(Array(Self.text(from: author, number: 3).utf8).filter { $0 != 0x0D }, from: author)
            let user = try await send(
                Self.text(from: author, number: 4, above: forged), from: author, client: Self.attacker, mta, authenticated: true)
            #expect(user.hasPrefix("250 2.0.0"), "\(user)")
            // The MTA gives it a date and an identity: Postfix before the filter sees it, where it does at all, Sendmail behind it.
            #expect(
                try await send(Self.text(from: author, number: 5, identified: false), from: author, client: Self.ours, mta).hasPrefix("250 2.0.0"))
            // In our name from outside: judged, not signed.
            #expect(try await send(Self.text(from: author, number: 6), from: author, client: Self.attacker, mta).hasPrefix("250 2.0.0"))
            #expect(await eventually { (try? mta.delivered.count) == 6 }, "\(mta.log)")
            var signed: [ByteBuffer] = []
            for number in 1...5 {
                let message = try #require(try delivered(number, by: mta))
                try await expectSigned(message, stand)
                #expect(!String(buffer: message).contains("forged"))
                signed.append(message)
            }
            if kind == .sendmail { #expect(HeaderSection(parsing: signed[4]).count(named: "Message-ID") == 1) }
            #expect(try !String(buffer: #require(try delivered(6, by: mta))).contains("DKIM-Signature"))
            try await expectPeerVerifies(signed, stand.records)
        }
    }

    @Test(arguments: MilterMTAKind.installed) func aDayOfMailIsOneReportThatTheMTATakesAndTheFilterSigns(_ kind: MilterMTAKind) async throws {
        try await withStand(kind) { stand in
            let (mta, mail) = (stand.mta, try #require(stand.office.mail))
            for number in 1...2 {
                #expect(
                    try await send(Self.text(from: "bob@gmail.test", number: number), from: "bob@gmail.test", client: Self.proven, mta)
                        .hasPrefix("250 2.0.0"))
            }
            #expect(
                try await send(Self.text(from: "bob@gmail.test", number: 3), from: "bob@gmail.test", client: Self.attacker, mta).hasPrefix("550 5.7.1"))
            await stand.office.ledger.write()
            stand.clock.advance(by: 86_400 + 7200)
            let queue = Task { try await mail.queue.run() }
            await mail.reports.work()
            let arrived = await eventually { (try? mta.delivered(with: "Report Domain: gmail.test")) != nil }
            queue.cancel()
            _ = await queue.result
            #expect(arrived, "\(mta.log)")
            let message = try #require(try mta.delivered(with: "Report Domain: gmail.test"))
            try await expectSigned(message, stand)
            guard case .dmarcAggregate(let report) = try ReportMail.find(in: message) else { throw LabError(.processFailed, "another report") }
            #expect(report.metadata.email == "dmarc-reports@kartapuce.test" && report.policy.domain == "gmail.test")
            let rows = report.records.sorted { $0.count > $1.count }
            #expect(rows.map(\.count) == [2, 1] && rows.map(\.disposition) == [.pass, .reject])
            #expect(rows.map(\.sourceIP) == [Self.proven, Self.attacker] && rows.map(\.spf) == [.pass, .fail])
        }
    }

    /// dkimpy's opinion, where it is installed.
    private func expectPeerVerifies(_ messages: [ByteBuffer], _ records: [String: String]) async throws {
        let interpreter = ProcessInfo.processInfo.environment["POSTERN_PEERS_PYTHON"] ?? "python3"
        guard try await Command.run("/usr/bin/env", [interpreter, "-c", "import dkim, nacl"]).succeeded else { return }
        let script = """
            import base64, dkim, json, sys
            question = json.load(sys.stdin)
            def txt(name, timeout=5):
                name = name.decode() if isinstance(name, bytes) else name
                return question["records"].get(name.rstrip("."), "").encode() or None
            print(json.dumps([[dkim.DKIM(base64.b64decode(m)).verify(i, dnsfunc=txt) for i in range(2)] for m in question["messages"]]))
            """
        struct Question: Encodable {
            var records: [String: String]
            var messages: [String]
        }
        let question = Question(records: records, messages: messages.map { Data($0.readableBytesView).base64EncodedString() })
        let answer = try await Command.require("/usr/bin/env", [interpreter, "-c", script], input: try JSONEncoder().encode(question))
        #expect(try JSONDecoder().decode([[Bool]].self, from: answer.output) == Array(repeating: [true, true], count: messages.count))
    }
}

/// What of a message's octets a real Sendmail tells a filter.
@Suite(.timeLimit(.minutes(3)), .enabled(if: MilterSendmail.isInstalled, "needs the layer sendmail, and root"))
struct InteropMilterOctetsTests {
    @Test func theServiceSeesWhatWasSentAndSendmailDoesWhatItSays() async throws {
        let service = MarkingService()
        let server = MilterServer(
            listenerName: "milter", settings: MilterServer.Settings(session: MilterConfiguration(decisions: [.mail])), service: service,
            group: MultiThreadedEventLoopGroup.singleton, budget: MemoryBudget(limit: 64 << 20), makeIncomingFile: nil, logger: Logger(label: "test"))
        let port = try await server.bind(address: .v4(0x7F00_0001), port: 0)
        let result: Result<Void, any Error>
        do {
            let sendmail = try await MilterSendmail(milterPort: port, milterPath: "/nowhere/milter")
            do {
                try await exchange(sendmail, service)
                result = .success(())
            } catch { result = .failure(error) }
            await sendmail.stop()
        } catch {
            await server.shutdown(grace: .zero)
            throw error
        }
        await server.shutdown(grace: .seconds(5))
        #expect(server.openConnections == 0)
        #expect(service.errors.withLock { $0 }.isEmpty)
        try result.get()
    }

    private func send(_ client: ServerTestClient, from sender: String) async throws -> String {
        for line in ["MAIL FROM:<\(sender)> BODY=8BITMIME", "RCPT TO:<bob@kartapuce.test>", "DATA"] {
            let reply = try await client.say(line)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        client.push(ByteBuffer(bytes: MilterPostfixTests.dotted(MilterPostfixTests.message) + Array(".\r\n".utf8)))
        return await client.reply().last ?? ""
    }

    private func exchange(_ sendmail: MilterSendmail, _ service: MarkingService) async throws {
        let client = try await ServerTestClient(port: sendmail.ports[0])
        _ = await client.reply()
        _ = try await client.say("EHLO mail.gmail.test")
        #expect(try await client.say("MAIL FROM:<alice@gmail.test>").hasPrefix("250"))
        #expect(try await client.say("RCPT TO:<bob@kartapuce.test>").hasPrefix("250"))
        #expect(try await client.say("RSET").hasPrefix("250"))
        let refused = try await send(client, from: "attacker@gmail.test")
        // Sendmail names the address, and has a code of its own where a filter has none.
        #expect(refused == "550 5.7.1 <attacker@gmail.test>... 100% not you")
        #expect(try await send(client, from: "bob@gmail.test").hasPrefix("250 2.0.0"))
        let rejected = try await send(client, from: "mike@gmail.test")
        #expect(rejected == "554 5.7.1 Command rejected")
        #expect(try await send(client, from: "tom@gmail.test").hasPrefix("250 2.0.0"))
        #expect(try await client.say("QUIT").hasPrefix("221"))
        #expect(await eventually { (try? sendmail.delivered.count) == 1 && sendmail.held == 1 }, "\(sendmail.log)")
        let seen = service.messages.withLock { $0 }
        #expect(seen.map { $0.message.envelope.sender.address?.localPart } == ["bob", "mike", "tom"])
        for (_, content) in seen { MilterPostfixTests.expectSame(Array(content.readableBytesView), MilterPostfixTests.message) }
        let first = try #require(seen.first?.message)
        #expect(first.clientAddress == .v4(0x7F00_0001) && first.session.helo == "mail.gmail.test")
        #expect(first.envelope.recipients.map(\.text) == ["<bob@kartapuce.test>"])
        #expect(first.envelope.sender.parameter("BODY") == "8BITMIME")
        #expect(first.macros.queueID?.isEmpty == false && first.macros.hostName == "sendmail.kartapuce.test")
        #expect(first.macros.clientAddress == "127.0.0.1")
        #expect(first.session.negotiation?.version == 6)
        #expect(first.session.negotiation?.steps.contains([.leadingSpace, .noReplyToBody]) == true)
        #expect(service.abandoned.withLock { $0 } == ["aborted"])
        // Sendmail's Received field, ours behind it, then what came, without the first X-Forged.
        let text = String(decoding: try #require(try sendmail.delivered.first), as: Unicode.ASCII.self)
        let received = try #require(text.range(of: "Received: "))
        let ours = try #require(text.range(of: "\r\nAuthentication-Results: postfix.kartapuce.test;\r\n\tspf=none\r\nFrom: Bob"))
        #expect(received.lowerBound < ours.lowerBound)
        #expect(!text.contains("X-Forged: one") && text.contains("\r\nX-Forged: two\r\n"))
    }
}
