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
import Testing

@testable import Gateway

/// Reports by DMARC, made of what came: counted, sent, once.
@Suite(.timeLimit(.minutes(3))) struct ReportSendingTests {
    static let genuine = """
        From: Tom <tom@gmail.test>\r\nTo: bob@kartapuce.test\r\nSubject: Numbers\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r
        Message-ID: <numbers@gmail.test>\r\n\r\nThe body of it\r\n
        """

    static func from(_ address: String) -> String { genuine.replacingOccurrences(of: "tom@gmail.test>\r\nTo", with: "\(address)>\r\nTo") }

    /// gmail.test asks for reports to itself; external.test to partner.test, which agrees; unverified.test to victim.test, which doesn't; of slow.test's
    /// destination nobody knows.
    static func zones(_ zones: inout ZoneResolver) throws {
        for (name, text) in [
            ("gmail.test", "v=spf1 ip4:127.0.0.0/8 -all"), ("attacker.test", "v=spf1 +all"),
            ("_dmarc.gmail.test", "v=DMARC1; p=reject; rua=mailto:dmarc@gmail.test; ruf=mailto:ruf@gmail.test"),
            ("_dmarc.external.test", "v=DMARC1; p=none; rua=mailto:agg@partner.test!10m,mailto:tiny@partner.test!100"),
            ("external.test._report._dmarc.partner.test", "v=DMARC1"),
            ("_dmarc.unverified.test", "v=DMARC1; p=none; rua=mailto:bob@victim.test; ruf=mailto:bob@victim.test"),
            ("_dmarc.slow.test", "v=DMARC1; p=none; rua=mailto:x@nobody.test"), ("_dmarc.silent.test", "v=DMARC1; p=none"),
            ("_dmarc.kartapuce.test", "v=DMARC1; p=reject; rua=mailto:dmarc-reports@kartapuce.test"),
        ] { zones.add(try DomainName(name), .txt, .txt(Array(text.utf8))) }
        for domain in ["partner.test", "victim.test"] {
            zones.add(try DomainName(domain), .mx, .mx(preference: 10, exchange: try DomainName("mx.gmail.test")))
        }
        zones.fail(try DomainName("slow.test._report._dmarc.nobody.test"), with: .timeout)
    }

    static func switchedOn(_ configuration: inout Configuration) {
        configuration.authentication.mode = .enforce
        configuration.reports = .init()
    }

    /// One host with all roles, a key, and Bob.
    private func mail(
        change: (inout Configuration) throws -> Void = { _ in }, _ body: (TestHouse, TestHost) async throws -> Void
    ) async throws {
        try await TestHouse.open(outside: Array(repeating: ScriptedServer.obedient, count: 20), zones: Self.zones) { house in
            try await house.withHost(listeners: [.smtp]) { configuration in
                Self.switchedOn(&configuration)
                try Self.makeKey(configuration, house)
                try change(&configuration)
            } _: { mail in
                try await mail.addUsers("bob")
                try await body(house, mail)
            }
        }
    }

    @discardableResult static func makeKey(_ configuration: Configuration, _ house: TestHouse) throws -> DKIMKeyFolder.Entry {
        try DKIMKeyFolder(path: configuration.dkimFolder).generate(
            domain: try DomainName("kartapuce.test"), selector: try DomainName("r"), key: try DKIMKeyPair.generate(), stage: .active, at: house.clock.now)
    }

    private func send(_ mail: TestHost, from sender: String, to recipient: String = "bob@kartapuce.test", _ text: String, expecting code: String) async throws {
        let reply = try await mail.client().send(from: sender, to: recipient, text: text)
        #expect(reply.hasPrefix(code), "\(reply)")
    }

    private func service(_ mail: TestHost, _ house: TestHouse) throws -> ReportService {
        let clock = mail.clock
        let queue = mail.queue
        return try #require(try mail.host.reportService(resolver: house.resolver, now: { clock.now }, offer: { queue.offer($0) }))
    }

    private func aggregates(_ house: TestHouse) throws -> [(text: String, report: DMARCAggregateReport)] {
        try house.outside.taken.map { text in
            guard case .dmarcAggregate(let report) = try ReportMail.find(in: ByteBuffer(string: text)) else { throw HostError("another report") }
            return (text, report)
        }
    }

    // MARK: Aggregates

    @Test func aDayOfMailIsOneSignedReport() async throws {
        try await mail { house, mail in
            let day = ReportDay.containing(house.clock.now)
            for _ in 0..<2 { try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250") }
            // Refused, and told of all the same.
            try await send(mail, from: "x@attacker.test", Self.genuine, expecting: "550")
            // These ask for no reports.
            try await send(mail, from: "x@attacker.test", Self.from("a@silent.test"), expecting: "250")
            try await send(mail, from: "x@attacker.test", Self.from("a@nothing.test"), expecting: "250")
            #expect(try await mail.emptied())
            let service = try service(mail, house)
            await service.work()
            #expect(house.outside.taken.isEmpty, "the day isn't over")
            mail.pass(86_400 + 7200)
            await service.work()
            #expect(try await mail.emptied())
            let (text, report) = try #require(try aggregates(house).first)
            #expect(house.outside.taken.count == 1)
            #expect(report.metadata.begin == day * 86_400 && report.metadata.end == day * 86_400 + 86_399)
            #expect(report.metadata.email == "dmarc-reports@kartapuce.test" && report.metadata.organizationName == "kartapuce.test")
            #expect(report.policy.domain == "gmail.test" && report.policy.domainPolicy == .reject && report.policy.discovery == .treeWalk)
            #expect(report.problems.isEmpty, "\(report.problems)")
            let rows = report.records.sorted { $0.count > $1.count }
            #expect(rows.map(\.count) == [2, 1] && rows.map(\.disposition) == [.pass, .reject])
            #expect(rows.map(\.spf) == [.pass, .fail] && rows.map(\.envelopeFrom) == ["gmail.test", "attacker.test"])
            #expect(rows.allSatisfy { $0.sourceIP == "127.0.0.1" && $0.headerFrom == "gmail.test" && $0.spfResults.first?.result == .pass })
            let header = HeaderSection(parsing: ByteBuffer(string: text))
            let subject = try #require(header.first(named: "Subject")?.value)
            #expect(subject == "Report Domain: gmail.test Submitter: kartapuce.test Report-ID: <\(report.metadata.reportID)>")
            #expect(text.contains("kartapuce.test!gmail.test!\(day * 86_400)!\(day * 86_400 + 86_399).xml.gz"))
            #expect(header.count(named: "Postern-Capsule") == 0)
            let keys = try DKIMKeyFolder(path: mail.host.configuration.dkimFolder).entries().map { "\($0.recordName). TXT \"\($0.record)\"\n" }.joined()
            let verifier = SenderVerifier(resolver: try ZoneFile.resolver(parsing: keys), receivingHost: "mx.gmail.test")
            let evaluation = try await verifier.verify(nil, content: BufferedContent(ByteBuffer(string: text)), at: house.clock.now)
            #expect(evaluation.dkim.map(\.result) == [.pass] && evaluation.dkim.first?.domain?.ascii == "kartapuce.test")
            // Nothing is left to be sent.
            await service.work()
            mail.pass(86_400)
            await service.work()
            #expect(try await mail.emptied())
            #expect(house.outside.taken.count == 1)
        }
    }

    /// Keys change while the host runs: a report isn't signed with one that was retired.
    @Test func afterAReloadReportsAreSignedWithTheKeysOfTheMoment() async throws {
        try await mail { house, mail in
            try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
            #expect(try await mail.emptied())
            let folder = DKIMKeyFolder(path: mail.host.configuration.dkimFolder)
            for entry in try folder.entries() { try folder.set(.retired, of: entry, at: house.clock.now) }
            try folder.generate(
                domain: try DomainName("kartapuce.test"), selector: try DomainName("later"), key: DKIMKeyPair.generateEd25519(), stage: .active,
                at: house.clock.now)
            let reloaded = try mail.host.reconfigured(mail.host.configuration)
            let clock = mail.clock
            let queue = mail.queue
            let service = try #require(
                try mail.host.reportService(resolver: house.resolver, current: { reloaded }, now: { clock.now }, offer: { queue.offer($0) }))
            mail.pass(86_400 + 7200)
            await service.work()
            #expect(try await mail.emptied())
            let header = HeaderSection(parsing: ByteBuffer(string: try #require(house.outside.taken.first)))
            #expect(header.all(named: "DKIM-Signature").map { $0.value.contains("s=later") } == [true])
        }
    }

    @Test func whatComesLateMakesAnotherReportWithAnotherName() async throws {
        try await mail { house, mail in
            let service = try service(mail, house)
            try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
            let early = try await mail.spool.ownRecords(after: 0, limit: 100)
            mail.pass(86_400 + 7200)
            await service.work()
            #expect(try await mail.emptied())
            // An edge that couldn't be reached has something of yesterday too.
            let late = try #require(early.first { String(decoding: $0.payload, as: UTF8.self).contains("\"judged\":") })
            try await mail.spool.merge([
                JourneyRecord(trace: .random(), time: late.time, host: "edge.kartapuce.test", hostSequence: 1, payload: late.payload, keys: [])
            ])
            await service.work()
            #expect(try await mail.emptied())
            let reports = try aggregates(house)
            #expect(reports.count == 2 && Set(reports.map(\.report.metadata.reportID)).count == 2)
            #expect(reports.map(\.report.messageCount) == [1, 1] && Set(reports.map(\.report.metadata.begin)).count == 1)
            #expect(Set(reports.compactMap { $0.text.firstMatch(of: /filename="?([^"\r\n]+)/).map { String($0.1) } }).count == 2)
        }
    }

    @Test func theSameJourneyCountsOnceHoweverOftenItIsRead() async throws {
        try await mail { house, mail in
            try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
            #expect(try await mail.emptied())
            let (first, second) = (try service(mail, house), try service(mail, house))
            // Two processes at once, and again after a restart.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in [first, second, first, second] { group.addTask { try await service.accountant.run() } }
                try await group.waitForAll()
            }
            try await service(mail, house).accountant.run()
            let open = try await mail.spool.openAccounts(.aggregate, .through(ReportDay.containing(house.clock.now)))
            #expect(open.map(\.domain) == ["gmail.test"])
            let account = try #require(open.first)
            #expect(try await mail.spool.rows(of: account).map(\.count) == [1])
        }
    }

    @Test func aRestartInTheMiddleNeitherRepeatsNorLosesAReport() async throws {
        try await mail { house, mail in
            try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
            #expect(try await mail.emptied())
            let day = ReportDay.containing(house.clock.now)
            let before = try service(mail, house)
            try await before.accountant.run()
            // The report is made, and then the power goes.
            try await before.dispatch.close([.aggregate], .through(day))
            let made = try await mail.spool.dueReports(at: house.clock.now, limit: 10)
            let spool = try await SpoolStore.open(folder: mail.host.configuration.dataFolder, host: "mail.kartapuce.test")
            #expect(try await spool.dueReports(at: house.clock.now, limit: 10) == made && made.count == 1)
            try await spool.close()
            // Two hosts' worth of impatience: one of them sends it.
            let (first, second) = (try service(mail, house), try service(mail, house))
            async let left = first.dispatch.sendDue()
            async let right = second.dispatch.sendDue()
            _ = try await (left, right)
            try await before.dispatch.close([.aggregate], .through(day))
            #expect(try await service(mail, house).dispatch.sendDue().isEmpty)
            #expect(try await mail.emptied())
            #expect(try aggregates(house).map(\.report.metadata.reportID) == made.map(\.identity))
        }
    }

    @Test func strangersGetNothingUnlessTheyAgree() async throws {
        try await mail { house, mail in
            for domain in ["external.test", "unverified.test"] {
                try await send(mail, from: "x@attacker.test", Self.from("a@\(domain)"), expecting: "250")
            }
            #expect(try await mail.emptied())
            let service = try service(mail, house)
            try await service.accountant.run()
            // Looked at first: nothing changes by it.
            let preview = try await service.dispatch.preview([.aggregate], .through(ReportDay.containing(house.clock.now)))
            #expect(preview.map(\.outcome) == ["would be sent", "would be discarded"])
            mail.pass(86_400 + 7200)
            await service.work()
            #expect(try await mail.emptied())
            let report = try #require(try aggregates(house).first?.report)
            #expect(house.outside.taken.count == 1 && report.policy.domain == "external.test")
            // The one with room for 100 octets gets none either.
            let asked = house.outside.record.commands.filter { $0.hasPrefix("RCPT") }
            #expect(asked.count == 1 && asked.allSatisfy { $0.hasPrefix("RCPT TO:<agg@partner.test>") }, "\(asked)")
            let traces = try await mail.spool.traces(key: nil, from: house.clock.now.addingTimeInterval(-60), to: nil, limit: 10)
            var checks: [String] = []
            for trace in traces {
                for event in try await mail.journey(trace) {
                    if case .checked(let checked) = event.operation { checks.append("\(checked.result) \(checked.explanation)") }
                }
            }
            #expect(checks.contains { $0.hasPrefix("discarded") && $0.contains("victim.test: notAuthorized") }, "\(checks)")
            #expect(checks.contains { $0.hasPrefix("authorized") })
        }
    }

    @Test func whereNobodyCanTellTheReportWaits() async throws {
        try await mail { house, mail in
            try await send(mail, from: "x@attacker.test", Self.from("a@slow.test"), expecting: "250")
            #expect(try await mail.emptied())
            let service = try service(mail, house)
            try await service.accountant.run()
            try await service.dispatch.close([.aggregate], .through(ReportDay.containing(house.clock.now)))
            for _ in 0..<24 {
                #expect(try await service.dispatch.sendDue().map(\.outcome) == ["postponed"])
                #expect(try await service.dispatch.sendDue().isEmpty)
                mail.pass(3601)
            }
            #expect(try await service.dispatch.sendDue().map(\.outcome) == ["discarded"])
            #expect(house.outside.record.connections == 0)
        }
    }

    @Test func reportsOnReportsAreNotMade() async throws {
        try await mail { house, mail in
            try await send(mail, from: "tom@gmail.test", to: "dmarc-reports@kartapuce.test", Self.genuine, expecting: "250")
            #expect(try await mail.emptied())
            let service = try service(mail, house)
            try await service.accountant.run()
            #expect(try await mail.spool.openAccounts(.aggregate, .through(ReportDay.containing(house.clock.now))).isEmpty)
            #expect(try await mail.spool.reportCursor(ReportAccountant.cursor) > 0)
        }
    }

    /// What a receiver answers to a report makes no notice, and a report that is refused makes none either.
    @Test func aRefusedReportMakesNoNotice() async throws {
        let refusing: [[ScriptedServer.Rule]] = [[.init("RCPT", .say("550 5.1.1 No such user"))] + ScriptedServer.obedient]
        try await TestHouse.open(outside: refusing, zones: Self.zones) { house in
            try await house.withHost(listeners: [.smtp], change: Self.switchedOn) { mail in
                try await mail.addUsers("bob")
                try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
                #expect(try await mail.emptied())
                mail.pass(86_400 + 7200)
                await (try service(mail, house)).work()
                #expect(try await mail.emptied())
                #expect(house.outside.record.connections == 1 && house.outside.taken.isEmpty)
                #expect(try await mail.spool.storedReports(.aggregate, since: .distantPast, limit: 10).isEmpty)
                #expect(try await mail.inbox("bob").count == 1)
            }
        }
    }

    // MARK: Several hosts

    /// The edge judges, the store counts and writes, the relay asks the DNS and signs.
    @Test func theStoreWritesReportsAndTheRelaySignsThem() async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            try await house.withHost("smtp", roles: [.relay], listeners: [.link], change: { try Self.makeKey($0, house) }) { relay in
                let control = try await Self.serve(
                    HostControl(journeys: relay.spool, digests: nil, accounts: nil, resolver: house.resolver), [.relay], in: house)
                try await house.withHost("imap", roles: [.store], listeners: [.link]) { configuration in
                    Self.switchedOn(&configuration)
                    configuration.peers[.relay] = .init(
                        host: "smtp.kartapuce.test", address: TestHouse.loopback, linkPort: try relay.port(.link),
                        controlPort: try #require(control.localAddress?.port))
                } _: { store in
                    try await store.addUsers("bob")
                    try await house.withHost("mail", roles: [.mx], listeners: [.smtp]) { configuration in
                        configuration.authentication.mode = .enforce
                        configuration.peers[.store] = .init(
                            host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: try store.port(.link), controlPort: nil)
                    } _: { edge in
                        let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
                        #expect(try #require(edge.host.digests).replace(with: DigestSet(key: Array(0..<32), addresses: [bob], catchAllDomains: []).serialized))
                        for domain in ["gmail.test", "unverified.test"] {
                            try await send(edge, from: "tom@gmail.test", Self.from("tom@\(domain)"), expecting: "250")
                        }
                        try await send(edge, from: "x@attacker.test", Self.genuine, expecting: "550")
                        #expect(try await edge.emptied())
                        try await collect(from: edge, into: store, in: house)
                    }
                    #expect(try await store.emptied())
                    let clock = store.clock
                    // Its own resolver would be asked for nothing: the store has no way to the DNS.
                    let service = try #require(try store.host.reportService(now: { clock.now }, offer: { store.queue.offer($0) }))
                    store.pass(86_400 + 7200)
                    await service.work()
                    #expect(await eventually { house.outside.taken.count == 1 })
                    #expect(try await store.emptied())
                    #expect(try await relay.emptied())
                    let (text, report) = try #require(try aggregates(house).first)
                    #expect(report.policy.domain == "gmail.test" && report.records.map(\.count) == [1, 1])
                    #expect(house.outside.taken.count == 1)
                    let header = HeaderSection(parsing: ByteBuffer(string: text))
                    #expect(header.first(named: "DKIM-Signature")?.value.contains("d=kartapuce.test") == true)
                    #expect(header.count(named: "Postern-Capsule") == 0)
                    #expect(header.count(named: "ARC-Seal") == 0)
                }
                try await control.close()
            }
        }
    }

    @Test func onlyTheStoreMayHaveItsOwnMailSigned() async throws {
        try await TestHouse.open { house in
            func capsule(_ author: AuthenticationCapsule.Author?) -> AuthenticationCapsule {
                AuthenticationCapsule(
                    host: "x.kartapuce.test", trace: "", time: 0, byteCount: 0, sha256: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                    client: "", helo: "", reversePath: "", results: "", dmarc: nil, headerFrom: nil, disposition: .accept, author: author)
            }
            let reader = try CapsuleReader(try house.linkFiles([.relay]), own: nil)
            for (role, author, isBelieved) in [
                (Configuration.Role.store, AuthenticationCapsule.Author?.some(.report), true), (.mx, .report, false), (.submission, .report, false),
                (.store, nil, false),
                (.mx, nil, true),
            ] {
                let field = try CapsuleSealer(try house.linkFiles([role]), dataFolder: house.folder).field(capsule(author))
                let header = try #require(HeaderSection(parsing: field).first)
                let opened = try? await reader.open(header, of: BufferedContent(ByteBuffer()), at: house.clock.now)
                #expect((opened != nil) == isBelieved, "\(role) \(author.map(\.rawValue) ?? "")")
            }
        }
    }

    static func serve(_ service: any ControlService, _ roles: Set<Configuration.Role>, in house: TestHouse) async throws -> any Channel {
        let files = try house.linkFiles(roles)
        return try await ControlServer(
            tls: try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .link(authorityFile: files.authority)),
            service: service, group: MultiThreadedEventLoopGroup.singleton, logger: TestHouse.quiet
        ).bind(address: TestHouse.loopback, port: 0)
    }

    /// Collects as the store does, and hands all of it in a second time.
    private func collect(from edge: TestHost, into store: TestHost, in house: TestHouse) async throws {
        let control = try await Self.serve(HostControl(journeys: edge.spool, digests: nil, accounts: nil), [.mx], in: house)
        let client = ControlClient(
            peer: .init(host: "mail.kartapuce.test", address: TestHouse.loopback, linkPort: nil, controlPort: try #require(control.localAddress?.port)),
            role: .mx, tls: try house.linkClient(.store), group: MultiThreadedEventLoopGroup.singleton)
        let records = try await edge.spool.ownRecords(after: 0, limit: 1000)
        let last = try #require(records.last).hostSequence
        let running = Task {
            try await JourneyCollector(log: store.spool, peers: [client], interval: .milliseconds(50), logger: TestHouse.quiet).run()
        }
        #expect(try await eventually { try await store.spool.lastMerged(host: "mail.kartapuce.test") >= last })
        running.cancel()
        _ = await running.result
        try await store.spool.merge(records)
        try await control.close()
    }

    // MARK: Reports on single messages

    @Test func singleMessagesAreReportedOnlyWhereSwitchedOnAndRedacted() async throws {
        for isOn in [false, true] {
            try await mail { configuration in
                configuration.reports?.aggregates = false
                configuration.reports?.failures.enabled = isOn
                configuration.reports?.failures.perDomain = 2
            } _: { house, mail in
                for _ in 0..<4 { try await send(mail, from: "secret@attacker.test", Self.genuine, expecting: "550") }
                try await send(mail, from: "x@attacker.test", Self.from("a@unverified.test"), expecting: "250")
                // It passes: nobody is told.
                try await send(mail, from: "tom@gmail.test", Self.genuine, expecting: "250")
                #expect(try await mail.emptied())
                await (try service(mail, house)).work()
                #expect(try await mail.emptied())
                #expect(house.outside.taken.count == (isOn ? 2 : 0))
                guard isOn, let text = house.outside.taken.first else { return }
                guard case .feedback(let report) = try ReportMail.find(in: ByteBuffer(string: text)) else { return #expect(Bool(false), "\(text)") }
                #expect(report.feedbackType == "auth-failure" && report.authFailure == "dmarc" && report.deliveryResult == "reject")
                #expect(report.reportedDomains == ["gmail.test"] && report.identityAlignment == ["dkim", "spf"] && report.sourceIP == TestHouse.loopback)
                #expect(report.problems.isEmpty, "\(report.problems)")
                for word in ["Numbers", "The body", "bob@", "tom@", "secret@"] { #expect(!text.contains(word), "\(word)") }
                #expect(text.contains("@attacker.test") && text.contains("@gmail.test"))
                #expect(HeaderSection(parsing: ByteBuffer(string: text)).count(named: "DKIM-Signature") == 1)
                // Over the limit nothing waits for later.
                mail.pass(7200)
                await (try service(mail, house)).work()
                #expect(try await mail.emptied())
                #expect(house.outside.taken.count == 2)
            }
        }
    }
}
