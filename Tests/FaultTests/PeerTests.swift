import Foundation
import Journeys
import MailStore
import MailTesting
import NIOCore
import NIOPosix
import NIOSSL
import Testing

@testable import Lab

/// What a peer does, and what has to become of the message.
struct FaultyPeer: Sendable {
    enum Fate: String, Sendable {
        /// It waits for another try.
        case queued
        /// Its sender was told.
        case bounced
        /// The peer has it.
        case delivered
    }

    let name: String
    let rules: [ScriptedServer.Rule]
    var greeting: ScriptedServer.Rule.Answer = .say("220 mx.gmail.test ESMTP")
    let fate: Fate
    /// What the queue or the notice says.
    var says = ""
    var usesTLS = false
    var body = ""

    static let silence = ScriptedServer.Rule.Answer.octets(ByteBuffer())
    static let answerAndGarbage = ScriptedServer.Rule.Answer.octets(
        ByteBuffer(bytes: Array("220 go\r\n".utf8) + (0..<600).map { UInt8(truncatingIfNeeded: $0 * 73 + 11) | 0x80 } + [13, 10]))
    static let garbage = ScriptedServer.Rule.Answer.octets(ByteBuffer(bytes: (0..<600).map { UInt8(truncatingIfNeeded: $0 * 73 + 11) | 0x80 } + [13, 10]))

    private static func extensions(_ words: String...) -> ScriptedServer.Rule {
        ScriptedServer.Rule(
            "EHLO", .say((["250-mx.gmail.test"] + words.dropLast().map { "250-\($0)" } + words.suffix(1).map { "250 \($0)" }).joined(separator: "\r\n")))
    }

