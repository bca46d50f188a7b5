import Crypto
import DNS
import FoundationEssentials
import Journeys
import Logging
import MailMessage
import MailStore
import MailTransport
import NIOCore
import SASL
import SMTP

/// What stands behind every SMTP listener: it asks the listener's policy, commits what is accepted, and keeps the journey of
/// everything, refused mail included.
///
/// The way of a message reads from top to bottom: ``reversePath(_:trace:session:)``, ``recipient(_:envelope:session:)``,
/// ``message(_:)``, and from there through ``Spool`` to the ``QueueRunner``.
struct Reception: SMTPService {
    let policy: any ListenerPolicy
    let router: Router
    let spool: any Spool
    let recorder: JourneyRecorder
    let hostname: String
    let hopLimit: Int
    let now: @Sendable () -> Date
    /// Hands what was stored to the queue.
    let offer: @Sendable (QueuedMessage) -> Void
    let repetitions: RepeatedMessages
    let storage: StorageAlarm
    /// Who sent it, on the way in and out.
    let authentication: ReceptionAuthentication
    let logger: Logger

    func connectionOpenedNow(_ session: SMTPSessionInfo) -> SMTPConnectionDecision? {
        policy.refusal(of: session).map { .refuse($0) } ?? .serve
    }

    func connectionOpened(_ session: SMTPSessionInfo) async -> SMTPReply? { policy.refusal(of: session) }

    func verifier(forUser username: String, session: SMTPSessionInfo) async throws -> SCRAMVerifier? {
        guard let address = try? EmailAddress(parsing: username) else { return nil }
        return try await policy.directory.verifier(forUser: address.lowercased)
    }

    func authenticationEnded(username: String, mechanism: String, reply: SMTPReply, session: SMTPSessionInfo) async {
        guard !reply.isPositive else { return }
        var journey = ReceptionJourney(trace: .random(), role: policy.role, host: hostname)
        journey.add(session)
        journey.add(.authenticated(.init(user: username, mechanism: mechanism, succeeded: false)), at: now())
        journey.add(.decided(.init(recipient: nil, verdict: "reject", reason: "authentication failed", reply: reply)), at: now())
        await keep(journey)
    }

    func reversePathNow(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) -> SMTPReply? {
        repetitions.replyWasSeen(session: session.id)
        return policy.reversePathNow(envelope, session: session)
    }

    func reversePath(_ envelope: Envelope, trace: TraceID?, session: SMTPSessionInfo) async -> SMTPReply {
        repetitions.replyWasSeen(session: session.id)
        return await policy.reversePath(envelope, session: session)
    }

    func recipientNow(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) -> SMTPReply? {
        policy.recipientNow(recipient, envelope: envelope, session: session).map { reply(to: recipient, $0) }
    }

    func recipient(_ recipient: EnvelopeRecipient, envelope: Envelope, session: SMTPSessionInfo) async -> SMTPReply {
        reply(to: recipient, await policy.recipient(recipient, envelope: envelope, session: session))
    }

    /// A recipient that is welcome must have a way from here too.
    private func reply(to recipient: EnvelopeRecipient, _ reply: SMTPReply) -> SMTPReply {
        guard reply.isPositive, case .failure(let refusal) = router.route(recipient.address) else { return reply }
        return refusal.reply
    }

    func message(_ transaction: SMTPTransaction) async -> SMTPReply {
        do {
            return try await accept(transaction)
        } catch {
            storage.failed(error, doing: "commit a message")
            if !(error is StoreError) { logger.error("message could not be accepted", metadata: ["error": "\(error)"]) }
            return await refuse(transaction, nil, StorageAlarm.reply(to: error))
        }
    }

    func contentFailed(_ error: any Error, session: SMTPSessionInfo) async -> SMTPReply {
        storage.failed(error, doing: "write a message to its file")
        return StorageAlarm.reply(to: error)
    }

    func transactionAbandoned(_ transaction: SMTPTransaction, reason: String) async {
        var journey = openJourney(of: transaction, trace: transaction.trace ?? .random())
        journey.add(.abandoned(.init(reason: reason)), at: now())
        await keep(journey)
    }

    func connectionClosedNow(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) -> Bool {
        if summary.reason == "quit" { repetitions.replyWasSeen(session: session.id) }
        repetitions.connectionClosed(session: session.id)
        return summary.refusals.isEmpty
    }

    func connectionClosed(_ session: SMTPSessionInfo, summary: SMTPSessionSummary) async {
        guard !connectionClosedNow(session, summary: summary) else { return }
        var journey = ReceptionJourney(trace: .random(), role: policy.role, host: hostname)
        journey.add(session)
        journey.add(summary.refusals, peer: "\(session.remoteAddress)", from: session.connectedAt)
        journey.add(.abandoned(.init(reason: "the connection ended: \(summary.reason)")), at: now())
        await keep(journey)
    }

    // MARK: - The message

