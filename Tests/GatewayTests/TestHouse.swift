import DNS
import Foundation
import Journeys
import Logging
import MailMessage
import MailStore
import MailTesting
import MailTransport
import NIOCore
import NIOPosix
import NIOSSL
import SASL
import SMTP
import Testing
import TransportSecurity

@testable import Gateway

/// What stands around the hosts of a test: a folder, an authority, a clock, the DNS, and the mail exchanger of gmail.test.
struct TestHouse: Sendable {
    static let loopback = IPAddress.v4(0x7f00_0001)
    static let password = "correct horse"
    static let quiet = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }

    let folder: String
    let authority: LinkAuthority
    let clock: TestClock
    let resolver: ZoneResolver
    let outside: ScriptedServer

    /// - Parameter scripts: what gmail.test's exchanger does, for each connection in turn.
    static func open(
        outside scripts: [[ScriptedServer.Rule]] = [ScriptedServer.obedient], zones change: (inout ZoneResolver) throws -> Void = { _ in },
        _ body: (TestHouse) async throws -> Void
    ) async throws {
        try await withTemporaryFolder { folder in
            let outside = try await ScriptedServer.start(MultiThreadedEventLoopGroup.singleton, scripts: scripts)
            var zones = ZoneResolver()
            for (domain, address) in [("gmail.test", loopback), ("down.test", .v4(0x7f00_0009))] {
                let exchanger = try DomainName("mx.\(domain)")
                zones.add(try DomainName(domain), .mx, .mx(preference: 10, exchange: exchanger))
                zones.add(exchanger, .a, .address(address))
            }
            zones.add(try DomainName("silent.test"), .mx, .mx(preference: 0, exchange: .root))
            zones.add(try DomainName("ours.test"), .mx, .mx(preference: 10, exchange: try DomainName("mail.kartapuce.test")))
            zones.add(try DomainName("empty.test"), .txt, .txt([]))
            zones.fail(try DomainName("broken.test"), with: .serverFailure)
            try change(&zones)
            let house = TestHouse(
                folder: folder, authority: try LinkAuthority.create(), clock: TestClock(.now), resolver: zones, outside: outside)
            let result = await result { try await body(house) }
            try await outside.stop()
            try result.get()
        }
    }

    fileprivate static func result(_ body: () async throws -> Void) async -> Result<Void, any Error> {
        do { return .success(try await body()) } catch { return .failure(error) }
    }

    /// Certificate, key and authority of a link between hosts.
    func linkFiles(_ roles: Set<Configuration.Role>) throws -> Configuration.LinkFiles {
        let files = try authority.issue(host: "link.kartapuce.test", roles: roles).write(folder: "\(folder)/\(UUID().uuidString)", name: "link")
        return .init(certificate: files.certificate, key: files.key, authority: files.authority)
    }

    func linkClient(_ roles: Configuration.Role...) throws -> TLSClientContext {
        let files = try linkFiles(Set(roles))
        return try .link(certificateFile: files.certificate, keyFile: files.key, authorityFile: files.authority)
    }

    /// What PosternServer makes of a configuration, on ports that the system chooses, with the house's clock and DNS.
    func withHost(
        _ name: String = "mail", roles: Set<Configuration.Role> = [.mx, .relay, .submission, .store],
        listeners kinds: [Configuration.Listener.Kind] = [], runsQueue: Bool = true, fetcher: (any MTASTSFetcher)? = nil,
        change: (inout Configuration) throws -> Void = { _ in },
        _ body: (TestHost) async throws -> Void
    ) async throws {
        var configuration = Configuration()
        configuration.authentication.mode = .off
        configuration.hostname = "\(name).kartapuce.test"
        configuration.roles = roles
        configuration.dataFolder = "\(folder)/\(name)"
        configuration.domains = [try DomainName("kartapuce.test")]
        configuration.outboundPort = outside.port
        configuration.link = try linkFiles(roles)
        let server = try authority.issueServer(hosts: [configuration.hostname], addresses: [Self.loopback])
            .write(folder: "\(folder)/certificates-\(name)", name: "server")
        configuration.certificate = .init(certificate: server.certificate, key: server.key)
        try change(&configuration)
        let clock = clock
        let now: @Sendable () -> Date = { clock.now }
        let group = MultiThreadedEventLoopGroup.singleton
        let host = try await Gateway.Host(configuration: configuration, group: group, logger: Self.quiet)
        var client = SMTPClientConfiguration(hostname: configuration.hostname)
        client.shutdownGrace = .milliseconds(300)
        let pool = SMTPClientPool(configuration: client, tls: host.clientTLS, group: group, logger: Self.quiet)
        let queue = host.queueRunner(host.deliveryMeans(pool: pool, resolver: resolver, fetcher: fetcher, now: now), now: now)
        let listeners = Listeners(host: host, resolver: resolver, now: now) { queue.offer($0) }
        var servers: [SMTPServer] = []
        var ports: [Configuration.Listener.Kind: Int] = [:]
        for kind in kinds {
            let server = try #require(try listeners.smtpServer(for: .init(kind: kind, address: Self.loopback, port: 0)))
            ports[kind] = try await server.bind(address: Self.loopback, port: 0)
            servers.append(server)
        }
        let running = runsQueue ? Task { try await queue.run() } : nil
        let result = await Self.result {
            try await body(
                TestHost(
                    host: host, clock: clock, queue: queue, ports: ports, authorityFile: server.authority, listeners: listeners,
                    means: .init(pool: pool, queue: queue, smtpServers: Array(zip(kinds, servers)))))
        }
        for server in servers { await server.shutdown(grace: .milliseconds(200)) }
        running?.cancel()
        _ = await running?.result
        await pool.shutdown()
        try await host.close()
        try result.get()
    }
}

