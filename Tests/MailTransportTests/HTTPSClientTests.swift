import DNS
import Foundation
import MailTesting
import NIOCore
import NIOPosix
import NIOSSL
import Testing
import X509

@testable import MailTransport

/// HTTPS with servers that are as they should be, broken, or hostile.
@Suite(.timeLimit(.minutes(2))) struct HTTPSClientTests {
    private static let loopback = IPAddress.v4(0x7f00_0001)
    private static let host = "logos.kartapuce.test"

    /// A server for logos.kartapuce.test and a client that trusts its authority and may connect to loopback.
    private struct Stage {
        var server: ScriptedWebServer
        var client: HTTPSClient
        func get(_ target: String = "/", host: String = HTTPSClientTests.host, limit: Int = 1000, wildcards: Bool = true) async throws -> HTTPSExchange {
            await client.send(
                .init(get: target, host: try DomainName(host), port: server.port, responseLimit: limit, allowsWildcards: wildcards))
        }
        func code(_ target: String = "/", host: String = HTTPSClientTests.host) async throws -> HTTPSFailure.Code? {
            try await get(target, host: host).failureCode
        }
    }

    private func failure(_ exchange: HTTPSExchange) -> HTTPSFailure.Code? { exchange.failureCode }

    /// What the client may connect to.
    private enum Reach: Sendable {
        case loopback, internet
        case one(IPAddress)

        func has(_ address: IPAddress) -> Bool {
            switch self {
            case .loopback: address.isLoopback
            case .internet: !address.isSpecial
            case .one(let other): address == other
            }
        }
    }

    private func withStage(
        _ answers: [String: ScriptedWebServer.Answer] = [:], limits: HTTPSClient.Limits = .init(), addresses: [IPAddress] = [loopback],
        reach: Reach = .loopback, resolver: (any DNS.Resolver)? = nil,
        certificate: (WebAuthority) throws -> NIOSSLContext? = { try $0.server(names: [host]) }, _ body: (Stage) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let authority = try WebAuthority()
            try authority.write(to: "\(folder)/roots.pem")
            let server = try await ScriptedWebServer.start(tls: try certificate(authority), answers: answers)
            var zones = ZoneResolver()
            for name in [Self.host, "other.kartapuce.test"] {
                for address in addresses {
                    if case .v4 = address { zones.add(try DomainName(name), .a, .address(address)) }
                    if case .v6 = address { zones.add(try DomainName(name), .aaaa, .address(address)) }
                }
            }
            zones.add(try DomainName("empty.kartapuce.test"), .txt, .txt([]))
            zones.fail(try DomainName("broken.kartapuce.test"), with: .serverFailure)
            let client = HTTPSClient(
                resolver: resolver ?? zones, tls: try .web(authorityFile: "\(folder)/roots.pem"), group: MultiThreadedEventLoopGroup.singleton,
                limits: limits, isAllowed: { reach.has($0) })
            do { try await body(Stage(server: server, client: client)) } catch {
                try? await server.stop()
                throw error
            }
            try await server.stop()
        }
    }

    // MARK: Answers

    @Test func anAnswerWithItsEvidence() async throws {
        try await withStage(["/logo.svg?x=1": .content(200, type: "image/svg+xml", body: Array("<svg/>".utf8))]) { stage in
            let exchange = try await stage.get("/logo.svg?x=1")
            let response = try exchange.outcome.get()
            #expect(response.status == 200 && response.contentType == "image/svg+xml" && String(buffer: response.body) == "<svg/>")
            #expect(exchange.address == Self.loopback && exchange.tls?.version == "TLSv1.3" && exchange.tls?.verification == .verified)
            #expect(exchange.certificateName == Self.host && exchange.tls?.serverName == Self.host)
            #expect(exchange.lookups.map(\.type) == [.aaaa, .a] && exchange.duration > .zero)
            #expect(
                exchange.description
                    == "GET https://\(Self.host):\(stage.server.port)/logo.svg?x=1 at 127.0.0.1: 200, image/svg+xml, 6 octets, TLSv1.3")
            let request = try #require(stage.server.requests.first)
            #expect(request.hasPrefix("GET /logo.svg?x=1 HTTP/1.1\r\n") && request.contains("\r\nHost: \(Self.host):\(stage.server.port)\r\n"))
            #expect(request.contains("Connection: close\r\n"))
        }
    }

    @Test func aReportIsPosted() async throws {
        try await withStage(["/report": .content(201, type: "text/plain", body: [])]) { stage in
            let exchange = await stage.client.send(
                .init(
                    post: ByteBuffer(string: "{\"a\":1}"), contentType: "application/tlsrpt+json", to: "/report", host: try DomainName(Self.host),
                    port: stage.server.port))
            #expect(try exchange.outcome.get().status == 201)
            let request = try #require(stage.server.requests.first)
            #expect(request.hasPrefix("POST /report HTTP/1.1\r\n") && request.hasSuffix("\r\n\r\n{\"a\":1}"))
            #expect(request.contains("Content-Type: application/tlsrpt+json\r\n") && request.contains("Content-Length: 7\r\n"))
        }
    }

    @Test(arguments: [
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nTrailer: 1\r\n\r\n", "abcde"),
        ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab", "ab"),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\na", "a"), ("HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nabHTTP/1.1 200 OK\r\n", "ab"),
    ])
    func formsOfAnswers(octets: String, body: String) async throws {
        try await withStage(["/": .say(octets)]) { stage in
            let response = try await stage.get().outcome.get()
            #expect(String(buffer: response.body) == body)
        }
    }

    @Test func theEndOfTheConnectionIsTheEndOfTheContentOnlyWhereItIsAnnounced() async throws {
        let start = "HTTP/1.1 200 OK\r\n\r\nabc"
        try await withStage([
            "/": .sayAndClose(start), "/cut": .sayAndCut(start), "/short": .sayAndClose("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            "/chunk": .sayAndClose("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc"), "/none": .sayAndClose(""),
            "/head": .sayAndClose("HTTP/1.1 200 OK\r\nContent-"),
        ]) { stage in
            let closed = try await stage.get().outcome.get()
            #expect(String(buffer: closed.body) == "abc")
            for target in ["/cut", "/short", "/chunk", "/none", "/head"] {
                let exchange = try await stage.get(target)
                #expect(failure(exchange) == .connectionClosed, "\(target) \(exchange)")
            }
        }
    }

    @Test func aRedirectionIsAnAnswerAndIsNotFollowed() async throws {
        try await withStage(["/": .say("HTTP/1.1 302 Found\r\nLocation: https://other.kartapuce.test/\r\nContent-Length: 0\r\n\r\n")]) { stage in
            let exchange = try await stage.get()
            let response = try exchange.outcome.get()
            #expect(response.status == 302 && response.location == "https://other.kartapuce.test/")
            #expect(stage.server.requests.count == 1)
        }
    }

    // MARK: Limits

    @Test func whatIsTooLargeIsCutOff() async throws {
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        try await withStage([
            "/full": .content(200, type: "text/plain", body: [UInt8](repeating: 0x41, count: 1000)),
            "/length": .say("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"),
            "/chunks": .endless(chunked, "100\r\n\(String(repeating: "a", count: 256))\r\n"),
            "/stream": .endless("HTTP/1.1 200 OK\r\n\r\n", String(repeating: "a", count: 999)),
            "/trailers": .endless(chunked + "0\r\n", "A: b\r\n"), "/interim": .endless("", "HTTP/1.1 100 Continue\r\n\r\n"),
            "/fields": .endless("HTTP/1.1 200 OK\r\n", "A: \(String(repeating: "b", count: 1000))\r\n"),
            "/line": .endless("HTTP/1.1 200 OK\r\nA: ", String(repeating: "b", count: 1000)),
        ]) { stage in
            let full = try await stage.get("/full")
            #expect(try full.outcome.get().body.readableBytes == 1000)
            for target in ["/length", "/chunks", "/stream", "/trailers", "/interim", "/fields", "/line"] {
                let exchange = try await stage.get(target)
                let code = try #require(failure(exchange), "\(target) \(exchange)")
                #expect([.bodyTooLarge, .headerTooLarge, .invalidResponse].contains(code), "\(target) \(exchange)")
            }
            #expect(try await stage.code("/length") == .bodyTooLarge)
            #expect(try await stage.code("/fields") == .headerTooLarge)
        }
    }

    @Test func whoeverIsSlowIsLeft() async throws {
        var limits = HTTPSClient.Limits()
        limits.total = .milliseconds(300)
        let slow = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na"
        try await withStage(["/stall": .stall, "/slow": .say(slow)], limits: limits) { stage in
            for target in ["/stall", "/slow"] {
                let exchange = try await stage.get(target)
                #expect(failure(exchange) == .timeout && exchange.duration < .seconds(10), "\(exchange)")
                #expect(exchange.tls != nil && exchange.address == Self.loopback)
            }
        }
        struct Silent: DNS.Resolver {
            func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
                try? await Task.sleep(for: .seconds(100))
                throw DNSError(.timeout, name: name.ascii, type: type, reason: "silence")
            }
        }
        try await withStage(limits: limits, resolver: Silent()) { stage in
            let exchange = try await stage.get()
            #expect(exchange.failureCode == .timeout)
        }
    }

    @Test func whoeverDoesNotWaitAnyMoreEndsIt() async throws {
        try await withStage(["/": .stall]) { stage in
            let task = Task { try await stage.get() }
            #expect(await eventually { !stage.server.requests.isEmpty })
            task.cancel()
            let exchange = try await task.value
            #expect(failure(exchange) == .cancelled)
        }
    }

    @Test(arguments: [
        "SSH-2.0-x\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 2x0 OK\r\n\r\n", "\0\u{1}\u{2}\r\n\r\n",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n",
    ])
    func garbage(octets: String) async throws {
        try await withStage(["/": .say(octets)]) {
            let exchange = try await $0.get()
            #expect(failure(exchange) == .invalidResponse, "\(exchange)")
        }
    }

    @Test(arguments: ["", "logo.svg", "/a b", "/\r\nX: y", "/ä", "http://x/"])
    func whatIsNoTargetIsNotAskedFor(target: String) async throws {
        try await withStage { stage in
            let exchange = try await stage.get(target)
            #expect(exchange.failureCode == .invalidRequest)
            #expect(stage.server.requests.isEmpty)
        }
    }

    // MARK: Who answers

    @Test func certificatesThatProveNothing() async throws {
        func code(_ certificate: (WebAuthority) throws -> NIOSSLContext?, wildcards: Bool = true) async throws -> HTTPSFailure? {
            var found: HTTPSFailure?
            try await withStage(["/": .content(200, type: "text/plain", body: [])], certificate: certificate) { stage in
                if case .failure(let failure) = try await stage.get(wildcards: wildcards).outcome {
                    found = failure
                    #expect(stage.server.requests.isEmpty, "something was asked of a server that isn't proven")
                }
            }
            return found
        }
        let wrong = try await code { try $0.server(names: ["other.kartapuce.test", "a.test"]) }
        #expect(wrong?.code == .wrongName && wrong?.reason.contains("other.kartapuce.test, a.test") == true, "\(String(describing: wrong))")
        let expired = try await code { try $0.server(names: [Self.host], validity: -7200 ... -3600) }
        #expect(expired?.code == .untrustedCertificate && expired?.reason.contains("valid from") == true, "\(String(describing: expired))")
        #expect(try await code { try $0.server(names: [Self.host], validity: 3600...7200) }?.code == .untrustedCertificate)
        let own = try await code { try $0.server(names: [Self.host], isSelfSigned: true) }
        #expect(own?.code == .untrustedCertificate && own?.reason.contains("signed by itself") == true, "\(String(describing: own))")
        #expect(try await code { _ in try WebAuthority().server(names: [Self.host]) }?.code == .untrustedCertificate)
        #expect(try await code { try $0.server(names: [Self.host], purposes: [.clientAuth]) }?.code == .untrustedCertificate)
        // RFC 9525 §6.3: the common name is nobody's.
        #expect(try await code { try $0.server(names: [], commonName: Self.host) }?.code == .wrongName)
        #expect(try await code { _ in nil }?.code == .tlsFailed)
        #expect(try await code { try $0.server(names: ["*.kartapuce.test"]) } == nil)
        #expect(try await code({ try $0.server(names: ["*.kartapuce.test"]) }, wildcards: false)?.code == .wildcardCertificate)
        #expect(try await code({ try $0.server(names: ["*.kartapuce.test", Self.host]) }, wildcards: false) == nil)
        for name in ["*.test", "*", "l*.kartapuce.test", "*.*.test", "logos.*.test", "*.logos.kartapuce.test", "kartapuce.test"] {
            #expect(try await code { try $0.server(names: [name]) }?.code == .wrongName, "\(name)")
        }
    }

    @Test func identities() throws {
        let host = try DomainName("Logos.Kartapuce.test")
        #expect(HTTPSIdentity.match(["logos.kartapuce.test"], host: host) == .name("logos.kartapuce.test"))
        #expect(HTTPSIdentity.match(["*.kartapuce.test"], host: host) == .wildcard("*.kartapuce.test"))
        #expect(HTTPSIdentity.match(["*.kartapuce.test"], host: try DomainName("a.b.kartapuce.test")) == .none)
        #expect(HTTPSIdentity.match(["*.test"], host: try DomainName("kartapuce.test")) == .none)
        #expect(HTTPSIdentity.match(["*"], host: try DomainName("kartapuce")) == .none)
    }

    // MARK: Where it stands

    @Test func addressesOfTheInsideAreNotConnectedTo() async throws {
        try await withStage(["/": .content(200, type: "text/plain", body: [])], reach: .internet) { stage in
            let exchange = try await stage.get()
            #expect(failure(exchange) == .forbiddenAddress && exchange.forbiddenAddresses == [Self.loopback] && exchange.address == nil)
            #expect(stage.server.requests.isEmpty)
        }
        // IPv4 in the dress of IPv6 is the same address.
        let mapped = IPAddress.v6(0, 0xFFFF_7F00_0001)
        try await withStage(addresses: [mapped], reach: .internet) { stage in
            let exchange = try await stage.get()
            #expect(exchange.failureCode == .forbiddenAddress)
        }
    }

    @Test func ofAMixOnlyWhatIsAllowedIsConnectedTo() async throws {
        let other = IPAddress.v4(0x7f00_0002)
        try await withStage(["/": .content(200, type: "text/plain", body: [])], addresses: [Self.loopback, other], reach: .one(other)) { stage in
            let allowed = try await ScriptedWebServer.start(
                tls: try WebAuthority().server(names: [Self.host]), host: "127.0.0.2", port: stage.server.port, answers: [:])
            let exchange = try await stage.get()
            try await allowed.stop()
            // That one has a certificate of a stranger, which shows who was connected to.
            #expect(failure(exchange) == .untrustedCertificate && exchange.address == other && exchange.forbiddenAddresses == [Self.loopback])
            #expect(stage.server.requests.isEmpty)
        }
    }

    @Test func theNextAddressIsTriedWhereNobodyAnswers() async throws {
        let silent = IPAddress.v4(0x7f00_0003)
        try await withStage(["/": .content(200, type: "text/plain", body: [])], addresses: [silent, Self.loopback]) { stage in
            let exchange = try await stage.get()
            #expect(try exchange.outcome.get().status == 200)
            #expect(exchange.failedAddresses.map(\.address) == [silent] && exchange.failedAddresses.first?.failure.code == .connectionFailed)
        }
    }

    @Test func namesThatLeadNowhere() async throws {
        try await withStage { stage in
            #expect(try await stage.code(host: "empty.kartapuce.test") == .noAddress)
            #expect(try await stage.code(host: "missing.kartapuce.test") == .noAddress)
            #expect(try await stage.code(host: "broken.kartapuce.test") == .nameLookupFailed)
            try await stage.server.stop()
            #expect(try await stage.code() == .connectionFailed)
        }
    }
}

extension HTTPSExchange {
    fileprivate var failureCode: HTTPSFailure.Code? { if case .failure(let failure) = outcome { failure.code } else { nil } }
}
