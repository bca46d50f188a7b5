import DNS
import Foundation
import MailAuthentication
import MailTesting
import Posture
import Synchronization
import Testing

@testable import Gateway

/// What the DNS must have for a domain, and what it has.
@Suite struct DNSRecordPlanTests {
    private static let domain = "kartapuce.test"

    private static func withConfiguration(_ dns: String, _ body: (Configuration) async throws -> Void) async throws {
        try await withTemporaryFolder { folder in
            let yaml = """
                hostname: mail.kartapuce.test
                domains: [kartapuce.test, unused.test]
                dataFolder: \(folder)/data
                certificate: {certificate: server.pem, key: server-key.pem}

                """
            var configuration = try Configuration(yaml: yaml + dns + "\n", folder: folder)
            let authority = try LinkAuthority.create()
            let files = try authority.issueServer(hosts: ["mail.kartapuce.test"]).write(folder: "\(folder)/server", name: "server")
            configuration.certificate = .init(certificate: files.certificate, key: files.key)
            let keys = DKIMKeyFolder(path: configuration.dkimFolder)
            for (selector, stage) in [("s1", DKIMKeyFolder.Stage.active), ("s2", .published)] {
                try keys.generate(
                    domain: try DomainName(domain), selector: try DomainName(selector), key: DKIMKeyPair.generateEd25519(), stage: stage, at: .now)
            }
            try await body(configuration)
        }
    }

    private static let full = """
        dns:
          addresses: {mail.kartapuce.test: [203.0.113.25, "2001:db8::25"]}
          reports: reports@kartapuce.test
          submissionHost: mail.kartapuce.test
          imapHost: mail.kartapuce.test
          certificateAuthorities: [authority.test]
          logo: https://www.kartapuce.test/logo.svg
        """

