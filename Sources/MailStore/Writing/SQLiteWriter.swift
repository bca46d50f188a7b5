import Dispatch
import GRDB
import PosternMetrics
import Synchronization

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// The only writer of a database in this process: one serial queue that commits everything that waits in one transaction.
///
/// While many jobs come, a batch waits a moment for more of them: what a commit costs is the same for one as for a hundred. Jobs that
/// nobody waits for (``Urgency/relaxed``) go with the next batch, and start one of their own only after a while.
///
/// Where a job fails, the batch is run again with a savepoint around each, so that it spoils no other. Nobody hears of success before the COMMIT is on disk; where
/// the COMMIT fails, nobody does. Nothing is remembered of a failure: the next batch is tried afresh, so the writer recovers by itself
/// when there is space again.
final class SQLiteWriter: Sendable {
    /// What a single transaction takes at most: jobs, and octets that they said they bring.
    static let batchJobs = 512
    static let batchOctets = 32 << 20

    /// Whether somebody waits for the commit.
    enum Urgency: Sendable {
        /// Commit as soon as possible.
        case prompt
        /// Commit with what comes next, after ``relaxedWait`` at the latest.
        case relaxed
    }

    /// How long a relaxed job waits for company.
    private static let relaxedWait = DispatchTimeInterval.milliseconds(5)
    /// From so many jobs that somebody waited for in the last batch on, the next one waits for company.
    private static let busyBatch = 2
    /// How often it looks whether more have come, and how long it waits each time, in microseconds.
    private static let gatheringLooks = 4
    private static let gatheringStep: UInt32 = 500
    /// After it waited and nobody came, so many batches don't wait; twice as many after each time more.
    private static let pauses = 2...64

    private struct State {
        var waiting: [any WriterJob] = []
        /// How many of them somebody waits for.
        var promptCount = 0
        var isRunning = false
        var isScheduled = false
        var isClosed = false
    }

    let pool: DatabasePool
    private let queue: DispatchQueue
    private let state = Mutex(State())

    init(pool: DatabasePool, label: String) {
        self.pool = pool
        queue = DispatchQueue(label: label)
    }

    /// Runs `body` in the next transaction; returns when it is durable.
    /// - Parameter octets: roughly what it writes, for the batch's limit.
    func submit<T: Sendable>(
        octets: Int = 0, urgency: Urgency = .prompt, _ body: @escaping @Sendable (Database) throws -> T
    ) async throws -> T {
        try await withCheckedThrowingContinuation { continuation in
            let job = TypedJob(octets: octets, urgency: urgency, body: body, continuation: continuation)
            let start: Start = state.withLock { state in
                if state.isClosed { return .refused }
                state.waiting.append(job)
                if urgency == .prompt { state.promptCount += 1 }
                if state.isRunning { return .isRunning }
                switch urgency {
                case .prompt:
                    state.isRunning = true
                    return .now
                case .relaxed:
                    defer { state.isScheduled = true }
                    return state.isScheduled ? .isRunning : .later
                }
            }
            switch start {
            case .refused: job.finish(StoreError(.inputOutput, "the store is closed"))
            case .isRunning: break
            case .now: queue.async { self.drain() }
            case .later: queue.asyncAfter(deadline: .now() + Self.relaxedWait) { self.drainWhatWaits() }
            }
        }
    }

    /// What a new job asks of the writer.
    private enum Start { case refused, isRunning, now, later }

    /// Refuses new work and returns when what waits is committed.
    func close() async {
        state.withLock { $0.isClosed = true }
        await withCheckedContinuation { continuation in
            queue.async {
                self.drainWhatWaits()
                continuation.resume()
            }
        }
    }

    /// Commits what is there, unless that is being done already. Runs on the queue.
    private func drainWhatWaits() {
        let starts = state.withLock { state in
            state.isScheduled = false
            guard !state.isRunning, !state.waiting.isEmpty else { return false }
            state.isRunning = true
            return true
        }
        if starts { drain() }
    }

