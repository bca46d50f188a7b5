import DNS
import FoundationEssentials
import Journeys
import Logging
import MailAuthentication
import MailMessage
import MailStore
import NIOCore
import PosternMetrics

/// A report that was sent, or would be: what an operator is shown.
public struct ReportSending: Sendable, Encodable {
    /// A place that the domain names for its reports.
    public struct Destination: Sendable, Encodable {
        public var uri: String
        /// Whether reports may go there: a word of RFC 9990 §4, or `named` and `unsupported` for reports on TLS, which go wherever the domain says.
        public var verdict: String
        /// Who gets the report, an address or a URI.
        public var recipients: [String]
    }

    /// `aggregate`, `failure` or `tls`.
    public var kind: String
    public var domain: String
    /// `2026-11-27`.
    public var day: String
    /// `nil` where the report isn't made yet.
    public var reportID: String?
    public var rows: Int
    /// Messages, or sessions.
    public var messages: Int
    public var destinations: [Destination]
    /// `sent`, `discarded`, `postponed`, `would be sent`, `would be discarded`.
    public var outcome: String
    public var note: String
}

/// Makes reports of what was counted, and hands them to the queue.
///
/// Where they may go is asked before each is made. A report is marked as sent in the transaction that puts its messages into the queue.
struct ReportDispatch: Sendable {
    let spool: SpoolStore
    let sender: EmailAddress
    /// The domain that reports.
    let submitter: DomainName
    let organization: String
    let hostname: String
    /// The ways of the moment.
    let router: @Sendable () -> Router
    let resolver: any Resolver
    let recorder: JourneyRecorder
    let role: Configuration.Role
    let outbound: ReportOutbound
    let redactor: FailureReportRedactor
    let identities: ReportIdentities
    /// Sends reports on TLS by HTTPS; `nil` where no host is known that could.
    let poster: (any ReportPoster)?
    let now: @Sendable () -> Date
    /// Hands what was queued to the queue.
    let offer: @Sendable (QueuedMessage) -> Void
    let logger: Logger

    /// How often destinations are asked about that can't be told now, once an hour.
    private static let attemptLimit = 24
    /// Octets of the largest message: receivers take 10 MB at least nearly everywhere.
    static let messageLimit = 24 << 20

    /// Makes reports of what was counted.
    func close(_ kinds: [ReportKind], _ days: SpoolStore.ReportDays) async throws {
        for kind in kinds { _ = try await spool.closeAccounts(kind, days, at: now()) { [identities] in identities.make($0, $1) } }
    }

    /// Sends what is to be sent now.
    func sendDue() async throws -> [ReportSending] {
        var sent: [ReportSending] = []
        while true {
            let due = try await spool.dueReports(at: now(), limit: 50)
            guard !due.isEmpty else { return sent }
            for report in due where !report.isPosted {
                try Task.checkCancellation()
                sent.append(try await send(report))
            }
            // Whoever answers slowly keeps none of the others waiting.
            try await withThrowingTaskGroup(of: ReportSending.self) { group in
                for report in due where report.isPosted { group.addTask { try await post(report) } }
                for try await sending in group { sent.append(sending) }
            }
        }
    }

    /// What would be sent.
    func preview(_ kinds: [ReportKind], _ days: SpoolStore.ReportDays) async throws -> [ReportSending] {
        var previews: [ReportSending] = []
        var reports = try await spool.dueReports(at: .distantFuture, limit: 10_000)
        for kind in kinds { reports += try await spool.openAccounts(kind, days) }
        for report in reports {
            guard report.kind != .tls else {
                previews.append(try await previewTLS(report))
                continue
            }
            var sending = await sending(report, try await spool.rows(of: report))
            let isWelcome = sending.summary.destinations.contains { !$0.recipients.isEmpty }
            sending.summary.outcome = isWelcome ? "would be sent" : "would be discarded"
            previews.append(sending.summary)
        }
        return previews
    }

    // MARK: - One report

    private struct Sending {
        var summary: ReportSending
        var destinations: [DMARCReportDestination]
        var rows: [(payload: [UInt8], count: Int)]
    }

