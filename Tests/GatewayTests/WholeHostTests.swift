import DNS
import Foundation
import Journeys
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import SASL
import SMTP
import Testing

@testable import Gateway

/// Mail on its whole way, with real clients and servers on loopback.
@Suite(.timeLimit(.minutes(3))) struct WholeHostTests {
    private func submit(
        _ mail: TestHost, from sender: String = "bob", to recipients: String..., hostname: String = "mail.kartapuce.test"
    ) async throws -> TraceID {
        let submitter = SMTPSubmitter(
            hostname: hostname, address: TestHouse.loopback, port: try mail.port(.submissions), security: .implicitTLS,
            credentials: SMTPCredentials(username: "\(sender)@kartapuce.test", password: TestHouse.password),
            tls: try .verified(additionalAuthorityFiles: [mail.authorityFile]), group: MultiThreadedEventLoopGroup.singleton)
        let envelope = Envelope(
            reversePath: EmailAddress(localPart: sender, domain: "kartapuce.test"),
            recipients: try recipients.map { EnvelopeRecipient(address: try EmailAddress(parsing: $0)) })
        let report = try await submitter.send(envelope, content: BufferedContent(ByteBuffer(string: TestHost.sample)))
        return try trace(in: try #require(report.outcomes.first).reply.lines.last ?? "")
    }

    @Test func oneHostPlaysAllRoles() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp, .submissions]) { mail in
                try await mail.addUsers("bob", "jack")
                // Inside: it never leaves the house.
                let inside = try await submit(mail, to: "jack@kartapuce.test")
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("jack").count == 1)
                #expect(house.outside.record.connections == 0)
                let story = try await mail.journey(inside)
                for kind in ["connected", "secured", "authenticated", "exchanged", "described", "routed", "decided", "committed", "delivered", "attempted"] {
                    #expect(story.contains { $0.operation.kind == kind }, "\(kind)")
                }
                let mechanisms = story.compactMap { event -> String? in
                    if case .authenticated(let authenticated) = event.operation { authenticated.mechanism } else { nil }
                }
                #expect(mechanisms == ["SCRAM-SHA-256-PLUS"] || mechanisms == ["SCRAM-SHA-256"])
                // To the internet.
                let outbound = try await submit(mail, to: "tom@gmail.test")
                #expect(try await mail.emptied())
                let sent = String(buffer: try #require(house.outside.record.messages.first))
                #expect(sent.hasPrefix("Received: from submission") && sent.hasSuffix(TestHost.sample))
                #expect(try await mail.journey(outbound).contains { $0.operation.kind == "resolved" })
                // And from it.
                let client = try await mail.client()
                #expect(try await client.send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: TestHost.sample).hasPrefix("250"))
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("bob").count == 1)
            }
        }
    }

    @Test func aWrongPasswordSubmitsNothing() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.submissions]) { mail in
                try await mail.addUsers("bob", "jack")
                try await mail.mailboxes().setVerifier(
                    SCRAMVerifier(password: "another", salt: [9, 9, 9, 9], iterations: 4096), forUser: EmailAddress(localPart: "bob", domain: "kartapuce.test"))
                await #expect(throws: SMTPSubmissionError.self) { try await submit(mail, to: "jack@kartapuce.test") }
                #expect(try await mail.spool.counts() == (queued: 0, held: 0))
                #expect(try await mail.inbox("jack").isEmpty)
            }
        }
    }

    /// A submission host, the store and the edge: accounts are asked for over the control link, mail goes over mutual TLS with its trace,
    /// and the store collects one journey of all of it.
    @Test func threeHostsWriteOneJourney() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], listeners: [.link]) { store in
                try await store.addUsers("bob", "jack")
                let service = HostControl(journeys: store.spool, digests: nil, accounts: AccountDirectory(accounts: try store.mailboxes()))
                let control = try await serve(service, roles: [.store], in: house)
                try await house.withHost("msa", roles: [.submission], listeners: [.submissions]) { configuration in
                    configuration.peers[.store] = .init(
                        host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: try store.port(.link),
                        controlPort: try #require(control.localAddress?.port))
                } _: { msa in
                    let trace = try await submit(msa, to: "jack@kartapuce.test", hostname: "msa.kartapuce.test")
                    #expect(try await msa.emptied())
                    #expect(try await eventually { try await store.inbox("jack").count == 1 })
                    #expect(try await store.emptied())
                    let text = try #require(try await store.inbox("jack").first)
                    let received = Message(parsing: ByteBuffer(string: text)).header.all(named: "Received").map(\.value)
                    #expect(received.count == 2)
                    #expect(received.first?.contains("by imap.kartapuce.test (Postern) with ESMTPS ") == true)
                    #expect(received.last?.contains("by msa.kartapuce.test (Postern) with ESMTPSA ") == true)
                    // Before the collection each host knows its own part.
                    #expect(Set(try await store.journey(trace).map(\.host)) == ["imap.kartapuce.test"])
                    try await collect(from: msa, named: "msa.kartapuce.test", into: store, in: house) {
                        try await Set(store.journey(trace).map(\.host)) == ["imap.kartapuce.test", "msa.kartapuce.test"]
                    }
                    let story = JourneyStory(events: try await store.journey(trace))
                    #expect(story.outcomes.map { "\($0.recipient) \($0.state.rawValue)" } == ["jack@kartapuce.test delivered"])
                    let secured = story.events.compactMap { event -> JourneyEvent.Secured? in
                        if case .secured(let secured) = event.operation { secured } else { nil }
                    }
                    #expect(secured.contains { $0.peerRoles == ["submission"] } && secured.contains { $0.peerRoles == ["store"] })
                }
                try await control.close()
            }
        }
    }

    private func serve(_ service: any ControlService, roles: Set<Configuration.Role>, in house: TestHouse) async throws -> any Channel {
        let files = try house.linkFiles(roles)
        return try await ControlServer(
            tls: try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .link(authorityFile: files.authority)),
            service: service, group: MultiThreadedEventLoopGroup.singleton, logger: TestHouse.quiet
        ).bind(address: TestHouse.loopback, port: 0)
    }

    /// Runs a collector until something holds.
    private func collect(
        from host: TestHost, named name: String, into store: TestHost, in house: TestHouse, until condition: () async throws -> Bool
    ) async throws {
        let role = try #require(host.host.configuration.roles.first)
        let control = try await serve(HostControl(journeys: host.spool, digests: nil, accounts: nil), roles: [role], in: house)
        let client = ControlClient(
            peer: .init(host: name, address: TestHouse.loopback, linkPort: nil, controlPort: try #require(control.localAddress?.port)), role: role,
            tls: try house.linkClient(.store), group: MultiThreadedEventLoopGroup.singleton)
        let collector = JourneyCollector(log: store.spool, peers: [client], interval: .milliseconds(50), logger: TestHouse.quiet)
        let running = Task { try await collector.run() }
        #expect(try await eventually(condition))
        running.cancel()
        _ = await running.result
        try await control.close()
    }

    /// More than one answer holds, collected once, however often it is asked for; and nothing that is another host's.
    @Test func journeysAreCollectedOnceAndInFull() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], runsQueue: false) { store in
                try await house.withHost("mx", roles: [.mx], runsQueue: false) { mx in
                    let trace = TraceID.random()
                    let event = JourneyEvent(trace: trace, time: .now, host: "mx.kartapuce.test", role: "mx", operation: .abandoned(.init(reason: "x")))
                    let record = JourneyRecord(event)
                    try await mx.spool.append(Array(repeating: record, count: 2500))
                    // What the edge says of other hosts, the store among them, isn't believed.
                    var foreign = record
                    foreign.host = "imap.kartapuce.test"
                    foreign.hostSequence = 1
                    try await mx.spool.merge([foreign])
                    try await collect(from: mx, named: "mx.kartapuce.test", into: store, in: house) { try await store.journey(trace).count >= 2500 }
                    try await collect(from: mx, named: "mx.kartapuce.test", into: store, in: house) {
                        try await Task.sleep(for: .milliseconds(300))
                        return true
                    }
                    #expect(try await store.journey(trace).count == 2500)
                    #expect(try await store.spool.lastMerged(host: "mx.kartapuce.test") == 2500)
                    // A host under the name of another: nothing of it is taken.
                    let second = TraceID.random()
                    try await mx.spool.append([JourneyRecord(mx.host.recorder.event(.abandoned(.init(reason: "y")), trace: second, role: .mx, at: .now))])
                    try await collect(from: mx, named: "smtp.kartapuce.test", into: store, in: house) {
                        try await Task.sleep(for: .milliseconds(300))
                        return true
                    }
                    #expect(try await store.journey(second).isEmpty)
                }
            }
        }
    }

    /// A notice of the relay takes the way of all inbound mail: relay, edge, store.
    @Test func aNoticeOfTheRelayComesHome() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], listeners: [.link]) { store in
                try await store.addUsers("bob")
                try await house.withHost("mx", roles: [.mx], listeners: [.link]) { configuration in
                    configuration.peers[.store] = .init(
                        host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: try store.port(.link), controlPort: nil)
                } _: { mx in
                    let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
                    #expect(try #require(mx.host.digests).replace(with: DigestSet(key: Array(0..<32), addresses: [bob], catchAllDomains: []).serialized))
                    try await house.withHost("smtp", roles: [.relay], listeners: [.link]) { configuration in
                        configuration.peers[.mx] = .init(host: "mx.kartapuce.test", address: TestHouse.loopback, linkPort: try mx.port(.link), controlPort: nil)
                    } _: { relay in
                        try await relay.enqueue(to: "nobody@gmail.test")
                        #expect(try await eventually { try await store.inbox("bob").count == 1 })
                        let text = try #require(try await store.inbox("bob").first)
                        #expect(text.hasPrefix("Return-Path: <>\r\n"))
                        #expect(try ParsedNotice(text).perMessage.first(named: "Reporting-MTA")?.value == "dns; smtp.kartapuce.test")
                        #expect(try await relay.emptied())
                        #expect(try await mx.emptied())
                    }
                }
            }
        }
    }

    /// A link whose other side has another role than it should gets no mail.
    @Test func aLinkToTheWrongRoleHoldsBack() async throws {
        try await TestHouse.open { house in
            try await house.withHost("smtp", roles: [.relay], listeners: [.link]) { relay in
                try await house.withHost("msa", roles: [.submission]) { configuration in
                    configuration.peers[.store] = .init(
                        host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: try relay.port(.link), controlPort: nil)
                } _: { msa in
                    let (id, trace) = try await msa.enqueue(to: "jack@kartapuce.test")
                    let waiting = try #require(try await msa.tried(id, 1).first)
                    #expect(waiting.lastStatus?.contains("4.7.") == true, "\(waiting.lastStatus ?? "")")
                    #expect(
                        try await !msa.journey(trace).contains { event in
                            if case .exchanged(let exchanged) = event.operation { exchanged.command.hasPrefix("MAIL") } else { false }
                        })
                }
            }
        }
    }
}
