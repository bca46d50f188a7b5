import DNS
import Foundation
import Journeys
import MailAuthentication
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import SMTP
import Testing

@testable import Gateway

/// Who sent a message: judged at the edge, believed inside, proven to the outside.
@Suite(.timeLimit(.minutes(3))) struct SenderAuthenticationTests {
    private static let genuine = """
        From: Tom <tom@gmail.test>\r\nTo: bob@kartapuce.test\r\nSubject: Numbers\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r
        Message-ID: <numbers@gmail.test>\r\n\r\nThe body of it\r\n
        """

    /// gmail.test sends from loopback, attacker.test too; nobody but kartapuce.test's own relay sends for it.
    private static func zones(_ zones: inout ZoneResolver) throws {
        for (name, text) in [
            ("gmail.test", "v=spf1 ip4:127.0.0.0/8 -all"), ("_dmarc.gmail.test", "v=DMARC1; p=reject"), ("attacker.test", "v=spf1 +all"),
            ("kartapuce.test", "v=spf1 ip4:198.51.100.1 -all"), ("_dmarc.kartapuce.test", "v=DMARC1; p=reject"),
            ("_dmarc.quarantine.test", "v=DMARC1; p=quarantine"), ("client.gmail.test", "v=spf1 ip4:127.0.0.0/8 -all"),
        ] { zones.add(try DomainName(name), .txt, .txt(Array(text.utf8))) }
        zones.fail(try DomainName("_dmarc.slow.test"), with: .timeout)
    }

    private static var enforced: Configuration.AuthenticationSettings { .init() }

    /// An edge with these settings and Bob's mailbox.
    private func edge(
        _ settings: Configuration.AuthenticationSettings = enforced, _ body: (TestHouse, TestHost) async throws -> Void
    ) async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            try await house.withHost(
                listeners: [.smtp],
                change: { $0.authentication = settings }
            ) { mail in
                try await mail.addUsers("bob")
                try await body(house, mail)
            }
        }
    }

    private func checks(_ mail: TestHost, _ trace: TraceID) async throws -> [String] {
        try await mail.journey(trace).compactMap { event in
            if case .checked(let checked) = event.operation { return "\(checked.check)=\(checked.result)" }
            return nil
        }
    }

    @Test func anExceptionHoldsToItsLastDayAndSaysWhy() async throws {
        for (days, isTaken) in [(1.0, true), (0, true), (-2, false)] {
            var settings = Self.enforced
            settings.allowlist[try DomainName("attacker.test")] = .init(
                reason: "their list changes the subject", until: Calendar(identifier: .gregorian).startOfDay(for: .now.addingTimeInterval(days * 86_400)))
            try await edge(settings) { _, mail in
                let reply = try await mail.client().send(from: "list@attacker.test", to: "bob@kartapuce.test", text: Self.genuine)
                #expect(reply.hasPrefix(isTaken ? "250" : "550"), "\(days): \(reply)")
                guard isTaken else { return }
                let said = try await mail.journey(trace(in: reply)).compactMap {
                    if case .checked(let checked) = $0.operation { checked.explanation } else { nil }
                }
                #expect(said.contains { $0.contains("their list changes the subject, until 20") }, "\(said)")
            }
        }
    }

    @Test func genuineMailCarriesItsEvidence() async throws {
        try await edge { _, mail in
            let reply = try await mail.client().send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: Self.genuine)
            #expect(reply.hasPrefix("250"), "\(reply)")
            #expect(try await mail.emptied())
            let text = try #require(try await mail.inbox("bob").first)
            let header = HeaderSection(parsing: ByteBuffer(string: text))
            let results = try AuthenticationResults(parsing: try #require(header.first(named: "Authentication-Results")).unfoldedOctets)
            #expect(results.identifier == "mail.kartapuce.test")
            #expect(results.results(of: "spf").first?.result == "pass" && results.results(of: "dmarc").first?.result == "pass")
            #expect(header.first(named: "Received-SPF")?.value.hasPrefix("pass ") == true)
            // On top: what this host says stands above what anybody else could have written.
            #expect(header.prefix(6).map(\.name) == ["Return-Path", "Delivered-To", "Postern-Capsule", "Authentication-Results", "Received-SPF", "Received"])
            let found = try await checks(mail, trace(in: reply))
            for check in ["spf=pass", "dkim=none", "arc=none", "dmarc=pass", "sender=accept", "spf term=matches", "alignment=aligned"] {
                #expect(found.contains(check), "\(check) of \(found)")
            }
            #expect(try await mail.journey(trace(in: reply)).contains { $0.operation.kind == "resolved" })
        }
    }

    @Test(arguments: [
        "From: hacker@kartapuce.test", "From: Tom <tom@gmail.test>, hacker@kartapuce.test", "From: x@attacker.test\r\nFrom: hacker@kartapuce.test",
        "From: =?utf-8?q?tom=40gmail.test?= <hacker@kartapuce.test>", "from:hacker (tom@gmail.test)@kartapuce.test", "From :hacker@KARTAPUCE.test",
        "From: <@attacker.test:hacker@kartapuce.test>", "From: \"a@attacker.test\" <hacker@kartapuce.test>", "From:\r\n\thacker@kartapuce.test",
        "From: hacker@sub.kartapuce.test", "From: hacker@kartapuce.test (Tom <x@attacker.test>)",
    ])
    func whoeverClaimsToBeUsIsRefused(from: String) async throws {
        try await edge { _, mail in
            let text = Self.genuine.replacingOccurrences(of: "From: Tom <tom@gmail.test>", with: from)
            let client = try await mail.client()
            let reply = try await client.send(from: "x@attacker.test", to: "bob@kartapuce.test", text: text)
            #expect(reply.hasPrefix("550 5.7.1"), "\(reply)")
            #expect(try await mail.inbox("bob").isEmpty)
            // The refusal explains itself too.
            let traces = try await mail.spool.traces(key: nil, from: nil, to: nil, limit: 10)
            var found: [String] = []
            for trace in traces { found += try await checks(mail, trace) }
            #expect(found.contains("sender=reject"), "\(found)")
        }
    }

    @Test func quarantineIsTheFolderForJunk() async throws {
        try await edge { _, mail in
            let text = Self.genuine.replacingOccurrences(of: "tom@gmail.test>\r\nTo", with: "tom@quarantine.test>\r\nTo")
            let reply1 = try await mail.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: text)
            #expect(reply1.hasPrefix("250"), "\(reply1)")
            #expect(try await mail.emptied())
            #expect(try await mail.inbox("bob").isEmpty)
            let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            let junk = try #require(try await mail.mailboxes().mailbox(named: "Junk", of: bob))
            #expect(try await mail.mailboxes().messages(in: junk.id, uids: 1...UInt32.max).count == 1)
        }
    }

    @Test func observingRecordsWhatWouldHaveBeenDone() async throws {
        var settings = Self.enforced
        settings.mode = .observe
        try await edge(settings) { _, mail in
            let text = Self.genuine.replacingOccurrences(of: "Tom <tom@gmail.test>", with: "hacker@kartapuce.test")
            let reply = try await mail.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: text)
            #expect(reply.hasPrefix("250"), "\(reply)")
            let events = try await mail.journey(trace(in: reply))
            #expect(
                events.contains { event in
                    if case .checked(let checked) = event.operation {
                        checked.check == "sender" && checked.explanation.contains("would have been reject")
                    } else {
                        false
                    }
                })
        }
    }

    @Test func aDomainMayHaveAModeOfItsOwn() async throws {
        var settings = Self.enforced
        settings.domains = [try DomainName("kartapuce.test"): .observe]
        try await edge(settings) { _, mail in
            let ours = Self.genuine.replacingOccurrences(of: "Tom <tom@gmail.test>", with: "hacker@kartapuce.test")
            let reply2 = try await mail.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: ours)
            #expect(reply2.hasPrefix("250"), "\(reply2)")
            let reply3 = try await mail.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: Self.genuine)
            #expect(reply3.hasPrefix("550"), "\(reply3)")
        }
    }

    @Test func whenDNSDoesNotAnswerTheMessageComesLaterOrIsTaken() async throws {
        let text = Self.genuine.replacingOccurrences(of: "tom@gmail.test>\r\nTo", with: "tom@slow.test>\r\nTo")
        var settings = Self.enforced
        settings.temporaryErrors = .defer
        try await edge(settings) { _, mail in
            let reply4 = try await mail.client().send(from: "tom@slow.test", to: "bob@kartapuce.test", text: text)
            #expect(reply4.hasPrefix("451 4.4.3"), "\(reply4)")
        }
        try await edge { _, mail in
            let reply5 = try await mail.client().send(from: "tom@slow.test", to: "bob@kartapuce.test", text: text)
            #expect(reply5.hasPrefix("250"), "\(reply5)")
        }
    }

    @Test func forgedFieldsAreTakenOutAtTheBorder() async throws {
        try await edge { _, mail in
            let forged = """
                Authentication-Results: MAIL.kartapuce.test; dmarc=pass header.from=kartapuce.test\r
                Postern-Capsule: AAAA.BBBB.CCCC\r
                Authentication-Results: mx.gmail.test; spf=pass\r\n
                """
            let reply = try await mail.client().send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: forged + Self.genuine)
            #expect(reply.hasPrefix("250"), "\(reply)")
            #expect(try await mail.emptied())
            let text = try #require(try await mail.inbox("bob").first)
            let header = HeaderSection(parsing: ByteBuffer(string: text))
            #expect(header.count(named: "Postern-Capsule") == 1)
            #expect(header.all(named: "Authentication-Results").map { $0.value.hasPrefix("mx.gmail.test") } == [false, true])
            #expect(!text.contains("AAAA.BBBB"))
            #expect(text.hasSuffix(Self.genuine))
            #expect(try await checks(mail, trace(in: reply)).contains("border=removed"))
        }
    }

    // MARK: Inwards

    private static func enforcing(_ configuration: inout Configuration) { configuration.authentication.mode = .enforce }

    /// A message as the edge hands it in.
    private func judged(
        _ house: TestHouse, _ text: String, change: (inout Configuration) throws -> Void = enforcing
    ) async throws -> String {
        var judged = ""
        try await house.withHost(
            "edge", roles: [.mx, .store], listeners: [.smtp], change: change
        ) { edge in
            try await edge.addUsers("bob")
            let reply = try await edge.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: text)
            #expect(reply.hasPrefix("250"), "\(reply)")
            #expect(try await edge.emptied())
            let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            let store = try edge.mailboxes()
            for name in ["INBOX", "Junk"] {
                let mailbox = try #require(try await store.mailbox(named: name, of: bob))
                for message in try await store.messages(in: mailbox.id, uids: 1...UInt32.max) {
                    judged = String(buffer: try await #require(try await store.content(message.contentID)).readAll())
                }
            }
        }
        // Without what the mailbox put in front.
        return String(judged[try #require(judged.range(of: "Postern-Capsule:")).lowerBound...])
    }

    @Test func theStoreBelievesTheEdgeAndNobodyElse() async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            let quarantined = Self.genuine.replacingOccurrences(of: "tom@gmail.test>\r\nTo", with: "tom@quarantine.test>\r\nTo")
            let text = try await judged(house, quarantined)
            try await house.withHost("imap", roles: [.store], listeners: [.link]) { store in
                try await store.addUsers("bob", "jack")
                let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
                func junk() async throws -> Int {
                    let mailbox = try #require(try await store.mailboxes().mailbox(named: "Junk", of: bob))
                    return try await store.mailboxes().messages(in: mailbox.id, uids: 1...UInt32.max).count
                }
                func hand(_ text: String) async throws -> [String] {
                    let client = try await store.client(.link, tls: try house.linkClient(.mx))
                    let reply = try await client.send(from: "x@attacker.test", to: "bob@kartapuce.test", text: text)
                    #expect(reply.hasPrefix("250"), "\(reply)")
                    #expect(try await store.emptied())
                    return try await checks(store, trace(in: reply))
                }
                #expect(try await hand(text) == ["capsule=believed"])
                #expect(try await junk() == 1)
                // With a hop's field in front of it, as on a longer way.
                #expect(try await hand("Received: by relay.kartapuce.test; now\r\n" + text) == ["capsule=believed"])
                #expect(try await junk() == 2)
                // Another message under the same capsule, and a capsule that nobody signed.
                #expect(try await hand(text.replacingOccurrences(of: "The body of it", with: "Another body!!")) == ["capsule=not believed"])
                #expect(try await hand("Postern-Capsule: e30=.AAAA.AAAA\r\n" + Self.genuine) == ["capsule=not believed"])
                #expect(try await junk() == 2)
                #expect(try await store.inbox("bob").count == 2)
            }
        }
    }

    @Test func aCapsuleOfAHostThatIsNotTheEdgeIsNotBelieved() async throws {
        try await TestHouse.open { house in
            let capsule = AuthenticationCapsule(
                host: "msa.kartapuce.test", trace: "", time: 0, byteCount: 0, sha256: "", client: "", helo: "", reversePath: "", results: "", dmarc: nil,
                headerFrom: nil, disposition: .accept)
            let field = try CapsuleSealer(try house.linkFiles([.submission]), dataFolder: house.folder).field(capsule)
            let header = HeaderSection(parsing: field)
            let reader = try CapsuleReader(try house.linkFiles([.store]), own: nil)
            await #expect(throws: CapsuleReader.Doubt.self) {
                try await reader.open(try #require(header.first), of: BufferedContent(ByteBuffer()), at: house.clock.now)
            }
            // A stranger's authority.
            let stranger = try LinkAuthority.create().issue(host: "mail.kartapuce.test", roles: [.mx]).write(folder: "\(house.folder)/stranger", name: "link")
            let forged = try CapsuleSealer(.init(certificate: stranger.certificate, key: stranger.key, authority: ""), dataFolder: house.folder).field(capsule)
            await #expect(throws: CapsuleReader.Doubt.self) {
                try await reader.open(try #require(HeaderSection(parsing: forged).first), of: BufferedContent(ByteBuffer()), at: house.clock.now)
            }
        }
    }

    // MARK: Outwards

    @Test func whatLeavesIsSignedTwiceAndForwardedMailIsSealed() async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            let domain = try DomainName("kartapuce.test")
            var keys = ""
            try await house.withHost(
                "smtp", roles: [.relay], listeners: [.link],
                change: { configuration in
                    let folder = DKIMKeyFolder(path: configuration.dkimFolder)
                    for (selector, key) in [("r", try DKIMKeyPair.generate()), ("e", DKIMKeyPair.generateEd25519())] {
                        let entry = try folder.generate(domain: domain, selector: try DomainName(selector), key: key, stage: .active, at: house.clock.now)
                        keys += "\(entry.recordName). TXT \"\(entry.record)\"\n"
                    }
                }
            ) { relay in
                let client = try await relay.client(.link, tls: try house.linkClient(.submission))
                let reply = try await client.send(from: "bob@kartapuce.test", to: "tom@gmail.test", text: TestHost.sample)
                #expect(reply.hasPrefix("250"), "\(reply)")
                #expect(try await relay.emptied())
                #expect(try await checks(relay, trace(in: reply)) == ["dkim signature=signed"])
                let sent = ByteBuffer(string: try #require(house.outside.taken.first))
                let verifier = SenderVerifier(resolver: try ZoneFile.resolver(parsing: keys), receivingHost: "mx.gmail.test")
                let evaluation = try await verifier.verify(nil, content: BufferedContent(sent), at: house.clock.now)
                #expect(evaluation.dkim.map(\.result) == [.pass, .pass])
                #expect(evaluation.dkim.compactMap { $0.signature?.tags["a"] } == ["rsa-sha256", "ed25519-sha256"])
                // Mail of strangers isn't ours to sign.
                let foreign = TestHost.sample.replacingOccurrences(of: "Bob <bob@kartapuce.test>", with: "tom@gmail.test")
                let second = try await client.send(from: "bob@kartapuce.test", to: "tom@gmail.test", text: foreign)
                #expect(try await checks(relay, trace(in: second)) == ["dkim signature=none"])
                // What came from outside goes on with a seal.
                let judged = try await judged(house, Self.genuine.replacingOccurrences(of: "tom@gmail.test>\r\nTo", with: "tom@quarantine.test>\r\nTo"))
                let store = try await relay.client(.link, tls: try house.linkClient(.store))
                let third = try await store.send(from: "x@attacker.test", to: "tom@gmail.test", text: judged)
                #expect(try await checks(relay, trace(in: third)) == ["capsule=believed", "arc seal=sealed"])
                #expect(try await relay.emptied())
                let sealed = ByteBuffer(string: try #require(house.outside.taken.last))
                let chain = try await verifier.verify(nil, content: BufferedContent(sealed), at: house.clock.now).arc
                #expect(chain.result == .pass && chain.sealers == [domain], "\(chain.reason)")
                #expect(chain.instances.first?.authenticationResults.results.contains("dmarc=fail") == true)
            }
        }
    }

    /// An edge that checks nothing, or an alias of a message without a capsule, must not get strangers a signature of ours.
    @Test func whatAStrangerWroteInOurNameIsNeverSigned() async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            let spoofed = Self.genuine.replacingOccurrences(of: "Tom <tom@gmail.test>", with: "bob@kartapuce.test")
            let unjudged = try await judged(house, spoofed, change: { $0.authentication.mode = .off })
            try await house.withHost(
                "smtp", roles: [.relay], listeners: [.link],
                change: {
                    try DKIMKeyFolder(path: $0.dkimFolder).generate(
                        domain: DomainName("kartapuce.test"), selector: DomainName("e"), key: DKIMKeyPair.generateEd25519(), stage: .active, at: house.clock.now
                    )
                }
            ) { relay in
                let store = try await relay.client(.link, tls: try house.linkClient(.store))
                let first = try await store.send(from: "x@attacker.test", to: "tom@gmail.test", text: unjudged)
                #expect(try await checks(relay, trace(in: first)) == ["capsule=believed", "arc seal=sealed"])
                let second = try await store.send(from: "x@attacker.test", to: "tom@gmail.test", text: spoofed)
                #expect(try await checks(relay, trace(in: second)) == ["dkim signature=none"])
                // A host that is both sends its users' mail itself, and what the capsule marks is none of theirs.
                let both = try await relay.client(.link, tls: try house.linkClient(.store, .internal))
                let third = try await both.send(from: "x@attacker.test", to: "tom@gmail.test", text: unjudged)
                #expect(try await checks(relay, trace(in: third)) == ["capsule=believed", "arc seal=sealed"])
                #expect(try await relay.emptied())
                #expect(!house.outside.taken.contains { $0.contains("DKIM-Signature:") })
            }
        }
    }
}
