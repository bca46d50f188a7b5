import Foundation
import Journeys
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import SASL
import SMTP
import Testing

@testable import Gateway

/// What the listeners let through, asked over the network.
@Suite(.timeLimit(.minutes(3))) struct ReceptionTests {
    private func logIn(_ mail: TestHost, as user: String = "bob") async throws -> ServerTestClient {
        let client = try await mail.client(.submissions, tls: .opportunistic())
        let response = Base64.encode(Array("\0\(user)@kartapuce.test\0\(TestHouse.password)".utf8))
        #expect(try await client.say("AUTH PLAIN \(response)").hasPrefix("235"))
        return client
    }

    private func refusals(_ host: TestHost) async throws -> [String] {
        var kinds: [String] = []
        for trace in try await host.spool.traces(key: nil, from: nil, to: nil, limit: 100) {
            kinds += try await host.journey(trace).map(\.operation.kind)
        }
        return kinds
    }

    // MARK: - From the internet

    static let recipients: [(String, String)] = [
        ("bob@kartapuce.test", "250 2.1.5"), ("BOB@Kartapuce.TEST", "250 2.1.5"), ("bob+lists@kartapuce.test", "250 2.1.5"),
        ("sales@kartapuce.test", "250 2.1.5"), ("sales+x@kartapuce.test", "250 2.1.5"), ("postmaster@kartapuce.test", "250 2.1.5"),
        ("PostMaster@kartapuce.test", "250 2.1.5"), ("postmaster", "250 2.1.5"), ("POSTMASTER", "250 2.1.5"),
        ("nobody@kartapuce.test", "550 5.1.1"), ("nobody+bob@kartapuce.test", "550 5.1.1"), ("+bob@kartapuce.test", "550 5.1.1"),
        ("bob%gmail.test@kartapuce.test", "550 5.1.1"), ("\"bob@gmail.test\"@kartapuce.test", "550 5.1.1"),
        ("tom@gmail.test", "550 5.7.1"), ("bob@sub.kartapuce.test", "550 5.7.1"), ("bob@[127.0.0.1]", "550 5.7.1"),
        ("bob@[IPv6:::1]", "550 5.7.1"), ("bob@mail.kartapuce.test", "550 5.7.1"),
    ]

    /// The host that has the accounts, and the edge that has their digests, say the same.
    @Test(arguments: [true, false]) func theInternetReachesKnownRecipientsOnly(atTheEdge: Bool) async throws {
        try await TestHouse.open { house in
            let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            let roles: Set<Configuration.Role> = atTheEdge ? [.mx] : [.mx, .relay, .submission, .store]
            try await house.withHost(roles: roles, listeners: [.smtp], runsQueue: false) { configuration in
                configuration.limits.errorsPerSession = 1000
                if atTheEdge { configuration.peers[.store] = .init(host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: 9, controlPort: nil) }
            } _: { mail in
                let client = try await mail.client()
                if let digests = mail.host.digests {
                    // Before the inside has told: try again later.
                    #expect(try await client.say("MAIL FROM:<tom@gmail.test>").hasPrefix("250"))
                    #expect(try await client.say("RCPT TO:<bob@kartapuce.test>").hasPrefix("451 4.4.3"))
                    #expect(try await client.say("RCPT TO:<tom@gmail.test>").hasPrefix("550 5.7.1"))
                    _ = try await client.say("RSET")
                    let others = ["sales", "postmaster"].map { EmailAddress(localPart: $0, domain: "kartapuce.test") }
                    #expect(try digests.replace(with: DigestSet(key: Array(0..<32), addresses: [bob] + others, catchAllDomains: []).serialized))
                } else {
                    try await mail.addUsers("bob")
                    try await mail.setAlias("sales@kartapuce.test", "bob@kartapuce.test", "tom@gmail.test")
                    try await mail.setAlias("postmaster@kartapuce.test", "bob@kartapuce.test")
                }
                for sender in ["tom@gmail.test", ""] {
                    #expect(try await client.say("MAIL FROM:<\(sender)>").hasPrefix("250 2.1.0"))
                    for (recipient, reply) in Self.recipients {
                        #expect(try await client.say("RCPT TO:<\(recipient)>").hasPrefix(reply), "\(recipient)")
                    }
                    _ = try await client.say("RSET")
                }
            }
        }
    }

    @Test func mailFromTheInternetArrivesWithItsTrace() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("jack")
                let client = try await mail.client()
                let reply = try await client.send(from: "tom@gmail.test", to: "jack@kartapuce.test", text: TestHost.sample)
                #expect(reply.hasPrefix("250 2.0.0"))
                let trace = try trace(in: reply)
                #expect(try await mail.emptied())
                let text = try #require(try await mail.inbox("jack").first)
                // RFC 5321 §4.4
                let received = try #require(Message(parsing: ByteBuffer(string: text)).header.first(named: "Received")?.value)
                let form =
                    "^from client\\.gmail\\.test \\(\\[127\\.0\\.0\\.1\\]\\) by mail\\.kartapuce\\.test \\(Postern\\) with ESMTP id [0-9a-f]{32} for <jack@kartapuce\\.test>; [A-Z][a-z]{2}, "
                #expect(received.range(of: form, options: .regularExpression) != nil, "\(received)")
                #expect(received.contains("id \(trace)"))
                #expect(text.hasPrefix("Return-Path: <tom@gmail.test>\r\nDelivered-To: jack@kartapuce.test\r\nReceived: "))
                #expect(text.hasSuffix("\r\n" + TestHost.sample))
                // Every step, with what takes time.
                let journey = try await mail.journey(trace)
                let kinds = journey.map(\.operation.kind)
                let expected = ["connected", "exchanged", "exchanged", "exchanged", "described", "routed", "decided", "committed", "delivered", "attempted"]
                #expect(kinds.filter { $0 == "exchanged" }.count >= 3)
                #expect(Set(kinds) == Set(expected))
                for event in journey where ["exchanged", "delivered", "attempted"].contains(event.operation.kind) { #expect((event.seconds ?? -1) >= 0) }
                #expect(try await mail.spool.traces(key: "<numbers@kartapuce.test>", from: nil, to: nil, limit: 10) == [trace])
                #expect(try await mail.spool.traces(key: "jack@kartapuce.test", from: nil, to: nil, limit: 10) == [trace])
            }
        }
    }

    /// Two recipients must not learn of each other by the trace field (RFC 5321 §7.6).
    @Test func theTraceFieldNamesNoSecondRecipient() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("jack", "bob")
                let client = try await mail.client()
                #expect(try await client.send(from: "", to: "jack@kartapuce.test", "bob@kartapuce.test", text: TestHost.sample).hasPrefix("250"))
                #expect(try await mail.emptied())
                for (user, other) in [("jack", "bob"), ("bob", "jack")] {
                    let text = try #require(try await mail.inbox(user).first)
                    #expect(text.hasPrefix("Return-Path: <>\r\n"))
                    #expect(!text.components(separatedBy: "From: Bob")[0].contains("\(other)@"))
                }
            }
        }
    }

    @Test(arguments: [(49, "250 2.0.0"), (50, "554 5.4.6"), (400, "554 5.4.6")]) func loopsEnd(hops: Int, reply: String) async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("jack")
                let text = String(repeating: "Received: by somebody; now\r\n", count: hops) + TestHost.sample
                let client = try await mail.client()
                #expect(try await client.send(from: "tom@gmail.test", to: "jack@kartapuce.test", text: text).hasPrefix(reply))
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("jack").count == (hops < 50 ? 1 : 0))
                if hops >= 50 { #expect(Set(try await refusals(mail)) == ["connected", "exchanged", "described", "decided"]) }
            }
        }
    }

    /// RFC 5321 §4.5.3.2.6: the client that missed our 250 sends again; who has read it and sends again means it.
    @Test(arguments: [true, false]) func aRepeatedMessageIsRecognised(sawTheReply: Bool) async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("jack")
                var traces: [TraceID] = []
                for _ in 0..<2 {
                    let client = try await mail.client()
                    traces.append(try trace(in: try await client.send(from: "tom@gmail.test", to: "jack@kartapuce.test", text: TestHost.sample)))
                    if sawTheReply { _ = try await client.say("QUIT") }
                    await client.close()
                    #expect(try await mail.emptied())
                }
                #expect((traces.first == traces.last) != sawTheReply)
                #expect(try await mail.inbox("jack").count == (sawTheReply ? 2 : 1))
                // The same octets for somebody else, or from somebody else, are another message.
                try await mail.addUsers("bob")
                let client = try await mail.client()
                let other = try trace(in: try await client.send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: TestHost.sample))
                let third = try trace(in: try await client.send(from: "alice@gmail.test", to: "jack@kartapuce.test", text: TestHost.sample))
                #expect(Set(traces + [other, third]).count == (sawTheReply ? 4 : 3))
            }
        }
    }

    /// Refused mail has a journey too, with the reply that was given.
    @Test func refusalsAreKept() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                let client = try await mail.client()
                _ = try await client.say("MAIL FROM:<tom@gmail.test>")
                #expect(try await client.say("RCPT TO:<nobody@kartapuce.test>").hasPrefix("550 5.1.1"))
                _ = try await client.say("QUIT")
                #expect(try await eventually { try await mail.spool.traces(key: "nobody@kartapuce.test", from: nil, to: nil, limit: 10).count == 1 })
                let trace = try #require(try await mail.spool.traces(key: "nobody@kartapuce.test", from: nil, to: nil, limit: 1).first)
                let exchanged = try await mail.journey(trace).compactMap { event -> JourneyEvent.Exchanged? in
                    if case .exchanged(let exchanged) = event.operation { exchanged } else { nil }
                }
                #expect(exchanged.contains { $0.command == "RCPT TO:<nobody@kartapuce.test>" && $0.reply.code == 550 })
            }
        }
    }

    // MARK: - Our own users

    static let senders: [(String, String)] = [
        ("bob@kartapuce.test", "250 2.1.0"), ("Bob@KARTAPUCE.test", "250 2.1.0"), ("bob+lists@kartapuce.test", "250 2.1.0"),
        // An alias that leads to Bob and nobody else.
        ("robert@kartapuce.test", "250 2.1.0"),
        ("sales@kartapuce.test", "550 5.7.1"), ("jack@kartapuce.test", "550 5.7.1"), ("nobody@kartapuce.test", "550 5.7.1"),
        ("bob@gmail.test", "550 5.7.1"), ("out@kartapuce.test", "550 5.7.1"), ("", "550 5.7.1"),
    ]

    @Test func usersSendUnderTheirOwnAddresses() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.submissions], runsQueue: false) { mail in
                try await mail.addUsers("bob", "jack")
                try await mail.setAlias("robert@kartapuce.test", "bob@kartapuce.test")
                try await mail.setAlias("sales@kartapuce.test", "bob@kartapuce.test", "jack@kartapuce.test")
                try await mail.setAlias("out@kartapuce.test", "bob@gmail.test")
                let stranger = try await mail.client(.submissions, tls: .opportunistic())
                #expect(try await stranger.say("MAIL FROM:<bob@kartapuce.test>").hasPrefix("530 5.7.0"))
                let client = try await logIn(mail)
                for (sender, reply) in Self.senders {
                    #expect(try await client.say("MAIL FROM:<\(sender)>").hasPrefix(reply), "\(sender)")
                    _ = try await client.say("RSET")
                }
                _ = try await client.say("MAIL FROM:<bob@kartapuce.test>")
                for (recipient, reply) in [
                    ("jack@kartapuce.test", "250 2.1.5"), ("tom@gmail.test", "250 2.1.5"), ("sales@kartapuce.test", "250 2.1.5"),
                    ("nobody@kartapuce.test", "550 5.1.1"),
                ] {
                    #expect(try await client.say("RCPT TO:<\(recipient)>").hasPrefix(reply), "\(recipient)")
                }
            }
        }
    }

    @Test func aWrongPasswordIsRefusedAndKept() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.submissions], runsQueue: false) { mail in
                try await mail.addUsers("bob")
                for user in ["bob@kartapuce.test", "nobody@kartapuce.test", "no address"] {
                    let client = try await mail.client(.submissions, tls: .opportunistic())
                    #expect(try await client.say("AUTH PLAIN \(Base64.encode(Array("\0\(user)\0wrong".utf8)))").hasPrefix("535 5.7.8"))
                    await client.close()
                }
                #expect(try await eventually { try await refusals(mail).filter { $0 == "authenticated" }.count == 3 })
            }
        }
    }

    /// RFC 6409 §8.2, §8.3: what is missing is added, what is there is left alone.
    static let additions: [(String, [String])] = [
        ("Subject: x\r\n", ["Date", "Message-ID"]), ("Date: Mon, 23 Nov 2026 21:19:03 +0000\r\n", ["Message-ID"]),
        ("Message-ID: <a@kartapuce.test>\r\n", ["Date"]), ("date: x\r\nMESSAGE-id: <a@kartapuce.test>\r\n", []),
        // Unreadable is not missing: a second field would make two wrong ones.
        ("Date: yesterday\r\nMessage-ID: nonsense\r\n", []),
    ]

    @Test(arguments: additions) func whatAMessageLacksIsAdded(header: String, added: [String]) async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.submissions]) { mail in
                try await mail.addUsers("bob", "jack")
                let client = try await logIn(mail)
                let original = "From: bob@kartapuce.test\r\n\(header)\r\nbody\r\n"
                let reply = try await client.send(from: "bob@kartapuce.test", to: "jack@kartapuce.test", text: original)
                let trace = try trace(in: reply)
                #expect(try await mail.emptied())
                let text = try #require(try await mail.inbox("jack").first)
                #expect(text.hasSuffix("\r\n" + original))
                let message = Message(parsing: ByteBuffer(string: text))
                #expect(message.header.count(named: "Date") == 1 && message.header.count(named: "Message-ID") == 1)
                let prefix = Message(parsing: ByteBuffer(string: String(text.dropLast(original.count)) + "\r\n")).header
                #expect(["Date", "Message-ID"].filter { prefix.first(named: $0) != nil } == added)
                if added.contains("Message-ID") { #expect(message.messageID == "<\(trace)@mail.kartapuce.test>") }
                // Where the user sits is nobody's business.
                let received = try #require(message.header.first(named: "Received")?.value)
                #expect(!received.contains("127.0.0.1") && !received.contains("client.gmail.test"))
                #expect(received.contains(" with ESMTPSA "))
                let authenticated = try await mail.journey(trace).compactMap { event -> JourneyEvent.Authenticated? in
                    if case .authenticated(let authenticated) = event.operation { authenticated } else { nil }
                }
                #expect(authenticated.map { "\($0.user) \($0.mechanism) \($0.succeeded)" } == ["bob@kartapuce.test PLAIN true"])
            }
        }
    }

    // MARK: - Links

    /// Who may hand mail to whom, by the roles in the client's certificate.
    @Test func linksAreForTheirRoles() throws {
        let welcome: [Configuration.Role: Set<String>] = [
            .store: ["mx", "submission", "internal"], .relay: ["submission", "internal", "store"], .mx: ["relay"], .submission: [], .internal: [],
        ]
        for role in Configuration.Role.allCases {
            let policy = LinkPolicy(role: role, directory: NoDirectory(), router: Router(configuration: Configuration()))
            var session = SMTPSessionInfo(
                id: 1, listener: "link", localAddress: TestHouse.loopback, localPort: 1, remoteAddress: TestHouse.loopback, remotePort: 2, connectedAt: .now)
            #expect(policy.refusal(of: session)?.code == 554)
            for peer in Configuration.Role.allCases.map(\.rawValue) + ["king", ""] {
                session.tls = TLSSummary(
                    version: "TLSv1.3", cipher: "", serverName: nil, verification: .verified, peerSubject: nil, peerRoles: peer.isEmpty ? [] : [peer])
                #expect((policy.refusal(of: session) == nil) == (welcome[role]?.contains(peer) == true), "\(peer) to \(role)")
            }
        }
    }

    @Test func theStoreTakesWhatIsInside() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], listeners: [.link]) { store in
                try await store.addUsers("jack")
                let relay = try await ServerTestClient(port: try store.port(.link), tls: try house.linkClient(.relay).context)
                #expect(await relay.reply().first?.hasPrefix("554 5.7.1") == true)
                // A certificate of the authority that is no link's, and none at all: TLS itself refuses.
                let plain = try await ServerTestClient(port: try store.port(.link), tls: TLSClientContext.opportunistic().context)
                #expect(await plain.reply().isEmpty)
                let edge = try await store.client(.link, tls: try house.linkClient(.mx))
                let trace = TraceID.random()
                #expect(try await edge.say("MAIL FROM:<tom@gmail.test> XTRACE=\(trace)").hasPrefix("250"))
                #expect(try await edge.say("RCPT TO:<tom@gmail.test>").hasPrefix("550 5.7.1"))
                #expect(try await edge.say("RCPT TO:<jack@kartapuce.test>").hasPrefix("250"))
                // What vanished since the edge took it is settled inside.
                #expect(try await edge.say("RCPT TO:<gone@kartapuce.test>").hasPrefix("250"))
                _ = try await edge.say("DATA")
                #expect(try await edge.say(TestHost.sample + ".").contains("trace \(trace)"))
                #expect(try await eventually { try await store.inbox("jack").count == 1 })
                // The record of it follows within some milliseconds.
                #expect(try await eventually { try await store.journey(trace).contains { $0.operation.kind == "delivered" } })
            }
        }
    }

    @Test func theRelayTakesWhatGoesOutside() async throws {
        try await TestHouse.open { house in
            try await house.withHost("smtp", roles: [.relay], listeners: [.link]) { relay in
                let edge = try await ServerTestClient(port: try relay.port(.link), tls: try house.linkClient(.mx).context)
                #expect(await edge.reply().first?.hasPrefix("554 5.7.1") == true)
                let submission = try await relay.client(.link, tls: try house.linkClient(.submission))
                _ = try await submission.say("MAIL FROM:<bob@kartapuce.test>")
                #expect(try await submission.say("RCPT TO:<jack@kartapuce.test>").hasPrefix("550 5.7.1"))
                _ = try await submission.say("RSET")
                #expect(try await submission.send(from: "bob@kartapuce.test", to: "tom@gmail.test", text: TestHost.sample).hasPrefix("250"))
                #expect(await eventually { house.outside.record.messages.count == 1 })
            }
        }
    }

    /// What comes back from the relay to the edge: notifications for known recipients, nothing else.
    @Test func theEdgeTakesNotificationsFromTheRelay() async throws {
        try await TestHouse.open { house in
            try await house.withHost("mx", roles: [.mx], listeners: [.link], runsQueue: false) { configuration in
                configuration.peers[.store] = .init(host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: 9, controlPort: nil)
            } _: { mx in
                let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
                #expect(try #require(mx.host.digests).replace(with: DigestSet(key: Array(0..<32), addresses: [bob], catchAllDomains: []).serialized))
                let relay = try await mx.client(.link, tls: try house.linkClient(.relay))
                #expect(try await relay.say("MAIL FROM:<tom@gmail.test>").hasPrefix("550 5.7.1"))
                #expect(try await relay.say("MAIL FROM:<>").hasPrefix("250"))
                #expect(try await relay.say("RCPT TO:<nobody@kartapuce.test>").hasPrefix("550 5.1.1"))
                #expect(try await relay.say("RCPT TO:<tom@gmail.test>").hasPrefix("550 5.7.1"))
                #expect(try await relay.say("RCPT TO:<bob@kartapuce.test>").hasPrefix("250"))
            }
        }
    }

    /// A stranger can't choose the identity of a journey.
    @Test func strangersHandOnNoTrace() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp, .submissions], runsQueue: false) { mail in
                try await mail.addUsers("bob")
                let client = try await ServerTestClient(port: try mail.port(.smtp))
                _ = await client.reply()
                try await client.send("EHLO client.gmail.test\r\n")
                #expect(await !client.reply().contains { $0.hasSuffix("XTRACE") })
                #expect(try await client.say("MAIL FROM:<> XTRACE=\(TraceID.random())").hasPrefix("555 5.5.4"))
                let user = try await logIn(mail)
                #expect(try await user.say("MAIL FROM:<bob@kartapuce.test> XTRACE=\(TraceID.random())").hasPrefix("555 5.5.4"))
            }
        }
    }

    /// After the limit of the store's patience: a full disk is said with 452, and the client keeps its message.
    @Test func aFullDiskIsTold() async throws {
        try await TestHouse.open { house in
            try await house.withHost(listeners: [.smtp]) { mail in
                try await mail.addUsers("jack")
                try await mail.spool.limitPages(1)
                let client = try await mail.client()
                let large = TestHost.sample + String(repeating: String(repeating: "x", count: 70) + "\r\n", count: 3000)
                #expect(try await client.send(from: "tom@gmail.test", to: "jack@kartapuce.test", text: large).hasPrefix("452 4.3.1"))
                try await mail.spool.limitPages(1_000_000)
                #expect(try await client.send(from: "tom@gmail.test", to: "jack@kartapuce.test", text: large).hasPrefix("250"))
                #expect(try await mail.emptied())
                #expect(try await mail.inbox("jack").count == 1)
            }
        }
    }
}
