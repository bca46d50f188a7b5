import DNS
import Synchronization
import Testing

@testable import Portal

/// A clock that a test moves.
final class MovableClock: Sendable {
    private let offset = Mutex(Duration.zero)
    private let start = ContinuousClock.now

    var now: @Sendable () -> ContinuousClock.Instant {
        { [self] in start + offset.withLock { $0 } }
    }

    func advance(_ duration: Duration) { offset.withLock { $0 += duration } }
}

@Suite("Sessions of the webmail")
struct SessionTests {
    private let clock = MovableClock()

    private func begin(_ store: SessionStore, _ user: String = "bob@kartapuce.test", password: String = "correct horse") throws -> String {
        try #require(try store.begin(username: user, password: password))
    }

    @Test("A session knows its user and password, by its cookie alone")
    func opens() throws {
        let store = SessionStore(now: clock.now)
        let (bob, jack) = (try begin(store), try begin(store, "jack@kartapuce.test", password: "pâssword ✓"))
        #expect(bob.count == 64 && bob != jack)
        #expect(store.session(bob)?.password == "correct horse")
        let session = try #require(store.session(jack))
        #expect(session.username == "jack@kartapuce.test" && session.password == "pâssword ✓")
        #expect(store.session(bob)?.formToken == store.session(bob)?.formToken)
        #expect(store.session(bob)?.formToken != session.formToken && session.formToken != jack)
    }

    @Test(
        "What is no cookie of ours opens nothing",
        arguments: ["", "0", String(repeating: "0", count: 64), String(repeating: "g", count: 64), String(repeating: "é", count: 32)])
    func strangers(_ cookie: String) throws {
        let store = SessionStore(now: clock.now)
        let bob = try begin(store)
        #expect(store.session(cookie) == nil)
        #expect(store.session(bob.uppercased()) == nil || bob == bob.uppercased())
        #expect(store.session(bob + "0") == nil)
        store.end(cookie)
        #expect(store.session(bob) != nil)
    }

    @Test("Half an hour without a request ends a session; requests keep it for twelve hours")
    func times() throws {
        let store = SessionStore(now: clock.now)
        let idle = try begin(store)
        clock.advance(.seconds(29 * 60))
        #expect(store.session(idle) != nil)
        clock.advance(.seconds(30 * 60))
        #expect(store.session(idle) == nil)
        let busy = try begin(store)
        for _ in 0..<35 {
            clock.advance(.seconds(20 * 60))
            #expect(store.session(busy) != nil)
        }
        clock.advance(.seconds(20 * 60))
        #expect(store.session(busy) == nil)
        #expect(store.count == 0)
    }

    @Test("A sweep forgets what nobody asks for any more; a logout forgets at once")
    func forgetting() throws {
        let store = SessionStore(now: clock.now)
        let bob = try begin(store)
        _ = try begin(store)
        store.end(bob)
        #expect(store.session(bob) == nil && store.count == 1)
        clock.advance(.seconds(30 * 60))
        store.removeExpired()
        #expect(store.count == 0)
    }

    @Test("A user's eleventh session ends the one that was used longest ago; a full house takes nobody")
    func limits() throws {
        var limits = SessionStore.Limits()
        limits.sessions = 12
        let store = SessionStore(limits: limits, now: clock.now)
        let cookies = try (0..<10).map { _ in
            clock.advance(.seconds(1))
            return try begin(store)
        }
        clock.advance(.seconds(1))
        #expect(store.session(cookies[0]) != nil)
        _ = try begin(store)
        #expect(store.session(cookies[0]) != nil && store.session(cookies[1]) == nil)
        _ = try begin(store, "jack@kartapuce.test")
        _ = try begin(store, "tom@kartapuce.test")
        #expect(try store.begin(username: "mike@kartapuce.test", password: "x") == nil)
    }

    @Test("Nothing in the store's memory has the password in it")
    func sealed() throws {
        let store = SessionStore(now: clock.now)
        _ = try begin(store, password: "needle-in-the-haystack")
        var text = ""
        dump(store, to: &text)
        #expect(!text.contains("needle"))
    }

    @Test("Texts are compared whole", arguments: [("", "", true), ("a", "a", true), ("a", "b", false), ("a", "ab", false), ("ab", "aB", false)])
    func equality(_ one: String, _ other: String, _ expected: Bool) { #expect(SessionStore.areEqual(one, other) == expected) }
}

@Suite("Work at once")
struct WorkGateTests {
    @Test("One user can't take everybody's place")
    func limits() {
        let gate = WorkGate(total: 3, perUser: 2)
        #expect(gate.enter("bob") && gate.enter("bob") && !gate.enter("bob"))
        #expect(gate.enter("jack") && !gate.enter("jack"))
        gate.leave("bob")
        #expect(gate.enter("jack") && !gate.enter("bob"))
    }
}

@Suite("Limits of logins")
struct LoginLimiterTests {
    private let clock = MovableClock()
    private let office = IPAddress.v4(0xc000_0201)

    @Test("The delay doubles with each failure of a user; after ten nobody may try, until a quarter of an hour is over")
    func perUser() {
        let limiter = LoginLimiter(now: clock.now)
        var delays: [Duration] = []
        for attempt in 0..<10 {
            guard case .go(let delay) = limiter.begin(.v4(UInt32(attempt)), user: "bob") else { break }
            delays.append(delay)
            limiter.ended(.v4(UInt32(attempt)), user: "bob", succeeded: false)
        }
        #expect(delays.prefix(4) == [.milliseconds(500), .seconds(1), .seconds(2), .seconds(4)] && delays.count == 10 && delays.last == .seconds(8))
        #expect(limiter.begin(office, user: "bob") == .tooMany)
        #expect(limiter.begin(office, user: "jack") == .go(delay: .milliseconds(500)))
        clock.advance(.seconds(15 * 60))
        #expect(limiter.begin(office, user: "bob") == .go(delay: .milliseconds(500)))
    }

    @Test("Twenty failures of one address close it; an IPv6 customer is one address")
    func perAddress() {
        let limiter = LoginLimiter(now: clock.now)
        for attempt in 0..<20 {
            #expect(limiter.begin(.v6(7, UInt64(attempt)), user: "user\(attempt)") != .tooMany)
            limiter.ended(.v6(7, UInt64(attempt)), user: "user\(attempt)", succeeded: false)
        }
        #expect(limiter.begin(.v6(7, 999), user: "new") == .tooMany)
        #expect(limiter.begin(.v6(8, 0), user: "new") != .tooMany)
    }

    @Test("Success washes the user clean, and the store's own trouble counts for nobody")
    func success() {
        let limiter = LoginLimiter(now: clock.now)
        for _ in 0..<50 {
            #expect(limiter.begin(office, user: "bob") == .go(delay: .milliseconds(500)))
            limiter.ended(office, user: "bob", succeeded: true)
            #expect(limiter.begin(office, user: "jack") == .go(delay: .milliseconds(500)))
            limiter.ended(office, user: "jack", succeeded: false, counts: false)
        }
    }

    @Test("Attempts at the same time count before they have ended, and are few")
    func atOnce() {
        let limiter = LoginLimiter(now: clock.now)
        for _ in 0..<10 { #expect(limiter.begin(office, user: "bob") != .tooMany) }
        #expect(limiter.begin(office, user: "bob") == .tooMany)
        for number in 0..<22 { _ = limiter.begin(.v4(UInt32(number)), user: "u\(number)") }
        #expect(limiter.begin(.v4(99), user: "one more") == .busy)
    }
}
