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
import Testing

@testable import Gateway
@testable import Lab

/// A real Postfix whose mail is judged and signed by Postern's filter: once within this process, so that the DNS can be a zone, and once by
/// `postern milter`.
@Suite(.serialized, .timeLimit(.minutes(3)), .enabled(if: MilterPostfix.isInstalled, "needs Postfix, and root"))
struct MilterSenderTests {
    private static let zone = """
        gmail.test. TXT "v=spf1 ip4:203.0.113.7 -all"
        _dmarc.gmail.test. TXT "v=DMARC1; p=reject"
        careful.test. TXT "v=spf1 -all"
        _dmarc.careful.test. TXT "v=DMARC1; p=quarantine"
        """
    private static let domain = "kartapuce.test"

    private static func text(from author: String, number: Int, above: String = "") -> String {
        "\(above)From: Somebody <\(author)>\r\nTo: bob@kartapuce.test\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <\(number)@x.test>\r\nSubject: folded\r\n here\r\n\r\nHello,\r\n\r\nbye \r\n\r\n"
    }

    /// Sends a message as a client at an address; returns the last reply.
    private func send(_ text: String, from sender: String, client address: String?, port: Int) async throws -> String {
        let client = try await ServerTestClient(port: port)
        _ = await client.reply()
        _ = try await client.say("EHLO mail.gmail.test")
        if let address {
            guard try await client.say("XCLIENT ADDR=\(address) NAME=[UNAVAILABLE]").hasPrefix("220") else { return "no XCLIENT" }
            _ = try await client.say("EHLO mail.gmail.test")
        }
        for line in ["MAIL FROM:<\(sender)>", "RCPT TO:<bob@kartapuce.test>", "DATA"] {
            let reply = try await client.say(line)
            guard reply.hasPrefix("2") || reply.hasPrefix("3") else { return reply }
        }
        client.push(ByteBuffer(string: "\(text).\r\n"))
        let reply = await client.reply().last ?? ""
        _ = try await client.say("QUIT")
        return reply
    }

    /// The message with this number, from its first trace field on: what delivery puts in front is left out.
    private func delivered(_ number: Int, by postfix: MilterPostfix) throws -> ByteBuffer? {
        for data in try postfix.delivered where String(decoding: data, as: UTF8.self).contains("Message-ID: <\(number)@x.test>") {
            let own = ["return-path", "x-original-to", "delivered-to"]
            let message = ByteBuffer(bytes: data)
            let header = HeaderSection(parsing: message)
            let start = header.first { !own.contains($0.name.lowercased()) }?.range.lowerBound ?? 0
            return message.getSlice(at: start, length: message.readableBytes - start)
        }
        return nil
    }