    private func drain() {
        var last = 0
        var pause = 0
        var nextPause = Self.pauses.lowerBound
        while true {
            if pause > 0 {
                pause -= 1
            } else if last >= Self.busyBatch {
                // Whoever works alone, one job after the other, would wait for nobody.
                if gather() {
                    nextPause = Self.pauses.lowerBound
                } else {
                    pause = nextPause
                    nextPause = min(2 * nextPause, Self.pauses.upperBound)
                }
            }
            let batch: [any WriterJob] = state.withLock { state in
                var octets = 0
                var count = 0
                last = 0
                while count < state.waiting.count, count < Self.batchJobs, octets < Self.batchOctets {
                    octets += state.waiting[count].octets
                    if state.waiting[count].urgency == .prompt { last += 1 }
                    count += 1
                }
                let batch = Array(state.waiting.prefix(count))
                state.waiting.removeFirst(count)
                state.promptCount -= last
                if batch.isEmpty { state.isRunning = false }
                return batch
            }
            if batch.isEmpty { return }
            commit(batch)
        }
    }

    /// Waits as long as more jobs keep coming, but two milliseconds at most.
    /// - Returns: whether one came that somebody waits for.
    private func gather() -> Bool {
        let first = state.withLock { $0.promptCount }
        var count = first
        for _ in 0..<Self.gatheringLooks where count < Self.batchJobs {
            usleep(Self.gatheringStep)
            let now = state.withLock { $0.promptCount }
            guard now > count else { break }
            count = now
        }
        return count > first || count >= Self.batchJobs
    }

    private func commit(_ batch: [any WriterJob]) {
        var failure: StoreError?
        let began = ContinuousClock.now
        do {
            try pool.writeWithoutTransaction { db in
                if try !runTogether(batch, db) { try runApart(batch, db) }
            }
        } catch {
            failure = StoreError(database: error)
        }
        Metrics.commitSeconds.observe(.now - began)
        Metrics.commitJobs.observe(Double(batch.count))
        Metrics.commits.add(.init(failure == nil))
        for job in batch { job.finish(failure) }
    }

    /// Runs all jobs in one transaction.
    /// - Returns: `false` where one of them failed, and nothing was changed.
    /// - Throws: when the COMMIT fails.
    private func runTogether(_ batch: [any WriterJob], _ db: Database) throws -> Bool {
        var isRefused = false
        try db.inTransaction(.immediate) {
            do {
                for job in batch { try job.run(db) }
                return .commit
            } catch {
                isRefused = true
                return .rollback
            }
        }
        return !isRefused
    }

    /// Runs each job in a savepoint of one transaction; those that fail are told so.
    private func runApart(_ batch: [any WriterJob], _ db: Database) throws {
        try db.inTransaction(.immediate) {
            for job in batch {
                do {
                    try db.inSavepoint {
                        try job.run(db)
                        return .commit
                    }
                } catch {
                    // SQLite rolls the whole transaction back for some errors (full disk, I/O): then nobody's work is there.
                    guard db.isInsideTransaction else { throw error }
                    job.reject(error)
                }
            }
            return .commit
        }
    }
}

private protocol WriterJob: Sendable {
    var octets: Int { get }
    var urgency: SQLiteWriter.Urgency { get }
    /// Does the work; it may be done a second time, when the transaction was rolled back.
    func run(_ db: Database) throws
    func reject(_ error: any Error)
    /// Resumes the caller: with the result, or with `failure`, which befell the whole batch.
    func finish(_ failure: StoreError?)
}

private final class TypedJob<T: Sendable>: WriterJob {
    let octets: Int
    let urgency: SQLiteWriter.Urgency
    private let body: @Sendable (Database) throws -> T
    private let continuation: CheckedContinuation<T, any Error>
    private let result = Mutex<Result<T, any Error>?>(nil)

    init(octets: Int, urgency: SQLiteWriter.Urgency, body: @escaping @Sendable (Database) throws -> T, continuation: CheckedContinuation<T, any Error>) {
        self.octets = octets
        self.urgency = urgency
        self.body = body
        self.continuation = continuation
    }

    func run(_ db: Database) throws {
        let value = try body(db)
        result.withLock { $0 = .success(value) }
    }

    func reject(_ error: any Error) {
        let reason: any Error = error is DatabaseError ? StoreError(database: error) : error
        result.withLock { $0 = .failure(reason) }
    }

    func finish(_ failure: StoreError?) {
        if let failure { return continuation.resume(throwing: failure) }
        let outcome = result.withLock { $0 } ?? .failure(StoreError(.inputOutput, "the store did not run this change"))
        continuation.resume(with: outcome)
    }
}
