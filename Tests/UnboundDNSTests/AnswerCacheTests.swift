import DNS
import Testing

@testable import UnboundDNS

@Suite struct AnswerCacheTests {
    private let start = ContinuousClock.now
    private let name: DomainName
    init() throws { name = try DomainName("kartapuce.test") }

    private func answer(_ name: DomainName, seconds: UInt32 = 60, octets: Int = 4) -> DNSAnswer {
        DNSAnswer(name: name, type: .txt, outcome: .records, records: [.txt(Array(repeating: 0x61, count: octets))], timeToLive: seconds)
    }

    @Test func anAnswerIsGivenUntilItsTimeToLiveIsOver() {
        let cache = AnswerCache()
        cache.keep(answer(name), at: start)
        #expect(cache.answer(to: name, .txt, at: start)?.timeToLive == 60)
        #expect(cache.answer(to: name, .txt, at: start + .seconds(59))?.timeToLive == 1)
        #expect(cache.answer(to: name, .txt, at: start + .seconds(60)) == nil)
        #expect(cache.answer(to: name, .mx, at: start) == nil)
    }

    @Test func noAnswerIsKeptForLongerThanFiveMinutes() {
        let cache = AnswerCache()
        cache.keep(answer(name, seconds: 86400), at: start)
        #expect(cache.answer(to: name, .txt, at: start + .seconds(299))?.timeToLive == 86101)
        #expect(cache.answer(to: name, .txt, at: start + .seconds(300)) == nil)
    }

    @Test func whatIsLargeOrMayNotBeKeptIsNot() {
        let cache = AnswerCache()
        cache.keep(answer(name, seconds: 0), at: start)
        #expect(cache.answer(to: name, .txt, at: start) == nil)
        cache.keep(answer(name, octets: 9000), at: start)
        #expect(cache.answer(to: name, .txt, at: start) == nil)
    }

    @Test func whatIsAskedForStaysAndTheRestGoes() throws {
        let cache = AnswerCache(limit: 4)
        cache.keep(answer(name), at: start)
        for number in 0..<40 {
            cache.keep(answer(try DomainName("host\(number).test")), at: start)
            #expect(cache.answer(to: name, .txt, at: start) != nil, "after \(number) others")
        }
        let kept = try (0..<40).filter { cache.answer(to: try DomainName("host\($0).test"), .txt, at: start) != nil }
        #expect(kept.count <= 8)
        #expect(kept.contains(39))
    }
}