    @Test func aRealPostfixJudgesAndSigns() async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        var configuration = Configuration()
        configuration.hostname = "postfix.kartapuce.test"
        configuration.domains = [try DomainName(Self.domain)]
        configuration.dataFolder = folder
        var settings = Configuration.MilterSettings()
        settings.quarantine = .hold
        var resolver = try ZoneFile.resolver(parsing: Self.zone)
        let folderOfKeys = DKIMKeyFolder(path: configuration.dkimFolder)
        var records: [String: String] = [:]
        for (selector, key) in [("r", try DKIMKeyPair.generate(rsaBits: 2048)), ("e", DKIMKeyPair.generateEd25519())] {
            let entry = try folderOfKeys.generate(
                domain: try DomainName(Self.domain), selector: try DomainName(selector), key: key, stage: .active, at: .now)
            records[entry.recordName] = entry.record
            resolver.add(try DomainName(entry.recordName), .txt, .txt(Array(entry.record.utf8)))
        }
        let rules = SenderMilter.Rules(
            configuration, settings, verifier: SenderVerifier(resolver: resolver, receivingHost: configuration.hostname),
            keys: try folderOfKeys.activeKeys())
        let logger = Logger(label: "test")
        let server = MilterServer(
            listenerName: "milter", settings: MilterHost.serverSettings(configuration, settings),
            service: SenderMilter(rules: rules, now: { Date.now }, logger: logger), group: MultiThreadedEventLoopGroup.singleton,
            budget: MemoryBudget(limit: 64 << 20), makeIncomingFile: nil, logger: logger)
        let port = try await server.bind(address: .v4(0x7F00_0001), port: 0)
        do {
            try await server.bind(path: "\(folder)/milter", permissions: 0o666)
            let postfix = try await MilterPostfix(milterPort: port, milterPath: "\(folder)/milter", version: 6)
            do { try await exchange(postfix, resolver, records) } catch {
                await postfix.stop()
                throw error
            }
            await postfix.stop()
        } catch {
            await server.shutdown(grace: .zero)
            throw error
        }
        await server.shutdown(grace: .seconds(5))
    }

    private func exchange(_ postfix: MilterPostfix, _ resolver: ZoneResolver, _ records: [String: String]) async throws {
        let forged = "Authentication-Results: lists.gmail.test; dkim=none\r\nAuthentication-Results: postfix.kartapuce.test;\r\n\tdmarc=pass forged\r\n"
        for (number, listener) in [(1, 0), (2, 1)] {
            let proven = Self.text(from: "bob@gmail.test", number: number, above: forged)
            #expect(try await send(proven, from: "bob@gmail.test", client: "203.0.113.7", port: postfix.ports[listener]).hasPrefix("250 2.0.0"))
        }
        let spoofed = try await send(Self.text(from: "bob@gmail.test", number: 3), from: "bob@gmail.test", client: "198.51.100.66", port: postfix.ports[0])
        #expect(spoofed.hasPrefix("550 5.7.1 The policy of gmail.test refuses mail that isn't proven to be from gmail.test"), "\(spoofed)")
        let doubtful = Self.text(from: "bob@careful.test", number: 4)
        #expect(try await send(doubtful, from: "bob@careful.test", client: "198.51.100.66", port: postfix.ports[0]).hasPrefix("250 2.0.0"))
        let own = Self.text(from: "jack@kartapuce.test", number: 5)
        #expect(try await send(own, from: "jack@kartapuce.test", client: nil, port: postfix.ports[0]).hasPrefix("250 2.0.0"))
        try await postfix.handIn(Array(Self.text(from: "jack@kartapuce.test", number: 6).utf8).filter { $0 != 0x0D }, from: "jack@kartapuce.test")
        #expect(await eventually { (try? postfix.delivered.count) == 4 && postfix.held == 1 }, "\(postfix.log)")
        #expect(try delivered(3, by: postfix) == nil && delivered(4, by: postfix) == nil)

        for number in 1...2 {
            let message = try #require(try delivered(number, by: postfix))
            let header = HeaderSection(parsing: message)
            #expect(
                header.prefix(6).map(\.name)
                    == ["Authentication-Results", "Received-SPF", "Received", "Authentication-Results", "From", "To"], "\(String(buffer: message))")
            let results = try AuthenticationResults(parsing: header[0].value)
            #expect(results.identifier == "postfix.kartapuce.test")
            #expect(["spf", "dmarc"].map { results.results(of: $0).first?.result } == ["pass", "pass"])
            #expect(results.results(of: "iprev").first?.value("policy", "iprev") == "203.0.113.7")
            #expect(!String(buffer: message).contains("forged"))
        }
        var signed: [ByteBuffer] = []
        for number in 5...6 {
            let message = try #require(try delivered(number, by: postfix))
            let header = HeaderSection(parsing: message)
            #expect(header.prefix(3).map(\.name) == ["DKIM-Signature", "DKIM-Signature", "Received"])
            let found = try await DKIMVerifier(resolver: resolver).verify(header: header, content: BufferedContent(message), at: .now)
            #expect(found.map(\.result) == [.pass, .pass], "\(found.map(\.reason)) \(String(buffer: message))")
            #expect(Set(found.compactMap { $0.signature?.tags["a"] }) == ["rsa-sha256", "ed25519-sha256"])
            signed.append(message)
        }
        try await expectPeerVerifies(signed, records)
    }

    /// dkimpy's opinion, where it is installed.
    private func expectPeerVerifies(_ messages: [ByteBuffer], _ records: [String: String]) async throws {
        guard try await Command.run("/usr/bin/env", ["python3", "-c", "import dkim, nacl"]).succeeded else { return }
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
        let answer = try await Command.require("/usr/bin/env", ["python3", "-c", script], input: try JSONEncoder().encode(question))
        #expect(try JSONDecoder().decode([[Bool]].self, from: answer.output) == Array(repeating: [true, true], count: messages.count))
    }

    @Test func theProcessSignsWithKeysThatAReloadBrings() async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        let postern = try posternBinary()
        let (file, path) = ("\(folder)/postern.yaml", "\(folder)/milter")
        // Nothing listens where the resolver asks: what it can't know is no obstacle to signing.
        try LabFiles.write(
            """
            hostname: postfix.kartapuce.test
            domains: [kartapuce.test]
            dataFolder: data
            authentication: {timeoutSeconds: 1s}
            resolver: {forwarders: ["127.0.0.1@9"], timeoutSeconds: 1s}
            milter: {listen: ["unix:\(path)"], internalNetworks: [127.0.0.0/8]}

            """, to: file)
        let child = try ChildProcess(
            name: "milter", program: postern, arguments: ["milter", "--config", file], folder: folder, logFile: "\(folder)/milter.log")
        func running() async throws {
            try await Waiting.until("the filter listening", timeout: .seconds(30)) { () -> Bool? in
                guard child.isRunning else { throw LabError(.processFailed, "postern milter ended:\n\(child.lastLines())") }
                return child.lastLines().contains("listening") ? true : nil
            }
            // Postfix runs as another user.
            #expect(try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int == 0o660)
            try FileManager.default.setAttributes([.posixPermissions: 0o666], ofItemAtPath: path)
            let postfix = try await MilterPostfix(milterPort: 9, milterPath: path, version: 6)
            do { try await exchange(postfix) } catch {
                await postfix.stop()
                throw error
            }
            await postfix.stop()
        }
        func exchange(_ postfix: MilterPostfix) async throws {
            let first = Self.text(from: "jack@kartapuce.test", number: 1)
            #expect(try await send(first, from: "jack@kartapuce.test", client: nil, port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 1 }, "\(postfix.log)")
            #expect(try !String(buffer: #require(try delivered(1, by: postfix))).contains("DKIM-Signature"))
            try await Command.require(postern, ["dkim", "generate", "--config", file, "--active"])
            kill(child.processIdentifier, SIGHUP)
            #expect(await eventually { child.lastLines().contains("reloaded") }, "\(child.lastLines())")
            let second = Self.text(from: "jack@kartapuce.test", number: 2)
            #expect(try await send(second, from: "jack@kartapuce.test", client: nil, port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
            #expect(await eventually { (try? postfix.delivered.count) == 2 }, "\(postfix.log)")
            let message = try #require(try delivered(2, by: postfix))
            #expect(HeaderSection(parsing: message).count(named: "DKIM-Signature") == 2, "\(child.lastLines())")
            // From outside: nothing can be known, so the message is taken with results that say so.
            let third = Self.text(from: "bob@gmail.test", number: 3)
            #expect(try await send(third, from: "bob@gmail.test", client: "203.0.113.7", port: postfix.ports[1]).hasPrefix("250 2.0.0"), "\(child.lastLines())")
        }
        do { try await running() } catch {
            await child.stop()
            throw error
        }
        await child.stop()
        // It ended by itself, and cleaned up.
        #expect(!LabFiles.exists(path))
    }

    @Test func withoutASectionThereIsNothingToDo() async throws {
        let folder = try LabFiles.temporaryFolder("sender")
        defer { LabFiles.remove(folder) }
        let postern = try posternBinary()
        try LabFiles.write(
            "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\nroles: [mx]\nroutes: {kartapuce.test: {host: a.kartapuce.test, address: 127.0.0.1}}\n",
            to: "\(folder)/mx.yaml")
        try LabFiles.write("hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\nmilter: {seals: true}\n", to: "\(folder)/milter.yaml")
        for (command, file) in [("milter", "mx.yaml"), ("serve", "milter.yaml")] {
            let result = try await Command.run(postern, [command, "--config", "\(folder)/\(file)"], timeout: .seconds(20))
            #expect(result.status == 78 && result.errors.contains("postern: ") && result.errors.contains("milter"), "\(result.errors)")
        }
        #expect(try await Command.run(postern, ["config", "check", "--config", "\(folder)/milter.yaml"]).succeeded)
    }
}
