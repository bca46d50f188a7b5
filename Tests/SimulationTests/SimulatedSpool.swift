import Foundation
import MailMessage
import MailStore
import NIOCore
import Synchronization

/// A spool in memory that behaves as one on disk: what was answered is kept over a crash, what was not may be kept or lost, everything takes
/// its time, and it fails for a while when the seed says so.
final class SimulatedSpool: Spool, JourneyLog {
    struct Stored: Sendable {
        var message: SpooledMessage
        var recipients: [QueuedRecipient]
    }
    struct State {
        var messages: [Int64: Stored] = [:]
        var nextNumber: Int64 = 1
        /// The process that is alive; what another one asks for fails.
        var epoch = 0
        /// The time until which every change fails.
        var brokenUntil = Date.distantPast
        var commands = 0
        var attempts: [String: Int] = [:]
    }
    let time: SimulatedTime
    let state = Mutex(State())

    init(time: SimulatedTime) { self.time = time }

    private func messageNumber(_ recipient: Int64) -> Int64 { recipient >> 20 }

    // MARK: Changes

    /// A change takes a while; before its end the process may have died, and then it may be there or not.
    private func change<T: Sendable>(_ epoch: Int, _ body: @Sendable (inout State) -> T) async throws -> T {
        try await time.sleep(seconds: 0.001 * Double(1 + time.random(below: 20)))
        let isLate = time.happens(100)
        let now = time.now
        let result = try state.withLock { state in
            guard state.epoch == epoch else { throw StoreError(.inputOutput, "the process is gone") }
            guard state.brokenUntil <= now else { throw StoreError(.full, "the disk is full") }
            return body(&state)
        }
        // Committed, but the answer takes longer, and may not come before a crash.
        if isLate { try await time.sleep(seconds: 0.2) }
        guard state.withLock({ $0.epoch }) == epoch else { throw StoreError(.inputOutput, "the process is gone") }
        return result
    }

    /// The spool as a process sees it.
    func view() -> View { View(spool: self, epoch: state.withLock { $0.epoch }) }

    func crash() { state.withLock { $0.epoch += 1 } }
    func fail(for seconds: Double) {
        let until = time.now.addingTimeInterval(seconds)
        state.withLock { $0.brokenUntil = until }
    }

    fileprivate func insert(_ message: NewSpoolMessage, _ state: inout State) -> QueuedMessage {
        let id = QueueID(rawValue: state.nextNumber)
        state.nextNumber += 1
        var envelope = message.envelope
        envelope.recipients = []
        let spooled = SpooledMessage(
            id: id, trace: message.trace, envelope: envelope, content: message.content, arrival: message.arrival, annotations: [])
        let recipients = message.routes.enumerated().map { place, route in
            QueuedRecipient(
                id: id.rawValue << 20 | Int64(place), message: id, recipient: route.recipient, destination: route.destination, state: .queued,
                attempts: 0, nextAttempt: message.arrival, lastStatus: nil, holdReason: nil, delayNotified: false)
        }
        state.messages[id.rawValue] = Stored(message: spooled, recipients: recipients)
        return QueuedMessage(message: spooled, recipients: recipients)
    }

    fileprivate func apply(_ disposition: QueueDisposition, to number: Int64, _ state: inout State) {
        let id = messageNumber(number)
        guard var stored = state.messages[id], let place = stored.recipients.firstIndex(where: { $0.id == number }) else { return }
        switch disposition {
        case .done: stored.recipients.remove(at: place)
        case .retry(let nextAttempt, let status, let delayNotified):
            stored.recipients[place].attempts += 1
            stored.recipients[place].nextAttempt = nextAttempt
            stored.recipients[place].lastStatus = status
            stored.recipients[place].delayNotified = delayNotified
        case .hold(let reason, _):
            stored.recipients[place].attempts += 1
            stored.recipients[place].state = .held
            stored.recipients[place].holdReason = reason
        }
        state.messages[id] = stored.recipients.isEmpty ? nil : stored
    }

    // MARK: The protocol, for whoever holds the spool itself (the test)

    func enqueue(_ message: NewSpoolMessage, journey: @Sendable (QueueID) -> [JourneyRecord]) async throws -> QueuedMessage {
        try await view().enqueue(message, journey: journey)
    }
    func record(_ outcomes: [(recipient: Int64, disposition: QueueDisposition)], newMessages: [NewSpoolMessage], journey: [JourneyRecord]) async throws {
        try await view().record(outcomes, newMessages: newMessages, journey: journey)
    }
    func due(at time: Date, limit: Int, excludingDestinations: Set<String>, excludingRecipients: Set<Int64>) async throws -> [QueuedRecipient] {
        try await view().due(at: time, limit: limit, excludingDestinations: excludingDestinations, excludingRecipients: excludingRecipients)
    }
    func nextDue(after time: Date) async throws -> Date? { nil }
    func bringForward(after limit: Date, to time: Date) async throws -> Int { 0 }
    func accepted(since time: Date, limit: Int) async throws -> [(fingerprint: [UInt8], trace: TraceID)] { [] }
    func forgetAccepted(before time: Date) async throws {}
    func version() async throws -> SpoolVersion { SpoolVersion(file: 0, commands: state.withLock { $0.commands }) }
    func message(_ id: QueueID) async throws -> SpooledMessage? { state.withLock { $0.messages[id.rawValue]?.message } }
    func recipients(of id: QueueID) async throws -> [QueuedRecipient] { state.withLock { $0.messages[id.rawValue]?.recipients ?? [] } }
    func list(limit: Int, offset: Int) async throws -> [(message: SpooledMessage, recipients: [QueuedRecipient])] { [] }
    func counts() async throws -> (queued: Int, held: Int) {
        let all = state.withLock { $0.messages.values.flatMap(\.recipients) }
        return (all.count { $0.state == .queued }, all.count { $0.state == .held })
    }
    func hold(_ id: QueueID?, reason: String) async throws -> Int { setState(.held, id) }
    func release(_ id: QueueID?) async throws -> Int { setState(.queued, id) }
    func retry(_ id: QueueID?) async throws -> Int { 0 }
    func delete(_ id: QueueID) async throws -> Int { 0 }
    func makeIncomingFile() async throws -> any IncomingFile { throw StoreError(.inputOutput, "not simulated") }

