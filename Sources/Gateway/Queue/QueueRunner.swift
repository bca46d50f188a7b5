import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import PosternMetrics
import ServiceLifecycle
import Synchronization

/// Takes recipients whose time has come, hands them to delivery agents, and stores what came of it.
///
/// The spool is the truth: the runner holds what is under way, and what is next as far as it fits (``ReadyQueue``). A crash loses nothing,
/// and operators' commands from other processes take effect with the next look. Each destination has its own limit of concurrent
/// deliveries; one that can't be reached is left alone for a while, so that it never takes places from the others.
actor QueueRunner: Service {
    private let spool: any Spool
    private var mailbox: (any DeliveryAgent)?
    private var remote: any DeliveryAgent
    private var settlement: Settlement
    private var settings: Configuration.QueueSettings
    private let now: @Sendable () -> Date
    private let sleep: @Sendable (Duration) async throws -> Void
    private let storage: StorageAlarm
    private let logger: Logger
    /// Where deliveries over the network run, and the runner itself; none: wherever there is room.
    private let executors: [EventLoopTaskExecutor]

    private var ready = ReadyQueue()
    private var recipientsUnderWay: Set<Int64> = []
    private var load: [String: Int] = [:]
    private var deliveriesUnderWay = 0
    private var turn = 0
    private var backOff = DestinationBackOff()
    private var rate: DestinationRate
    /// There may be recipients in the spool that are due and not known here.
    private var mustLook = true
    /// The spool's version when what is ready was read.
    private var version: SpoolVersion?
    /// What the runner is told from outside, until it takes notice.
    private struct News {
        var offers: [QueuedMessage] = []
        var isSpoolChanged = false
    }
    private let news = Mutex(News())
    /// Recipients that were found in the spool and taken, of the last minute or two: an offer of them comes late.
    private var found = RecentRecipients()
    /// Recipients that were finished while the spool was being read; what was read may still have them.
    private var finishedMeanwhile: Set<Int64> = []
    private let wakes: AsyncStream<Void>
    private let waker: AsyncStream<Void>.Continuation

    init(
        spool: any Spool, mailbox: (any DeliveryAgent)?, remote: any DeliveryAgent, settlement: Settlement,
        settings: Configuration.QueueSettings, now: @escaping @Sendable () -> Date,
        sleep: @escaping @Sendable (Duration) async throws -> Void = { try await Task.sleep(for: $0) }, storage: StorageAlarm? = nil,
        executors: [EventLoopTaskExecutor] = [], logger: Logger
    ) {
        self.spool = spool
        self.mailbox = mailbox
        self.remote = remote
        self.settlement = settlement
        self.settings = settings
        rate = DestinationRate(perMinute: settings.messagesPerMinutePerDestination)
        self.now = now
        self.sleep = sleep
        self.storage = storage ?? StorageAlarm(logger: logger)
        self.executors = executors
        self.logger = logger
        (wakes, waker) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
    }

    /// Delivers in another way from now on; deliveries that are under way end as they began.
    func change(
        mailbox: (any DeliveryAgent)?, remote: any DeliveryAgent, settlement: Settlement, settings: Configuration.QueueSettings
    ) {
        self.mailbox = mailbox
        self.remote = remote
        self.settlement = settlement
        if settings.messagesPerMinutePerDestination != self.settings.messagesPerMinutePerDestination {
            rate = DestinationRate(perMinute: settings.messagesPerMinutePerDestination)
        }
        self.settings = settings
        wake()
    }

    /// A message was stored: it is delivered without being read again where there is room for it in memory.
    nonisolated func offer(_ message: QueuedMessage) {
        let isFirst = news.withLock { news in
            if news.offers.count < 4096 { news.offers.append(message) } else { news.isSpoolChanged = true }
            return news.offers.count == 1
        }
        // Whoever came before has woken the runner, and it takes them all.
        if isFirst { waker.yield() }
    }

    /// There is something in the spool that was not offered: look at once.
    nonisolated func wake() {
        news.withLock { $0.isSpoolChanged = true }
        waker.yield()
    }

    /// Runs until the service is shut down; deliveries under way are then finished.
    func run() async throws {
        try await withTaskExecutorPreference(executors.first) {
            try await withThrowingTaskGroup { ticking in
                ticking.addTask { await self.tick() }
                try await withThrowingDiscardingTaskGroup { deliveries in
                    await withGracefulShutdownHandler {
                        for await _ in wakes {
                            for job in await nextJobs() {
                                deliveries.addTask(executorPreference: executor(for: job)) { await self.perform(job) }
                            }
                        }
                    } onGracefulShutdown: { [waker] in
                        waker.finish()
                    }
                }
                ticking.cancelAll()
            }
        }
    }

    /// Deliveries over the network run where their connections are, in turn. Those into mailboxes take messages apart, and stay away from there.
    private func executor(for job: ReadyQueue.Entry) -> (any TaskExecutor)? {
        guard !executors.isEmpty else { return nil }
        guard job.destination != Destination.mailbox.key else { return globalConcurrentExecutor }
        turn = (turn + 1) % executors.count
        return executors[turn]
    }

    /// Looks into the spool every second even when nobody wakes the runner: for retries, and for what other processes changed.
    private nonisolated func tick() async {
        while (try? await sleep(.seconds(1))) != nil { wake() }
    }

    // MARK: - Choosing

    /// What waits for a time further ahead than any wait is long was stored under a clock that has been put back since, and is due now. It is
    /// asked at each look into the spool: whether the clock was wrong for a moment between two looks, nobody here can know.
    private func followClock(at time: Date) async throws {
        let limit = time.addingTimeInterval(RetrySchedule(settings).longestWait + 60)
        guard try await spool.nextDue(after: limit) != nil else { return }
        let count = try await spool.bringForward(after: limit, to: time)
        logger.warning("the clock was put back; recipients are due at once", metadata: ["recipients": "\(count)"])
    }

    /// What can be started now within the limits.
    private func nextJobs() async -> [ReadyQueue.Entry] {
        takeOffers()
        if ready.isWorthFilling { mustLook = true }
        if mustLook { await readSpool() }
        let time = now()
        let closed = backOff.closed(at: time).union(rate.exhausted(at: time))
        var jobs: [ReadyQueue.Entry] = []
        while deliveriesUnderWay < settings.deliveries,
            let entry = ready.next(where: { !closed.contains($0) && load[$0, default: 0] < settings.connectionsPerDestination })
        {
            guard let destination = Destination(key: entry.destination) else {
                await hold(entry.recipients, reason: "the destination “\(entry.destination)” is unknown to this version")
                continue
            }
            // What has no place now is found in the spool when there is one.
            guard rate.take(destination, at: time) else { continue }
            load[entry.destination, default: 0] += 1
            deliveriesUnderWay += 1
            recipientsUnderWay.formUnion(entry.recipients.map(\.id))
            jobs.append(entry)
        }
        return jobs
    }

    private func takeOffers() {
        let taken = news.withLock { news in
            defer { news = News() }
            return news
        }
        if taken.isSpoolChanged { mustLook = true }
        for offer in taken.offers {
            let new = offer.recipients.filter { $0.state == .queued && !found.contains($0.id) && !recipientsUnderWay.contains($0.id) }
            ready.add(offer.message, new)
        }
    }

    /// Fills what is ready with what is due in the spool.
    private func readSpool() async {
        mustLook = false
        ready.beginFilling()
        finishedMeanwhile = []
        do {
            let current = try await spool.version()
            // Somebody may have held or deleted what waits here: it is read anew.
            if current != version { ready.clear() }
            version = current
            let time = now()
            try await followClock(at: time)
            let room = ready.room
            let closed = backOff.closed(at: time).union(rate.exhausted(at: time)).union(ready.fullDestinations)
            let due = try await spool.due(
                at: time, limit: room, excludingDestinations: closed, excludingRecipients: recipientsUnderWay.union(ready.recipients))
            let new = due.filter { !recipientsUnderWay.contains($0.id) && !finishedMeanwhile.contains($0.id) }
            for group in Self.byMessage(new) { found.insert(ready.add(nil, group), at: time) }
            // A full answer: there may be more.
            if room > 0, due.count >= room { ready.noteMore(for: due.lazy.map(\.destination)) }
        } catch {
            logger.error("the queue can't be read; the next look is in a second", metadata: ["error": "\(error)"])
        }
    }

    private static func byMessage(_ recipients: [QueuedRecipient]) -> [[QueuedRecipient]] {
        var order: [QueueID] = []
        var members: [QueueID: [QueuedRecipient]] = [:]
        for recipient in recipients {
            if members[recipient.message] == nil { order.append(recipient.message) }
            members[recipient.message, default: []].append(recipient)
        }
        return order.compactMap { members[$0] }
    }

    /// A message with its octets. One whose octets are lost is held for an operator: left in the queue, it would be the first to be
    /// looked at for ever, before those that can be delivered.
    private nonisolated func message(_ id: QueueID) async -> SpooledMessage? {
        do {
            return try await spool.message(id)
        } catch {
            logger.error("a message of the queue can't be read", metadata: ["queue.id": "\(id)", "error": "\(error)"])
            if let error = error as? StoreError, error.code == .corrupted { _ = try? await spool.hold(id, reason: error.message) }
            return nil
        }
    }

    // MARK: - Doing

    private nonisolated func perform(_ entry: ReadyQueue.Entry) async {
        var result: DeliveryResult?
        let known: SpooledMessage? = if let message = entry.message { message } else { await message(entry.id) }
        if let message = known, let destination = Destination(key: entry.destination) {
            let job = DeliveryJob(message: message, recipients: entry.recipients, destination: destination)
            let (agent, settlement) = await means(for: destination)
            let start = ContinuousClock.now
            var delivered = await agent.deliver(job)
            let duration = ContinuousClock.now - start
            Metrics.deliverySeconds.observe(duration)
            delivered.duration = duration
            result = delivered
            await settle(job, delivered, settlement)
        }
        await finish(entry, result)
    }

    private func finish(_ entry: ReadyQueue.Entry, _ result: DeliveryResult?) {
        if let result {
            backOff.note(entry.destination, unreachable: result.isUnreachable, at: now())
            if result.isUnreachable { ready.drop(entry.destination) }
            // Notices and copies for aliases are new messages.
            if result.outcomes.contains(where: { $0.result == .failed }) || !result.forwards.isEmpty { mustLook = true }
        }
        recipientsUnderWay.subtract(entry.recipients.map(\.id))
        finishedMeanwhile.formUnion(entry.recipients.map(\.id))
        deliveriesUnderWay -= 1
        let count = load[entry.destination, default: 1] - 1
        load[entry.destination] = count > 0 ? count : nil
        waker.yield()
    }

    /// Stores what came of a delivery. As long as that fails (a full disk), the recipients stay under way: taken for due again, a message
    /// that others have got already would go out to them every minute. Only a crash or the end of the process may cause a second one.
    private nonisolated func settle(_ job: DeliveryJob, _ result: DeliveryResult, _ settlement: Settlement) async {
        var wait = Duration.seconds(1)
        while true {
            do {
                try await settlement.settle(job, result)
                return storage.succeeded()
            } catch {
                storage.failed(error, doing: "store the outcome of a delivery")
                logger.error("the outcome of a delivery could not be stored", metadata: ["queue.id": "\(job.message.id)", "error": "\(error)"])
            }
            guard await pause(wait) else { return }
            wait = min(.seconds(60), wait * 2)
        }
    }

    /// Waits, but not beyond the end of the service.
    private nonisolated func pause(_ duration: Duration) async -> Bool {
        var rest = duration
        while rest > .zero {
            guard !Task.isShuttingDownGracefully, (try? await sleep(min(rest, .seconds(1)))) != nil else { return false }
            rest -= .seconds(1)
        }
        return true
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

    private func means(for destination: Destination) -> (any DeliveryAgent, Settlement) {
        switch destination {
        case .mailbox: (mailbox ?? remote, settlement)
        case .link, .route, .exchangers, .literal: (remote, settlement)
        }
    }
}
