import DNS
import Synchronization
import Testing

@testable import MailTransport

/// Many connections that go: their memory is given back, in few steps.
@Suite struct ConnectionEbbTests {
    @Test func halfOfAFloodIsAnEbb() {
        let ebbs = Mutex(0)
        let limiter = ConnectionLimiter(total: 10_000, perNetwork: 10_000, trusted: []) { ebbs.withLock { $0 += 1 } }
        let address = IPAddress.v4(0x7f00_0001)
        func come(_ count: Int) { for _ in 0..<count { #expect(limiter.admit(address)) } }
        func go(_ count: Int) -> Int {
            for _ in 0..<count { limiter.release(address) }
            return ebbs.withLock { $0 }
        }
        // Few come and go all day.
        come(999)
        #expect(go(999) == 0)
        come(4000)
        #expect(go(1999) == 0)
        #expect(go(1) == 1)
        #expect(go(999) == 1)
        #expect(go(1) == 2)
        #expect(go(1000) == 3)
        come(999)
        #expect(go(999) == 3)
        #expect(limiter.openConnections == 0)
    }
}
