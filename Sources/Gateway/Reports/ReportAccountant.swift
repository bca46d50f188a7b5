import Crypto
import DNS
import FoundationEssentials
import Journeys
import Logging
import MailAuthentication
import MailMessage
import MailStore
import PosternMetrics
import SMTP

/// Counts what the journeys say of judged mail: the journeys of this host, and those that it collects from others. What was counted, and how far, is
/// one transaction; so a journey that comes twice, and a crash at any moment, count nothing twice and lose nothing.
struct ReportAccountant: Sendable {
    let spool: SpoolStore
    let settings: Configuration.ReportSettings
    /// Mail to these is reports itself: were it reported on, two organisations that nobody else writes to would report on their reports for ever.
    let reportAddresses: Set<EmailAddress>
    /// Makes Report-IDs.
    let identities: ReportIdentities
    let now: @Sendable () -> Date
    let logger: Logger

    static let cursor = "dmarc"
    static let sessionCursor = "tls"
    /// How many records are looked at in one transaction.
    private static let step = 5000

    /// Counts everything that has come.
    func run() async throws {
        try await follow(Self.cursor, "\"judged\":", take: { take($0, &$1, &$2) }, tell: { tell($0) })
        // Also where none are made: who switches them on later doesn't report on what was before.
        try await follow(Self.sessionCursor, "\"tlsReport\":", take: { record, entries, _ in takeSessions(record, &entries) }, tell: { tellSessions($0) })
    }

    /// Counts what has come since the last time for one kind of reports.
    /// - Parameter text: what its records have in them.
    private func follow(
        _ cursor: String, _ text: String, take: (JourneyRecord, inout [ReportEntry], inout [SingleReport]) -> Void, tell: (ReportAccountOutcome) -> Void
    ) async throws {
        var place = try await spool.reportCursor(cursor)
        while true {
            let (records, last) = try await spool.records(after: place, containing: text, limit: Self.step)
            guard last > place else { return }
            var entries: [ReportEntry] = []
            var singles: [SingleReport] = []
            for record in records { take(record, &entries, &singles) }
            guard let outcome = try await spool.count(entries, singles: singles, cursor: cursor, from: place, to: last, limits: limits, at: now()) else {
                // Another process was faster.
                place = try await spool.reportCursor(cursor)
                continue
            }
            tell(outcome)
            place = last
        }
    }

    /// How much is kept.
    var limits: ReportAccountLimits {
        var limits = ReportAccountLimits()
        limits.singlesPerDomain = settings.failures.perDomain
        limits.singlesPerDay = settings.failures.perDay
        return limits
    }

    /// Tells of what was counted of mail.
    func tell(_ outcome: ReportAccountOutcome) {
        Metrics.reportEntries.add(.counted, outcome.counted)
        Metrics.reportEntries.add(.dropped, outcome.dropped)
        if outcome.dropped > 0 {
            logger.warning("messages could not be counted for reports: too many different ones today", metadata: ["messages": "\(outcome.dropped)"])
        }
        if outcome.suppressedSingles > 0 {
            logger.info("reports on single messages were held back by their limits", metadata: ["reports": "\(outcome.suppressedSingles)"])
        }
    }

    private func tellSessions(_ outcome: ReportAccountOutcome) {
        Metrics.reportSessions.add(.counted, outcome.counted)
        Metrics.reportSessions.add(.dropped, outcome.dropped)
        if outcome.dropped > 0 {
            logger.warning("sessions could not be counted for reports: too many different ones today", metadata: ["sessions": "\(outcome.dropped)"])
        }
    }

    private func takeSessions(_ record: JourneyRecord, _ entries: inout [ReportEntry]) {
        guard settings.tls, let events = try? JourneyCoding.decode(record.payload) else { return }
        for event in events {
            guard case .protected(let session) = event.operation, let day = day(of: event.time), let entry = SessionObservation(session)?.entry(day: day) else {
                continue
            }
            entries.append(entry)
        }
    }