    private func sending(_ report: OutgoingReport, _ rows: [(payload: [UInt8], count: Int)]) async -> Sending {
        var destinations: [DMARCReportDestination] = []
        if let domain = try? DomainName(report.domain) {
            let discovery = DMARCPolicyDiscovery(resolver: resolver)
            destinations = await DMARCReportDestination.evaluate(
                report.destinations, tag: report.kind == .feedback ? "ruf" : "rua", policyDomain: domain, resolver: resolver
            ) { left, right in
                guard let own = await discovery.walk(from: left).organizationalDomain else { return false }
                return await discovery.walk(from: right).organizationalDomain == own
            }
        }
        let summary = ReportSending(
            kind: report.kind == .feedback ? "failure" : "aggregate", domain: report.domain, day: Self.text(report.day),
            reportID: report.identity.isEmpty ? nil : report.identity, rows: rows.count, messages: rows.reduce(0) { $0 + $1.count },
            destinations: destinations.map {
                .init(uri: $0.uri, verdict: $0.verdict.rawValue, recipients: $0.recipients.map { "\($0)" })
            }, outcome: "", note: "")
        return Sending(summary: summary, destinations: destinations, rows: rows)
    }

    static func text(_ day: Int) -> String { JourneyTime(Date(timeIntervalSince1970: Double(ReportDay.bounds(day).begin))).day }

    private func send(_ report: OutgoingReport) async throws -> ReportSending {
        guard report.kind != .tls else { return try await sendTLS(report) }
        var sending = await sending(report, try await spool.rows(of: report))
        if report.attempts < Self.attemptLimit, sending.destinations.contains(where: { $0.verdict == .temporaryError }) {
            sending.summary.outcome = "postponed"
            sending.summary.note = "the DNS doesn't tell now who may get it"
            try await spool.postpone(report, until: now().addingTimeInterval(3600), note: sending.summary.note)
            return sending.summary
        }
        let batch = await messages(report, sending)
        let isFailure = report.kind == .feedback
        return try await settle(
            report, batch, sending.summary, sent: isFailure ? .failureSent : .aggregateSent,
            discarded: isFailure ? .failureDiscarded : .aggregateDiscarded)
    }

    /// Queues what was made of a report, and tells of it.
    func settle(
        _ report: OutgoingReport, _ batch: Batch, _ summary: ReportSending, sent: Metrics.ReportSent, discarded: Metrics.ReportSent
    ) async throws -> ReportSending {
        var summary = summary
        summary.note = batch.notes.joined(separator: "; ")
        let time = now()
        let queued = try await spool.settle(
            report, messages: batch.messages, parts: batch.parts, at: time, isSent: batch.isSent, note: summary.note
        ) { ids in
            var events = batch.events
            for (message, id) in zip(batch.messages, ids) {
                let committed = JourneyEvent.Committed(
                    queueID: "\(id)", byteCount: message.content.byteCount + message.prefix.readableBytes,
                    recipients: message.routes.map { "\($0.recipient.address)" })
                events.append(recorder.event(.committed(committed), trace: message.trace, role: role, at: time))
            }
            return recorder.records(events)
        }
        guard let queued else {
            summary.outcome = "sent"
            summary.note = "another process has sent it"
            return summary
        }
        for message in queued { offer(message) }
        let isSent = batch.isSent || !queued.isEmpty || !batch.parts.isEmpty
        summary.outcome = isSent ? "sent" : "discarded"
        // What goes on another way is counted when it is there.
        if !queued.isEmpty || batch.parts.isEmpty { Metrics.reportsSent.add(isSent ? sent : discarded) }
        logger.info(
            "report \(summary.outcome)",
            metadata: [
                "kind": "\(summary.kind)", "domain": "\(report.domain)", "day": "\(summary.day)", "report.id": "\(report.identity)",
                "recipients": "\(queued.count)", "note": "\(summary.note)",
            ])
        return summary
    }

