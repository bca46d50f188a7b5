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
import PosternMetrics
import Testing

@testable import Gateway

/// Reports that come: read, kept, told; and what isn't one.
@Suite(.timeLimit(.minutes(3))) struct ReportReceptionTests {
    private static let address = "dmarc-reports@kartapuce.test"

    /// A host that takes reports; Bob has a mailbox.
    private func mail(
        change: @escaping (inout Configuration) throws -> Void = { _ in }, _ body: (TestHost) async throws -> Void
    ) async throws {
        try await TestHouse.open(zones: ReportSendingTests.zones) { house in
            try await house.withHost(listeners: [.smtp]) { configuration in
                ReportSendingTests.switchedOn(&configuration)
                try change(&configuration)
            } _: { mail in
                try await mail.addUsers("bob")
                try await body(mail)
            }
        }
    }

    private func report(about domain: String = "kartapuce.test", id: String = "1.kartapuce.test", organization: String = "gmail.test") throws -> String {
        let report = DMARCAggregateReport(
            metadata: .init(organizationName: organization, email: "dmarc@gmail.test", reportID: id, begin: 1_795_824_000, end: 1_795_910_399),
            policy: .init(domain: domain, domainPolicy: .reject),
            records: [
                .init(sourceIP: "198.51.100.7", count: 5, disposition: .pass, dkim: .pass, spf: .pass, headerFrom: "kartapuce.test"),
                .init(sourceIP: "203.0.113.9", count: 3, disposition: .reject, dkim: .fail, spf: .fail, headerFrom: "kartapuce.test"),
            ])
        let octets = try DMARCReportMessage(
            report: report, submitter: try DomainName("gmail.test"), from: try EmailAddress(parsing: "dmarc@gmail.test"),
            to: try EmailAddress(parsing: Self.address), date: MessageDate(Date(timeIntervalSince1970: 1_795_920_000)), messageID: "\(id)@gmail.test"
        ).serialized()
        return String(buffer: octets)
    }

    private func message(_ type: String, _ content: [UInt8], from: String = "dmarc@gmail.test") -> String {
        """
        From: \(from)\r\nTo: \(Self.address)\r\nSubject: Report\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r\nMessage-ID: <\(content.count)@gmail.test>\r
        MIME-Version: 1.0\r\nContent-Type: \(type)\r\nContent-Transfer-Encoding: base64\r\n\r
        \(Data(content).base64EncodedString(options: [.lineLength76Characters, .endLineWithCarriageReturn, .endLineWithLineFeed]))\r\n
        """
    }

    /// Hands a message in from gmail.test; what the journey says of the report.
    private func hand(_ mail: TestHost, from sender: String = "dmarc@gmail.test", to recipient: String = address, _ text: String) async throws -> String {
        let reply = try await mail.client().send(from: sender, to: recipient, text: text)
        #expect(reply.hasPrefix("250"), "\(reply)")
        #expect(try await mail.emptied())
        let events = try await mail.journey(trace(in: reply))
        // Whatever it was, it ended well: no notice goes to whoever may not have sent it.
        #expect(events.contains { if case .attempted(let attempt) = $0.operation { attempt.result == "delivered" } else { false } })
        let checks = events.compactMap { event -> String? in
            if case .checked(let checked) = event.operation, checked.check == "report" { "\(checked.result): \(checked.explanation)" } else { nil }
        }
        #expect(checks.count == 1)
        return checks.first ?? ""
    }

    private func stored(_ mail: TestHost, _ kind: ReportKind) async throws -> [StoredReport] {
        try await mail.spool.storedReports(kind, since: .distantPast, limit: 100)
    }

    @Test func anAggregateIsKeptOnceAndTellsWhoSendsAsUs() async throws {
        try await mail { mail in
            let text = try report()
            #expect(try await hand(mail, text).hasPrefix("stored: aggregate, gmail.test, 1.kartapuce.test, on kartapuce.test; DMARC proves gmail.test"))
            #expect(try await hand(mail, text + "\r\n").hasPrefix("duplicate: "))
            let found = try await stored(mail, .aggregate)
            #expect(found.count == 1 && found.allSatisfy { $0.isProven && $0.sender == "gmail.test" && $0.begin == 1_795_824_000 })
            let kept = try JSONDecoder().decode(DMARCAggregateReport.self, from: Data(try #require(found.first).payload))
            let summary = DMARCReportSummary([kept])
            #expect(summary.rows.map(\.sourceIP) == ["198.51.100.7", "203.0.113.9"] && summary.passed == 5 && summary.failed == 3)
            // No mailbox has the address, and nobody is told anything.
            #expect(try await mail.inbox("bob").isEmpty)
        }
    }

    /// Nobody can keep the genuine report out by sending another one under its name before.
    @Test func aForgedReportStandsBesideTheGenuineOne() async throws {
        try await mail { mail in
            let forged = try report().replacingOccurrences(of: "From: <dmarc@gmail.test>", with: "From: <dmarc@strange.test>")
                .replacingOccurrences(of: "From: dmarc@gmail.test", with: "From: dmarc@strange.test")
            #expect(forged.contains("dmarc@strange.test"))
            #expect(try await hand(mail, from: "x@attacker.test", forged).contains("nothing proves who sent it"))
            #expect(try await hand(mail, try report()).hasPrefix("stored: "))
            #expect(try await Set(stored(mail, .aggregate).map { "\($0.sender) \($0.isProven)" }) == ["strange.test false", "gmail.test true"])
        }
    }

    @Test func whatIsNoReportOrAHostileOneIsRefusedWithEvidence() async throws {
        try await mail { mail in
            let xml = "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;\">]><feedback>&b;</feedback>"
            let report = try Array(
                DMARCAggregateReport(
                    metadata: .init(organizationName: "g", email: "g@gmail.test", reportID: "2", begin: 0, end: 1),
                    policy: .init(domain: "kartapuce.test", domainPolicy: .none),
                    records: [.init(sourceIP: "198.51.100.7", count: 1, disposition: .none, dkim: .fail, spf: .fail, headerFrom: "kartapuce.test")]
                ).gzip())
            // 64 MiB of blanks in 64 KiB: stored blocks of gzip's own making would do as well.
            let bomb = try gzip(repeating: 0x20, count: 48 << 20)
            #expect(bomb.count < 200_000)
            for (name, text, wanted) in [
                ("entities", message("text/xml", Array(xml.utf8)), "refused"),
                ("cut", message("application/gzip", Array(report.dropLast(9))), "refused: truncated"),
                ("bomb", message("application/gzip", bomb), "refused: "),
                ("garbage", message("application/gzip", [0x1F, 0x8B, 8, 0, 1, 2, 3, 4, 5, 6, 7]), "refused"),
                ("zip", message("application/zip", Array("PK\u{3}\u{4}".utf8) + Array(repeating: 7, count: 60)), "refused"),
                ("json", message("application/tlsrpt+json", Array("{\"organization-name\": 7}".utf8)), "refused"),
                ("text", ReportSendingTests.genuine.replacingOccurrences(of: "bob@", with: "dmarc-reports@"), "none"),
            ] {
                let said = try await hand(mail, text)
                #expect(said.hasPrefix(wanted), "\(name): \(said)")
            }
            #expect(try await hand(mail, try self.report(about: "strange.test")).hasPrefix("refused: it is about strange.test, which is none of our domains"))
            for kind in ReportKind.allCases { #expect(try await stored(mail, kind).isEmpty) }
        }
    }

    private func gzip(repeating octet: UInt8, count: Int) throws -> [UInt8] {
        let process = Process()
        process.executableURL = URL(filePath: "/bin/gzip")
        process.arguments = ["-9c"]
        let (input, output) = (Pipe(), Pipe())
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        let piece = Data(repeating: octet, count: 1 << 20)
        for _ in 0..<(count >> 20) { try input.fileHandleForWriting.write(contentsOf: piece) }
        try input.fileHandleForWriting.close()
        let octets = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return Array(octets)
    }

    @Test func reportsOnTLSAndComplaintsAreKeptToo() async throws {
        try await mail { mail in
            let json = """
                {"organization-name":"Gmail","date-range":{"start-datetime":"2026-11-26T00:00:00Z","end-datetime":"2026-11-26T23:59:59Z"},"contact-info":"x@gmail.test",
                "report-id":"2026-11-26T00:00:00Z_kartapuce.test","policies":[{"policy":{"policy-type":"sts","policy-domain":"kartapuce.test"},
                "summary":{"total-successful-session-count":7,"total-failure-session-count":2}}]}
                """
            #expect(try await hand(mail, message("application/tlsrpt+json", Array(json.utf8))).hasPrefix("stored: tls, Gmail"))
            #expect(try await hand(mail, message("application/tlsrpt+json", Array((json + " ").utf8))).hasPrefix("duplicate: tls, Gmail"))
            let tls = try await stored(mail, .tls)
            #expect(tls.map(\.domain) == ["kartapuce.test"] && tls.first?.begin == 1_795_651_200)
            let complaint = """
                From: abuse@gmail.test\r\nTo: \(Self.address)\r\nSubject: FW\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r\nMIME-Version: 1.0\r
                Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nA complaint\r
                --b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: G/1\r\nVersion: 1\r
                Reported-Domain: kartapuce.test\r\nSource-IP: 198.51.100.7\r\n\r\n--b\r\nContent-Type: text/rfc822-headers\r\n\r
                From: bob@kartapuce.test\r\n\r\n--b--\r\n
                """
            #expect(try await hand(mail, complaint).hasPrefix("stored: feedback, G/1"))
            #expect(try await hand(mail, complaint.replacingOccurrences(of: "Subject: FW", with: "Subject: Again")).hasPrefix("duplicate: feedback"))
            let feedback = try JSONDecoder().decode(FeedbackReport.self, from: Data(try #require(try await stored(mail, .feedback).first).payload))
            #expect(feedback.feedbackType == "abuse" && feedback.sourceIP == IPAddress("198.51.100.7"))
        }
    }

    @Test func anAddressThatIsAMailboxGetsItsMailToo() async throws {
        let bob = EmailAddress(localPart: "Bob", domain: "kartapuce.test")
        try await mail {
            $0.reports?.receive = [bob]
        } _: { mail in
            #expect(try await hand(mail, to: "bob@kartapuce.test", try report()).hasPrefix("stored: "))
            #expect(try await mail.inbox("bob").count == 1)
            // And the other one is an address like any other: unknown.
            let reply = try await mail.client().send(from: "tom@gmail.test", to: Self.address, text: ReportSendingTests.genuine)
            #expect(reply.hasPrefix("550 5.1.1"), "\(reply)")
        }
    }

    /// Our reports on our own domain come home, and are known to be ours.
    @Test func ourOwnReportComesHome() async throws {
        try await TestHouse.open(zones: ReportSendingTests.zones) { house in
            try await house.withHost(listeners: [.smtp], change: ReportSendingTests.switchedOn) { mail in
                try await mail.addUsers("bob")
                let forged = ReportSendingTests.from("hacker@kartapuce.test")
                #expect(try await mail.client().send(from: "x@attacker.test", to: "bob@kartapuce.test", text: forged).hasPrefix("550"))
                mail.pass(86_400 + 7200)
                let clock = mail.clock
                let service = try #require(try mail.host.reportService(resolver: house.resolver, now: { clock.now }, offer: { mail.queue.offer($0) }))
                await service.work()
                #expect(try await mail.emptied())
                let own = try await stored(mail, .aggregate)
                #expect(own.map(\.domain) == ["kartapuce.test"] && own.allSatisfy(\.isProven), "\(own)")
                #expect(house.outside.record.connections == 0)
            }
        }
    }

    /// The edge takes mail for such an address although no account has it.
    @Test func theEdgeIsToldOfTheAddress() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], change: ReportSendingTests.switchedOn) { store in
                #expect(try await store.host.directory().knows(try EmailAddress(parsing: "DMARC-Reports@kartapuce.test")))
                #expect(try await !store.host.directory().knows(try EmailAddress(parsing: "nobody@kartapuce.test")))
                try await house.withHost("mail", roles: [.mx], listeners: [.smtp]) { configuration in
                    configuration.peers[.store] = .init(host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: 1, controlPort: nil)
                } _: { edge in
                    let files = try house.linkFiles([.mx])
                    let control = try await ControlServer(
                        tls: try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .link(authorityFile: files.authority)),
                        service: HostControl(journeys: edge.spool, digests: edge.host.digests, accounts: nil), group: MultiThreadedEventLoopGroup.singleton,
                        logger: TestHouse.quiet
                    ).bind(address: TestHouse.loopback, port: 0)
                    let client = ControlClient(
                        peer: .init(
                            host: "mail.kartapuce.test", address: TestHouse.loopback, linkPort: nil, controlPort: try #require(control.localAddress?.port)),
                        role: .mx, tls: try house.linkClient(.store), group: MultiThreadedEventLoopGroup.singleton)
                    let publisher = RecipientPublisher(
                        accounts: try store.mailboxes(), further: store.host.configuration.reportAddresses, edge: client, interval: .milliseconds(50),
                        logger: TestHouse.quiet)
                    let running = Task { try await publisher.run() }
                    let address = try EmailAddress(parsing: Self.address)
                    #expect(await eventually { edge.host.digests?.contains(address) == true })
                    running.cancel()
                    _ = await running.result
                    try await control.close()
                }
            }
        }
    }

    @Test func oldReportsAreForgotten() async throws {
        try await TestHouse.open(zones: ReportSendingTests.zones) { house in
            try await house.withHost(listeners: [.smtp]) { configuration in
                ReportSendingTests.switchedOn(&configuration)
                configuration.reports?.keepDays = 5
            } _: { mail in
                try await mail.addUsers("bob")
                _ = try await hand(mail, try report())
                #expect(try await mail.client().send(from: "tom@gmail.test", to: "bob@kartapuce.test", text: ReportSendingTests.genuine).hasPrefix("250"))
                let clock = mail.clock
                let service = try #require(try mail.host.reportService(resolver: house.resolver, now: { clock.now }, offer: { mail.queue.offer($0) }))
                mail.pass(86_400 + 7200)
                await service.work()
                #expect(try await mail.emptied())
                mail.pass(3 * 86_400)
                await service.work()
                #expect(try await stored(mail, .aggregate).count == 1)
                mail.pass(3 * 86_400)
                await service.work()
                #expect(try await stored(mail, .aggregate).isEmpty)
                #expect(try await mail.spool.forgetReports(before: .max) == 0)
            }
        }
    }
}

/// The section `reports`.
@Suite struct ReportConfigurationTests {
    private func problems(_ reports: String, _ rest: String = "") -> [String] {
        let yaml = "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\ncertificate: {certificate: a.pem, key: b.pem}\n\(reports)\n\(rest)\n"
        return Configuration.examine(yaml: yaml, folder: "/etc/postern", checkingFiles: false).problems.map { "\($0)" }.filter { $0.contains("reports") }
    }

    @Test func defaultsAreUsable() throws {
        #expect(problems("reports: {organization: Kartapuce}").isEmpty)
        let configuration = try Configuration(
            yaml: "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\ncertificate: {certificate: a.pem, key: b.pem}\nreports: {hour: 3}\n", folder: "/")
        #expect(configuration.reportSender == EmailAddress(localPart: "dmarc-reports", domain: "kartapuce.test"))
        #expect(configuration.reportAddresses == [configuration.reportSender])
        #expect(configuration.reports?.failures.enabled == false)
        #expect(
            try Configuration(yaml: "hostname: mail.kartapuce.test\ndomains: [kartapuce.test]\ncertificate: {certificate: a.pem, key: b.pem}\n", folder: "/")
                .reports == nil)
    }

    @Test(arguments: [
        ("reports: {from: x@gmail.test}", "must be signed as ours"), ("reports: {receive: [x@gmail.test]}", "its mail never comes here"),
        ("reports: {hour: 24}", "from 0 to 23"), ("reports: {from: nobody}", "must be an address such as"),
        ("reports: {receive: []}", "lost unless a mailbox or alias"), ("reports: {aggregate: true}", "did you mean"),
        ("reports: {keepDays: 1d}", "must be from"), ("reports: {failures: {enabled: maybe}}", "must be true or false"),
    ])
    func mistakesAreTold(reports: String, expected: String) {
        #expect(problems(reports).contains { $0.contains(expected) }, "\(problems(reports))")
    }

    @Test func whatReportsNeedElsewhereIsAskedFor() {
        #expect(problems("reports: {hour: 1}", "journeys: {enabled: false}").contains { $0.contains("journeys.enabled to true") })
        let store = "roles: [store]\nlink: {certificate: a, key: b, authority: c}\nlisteners: [{kind: link, address: 127.0.0.1, port: 1}]"
        #expect(problems("reports: {hour: 1}", store).contains { $0.contains("add role relay, or peers.relay") })
        #expect(problems("reports: {hour: 1, aggregates: false}", store).contains { $0.contains("reports.tls to false") })
        #expect(problems("reports: {hour: 1, aggregates: false, tls: false}", store).isEmpty)
        let linked = store + "\npeers: {relay: {host: smtp.kartapuce.test, address: 127.0.0.2, linkPort: 2}}"
        #expect(problems("reports: {aggregates: false}", linked).contains { $0.contains("without peers.relay.controlPort they aren't sent") })
        let edge =
            "roles: [mx]\ncertificate: {certificate: a, key: b}\nlink: {certificate: a, key: b, authority: c}\n"
            + "peers: {store: {host: imap.kartapuce.test, address: 127.0.0.2, linkPort: 2}}\nlisteners: [{kind: smtp, address: 127.0.0.1}"
        #expect(problems("reports: {httpsPath: /tlsrpt}", edge + "]").contains { $0.contains("on a listener policy; add one") })
        #expect(problems("reports: {httpsPath: /tlsrpt}", edge + ", {kind: policy, address: 127.0.0.1}]").isEmpty)
        #expect(problems("reports: {httpsPath: \"/a b\"}", edge + "]").contains { $0.contains("must be a path") })
        let relay = "roles: [relay]\nlink: {certificate: a, key: b, authority: c}\nlisteners: [{kind: link, address: 127.0.0.1, port: 1}]"
        #expect(problems("reports: {hour: 1}", relay).contains { $0.contains("here it does nothing") })
    }
}