    /// Every step of a session, and at each of them every way to fail.
    static let table: [FaultyPeer] = {
        var table: [FaultyPeer] = []
        func add(
            _ name: String, _ fate: Fate, _ says: String = "", greeting: ScriptedServer.Rule.Answer? = nil, body: String = "", _ rules: ScriptedServer.Rule...
        ) {
            var peer = FaultyPeer(name: name, rules: rules + ScriptedServer.obedient, fate: fate, says: says, body: body)
            if let greeting { peer.greeting = greeting }
            table.append(peer)
        }
        func rule(_ prefix: String, _ answer: ScriptedServer.Rule.Answer) -> ScriptedServer.Rule { .init(prefix, answer) }

        add("says nothing at all", .queued, "4.4.2", greeting: silence)
        add("closes at once", .queued, "4.4.", greeting: .close)
        add("greets with 421", .queued, "421", greeting: .sayAndClose("421 4.3.2 not now"))
        add("greets with 554", .bounced, "554", greeting: .sayAndClose("554 5.3.2 never"))
        add("greets with garbage", .queued, "", greeting: garbage)
        add("greets octet by octet", .delivered, "", greeting: .drip("220 mx.gmail.test", every: .milliseconds(30)))
        add("greets without end", .queued, "", greeting: .endless("220-still here"))
        add("greets with a line of a megabyte", .queued, "", greeting: .octets(ByteBuffer(repeating: 65, count: 1 << 20)))
        add("resets at once", .queued, "4.4.", greeting: .reset)

        // The obedient rules pipeline MAIL, RCPT and DATA; without the extension each command waits for its reply.
        let plain = extensions("8BITMIME")
        for (command, refusal) in [("EHLO", Fate.queued), ("MAIL", .bounced), ("RCPT", .bounced), ("DATA", .bounced)] {
            let first = command == "EHLO" ? [] : [plain]
            func step(_ what: String, _ fate: Fate, _ says: String, _ answer: ScriptedServer.Rule.Answer, more: [ScriptedServer.Rule] = []) {
                table.append(
                    FaultyPeer(name: "\(what) \(command)", rules: first + [rule(command, answer)] + more + ScriptedServer.obedient, fate: fate, says: says))
            }
            step("stalls at", .queued, "4.4.2", silence)
            step("closes at", .queued, "4.4.2", .close)
            step("resets at", .queued, "4.4.2", .reset)
            step("says 421 to", .queued, "421", .sayAndClose("421 4.3.2 going down"))
            step("says 451 to", .queued, "451", .say("451 4.3.0 try later"), more: [rule("HELO", .say("451 4.3.0 try later"))])
            step("says garbage to", .queued, "", garbage)
            step("answers without end to", .queued, "", .endless("250-and another"))
            step("answers octet by octet to", command == "DATA" ? .queued : .delivered, "", .drip("250 fine", every: .milliseconds(30)))
            if refusal == .bounced { step("says 554 to", .bounced, "554 5.7.1", .say("554 5.7.1 not you")) }
        }
        add("knows no EHLO", .delivered, "", rule("EHLO", .say("500 5.5.1 what")), rule("HELO", .say("250 mx.gmail.test")))

        add("closes within the message", .queued, "4.4.2", plain, rule("DATA", .partOfMessage(octets: 100, then: .close)))
        add("resets within the message", .queued, "4.4.2", plain, rule("DATA", .partOfMessage(octets: 100, then: .reset)))
        add("says 421 within the message", .queued, "4", plain, rule("DATA", .partOfMessage(octets: 100, then: .sayAndClose("421 4.3.2 enough"))))
        add("stops reading within the message", .queued, "4.4.2", plain, rule("DATA", .partOfMessage(octets: 100, then: silence)))
        add("stalls at the final dot", .queued, "4.4.2", plain, rule("DATA", .message(then: silence)))
        add("closes at the final dot", .queued, "4.4.2", plain, rule("DATA", .message(then: .close)))
        add("resets at the final dot", .queued, "4.4.2", plain, rule("DATA", .message(then: .reset)))
        add("says 421 to the final dot", .queued, "421", plain, rule("DATA", .message(then: .sayAndClose("421 4.3.2 going down"))))
        add("says 452 to the final dot", .queued, "452", plain, rule("DATA", .message(then: .say("452 4.3.1 full"))))
        add("says 554 to the final dot", .bounced, "554 5.6.0", plain, rule("DATA", .message(then: .say("554 5.6.0 ugly"))))
        add("says garbage to the final dot", .queued, "", plain, rule("DATA", .message(then: garbage)))
        add("answers the final dot octet by octet", .delivered, "", plain, rule("DATA", .message(then: .drip("250 mine", every: .milliseconds(30)))))
        add("says 250 and closes", .delivered, "", plain, rule("DATA", .message(then: .sayAndClose("250 2.0.0 mine"))))

        let pipelining = extensions("PIPELINING", "8BITMIME")
        add("offers PIPELINING and gives one reply for all", .queued, "4.4.2", pipelining, rule("RCPT", silence), rule("DATA", silence))
        add("offers PIPELINING and closes at the second command", .queued, "4.4.2", pipelining, rule("RCPT", .close))
        add("offers CHUNKING and says 500 to BDAT", .bounced, "500", extensions("CHUNKING"), rule("BDAT", .chunk("500 5.5.1 what")))
        add("offers CHUNKING and closes at BDAT", .queued, "4.4.2", extensions("CHUNKING"), rule("BDAT", .close))
        add("offers SIZE 1", .bounced, "", extensions("SIZE 1"))
        add(
            "offers 8BITMIME and doesn't know it", .bounced, "555", body: "Grüße\r\n", extensions("8BITMIME"),
            rule("MAIL", .say("555 5.5.4 BODY?")))
        add("offers DSN and doesn't know it", .bounced, "555", extensions("DSN"), rule("RCPT", .say("555 5.5.4 ORCPT?")))
        add("offers an extension list without end", .queued, "", rule("EHLO", .endless("250-X-ANOTHER")))

        add("closes instead of TLS", .delivered, "", extensions("STARTTLS"), rule("STARTTLS", .breakTLS(.close)))
        // In one piece with the reply, so that it is heard before TLS begins.
        add("says garbage instead of TLS", .queued, "4.7.0", extensions("STARTTLS"), rule("STARTTLS", answerAndGarbage))
        add("stalls instead of TLS", .delivered, "", extensions("STARTTLS"), rule("STARTTLS", .breakTLS(silence)))
        add("refuses TLS", .delivered, "", extensions("STARTTLS"), rule("STARTTLS", .say("454 4.7.0 not now")))
        for (name, answer) in [("within", ScriptedServer.Rule.Answer.partOfMessage(octets: 100, then: .close)), ("at the end of", .message(then: .reset))] {
            table.append(
                FaultyPeer(
                    name: "drops TLS \(name) the message",
                    rules: [extensions("STARTTLS"), rule("STARTTLS", .startTLS), rule("DATA", answer)] + ScriptedServer.obedient, fate: .queued,
                    says: "4.4.2", usesTLS: true))
        }
        return table
    }()
}

