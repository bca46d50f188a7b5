import DNS
import Journeys
import MailTransport
import TransportSecurity

/// Puts into a journey what a report on TLS will tell of the sessions of one delivery.
struct SessionNote: Sendable {
    /// Whether the domain asks for reports.
    let wish: ReportWishes.Wish
    /// What was found out about the domain's policy of MTA-STS.
    let sts: PolicyMemory.Finding?
    /// The address that we go out from, where the configuration says it.
    let outboundAddress: IPAddress?

    /// Octets of the longest policy whose lines are kept with each session; of longer ones a report names the domain and the hosts alone.
    static let policyLimit = 4096
    /// The most hosts of a policy that are kept.
    static let hostLimit = 32

    /// What a report will tell of a session, or of one that wasn't even begun.
    func report(_ verdict: TLSVerdict, at address: IPAddress, from localAddress: IPAddress? = nil, helo: String? = nil) async -> Report? {
        guard let record = await wish.record else { return nil }
        let receipt = verdict.receipt
        var policy = receipt.policy
        var failures = verdict.failures().map { Report.Failure(type: $0.result.rawValue, reason: $0.reason) }
        // RFC 8461 §6. DANE outranks MTA-STS: under it nobody looks at the policy.
        if policy.kind != .tlsa, let reportable = sts?.plan.reportable {
            if policy.kind == .noPolicyFound { policy = .unknownSTS(domain: receipt.nextHop) }
            failures.append(Report.Failure(type: reportable.rawValue, reason: sts?.fetchError.map { String("\($0.reason)".prefix(300)) }))
        }
        let isShort = policy.lines.reduce(0) { $0 + $1.utf8.count } <= Self.policyLimit
        return Report(
            record: record, policyType: policy.kind.rawValue, policyDomain: policy.domain.ascii, policyLines: isShort ? policy.lines : [],
            policyHosts: Array(policy.exchangers.prefix(Self.hostLimit)), receivingHost: receipt.host.ascii, receivingAddress: "\(address)",
            receivingHELO: helo, sendingAddress: Self.told(localAddress ?? outboundAddress, to: address).map { "\($0)" }, failures: failures)
    }

    typealias Report = JourneyEvent.Protected.SessionReport

    /// An address that only this house knows, behind a translation of addresses, is nobody else's business.
    static func told(_ own: IPAddress?, to peer: IPAddress) -> IPAddress? {
        guard let own, !own.isSpecial || peer.isSpecial else { return nil }
        return own
    }
}
