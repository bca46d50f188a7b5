import DNS
import Foundation
import Journeys
import MailAuthentication
import MailMessage
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import Testing

@testable import Gateway

/// Indicators of senders: fetched from a web server, judged after DMARC, written on top of the message.
@Suite(.timeLimit(.minutes(3))) struct IndicatorTests {
    static let svg = Array(
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 64 64"><title>Gmail</title>
        <rect width="64" height="64" fill="#c00"/></svg>
        """.utf8)
    private static let hostile = Array(
        """
        <?xml version="1.0" encoding="UTF-8"?>
        <svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" viewBox="0 0 64 64"><title>Gmail</title>
        <script>alert(1)</script></svg>
        """.utf8)

    /// Each domain sends from loopback; what they say about themselves differs.
    private static func zones(_ zones: inout ZoneResolver) throws {
        let loopback = DNSRecordData.address(TestHouse.loopback)
        for (domain, dmarc, bimi) in [
            ("gmail.test", "reject", "l=https://logos.gmail.test/logo.svg"), ("hostile.test", "reject", "l=https://logos.gmail.test/hostile.svg"),
            ("declined.test", "quarantine", "l=; a="), ("loose.test", "none", "l=https://logos.gmail.test/logo.svg"), ("plain.test", "reject", nil),
            ("moved.test", "reject", "l=https://logos.gmail.test/moved.svg"), ("slow.test", "reject", "l=https://logos.gmail.test/slow.svg"),
            ("inside.test", "reject", "l=https://inside.test/logo.svg"),
            ("certified.test", "reject", "l=https://logos.gmail.test/logo.svg; a=https://logos.gmail.test/mark.pem"),
        ] {
            zones.add(try DomainName(domain), .txt, .txt(Array("v=spf1 ip4:127.0.0.0/8 -all".utf8)))
            zones.add(try DomainName("_dmarc.\(domain)"), .txt, .txt(Array("v=DMARC1; p=\(dmarc)".utf8)))
            if let bimi { zones.add(try DomainName("default._bimi.\(domain)"), .txt, .txt(Array("v=BIMI1; \(bimi)".utf8))) }
        }
        zones.add(try DomainName("logos.gmail.test"), .a, loopback)
        zones.add(try DomainName("inside.test"), .a, .address(.v4(0x0a00_0001)))
    }

    /// An edge with Bob's mailbox, and the web server of all the domains.
    private func edge(
        evidence: BIMIEvaluator.Evidence = .optional, waitMilliseconds: Int = 10_000, enabled: Bool = true,
        slow: ScriptedWebServer.Answer = .stall, _ body: (TestHost, ScriptedWebServer) async throws -> Void
    ) async throws {
        try await TestHouse.open(zones: Self.zones) { house in
            let web = try WebAuthority()
            try web.write(to: "\(house.folder)/web.pem")
            let server = try await ScriptedWebServer.start(
                tls: try web.server(names: ["logos.gmail.test"]),
                answers: [
                    "/logo.svg": .content(200, type: "image/svg+xml", body: Self.svg), "/hostile.svg": .content(200, type: "image/svg+xml", body: Self.hostile),
                    "/moved.svg": .say("HTTP/1.1 302 Found\r\nLocation: https://logos.gmail.test/logo.svg\r\nContent-Length: 0\r\n\r\n"), "/slow.svg": slow,
                    "/mark.pem": .content(200, type: "application/pem-certificate-chain", body: Array("no certificate".utf8)),
                ])
            let outcome: Result<Void, any Error>
            do {
                try await house.withHost(
                    listeners: [.smtp],
                    change: { configuration in
                        configuration.authentication = .init()
                        configuration.authentication.bimi.enabled = enabled
                        configuration.authentication.bimi.evidence = evidence
                        configuration.authentication.bimi.waitMilliseconds = waitMilliseconds
                        configuration.web.authorities = "\(house.folder)/web.pem"
                        configuration.web.specialNetworks = [try #require(IPNetwork("127.0.0.0/8"))]
                        configuration.web.port = server.port
                    }
                ) { mail in
                    try await mail.addUsers("bob")
                    try await body(mail, server)
                }
                outcome = .success(())
            } catch { outcome = .failure(error) }
            try await server.stop()
            try outcome.get()
        }
    }

    /// Sends a message from a domain; the newest message in Bob's mailbox.
    private func send(
        _ mail: TestHost, from domain: String, fields: String = ""
    ) async throws -> (header: HeaderSection, bimi: AuthenticationResults.MethodResult?, trace: TraceID) {
        let text = """
            \(fields)From: Tom <tom@\(domain)>\r\nTo: bob@kartapuce.test\r\nSubject: Numbers\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r
            Message-ID: <\(UUID().uuidString)@\(domain)>\r\n\r\nThe body of it\r\n
            """
        let reply = try await mail.client().send(from: "tom@\(domain)", to: "bob@kartapuce.test", text: text)
        #expect(reply.hasPrefix("250"), "\(reply)")
        #expect(try await mail.emptied())
        let header = HeaderSection(parsing: ByteBuffer(string: try #require(try await mail.inbox("bob").last)))
        let results = try AuthenticationResults(parsing: try #require(header.first(named: "Authentication-Results")).unfoldedOctets)
        return (header, results.results(of: "bimi").first, try trace(in: reply))
    }

    private func checks(_ mail: TestHost, _ trace: TraceID) async throws -> [String] {
        try await mail.journey(trace).compactMap { event in
            if case .checked(let checked) = event.operation { return "\(checked.check)=\(checked.result): \(checked.explanation)" }
            return nil
        }
    }

    private func shown(_ header: HeaderSection) -> [String] { header.map(\.name).filter { $0.hasPrefix("BIMI-") } }

    @Test func anIndicatorIsFetchedOnceAndWrittenOnTop() async throws {
        try await edge { mail, server in
            let (header, bimi, trace) = try await send(mail, from: "gmail.test")
            let result = try #require(bimi)
            #expect(result.result == "pass" && result.value("header", "d") == "gmail.test" && result.value("header", "selector") == "default")
            #expect(result.value("policy", "authority") == "none")
            #expect(
                header.prefix(9).map(\.name) == [
                    "Return-Path", "Delivered-To", "Postern-Capsule", "Authentication-Results", "Received-SPF", "BIMI-Location", "BIMI-Indicator",
                    "BIMI-Logo-Preference", "Received",
                ])
            let indicator = try #require(header.first(named: "BIMI-Indicator")).rawValue.readableBytesView.filter { $0 > 0x20 }
            #expect(Data(base64Encoded: Data(indicator)).map(Array.init) == Self.svg)
            #expect(header.first(named: "BIMI-Location")?.value.contains("l=https://logos.gmail.test/logo.svg") == true)
            let hash = try #require(result.value("policy", "indicator-hash"))
            #expect(BIMIIndicator.judge(octets: Self.svg).digest.hasSuffix(hash) && hash.count == 8)
            let story = try await checks(mail, trace)
            #expect(story.contains { $0.hasPrefix("bimi=pass: ") } && story.contains { $0.hasPrefix("bimi fetch=fetched: ") && $0.contains("by HTTPS") })
            let again = try await send(mail, from: "gmail.test")
            #expect(again.bimi?.result == "pass" && server.requests.count == 1)
            let laterStory = try await checks(mail, again.trace)
            #expect(laterStory.contains { $0.contains("from the cache") })
        }
    }

    @Test func whatMayNotBeShownIsNot() async throws {
        try await edge { mail, server in
            for (domain, expected, reason) in [
                ("hostile.test", "fail", "SVG"), ("declined.test", "declined", "declines"), ("loose.test", "skipped", "p=none"),
                ("plain.test", "none", "no record"),
                ("moved.test", "fail", "302"), ("inside.test", "fail", "no address of the internet"), ("certified.test", "fail", "certificate"),
            ] {
                let (header, bimi, trace) = try await send(mail, from: domain)
                #expect(bimi?.result == expected, "\(domain): \(String(describing: bimi))")
                #expect(shown(header).isEmpty, "\(domain)")
                let story = try await checks(mail, trace)
                #expect(story.contains { $0.hasPrefix("bimi=\(expected)") && $0.contains(reason) }, "\(domain): \(story)")
            }
            // The hostile one, the one that moved, and the evidence; nothing for those that aren't for BIMI.
            #expect(server.requests.count == 3, "\(server.requests)")
        }
    }

    @Test func withoutEvidenceNothingIsShownWhereItIsRequired() async throws {
        try await edge(evidence: .required) { mail, server in
            let (header, bimi, _) = try await send(mail, from: "gmail.test")
            #expect(bimi?.result == "skipped" && shown(header).isEmpty && server.requests.isEmpty)
        }
    }

    @Test(arguments: [true, false]) func fieldsOfStrangersAreTakenOut(enabled: Bool) async throws {
        try await edge(enabled: enabled) { mail, _ in
            let forged = "BIMI-Indicator: PHN2Zy8+\r\nbimi-location: v=BIMI1; l=https://attacker.test/x.svg\r\nBIMI-Logo-Preference: avp=brand\r\n"
            let (header, bimi, trace) = try await send(mail, from: "declined.test", fields: forged)
            #expect(header.allSatisfy { !$0.name.lowercased().hasPrefix("bimi-") })
            #expect((bimi != nil) == enabled)
            #expect(try await checks(mail, trace).contains { $0.hasPrefix("border=removed") && $0.contains("BIMI-Indicator") })
        }
    }

    @Test func theReplyDoesNotWaitAndTheNextMessageHasIt() async throws {
        let gate = ScriptedWebServer.Gate()
        try await edge(waitMilliseconds: 100, slow: .gated(gate, then: Self.svg)) { mail, server in
            let (header, bimi, _) = try await send(mail, from: "slow.test")
            #expect(bimi?.result == "temperror" && shown(header).isEmpty, "\(String(describing: bimi))")
            gate.open()
            #expect(try await eventually { try await send(mail, from: "slow.test").bimi?.result == "pass" })
            #expect(server.requests.count == 1)
        }
        gate.open()
    }

    @Test func aFailureIsNotTriedAgainAtOnce() async throws {
        try await edge { mail, server in
            for _ in 0..<3 {
                let (_, bimi, _) = try await send(mail, from: "moved.test")
                #expect(bimi?.result == "fail")
            }
            #expect(server.requests.count == 1)
        }
    }

    // MARK: Configuration

    @Test func configurationsThatShowNothingOrAnything() {
        func problems(_ text: String) -> [String] {
            let yaml = """
                hostname: mail.kartapuce.test
                domains: [kartapuce.test]
                roles: [mx, store, relay]
                listeners: [{kind: smtp, address: 127.0.0.1}]
                \(text)
                """
            return Configuration.examine(yaml: yaml, folder: "/etc", checkingFiles: false).problems.map { "\($0)" }
        }
        #expect(problems("authentication: {bimi: {enabled: true}}").contains { $0.contains("markAuthorities") && $0.contains("error") })
        #expect(problems("authentication: {bimi: {enabled: true, evidence: optional}}").contains { $0.contains("anybody's logo") })
        #expect(problems("authentication: {bimi: {enabled: true, evidence: optional}}").contains { $0.contains("443") })
        #expect(problems("authentication: {mode: off, bimi: {enabled: true, evidence: optional}}").contains { $0.contains("DMARC") })
        #expect(problems("web: {specialNetworks: [0.0.0.0/0]}").contains { $0.contains("everybody") })
        #expect(!problems("authentication: {bimi: {evidence: optional}}").contains { $0.contains("bimi") })
    }
}
