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
import Posture
import Testing
import TransportSecurity

@testable import Gateway

/// The policies that we host for our own domains, and the reports on TLS that come to the same listener.
@Suite(.serialized, .timeLimit(.minutes(3))) struct PolicyListenerTests {
    private static let policyPath = "/.well-known/mta-sts.txt"
    private static let reportPath = "/.well-known/tlsrpt"

    /// A host with the listener, and a client as others have one.
    private struct Stand {
        var mail: TestHost
        var server: HTTPSServer
        var port: Int
        var client: HTTPSClient
        var fetcher: WebPolicyFetcher

        func ask(_ request: HTTPSRequest) async throws -> HTTPSExchange.Response { try await client.send(request).outcome.get() }

        func post(_ body: [UInt8], type: String, path: String = PolicyListenerTests.reportPath) async throws -> Int {
            try await ask(
                HTTPSRequest(
                    post: ByteBuffer(bytes: body), contentType: type, to: path, host: try DomainName("mta-sts.kartapuce.test"), port: port)
            ).status
        }
    }

    private func stand(
        _ name: String = "mail", roles: Set<Configuration.Role> = [.mx, .relay, .submission, .store], in house: TestHouse,
        change: (inout Configuration) throws -> Void = { _ in }, _ body: (Stand) async throws -> Void
    ) async throws {
        var zones = house.resolver
        for host in ["mta-sts.kartapuce.test", "mta-sts.second.test", "autodiscover.kartapuce.test", "\(name).kartapuce.test"] {
            zones.add(try DomainName(host), .a, .address(TestHouse.loopback))
        }
        try await house.withHost(name, roles: roles) { configuration in
            configuration.domains.append(try DomainName("second.test"))
            configuration.mtaSTS = .init()
            configuration.mtaSTS?.mode = .enforce
            configuration.reports = .init()
            configuration.reports?.httpsPath = Self.reportPath
            let hosts = [name, "mta-sts", "autoconfig", "autodiscover"].map { "\($0).kartapuce.test" } + ["mta-sts.second.test"]
            let files = try house.authority.issueServer(hosts: hosts)
                .write(folder: "\(house.folder)/policy-\(name)", name: "server")
            configuration.certificate = .init(certificate: files.certificate, key: files.key)
            configuration.web.authorities = files.authority
            configuration.web.specialNetworks = [try #require(IPNetwork("127.0.0.0/8"))]
            try change(&configuration)
        } _: { mail in
            let server = try #require(try mail.listeners.policyServer(for: .init(kind: .policy, address: TestHouse.loopback, port: 0)))
            let port = try await server.bind(address: TestHouse.loopback, port: 0)
            var web = mail.host.configuration.web
            web.port = port
            let group = MultiThreadedEventLoopGroup.singleton
            let result: Result<Void, any Error>
            do {
                result = .success(
                    try await body(
                        Stand(
                            mail: mail, server: server, port: port,
                            client: HTTPSClient(web, tls: try .web(authorityFile: web.authorities), resolver: zones, group: group),
                            fetcher: try WebPolicyFetcher(web, resolver: zones, group: group))))
            } catch { result = .failure(error) }
            await server.shutdown(grace: .milliseconds(200))
            try result.get()
        }
    }

    // MARK: Policies

    @Test func aPolicyIsFetchedAsOthersFetchIt() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) {
                $0.mtaSTS?.exchangers = ["mx.kartapuce.test", "*.backup.kartapuce.test"]
                $0.mtaSTS?.domains[try DomainName("second.test")] = {
                    var domain = Configuration.MTASTSSettings.Domain()
                    domain.mode = MTASTSPolicy.Mode.none
                    domain.maxAgeSeconds = 86_400
                    return domain
                }()
            } _: { stand in
                let policy = try await MTASTSPolicy.fetch(try DomainName("kartapuce.test"), using: stand.fetcher)
                #expect(policy.mode == .enforce && policy.maximumAgeSeconds == 604_800)
                #expect(policy.patterns.map(\.description) == ["mx.kartapuce.test", "*.backup.kartapuce.test"] && policy.notes.isEmpty)
                let second = try await MTASTSPolicy.fetch(try DomainName("second.test"), using: stand.fetcher)
                #expect(second.mode == .none && second.maximumAgeSeconds == 86_400 && second.patterns.isEmpty)
                let own = try DomainName("mta-sts.kartapuce.test")
                let answer = try await stand.ask(HTTPSRequest(get: Self.policyPath, host: own, port: stand.port))
                #expect(answer.status == 200 && answer.contentType == "text/plain")
                #expect(
                    String(buffer: answer.body)
                        == "version: STSv1\r\nmode: enforce\r\nmx: mx.kartapuce.test\r\nmx: *.backup.kartapuce.test\r\nmax_age: 604800\r\n")
                // Nothing tells what answers here.
                #expect(Set(answer.fields.map { $0.name.lowercased() }) == ["date", "content-type", "content-length", "connection"])
                let head = try await stand.ask(HTTPSRequest(head: Self.policyPath, host: own, port: stand.port))
                #expect(head.status == 200 && head.body.readableBytes == 0)
                for (target, host) in [
                    ("/", own), (Self.policyPath + "?x=1", own), ("/.well-known/", own), (Self.policyPath, try DomainName("mail.kartapuce.test")),
                    ("/.well-known/acme-challenge/x", own),
                ] {
                    #expect(try await stand.ask(HTTPSRequest(get: target, host: host, port: stand.port)).status == 404, "\(target)")
                }
                #expect(try await stand.post([1], type: "text/plain", path: Self.policyPath) == 405)
                // After a reload the policy is another one.
                var wanted = stand.mail.host.configuration
                wanted.mtaSTS?.mode = .testing
                let changed = wanted
                let reloader = Reloader(
                    host: stand.mail.host, listeners: stand.mail.listeners,
                    means: .init(pool: stand.mail.means.pool, queue: stand.mail.queue, policyServers: [stand.server]), reread: { changed },
                    setLogLevel: { _ in }, now: { house.clock.now }, logger: TestHouse.quiet)
                #expect(await reloader.reload().changed == ["mtaSTS"])
                #expect(try await MTASTSPolicy.fetch(try DomainName("kartapuce.test"), using: stand.fetcher).mode == .testing)
            }
        }
    }

    /// The edition changes with the policy and only then, and needs no memory.
    @Test func anEditionIsNamedByItsPolicy() throws {
        let domain = try DomainName("kartapuce.test")
        var configuration = Configuration()
        configuration.hostname = "mx1.kartapuce.test"
        configuration.domains = [domain, try DomainName("second.test")]
        #expect(MTASTSHosting(configuration).record(for: domain) == nil)
        configuration.mtaSTS = .init()
        func id() -> String? { MTASTSHosting(configuration).id(for: domain) }
        let first = try #require(id())
        let record = try #require(MTASTSHosting(configuration).record(for: domain))
        guard case .record(let read) = MTASTSRecord.choose([Array(record.utf8)]) else { return #expect(Bool(false), "\(record)") }
        #expect(read.id == first && first.utf8.count == 32)
        #expect(MTASTSHosting(configuration).record(for: try DomainName("gmail.test")) == nil)
        // What isn't in the policy doesn't matter.
        configuration.limits.hops = 7
        configuration.domains.append(try DomainName("third.test"))
        #expect(id() == first)
        var seen: Set<String> = [first]
        for change: (inout Configuration) -> Void in [
            { $0.mtaSTS?.mode = .enforce }, { $0.mtaSTS?.maxAgeSeconds = 86_400 }, { $0.hostname = "mx2.kartapuce.test" },
            { $0.mtaSTS?.exchangers = ["mx1.kartapuce.test", "mx2.kartapuce.test"] }, { $0.mtaSTS?.domains[domain] = .init() },
            { $0.mtaSTS?.domains[domain]?.mode = MTASTSPolicy.Mode.none },
        ] {
            let before = MTASTSHosting(configuration).policy(for: domain)
            change(&configuration)
            let next = try #require(id())
            #expect(seen.insert(next).inserted == (MTASTSHosting(configuration).policy(for: domain) != before))
        }
        #expect(seen.count == 6)
        // Other replicas of the edge, and the store, say the same where the configuration names the hosts.
        configuration.mtaSTS?.domains = [:]
        let edge = id()
        configuration.roles = [.store]
        configuration.hostname = "imap.kartapuce.test"
        #expect(id() == edge)
    }

    // MARK: Settings of mail programs

    /// What our own listener tells is what the check of a domain finds good; after a reload it tells something else.
    @Test func whatMailProgramsAreToldIsFoundGood() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) {
                $0.clients = .init()
                $0.clients?.imapHost = try DomainName("mail.kartapuce.test")
                $0.clients?.submissionHost = try DomainName("mail.kartapuce.test")
            } _: { stand in
                let mail = try DomainName("mail.kartapuce.test")
                var zones = ZoneResolver()
                zones.add(try DomainName("kartapuce.test"), .mx, .mx(preference: 10, exchange: mail))
                for name in ["mail", "autoconfig", "autodiscover"] { zones.add(try DomainName("\(name).kartapuce.test"), .a, .address(TestHouse.loopback)) }
                for (name, port) in [("_imaps._tcp", UInt16(993)), ("_submissions._tcp", 465)] {
                    zones.add(try DomainName("\(name).kartapuce.test"), .srv, .srv(priority: 0, weight: 1, port: port, target: mail))
                }
                var web = stand.mail.host.configuration.web
                web.port = stand.port
                let probes = PostureProbes(settings: try SettingsProbe(web, resolver: zones, group: MultiThreadedEventLoopGroup.singleton))
                let checker = PostureChecker(resolver: zones, probes: probes)
                func subjects(_ code: PostureCode) async throws -> [String] {
                    await checker.check(try DomainName("kartapuce.test"), at: .now).findings.filter { $0.code == code }.map(\.subject)
                }
                #expect(try await subjects(.clientsSettings) == ["autoconfig.kartapuce.test", "autodiscover.kartapuce.test"])
                let path = ClientSettingsHosting.autodiscoverPath
                let host = try DomainName("autodiscover.kartapuce.test")
                for (body, wanted) in [("<a>", 400), (String(repeating: " ", count: AutodiscoverRequest.sizeLimit + 1), 413)] {
                    let request = HTTPSRequest(post: ByteBuffer(string: body), contentType: "text/xml", to: path, host: host, port: stand.port)
                    #expect(try await stand.ask(request).status == wanted)
                }
                for (change, code) in [
                    ({ $0.clients?.imapHost = host }, PostureCode.clientsSettingsDiffer), ({ $0.clients = nil }, .clientsNoSettings),
                ] as [((inout Configuration) -> Void, PostureCode)] {
                    var wanted = stand.mail.host.configuration
                    change(&wanted)
                    let changed = wanted
                    let reloader = Reloader(
                        host: stand.mail.host, listeners: stand.mail.listeners,
                        means: .init(pool: stand.mail.means.pool, queue: stand.mail.queue, policyServers: [stand.server]), reread: { changed },
                        setLogLevel: { _ in }, now: { house.clock.now }, logger: TestHouse.quiet)
                    #expect(await reloader.reload().changed == ["clients"])
                    #expect(try await subjects(code) == ["autoconfig.kartapuce.test", "autodiscover.kartapuce.test"])
                }
            }
        }
    }

    // MARK: Hostile clients

    /// One connection that says what a test wants.
    private func say(_ stand: Stand, _ text: String, port: Int? = nil) async throws -> String {
        let client = try await connect(stand, port: port)
        client.push(ByteBuffer(string: text))
        return await client.rest()
    }

    private func connect(_ stand: Stand, port: Int? = nil) async throws -> ServerTestClient {
        let tls = try TLSClientContext.web(authorityFile: stand.mail.host.configuration.web.authorities)
        return try await ServerTestClient(port: port ?? stand.port, tls: tls.context)
    }

    @Test func whoeverIsSlowOrManyIsClosed() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) { stand in
                var limits = HTTPSServer.Limits()
                limits.head = .milliseconds(300)
                limits.total = .milliseconds(900)
                let limiter = ConnectionLimiter(total: 2, perNetwork: 2)
                let budget = MemoryBudget(limit: 1 << 30)
                let server = HTTPSServer(
                    listenerName: "policy", service: PolicyService(stand.mail.host.configuration, reports: nil), tls: try #require(stand.mail.host.publicTLS),
                    group: MultiThreadedEventLoopGroup.singleton, budget: budget, limiter: limiter, limits: limits, logger: TestHouse.quiet)
                let port = try await server.bind(address: TestHouse.loopback, port: 0)
                // Nothing, half a head, and in clear: none of them is answered.
                for text in ["", "GET / HTTP/1.1\r\nHost: mta-sts.kartapuce.test\r\n"] { #expect(try await say(stand, text, port: port) == "") }
                let clear = try await ServerTestClient(port: port)
                try await clear.send("GET / HTTP/1.1\r\n\r\n")
                let answer = await clear.rest()
                #expect(!answer.contains("HTTP/"))
                // A third one at the same time isn't served.
                let (first, second) = (try await connect(stand, port: port), try await connect(stand, port: port))
                #expect(await eventually { limiter.openConnections == 2 })
                #expect(try await say(stand, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", port: port) == "")
                for waiting in [first, second] { #expect(await waiting.rest() == "") }
                #expect(await eventually { limiter.openConnections == 0 && budget.octetsInUse == 0 })
                await server.shutdown(grace: .zero)
            }
        }
    }

    /// A content that never ends is held for as long as all of a connection may last, and nothing of it stays.
    @Test func aContentThatNeverComesIsLetGo() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) { stand in
                var limits = HTTPSServer.Limits()
                limits.total = .milliseconds(900)
                limits.contents = 1
                let budget = MemoryBudget(limit: 1 << 30)
                let server = HTTPSServer(
                    listenerName: "policy", service: Patient(), tls: try #require(stand.mail.host.publicTLS), group: MultiThreadedEventLoopGroup.singleton,
                    budget: budget, limiter: ConnectionLimiter(total: 9, perNetwork: 9), limits: limits, logger: TestHouse.quiet)
                let port = try await server.bind(address: TestHouse.loopback, port: 0)
                let head = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
                let slow = try await connect(stand, port: port)
                slow.push(ByteBuffer(string: head + "5\r\nhello\r\n"))
                #expect(await eventually { budget.octetsInUse > 32 * 1024 })
                // One at a time here: the second one is to come again.
                let second = try await say(stand, head + "0\r\n\r\n", port: port)
                #expect(second.hasPrefix("HTTP/1.1 503") && second.contains("Retry-After: 600\r\n"), "\(second)")
                #expect(await slow.rest() == "")
                #expect(await eventually { budget.octetsInUse == 0 })
                // Many small chunks are as much as a few large ones.
                let chunks = try await say(stand, head + String(repeating: "1\r\na\r\n", count: 2000), port: port)
                #expect(chunks.hasPrefix("HTTP/1.1 413"), "\(chunks)")
                #expect(try await say(stand, head + "2\r\nhi\r\n0\r\n\r\n", port: port).hasSuffix("\r\n\r\nhi"))
                await server.shutdown(grace: .zero)
            }
        }
    }

    /// Takes a thousand octets and says them again.
    private struct Patient: HTTPSService {
        func begin(_ request: HTTPSServerRequest) -> HTTPSServerDecision { .read(limit: 1000) }
        func answer(_ request: HTTPSServerRequest) async -> HTTPSServerResponse { .init(200, String(buffer: request.body)) }
    }

    @Test func hostileRequestsGetLittle() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) { stand in
                let host = "Host: mta-sts.kartapuce.test\r\n"
                let get = "GET \(Self.policyPath) HTTP/1.1\r\n"
                for (name, text, wanted) in [
                    ("as it should be", "\(get)\(host)\r\n", "HTTP/1.1 200"),
                    ("absolute", "GET https://mta-sts.kartapuce.test\(Self.policyPath) HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 200"),
                    ("a port", "\(get)Host: MTA-STS.kartapuce.test.:443\r\n\r\n", "HTTP/1.1 200"), ("no host", "\(get)\r\n", "HTTP/1.1 400"),
                    ("two hosts", "\(get)\(host)\(host)\r\n", "HTTP/1.1 400"), ("another host", "\(get)Host: kartapuce.test\r\n\r\n", "HTTP/1.1 404"),
                    ("a literal", "\(get)Host: [::1]\r\n\r\n", "HTTP/1.1 404"), ("no HTTP", "EHLO x\r\n\r\n", "HTTP/1.1 400"),
                    ("an unknown method", "BREW \(Self.policyPath) HTTP/1.1\r\n\(host)\r\n", "HTTP/1.1 400"),
                    ("another method", "DELETE \(Self.policyPath) HTTP/1.1\r\n\(host)\r\n", "HTTP/1.1 405"),
                    ("connect", "CONNECT mta-sts.kartapuce.test:443 HTTP/1.1\r\n\(host)\r\n", "HTTP/1.1 400"),
                    ("a huge field", "\(get)\(host)X: \(String(repeating: "a", count: 40_000))\r\n\r\n", "HTTP/1.1 400"),
                    ("many fields", "\(get)\(host)\(String(repeating: "X: y\r\n", count: 500))\r\n", "HTTP/1.1 400"),
                    ("a line without an end", "GET /\(String(repeating: "a", count: 60_000))", "HTTP/1.1 400"),
                    (
                        "both lengths",
                        "POST \(Self.reportPath) HTTP/1.1\r\n\(host)Content-Type: application/tlsrpt+json\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                        "HTTP/1.1 400"
                    ),
                    (
                        "a long content",
                        "POST \(Self.reportPath) HTTP/1.1\r\n\(host)Content-Type: application/tlsrpt+json\r\nContent-Length: 99999999\r\n\r\n", "HTTP/1.1 413"
                    ),
                    (
                        "an encoding",
                        "POST \(Self.reportPath) HTTP/1.1\r\n\(host)Content-Type: application/tlsrpt+json\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\n{",
                        "HTTP/1.1 415"
                    ),
                ] {
                    let answer = try await say(stand, text)
                    #expect(answer.hasPrefix(wanted), "\(name): \(answer.prefix(60))")
                    // One answer, and the end.
                    #expect(answer.ranges(of: "HTTP/1.1 ").count == 1, "\(name)")
                }
                // A second request on the same connection is answered by nobody.
                let twice = try await say(stand, "\(get)\(host)\r\n\(get)\(host)\r\n")
                #expect(twice.ranges(of: "HTTP/1.1 ").count == 1)
                let invited = try await say(
                    stand,
                    "POST \(Self.reportPath) HTTP/1.1\r\n\(host)Content-Type: application/tlsrpt+json\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}")
                #expect(invited.hasPrefix("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 400"), "\(invited)")
            }
        }
    }

    // MARK: Reports

    private static func report(on domain: String = "kartapuce.test", id: String = "1", padding: Int = 0) -> [UInt8] {
        Array(
            """
            {"organization-name":"Gmail","date-range":{"start-datetime":"2026-11-26T00:00:00Z","end-datetime":"2026-11-26T23:59:59Z"},"contact-info":"x@gmail.test",
            "report-id":"\(id)","policies":[{"policy":{"policy-type":"sts","policy-domain":"\(domain)"},
            "summary":{"total-successful-session-count":7,"total-failure-session-count":2}}]\(String(repeating: " ", count: padding))}
            """.utf8)
    }

    /// From the listener of the edge over the link to the store, as mail goes.
    @Test func aReportThatIsPostedGoesTheWayOfMail() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], listeners: [.link], change: { $0.reports = .init() }) { store in
                try await stand("mx", roles: [.mx], in: house) {
                    $0.peers[.store] = .init(host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: try store.port(.link), controlPort: nil)
                } _: { stand in
                    #expect(try await stand.post(Self.report(), type: "application/tlsrpt+json; charset=utf-8") == 201)
                    #expect(try await stand.post(try ReportArchive.gzip(Self.report(id: "2")), type: "application/tlsrpt+gzip") == 201)
                    // The same again: taken, and known.
                    #expect(try await stand.post(try ReportArchive.gzip(Self.report(id: "2")), type: "application/tlsrpt+gzip") == 201)
                    #expect(try await stand.mail.emptied())
                    #expect(try await store.emptied())
                    let stored = try await store.spool.storedReports(.tls, since: .distantPast, limit: 10)
                    #expect(
                        Set(stored.map(\.identity)) == ["1", "2"] && stored.count == 2 && stored.allSatisfy { !$0.isProven && $0.sender == "mx.kartapuce.test" }
                    )
                    let events = try await stand.mail.journey(try #require(stored.first).trace)
                    #expect(events.contains { if case .connected(let value) = $0.operation { value.listener == "policy" } else { false } })
                    #expect(events.contains { if case .checked(let value) = $0.operation { value.result == "taken" } else { false } })
                }
            }
        }
    }

    @Test func whatIsNoReportIsRefused() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) { stand in
                let bomb = try ReportArchive.gzip(Self.report(padding: 40 << 20))
                #expect(bomb.count < 100_000)
                let gzip = "application/tlsrpt+gzip"
                let json = "application/tlsrpt+json"
                for (name, body, type, wanted) in [
                    ("a bomb", bomb, gzip, 413), ("another type", Self.report(), "application/json", 415), ("no gzip", Self.report(), gzip, 400),
                    ("gzip", try ReportArchive.gzip(Self.report()), json, 400), ("cut", Array(try ReportArchive.gzip(Self.report()).dropLast(9)), gzip, 400),
                    ("garbage", [0x1F, 0x8B, 8, 0, 1, 2, 3], gzip, 400), ("no JSON", Array("{".utf8), json, 400), ("nothing", [], json, 400),
                    ("nested", Array((String(repeating: "{\"a\":", count: 100_000)).utf8), json, 400),
                    ("another report", Array("<feedback/>".utf8), json, 400), ("another domain", Self.report(on: "strange.test"), json, 400),
                    ("too long", Self.report(padding: 5 << 20), json, 413),
                ] {
                    let status = try await stand.post(body, type: type)
                    #expect(status == wanted, "\(name): \(status)")
                }
                #expect(try await stand.mail.spool.counts() == (queued: 0, held: 0))
                #expect(try await stand.mail.spool.storedReports(.tls, since: .distantPast, limit: 10).isEmpty)
            }
            // Off unless somebody switches it on.
            try await stand("off", in: house, change: { $0.reports?.httpsPath = nil }) { stand in
                let status = try await stand.post(Self.report(), type: "application/tlsrpt+json")
                #expect(status == 404)
            }
        }
    }

    /// Whoever sends too many is to come again in the next minute; nothing of it is read.
    @Test func aNetworkSendsSoManyReportsInAMinuteAndNoMore() async throws {
        try await TestHouse.open { house in
            try await stand(in: house, change: { $0.reports?.httpsPerMinute = 3 }) { stand in
                // To the begin of a minute.
                house.clock.advance(by: 60 - house.clock.now.timeIntervalSince1970.truncatingRemainder(dividingBy: 60))
                func post() async throws -> (status: Int, wait: String?) {
                    let answer = try await stand.ask(
                        HTTPSRequest(
                            post: ByteBuffer(bytes: Self.report()), contentType: "application/tlsrpt+json", to: Self.reportPath,
                            host: try DomainName("mta-sts.kartapuce.test"), port: stand.port))
                    return (answer.status, answer.fields.first { $0.name.lowercased() == "retry-after" }?.value)
                }
                for _ in 0..<3 { #expect(try await post().status == 201) }
                house.clock.advance(by: 20)
                let excess = try await post()
                #expect(excess.status == 429 && excess.wait == "40", "\(excess)")
                // Policies are fetched as ever.
                let policy = HTTPSRequest(get: Self.policyPath, host: try DomainName("mta-sts.kartapuce.test"), port: stand.port)
                #expect(try await stand.ask(policy).status == 200)
                house.clock.advance(by: 40)
                #expect(try await post().status == 201)
                #expect(try await stand.mail.emptied())
            }
        }
    }

    @Test func requestsAreCountedByNetworkAndMinute() throws {
        let rate = RequestRate()
        let time = Date(timeIntervalSince1970: 6_000_010)
        func ask(_ address: String, _ seconds: TimeInterval = 0) throws -> Int? {
            rate.excess(of: try #require(IPAddress(address)), limit: 2, at: time + seconds)
        }
        #expect(try ask("203.0.113.1") == nil && ask("203.0.113.200") == nil)
        #expect(try ask("203.0.113.7") == 50 && ask("::ffff:203.0.113.7", 5) == 45)
        #expect(try ask("203.0.114.7") == nil)
        #expect(try ask("2001:db8:1:2::1") == nil && ask("2001:db8:1:3::1") == nil && ask("2001:db8:1:4::1") == 50 && ask("2001:db8:2::1") == nil)
        #expect(try ask("203.0.113.7", 50) == nil)
        // Whoever comes from everywhere fills no memory, and stops nobody for long.
        for number in 0..<RequestRate.networkLimit { _ = rate.excess(of: .v4(UInt32(number) << 8), limit: 2, at: time + 60) }
        #expect(try ask("203.0.115.7", 60) == 50 && ask("203.0.115.7", 110) == nil)
    }

    /// Both ends are ours: the report that one organisation sends by HTTPS is the one that another takes.
    @Test func ourOwnReportIsTakenByOurOwnListener() async throws {
        try await TestHouse.open { house in
            try await stand(in: house) { stand in
                var results = TLSRPTResults(domain: try DomainName("kartapuce.test"), on: Date(timeIntervalSince1970: 1_795_651_200))
                results.add(.noPolicyFound(domain: try DomainName("kartapuce.test")), failures: [], sessions: 4)
                let report = TLSRPTReport(organization: "Gmail", contact: "x@gmail.test", identifier: "7@gmail.test", results: results)
                var zones = house.resolver
                zones.add(try DomainName("mta-sts.kartapuce.test"), .a, .address(TestHouse.loopback))
                let poster = try WebReportPoster(stand.mail.host.configuration.web, resolver: zones, group: MultiThreadedEventLoopGroup.singleton)
                let uri = "https://mta-sts.kartapuce.test:\(stand.port)\(Self.reportPath)"
                let outcome = await poster.post(try ReportArchive.gzip(report.json()), to: uri)
                #expect(outcome.isTaken, "\(outcome)")
                #expect(try await stand.mail.emptied())
                let stored = try await stand.mail.spool.storedReports(.tls, since: .distantPast, limit: 10)
                #expect(stored.map(\.identity) == ["7@gmail.test"])
            }
        }
    }
}