/// A host that runs.
struct TestHost: Sendable {
    let host: Gateway.Host
    let clock: TestClock
    let queue: QueueRunner
    let ports: [Configuration.Listener.Kind: Int]
    let authorityFile: String
    let listeners: Listeners
    let means: Reloader.Means

    /// What reloads this host.
    func reloader(_ reread: @escaping @Sendable () throws -> Configuration) -> Reloader {
        let clock = clock
        return Reloader(
            host: host, listeners: listeners, means: means, reread: reread, setLogLevel: { _ in }, now: { clock.now }, logger: TestHouse.quiet)
    }

    var spool: SpoolStore { host.spool }
    func port(_ kind: Configuration.Listener.Kind) throws -> Int { try #require(ports[kind]) }
    func mailboxes() throws -> MailboxStore { try #require(host.mailboxes) }

    func addUsers(_ names: String...) async throws {
        let verifier = try SCRAMVerifier(password: TestHouse.password, salt: [1, 2, 3, 4], iterations: 4096)
        for name in names { try await mailboxes().addUser(EmailAddress(localPart: name, domain: "kartapuce.test"), verifier: verifier) }
    }

    func setAlias(_ alias: String, _ targets: String...) async throws {
        try await mailboxes().setAlias(EmailAddress(parsing: alias), targets: targets.map { try EmailAddress(parsing: $0) })
    }

    /// The messages in somebody's INBOX, oldest first.
    func inbox(_ name: String) async throws -> [String] {
        let store = try mailboxes()
        let user = EmailAddress(localPart: name, domain: "kartapuce.test")
        let mailbox = try #require(try await store.mailbox(named: "INBOX", of: user))
        var texts: [String] = []
        for message in try await store.messages(in: mailbox.id, uids: 1...UInt32.max) {
            let content = try #require(try await store.content(message.contentID))
            texts.append(String(buffer: try await content.readAll()))
        }
        return texts
    }

    func journey(_ trace: TraceID) async throws -> [JourneyEvent] {
        try await spool.records(of: trace).flatMap { try JourneyCoding.decode($0.payload) }
    }

    static let sample = """
        From: Bob <bob@kartapuce.test>\r\nTo: tom@gmail.test\r\nSubject: Numbers\r\nDate: Mon, 23 Nov 2026 21:19:03 +0000\r
        Message-ID: <numbers@kartapuce.test>\r\n\r\nThe body of it\r\n
        """

    /// Puts a message into the queue as reception does.
    @discardableResult func enqueue(
        from sender: String? = "bob@kartapuce.test", to recipients: String..., notify: DSNNotify? = nil, original: String? = nil,
        envelopeID: String? = nil, returns: DSNReturn? = nil, requiresTLS: Bool = false, text: String = sample
    ) async throws -> (id: QueueID, trace: TraceID) {
        let trace = TraceID.random()
        var routes: [(recipient: EnvelopeRecipient, destination: String)] = []
        for text in recipients {
            let address = try EmailAddress(parsing: text)
            let recipient = EnvelopeRecipient(address: address, notify: notify, originalRecipient: original)
            routes.append((recipient, try host.router.route(address).get().destination.key))
        }
        let envelope = Envelope(
            reversePath: try sender.map { try EmailAddress(parsing: $0) }, envelopeID: envelopeID, dsnReturn: returns, requiresTLS: requiresTLS)
        let id = try await spool.enqueue(
            NewSpoolMessage(
                trace: trace, envelope: envelope, routes: routes, prefix: ByteBuffer(string: "Received: by \(host.configuration.hostname); now\r\n"),
                content: BufferedContent(ByteBuffer(string: text)), arrival: clock.now), journey: [])
        queue.wake()
        return (id, trace)
    }

    /// Waits until the message has been tried so often; the recipients that wait then.
    func tried(_ id: QueueID, _ attempts: Int) async throws -> [QueuedRecipient] {
        #expect(try await eventually { try await spool.recipients(of: id).allSatisfy { $0.attempts >= attempts } })
        return try await spool.recipients(of: id)
    }

    /// Waits until nothing is in the queue, held or not.
    func emptied() async throws -> Bool { try await eventually { try await spool.counts() == (queued: 0, held: 0) } }

    /// Lets time pass.
    func pass(_ seconds: TimeInterval) {
        clock.advance(by: seconds)
        queue.wake()
    }

    /// A client in clear, as from the internet, that has said EHLO.
    func client(_ kind: Configuration.Listener.Kind = .smtp, tls: TLSClientContext? = nil) async throws -> ServerTestClient {
        let client = try await ServerTestClient(port: try port(kind), tls: tls?.context)
        _ = await client.reply()
        _ = try await client.say("EHLO client.gmail.test")
        return client
    }
}

extension ServerTestClient {
    /// Sends a message; the reply to its end.
    func send(from sender: String, to recipients: String..., text: String) async throws -> String {
        let opening = try await say("MAIL FROM:<\(sender)>")
        guard opening.hasPrefix("250") else { return opening }
        for recipient in recipients {
            let reply = try await say("RCPT TO:<\(recipient)>")
            guard reply.hasPrefix("250") else { return reply }
        }
        let data = try await say("DATA")
        guard data.hasPrefix("354") else { return data }
        return try await say(text + ".")
    }
}

extension ScriptedServer {
    /// The messages that some recipient got. Where all were refused, a client that has sent DATA with them ends it at once (RFC 2920 §3.1).
    var taken: [String] { record.messages.filter { $0.readableBytes > 0 }.map { String(buffer: $0) } }
}

/// The trace that a 250 names.
func trace(in reply: String) throws -> TraceID { try #require(TraceID(String(reply.suffix(32))), "\(reply)") }

/// A notification, read back (RFC 3464 §2).
struct ParsedNotice {
    let message: Message
    let perMessage: HeaderSection
    let recipients: [HeaderSection]
    let returned: MIMEPart?

    init(_ text: String) throws {
        message = Message(parsing: ByteBuffer(string: text))
        let status = try #require(message.part(at: [2]))
        #expect(status.header.first(named: "Content-Type")?.value == "message/delivery-status")
        let groups = String(buffer: status.body).components(separatedBy: "\r\n\r\n").filter { !$0.isEmpty }
            .map { HeaderSection(parsing: ByteBuffer(string: $0 + "\r\n\r\n")) }
        perMessage = try #require(groups.first)
        recipients = Array(groups.dropFirst())
        returned = message.part(at: [3])
    }

    func field(_ name: String, of place: Int = 0) -> String? { recipients.indices.contains(place) ? recipients[place].first(named: name)?.value : nil }
}
