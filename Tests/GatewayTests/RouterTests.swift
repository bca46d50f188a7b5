import DNS
import Foundation
import MailMessage
import MailTesting
import SMTP
import Testing

@testable import Gateway

@Suite struct RouterTests {
    private typealias Role = Configuration.Role

    private func router(_ roles: Set<Configuration.Role>, peers: [Configuration.Role] = []) throws -> Router {
        var configuration = Configuration()
        configuration.roles = roles
        configuration.domains = [try DomainName("kartapuce.test"), try DomainName("bücher.test")]
        for role in peers { configuration.peers[role] = .init(host: "\(role).kartapuce.test", address: .v4(0x7f00_0001), linkPort: 1, controlPort: nil) }
        return Router(configuration: configuration)
    }

    /// The destination's key, or the reply's code.
    private func route(_ address: String, _ router: Router) throws -> String {
        switch router.route(try EmailAddress(parsing: address)) {
        case .success(let decision): decision.destination.key
        case .failure(let refusal): "\(refusal.reply.code) \(refusal.reply.enhancedStatus.map { "\($0)" } ?? "")"
        }
    }

    /// The arrows of the zones: each role with its peers, where an own address goes, and where one of the internet goes.
    static let arrows: [(Set<Configuration.Role>, [Configuration.Role], String, String)] = [
        ([.mx, .relay, .submission, .store], [], "mailbox", "mx:gmail.test"),
        ([.mx], [.store], "link:store", "550 5.7.1"),
        // The edge has no way to the internet, even where a relay is named beside it.
        ([.mx], [.store, .relay], "link:store", "550 5.7.1"),
        ([.mx], [], "451 4.3.5", "550 5.7.1"),
        ([.relay], [.mx], "link:mx", "mx:gmail.test"),
        // A relay opens no connection into the internal zone, even where the store is named.
        ([.relay], [.store], "451 4.3.5", "mx:gmail.test"),
        ([.relay], [.store, .mx], "link:mx", "mx:gmail.test"),
        ([.submission], [.store, .relay], "link:store", "link:relay"),
        ([.submission], [.relay], "451 4.3.5", "link:relay"),
        ([.store], [.relay], "mailbox", "link:relay"),
        ([.store], [], "mailbox", "550 5.7.1"),
        ([.internal, .store], [.relay], "mailbox", "link:relay"),
        ([.mx, .relay], [.store], "link:store", "mx:gmail.test"),
    ]

    @Test(arguments: arrows)
    func arrowsOfTheZones(roles: Set<Configuration.Role>, peers: [Configuration.Role], own: String, outside: String) throws {
        let router = try router(roles, peers: peers)
        #expect(try route("bob@kartapuce.test", router) == own)
        #expect(try route("tom@gmail.test", router) == outside)
    }

    /// Routes of the configuration outrank the hosts of ours; one for the internet is the relay's alone.
    static let routed: [([String], Set<Configuration.Role>, String, String)] = [
        (["kartapuce.test"], [.mx], "route:kartapuce.test", "550 5.7.1"),
        (["kartapuce.test"], [.mx, .store], "route:kartapuce.test", "550 5.7.1"),
        (["*"], [.relay], "451 4.3.5", "route:*"),
        (["*", "gmail.test"], [.relay], "451 4.3.5", "route:gmail.test"),
        (["*"], [.mx, .store], "mailbox", "550 5.7.1"),
        (["yahoo.test"], [.relay, .store], "mailbox", "mx:gmail.test"),
    ]

    @Test(arguments: routed)
    func routes(names: [String], roles: Set<Configuration.Role>, own: String, outside: String) throws {
        var configuration = Configuration()
        configuration.roles = roles
        configuration.domains = [try DomainName("kartapuce.test")]
        for name in names { configuration.routes[name] = .init() }
        let router = Router(configuration: configuration)
        #expect(try route("bob@kartapuce.test", router) == own)
        #expect(try route("tom@gmail.test", router) == outside)
    }

    static let addresses: [(String, String)] = [
        ("bob@KARTAPUCE.test", "mailbox"), ("bob@xn--bcher-kva.test", "mailbox"), ("bob@bücher.test", "mailbox"),
        // Neither above nor below an own domain is an own one.
        ("bob@sub.kartapuce.test", "mx:sub.kartapuce.test"), ("bob@otherkartapuce.test", "mx:otherkartapuce.test"),
        ("bob@[192.0.2.1]", "ip:192.0.2.1"), ("bob@[IPv6:2001:db8::1]", "ip:2001:db8::1"),
    ]

    @Test(arguments: addresses)
    func addressesHaveDestinations(address: String, key: String) throws {
        let router = try router([.store, .relay])
        #expect(try route(address, router) == key)
        #expect(try router.isOwn(EmailAddress(parsing: address)) == (key == "mailbox"))
    }

