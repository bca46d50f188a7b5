import DNS
import FoundationEssentials
import Journeys
import MailAuthentication
import MailMessage
import MailStore
import NIOCore
import PosternMetrics
import TransportSecurity

extension OutgoingReport {
    /// Whether this is a report on TLS that goes to one URI by HTTPS: its payload is what is sent.
    var isPosted: Bool { kind == .tls && !payload.isEmpty }
}

/// Reports on TLS (RFC 8460 §5): to every place that the domain names, by mail or by HTTPS.
extension ReportDispatch {
    /// The most places that one report goes to.
    private static let destinationLimit = 20
    /// Tries by HTTPS, the waits between which make a day (RFC 8460 §5.5).
    static let postLimit = 11

    /// The wait after a try that failed: 5 minutes, twice as much each time, 4 hours at most.
    static func pause(afterAttempt number: Int) -> Double { min(300 * Double(1 << min(max(number, 0), 10)), 4 * 3600) }

    private struct Place {
        var uri: String
        var verdict: String
        var address: EmailAddress?
    }

    private func places(_ report: OutgoingReport) -> [Place] {
        if report.isPosted { return [Place(uri: report.destinations, verdict: "named", address: nil)] }
        guard let record = try? TLSRPTRecord(parsing: Array(report.destinations.utf8)) else { return [] }
        var seen: Set<String> = []
        var places: [Place] = []
        for destination in record.destinations where seen.insert("\(destination)").inserted && places.count < Self.destinationLimit {
            switch destination {
            case .https(let uri): places.append(Place(uri: uri, verdict: "named", address: nil))
            case .mail(let text):
                let address = try? EmailAddress(parsing: text)
                places.append(Place(uri: "\(destination)", verdict: address == nil ? "unreadable" : "named", address: address))
            }
        }
        return places + record.unsupported.prefix(Self.destinationLimit).map { Place(uri: $0, verdict: "unsupported", address: nil) }
    }

    private func summary(_ report: OutgoingReport, _ places: [Place], _ rows: [(payload: [UInt8], count: Int)]) -> ReportSending {
        ReportSending(
            kind: "tls", domain: report.domain, day: Self.text(report.day), reportID: report.identity.isEmpty ? nil : report.identity, rows: rows.count,
            messages: rows.reduce(0) { $0 + $1.count },
            destinations: places.map { place in
                .init(uri: place.uri, verdict: place.verdict, recipients: place.verdict == "named" ? [place.address.map { "\($0)" } ?? place.uri] : [])
            }, outcome: "", note: "")
    }

    private func subject(_ summary: ReportSending) -> String {
        "the report \(summary.reportID ?? "") on TLS with the hosts of \(summary.domain) on \(summary.day)"
    }

    /// What would become of a report.
    func previewTLS(_ report: OutgoingReport) async throws -> ReportSending {
        var preview = summary(report, places(report), try await spool.rows(of: report))
        preview.outcome = preview.destinations.contains { !$0.recipients.isEmpty } ? "would be sent" : "would be discarded"
        return preview
    }

    /// Sends a report by mail, and leaves it for HTTPS where the domain wants that.
    func sendTLS(_ report: OutgoingReport) async throws -> ReportSending {
        let rows = try await spool.rows(of: report)
        let places = places(report)
        let summary = summary(report, places, rows)
        let time = now()
        var batch = Batch()
        do {
            let made = try tlsReport(report, rows)
            let octets = try ReportArchive.gzip(made.json())
            for place in places {
                if place.verdict != "named" {
                    batch.notes.append("\(place.uri): \(place.verdict)")
                } else if let address = place.address {
                    try await mail(made, report, to: address, summary, &batch, at: time)
                } else if poster == nil {
                    batch.notes.append("\(place.uri): no host is known that sends by HTTPS")
                } else {
                    batch.parts.append(report.part("\(batch.parts.count + 1).https.\(report.identity)", to: place.uri, payload: octets))
                }
            }
        } catch {
            batch = Batch()
            batch.notes = ["\(error)"]
        }
        if places.isEmpty { batch.notes.append("no destination can be read in “\(report.destinations.prefix(200))”") }
        if batch.messages.isEmpty, batch.parts.isEmpty { discard(subject(summary), &batch, at: time) }
        return try await settle(report, batch, summary, sent: .tlsSent, discarded: .tlsDiscarded)
    }

    private func mail(
        _ made: TLSRPTReport, _ report: OutgoingReport, to address: EmailAddress, _ summary: ReportSending, _ batch: inout Batch, at time: Date
    ) async throws {
        switch router().route(address) {
        case .failure(let refusal): batch.notes.append("\(address): \(refusal.reply)")
        case .success(let decision):
            let message = try TLSRPTReportMessage(
                report: made, from: sender, to: address, date: MessageDate(time), messageID: "\(batch.messages.count + 1).\(report.identity)",
                uniqueID: report.isSupplement ? ReportIdentities.unique(report.identity) : nil
            ).serialized { try ReportArchive.gzip($0) }
            guard message.readableBytes <= Self.messageLimit else {
                batch.notes.append("\(address): the report has \(message.readableBytes) octets, too many to send")
                return
            }
            try await put(message, for: address, decision, about: subject(summary), checks: [], into: &batch, at: time)
        }
    }

    private func tlsReport(_ report: OutgoingReport, _ rows: [(payload: [UInt8], count: Int)]) throws -> TLSRPTReport {
        var results = TLSRPTResults(
            domain: try DomainName(report.domain), on: Date(timeIntervalSince1970: Double(ReportDay.bounds(report.day).begin)))
        for row in rows {
            guard let seen = ReportForm.decode(SessionObservation.Row.self, row.payload), row.count > 0 else { continue }
            results.add(seen.policy, failures: seen.failures, sessions: UInt64(row.count))
        }
        guard !results.isEmpty else { throw HostError("no row of the report on \(report.domain) can be read") }
        return TLSRPTReport(organization: organization, contact: "\(sender)", identifier: report.identity, results: results)
    }

    // MARK: - By HTTPS

    /// Tries to send a report by HTTPS. What fails is tried again for a day.
    func post(_ report: OutgoingReport) async throws -> ReportSending {
        var summary = summary(report, places(report), [])
        guard try await spool.claim(report, until: now().addingTimeInterval(Self.pause(afterAttempt: report.attempts))) else {
            summary.outcome = "postponed"
            summary.note = "another process sends it"
            return summary
        }
        let start = ContinuousClock.now
        let outcome: ReportPostOutcome =
            if let poster {
                await poster.post(report.payload, to: report.destinations)
            } else {
                .init(isTaken: false, isTemporary: false, explanation: "no host is known that sends by HTTPS")
            }
        let time = now()
        let isOver = outcome.isTaken || !outcome.isTemporary || report.attempts + 1 >= Self.postLimit
        let result = outcome.isTaken ? "posted" : isOver ? "discarded" : "postponed"
        let checked = JourneyEvent.Checked(check: "report", result: result, explanation: "\(subject(summary)): \(outcome.explanation)")
        // Each try is told in the same journey.
        let event = recorder.event(
            .checked(checked), trace: ReportIdentities.trace(report.identity), role: role, at: time, seconds: (ContinuousClock.now - start).seconds)
        guard isOver else {
            summary.outcome = "postponed"
            summary.note = outcome.explanation
            try await recorder.log.append(recorder.records([event]))
            return summary
        }
        var batch = Batch()
        batch.events = [event]
        batch.notes = [outcome.explanation]
        batch.isSent = outcome.isTaken
        return try await settle(report, batch, summary, sent: .tlsSent, discarded: .tlsDiscarded)
    }
}
