import Foundation
import Synchronization

/// A source of randomness that gives the same numbers for the same seed (SplitMix64).
struct SeededGenerator: RandomNumberGenerator {
    private var state: UInt64
    init(seed: UInt64) { state = seed }
    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var value = state
        value = (value ^ (value >> 30)) &* 0xBF58_476D_1CE4_E5B9
        value = (value ^ (value >> 27)) &* 0x94D0_49BB_1331_11EB
        return value ^ (value >> 31)
    }
}

/// One thread on which everything of a simulation runs, with a clock of its own. What is ready runs in an order that the seed chooses; when
/// nothing is, the clock goes on to the next sleeper. The same seed gives the same run, step for step.
final class SimulatedTime: TaskExecutor {
    private struct Sleeper {
        var until: Double
        var number: Int
        var continuation: CheckedContinuation<Void, Never>
    }
    private struct State {
        var jobs: [UnownedJob] = []
        var sleepers: [Sleeper] = []
        var nextNumber = 0
        var now = 1_000_000.0
        var generator: SeededGenerator
        var steps = 0
    }
    private let state: Mutex<State>

    init(seed: UInt64) { state = Mutex(State(generator: SeededGenerator(seed: seed))) }

    /// The time on the simulation's clock.
    var now: Date { Date(timeIntervalSinceReferenceDate: state.withLock { $0.now }) }

    /// How many jobs ran.
    var steps: Int { state.withLock { $0.steps } }

    /// A number that the seed determines.
    func random() -> UInt64 { state.withLock { $0.generator.next() } }
    func random(below bound: Int) -> Int { Int(random() % UInt64(max(1, bound))) }
    /// Whether something happens that happens so often in a thousand times.
    func happens(_ perMille: Int) -> Bool { random(below: 1000) < perMille }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        state.withLock { $0.jobs.append(unowned) }
    }

    /// Waits on the simulation's clock. A task that is cancelled goes on at once.
    func sleep(seconds: Double) async throws {
        let number = state.withLock { state in
            state.nextNumber += 1
            return state.nextNumber
        }
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                let isCancelled = Task.isCancelled
                state.withLock {
                    $0.sleepers.append(
                        Sleeper(until: isCancelled ? $0.now : $0.now + max(0, seconds), number: number, continuation: continuation))
                }
            }
        } onCancel: {
            state.withLock { state in
                for index in state.sleepers.indices where state.sleepers[index].number == number { state.sleepers[index].until = state.now }
            }
        }
        try Task.checkCancellation()
    }

    /// Runs until `isDone`, or until there is nothing left to do.
    /// - Returns: whether it was done within the given number of steps.
    func run(steps limit: Int, until isDone: () -> Bool) -> Bool {
        for _ in 0..<limit {
            if isDone() { return true }
            let job = state.withLock { state -> UnownedJob? in
                guard !state.jobs.isEmpty else { return nil }
                state.steps += 1
                let place = Int(state.generator.next() % UInt64(state.jobs.count))
                return state.jobs.remove(at: place)
            }
            if let job {
                // Safe: the job was enqueued here and is run once.
                unsafe job.runSynchronously(on: asUnownedTaskExecutor())
            } else if !wakeNext() {
                return isDone()
            }
        }
        return false
    }

    /// Puts the clock forward to the next sleeper and wakes it.
    private func wakeNext() -> Bool {
        let sleeper = state.withLock { state -> Sleeper? in
            guard let next = state.sleepers.min(by: { ($0.until, $0.number) < ($1.until, $1.number) }) else { return nil }
            state.sleepers.removeAll { $0.number == next.number }
            state.now = max(state.now, next.until)
            return next
        }
        guard let sleeper else { return false }
        sleeper.continuation.resume()
        return true
    }

    /// Puts the clock by so many seconds forward or back, as a wrong time server does.
    func jump(by seconds: Double) {
        state.withLock { state in
            state.now += seconds
            // Sleeping is counted by another clock than the one that shows the time.
            for index in state.sleepers.indices { state.sleepers[index].until += seconds }
        }
    }
}
