import Synchronization

/// Runs asynchronous code on the thread that calls, one job after the other: the same order for the same input, and a fault is found on
/// libFuzzer's own thread.
final class CallingThread: TaskExecutor {
    private let jobs = Mutex<[UnownedJob]>([])

    func enqueue(_ job: consuming ExecutorJob) {
        let job = UnownedJob(job)
        jobs.withLock { $0.append(job) }
    }

    private func runAll() {
        while let job = jobs.withLock({ $0.isEmpty ? nil : $0.removeFirst() }) {
            unsafe job.runSynchronously(on: asUnownedTaskExecutor())
        }
    }

    /// The result of `body`, which must not wait for anything outside of itself.
    static func run<Value: Sendable>(_ body: @escaping @Sendable () async -> Value) -> Value {
        let thread = CallingThread()
        let result = Mutex<Value?>(nil)
        let box = Box(result)
        _ = Task.detached(executorPreference: thread) {
            let value = await body()
            box.value.withLock { $0 = value }
        }
        thread.runAll()
        guard let value = box.value.withLock({ $0 }) else { fatalError("property broken: something waits for what never comes") }
        return value
    }

    private final class Box<Value: Sendable>: Sendable {
        let value: Mutex<Value?>
        init(_ value: consuming Mutex<Value?>) { self.value = value }
    }
}
