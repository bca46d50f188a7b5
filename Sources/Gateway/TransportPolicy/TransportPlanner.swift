import DNS
import FoundationEssentials
import Journeys
import Logging
import MailStore
import MailTransport
import PosternMetrics
import TransportSecurity

/// Finds out how mail must be protected on its way to the hosts of another organisation, and judges the sessions with them.
struct TransportPlanner: Sendable {
    let settings: Configuration.TransportSettings
    let resolver: any Resolver
    /// `nil` where policies of MTA-STS aren't followed.
    let policies: PolicyMemory?
    let hosts: HostMemory
    let roots: PKIXRoots
    let now: @Sendable () -> Date
    let logger: Logger

    /// What is known of a destination before its hosts are tried.
    struct Destination: Sendable {
        var domain: DomainName
        /// What DNSSEC says of the MX records; `nil` where there are none.
        var exchangerSecurity: DNSSECStatus?
        var canonicalName: DomainName?
        var sts: PolicyMemory.Finding?
        /// The questions of the route, whose answers needn't be asked for again.
        var known: [DNSLookup]
        var steps: [DeliveryResult.Step] = []
    }

    /// Asks for what the domain says about all its hosts.
    /// - Throws: what the store throws where it can't tell which policy is known already.
    func destination(_ domain: DomainName, _ route: MailRoute) async throws -> Destination {
        var destination = Destination(domain: domain, known: route.lookups)
        if case .success(let answer) = route.lookups.first?.result {
            if answer.outcome == .records { destination.exchangerSecurity = answer.security }
            destination.canonicalName = answer.canonicalName
        }
        guard settings.mtaSTS, let policies else { return destination }
        let start = now()
        let finding = try await policies.finding(for: domain)
        destination.sts = finding
        if let lookup = finding.lookup { destination.steps.append(.init(lookup, at: start)) }
        // The answer of the DNS says it already.
        guard finding.isRemarkable else { return destination }
        var words = finding.plan.reason
        if let error = finding.fetchError { words += "; the last fetch failed: \(error)" }
        destination.steps.append(
            .init(operation: .checked(.init(check: "mta-sts", result: finding.policy?.mode.rawValue ?? "none", explanation: words)), time: now()))
        return destination
    }

    /// The judge of one message's sessions with one host.
    func judge(
        _ host: MailHost, of destination: Destination, port: Int, tag: TLSTag, isNotice: Bool, isReport: Bool
    ) async -> (judge: HostJudge, steps: [DeliveryResult.Step]) {
        var steps: [DeliveryResult.Step] = []
        var dane: DANEDecision?
        if settings.dane {
            let origin: DANEDestination.Origin =
                destination.exchangerSecurity.map { .exchanger($0, canonicalNextHop: destination.canonicalName) } ?? .nextHop
            let start = now()
            let decision = await DANELookup(resolver: resolver).decide(
                DANEDestination(nextHop: destination.domain, host: host.name, origin: origin, port: UInt16(clamping: port)), known: destination.known)
            steps += decision.lookups.map { .init($0, at: start) }
            dane = decision
        }
        let requirement = TLSRequirement(
            TransportPolicyInput(
                nextHop: destination.domain, host: host.name, exchangerSecurity: destination.exchangerSecurity,
                local: settings.minimum(for: destination.domain), dane: dane, sts: destination.sts?.policy, tag: tag, isNotice: isNotice, isReport: isReport))
        await hosts.load(host.name)
        return (HostJudge(requirement: requirement, planner: self), steps)
    }
}

/// Judges the sessions with one host by what is required there.
struct HostJudge: SMTPPeerJudge {
    let requirement: TLSRequirement
    let planner: TransportPlanner

    var triesTLS: Bool { requirement.level > .none }

    func judge(_ observation: TLSObservation, at address: IPAddress) -> TLSVerdict {
        let verdict = planner.hosts.change(requirement.host) { history in
            let verdict = requirement.judge(
                observation, roots: planner.roots, history: &history, limits: planner.settings.suspicion, at: planner.now())
            // A message that goes whatever becomes of TLS says nothing about the next one: whoever provokes it must not make the host forgotten.
            if case .proceed = verdict.outcome, !verdict.receipt.isEncrypted, !requirement.isOptional { history.sentInClear() }
            return verdict
        }
        if verdict.suspicion != .none {
            Metrics.downgrades.add(.suspected)
            planner.logger.warning(
                "\(TLSVerdict.downgradeEvent): a host that always had TLS has none now",
                metadata: ["host": "\(requirement.host)", "address": "\(address)", "domain": "\(requirement.nextHop)"])
        }
        return verdict
    }

    /// What a host that isn't even to be tried is told about; `nil` where it may be tried.
    func refusal(at address: IPAddress) -> TLSVerdict? {
        guard requirement.refusal != nil else { return nil }
        return judge(TLSObservation(isOffered: false), at: address)
    }
}

extension DeliveryResult.Step {
    /// A question to the DNS with its answer.
    init(_ lookup: DNSLookup, at time: Date) {
        self.init(operation: .resolved(.init(lookup)), time: time, seconds: lookup.duration.seconds)
    }
}

extension JourneyEvent.Protected {
    /// The receipt of one session.
    init(_ verdict: TLSVerdict, address: IPAddress, report: SessionReport? = nil) {
        let receipt = verdict.receipt
        let outcome: (verdict: String, reason: String?) =
            switch verdict.outcome {
            case .proceed: ("proceed", nil)
            case .retry(_, let reason): ("retry", reason)
            case .refuse(_, let reason): ("refuse", reason)
            }
        self.init(
            peer: "\(receipt.host) [\(address)]", nextHop: receipt.nextHop.ascii, source: receipt.source.rawValue, level: "\(receipt.level)",
            encrypted: receipt.isEncrypted, authenticated: receipt.isAuthenticated, version: receipt.protocolVersion,
            cipher: receipt.cipherSuite, group: receipt.keyExchangeGroup, dnssec: receipt.exchangerSecurity?.rawValue,
            chain: receipt.chain.prefix(8).map { certificate in
                let end = certificate.notValidAfter.map { ", until \($0.formatted(.iso8601))" } ?? ""
                let names = certificate.names.isEmpty ? "" : ", for \(certificate.names.prefix(8).joined(separator: " "))"
                return "\(certificate.subject ?? "unreadable")\(names), by \(certificate.issuer ?? "?")\(end), key \(certificate.keyFingerprint)"
            },
            checks: receipt.checks.map { check in
                "\(check.method) (\(check.source.rawValue)): \(check.holds ? "holds" : check.isBinding ? "FAILS" : "fails, which is only reported"): \(check.reason)"
            }, steps: receipt.steps, failure: receipt.resultType?.rawValue, verdict: outcome.verdict, reason: outcome.reason,
            tlsReport: report)
    }
}