    @Test(arguments: [
        ("tom@gmail.test", "route:gmail.test"), ("tom@GMAIL.test", "route:gmail.test"), ("tom@sub.gmail.test", "route:*"), ("tom@other.test", "route:*"),
        ("tom@[192.0.2.1]", "route:*"), ("bob@kartapuce.test", "link:mx"),
    ])
    func theRelayFollowsRoutes(address: String, key: String) throws {
        var configuration = Configuration()
        configuration.roles = [.relay]
        configuration.domains = [try DomainName("kartapuce.test")]
        configuration.peers[.mx] = .init(host: "mail.kartapuce.test", address: .v4(0x7f00_0001), linkPort: 1, controlPort: nil)
        for name in ["gmail.test", "*"] { configuration.routes[name] = .init() }
        #expect(try route(address, Router(configuration: configuration)) == key)
        configuration.routes["*"] = nil
        #expect(try route("tom@other.test", Router(configuration: configuration)) == "mx:other.test")
        // Who sends nothing to the internet has no use for routes either.
        configuration.roles = [.submission]
        configuration.peers[.relay] = configuration.peers[.mx]
        #expect(try route("tom@gmail.test", Router(configuration: configuration)) == "link:relay")
    }

    @Test func anUnreadableDomainIsRefused() throws {
        let router = try router([.store, .relay])
        let long = EmailAddress(localPart: "bob", domain: String(repeating: "a", count: 64) + ".test")
        guard case .failure(let refusal) = router.route(long) else { return #expect(Bool(false), "routed") }
        #expect(refusal.reply.code == 550)
        #expect(!router.isOwn(long))
        guard case .failure(let literal) = router.route(EmailAddress(localPart: "bob", domain: "[fax:123]")) else { return #expect(Bool(false), "routed") }
        #expect(literal.reply.code == 550)
    }

    @Test(arguments: [
        "mailbox", "link:store", "link:internal", "mx:gmail.test", "mx:xn--bcher-kva.test", "ip:192.0.2.1", "ip:2001:db8::1", "route:gmail.test", "route:*",
    ])
    func keysAreReadBack(key: String) { #expect(Destination(key: key)?.key == key) }

    @Test(arguments: ["", "mailboxes", "link:", "link:king", "mx:", "mx:a..b", "ip:1.2.3", "ip:", "lmtp:x", ":", "mx", "route:", "route:a..b"])
    func foreignKeysAreNone(key: String) { #expect(Destination(key: key) == nil) }
}

@Suite struct RetryScheduleTests {
    private let arrival = Date(timeIntervalSince1970: 1_800_000_000)

    private func schedule(_ seconds: [Int], expire: Int = 1000, warn: Int = 100) -> RetrySchedule {
        var settings = Configuration.QueueSettings()
        settings.retrySeconds = seconds
        settings.expireSeconds = expire
        settings.delayWarningSeconds = warn
        return RetrySchedule(settings)
    }

    @Test(arguments: [
        ([60, 300, 900], 1, 60.0), ([60, 300, 900], 2, 300), ([60, 300, 900], 3, 900), ([60, 300, 900], 100, 900), ([], 1, 900), ([60], 0, 60),
    ])
    func waitsFollowTheList(list: [Int], attempts: Int, wait: Double) {
        var generator = SeededGenerator(state: 7)
        var waits: Set<Double> = []
        for _ in 0..<200 {
            waits.insert(schedule(list).nextAttempt(after: attempts, at: arrival, using: &generator).timeIntervalSince(arrival))
        }
        #expect(waits.allSatisfy { (0.85 * wait - 0.001...1.15 * wait + 0.001).contains($0) })
        // The jitter uses its whole room, and isn't the same twice.
        #expect(waits.count > 150)
        #expect((waits.min() ?? 0) < 0.9 * wait && (waits.max() ?? 0) > 1.1 * wait)
    }

    @Test func theGeneratorDecides() {
        var one = SeededGenerator(state: 1)
        var same = SeededGenerator(state: 1)
        let schedule = schedule([60])
        #expect(schedule.nextAttempt(after: 1, at: arrival, using: &one) == schedule.nextAttempt(after: 1, at: arrival, using: &same))
    }

    @Test(arguments: [(99.0, false, false), (100, true, false), (999, true, false), (1000, true, true), (5000, true, true)])
    func delayAndExpiryBeginOnTime(seconds: Double, delayed: Bool, expired: Bool) {
        let time = arrival.addingTimeInterval(seconds)
        #expect(schedule([60]).isDelayed(arrival: arrival, at: time) == delayed)
        #expect(schedule([60]).isExpired(arrival: arrival, at: time) == expired)
        #expect(schedule([60]).expiry(of: arrival) == arrival.addingTimeInterval(1000))
    }
}