    /// The day that a time belongs to. The time is another host's word: a day that can't be is none.
    private func day(of time: Date) -> Int? {
        let today = ReportDay.containing(now())
        let day = ReportDay.containing(time)
        return day <= today + 1 && day >= today - settings.keepDays ? day : nil
    }

    private func take(_ record: JourneyRecord, _ entries: inout [ReportEntry], _ singles: inout [SingleReport]) {
        guard let events = try? JourneyCoding.decode(record.payload) else { return }
        guard !isReportMail(events) else { return }
        for event in events {
            guard case .judged(let judged) = event.operation else { continue }
            let account = account(judged, at: event.time)
            if let entry = account.entry { entries.append(entry) }
            if let single = account.single { singles.append(single) }
        }
    }

    /// What one message adds: to the report of its day, and a report of its own.
    func account(_ judged: JourneyEvent.Judged, at time: Date) -> (entry: ReportEntry?, single: SingleReport?) {
        guard let seen = ReportObservation(judged), let day = day(of: time) else { return (nil, nil) }
        let entry = settings.aggregates ? seen.entry(day: day) : nil
        guard settings.failures.enabled, let payload = seen.failurePayload(at: time) else { return (entry, nil) }
        let single = SingleReport(
            day: day, domain: judged.recordDomain, destinations: seen.record.failureReportURIs.writtenList, payload: payload,
            identity: identities.make(judged.recordDomain, day))
        return (entry, single)
    }

    /// Whether all recipients are addresses of ours that take reports.
    private func isReportMail(_ events: [JourneyEvent]) -> Bool {
        guard !reportAddresses.isEmpty else { return false }
        var found = false
        for event in events {
            guard case .exchanged(let exchange) = event.operation, !exchange.outbound, exchange.reply.isPositive,
                exchange.command.uppercased().hasPrefix("RCPT TO:"), let open = exchange.command.firstIndex(of: "<"),
                let close = exchange.command[open...].firstIndex(of: ">")
            else { continue }
            let text = String(exchange.command[exchange.command.index(after: open)..<close])
            guard let address = try? EmailAddress(parsing: text), reportAddresses.contains(address.lowercased) else { return false }
            found = true
        }
        return found
    }
}

extension ReportAccountant {
    /// - Throws: where the reports' sender has no domain that is one.
    init(
        _ configuration: Configuration, _ settings: Configuration.ReportSettings, spool: SpoolStore, now: @escaping @Sendable () -> Date, logger: Logger
    ) throws {
        self.init(
            spool: spool, settings: settings, reportAddresses: configuration.reportAddresses,
            identities: ReportIdentities(domain: try DomainName(configuration.reportSender.domain)), now: now, logger: logger)
    }
}

/// Makes Report-IDs, unique among all reports (RFC 9990 §3.5.1).
struct ReportIdentities: Sendable {
    /// The domain that reports.
    let domain: DomainName
    var random: @Sendable () -> UInt64 = { UInt64.random(in: .min ... .max) }

    /// `20261127.gmail.test.1f0c…@kartapuce.test`.
    func make(_ subject: String, _ day: Int) -> String {
        let date = JourneyTime(Date(timeIntervalSince1970: Double(ReportDay.bounds(day).begin))).day.split(separator: "-").joined()
        // A domain with an underscore is one too; what can't stand in an identity is left out.
        let name = subject.unicodeScalars.filter {
            $0.isASCII && ($0.properties.isAlphabetic || $0.properties.numericType != nil || "-_.".unicodeScalars.contains($0))
        }
        return "\(date).\(String(String.UnicodeScalarView(name).prefix(150))).\(suffix())@\(domain.ascii)"
    }

    private func suffix() -> String {
        let digits = String(random(), radix: 16)
        return String(repeating: "0", count: 16 - digits.count) + digits
    }

    /// The journey of what has no message.
    static func trace(_ identity: String) -> TraceID {
        TraceID(octets: Array(SHA256.hash(data: Array(identity.utf8)).prefix(16))) ?? .random()
    }

    /// The part of an identity that no other one has: letters and digits.
    static func unique(_ identity: String) -> String {
        String(identity.prefix { $0 != "@" }.suffix(16))
    }
}
