import DNS
import Journeys
import MailStore
import TransportSecurity

/// What the journey says of a session with another organisation's host, in the words of a report on TLS (RFC 8460 §4). Another host wrote it.
struct SessionObservation: Sendable {
    /// Sessions that are alike are one row.
    struct Row: Codable, Sendable, Hashable {
        var policy: TLSRPTPolicy
        /// None for a session that satisfied the policy.
        var failures: [TLSRPTFailure]
    }

    let domain: DomainName
    let record: String
    let row: Row

    /// The most of what one session says that is counted.
    private static let lineLimit = 200
    private static let failureLimit = 4

    /// `nil` where nobody asks for reports, or what is said can't be read.
    init?(_ session: JourneyEvent.Protected) {
        guard let report = session.tlsReport, let domain = try? DomainName(session.nextHop), report.record.utf8.count <= ReportWishes.recordLimit,
            let record = try? TLSRPTRecord(parsing: Array(report.record.utf8)), !record.destinations.isEmpty,
            let kind = TLSRPTPolicy.Kind(rawValue: report.policyType), let policyDomain = try? DomainName(report.policyDomain),
            report.policyLines.reduce(0, { $0 + $1.utf8.count }) <= SessionNote.policyLimit
        else { return nil }
        self.domain = domain
        self.record = report.record
        var policy = TLSRPTPolicy.noPolicyFound(domain: policyDomain)
        policy.kind = kind
        policy.lines = Array(report.policyLines.prefix(Self.lineLimit))
        policy.exchangers = report.policyHosts.prefix(SessionNote.hostLimit).map { String($0.prefix(255)) }
        let failures = report.failures.prefix(Self.failureLimit).compactMap { failure in
            TLSResultType(rawValue: failure.type).map { type in
                TLSRPTFailure(
                    type, sendingAddress: report.sendingAddress.flatMap { IPAddress($0) }, receivingHost: try? DomainName(report.receivingHost),
                    receivingHELO: report.receivingHELO, receivingAddress: report.receivingAddress.flatMap { IPAddress($0) }, reason: failure.reason)
            }
        }
        // A failure that nobody here knows the name of is none that could be reported, and no success.
        guard failures.count == min(report.failures.count, Self.failureLimit) else { return nil }
        row = Row(policy: policy, failures: failures)
    }

    /// The row of the day's report.
    func entry(day: Int) -> ReportEntry? {
        guard let payload = ReportForm.encode(row) else { return nil }
        return ReportEntry(kind: .tls, day: day, domain: domain.ascii, destinations: record, section: [], payload: payload)
    }
}