extension FaultTests {
    /// Peers that break every rule: a message stays queued or goes back, never vanishes; the sender doesn't spin; others get their mail.
    @Suite(.timeLimit(.minutes(10))) struct Peers {
        @Test func whateverAPeerDoesItsMessageIsAccountedFor() async throws {
            try await withTemporaryFolder { folder in
                let tls = try await Self.serverTLS(folder)
                var aliases: [String: String] = [:]
                for number in FaultyPeer.table.indices { aliases["peer\(number)"] = "tom@[\(FaultRun.address(100 + number))]" }
                try await withSink { good in
                    try await Self.withPeers(tls) { servers in
                        try await FaultHost.run(folder, options: .init(aliases: aliases)) { host in
                            for number in FaultyPeer.table.indices {
                                let client = try await ServerTestClient.connected(to: host)
                                let peer = FaultyPeer.table[number]
                                let text = FaultMessage(identity: "peer-\(number)", size: 2000).text + peer.body
                                #expect(try await client.say("MAIL FROM:<bob@kartapuce.test>\(peer.body.isEmpty ? "" : " BODY=8BITMIME")").hasPrefix("250"))
                                #expect(try await client.say("RCPT TO:<peer\(number)@kartapuce.test>").hasPrefix("250"))
                                #expect(try await client.say("DATA").hasPrefix("354"))
                                #expect(try await client.say(text + ".").hasPrefix("250"))
                                await client.close()
                            }
                            // Others get their mail while all those are being tried.
                            let others = (0..<5).map { FaultMessage(identity: "other-\($0)", size: 2000) }
                            for message in others { #expect(try await host.take(message).hasPrefix("250")) }
                            #expect(await eventually(within: 10) { SinkContents(good).lacks(others).isEmpty })

                            let before = try await host.processorSeconds()
                            try await host.spool { spool in
                                // Each has had its fate, and those that wait have been tried twice.
                                _ = try await eventually(within: 40) {
                                    let waiting = try await Self.waiting(spool)
                                    return FaultyPeer.table.indices.allSatisfy { number in
                                        let entry = waiting["ip:\(FaultRun.address(100 + number))"]
                                        return FaultyPeer.table[number].fate == .queued ? (entry?.attempts ?? 0) >= 2 : entry == nil
                                    } && waiting["mailbox"] == nil
                                }
                                let waiting = try await Self.waiting(spool)
                                let notices = try await host.inbox()
                                for (number, peer) in FaultyPeer.table.enumerated() {
                                    try await check(peer, number, servers[number], waiting, notices, spool)
                                }
                            }
                            let seconds = try await host.processorSeconds() - before
                            FaultRun.tell(
                                "peers: \(FaultyPeer.table.count) kinds of misbehaviour, each message queued, bounced or delivered as it should; \(seconds) s of processor time"
                            )
                        }
                    }
                }
            }
        }

        /// The whole table of peers for the time of `body`.
        private static func withPeers(_ tls: NIOSSLContext, _ body: ([ScriptedServer]) async throws -> Void) async throws {
            var servers: [ScriptedServer] = []
            var failure: (any Error)?
            do {
                for (number, peer) in FaultyPeer.table.enumerated() {
                    servers.append(
                        try await ScriptedServer.start(
                            MultiThreadedEventLoopGroup.singleton, host: FaultRun.address(100 + number), port: FaultRun.peerPort, scripts: [peer.rules],
                            greetingAnswer: peer.greeting, tls: peer.usesTLS ? tls : nil))
                }
                try await body(servers)
            } catch { failure = error }
            for server in servers { try await server.stop() }
            if let failure { throw failure }
        }

        private static func waiting(_ spool: SpoolStore) async throws -> [String: (recipient: QueuedRecipient, attempts: Int, message: SpooledMessage)] {
            var found: [String: (recipient: QueuedRecipient, attempts: Int, message: SpooledMessage)] = [:]
            for (message, recipients) in try await spool.list(limit: 1000, offset: 0) {
                for recipient in recipients { found[recipient.destination] = (recipient, recipient.attempts, message) }
            }
            return found
        }

        private func check(
            _ peer: FaultyPeer, _ number: Int, _ server: ScriptedServer,
            _ waiting: [String: (recipient: QueuedRecipient, attempts: Int, message: SpooledMessage)], _ notices: [String], _ spool: SpoolStore
        ) async throws {
            let address = FaultRun.address(100 + number)
            let entry = waiting["ip:\(address)"]
            let notice = notices.first { $0.contains("[\(address)]") }
            let copies = SinkContents(server).arrivals["peer-\(number)"]?.count ?? 0
            let fate: FaultyPeer.Fate = entry != nil ? .queued : notice != nil ? .bounced : .delivered
            let status = entry?.recipient.lastStatus ?? notice ?? ""
            #expect(fate == peer.fate, "a peer that \(peer.name): \(fate) \(status.prefix(300))")
            #expect(peer.says.isEmpty || status.contains(peer.says), "a peer that \(peer.name): \(status.prefix(1500))")
            if peer.fate == .delivered { #expect(copies == 1, "a peer that \(peer.name)") }
            // A try is at most two connections: the one with TLS, and the one without.
            let tries = max(entry?.attempts ?? 1, 1) + 1
            #expect(server.record.connections <= 2 * tries, "a peer that \(peer.name): \(server.record.connections) connections in \(tries) tries")
            guard let entry else { return }
            let attempted = try await spool.records(of: entry.message.trace).flatMap { try JourneyCoding.decode($0.payload) }
                .compactMap { event -> JourneyEvent.Attempted? in
                    if case .attempted(let attempted) = event.operation { attempted } else { nil }
                }
            #expect(
                attempted.contains { $0.destination == "ip:\(address)" && $0.result == "deferred" && $0.nextAttempt != nil },
                "a peer that \(peer.name): the journey doesn't tell of its failure")
        }

        private static func serverTLS(_ folder: String) async throws -> NIOSSLContext {
            let (key, certificate) = try await FaultCertificates.make(folder)
            var configuration = TLSConfiguration.makeServerConfiguration(
                certificateChain: try NIOSSLCertificate.fromPEMFile(certificate).map { .certificate($0) },
                privateKey: .privateKey(try NIOSSLPrivateKey(file: key, format: .pem)))
            configuration.minimumTLSVersion = .tlsv12
            return try NIOSSLContext(configuration: configuration)
        }
    }
}

/// A certificate that nobody vouches for.
enum FaultCertificates {
    static func make(_ folder: String) async throws -> (key: String, certificate: String) {
        let (key, certificate) = ("\(folder)/key.pem", "\(folder)/certificate.pem")
        try await Command.require(
            "openssl",
            [
                "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30", "-subj", "/CN=mail.kartapuce.test",
                "-addext", "subjectAltName=DNS:mail.kartapuce.test", "-keyout", key, "-out", certificate,
            ])
        return (key, certificate)
    }
}