    private func accept(_ arrived: SMTPTransaction) async throws -> SMTPReply {
        var transaction = arrived
        var description = try await MessageDescription(of: transaction.content)
        let cleaning = try await authentication.clean(&transaction, &description)
        guard description.receivedFields < hopLimit else {
            return await refuse(
                transaction, description, SMTPReply(554, .init(5, 4, 6), "Too many hops (\(description.receivedFields)): a mail loop"))
        }
        let fingerprint = description.fingerprint(envelope: transaction.envelope, role: policy.role)
        // The identity handed on by a peer, the one of the same message when a client that missed our 250 sends it again
        // (RFC 5321 §4.5.3.2.6), or a new one.
        let trace = transaction.trace ?? repetitions.trace(of: fingerprint) ?? .random()
        var routes: [(recipient: EnvelopeRecipient, destination: String)] = []
        var journey = openJourney(of: transaction, trace: trace)
        journey.add(.described(description.evidence), at: now())
        for recipient in transaction.envelope.recipients {
            switch router.route(recipient.address) {
            case .success(let decision):
                routes.append((recipient, decision.destination.key))
                let routed = JourneyEvent.Routed(recipient: "\(recipient.address)", destination: decision.destination.key, reason: decision.reason)
                journey.add(.routed(routed), at: now())
            case .failure(let refusal):
                return await refuse(transaction, description, refusal.reply)
            }
        }
        let time = now()
        if let cleaning { journey.add(cleaning, at: time) }
        let sender = try await authentication.run(transaction, description, trace: trace, at: time)
        for step in sender.steps { journey.add(step.operation, at: time, seconds: step.seconds) }
        if let refusal = sender.refusal {
            return await refuse(transaction, description, refusal, steps: (cleaning.map { [($0, nil)] } ?? []) + sender.steps, trace: trace)
        }
        if !sender.removed.isEmpty { transaction.content = ExcisedContent(transaction.content, without: sender.removed) }
        journey.add(.decided(.init(recipient: nil, verdict: "accept", reason: policy.acceptance, reply: nil)), at: time)
        var prefix = sender.fields
        prefix.writeImmutableBuffer(policy.fields(for: transaction, trace: trace, description: description, hostname: hostname, at: time))
        var message = NewSpoolMessage(
            trace: trace, envelope: transaction.envelope, routes: routes,
            prefix: prefix, content: transaction.content, arrival: time, annotations: MessageNotes(disposition: sender.disposition).encoded)
        message.fingerprint = fingerprint
        let start = ContinuousClock.now
        let evidence = JourneyEvent.Committed(
            queueID: "", byteCount: transaction.content.byteCount + message.prefix.readableBytes,
            recipients: transaction.envelope.recipients.map { "\($0.address)" })
        let queued = try await spool.enqueue(message) { [recorder, policy, journey] id in
            var committed = evidence
            committed.queueID = "\(id)"
            let event = recorder.event(.committed(committed), trace: trace, role: policy.role, at: time)
            return recorder.records(journey.events + [event])
        }
        storage.succeeded()
        let id = queued.message.id
        logger.info(
            "message committed",
            metadata: [
                "trace": "\(trace)", "queue.id": "\(id)", "bytes": "\(description.byteCount)", "recipients": "\(routes.count)",
                "seconds": "\((ContinuousClock.now - start).seconds)",
            ])
        offer(queued)
        repetitions.accepted(fingerprint, trace: trace, session: transaction.session.id)
        return SMTPReply(250, .init(2, 0, 0), "Accepted, queued as \(id), trace \(trace)")
    }

    private func refuse(
        _ transaction: SMTPTransaction, _ description: MessageDescription?, _ reply: SMTPReply,
        steps: [(operation: JourneyEvent.Operation, seconds: Double?)] = [], trace: TraceID? = nil
    ) async -> SMTPReply {
        var journey = openJourney(of: transaction, trace: trace ?? transaction.trace ?? .random())
        if let description { journey.add(.described(description.evidence), at: now()) }
        for step in steps { journey.add(step.operation, at: now(), seconds: step.seconds) }
        let verdict = reply.isTransientFailure ? "tempfail" : "reject"
        journey.add(.decided(.init(recipient: nil, verdict: verdict, reason: reply.lines.joined(separator: " "), reply: reply)), at: now())
        await keep(journey)
        return reply
    }

    private func openJourney(of transaction: SMTPTransaction, trace: TraceID) -> ReceptionJourney {
        var journey = ReceptionJourney(trace: trace, role: policy.role, host: hostname)
        journey.add(transaction.session)
        journey.add(transaction.exchanges, peer: "\(transaction.session.remoteAddress)", from: transaction.startedAt)
        return journey
    }

    /// Keeps the journey of something that wasn't accepted. The client's reply doesn't depend on it.
    private func keep(_ journey: ReceptionJourney) async {
        do {
            try await recorder.log.append(recorder.records(journey.events))
        } catch {
            logger.warning("journey could not be kept", metadata: ["error": "\(error)"])
        }
    }
}