    /// What becomes of a report.
    struct Batch {
        var messages: [NewSpoolMessage] = []
        /// What goes another way than by mail.
        var parts: [OutgoingReport] = []
        var events: [JourneyEvent] = []
        var notes: [String] = []
        /// Whether somebody has it already.
        var isSent = false
    }

    /// One message for each recipient: none of them learns of the others, and each can be refused for itself.
    private func messages(_ report: OutgoingReport, _ sending: Sending) async -> Batch {
        var batch = Batch()
        let time = now()
        var seen: Set<EmailAddress> = []
        for destination in sending.destinations {
            if destination.recipients.isEmpty { batch.notes.append("\(destination.uri): \(destination.verdict.rawValue)") }
            for recipient in destination.recipients where seen.insert(recipient.lowercased).inserted {
                do {
                    try await add(recipient, destination, report, sending, &batch, at: time)
                } catch let refusal as Router.Refusal {
                    batch.notes.append("\(recipient): \(refusal.reply)")
                } catch {
                    batch.notes.append("\(recipient): \(error)")
                }
            }
        }
        if sending.destinations.isEmpty { batch.notes.append("no destination can be read in “\(report.destinations.prefix(200))”") }
        if batch.messages.isEmpty { discard(subject(report, sending), &batch, at: time) }
        return batch
    }

    /// Tells in a journey of its own that nobody gets a report.
    func discard(_ subject: String, _ batch: inout Batch, at time: Date) {
        let explanation = "\(subject) is sent to nobody: \(batch.notes.joined(separator: "; "))"
        batch.events = [
            recorder.event(.checked(.init(check: "report", result: "discarded", explanation: explanation)), trace: .random(), role: role, at: time)
        ]
    }

    private func subject(_ report: OutgoingReport, _ sending: Sending) -> String {
        report.kind == .feedback
            ? "the report \(report.identity) on a message in the name of \(report.domain)"
            : "the report \(report.identity) on mail of \(sending.summary.day) in the name of \(report.domain), \(sending.summary.messages) messages,"
    }

    private func add(
        _ recipient: EmailAddress, _ destination: DMARCReportDestination, _ report: OutgoingReport, _ sending: Sending, _ batch: inout Batch, at time: Date
    ) async throws {
        let decision = try router().route(recipient).get()
        let message = try octets(report, sending, to: recipient, number: batch.messages.count, at: time)
        guard message.readableBytes <= Self.messageLimit else {
            batch.notes.append("\(recipient): the report has \(message.readableBytes) octets, too many to send")
            return
        }
        // RFC 7489 §6.2. RFC 9989 §4.7 lets it be ignored; who still writes it means it.
        if let limit = destination.sizeLimit, UInt64(message.readableBytes) > limit {
            batch.notes.append("\(recipient): wants \(limit) octets at most, and the report has \(message.readableBytes)")
            return
        }
        var checks: [(operation: JourneyEvent.Operation, seconds: Double?)] = []
        if let lookup = destination.lookup { checks.append((.resolved(.init(lookup)), lookup.duration.seconds)) }
        checks.append((.checked(.init(check: "report destination", result: destination.verdict.rawValue, explanation: destination.uri)), nil))
        try await put(message, for: recipient, decision, about: subject(report, sending), checks: checks, into: &batch, at: time)
    }

    /// Makes a message for the queue, with its journey.
    func put(
        _ message: ByteBuffer, for recipient: EmailAddress, _ decision: Router.Decision, about subject: String,
        checks: [(operation: JourneyEvent.Operation, seconds: Double?)], into batch: inout Batch, at time: Date
    ) async throws {
        let trace = TraceID.random()
        let proof = try await outbound.prefix(message, to: decision.destination, trace: trace, at: time)
        batch.messages.append(
            NewSpoolMessage(
                // Whoever can't deliver it tells nobody (RFC 3461 §4.1), or the sender's own address where it knows nothing of that; it is SPF's
                // proof as well.
                trace: trace, envelope: Envelope(reversePath: sender),
                routes: [(EnvelopeRecipient(address: recipient, notify: .never), decision.destination.key)], prefix: proof.fields,
                content: BufferedContent(message), arrival: time))
        func event(_ operation: JourneyEvent.Operation, seconds: Double? = nil) {
            batch.events.append(recorder.event(operation, trace: trace, role: role, at: time, seconds: seconds))
        }
        event(.checked(.init(check: "report", result: "made", explanation: "\(subject) for \(recipient)")))
        for check in checks { event(check.operation, seconds: check.seconds) }
        if let step = proof.step { event(step) }
        event(.routed(.init(recipient: "\(recipient)", destination: decision.destination.key, reason: decision.reason)))
    }

