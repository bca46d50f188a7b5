import Crypto
import DNS
import Foundation
import MailTesting
import MailTransport
import NIOPosix
import NIOSSL
import Posture
import Testing
import TransportSecurity

@testable import Gateway

/// What a check of a domain says of servers that it really speaks to.
@Suite(.serialized, .timeLimit(.minutes(2))) struct PostureProbeTests {
    private static let hello = "250-mx.secure.test\r\n250-PIPELINING\r\n250 STARTTLS"
    private static let closing = [ScriptedServer.Rule("RSET", .say("250 ok")), .init("QUIT", .sayAndClose("221 bye"))]
    private static let mail = ScriptedServer.Rule("MAIL", .say("250 ok"))
    private static let startTLS = [ScriptedServer.Rule("EHLO", .say(hello)), .init("STARTTLS", .startTLS)]
    /// Refuses everybody but its own.
    private static let honest = startTLS + [mail, .init("RCPT", .say("550 5.7.1 no relaying"))] + closing

    /// What a server does, and what is found.
    struct Case: Sendable, CustomTestStringConvertible {
        var name: String
        var rules: [ScriptedServer.Rule]
        var greeting = "220 mx.secure.test ESMTP"
        var tlsa = TLSA.right
        var isTrusted = true
        var found: Set<PostureCode>
        var absent: Set<PostureCode> = []
        var testDescription: String { name }
        enum TLSA: Sendable { case right, wrong, none }
    }

    static let cases = [
        Case(
            name: "all good", rules: honest, found: [.smtpGood, .tlsGood, .daneMatches, .certificateGood, .relayGood],
            absent: [.smtpBanner, .relayOpen, .tlsNotOffered]),
        Case(
            name: "no STARTTLS", rules: [.init("EHLO", .say("250 mx.secure.test")), mail, .init("RCPT", .say("550 no"))] + closing,
            found: [.tlsNotOffered, .daneNoTLS, .relayGood], absent: [.certificateGood]),
        Case(
            name: "STARTTLS refused",
            rules: [.init("EHLO", .say(hello)), .init("STARTTLS", .say("454 not now")), mail, .init("RCPT", .say("550 no"))] + closing,
            found: [.tlsFailed], absent: [.tlsNotOffered, .tlsGood]),
        Case(
            name: "a broken handshake", rules: [.init("EHLO", .say(hello)), .init("STARTTLS", .breakTLS(.say("this is no handshake")))] + closing,
            found: [.tlsFailed, .relayUnclear]),
        Case(name: "an open relay", rules: startTLS + [mail, .init("RCPT", .say("250 ok"))] + closing, found: [.relayOpen], absent: [.relayGood]),
        Case(
            name: "open by the percent form only",
            rules: startTLS + [mail, .init("RCPT TO:<posture-check%", .say("250 ok")), .init("RCPT", .say("550 no"))] + closing, found: [.relayOpen]),
        Case(
            name: "takes every recipient of its domain",
            rules: startTLS + [
                mail, .init("RCPT TO:<posture-check@", .say("550 no")), .init("RCPT TO:<@", .say("550 no")), .init("RCPT", .say("250 ok")),
            ] + closing, found: [.relayUnclear], absent: [.relayOpen, .relayGood]),
        Case(name: "puts strangers off", rules: startTLS + [mail, .init("RCPT", .say("451 later"))] + closing, found: [.relayUnclear], absent: [.relayGood]),
        Case(name: "ends when it has had enough", rules: startTLS + [mail, .init("RCPT", .sayAndClose("421 enough"))] + closing, found: [.relayUnclear]),
        Case(name: "another key", rules: honest, tlsa: .wrong, found: [.daneMismatch], absent: [.daneMatches]),
        Case(
            name: "a certificate of nobody, with DANE", rules: honest, isTrusted: false, found: [.daneMatches, .certificateDane],
            absent: [.certificateUntrusted]),
        Case(name: "a certificate of nobody", rules: honest, tlsa: .none, isTrusted: false, found: [.daneMissing, .certificateUntrusted]),
        Case(name: "tells its version", rules: honest, greeting: "220 mx.secure.test ESMTP Exim 4.98", found: [.smtpBanner, .smtpGood]),
        Case(name: "another name", rules: honest, greeting: "220 localhost ESMTP", found: [.smtpName], absent: [.smtpGood]),
        Case(name: "refuses", rules: honest, greeting: "554 go away", found: [.smtpRefused], absent: [.tlsNotOffered, .relayGood]),
    ]

    @Test("Servers of all kinds", arguments: cases) func servers(_ test: Case) async throws {
        try await TestHouse.open { house in
            let issue = try house.authority.issueServer(hosts: ["mx.secure.test"])
            let files = try issue.write(folder: "\(house.folder)/mx", name: "mx")
            let tls = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .internet).context
            let leaf = try #require(try NIOSSLCertificate.fromPEMFile(files.certificate).first)
            let key = Array(SHA256.hash(data: PeerCertificate(octets: try leaf.toDERBytes()).subjectPublicKeyInfo))
            let server = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton, scripts: [test.rules], greeting: test.greeting, tls: tls)
            let record = test.tlsa == .none ? nil : test.tlsa == .right ? key : [UInt8](repeating: 7, count: 32)
            let roots = test.isTrusted ? try PKIXRoots(parsingPEM: Array(Data(contentsOf: URL(filePath: files.authority)))) : PKIXRoots()
            let report = try await Self.check(port: server.port, tlsa: record, roots: roots)
            let seen = server.record
            try await server.stop()
            let codes = Set(report.findings.map(\.code))
            #expect(codes.isSuperset(of: test.found), "\(report.text(isVerbose: true))")
            #expect(codes.isDisjoint(with: test.absent), "\(report.text(isVerbose: true))")
            // Nothing was ever sent.
            #expect(seen.messages.isEmpty)
            #expect(!seen.commands.contains { $0.uppercased().hasPrefix("DATA") || $0.uppercased().hasPrefix("BDAT") })
            #expect(seen.connections == 1)
        }
    }

    /// A server that takes these versions of TLS and no others.
    private static func context(_ house: TestHouse, _ name: String, _ versions: (lowest: TLSVersion, highest: TLSVersion)) throws -> NIOSSLContext {
        let files = try house.authority.issueServer(hosts: [name]).write(folder: "\(house.folder)/\(name)", name: "server")
        var configuration = TLSConfiguration.makeServerConfiguration(
            certificateChain: try NIOSSLCertificate.fromPEMFile(files.certificate).map { .certificate($0) },
            privateKey: .privateKey(try NIOSSLPrivateKey(file: files.key, format: .pem)))
        configuration.minimumTLSVersion = versions.lowest
        configuration.maximumTLSVersion = versions.highest
        configuration.cipherSuites = "ALL"
        return try NIOSSLContext(configuration: configuration)
    }

    /// Serves a policy of MTA-STS, wherever it is asked for.
    private struct Policy: MTASTSFetcher {
        func fetch(policyHost: DomainName, limit: Int) async throws(MTASTSFetchError) -> MTASTSResponse {
            MTASTSResponse(
                status: 200, contentType: "text/plain",
                body: Array("version: STSv1\r\nmode: enforce\r\nmx: mx.secure.test\r\nmax_age: 604800\r\n".utf8))
        }
    }

    struct Versions: Sendable, CustomTestStringConvertible {
        var name: String
        var smtp: (lowest: TLSVersion, highest: TLSVersion) = (.tlsv12, .tlsv13)
        var https: (lowest: TLSVersion, highest: TLSVersion) = (.tlsv12, .tlsv13)
        /// What a server does after its first connection.
        var later: [ScriptedServer.Rule]?
        var accepted: [String] = []
        var refused: [String] = []
        var testDescription: String { name }
    }

    private static let policyRefuses = "mta-sts.secure.test refuses TLS 1.0 and TLS 1.1"
    private static let serverRefuses = "mx.secure.test refuses TLS 1.0 and TLS 1.1"
    private static let later = [ScriptedServer.Rule("EHLO", .say(hello)), .init("STARTTLS", .say("454 later"))]

    static let versionCases: [Versions] = [
        Versions(name: "none", refused: [serverRefuses, policyRefuses]),
        Versions(
            name: "all at the mail server", smtp: (.tlsv1, .tlsv13), accepted: ["mx.secure.test accepts TLS 1.0 and TLS 1.1"], refused: [policyRefuses]),
        Versions(
            name: "one of them at the policy's host", https: (.tlsv11, .tlsv12), accepted: ["mta-sts.secure.test accepts TLS 1.1"],
            refused: [serverRefuses]),
        Versions(name: "puts further connections off", later: later, refused: [policyRefuses]),
        Versions(name: "falls silent", later: [.init("EHLO", .say(hello)), .init("STARTTLS", .stall)], refused: [policyRefuses]),
    ]

    /// RFC 8996, RFC 9325 §3.1.1
    @Test("Outdated versions of TLS", arguments: versionCases) func versions(_ test: Versions) async throws {
        try await TestHouse.open { house in
            let group = MultiThreadedEventLoopGroup.singleton
            let smtp = try await ScriptedServer.start(
                group, scripts: [Self.honest, test.later ?? Self.honest], greeting: "220 mx.secure.test ESMTP",
                tls: try Self.context(house, "mx.secure.test", test.smtp))
            let https = try await ScriptedServer.start(
                group, host: "127.0.0.2", scripts: [[]], greeting: nil, tls: try Self.context(house, "mta-sts.secure.test", test.https), implicitTLS: true)
            let (domain, exchanger, policyHost) = (try DomainName("secure.test"), try DomainName("mx.secure.test"), try DomainName("mta-sts.secure.test"))
            let second = try #require(IPAddress("127.0.0.2"))
            var zones = ZoneResolver()
            zones.add(domain, .mx, .mx(preference: 10, exchange: exchanger))
            zones.add(exchanger, .a, .address(TestHouse.loopback))
            zones.add(policyHost, .a, .address(second))
            zones.add(try DomainName("_mta-sts.secure.test"), .txt, .txt(Array("v=STSv1; id=1;".utf8)))
            var configuration = Configuration()
            configuration.web.specialNetworks = [try #require(IPNetwork("127.0.0.0/8"))]
            let places = [TestHouse.loopback: smtp.port, second: https.port]
            let name = try DomainName("check.test")
            let probes = PostureProbes(
                smtp: try MailServerProbe(helloName: name, places: places), policy: Policy(),
                versions: try VersionProbe(configuration, helloName: name, timeLimit: .milliseconds(test.later == nil ? 10_000 : 500), places: places))
            let report = await PostureChecker(resolver: zones, probes: probes).check(domain, at: .now)
            try await smtp.stop()
            try await https.stop()
            func found(_ code: PostureCode) -> [String] { report.findings.filter { $0.code == code }.map { "\($0.subject) \($0.text)" } }
            #expect(Set(found(.tlsOldAccepted)) == Set(test.accepted), "\(report.text(isVerbose: true))")
            #expect(Set(found(.tlsOldRefused)) == Set(test.refused), "\(report.text(isVerbose: true))")
            // Nobody is led into our own networks by a stranger's record.
            configuration.web.specialNetworks = []
            #expect(await (try VersionProbe(configuration, helloName: name, places: places)).tryOutdated(.https, host: policyHost, address: second).isEmpty)
        }
    }

    @Test func aPortThatNobodyListensAtIsRefused() async throws {
        let server = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton)
        let port = server.port
        try await server.stop()
        let report = try await Self.check(port: port, tlsa: nil, roots: PKIXRoots())
        #expect(report.findings.contains { $0.code == .smtpRefused }, "\(report.text())")
    }

    @Test func aServerThatSaysNothingIsLeftInTime() async throws {
        let server = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton, host: "127.0.0.1", port: 0, scripts: [[]], greetingAnswer: .stall)
        let report = try await Self.check(port: server.port, tlsa: nil, roots: PKIXRoots(), timeLimit: .milliseconds(300))
        try await server.stop()
        #expect(report.findings.contains { $0.code == .smtpUnreachable }, "\(report.text())")
    }

    /// Checklist of gateways, A08, A27: our own edge says nothing of itself, encrypts, and passes nothing on.
    @Test func ourOwnEdgeIsGood() async throws {
        try await TestHouse.open { house in
            try await house.withHost("mx", listeners: [.smtp]) { host in
                try await host.addUsers("bob")
                var zones = ZoneResolver()
                let domain = try DomainName("kartapuce.test")
                let name = try DomainName("mx.kartapuce.test")
                zones.add(domain, .mx, .mx(preference: 10, exchange: name))
                zones.add(name, .a, .address(TestHouse.loopback))
                zones.add(try DomainName("1.0.0.127.in-addr.arpa"), .ptr, .name(name))
                let roots = try PKIXRoots(parsingPEM: Array(Data(contentsOf: URL(filePath: host.authorityFile))))
                let probe = try MailServerProbe(helloName: try DomainName("check.test"), places: [TestHouse.loopback: host.port(.smtp)])
                let versions = try VersionProbe(
                    Configuration(), helloName: try DomainName("check.test"), places: [TestHouse.loopback: host.port(.smtp)])
                let probes = PostureProbes(smtp: probe, versions: versions, roots: roots)
                let report = await PostureChecker(resolver: zones, probes: probes).check(domain, at: .now)
                let codes = Set(report.findings.map(\.code))
                #expect(codes.isSuperset(of: [.smtpGood, .tlsGood, .tlsOldRefused, .certificateGood, .relayGood]), "\(report.text(isVerbose: true))")
                #expect(!codes.contains(.smtpBanner))
            }
        }
    }

    private static func check(port: Int, tlsa: [UInt8]?, roots: PKIXRoots, timeLimit: Duration = .seconds(10)) async throws -> PostureReport {
        let domain = try DomainName("secure.test")
        let exchanger = try DomainName("mx.secure.test")
        var zones = ZoneResolver()
        zones.sign(domain)
        zones.add(domain, .mx, .mx(preference: 10, exchange: exchanger))
        zones.add(exchanger, .a, .address(TestHouse.loopback))
        zones.add(try DomainName("1.0.0.127.in-addr.arpa"), .ptr, .name(exchanger))
        if let tlsa {
            zones.add(try DomainName("_25._tcp.mx.secure.test"), .tlsa, .tlsa(usage: 3, selector: 1, matching: 1, data: tlsa))
        }
        let probe = try MailServerProbe(helloName: try DomainName("check.test"), timeLimit: timeLimit, places: [TestHouse.loopback: port])
        return await PostureChecker(resolver: zones, probes: PostureProbes(smtp: probe, roots: roots)).check(domain, at: .now)
    }
}
