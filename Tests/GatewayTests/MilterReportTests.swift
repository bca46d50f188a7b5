import DNS
import Foundation
import Journeys
import MailAuthentication
import MailMessage
import MailStore
import MailTesting
import MailTransport
import Milter
import NIOCore
import NIOPosix
import Testing

@testable import Gateway

/// What a filter has judged goes into reports, and these to the MTA that it filters for.
@Suite(.timeLimit(.minutes(3))) struct MilterReportTests {
    private static let zone = """
        gmail.test. TXT "v=spf1 ip4:203.0.113.7 -all"
        _dmarc.gmail.test. TXT "v=DMARC1; p=reject; rua=mailto:dmarc@gmail.test; ruf=mailto:ruf@gmail.test"
        _dmarc.silent.test. TXT "v=DMARC1; p=none"
        _dmarc.unverified.test. TXT "v=DMARC1; p=none; rua=mailto:bob@victim.test"
        _dmarc.kartapuce.test. TXT "v=DMARC1; p=none; rua=mailto:dmarc-reports@kartapuce.test"
        """
    private static let sender = IPAddress("203.0.113.7")
    private static let attacker = IPAddress("198.51.100.66")

    /// A filter of an MTA that takes what it is handed, with a clock that stands.
    private struct Stand {
        var configuration: Configuration
        var resolver: ZoneResolver
        var clock: TestClock
        var mta: ScriptedServer

        var settings: Configuration.MilterSettings { get throws { try #require(configuration.milter) } }

        func office() async throws -> MilterOffice {
            let settings = try settings
            let office = try await MilterOffice.open(
                configuration, settings, resolver: resolver, group: MultiThreadedEventLoopGroup.singleton, now: { [clock] in clock.now },
                logger: TestHouse.quiet)
            return try #require(office)
        }

        /// Opens the office, does something, and closes it.
        func withOffice(_ work: (MilterOffice) async throws -> Void) async throws {
            let office = try await office()
            let result: Result<Void, any Error>
            do { result = .success(try await work(office)) } catch { result = .failure(error) }
            try await office.close()
            try result.get()
        }

        func filter(_ office: MilterOffice) throws -> SenderMilter {
            let verifier = SenderVerifier(resolver: resolver, receivingHost: configuration.hostname)
            let rules = SenderMilter.Rules(
                configuration, try settings, verifier: verifier, keys: try DKIMKeyFolder(path: configuration.dkimFolder).activeKeys())
            return SenderMilter(rules: rules, ledger: office.ledger, now: { [clock] in clock.now }, logger: TestHouse.quiet)
        }

        /// Does what is due, with a queue that runs until so many reports are there.
        func send(_ office: MilterOffice, until count: Int) async throws {
            let mail = try #require(office.mail)
            let queue = Task { try await mail.queue.run() }
            await mail.reports.work()
            #expect(await eventually { mta.taken.count >= count })
            queue.cancel()
            _ = await queue.result
        }
    }

    private func withStand(_ change: (inout Configuration) throws -> Void = { _ in }, _ work: (Stand) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let mta = try await ScriptedServer.start(
                MultiThreadedEventLoopGroup.singleton, scripts: Array(repeating: ScriptedServer.obedient, count: 10))
            var configuration = Configuration()
            configuration.hostname = "mail.kartapuce.test"
            configuration.domains = [try DomainName("kartapuce.test")]
            configuration.roles = []
            configuration.dataFolder = folder
            configuration.reports = .init()
            var settings = Configuration.MilterSettings()
            settings.submit = .internet(TestHouse.loopback, port: mta.port)
            configuration.milter = settings
            try change(&configuration)
            let stand = Stand(configuration: configuration, resolver: try ZoneFile.resolver(parsing: Self.zone), clock: TestClock(.now), mta: mta)
            let result: Result<Void, any Error>
            do { result = .success(try await work(stand)) } catch { result = .failure(error) }
            try await mta.stop()
            try result.get()
        }
    }

    private func message(from author: String, client: IPAddress?, sender: String, to recipient: String = "alice@kartapuce.test") -> MilterMessage {
        var session = MilterSessionInfo(id: 1, listener: "milter", mtaAddress: nil, connectedAt: .now)
        session.client = MilterConnection(hostName: "unknown", peer: client.map { .internet($0, port: 1234) } ?? .unknown)
        session.helo = "mail.gmail.test"
        let text =
            "From: Bob <\(author)>\r\nTo: \(recipient)\r\nSubject: hello\r\nDate: Sat, 28 Nov 2026 12:00:00 +0000\r\nMessage-ID: <1@x.test>\r\n\r\nHello\r\n"
        return MilterMessage(
            session: session, envelope: MilterEnvelope(sender: MilterPath("<\(sender)>"), recipients: [MilterPath("<\(recipient)>")]),
            content: BufferedContent(ByteBuffer(string: text)), startedAt: .now, transferDuration: .zero)
    }

    private func judgeSome(_ filter: SenderMilter) async {
        for _ in 0..<2 { _ = await filter.message(message(from: "bob@gmail.test", client: Self.sender, sender: "bob@gmail.test")) }
        // Refused, and told of all the same.
        _ = await filter.message(message(from: "bob@gmail.test", client: Self.attacker, sender: "x@attacker.test"))
        // These ask for no reports; mail of our own isn't judged.
        _ = await filter.message(message(from: "a@silent.test", client: Self.attacker, sender: "x@attacker.test"))
        _ = await filter.message(message(from: "jack@kartapuce.test", client: nil, sender: "jack@kartapuce.test"))
    }

    private func aggregate(_ text: String) throws -> DMARCAggregateReport {
        guard case .dmarcAggregate(let report) = try ReportMail.find(in: ByteBuffer(string: text)) else { throw HostError("another report") }
        return report
    }

    @Test func aDayOfMailIsOneReportThatTheMTAIsHanded() async throws {
        try await withStand { stand in
            try await stand.withOffice { office in
                await judgeSome(try stand.filter(office))
                await office.ledger.write()
                await office.mail?.reports.work()
                #expect(stand.mta.taken.isEmpty, "the day isn't over")
                stand.clock.advance(by: 86_400 + 7200)
                try await stand.send(office, until: 1)
                #expect(stand.mta.taken.count == 1)
                let text = try #require(stand.mta.taken.first)
                let report = try aggregate(text)
                #expect(report.metadata.email == "dmarc-reports@kartapuce.test" && report.policy.domain == "gmail.test")
                let rows = report.records.sorted { $0.count > $1.count }
                #expect(rows.map(\.count) == [2, 1] && rows.map(\.disposition) == [.pass, .reject])
                #expect(rows.map(\.sourceIP) == ["203.0.113.7", "198.51.100.66"] && rows.map(\.envelopeFrom) == ["gmail.test", "attacker.test"])
                // The MTA shows it to the filter, which signs it then; twice would say the same.
                #expect(!text.contains("DKIM-Signature"))
                #expect(stand.mta.record.commands.contains { $0.hasPrefix("MAIL FROM:<dmarc-reports@kartapuce.test>") })
                #expect(stand.mta.record.commands.contains { $0.hasPrefix("RCPT TO:<dmarc@gmail.test>") })
            }
        }
    }

    @Test func whatWasCountedOutlivesTheProcessAndIsSentOnce() async throws {
        try await withStand { stand in
            for _ in 0..<2 {
                try await stand.withOffice { office in
                    await judgeSome(try stand.filter(office))
                    // As a filter that is told to end does.
                    let running = Task { try await office.ledger.run() }
                    running.cancel()
                    try await running.value
                }
            }
            stand.clock.advance(by: 86_400 + 7200)
            try await stand.withOffice { office in try await stand.send(office, until: 1) }
            try await stand.withOffice { office in try await stand.send(office, until: 1) }
            #expect(stand.mta.taken.count == 1)
            #expect(try aggregate(#require(stand.mta.taken.first)).records.map(\.count).sorted() == [2, 4])
        }
    }

    @Test func strangersGetNothingAndReportsAreNotReportedOn() async throws {
        try await withStand { stand in
            try await stand.withOffice { office in
                let filter = try stand.filter(office)
                _ = await filter.message(message(from: "a@unverified.test", client: Self.attacker, sender: "x@attacker.test"))
                _ = await filter.message(
                    message(from: "bob@gmail.test", client: Self.sender, sender: "bob@gmail.test", to: "dmarc-reports@kartapuce.test"))
                await office.ledger.write()
                stand.clock.advance(by: 86_400 + 7200)
                let mail = try #require(office.mail)
                let sendings = try await mail.reports.dispatch.preview([.aggregate], .through(ReportDay.containing(stand.clock.now) - 1))
                #expect(sendings.map(\.domain) == ["unverified.test"] && sendings.map(\.outcome) == ["would be discarded"])
                await mail.reports.work()
                #expect(stand.mta.taken.isEmpty)
            }
        }
    }

    @Test func singleMessagesAreReportedOnlyWhereThatIsSwitchedOn() async throws {
        for enabled in [false, true] {
            try await withStand {
                $0.reports?.aggregates = false
                $0.reports?.failures.enabled = enabled
            } _: { stand in
                try await stand.withOffice { office in
                    await judgeSome(try stand.filter(office))
                    await office.ledger.write()
                    try await stand.send(office, until: enabled ? 1 : 0)
                    #expect(stand.mta.taken.count == (enabled ? 1 : 0))
                    guard let text = stand.mta.taken.first else { return }
                    guard case .feedback(let report) = try ReportMail.find(in: ByteBuffer(string: text)) else { throw HostError("another report") }
                    #expect(report.sourceIP == Self.attacker && !text.contains("hello"))
                    #expect(stand.mta.record.commands.contains { $0.hasPrefix("RCPT TO:<ruf@gmail.test>") })
                }
            }
        }
    }

    @Test func whatCannotBeCommittedIsKept() async throws {
        try await withStand { stand in
            let office = try await stand.office()
            let filter = try stand.filter(office)
            try await office.close()
            await judgeSome(filter)
            await office.ledger.write()
            #expect(office.ledger.waiting == 3)
            await office.ledger.write()
            #expect(office.ledger.waiting == 3)
        }
    }

    /// The host that has the mailboxes sends what the filter beside it has counted.
    @Test func besideAStoreTheFilterOnlyCounts() async throws {
        try await withStand {
            $0.roles = [.mx, .store, .relay]
        } _: { stand in
            try await stand.withOffice { office in
                #expect(office.mail == nil)
                await judgeSome(try stand.filter(office))
                await office.ledger.write()
                #expect(office.ledger.waiting == 0)
                let open = try await office.spool.openAccounts(.aggregate, .only(ReportDay.containing(stand.clock.now)))
                #expect(open.map(\.domain) == ["gmail.test"])
                let rows = try await office.spool.rows(of: try #require(open.first))
                #expect(rows.map(\.count).sorted() == [1, 2])
            }
        }
        try await withStand {
            $0.reports = nil
        } _: { stand in
            let settings = try stand.settings
            let office = try await MilterOffice.open(
                stand.configuration, settings, group: MultiThreadedEventLoopGroup.singleton, now: { .now }, logger: TestHouse.quiet)
            #expect(office == nil)
        }
    }

    /// What `postern reports send` does on the filter's host.
    @Test func anOperatorSeesWhatWouldBeSent() async throws {
        try await withStand { stand in
            try await stand.withOffice { office in
                await judgeSome(try stand.filter(office))
                await office.ledger.write()
            }
            let office = try await ReportOffice.open(stand.configuration, logger: TestHouse.quiet)
            let sendings = try await office.send(day: ReportDay.containing(stand.clock.now), isTrial: true)
            try await office.close()
            #expect(sendings.map(\.domain) == ["gmail.test"] && sendings.map(\.messages) == [3] && sendings.map(\.rows) == [2])
        }
    }
}