    private func setState(_ new: QueuedRecipient.State, _ id: QueueID?) -> Int {
        state.withLock { state in
            state.commands += 1
            var count = 0
            for (number, var stored) in state.messages where id == nil || id?.rawValue == number {
                for place in stored.recipients.indices where stored.recipients[place].state != new {
                    stored.recipients[place].state = new
                    count += 1
                }
                state.messages[number] = stored
            }
            return count
        }
    }

    func append(_ records: [JourneyRecord]) async throws {}
    func records(of trace: TraceID) async throws -> [JourneyRecord] { [] }
    func traces(key: String?, from: Date?, to: Date?, limit: Int) async throws -> [TraceID] { [] }
    func ownRecords(after sequence: Int64, limit: Int) async throws -> [JourneyRecord] { [] }
    func merge(_ records: [JourneyRecord]) async throws {}
    func lastMerged(host: String) async throws -> Int64 { 0 }
    func expire(before time: Date) async throws -> Int { 0 }

    /// The spool of one process, from its start to its crash.
    struct View: Spool {
        let spool: SimulatedSpool
        let epoch: Int

        func enqueue(_ message: NewSpoolMessage, journey: @Sendable (QueueID) -> [JourneyRecord]) async throws -> QueuedMessage {
            try await spool.change(epoch) { spool.insert(message, &$0) }
        }
        func record(
            _ outcomes: [(recipient: Int64, disposition: QueueDisposition)], newMessages: [NewSpoolMessage], journey: [JourneyRecord]
        ) async throws {
            try await spool.change(epoch) { state in
                for message in newMessages { _ = spool.insert(message, &state) }
                for outcome in outcomes { spool.apply(outcome.disposition, to: outcome.recipient, &state) }
            }
        }
        func due(at time: Date, limit: Int, excludingDestinations: Set<String>, excludingRecipients: Set<Int64>) async throws -> [QueuedRecipient] {
            let found = spool.state.withLock { state in
                state.messages.values.flatMap(\.recipients).filter {
                    $0.state == .queued && $0.nextAttempt <= time && !excludingDestinations.contains($0.destination)
                        && !excludingRecipients.contains($0.id)
                }.sorted { ($0.nextAttempt, $0.id) < ($1.nextAttempt, $1.id) }
            }
            // What is read is old by the time that it arrives.
            try await spool.time.sleep(seconds: 0.001 * Double(spool.time.random(below: 30)))
            return Array(found.prefix(limit))
        }
        func message(_ id: QueueID) async throws -> SpooledMessage? {
            let found = spool.state.withLock { $0.messages[id.rawValue]?.message }
            try await spool.time.sleep(seconds: 0.001)
            return found
        }
        func nextDue(after time: Date) async throws -> Date? { try await spool.nextDue(after: time) }
        func bringForward(after limit: Date, to time: Date) async throws -> Int {
            try await spool.change(epoch) { state in
                var count = 0
                for (number, var stored) in state.messages {
                    for place in stored.recipients.indices where stored.recipients[place].nextAttempt > limit {
                        stored.recipients[place].nextAttempt = time
                        count += 1
                    }
                    state.messages[number] = stored
                }
                return count
            }
        }
        func accepted(since time: Date, limit: Int) async throws -> [(fingerprint: [UInt8], trace: TraceID)] { [] }
        func forgetAccepted(before time: Date) async throws {}
        func version() async throws -> SpoolVersion { try await spool.version() }
        func recipients(of id: QueueID) async throws -> [QueuedRecipient] { try await spool.recipients(of: id) }
        func list(limit: Int, offset: Int) async throws -> [(message: SpooledMessage, recipients: [QueuedRecipient])] { [] }
        func counts() async throws -> (queued: Int, held: Int) { try await spool.counts() }
        func hold(_ id: QueueID?, reason: String) async throws -> Int { try await spool.hold(id, reason: reason) }
        func release(_ id: QueueID?) async throws -> Int { try await spool.release(id) }
        func retry(_ id: QueueID?) async throws -> Int { 0 }
        func delete(_ id: QueueID) async throws -> Int { 0 }
        func makeIncomingFile() async throws -> any IncomingFile { try await spool.makeIncomingFile() }
    }
}
