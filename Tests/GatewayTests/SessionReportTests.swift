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
import Synchronization
import Testing
import TransportSecurity

@testable import Gateway

/// Reports on TLS: what the relay notes of its sessions, what is counted of them, and how the reports leave.
@Suite(.serialized, .timeLimit(.minutes(3))) struct SessionReportTests {
    private typealias Policies = TransportPolicyTests

    private static let record = "v=TLSRPTv1; rua=mailto:tls@reports.test,https://web.reports.test/v1/tls?x=1"

    /// secure.test asks for reports; reports.test takes them by mail.
    private static func zone(
        _ zones: ZoneResolver, record: String = record, signed: Bool = false, _ change: (inout ZoneResolver) throws -> Void = { _ in }
    ) throws -> ZoneResolver {
        try Policies.zone(zones, signed: signed) { zones in
            zones.add(try DomainName("_smtp._tls.secure.test"), .txt, .txt(Array(record.utf8)))
            zones.add(try DomainName("reports.test"), .mx, .mx(preference: 10, exchange: try DomainName("mx.reports.test")))
            zones.add(try DomainName("mx.reports.test"), .a, .address(TestHouse.loopback))
            zones.add(try DomainName("web.reports.test"), .a, .address(TestHouse.loopback))
            try change(&zones)
        }
    }

    private static func addPolicy(_ zones: inout ZoneResolver) throws {
        zones.add(try DomainName("_mta-sts.secure.test"), .txt, .txt(Array("v=STSv1; id=1;".utf8)))
    }

    /// Sends by HTTPS as a test wants it.
    private final class Poster: ReportPoster {
        struct Posted: Sendable {
            var report: [UInt8]
            var uri: String
        }
        private let state = Mutex<(posted: [Posted], outcomes: [ReportPostOutcome])>(([], []))
        var posted: [Posted] { state.withLock { $0.posted } }
        func add(_ outcome: ReportPostOutcome) { state.withLock { $0.outcomes.append(outcome) } }

        func post(_ report: [UInt8], to uri: String) async -> ReportPostOutcome {
            state.withLock { state in
                state.posted.append(Posted(report: report, uri: uri))
                return state.outcomes.count > 1
                    ? state.outcomes.removeFirst() : state.outcomes.first ?? .init(isTaken: true, isTemporary: false, explanation: "")
            }
        }
    }

    private func service(_ mail: TestHost, _ house: TestHouse, _ poster: (any ReportPoster)? = nil) throws -> ReportService {
        let clock = mail.clock
        let queue = mail.queue
        return try #require(try mail.host.reportService(resolver: house.resolver, poster: poster, now: { clock.now }, offer: { queue.offer($0) }))
    }

    private static func notes(_ host: TestHost, _ trace: TraceID) async throws -> [JourneyEvent.Protected] {
        try await host.journey(trace).compactMap { if case .protected(let receipt) = $0.operation { receipt } else { nil } }
    }

    // MARK: What the relay notes

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var policy: String?
        var fetch: MTASTSFetchError.Code?
        var script: [ScriptedServer.Rule] = TransportPolicyTests.honest
        var minimum = LocalTLSPolicy.opportunistic
        var tlsa: DNSRecordData?
        var isBogus = false
        var isTrusted = true
        var type: TLSRPTPolicy.Kind
        var failures: [TLSResultType] = []
        var goes: Bool
        var address = true
    }

    static let cases = [
        Case(testDescription: "no policy", type: .noPolicyFound, goes: true),
        Case(
            testDescription: "no policy, no TLS", script: TransportPolicyTests.stripped, type: .noPolicyFound, failures: [.startTLSNotSupported], goes: true),
        Case(testDescription: "all is well", policy: TransportPolicyTests.policy("enforce"), type: .sts, goes: true),
        Case(
            testDescription: "stripped", policy: TransportPolicyTests.policy("enforce"), script: TransportPolicyTests.stripped, type: .sts,
            failures: [.startTLSNotSupported], goes: false),
        Case(
            testDescription: "refused", policy: TransportPolicyTests.policy("enforce"), script: TransportPolicyTests.refused, type: .sts,
            failures: [.validationFailure], goes: false),
        Case(
            testDescription: "nobody trusts it", policy: TransportPolicyTests.policy("enforce"), isTrusted: false, type: .sts,
            failures: [.certificateNotTrusted], goes: false),
        Case(
            testDescription: "another exchanger", policy: TransportPolicyTests.policy("enforce", mx: "mx2.secure.test"), type: .sts,
            failures: [.validationFailure], goes: false),
        Case(
            testDescription: "another exchanger, testing", policy: TransportPolicyTests.policy("testing", mx: "mx2.secure.test"), type: .sts,
            failures: [.validationFailure], goes: true),
        Case(testDescription: "no policy host", fetch: .connectionFailed, type: .sts, failures: [.stsPolicyFetchError], goes: true),
        Case(testDescription: "a policy host with a wrong certificate", fetch: .untrusted, type: .sts, failures: [.stsWebPKIInvalid], goes: true),
        Case(testDescription: "no policy but garbage", policy: "nothing", type: .sts, failures: [.stsPolicyInvalid], goes: true),
        Case(
            testDescription: "records that can't be used", tlsa: .tlsa(usage: 1, selector: 1, matching: 1, data: Array(repeating: 7, count: 32)), type: .tlsa,
            failures: [.tlsaInvalid], goes: true),
        Case(
            testDescription: "another key", tlsa: .tlsa(usage: 3, selector: 1, matching: 1, data: Array(repeating: 7, count: 32)), type: .tlsa,
            failures: [.certificateNotTrusted], goes: false),
        Case(testDescription: "bogus records", isBogus: true, type: .noPolicyFound, failures: [.dnssecInvalid], goes: false),
        Case(testDescription: "the operator wants DANE", minimum: .dane, type: .noPolicyFound, failures: [.daneRequired], goes: false),
    ]

    @Test("What a journey notes of a session", arguments: cases) func notes(_ test: Case) async throws {
        try await TestHouse.open { house in
            try await Policies.withExchanger(house, scripts: [test.script]) { exchanger in
                let resolver = try Self.zone(house.resolver, signed: test.tlsa != nil || test.isBogus) { zones in
                    if test.policy != nil || test.fetch != nil { try Self.addPolicy(&zones) }
                    if let tlsa = test.tlsa { zones.add(try Policies.tlsa(exchanger.server.port), .tlsa, tlsa) }
                    if test.isBogus { zones.fail(try Policies.tlsa(exchanger.server.port), .tlsa, with: .bogus) }
                }
                let policyHost = Policies.PolicyHost()
                if let policy = test.policy { policyHost.set(.success(policy)) }
                if let code = test.fetch { policyHost.set(.failure(MTASTSFetchError(code, reason: "so it is"))) }
                try await Policies.house(house, resolver).withHost(
                    roles: [.relay], fetcher: policyHost,
                    change: {
                        $0.outboundPort = exchanger.server.port
                        $0.transport.minimum = test.minimum
                        if test.isTrusted { $0.authorities = [exchanger.authority] }
                    }
                ) { host in
                    let message = try await host.enqueue(to: "tom@secure.test")
                    #expect(try await eventually { try await Policies.receipt(host, message.trace) != nil })
                    let receipt = try #require(try await Policies.receipt(host, message.trace))
                    let report = try #require(receipt.tlsReport)
                    #expect(report.record == Self.record && report.policyType == test.type.rawValue, "\(report)")
                    #expect(report.failures.map(\.type) == test.failures.map(\.rawValue), "\(report)")
                    #expect(report.receivingHost == "mx.secure.test" && report.receivingAddress == "127.0.0.1")
                    #expect((receipt.verdict == "proceed") == test.goes, "\(receipt)")
                    #expect((report.policyLines.isEmpty) == (test.type == .noPolicyFound || test.fetch != nil || test.policy == "nothing"))
                    if exchanger.server.record.connections > 0 {
                        #expect(report.sendingAddress == "127.0.0.1" && report.receivingHELO?.isEmpty == false, "\(report)")
                    }
                    // What is noted can be counted.
                    let entry = try #require(SessionObservation(receipt)?.entry(day: 20_000))
                    #expect(entry.domain == "secure.test" && entry.kind == .tls && entry.destinations == Self.record)
                }
            }
        }
    }

    @Test func nothingIsNotedWhereNobodyAsks() async throws {
        for (record, isOn) in [("v=TLSRPTv1; rua=ftp://x.test/", true), ("v=spf1 -all", true), (Self.record, false)] {
            try await TestHouse.open { house in
                try await Policies.withExchanger(house, scripts: [Policies.honest]) { exchanger in
                    let resolver = try Self.zone(house.resolver, record: record)
                    try await Policies.house(house, resolver).withHost(
                        roles: [.relay],
                        change: {
                            $0.outboundPort = exchanger.server.port
                            $0.transport.reports = isOn
                        }
                    ) { host in
                        let message = try await host.enqueue(to: "tom@secure.test")
                        #expect(try await host.emptied())
                        #expect(try await Self.notes(host, message.trace).map { $0.tlsReport == nil } == [true], "\(record)")
                    }
                }
            }
        }
    }

    /// Much mail for a domain asks the DNS once.
    @Test func aDomainIsAskedOnceAnHour() async throws {
        let counting = CountingResolver(ZoneResolver())
        let clock = TestClock(.now)
        let wishes = ReportWishes(resolver: counting, now: { clock.now })
        let domain = try DomainName("secure.test")
        for _ in 0..<50 { #expect(await wishes.wish(of: domain).record == nil) }
        #expect(counting.count == 1)
        clock.advance(by: 3601)
        #expect(await wishes.wish(of: domain).record == nil)
        #expect(counting.count == 2)
        // A clock that is put back doesn't keep the answer for ever.
        clock.advance(by: -86_400)
        #expect(await wishes.wish(of: domain).record == nil)
        #expect(counting.count == 3)
    }

    private final class CountingResolver: DNS.Resolver {
        private let zones: ZoneResolver
        private let asked = Mutex(0)
        var count: Int { asked.withLock { $0 } }
        init(_ zones: ZoneResolver) { self.zones = zones }
        func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
            asked.withLock { $0 += 1 }
            return try await zones.lookup(name, type)
        }
    }

    @Test func anAddressThatOnlyWeKnowIsNotTold() throws {
        let own = try #require(IPAddress("10.0.2.10"))
        let outside = try #require(IPAddress("8.8.4.4"))
        #expect(SessionNote.told(own, to: try #require(IPAddress("8.8.8.8"))) == nil)
        #expect(SessionNote.told(outside, to: try #require(IPAddress("8.8.8.8"))) == outside)
        #expect(SessionNote.told(own, to: try #require(IPAddress("10.0.9.9"))) == own)
        #expect(SessionNote.told(nil, to: own) == nil)
    }

    /// What another host of ours wrote is looked at before it is counted.
    @Test func whatCannotBeReadIsNotCounted() throws {
        func session(_ change: (inout JourneyEvent.Protected.SessionReport) -> Void = { _ in }) -> JourneyEvent.Protected {
            var report = JourneyEvent.Protected.SessionReport(
                record: Self.record, policyType: "sts", policyDomain: "secure.test", policyLines: ["version: STSv1"], policyHosts: ["mx.secure.test"],
                receivingHost: "mx.secure.test", receivingAddress: "x", receivingHELO: nil, sendingAddress: nil,
                failures: [.init(type: "certificate-expired", reason: nil)])
            change(&report)
            return JourneyEvent.Protected(
                peer: "", nextHop: "secure.test", source: "", level: "", encrypted: true, authenticated: true, version: nil, cipher: nil, group: nil,
                dnssec: nil, chain: [], checks: [],
                steps: [], failure: nil, verdict: "proceed", reason: nil, tlsReport: report)
        }
        #expect(SessionObservation(session()) != nil)
        #expect(SessionObservation(session { $0.policyType = "dnssec" }) == nil)
        #expect(SessionObservation(session { $0.record = "v=TLSRPTv1; rua=" }) == nil)
        #expect(SessionObservation(session { $0.failures[0].type = "bad-weather" }) == nil)
        #expect(SessionObservation(session { $0.policyLines = [String(repeating: "a", count: 5000)] }) == nil)
        #expect(SessionObservation(session { $0.policyDomain = "." + String(repeating: "a", count: 300) }) == nil)
        var none = session()
        none.tlsReport = nil
        #expect(SessionObservation(none) == nil)
    }

    // MARK: A day

    /// One host with all roles; the exchanger takes the mail of secure.test and of reports.test.
    private func day(
        scripts: [[ScriptedServer.Rule]], record: String = record, change: (inout Configuration) throws -> Void = { _ in },
        _ body: (TestHouse, TestHost, Policies.Exchanger) async throws -> Void
    ) async throws {
        try await TestHouse.open { house in
            try await Policies.withExchanger(house, scripts: scripts, names: ["mx.secure.test", "mx.reports.test"], validity: 30 * 86_400) { exchanger in
                let resolver = try Self.zone(house.resolver, record: record, Self.addPolicy)
                let policyHost = Policies.PolicyHost()
                policyHost.set(.success(Policies.policy("enforce")))
                let house = Policies.house(house, resolver)
                try await house.withHost(fetcher: policyHost) { configuration in
                    configuration.reports = .init()
                    configuration.outboundPort = exchanger.server.port
                    configuration.authorities = [exchanger.authority]
                    try ReportSendingTests.makeKey(configuration, house)
                    try change(&configuration)
                } _: { mail in
                    try await body(house, mail, exchanger)
                }
            }
        }
    }

    private func reports(_ exchanger: Policies.Exchanger) throws -> [(text: String, report: TLSReport)] {
        try exchanger.server.taken.compactMap { text in
            guard text.contains("TLS-Report-Domain:") else { return nil }
            guard case .tls(let json) = try ReportMail.find(in: ByteBuffer(string: text)) else { throw HostError("another report") }
            return (text, try TLSReport(parsing: json))
        }
    }

    @Test func aDayOfSessionsIsOneSignedReportByMailAndByHTTPS() async throws {
        // The first connection ends before a fourth message; the second one has no STARTTLS: that message waits, and is tried again.
        let closing = [ScriptedServer.Rule("MAIL FROM:<closer", .close)] + Policies.honest
        try await day(scripts: [closing, Policies.stripped, Policies.honest]) { house, mail, exchanger in
            let day = ReportDay.containing(house.clock.now)
            // One session, several messages.
            for count in 1...3 {
                try await mail.enqueue(to: "tom@secure.test")
                #expect(await eventually { exchanger.server.record.messages.count == count })
                #expect(try await mail.emptied())
            }
            #expect(exchanger.server.record.connections == 1)
            let waiting = try await mail.enqueue(from: "closer@kartapuce.test", to: "tom@secure.test")
            _ = try await mail.tried(waiting.id, 1)
            #expect(try await mail.spool.counts().queued == 1)
            let poster = Poster()
            let service = try service(mail, house, poster)
            await service.work()
            let open = try await mail.spool.openAccounts(.tls, .through(day))
            #expect(open.map(\.domain) == ["secure.test"] && open.map(\.destinations) == [Self.record])
            let preview = try await service.dispatch.preview(service.kinds, .through(day))
            #expect(preview.map(\.kind) == ["tls"] && preview.map(\.messages) == [2] && preview.map(\.outcome) == ["would be sent"])
            #expect(preview.first?.destinations.flatMap(\.recipients) == ["tls@reports.test", "https://web.reports.test/v1/tls?x=1"])
            mail.pass(86_400 + 7200)
            #expect(try await mail.emptied())
            await service.work()
            #expect(try await mail.emptied())
            let (text, report) = try #require(try reports(exchanger).first)
            #expect(try reports(exchanger).count == 1 && poster.posted.count == 1)
            #expect(report.organization == "kartapuce.test" && report.contact == "dmarc-reports@kartapuce.test")
            #expect(report.policies.count == 1 && report.successes == 1 && report.failures == 1)
            let policy = try #require(report.policies.first)
            #expect(policy.policy.type == "sts" && policy.policy.domain == "secure.test" && policy.policy.exchangers == ["mx.secure.test"])
            #expect(policy.policy.lines?.first == "version: STSv1")
            let failure = try #require(policy.failures?.first)
            #expect(policy.failures?.count == 1 && failure.type == "starttls-not-supported" && failure.sessions == 1)
            #expect(failure.sendingAddress == "127.0.0.1" && failure.receivingAddress == "127.0.0.1" && failure.receivingHost == "mx.secure.test")
            #expect(JourneyTime.parse(report.dateRange.start) == Date(timeIntervalSince1970: Double(day) * 86_400))
            let header = HeaderSection(parsing: ByteBuffer(string: text))
            #expect(header.first(named: "TLS-Report-Domain")?.value == "secure.test" && header.first(named: "TLS-Report-Submitter")?.value == "kartapuce.test")
            #expect(header.first(named: "Subject")?.value == "Report Domain: secure.test Submitter: kartapuce.test Report-ID: <\(report.identifier)>")
            #expect(text.contains("kartapuce.test!secure.test!\(day * 86_400)!\(day * 86_400 + 86_399).json.gz"))
            // It is signed, and not by a part of its body only (RFC 8460 §3).
            let signature = try #require(header.first(named: "DKIM-Signature")?.value)
            #expect(signature.contains("d=kartapuce.test") && !signature.contains("l="))
            let keys = try DKIMKeyFolder(path: mail.host.configuration.dkimFolder).entries().map { "\($0.recordName). TXT \"\($0.record)\"\n" }.joined()
            let verifier = SenderVerifier(resolver: try ZoneFile.resolver(parsing: keys), receivingHost: "mx.reports.test")
            let evaluation = try await verifier.verify(nil, content: BufferedContent(ByteBuffer(string: text)), at: house.clock.now)
            #expect(evaluation.dkim.map(\.result) == [.pass])
            // By HTTPS the same report.
            let posted = try #require(poster.posted.first)
            #expect(posted.uri == "https://web.reports.test/v1/tls?x=1")
            guard case .tls(let json) = try ReportMail.read(file: posted.report) else { return #expect(Bool(false)) }
            #expect(try TLSReport(parsing: json) == report)
            // The session that carried the report is in no report; the one that carried the waiting message is in today's.
            mail.pass(86_400)
            await service.work()
            #expect(try await mail.emptied())
            let later = try reports(exchanger).map(\.report)
            #expect(later.count == 2 && later.last?.successes == 1 && later.last?.failures == 0)
            mail.pass(86_400)
            await service.work()
            #expect(try reports(exchanger).count == 2)
        }
    }

    @Test func theSameSessionsCountOnceHoweverOftenTheyAreRead() async throws {
        try await day(scripts: [Policies.honest]) { house, mail, exchanger in
            try await mail.enqueue(to: "tom@secure.test")
            #expect(try await mail.emptied())
            let services = try [service(mail, house), service(mail, house)]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for service in services + services { group.addTask { try await service.accountant.run() } }
                try await group.waitForAll()
            }
            // After a restart.
            try await service(mail, house).accountant.run()
            let account = try #require(try await mail.spool.openAccounts(.tls, .through(ReportDay.containing(house.clock.now))).first)
            #expect(try await mail.spool.rows(of: account).map(\.count) == [1])
        }
    }

    /// RFC 8460 §3: what can't be sent for lack of TLS is told without it.
    @Test func aReportArrivesWhateverBecomesOfTLS() async throws {
        try await day(scripts: [Policies.stripped], record: "v=TLSRPTv1; rua=mailto:tls@secure.test") { house, mail, exchanger in
            let waiting = try await mail.enqueue(to: "tom@secure.test")
            _ = try await mail.tried(waiting.id, 1)
            mail.pass(86_400 + 7200)
            // The destination is left alone for a while after the first attempt, which may have ended on either side of that day.
            #expect(
                try await eventually {
                    mail.pass(60)
                    return try await mail.spool.recipients(of: waiting.id).allSatisfy { $0.attempts >= 2 }
                })
            await (try service(mail, house)).work()
            // The destination is left alone for a while after what it said to the other message.
            #expect(
                await eventually {
                    mail.pass(60)
                    return exchanger.server.record.messages.count == 1
                })
            let report = try #require(try reports(exchanger).first?.report)
            #expect(report.successes == 0 && report.policies.first?.failures?.map(\.type) == ["starttls-not-supported"])
            #expect(!exchanger.server.record.commands.contains("STARTTLS"))
            // The mail itself still waits; that the report is gone is noted a moment after its delivery.
            #expect(try await eventually { try await mail.spool.counts().queued == 1 })
        }
    }

    /// The relay notes, the store counts and writes, the relay signs.
    @Test func theStoreReportsWhatTheRelayNoted() async throws {
        try await TestHouse.open { house in
            try await Policies.withExchanger(house, scripts: [Policies.honest], names: ["mx.secure.test"], validity: 30 * 86_400) { exchanger in
                let resolver = try Self.zone(house.resolver, record: "v=TLSRPTv1; rua=mailto:tls@secure.test")
                let house = Policies.house(house, resolver)
                try await house.withHost("smtp", roles: [.relay], listeners: [.link]) { configuration in
                    configuration.outboundPort = exchanger.server.port
                    try ReportSendingTests.makeKey(configuration, house)
                } _: { relay in
                    try await house.withHost("imap", roles: [.store], listeners: [.link]) { configuration in
                        configuration.reports = .init()
                        configuration.peers[.relay] = .init(
                            host: "smtp.kartapuce.test", address: TestHouse.loopback, linkPort: try relay.port(.link), controlPort: nil)
                    } _: { store in
                        try await relay.enqueue(to: "tom@secure.test")
                        #expect(try await relay.emptied())
                        // Collected twice: the second time it is known.
                        let records = try await relay.spool.ownRecords(after: 0, limit: 100)
                        for _ in 0..<2 { try await store.spool.merge(records) }
                        store.pass(86_400 + 7200)
                        await (try service(store, house)).work()
                        #expect(try await store.emptied())
                        #expect(try await relay.emptied())
                        let (text, report) = try #require(try reports(exchanger).first)
                        #expect(try reports(exchanger).count == 1 && report.successes == 1 && report.failures == 0)
                        let header = HeaderSection(parsing: ByteBuffer(string: text))
                        #expect(header.first(named: "DKIM-Signature")?.value.contains("d=kartapuce.test") == true)
                        #expect(header.count(named: "Postern-Capsule") == 0)
                    }
                }
            }
        }
    }

    @Test func whereReportsOnTLSAreOffNoneIsMade() async throws {
        try await day(scripts: [Policies.honest]) {
            $0.reports?.tls = false
        } _: { house, mail, exchanger in
            try await mail.enqueue(to: "tom@secure.test")
            #expect(try await mail.emptied())
            let service = try service(mail, house)
            try await service.accountant.run()
            #expect(try await mail.spool.openAccounts(.tls, .through(ReportDay.containing(house.clock.now))).isEmpty)
            #expect(service.kinds == [.aggregate])
        }
    }

    // MARK: By HTTPS

    @Test func whatCannotBePostedIsTriedAgainForADayAndTold() async throws {
        for (outcomes, isTaken, tries) in [
            (
                [ReportPostOutcome(isTaken: false, isTemporary: true, explanation: "500"), .init(isTaken: true, isTemporary: false, explanation: "201")], true,
                2
            ),
            ([.init(isTaken: false, isTemporary: false, explanation: "404")], false, 1),
            ([.init(isTaken: false, isTemporary: true, explanation: "503")], false, ReportDispatch.postLimit),
        ] {
            try await day(scripts: [Policies.honest], record: "v=TLSRPTv1; rua=https://web.reports.test/tls") { house, mail, exchanger in
                try await mail.enqueue(to: "tom@secure.test")
                #expect(try await mail.emptied())
                let poster = Poster()
                for outcome in outcomes { poster.add(outcome) }
                let service = try service(mail, house, poster)
                mail.pass(86_400 + 7200)
                let start = house.clock.now
                await service.work()
                #expect(poster.posted.count == 1)
                // Not before its time.
                await service.work()
                #expect(poster.posted.count == 1)
                for number in 0..<20 {
                    mail.pass(ReportDispatch.pause(afterAttempt: number) + 1)
                    await service.work()
                    if poster.posted.count == tries { break }
                }
                #expect(poster.posted.count == tries)
                if tries == ReportDispatch.postLimit { #expect(house.clock.now.timeIntervalSince(start) > 20 * 3600) }
                mail.pass(86_400)
                await service.work()
                #expect(poster.posted.count == tries && Set(poster.posted.map(\.report)).count == 1)
                // Each try is in one journey.
                var words: [String] = []
                for trace in try await mail.spool.traces(key: nil, from: .distantPast, to: nil, limit: 100) {
                    let checks = try await mail.journey(trace).compactMap { if case .checked(let checked) = $0.operation { checked } else { nil } }
                    if checks.contains(where: { $0.check == "report" }) { words = checks.map(\.result) }
                }
                #expect(words == Array(repeating: "postponed", count: tries - 1) + [isTaken ? "posted" : "discarded"])
            }
        }
    }

    /// The store has no way out: it asks the relay, which speaks HTTPS with a server that fails first.
    @Test func theRelaySendsByHTTPSForTheStore() async throws {
        try await TestHouse.open { house in
            let web = try WebAuthority()
            try web.write(to: "\(house.folder)/web.pem")
            let server = try await ScriptedWebServer.start(
                tls: try web.server(names: ["web.reports.test"]),
                answers: [
                    "/ok": .content(201, type: "text/plain", body: []), "/busy": .content(500, type: "text/plain", body: []),
                    "/gone": .content(410, type: "text/plain", body: []),
                    "/moved": .say("HTTP/1.1 302 Found\r\nLocation: https://web.reports.test/ok\r\nContent-Length: 0\r\n\r\n"),
                ])
            let resolver = try Self.zone(house.resolver)
            try await Policies.house(house, resolver).withHost("smtp", roles: [.relay]) { configuration in
                configuration.web.authorities = "\(house.folder)/web.pem"
                configuration.web.specialNetworks = [try #require(IPNetwork("127.0.0.0/8"))]
            } _: { relay in
                let poster = try WebReportPoster(relay.host.configuration.web, resolver: resolver, group: MultiThreadedEventLoopGroup.singleton)
                let control = try await ReportSendingTests.serve(
                    HostControl(journeys: relay.spool, digests: nil, accounts: nil, poster: poster), [.relay], in: house)
                let port = try #require(control.localAddress?.port)
                func client(_ role: Configuration.Role) throws -> RemoteReportPoster {
                    RemoteReportPoster(
                        host: ControlClient(
                            peer: .init(host: "smtp.kartapuce.test", address: TestHouse.loopback, linkPort: nil, controlPort: port), role: .relay,
                            tls: try house.linkClient(role), group: MultiThreadedEventLoopGroup.singleton))
                }
                let remote = try client(.store)
                let report = try ReportArchive.gzip(Array("{}".utf8))
                for (path, isTaken, isTemporary) in [("ok", true, false), ("busy", false, true), ("gone", false, false), ("moved", false, false)] {
                    let outcome = await remote.post(report, to: "https://web.reports.test:\(server.port)/\(path)")
                    #expect(outcome.isTaken == isTaken && (isTaken || outcome.isTemporary == isTemporary), "\(path): \(outcome)")
                }
                let first = try #require(server.requests.first)
                #expect(first.hasPrefix("POST /ok HTTP/1.1\r\n") && first.lowercased().contains("content-type: application/tlsrpt+gzip"))
                #expect(server.requests.count == 4, "a redirection isn't followed")
                #expect(await remote.post(report, to: "http://web.reports.test/").isTemporary == false)
                #expect(await remote.post(report, to: "https://user@web.reports.test/").isTaken == false)
                // Nobody else may have the relay say something.
                let stranger = await (try client(.submission)).post(report, to: "https://web.reports.test:\(server.port)/ok")
                #expect(!stranger.isTaken && server.requests.count == 4, "\(stranger)")
                try await control.close()
            }
            try await server.stop()
        }
    }
}