    // MARK: - Its octets

    private func octets(_ report: OutgoingReport, _ sending: Sending, to recipient: EmailAddress, number: Int, at time: Date) throws -> ByteBuffer {
        let messageID = "\(number + 1).\(report.identity)"
        switch report.kind {
        case .tls: throw HostError("a report on TLS has a form of its own")
        case .aggregate:
            return try DMARCReportMessage(
                report: try aggregate(report, sending.rows), submitter: submitter, from: sender, to: recipient, date: MessageDate(time), messageID: messageID,
                uniqueID: report.isSupplement ? ReportIdentities.unique(report.identity) : nil
            ).serialized()
        case .feedback: return try failure(report, to: recipient, messageID: messageID, at: time)
        }
    }

    private func aggregate(_ report: OutgoingReport, _ rows: [(payload: [UInt8], count: Int)]) throws -> DMARCAggregateReport {
        guard let policy = ReportForm.decode(DMARCAggregateReport.Policy.self, report.section) else {
            throw HostError("the policy of \(report.domain) can't be read in the store")
        }
        var builder = DMARCAggregateBuilder()
        for row in rows {
            guard var record = ReportForm.decode(DMARCAggregateReport.Record.self, row.payload) else { continue }
            record.count = row.count
            builder.add(DMARCReportObservation(policy: policy, record: record))
        }
        let bounds = ReportDay.bounds(report.day)
        let errors = report.dropped > 0 ? ["\(report.dropped) more messages are not told of: there were too many different ones"] : []
        let metadata = DMARCAggregateReport.Metadata(
            organizationName: organization, email: "\(sender)", reportID: report.identity, begin: bounds.begin, end: bounds.end, errors: errors,
            generator: "Postern/\(PosternRelease.number)")
        guard let made = builder.report(on: policy, metadata: metadata) else { throw HostError("no row of the report on \(report.domain) can be read") }
        return made
    }

    private func failure(_ report: OutgoingReport, to recipient: EmailAddress, messageID: String, at time: Date) throws -> ByteBuffer {
        guard let seen = ReportForm.decode(FailureCase.self, report.payload), let evidence = seen.judged.failure else {
            throw HostError("what the report is about can't be read in the store")
        }
        let judged = seen.judged
        var failure = FailureReport(
            reportedDomain: try DomainName(judged.headerFrom), failure: .dmarc,
            identityAlignment: (judged.isDKIMAligned ? [] : ["dkim"]) + (judged.isSPFAligned ? [] : ["spf"]), authenticationResults: evidence.results,
            userAgent: "Postern/\(PosternRelease.number)", reportingMTA: try DomainName(hostname))
        failure.sourceIP = IPAddress(judged.sourceIP)
        failure.mailFrom = try? EmailAddress(parsing: evidence.reversePath)
        failure.arrivalDate = MessageDate(seen.time)
        switch DMARCReportDisposition(rawValue: judged.disposition) {
        case .reject: failure.delivery = .reject
        case .quarantine: failure.delivery = .spam
        default: failure.delivery = .delivered
        }
        if let signature = evidence.signature {
            failure.signature = .init(domain: signature.domain, identity: evidence.identity ?? "@\(signature.domain)", selector: signature.selector)
        }
        failure.spfDNS = evidence.spfRecords
        let original = HeaderSection(parsing: ByteBuffer(string: evidence.header + "\r\n"))
        return FailureReportWriter(from: sender, redactor: redactor).serialize(
            failure, original: original, to: recipient, date: MessageDate(time), messageID: messageID, boundary: "\(TraceID.random())")
    }
}
