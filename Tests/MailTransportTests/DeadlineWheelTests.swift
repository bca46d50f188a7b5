import MailTesting
import NIOCore
import NIOPosix
import Synchronization
import Testing

@testable import MailTransport

@Suite struct DeadlineWheelTests {
    /// Counts how often its time came, and waits again while it has times to wait for.
    private final class Waiter: Expiring {
        var places: [DeadlineWheel.Place] = []
        var calls: [NIODeadline] = []
        var again: [TimeAmount] = []
        let wheel: DeadlineWheel

        init(_ wheel: DeadlineWheel) { self.wheel = wheel }

        func timeIsUp() {
            calls.append(.now())
            guard !again.isEmpty else { return }
            _ = wheel.expire(self, at: .now() + again.removeFirst())
        }
    }

    private let loop = MultiThreadedEventLoopGroup.singleton.next()

    @Test func nobodyIsCalledTooEarlyOrTwice() async throws {
        let began = NIODeadline.now()
        let loop = loop
        let waiters = try await loop.submit {
            let wheel = DeadlineWheel.current(of: loop)
            let waiters = [120, 10, 60].map { (milliseconds: Int64) in
                let waiter = Waiter(wheel)
                _ = wheel.expire(waiter, at: began + .milliseconds(milliseconds))
                return waiter
            }
            return NIOLoopBound(waiters, eventLoop: loop)
        }.get()
        #expect(try await eventually { try await loop.submit { waiters.value.allSatisfy { !$0.calls.isEmpty } }.get() })
        let calls = try await loop.submit { waiters.value.map { $0.calls } }.get()
        for (called, milliseconds) in zip(calls, [120, 10, 60] as [Int64]) {
            #expect(called.count == 1)
            #expect(called.allSatisfy { $0 >= began + .milliseconds(milliseconds) })
        }
    }

    @Test func whoCancelsIsNotCalledAndWhoMovesIsCalledOnce() async throws {
        let loop = loop
        let waiters = try await loop.submit {
            let wheel = DeadlineWheel.current(of: loop)
            let cancelled = Waiter(wheel)
            wheel.cancel(cancelled, wheel.expire(cancelled, at: .now() + .milliseconds(60)))
            let moved = Waiter(wheel)
            let place = wheel.expire(moved, at: .now() + .seconds(600))
            #expect(!place.isBefore(.now() + .seconds(60)))
            _ = wheel.expire(moved, at: .now() + .milliseconds(60), instead: place)
            return NIOLoopBound([cancelled, moved], eventLoop: loop)
        }.get()
        // Both waited for the same time: when the one was called, the other would have been.
        #expect(try await eventually { try await loop.submit { waiters.value.last?.calls.isEmpty == false }.get() })
        #expect(try await loop.submit { waiters.value.map(\.calls.count) }.get() == [0, 1])
    }

    @Test func whoWaitsAgainIsCalledAgain() async throws {
        let loop = loop
        let waiter = try await loop.submit {
            let waiter = Waiter(DeadlineWheel.current(of: loop))
            waiter.again = [.milliseconds(10), .zero]
            _ = waiter.wheel.expire(waiter, at: .now())
            return NIOLoopBound(waiter, eventLoop: loop)
        }.get()
        #expect(try await eventually { try await loop.submit { waiter.value.calls.count }.get() == 3 })
    }

    @Test func aTaskRunsOnTheLoopOfItsExecutor() async throws {
        let executors = EventLoopTaskExecutors(MultiThreadedEventLoopGroup.singleton)
        let loop = loop
        let task = Task(executorPreference: executors.executor(of: loop)) {
            let before = loop.inEventLoop
            try? await Task.sleep(for: .milliseconds(1))
            return before && loop.inEventLoop
        }
        #expect(await task.value)
    }
}
