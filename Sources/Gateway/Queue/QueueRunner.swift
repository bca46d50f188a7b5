import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import ServiceLifecycle

/// Takes recipients whose time has come out of the spool, hands them to delivery agents, and stores what came of it.
///
/// The spool is the truth: the runner holds nothing but what is under way, so a crash loses nothing and operators' commands from
/// other processes take effect with the next look. Each destination has its own limit of concurrent deliveries; one that can't be
/// reached is left alone for a while, so that it never takes places from the others.
actor QueueRunner: Service {
    private let spool: any Spool
    private let mailbox: (any DeliveryAgent)?
    private let remote: any DeliveryAgent
    private let settlement: Settlement
    private let settings: Configuration.QueueSettings
    private let now: @Sendable () -> Date
    private let storage: StorageAlarm
    private let logger: Logger

    private var recipientsUnderWay: Set<Int64> = []
    private var load: [String: Int] = [:]
    private var backOff = DestinationBackOff()
    private var rate: DestinationRate
    /// The time of the last look; `nil` before the first.
    private var lastLook: Date?
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(
        spool: any Spool, mailbox: (any DeliveryAgent)?, remote: any DeliveryAgent, settlement: Settlement,
        settings: Configuration.QueueSettings, now: @escaping @Sendable () -> Date, storage: StorageAlarm? = nil, logger: Logger
    ) {
        self.spool = spool
        self.mailbox = mailbox
        self.remote = remote
        self.settlement = settlement
        self.settings = settings
        rate = DestinationRate(perMinute: settings.messagesPerMinutePerDestination)
        self.now = now
        self.storage = storage ?? StorageAlarm(logger: logger)
        self.logger = logger
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// There is work: look at once.
    nonisolated func wake() { waker.yield() }

    /// Runs until the service is shut down; deliveries under way are then finished.
    func run() async throws {
        try await withThrowingDiscardingTaskGroup { group in
            group.addTask { await self.tick() }
            for await _ in wakes.cancelOnGracefulShutdown() {
                for job in await nextJobs() {
                    group.addTask { await self.perform(job) }
                }
            }
            waker.finish()
        }
    }

    /// Looks every second even when nobody wakes the runner: for retries, and for what other processes changed.
    private func tick() async {
        try? await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                try await Task.sleep(for: .seconds(1))
                self.wake()
            }
        }
    }

    // MARK: - Choosing

    private struct Group: Hashable {
        let message: QueueID
        let destination: String
    }

    /// What can be started now within the limits.
    private func nextJobs() async -> [DeliveryJob] {
        await followClock()
        let free = settings.deliveries - load.values.reduce(0, +)
        guard free > 0 else { return [] }
        let busy = load.filter { $0.value >= settings.connectionsPerDestination }.keys
        let closed = backOff.closed(at: now()).union(rate.exhausted(at: now())).union(busy)
        do {
            let due = try await spool.due(
                at: now(), limit: max(free * 4, 64), excludingDestinations: closed, excludingRecipients: recipientsUnderWay)
            return try await jobs(from: due, limit: free)
        } catch {
            logger.error("the queue can't be read; the next look is in a second", metadata: ["error": "\(error)"])
            return []
        }
    }

    /// What waits for a time further ahead than any wait is long was stored under a clock that has been put back since, and is due now. Asked at
    /// the first look, and whenever the clock goes back.
    private func followClock() async {
        let time = now()
        let wentBack = lastLook.map { time < $0.addingTimeInterval(-1) } ?? true
        lastLook = time
        guard wentBack else { return }
        let limit = time.addingTimeInterval(RetrySchedule(settings).longestWait + 60)
        do {
            guard try await spool.nextDue(after: limit) != nil else { return }
            let count = try await spool.bringForward(after: limit, to: time)
            logger.warning("the clock was put back; recipients are due at once", metadata: ["recipients": "\(count)"])
        } catch {
            lastLook = nil
            storage.failed(error, doing: "bring recipients forward after a change of the clock")
        }
    }

    private func jobs(from due: [QueuedRecipient], limit: Int) async throws -> [DeliveryJob] {
        var order: [Group] = []
        var members: [Group: [QueuedRecipient]] = [:]
        for recipient in due where !recipientsUnderWay.contains(recipient.id) {
            let group = Group(message: recipient.message, destination: recipient.destination)
            if members[group] == nil { order.append(group) }
            members[group, default: []].append(recipient)
        }
        var jobs: [DeliveryJob] = []
        for group in order where jobs.count < limit {
            guard load[group.destination, default: 0] < settings.connectionsPerDestination else { continue }
            guard let recipients = members[group], let destination = Destination(key: group.destination) else {
                await hold(members[group] ?? [], reason: "the destination “\(group.destination)” is unknown to this version")
                continue
            }
            guard rate.take(destination, at: now()) else { continue }
            load[group.destination, default: 0] += 1
            recipientsUnderWay.formUnion(recipients.map(\.id))
            guard let message = await message(group.message) else {
                release(group.destination, recipients)
                continue
            }
            jobs.append(DeliveryJob(message: message, recipients: recipients, destination: destination))
        }
        return jobs
    }

    /// A message with its octets. One whose octets are lost is held for an operator: left in the queue, it would be the first to be
    /// looked at for ever, before those that can be delivered.
    private func message(_ id: QueueID) async -> SpooledMessage? {
        do {
            return try await spool.message(id)
        } catch {
            logger.error("a message of the queue can't be read", metadata: ["queue.id": "\(id)", "error": "\(error)"])
            if let error = error as? StoreError, error.code == .corrupted { _ = try? await spool.hold(id, reason: error.message) }
            return nil
        }
    }

    // MARK: - Doing

    private func perform(_ job: DeliveryJob) async {
        let start = ContinuousClock.now
        var result = await agent(for: job.destination).deliver(job)
        result.duration = ContinuousClock.now - start
        backOff.note(job.destination.key, unreachable: result.isUnreachable, at: now())
        await settle(job, result)
        release(job.destination.key, job.recipients)
        wake()
    }

    /// Stores what came of a delivery. As long as that fails (a full disk), the recipients stay under way: taken for due again, a message
    /// that others have got already would go out to them every minute. Only a crash or the end of the process may cause a second one.
    private func settle(_ job: DeliveryJob, _ result: DeliveryResult) async {
        var wait = Duration.seconds(1)
        while true {
            do {
                try await settlement.settle(job, result)
                return storage.succeeded()
            } catch {
                storage.failed(error, doing: "store the outcome of a delivery")
                logger.error("the outcome of a delivery could not be stored", metadata: ["queue.id": "\(job.message.id)", "error": "\(error)"])
            }
            let pause = wait
            guard !Task.isShuttingDownGracefully, (try? await cancelWhenGracefulShutdown({ try await Task.sleep(for: pause) })) != nil else { return }
            wait = min(.seconds(60), wait * 2)
        }
    }

    /// Recipients that nobody here can deliver wait for an operator; left in the queue, they would be the first to be looked at for ever.
    private func hold(_ recipients: [QueuedRecipient], reason: String) async {
        logger.error("recipients are held", metadata: ["recipients": "\(recipients.count)", "reason": "\(reason)"])
        do {
            try await spool.record(recipients.map { ($0.id, .hold(reason: reason, status: $0.lastStatus ?? reason)) }, newMessages: [], journey: [])
        } catch {
            logger.error("recipients could not be held", metadata: ["error": "\(error)"])
        }
    }

    private func agent(for destination: Destination) -> any DeliveryAgent {
        switch destination {
        case .mailbox: mailbox ?? remote
        case .link, .exchangers, .literal: remote
        }
    }

    private func release(_ destination: String, _ recipients: [QueuedRecipient]) {
        recipientsUnderWay.subtract(recipients.map(\.id))
        let count = load[destination, default: 1] - 1
        load[destination] = count > 0 ? count : nil
    }
}
