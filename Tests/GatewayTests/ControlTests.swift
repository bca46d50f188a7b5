import DNS
import Foundation
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import NIOSSL
import SASL
import Synchronization
import Testing

@testable import Gateway

/// A control listener and what it was asked.
private struct ControlHouse {
    let house: TestHouse
    let channel: any Channel
    let port: Int

    static func open(
        _ house: TestHouse, roles: Set<Configuration.Role>, service: any ControlService, timeout: TimeAmount = .seconds(20),
        limiter: ConnectionLimiter = ConnectionLimiter(total: 100, perNetwork: 100), _ body: (ControlHouse) async throws -> Void
    ) async throws {
        let files = try house.linkFiles(roles)
        let server = ControlServer(
            tls: try TLSServerContext(certificateFile: files.certificate, keyFile: files.key, audience: .link(authorityFile: files.authority)),
            service: service, group: MultiThreadedEventLoopGroup.singleton, timeout: timeout, limiter: limiter, logger: TestHouse.quiet)
        let channel = try await server.bind(address: TestHouse.loopback, port: 0)
        let result: Result<Void, any Error>
        do {
            result = .success(try await body(ControlHouse(house: house, channel: channel, port: try #require(channel.localAddress?.port))))
        } catch { result = .failure(error) }
        try await channel.close()
        try result.get()
    }

    /// A client with these roles that wants to speak with a host of that role.
    func client(_ roles: Configuration.Role..., to role: Configuration.Role, host: String = "peer.kartapuce.test") throws -> ControlClient {
        let files = try house.linkFiles(Set(roles))
        return ControlClient(
            peer: .init(host: host, address: TestHouse.loopback, linkPort: nil, controlPort: port), role: role,
            tls: try .link(certificateFile: files.certificate, keyFile: files.key, authorityFile: files.authority),
            group: MultiThreadedEventLoopGroup.singleton)
    }
}

/// Answers everything, and remembers what it was asked.
private final class RecordingControl: ControlService {
    private let requests = Mutex<[ControlRequest]>([])
    var asked: [ControlRequest] { requests.withLock { $0 } }
    func answer(_ request: ControlRequest, roles: Set<String>) async -> ControlResponse {
        requests.withLock { $0.append(request) }
        return .done
    }
}

@Suite struct ControlRequestTests {
    @Test func requestsAreReadBack() throws {
        let odd = EmailAddress(localPart: "a b&c=%+?/#\"é😀", domain: "kartapuce.test")
        let bob = EmailAddress(localPart: "bob+lists", domain: "bücher.test")
        let requests: [ControlRequest] = [
            .setRecipients([1, 2, 3]), .recipientsVersion, .journeys(after: 0), .journeys(after: .max), .verifier(odd), .verifier(bob), .knows(odd),
            .knows(bob), .mayUser(odd, sendAs: bob), .mayUser(bob, sendAs: odd), .texts(try DomainName("gmail.test._report._dmarc.bücher.test")),
        ]
        for request in requests {
            let line = request.line
            #expect(line.target.utf8.allSatisfy { (0x21...0x7e).contains($0) })
            #expect(ControlRequest(method: line.method, target: line.target, body: request.body) == request)
        }
    }

    @Test(arguments: [
        ("GET", "/"), ("GET", ""), ("POST", "/v1/recipients"), ("GET", "/v1/recipients"), ("PUT", "/v1/recipients/version"), ("GET", "/v1/journeys"),
        ("GET", "/v1/journeys?after="), ("GET", "/v1/journeys?after=x"), ("GET", "/v1/journeys?after=99999999999999999999"), ("GET", "/v1/verifier"),
        ("GET", "/v1/verifier?user=bob"), ("GET", "/v1/verifier?user=bob%40kartapuce.test%0"), ("GET", "/v1/verifier?user=bob%+0kartapuce.test"),
        ("GET", "/v1/verifier?user=%ff%40kartapuce.test"), ("GET", "/v1/may?user=bob%40kartapuce.test"), ("GET", "/v1/knows?user=bob%40kartapuce.test"),
        ("GET", "/v2/recipients/version"), ("GET", "?after=1"), ("GET", "/v1/knows?address=bob%40kartapuce.test%0D%0Ax"),
    ]) func foreignRequestsAreNone(method: String, target: String) { #expect(ControlRequest(method: method, target: target, body: []) == nil) }

    /// Whatever the octets are, reading ends.
    @Test func anyOctetsAreRead() {
        var generator = SeededGenerator(state: 3)
        let pieces = [
            "/v1/", "verifier", "knows", "may", "journeys", "?", "&", "=", "%", "%4", "%40", "user", "address", "after", "bob@x.test", "é", "\0", "\u{FEFF}",
        ]
        for _ in 0..<5000 {
            let target = (0..<Int.random(in: 0...8, using: &generator)).map { _ in pieces.randomElement(using: &generator) ?? "" }.joined()
            if let request = ControlRequest(method: "GET", target: target, body: []) {
                #expect(ControlRequest(method: "GET", target: request.line.target, body: []) == request)
            }
        }
    }
}

@Suite(.timeLimit(.minutes(3))) struct ControlTests {
    /// Each request, and the roles that may make it: everybody else hears 403, and the service nothing.
    @Test func rolesDecide() async throws {
        try await TestHouse.open { house in
            let service = RecordingControl()
            let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            try await ControlHouse.open(house, roles: [.mx, .store], service: service) { control in
                let permitted: [(ControlRequest, Set<Configuration.Role>)] = [
                    (.setRecipients([1]), [.store]), (.recipientsVersion, [.store]), (.journeys(after: 0), [.store]),
                    (.texts(try DomainName("_dmarc.gmail.test")), [.store]),
                    (.verifier(bob), [.submission, .internal]),
                    (.knows(bob), [.submission, .internal]), (.mayUser(bob, sendAs: bob), [.submission, .internal]),
                ]
                for (request, roles) in permitted {
                    for role in Configuration.Role.allCases {
                        let before = service.asked.count
                        let response = try await control.client(role, to: .mx).send(request)
                        #expect(response.status == (roles.contains(role) ? 204 : 403), "\(role) \(request.line)")
                        #expect(service.asked.count == before + (roles.contains(role) ? 1 : 0))
                    }
                }
                // A host of several roles may do what any of them may.
                #expect(try await control.client(.mx, .store, to: .mx).send(.recipientsVersion).status == 204)
            }
        }
    }

    /// The store asks by it who agrees to get reports, and nothing else.
    @Test func onlyNamesOfDMARCAreLookedUpForTheStore() async throws {
        try await TestHouse.open { house in
            try await house.withHost("smtp", roles: [.relay], runsQueue: false) { relay in
                var zones = ZoneResolver()
                zones.add(try DomainName("_dmarc.gmail.test"), .txt, .txt(Array("v=DMARC1".utf8)))
                zones.add(try DomainName("gmail.test"), .txt, .txt(Array("v=spf1".utf8)))
                zones.fail(try DomainName("_dmarc.slow.test"), with: .timeout)
                zones.fail(try DomainName("_dmarc.bogus.test"), with: .bogus)
                let service = HostControl(journeys: relay.spool, digests: nil, accounts: nil, resolver: zones)
                try await ControlHouse.open(house, roles: [.relay], service: service) { control in
                    let texts = RemoteTexts(host: try control.client(.store, to: .relay))
                    let answer = try await texts.lookup(try DomainName("_dmarc.gmail.test"), .txt)
                    #expect(answer.records == [.txt(Array("v=DMARC1".utf8))] && answer.outcome == .records)
                    #expect(try await texts.lookup(try DomainName("_dmarc.nobody.test"), .txt).outcome == .nonexistentDomain)
                    for (name, type, code) in [
                        ("gmail.test", DNSRecordType.txt, DNSError.Code.serverFailure), ("_dmarc.gmail.test", .a, .invalidQuestion),
                        ("_dmarc.slow.test", .txt, .timeout),
                        ("_dmarc.bogus.test", .txt, .bogus),
                    ] {
                        let name = try DomainName(name)
                        await #expect { try await texts.lookup(name, type) } throws: { ($0 as? DNSError)?.code == code }
                    }
                }
            }
        }
    }

    /// The other side must be who it should be, before anything is said to it.
    @Test func theServerMustHaveItsRole() async throws {
        try await TestHouse.open { house in
            let service = RecordingControl()
            try await ControlHouse.open(house, roles: [.relay], service: service) { control in
                let client = try control.client(.store, to: .mx)
                await #expect { try await client.send(.setRecipients([1])) } throws: { error in
                    (error as? DirectoryUnavailable)?.description.contains("doesn't name the role mx") == true
                }
                #expect(service.asked.isEmpty)
            }
            let nobody = ControlClient(
                peer: .init(host: "peer.kartapuce.test", address: TestHouse.loopback, linkPort: nil, controlPort: 1),
                role: .mx, tls: try house.linkClient(.store), group: MultiThreadedEventLoopGroup.singleton)
            await #expect(throws: DirectoryUnavailable.self) { try await nobody.send(.recipientsVersion) }
        }
    }

    /// Without a certificate of ours there is no conversation, whatever is said.
    @Test func strangersHearNothing() async throws {
        try await TestHouse.open { house in
            let service = RecordingControl()
            try await ControlHouse.open(house, roles: [.mx], service: service) { control in
                let other = try LinkAuthority.create()
                let files = try other.issue(host: "link.kartapuce.test", roles: [.store]).write(folder: "\(house.folder)/other", name: "link")
                let forged = try TLSClientContext.link(
                    certificateFile: files.certificate, keyFile: files.key, authorityFile: try house.linkFiles([.mx]).authority)
                for tls in [try TLSClientContext.opportunistic().context, forged.context] {
                    let client = try await ServerTestClient(port: control.port, tls: tls)
                    client.push(ByteBuffer(string: "GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\n\r\n"))
                    #expect(await client.reply().isEmpty)
                }
                let clear = try await ServerTestClient(port: control.port)
                clear.push(ByteBuffer(string: "GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\n\r\n"))
                #expect(await !clear.reply().contains { $0.hasPrefix("HTTP") })
                #expect(service.asked.isEmpty)
            }
        }
    }

    /// What a host of ours that has been taken over may say, and the first line that it hears.
    static let garbage: [(String, String)] = [
        ("\u{0}\u{1}\u{2}\r\n\r\n", "HTTP/1.1 400"), ("GET\r\n\r\n", "HTTP/1.1 400"), ("MAIL FROM:<a@b.test>\r\n\r\n", "HTTP/1.1 400"),
        ("GET /v1/unknown HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400"), ("DELETE /v1/recipients HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 400"),
        ("GET /v1/knows?address=bob%40kartapuce.test HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 403"),
        // More than is ever taken is refused by its announcement, and where it isn't announced, when it comes.
        ("PUT /v1/recipients HTTP/1.1\r\nHost: x\r\nContent-Length: 67108865\r\n\r\n", "HTTP/1.1 413"),
        ("GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", "HTTP/1.1 413"),
        ("GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "HTTP/1.1 413"),
        ("PUT /v1/recipients HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n", "HTTP/1.1 400"),
        ("PUT /v1/recipients HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 400"),
        ("GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\n\r\n", "HTTP/1.1 204"),
    ]

    @Test func garbageIsAnswered() async throws {
        try await TestHouse.open { house in
            try await ControlHouse.open(house, roles: [.mx], service: RecordingControl()) { control in
                let tls = try house.linkClient(.store)
                for (text, answer) in Self.garbage {
                    let client = try await ServerTestClient(port: control.port, tls: tls.context)
                    client.push(ByteBuffer(string: text))
                    let first = await client.reply().first ?? ""
                    #expect(first.hasPrefix(answer), "\(text.debugDescription): \(first)")
                    await client.close()
                }
                // A head without an end has a limit.
                let endless = try await ServerTestClient(port: control.port, tls: tls.context)
                endless.push(ByteBuffer(string: "GET /v1/recipients/version HTTP/1.1\r\nX: " + String(repeating: "x", count: 1 << 20)))
                #expect(await !endless.reply().contains { $0.hasPrefix("HTTP/1.1 2") })
            }
        }
    }

    /// One request for each connection: what is sent behind it is not heard.
    @Test func asManyRequestsAsConnections() async throws {
        try await TestHouse.open { house in
            let service = RecordingControl()
            try await ControlHouse.open(house, roles: [.mx], service: service) { control in
                let client = try await ServerTestClient(port: control.port, tls: try house.linkClient(.store).context)
                client.push(ByteBuffer(string: String(repeating: "GET /v1/recipients/version HTTP/1.1\r\nHost: x\r\n\r\n", count: 50)))
                while await !client.reply().isEmpty {}
                #expect(service.asked.count == 1)
            }
        }
    }

    @Test func slowClientsAreLeft() async throws {
        try await TestHouse.open { house in
            let service = RecordingControl()
            try await ControlHouse.open(house, roles: [.mx], service: service, timeout: .milliseconds(400)) { control in
                // In the handshake, in the head, and in the body.
                let handshake = try await ServerTestClient(port: control.port)
                let tls = try house.linkClient(.store)
                let head = try await ServerTestClient(port: control.port, tls: tls.context)
                head.push(ByteBuffer(string: "GET /v1/reci"))
                let body = try await ServerTestClient(port: control.port, tls: tls.context)
                body.push(ByteBuffer(string: "PUT /v1/recipients HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf"))
                for client in [handshake, head, body] { #expect(await client.reply().isEmpty) }
                #expect(service.asked.isEmpty)
            }
        }
    }

    @Test func connectionsAreCounted() async throws {
        try await TestHouse.open { house in
            let limiter = ConnectionLimiter(total: 100, perNetwork: 3)
            try await ControlHouse.open(house, roles: [.mx], service: RecordingControl(), limiter: limiter) { control in
                var idle: [ServerTestClient] = []
                for _ in 0..<3 { idle.append(try await ServerTestClient(port: control.port)) }
                #expect(await eventually { limiter.openConnections == 3 })
                await #expect(throws: DirectoryUnavailable.self) { try await control.client(.store, to: .mx).send(.recipientsVersion) }
                for client in idle { await client.close() }
                #expect(await eventually { limiter.openConnections == 0 })
                #expect(try await control.client(.store, to: .mx).send(.recipientsVersion).status == 204)
            }
        }
    }

    // MARK: - What is asked

    /// The directory of a submission host says what the accounts say, over the network.
    @Test func aRemoteDirectorySaysWhatTheAccountsSay() async throws {
        try await TestHouse.open { house in
            try await house.withHost("imap", roles: [.store], runsQueue: false) { store in
                try await store.addUsers("bob", "jack")
                try await store.setAlias("robert@kartapuce.test", "bob@kartapuce.test")
                let accounts = AccountDirectory(accounts: try store.mailboxes())
                try await ControlHouse.open(house, roles: [.store], service: HostControl(journeys: store.spool, digests: nil, accounts: accounts)) { control in
                    let remote = RemoteDirectory(store: try control.client(.submission, to: .store))
                    for name in ["bob", "BOB", "bob+x", "robert", "jack", "nobody", "a b"] {
                        let address = EmailAddress(localPart: name, domain: "kartapuce.test")
                        let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
                        #expect(try await remote.verifier(forUser: address.lowercased) == accounts.verifier(forUser: address.lowercased))
                        #expect(try await remote.knows(address) == accounts.knows(address))
                        #expect(try await remote.mayUser(bob, sendAs: address) == accounts.mayUser(bob, sendAs: address))
                    }
                    #expect(try await control.client(.store, to: .store).send(.recipientsVersion).status == 404)
                }
                let away = RemoteDirectory(
                    store: ControlClient(
                        peer: .init(host: "imap.kartapuce.test", address: TestHouse.loopback, linkPort: nil, controlPort: 1), role: .store,
                        tls: try house.linkClient(.submission), group: MultiThreadedEventLoopGroup.singleton))
                await #expect(throws: DirectoryUnavailable.self) { try await away.knows(EmailAddress(localPart: "bob", domain: "kartapuce.test")) }
            }
        }
    }

    /// The inside tells the edge who its recipients are, again when they change, and again when the edge has lost them.
    @Test func recipientsArePublished() async throws {
        try await TestHouse.open { house in
            let bob = EmailAddress(localPart: "bob", domain: "kartapuce.test")
            let alice = EmailAddress(localPart: "alice", domain: "kartapuce.test")
            let edgeFolder = "\(house.folder)/edge"
            try FileManager.default.createDirectory(atPath: edgeFolder, withIntermediateDirectories: true)
            try await house.withHost("imap", roles: [.store], runsQueue: false) { store in
                try await store.addUsers("bob")
                let digests = RecipientDigestFile(folder: edgeFolder, subaddressSeparator: "+")
                let control = HostControl(journeys: store.spool, digests: digests, accounts: nil)
                #expect(digests.contains(bob) == nil)
                try await ControlHouse.open(house, roles: [.mx], service: control) { edge in
                    let publisher = RecipientPublisher(
                        accounts: try store.mailboxes(), edge: try edge.client(.store, to: .mx), interval: .milliseconds(50), logger: TestHouse.quiet)
                    let running = Task { try await publisher.run() }
                    #expect(await eventually { digests.contains(bob) == true })
                    #expect(digests.contains(alice) == false)
                    let version = digests.version
                    try await Task.sleep(for: .milliseconds(300))
                    // What hasn't changed isn't sent again.
                    #expect(digests.version == version)
                    try await store.addUsers("alice")
                    #expect(await eventually { digests.contains(alice) == true })
                    try await store.mailboxes().removeUser(alice)
                    #expect(await eventually { digests.contains(alice) == false })
                    #expect(try digests.replace(with: DigestSet(key: Array(0..<32), addresses: [], catchAllDomains: []).serialized))
                    #expect(digests.contains(bob) == false)
                    #expect(await eventually { digests.contains(bob) == true })
                    running.cancel()
                    _ = await running.result
                    // Octets that are no digests change nothing.
                    #expect(try await edge.client(.store, to: .mx).send(.setRecipients(Array("bob@kartapuce.test".utf8))).status == 400)
                    #expect(try await edge.client(.store, to: .mx).send(.setRecipients([])).status == 400)
                    #expect(digests.contains(bob) == true)
                }
            }
            // After a restart with the inside away.
            #expect(RecipientDigestFile(folder: edgeFolder, subaddressSeparator: "+").contains(bob) == true)
        }
    }
}

@Suite struct RecipientDigestFileTests {
    private let addresses = ["bob", "jack", "sales"].map { EmailAddress(localPart: $0, domain: "kartapuce.test") }

    private func digests(_ key: UInt8, _ addresses: [EmailAddress], catchAll: [String] = []) -> [UInt8] {
        DigestSet(key: Array(repeating: key, count: 32), addresses: addresses, catchAllDomains: catchAll).serialized
    }

    @Test func theDiskHoldsNoAddress() async throws {
        try await withTemporaryFolder { folder in
            let file = RecipientDigestFile(folder: folder, subaddressSeparator: "+")
            #expect(file.contains(addresses[0]) == nil && file.version.isEmpty)
            #expect(try file.replace(with: digests(1, addresses, catchAll: ["friends.test"])))
            #expect(file.contains(addresses[0]) == true)
            var octets = 0
            for path in FileManager.default.subpaths(atPath: folder) ?? [] {
                let data = FileManager.default.contents(atPath: "\(folder)/\(path)") ?? Data()
                octets += data.count
                for word in ["bob", "jack", "sales", "kartapuce", "friends"] {
                    #expect(data.range(of: Data(word.utf8)) == nil, "\(word) in \(path)")
                    #expect(!path.contains(word))
                }
                let mode = try FileManager.default.attributesOfItem(atPath: "\(folder)/\(path)")[.posixPermissions] as? Int
                #expect(mode.map { $0 & 0o077 } == 0)
            }
            #expect(octets > 4 * 16)
        }
    }

    /// Another key gives other digests: two editions can't be compared, and without the key no guess can be tried.
    @Test func digestsDependOnTheKey() throws {
        let one = digests(1, addresses)
        let two = digests(2, addresses)
        #expect(one.count == two.count)
        #expect(RecipientDigestFile.version(of: one) != RecipientDigestFile.version(of: two))
        let key = Array(repeating: UInt8(1), count: 32)
        for address in addresses {
            let digest = RecipientDigest(address, key: key).octets
            #expect(Data(one).range(of: Data(digest)) != nil)
            #expect(Data(two).range(of: Data(digest)) == nil)
        }
    }

    @Test func aRestartKnowsThemStill() async throws {
        try await withTemporaryFolder { folder throws in
            let file = RecipientDigestFile(folder: folder, subaddressSeparator: "+")
            #expect(try file.replace(with: digests(1, addresses)))
            let restarted = RecipientDigestFile(folder: folder, subaddressSeparator: "+")
            #expect(restarted.version == file.version)
            #expect(restarted.contains(EmailAddress(localPart: "Bob+lists", domain: "kartapuce.test")) == true)
            #expect(restarted.contains(EmailAddress(localPart: "bob", domain: "gmail.test")) == false)
            let separatorless = RecipientDigestFile(folder: folder, subaddressSeparator: "")
            #expect(separatorless.contains(EmailAddress(localPart: "bob+lists", domain: "kartapuce.test")) == false)
        }
    }

    /// A damaged file counts as none, and nothing that isn't digests takes the place of digests.
    @Test func damageCountsAsNone() async throws {
        try await withTemporaryFolder { folder in
            let whole = digests(1, addresses)
            let file = RecipientDigestFile(folder: folder, subaddressSeparator: "+")
            #expect(try file.replace(with: whole))
            for cut in 0..<whole.count {
                #expect(try !file.replace(with: Array(whole[..<cut])))
                try Data(whole[..<cut]).write(to: URL(fileURLWithPath: "\(folder)/recipients.digests"))
                #expect(RecipientDigestFile(folder: folder, subaddressSeparator: "+").contains(addresses[0]) == nil)
            }
            #expect(try !file.replace(with: whole + [0]))
            #expect(file.contains(addresses[0]) == true)
        }
    }
}
