import Crypto
import DNS
import FoundationEssentials
import Journeys
import MailMessage
import MailStore
import MailTesting
import NIOPosix
import NIOSSL
import Synchronization
import Testing
import TransportSecurity

@testable import Gateway
@testable import MailTransport

/// What role relay does about the policies of other organisations, with sessions under real TLS and a man in the middle in their way.
@Suite(.serialized, .timeLimit(.minutes(3))) struct TransportPolicyTests {
    /// A mail exchanger of secure.test, with its certificate.
    struct Exchanger {
        let server: ScriptedServer
        /// SHA-256 of its public key.
        let key: [UInt8]
        let authority: String
    }

    private static let offersTLS = ScriptedServer.Rule("EHLO", .say("250-mx.secure.test\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 STARTTLS"))
    static let honest = [offersTLS, .init("STARTTLS", .startTLS)] + ScriptedServer.obedient
    /// STARTTLS is taken out of the answer to EHLO.
    static let stripped = ScriptedServer.obedient
    static let refused = [offersTLS, .init("STARTTLS", .say("454 4.7.0 TLS not available"))] + ScriptedServer.obedient
    static let injected = [offersTLS, .init("STARTTLS", .say("220 go\r\n250 evil"))] + ScriptedServer.obedient

    static func withExchanger(
        _ house: TestHouse, scripts: [[ScriptedServer.Rule]], names: [String] = ["mx.secure.test"], validity: TimeInterval = 86_400, issued: Date? = nil,
        _ body: (Exchanger) async throws -> Void
    ) async throws {
        let authority = try LinkAuthority.create(now: issued ?? .now)
        let issue = try authority.issueServer(hosts: names, validity: validity, now: issued ?? .now)
        let files = try issue.write(folder: "\(house.folder)/\(UUID().uuidString)", name: "mx")
        let context = try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .internet).context
        let leaf = try #require(try NIOSSLCertificate.fromPEMFile(files.certificate).first)
        let key = PeerCertificate(octets: try leaf.toDERBytes()).subjectPublicKeyInfo
        let server = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton, scripts: scripts, tls: context)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(Exchanger(server: server, key: Array(SHA256.hash(data: key)), authority: files.authority)))
        } catch { result = .failure(error) }
        try await server.stop()
        try result.get()
    }

    /// A house whose DNS has secure.test, signed or not, and what a test adds.
    static func zone(_ zones: ZoneResolver, signed: Bool = true, _ change: (inout ZoneResolver) throws -> Void = { _ in }) throws -> ZoneResolver {
        var zones = zones
        let domain = try DomainName("secure.test")
        let exchanger = try DomainName("mx.secure.test")
        zones.add(domain, .mx, .mx(preference: 10, exchange: exchanger))
        zones.add(exchanger, .a, .address(TestHouse.loopback))
        if signed { zones.sign(domain) }
        try change(&zones)
        return zones
    }

    static func tlsa(_ port: Int) throws -> DomainName { try DomainName("_\(port)._tcp.mx.secure.test") }

    static func receipt(_ host: TestHost, _ trace: TraceID) async throws -> JourneyEvent.Protected? {
        try await host.journey(trace).compactMap { if case .protected(let receipt) = $0.operation { receipt } else { nil } }.last
    }

    static func house(_ house: TestHouse, _ resolver: ZoneResolver) -> TestHouse {
        TestHouse(folder: house.folder, authority: house.authority, clock: house.clock, resolver: resolver, outside: house.outside)
    }

    // MARK: DANE

    enum Attack: String, CaseIterable, Sendable {
        case none, otherKey, stripped, refused, injected, bogus, unsigned
    }

    @Test("DANE", arguments: Attack.allCases) func dane(_ attack: Attack) async throws {
        try await TestHouse.open { house in
            let script =
                switch attack {
                case .stripped, .unsigned: Self.stripped
                case .refused: Self.refused
                case .injected: Self.injected
                case .none, .otherKey, .bogus: Self.honest
                }
            try await Self.withExchanger(house, scripts: [script]) { exchanger in
                let name = try Self.tlsa(exchanger.server.port)
                let resolver = try Self.zone(house.resolver, signed: attack != .unsigned) { zones in
                    let data = attack == .otherKey ? Array(repeating: 7, count: 32) : exchanger.key
                    zones.add(name, .tlsa, .tlsa(usage: 3, selector: 1, matching: 1, data: data))
                    if attack == .bogus { zones.fail(name, .tlsa, with: .bogus) }
                }
                try await Self.house(house, resolver).withHost(change: { $0.outboundPort = exchanger.server.port }) { host in
                    let message = try await host.enqueue(to: "tom@secure.test")
                    let goes = attack == .none || attack == .unsigned
                    #expect(try await eventually { try await Self.receipt(host, message.trace) != nil })
                    let recipients = goes ? [] : try await host.tried(message.id, 1)
                    #expect(exchanger.server.record.messages.isEmpty == !goes, "\(attack)")
                    let receipt = try #require(try await Self.receipt(host, message.trace))
                    switch attack {
                    case .none:
                        #expect(receipt.verdict == "proceed" && receipt.source == "dane" && receipt.authenticated && receipt.version == "TLSv1.3")
                        #expect(receipt.dnssec == "secure" && receipt.failure == nil)
                    case .unsigned: #expect(receipt.verdict == "proceed" && receipt.source == "opportunistic" && !receipt.encrypted)
                    case .otherKey:
                        #expect(receipt.verdict == "retry" && receipt.encrypted && receipt.failure != nil, "\(receipt)")
                        #expect(recipients.first?.lastStatus?.contains("4.7.5") == true)
                    case .stripped:
                        #expect(receipt.verdict == "retry" && receipt.failure == "starttls-not-supported")
                        #expect(recipients.first?.lastStatus?.contains("4.7.10") == true)
                    case .refused, .injected: #expect(receipt.verdict == "retry" && !receipt.encrypted)
                    case .bogus: #expect(receipt.verdict == "retry" && receipt.failure == "dnssec-invalid" && exchanger.server.record.connections == 0)
                    }
                    #expect(recipients.allSatisfy { $0.lastStatus?.hasPrefix("451") == true })
                }
            }
        }
    }

    // MARK: MTA-STS

    /// A policy host that can be changed, and broken.
    final class PolicyHost: MTASTSFetcher {
        private let state = Mutex<(Result<String, MTASTSFetchError>, Int)>((.failure(MTASTSFetchError(.connectionFailed, reason: "down")), 0))
        var fetches: Int { state.withLock { $0.1 } }
        func set(_ result: Result<String, MTASTSFetchError>) { state.withLock { $0.0 = result } }

        func fetch(policyHost: DomainName, limit: Int) async throws(MTASTSFetchError) -> MTASTSResponse {
            let result = state.withLock { state in
                state.1 += 1
                return state.0
            }
            return MTASTSResponse(status: 200, contentType: "text/plain", body: Array(try result.get().utf8))
        }
    }

    static func policy(_ mode: String, mx: String = "mx.secure.test") -> String {
        "version: STSv1\r\nmode: \(mode)\r\nmx: \(mx)\r\nmax_age: 604800\r\n"
    }

    struct Case: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var policy: String
        var script: [ScriptedServer.Rule] = TransportPolicyTests.honest
        var names = ["mx.secure.test"]
        var isTrusted = true
        var expired = false
        var goes: Bool
        var failure: String?
    }

    static let cases = [
        Case(testDescription: "enforce, all is well", policy: policy("enforce"), goes: true),
        Case(testDescription: "enforce, stripped", policy: policy("enforce"), script: stripped, goes: false, failure: "starttls-not-supported"),
        Case(testDescription: "enforce, refused", policy: policy("enforce"), script: refused, goes: false, failure: "validation-failure"),
        Case(testDescription: "enforce, self-made authority", policy: policy("enforce"), isTrusted: false, goes: false, failure: "certificate-not-trusted"),
        Case(testDescription: "enforce, another name", policy: policy("enforce"), names: ["mx.else.test"], goes: false, failure: "certificate-host-mismatch"),
        Case(testDescription: "enforce, expired", policy: policy("enforce"), expired: true, goes: false, failure: "certificate-expired"),
        Case(testDescription: "enforce, another exchanger", policy: policy("enforce", mx: "mx2.secure.test"), goes: false, failure: "validation-failure"),
        Case(testDescription: "testing, stripped", policy: policy("testing"), script: stripped, goes: true, failure: "starttls-not-supported"),
        Case(testDescription: "none, stripped", policy: policy("none"), script: stripped, goes: true, failure: "starttls-not-supported"),
    ]

    @Test("MTA-STS", arguments: cases) func mtaSTS(_ test: Case) async throws {
        try await TestHouse.open { house in
            let issued: Date? = test.expired ? Date.now.addingTimeInterval(-10 * 86_400) : nil
            try await Self.withExchanger(house, scripts: [test.script], names: test.names, issued: issued) { exchanger in
                let resolver = try Self.zone(house.resolver, signed: false) {
                    $0.add(try DomainName("_mta-sts.secure.test"), .txt, .txt(Array("v=STSv1; id=1;".utf8)))
                }
                let policyHost = PolicyHost()
                policyHost.set(.success(test.policy))
                try await Self.house(house, resolver).withHost(
                    fetcher: policyHost,
                    change: {
                        $0.outboundPort = exchanger.server.port
                        if test.isTrusted { $0.authorities = [exchanger.authority] }
                    }
                ) { host in
                    let message = try await host.enqueue(to: "tom@secure.test")
                    #expect(try await eventually { try await Self.receipt(host, message.trace) != nil })
                    if !test.goes { _ = try await host.tried(message.id, 1) }
                    let receipt = try #require(try await Self.receipt(host, message.trace))
                    #expect(receipt.failure == test.failure, "\(receipt)")
                    #expect(receipt.verdict == (test.goes ? "proceed" : "retry"), "\(receipt)")
                    #expect(exchanger.server.record.messages.isEmpty == !test.goes)
                }
            }
        }
    }

    @Test func aPolicyOutlivesItsHostARestartAndARecordThatIsGone() async throws {
        try await TestHouse.open { house in
            try await Self.withExchanger(house, scripts: [Self.stripped]) { exchanger in
                let record = try DomainName("_mta-sts.secure.test")
                let policyHost = PolicyHost()
                policyHost.set(.success(Self.policy("enforce")))
                let change: (inout Configuration) -> Void = { $0.outboundPort = exchanger.server.port }
                func isHeld(_ text: String?, _ body: @escaping () throws -> Void = {}) async throws -> Bool {
                    let resolver = try Self.zone(house.resolver, signed: false) { zones in
                        if let text { zones.add(record, .txt, .txt(Array(text.utf8))) }
                    }
                    try body()
                    var isHeld = false
                    try await Self.house(house, resolver).withHost(fetcher: policyHost, change: change) { host in
                        let message = try await host.enqueue(to: "tom@secure.test")
                        #expect(try await eventually { try await Self.receipt(host, message.trace) != nil })
                        isHeld = try await Self.receipt(host, message.trace)?.verdict == "retry"
                    }
                    return isHeld
                }
                #expect(try await isHeld("v=STSv1; id=1;"))
                // The policy host is down, and the record is taken away by whoever answers for the DNS.
                policyHost.set(.failure(MTASTSFetchError(.connectionFailed, reason: "down")))
                #expect(try await isHeld(nil))
                // Its certificate isn't trusted, under another edition.
                policyHost.set(.failure(MTASTSFetchError(.untrusted, reason: "self-signed")))
                #expect(try await isHeld("v=STSv1; id=2;"))
                // A policy that shrinks without another edition isn't even fetched.
                let before = policyHost.fetches
                policyHost.set(.success(Self.policy("none")))
                #expect(try await isHeld("v=STSv1; id=1;"))
                #expect(policyHost.fetches == before)
                // With another edition the domain has taken it back.
                #expect(try await !isHeld("v=STSv1; id=3;"))
                #expect(exchanger.server.record.messages.count == 1)
            }
        }
    }

    @Test func withoutWhatIsKnownNothingIsSentAndWhatIsOldIsForgotten() async throws {
        try await TestHouse.open { house in
            try await house.withHost(runsQueue: false, fetcher: PolicyHost()) { host in
                let spool = host.spool
                try await spool.setFact("mta-sts", "a.test", [1], at: house.clock.now)
                try await spool.setFact("tls-history", "mx.a.test", [2], at: house.clock.now)
                house.clock.advance(by: 31 * 86_400)
                try await PolicyMemory.forgetOld(in: spool, at: house.clock.now)
                try await HostMemory.forgetOld(in: spool, days: 30, at: house.clock.now)
                #expect(try await spool.fact("mta-sts", "a.test") == [1])
                #expect(try await spool.fact("tls-history", "mx.a.test") == nil)
                house.clock.advance(by: 366 * 86_400)
                try await PolicyMemory.forgetOld(in: spool, at: house.clock.now)
                #expect(try await spool.fact("mta-sts", "a.test") == nil)
                let policies = PolicyMemory(
                    resolver: house.resolver, fetcher: PolicyHost(), spool: spool, now: { house.clock.now }, logger: TestHouse.quiet)
                try await spool.close()
                await #expect(throws: (any Error).self) { try await policies.finding(for: try DomainName("gmail.test")) }
            }
        }
    }

    // MARK: The sender, the operator, the memory

    @Test func aSenderCanWaiveAndDemandTLS() async throws {
        try await TestHouse.open { house in
            try await Self.withExchanger(house, scripts: [Self.honest]) { exchanger in
                let name = try Self.tlsa(exchanger.server.port)
                let resolver = try Self.zone(house.resolver) {
                    $0.add(name, .tlsa, .tlsa(usage: 3, selector: 1, matching: 1, data: Array(repeating: 7, count: 32)))
                }
                try await Self.house(house, resolver).withHost(change: { $0.outboundPort = exchanger.server.port }) { host in
                    let waived = try await host.enqueue(to: "tom@secure.test", text: "TLS-Required: No\r\n" + TestHost.sample)
                    #expect(await eventually { exchanger.server.record.messages.count == 1 })
                    #expect(try await eventually { try await Self.receipt(host, waived.trace)?.verdict == "proceed" })
                    let demanded = try await host.enqueue(to: "tom@secure.test", requiresTLS: true)
                    #expect(try await eventually { try await Self.receipt(host, demanded.trace)?.verdict == "refuse" })
                    #expect(exchanger.server.record.messages.count == 1)
                }
            }
        }
    }

    @Test func whatDemandsTLSGoesToAProvenHostThatHandsItOn() async throws {
        try await TestHouse.open { house in
            let script =
                [.init("EHLO", .say("250-mx.secure.test\r\n250-STARTTLS\r\n250 REQUIRETLS")), .init("STARTTLS", .startTLS)] + ScriptedServer.obedient
            try await Self.withExchanger(house, scripts: [script]) { exchanger in
                let name = try Self.tlsa(exchanger.server.port)
                let resolver = try Self.zone(house.resolver) {
                    $0.add(name, .tlsa, .tlsa(usage: 3, selector: 1, matching: 1, data: exchanger.key))
                }
                try await Self.house(house, resolver).withHost(change: { $0.outboundPort = exchanger.server.port }) { host in
                    try await host.enqueue(to: "tom@secure.test", requiresTLS: true)
                    #expect(await eventually { exchanger.server.record.messages.count == 1 })
                    #expect(exchanger.server.record.commands.contains("MAIL FROM:<bob@kartapuce.test> REQUIRETLS"), "\(exchanger.server.record.commands)")
                    // Over the same connection, one that demands nothing.
                    try await host.enqueue(to: "tom@secure.test")
                    #expect(await eventually { exchanger.server.record.messages.count == 2 })
                    #expect(exchanger.server.record.commands.contains("MAIL FROM:<bob@kartapuce.test>"))
                }
            }
        }
    }

    @Test func theOperatorsLeastHoldsWithoutAnyPolicy() async throws {
        try await TestHouse.open { house in
            try await Self.withExchanger(house, scripts: [Self.stripped, Self.honest, Self.honest]) { exchanger in
                let resolver = try Self.zone(house.resolver, signed: false)
                let minimums: [(LocalTLSPolicy, Bool)] = [
                    (.encrypt, false), (.encrypt, true), (.verified, false), (.dane, false), (.fingerprint([String(repeating: "ab", count: 32)]), false),
                    (.fingerprint([exchanger.key.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()]), true),
                ]
                for (number, (minimum, goes)) in minimums.enumerated() {
                    let before = exchanger.server.record.messages.count
                    try await Self.house(house, resolver).withHost(
                        "mail\(number)",
                        change: {
                            $0.outboundPort = exchanger.server.port
                            $0.transport.destinations[try DomainName("secure.test")] = minimum
                        }
                    ) { host in
                        let message = try await host.enqueue(to: "tom@secure.test")
                        #expect(try await eventually { try await Self.receipt(host, message.trace) != nil })
                        let receipt = try #require(try await Self.receipt(host, message.trace))
                        #expect(receipt.verdict == (goes ? "proceed" : "retry"), "\(minimum): \(receipt)")
                        #expect(receipt.source == "local", "\(minimum)")
                    }
                    #expect(exchanger.server.record.messages.count == before + (goes ? 1 : 0), "\(minimum)")
                }
            }
        }
    }

    @Test func aHostThatAlwaysHadTLSIsSuspectedWithoutIt() async throws {
        try await TestHouse.open { house in
            try await Self.withExchanger(house, scripts: Array(repeating: Self.honest, count: 3) + [Self.stripped]) { exchanger in
                let resolver = try Self.zone(house.resolver, signed: false)
                let change: (inout Configuration) -> Void = {
                    $0.outboundPort = exchanger.server.port
                    $0.transport.suspicionSessions = 3
                    $0.transport.suspicionWaitSeconds = 3600
                }
                // A restart after each, so that what is known must have been kept.
                for number in 1...3 {
                    try await Self.house(house, resolver).withHost(change: change) { host in
                        try await host.enqueue(to: "tom@secure.test")
                        #expect(await eventually { exchanger.server.record.messages.count == number })
                    }
                }
                try await Self.house(house, resolver).withHost(change: change) { host in
                    // A message that goes without TLS by its sender's wish doesn't make the host forgotten.
                    try await host.enqueue(to: "tom@secure.test", text: "TLS-Required: No\r\n" + TestHost.sample)
                    #expect(await eventually { exchanger.server.record.messages.count == 4 })
                    let message = try await host.enqueue(to: "tom@secure.test")
                    let waiting = try await host.tried(message.id, 1)
                    #expect(waiting.first?.lastStatus?.contains("4.7.10") == true)
                    let receipt = try #require(try await Self.receipt(host, message.trace))
                    #expect(receipt.steps.contains { $0.hasPrefix("downgrade.suspected") }, "\(receipt)")
                    #expect(exchanger.server.record.messages.count == 4)
                    // What the operator allows is over.
                    house.clock.advance(by: 2 * 3600)
                    host.queue.wake()
                    #expect(await eventually { exchanger.server.record.messages.count == 5 })
                }
            }
        }
    }
}
