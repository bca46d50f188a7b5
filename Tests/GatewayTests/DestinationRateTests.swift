import DNS
import Foundation
import Testing

@testable import Gateway

@Suite struct DestinationRateTests {
    /// A limiter and its clock, in seconds from the start.
    private final class Flow {
        var rate: DestinationRate
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        init(perMinute: Int) { rate = DestinationRate(perMinute: perMinute) }
        func take(_ key: String, after seconds: Double = 0) -> Bool {
            guard let destination = Destination(key: key) else { return false }
            return rate.take(destination, at: start.addingTimeInterval(seconds))
        }
        func exhausted(after seconds: Double = 0) -> Set<String> { rate.exhausted(at: start.addingTimeInterval(seconds)) }
    }

    @Test func noLimitIsNoLimit() {
        let flow = Flow(perMinute: 0)
        for _ in 0..<1000 { #expect(flow.take("mx:gmail.test")) }
        #expect(flow.exhausted().isEmpty)
    }

    @Test func theHouseIsNotLimited() {
        let flow = Flow(perMinute: 1)
        for key in ["mailbox", "link:store"] {
            for _ in 0..<10 { #expect(flow.take(key)) }
        }
        #expect(flow.exhausted().isEmpty)
    }

    /// In two minutes no more than the limit and the bucket's ten seconds go out, and all of the limit.
    @Test(arguments: [1, 6, 60, 600])
    func theFlowIsLimited(perMinute: Int) {
        let flow = Flow(perMinute: perMinute)
        var taken = 0
        for tenth in 0..<1200 {
            let seconds = Double(tenth) / 10
            let isExhausted = !flow.exhausted(after: seconds).isEmpty
            while flow.take("mx:gmail.test", after: seconds) {
                #expect(!isExhausted)
                taken += 1
            }
            #expect(flow.exhausted(after: seconds) == ["mx:gmail.test"])
        }
        #expect(taken >= 2 * perMinute)
        #expect(taken <= 2 * perMinute + max(1, perMinute / 6))
    }

    @Test func destinationsDoNotShareAndAreForgotten() {
        let flow = Flow(perMinute: 1)
        #expect(flow.take("mx:gmail.test"))
        #expect(!flow.take("mx:gmail.test"))
        #expect(flow.take("mx:kartapuce.test"))
        #expect(flow.exhausted(after: 61).isEmpty)
        #expect(flow.take("mx:gmail.test", after: 61))
    }
}

@Suite struct DestinationBackOffTests {
    private final class BackOff {
        var backOff = DestinationBackOff()
        let start = Date(timeIntervalSince1970: 1_800_000_000)
        func note(unreachable: Bool, after seconds: Double) {
            backOff.note("mx:gmail.test", unreachable: unreachable, at: start.addingTimeInterval(seconds))
        }
        func isClosed(after seconds: Double) -> Bool { !backOff.closed(at: start.addingTimeInterval(seconds)).isEmpty }
    }

    @Test func theWaitDoublesUpToAMinute() {
        let destination = BackOff()
        var time = 0.0
        for wait in [1.0, 2, 4, 8, 16, 32, 60, 60] {
            destination.note(unreachable: true, after: time)
            #expect(destination.isClosed(after: time + wait - 0.1))
            #expect(!destination.isClosed(after: time + wait + 0.1))
            time += wait + 0.1
        }
    }

    @Test func oneSuccessOpensIt() {
        let destination = BackOff()
        destination.note(unreachable: true, after: 0)
        destination.note(unreachable: false, after: 0)
        #expect(!destination.isClosed(after: 0))
    }

    @Test func anOldFailureIsForgotten() {
        let destination = BackOff()
        for _ in 0..<10 { destination.note(unreachable: true, after: 0) }
        #expect(!destination.isClosed(after: 7200))
        destination.note(unreachable: true, after: 7200)
        #expect(!destination.isClosed(after: 7201.1))
    }
}