    /// The edge alone knows nothing of who sends, and must not take others' records away.
    @Test func aPartOfTheOrganisationDoesNotSpeakForAllOfIt() async throws {
        try await Self.withConfiguration("outboundAddress: 203.0.113.20") { configuration in
            var edge = configuration
            edge.roles = [.mx]
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), edge)
            for word in ["v=spf1", "v=DMARC1", "SRV"] { #expect(!plan.sets.contains { "\($0.type) \($0.lines)".contains(word) }, "\(word): \(plan.zoneFile)") }
            #expect(plan.gaps.contains { $0.contains("dns.senders") } && plan.gaps.contains { $0.contains("add the section dns") })
        }
        // One host for everything offers what it listens on.
        try await Self.withConfiguration("") { configuration in
            let text = try DNSRecordPlan(for: try DomainName(Self.domain), configuration).zoneFile
            #expect(text.contains("_submissions._tcp.kartapuce.test. IN SRV 0 1 465 mail.kartapuce.test."), "\(text)")
            #expect(text.contains("_imap._tcp.kartapuce.test. IN SRV 0 0 0 ."))
        }
    }

    /// What one host alone knows would take away what others have published: a second exchanger, a sender, a service.
    @Test func nothingIsPublishedWithoutTheSectionThatSpeaksForAll() async throws {
        try await Self.withConfiguration("") { configuration in
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), configuration)
            let drift = await DNSDrift.find(plan, resolver: ZoneResolver())
            #expect(!drift.isEmpty)
            let error = try #require(await #expect(throws: HostError.self) { try await drift.publish(plan, configuration) })
            #expect("\(error)".contains("section dns"), "\(error)")
        }
    }

    @Test func everyRecordIsPlannedWithItsReason() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), configuration)
            let text = plan.zoneFile
            for line in [
                "kartapuce.test. IN MX 10 mail.kartapuce.test.", "mail.kartapuce.test. IN A 203.0.113.25", "mail.kartapuce.test. IN AAAA 2001:db8::25",
                "kartapuce.test. IN TXT \"v=spf1 ip4:203.0.113.25 ip6:2001:db8::25 -all\"", "_25._tcp.mail.kartapuce.test. IN TLSA 3 1 1 ",
                "_dmarc.kartapuce.test. IN TXT \"v=DMARC1; p=reject; rua=mailto:reports@kartapuce.test\"",
                "_smtp._tls.kartapuce.test. IN TXT \"v=TLSRPTv1; rua=mailto:reports@kartapuce.test\"", "s1._domainkey.kartapuce.test. IN TXT ",
                "s2._domainkey.kartapuce.test. IN TXT ", "_submissions._tcp.kartapuce.test. IN SRV 0 1 465 mail.kartapuce.test.",
                "_imap._tcp.kartapuce.test. IN SRV 0 0 0 .", "kartapuce.test. IN CAA 0 issue \"authority.test\"",
                "default._bimi.kartapuce.test. IN TXT \"v=BIMI1; l=https://www.kartapuce.test/logo.svg; a=;\"",
                "; 25.113.0.203.in-addr.arpa. IN PTR mail.kartapuce.test.",
            ] { #expect(text.contains(line), "\(line) isn't in\n\(text)") }
            #expect(plan.sets.allSatisfy { !$0.reason.isEmpty })
        }
    }

    /// What is printed is a zone file that a name server reads, whose check finds nothing that the plan could have known.
    @Test func theZoneFileIsReadAndItsCheckIsGood() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            let domain = try DomainName(Self.domain)
            let plan = try DNSRecordPlan(for: domain, configuration)
            let resolver = try ZoneFile.resolver(parsing: plan.zoneFile + ";!SECURE test.\n")
            #expect(await DNSDrift.find(plan, resolver: resolver).differences.isEmpty)
            var options = PostureChecker.Options()
            options.selectors = try DomainPosture.ownSelectors(of: domain, configuration)
            let report = await PostureChecker(resolver: resolver, options: options).check(domain, at: .now)
            let known: Set<PostureCode> = [.reverseMissing, .dkimEd25519Only]
            let wrong = report.findings.filter { $0.severity >= .warning && !known.contains($0.code) }
            #expect(wrong.isEmpty, "\(report.text())")
        }
    }

    @Test func whatIsNotKnownIsSaidAndNotInvented() async throws {
        try await Self.withConfiguration("dns: {exchangers: [mx1.kartapuce.test]}\nroles: []\nmilter: {listen: [\"inet:127.0.0.1:8891\"]}") { configuration in
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), configuration)
            for words in ["addresses of mx1.kartapuce.test", "dns.senders", "dns.reports", "dns.certificateAuthorities", "run this on that host"] {
                #expect(plan.gaps.contains { $0.contains(words) }, "\(words): \(plan.gaps)")
            }
            #expect(!plan.sets.contains { $0.type == .a || $0.type == .tlsa || $0.type == .caa })
            #expect(throws: HostError.self) { try DNSRecordPlan(for: try DomainName("gmail.test"), configuration) }
        }
    }

    @Test func theDifferencesAreThoseOfOurRecordsOnly() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            let domain = try DomainName(Self.domain)
            let plan = try DNSRecordPlan(for: domain, configuration)
            let zone = plan.zoneFile.replacing("p=reject", with: "p=none").replacing("v=spf1 ip4:203.0.113.25 ip6:2001:db8::25", with: "v=spf1 mx")
            let text = zone + "kartapuce.test. IN TXT \"verification of something else\"\nkartapuce.test. MX 20 old.kartapuce.test.\n"
            let drift = await DNSDrift.find(plan, resolver: try ZoneFile.resolver(parsing: text))
            let lines = drift.text.split(separator: "\n").map(String.init)
            #expect(
                Set(lines) == [
                    "- kartapuce.test. MX 20 old.kartapuce.test.", "- kartapuce.test. TXT \"v=spf1 mx -all\"",
                    "+ kartapuce.test. TXT \"v=spf1 ip4:203.0.113.25 ip6:2001:db8::25 -all\"",
                    "- _dmarc.kartapuce.test. TXT \"v=DMARC1; p=none; rua=mailto:reports@kartapuce.test\"",
                    "+ _dmarc.kartapuce.test. TXT \"v=DMARC1; p=reject; rua=mailto:reports@kartapuce.test\"",
                ], "\(drift.text)")
            let silent = await DNSDrift.find(plan, resolver: try ZoneFile.resolver(parsing: plan.zoneFile + ";!SERVFAIL _dmarc.kartapuce.test. TXT\n"))
            #expect(silent.isEmpty && silent.differences.contains(where: \.isUnknown))
        }
    }

    /// The daily check says what appears and what goes, once each.
    @Test func whatIsWrongIsSaidWhenItComesAndWhenItGoes() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            let configuration = try {
                var wanted = configuration
                wanted.domains = [try DomainName(Self.domain)]
                return wanted
            }()
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), configuration)
            let log = LineLog()
            func look(_ zone: String, _ memory: inout PostureService.Memory) async throws -> [String] {
                let service = PostureService(
                    configuration: { configuration }, resolver: try ZoneFile.resolver(parsing: zone), probes: { _ in PostureProbes() }, logger: log.logger)
                await service.look(&memory, at: .now)
                return log.take()
            }
            var memory = PostureService.Memory()
            _ = try await look(plan.zoneFile + ";!SECURE test.\n", &memory)
            let broken = plan.zoneFile.replacing("p=reject", with: "p=none") + ";!SECURE test.\n"
            let first = try await look(broken, &memory)
            #expect(first.contains("dns.drift") && first.contains("posture.finding"), "\(first)")
            #expect(try await look(broken, &memory).isEmpty)
            let last = try await look(plan.zoneFile + ";!SECURE test.\n", &memory)
            #expect(last.contains("dns.drift.ended") && last.contains("posture.resolved"), "\(last)")
        }
    }

    /// What a reload changed is looked for from then on: other domains, another policy, or nothing at all.
    @Test func theDailyCheckFollowsAReload() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            var wanted = configuration
            wanted.domains = [try DomainName(Self.domain)]
            let plan = try DNSRecordPlan(for: try DomainName(Self.domain), wanted)
            let current = Mutex(wanted)
            let log = LineLog()
            let service = PostureService(
                configuration: { current.withLock { $0 } }, resolver: try ZoneFile.resolver(parsing: plan.zoneFile + ";!SECURE test.\n"),
                probes: { _ in PostureProbes() }, logger: log.logger)
            var memory = PostureService.Memory()
            await service.look(&memory, at: .now)
            #expect(!log.take().contains("dns.drift"))
            // Section dns is in force by a reload.
            wanted.dns?.policy = "quarantine"
            #expect(configuration.differences(from: wanted).live.contains("dns") && configuration.differences(from: wanted).restart.isEmpty)
            let reloaded = configuration.taking(liveSectionsOf: wanted)
            #expect(reloaded == wanted)
            current.withLock { $0 = reloaded }
            await service.look(&memory, at: .now)
            #expect(log.take().contains("dns.drift"))
            // Nobody looks where it is switched off, and what was said is forgotten.
            current.withLock { $0.dns?.checks = false }
            await service.look(&memory, at: .now)
            #expect(log.take().isEmpty && memory.differences.isEmpty && memory.findings.isEmpty)
            current.withLock { $0 = reloaded }
            await service.look(&memory, at: .now)
            #expect(log.take().contains("dns.drift"))
        }
    }

    /// What mail programs are told is published where it is told, and says what SRV says.
    @Test func theHostsOfSettingsArePlannedWhereTheSectionIs() async throws {
        try await Self.withConfiguration(Self.full) { configuration in
            var configuration = configuration
            let domain = try DomainName(Self.domain)
            #expect(try !DNSRecordPlan(for: domain, configuration).zoneFile.contains("autoconfig"))
            configuration.clients = .init()
            configuration.clients?.imapHost = try DomainName("imap.kartapuce.test")
            configuration.dns?.imapHost = nil
            let text = try DNSRecordPlan(for: domain, configuration).zoneFile
            for line in [
                "autoconfig.kartapuce.test. IN CNAME mail.kartapuce.test.", "autodiscover.kartapuce.test. IN CNAME mail.kartapuce.test.",
                "_autodiscover._tcp.kartapuce.test. IN SRV 0 1 443 mail.kartapuce.test.", "_imaps._tcp.kartapuce.test. IN SRV 0 1 993 imap.kartapuce.test.",
                "_submissions._tcp.kartapuce.test. IN SRV 0 1 465 mail.kartapuce.test.",
            ] { #expect(text.contains(line), "\(line) isn't in\n\(text)") }
            // With addresses of its own it is no alias, and can be a target.
            configuration.dns?.addresses[try DomainName("autodiscover.kartapuce.test")] = [try #require(IPAddress("203.0.113.26"))]
            let own = try DNSRecordPlan(for: domain, configuration).zoneFile
            #expect(own.contains("autodiscover.kartapuce.test. IN A 203.0.113.26"))
            #expect(own.contains("_autodiscover._tcp.kartapuce.test. IN SRV 0 1 443 autodiscover.kartapuce.test."))
        }
    }
}
