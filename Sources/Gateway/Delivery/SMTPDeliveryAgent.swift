import DNS
import FoundationEssentials
import Journeys
import MailMessage
import MailStore
import MailTransport
import SMTP
import TransportSecurity

/// The delivery agent for everything that is reached by SMTP: other hosts of ours, and the mail exchangers of the internet.
struct SMTPDeliveryAgent: DeliveryAgent {
    let pool: SMTPClientPool
    let resolver: any Resolver
    let peers: [Configuration.Role: Configuration.Peer]
    /// Hosts that aren't Postern's, by the domain they take the mail of.
    let routes: [String: Configuration.Route]
    /// The port of mail exchangers.
    let port: Int
    /// Our own name and addresses, to recognise an MX record that points back at us (RFC 5321 §5.1).
    let hostname: String
    /// Whether this host may send to the internet: only the role `relay` may. The router never asks another host to; this keeps it so where a queue was tampered with.
    let reachesInternet: Bool
    /// How mail must be protected on its way to other organisations.
    let planner: TransportPlanner
    /// Who asks for reports on TLS; `nil` where nobody gets any from here.
    var wishes: ReportWishes?
    /// The address that we go out from, where the configuration says it.
    var outboundAddress: IPAddress?
    let now: @Sendable () -> Date

    func deliver(_ job: DeliveryJob) async -> DeliveryResult {
        switch job.destination {
        case .mailbox:
            return .uniform(job, .deferred, SMTPReply(451, .init(4, 3, 5), "This host has no mailboxes"))
        case .link(let role):
            guard let peer = peers[role], let linkPort = peer.linkPort else {
                return .uniform(job, .deferred, SMTPReply(451, .init(4, 3, 5), "No link to the role \(role.rawValue) is configured"))
            }
            let target = SMTPTarget(
                hostname: peer.host, addresses: [peer.address], port: linkPort, security: .link, peerRole: role.rawValue)
            return await deliver(job, to: [target], steps: [])
        case .route(let name):
            guard let route = routes[name] else {
                return .uniform(job, .deferred, SMTPReply(451, .init(4, 3, 5), "No route for \(name) is configured any more"))
            }
            return await deliver(job, to: [SMTPTarget(route)], steps: [])
        case .literal where !reachesInternet, .exchangers where !reachesInternet:
            return .uniform(job, .deferred, SMTPReply(451, .init(4, 3, 5), "This host doesn't send to the internet: it isn't the relay"))
        case .literal(let address):
            guard planner.settings.minimum == .none || planner.settings.minimum == .opportunistic else {
                let reply = SMTPReply(550, .init(5, 7, 10), "Encryption needed: whoever answers at [\(address)] can't be proven to be the right host")
                return .uniform(job, .failed, reply)
            }
            let target = SMTPTarget(hostname: "[\(address)]", addresses: [address], port: port, security: .opportunistic)
            return await deliver(job, to: [target], steps: [])
        case .exchangers(let domain):
            return await deliver(job, toExchangersOf: domain)
        }
    }

    /// Asks the DNS for the domain's mail exchangers and tries them in order (RFC 5321 §5.1).
    private func deliver(_ job: DeliveryJob, toExchangersOf domain: DomainName) async -> DeliveryResult {
        var generator = SystemRandomNumberGenerator()
        let start = now()
        // Answered beside all the rest; needed only when there was a session.
        let wish = wishes?.wish(of: domain)
        let route = await mailHosts(for: domain, using: resolver, ownName: try? DomainName(hostname), random: &generator)
        let steps = route.lookups.map { lookup in
            DeliveryResult.Step(operation: .resolved(.init(lookup)), time: start, seconds: lookup.duration.seconds)
        }
        switch route.outcome {
        case .hosts(let hosts):
            do {
                return await deliver(job, to: hosts, of: try await planner.destination(domain, route), wish: wish, steps: steps)
            } catch {
                // Without what is known already, a policy could be got rid of.
                let reply = SMTPReply(451, .init(4, 3, 0), "What is known of the policies of \(domain.ascii) can't be read")
                return .uniform(job, .deferred, reply, steps: steps)
            }
        case .ownHost:
            // Only better exchangers may be tried, or the message would come back to us; there is none.
            let reply = SMTPReply(554, .init(5, 4, 6), "The best mail exchanger of \(domain.ascii) is this host itself")
            return .uniform(job, .failed, reply, steps: steps)
        case .nullMX:
            let reply = SMTPReply(556, .init(5, 1, 10), "\(domain.ascii) declares that it accepts no mail (null MX, RFC 7505)")
            return .uniform(job, .failed, reply, steps: steps)
        case .noSuchDomain:
            return .uniform(job, .failed, SMTPReply(550, .init(5, 1, 2), "The domain \(domain.ascii) does not exist"), steps: steps)
        case .noAddress:
            let reply = SMTPReply(550, .init(5, 4, 4), "\(domain.ascii) has neither mail exchangers nor an address")
            return .uniform(job, .failed, reply, steps: steps)
        case .temporary(let error):
            return .uniform(job, .deferred, SMTPReply(451, .init(4, 4, 3), "The DNS gave no answer: \(error)"), steps: steps)
        }
    }

    /// Tries the hosts of another organisation in order, each as its policies want, until one has answered for the message.
    private func deliver(
        _ job: DeliveryJob, to hosts: [MailHost], of destination: TransportPlanner.Destination, wish: ReportWishes.Wish?, steps: [DeliveryResult.Step]
    ) async -> DeliveryResult {
        var result = DeliveryResult.uniform(
            job, .deferred, SMTPReply(451, .init(4, 4, 1), "No host could be reached"), steps: steps + destination.steps)
        // What a host that may be tried again said outweighs what another one can never give.
        var deferred: [DeliveryReport.Outcome]?
        let (tag, isReport) = await tag(of: job)
        // RFC 8460 §3: sessions that carry reports on TLS are in no report.
        let note = isReport ? nil : wish.map { SessionNote(wish: $0, sts: destination.sts, outboundAddress: outboundAddress) }
        for host in hosts {
            guard let address = host.addresses.first else { continue }
            let (judge, steps) = await planner.judge(
                host, of: destination, port: port, tag: tag, isNotice: job.envelope.reversePath == nil, isReport: isReport)
            result.steps += steps
            var isKeptBack = true
            if let verdict = judge.refusal(at: address), let reply = verdict.outcome.reply(about: host.name.ascii) {
                let report = await note?.report(verdict, at: address)
                result.steps.append(.init(operation: .protected(.init(verdict, address: address, report: report)), time: now()))
                result.host = host.name.ascii
                result.outcomes = DeliveryResult.uniform(job, reply.isPermanentFailure ? .failed : .deferred, reply).outcomes
                result.failures.append("\(host.name): \(reply)")
            } else {
                let target = SMTPTarget(
                    hostname: host.name.ascii, addresses: host.addresses, port: port, security: .judged, serverName: judge.requirement.serverName.ascii)
                let message = OutboundMessage(envelope: job.envelope, content: job.message.content, trace: nil, judge: judge)
                isKeptBack = await attempt(message, target, &result, note)
                await planner.hosts.keep(host.name, limits: planner.settings.suspicion, at: now())
            }
            guard isKeptBack || result.isUnreachable else { return result }
            if result.isUnreachable { deferred = result.outcomes }
        }
        if let deferred { result.outcomes = deferred }
        return result
    }

    /// What the message itself says about TLS (RFC 8689 §4.1), and whether it is a report on TLS (RFC 8460 §5.3).
    private func tag(of job: DeliveryJob) async -> (TLSTag, isReport: Bool) {
        let content = job.message.content
        guard !job.envelope.requiresTLS, let head = try? await content.read(0..<min(content.byteCount, 256 * 1024)) else {
            return (TLSTag(hasParameter: job.envelope.requiresTLS, field: .absent), false)
        }
        let header = HeaderSection(parsing: head)
        return (TLSTag(hasParameter: false, field: TLSRequiredField.read(in: header)), header.first(named: "TLS-Report-Domain") != nil)
    }

    /// Tries targets in order until one has answered for the message.
    private func deliver(_ job: DeliveryJob, to targets: [SMTPTarget], steps: [DeliveryResult.Step]) async -> DeliveryResult {
        var result = DeliveryResult.uniform(job, .deferred, SMTPReply(451, .init(4, 4, 1), "No host could be reached"), steps: steps)
        for target in targets {
            let isLink = target.security == .link
            let message = OutboundMessage(envelope: job.envelope, content: job.message.content, trace: isLink ? job.message.trace : nil)
            _ = await attempt(message, target, &result, nil)
            if !result.isUnreachable { break }
        }
        return result
    }

    /// Tries one target.
    /// - Returns: whether the message was kept back because of what was seen of the host.
    private func attempt(_ message: OutboundMessage, _ target: SMTPTarget, _ result: inout DeliveryResult, _ note: SessionNote?) async -> Bool {
        let start = now()
        let report = await pool.deliver(message, to: target)
        result.outcomes = report.outcomes
        result.host = report.hostname
        result.address = report.remoteAddress
        result.failures += report.failures
        result.steps += steps(of: report, receipts: await receipts(of: report, note), from: start)
        return report.isKeptBack
    }

    /// What was said of each session. A report tells of one once, however many messages it carries.
    private func receipts(of report: DeliveryReport, _ note: SessionNote?) async -> [JourneyEvent.Operation] {
        var receipts: [JourneyEvent.Operation] = []
        for judgement in report.judgements {
            let told =
                judgement.isReused
                ? nil : await note?.report(judgement.verdict, at: judgement.address, from: judgement.localAddress, helo: judgement.helo)
            receipts.append(.protected(.init(judgement.verdict, address: judgement.address, report: told)))
        }
        return receipts
    }

    private func steps(of report: DeliveryReport, receipts: [JourneyEvent.Operation], from start: Date) -> [DeliveryResult.Step] {
        var steps: [DeliveryResult.Step] = []
        let peer = report.remoteAddress.map { "\(report.hostname) [\($0)]" } ?? report.hostname
        let startTLS = report.exchanges.firstIndex { $0.command == "STARTTLS" }
        var time = start
        if let tls = report.tls, startTLS == nil { steps.append(.init(operation: .secured(.init(tls, peer: peer)), time: time)) }
        var receipts = receipts
        for (index, exchange) in report.exchanges.enumerated() {
            if exchange.command.hasPrefix("MAIL ") {
                steps += receipts.map { .init(operation: $0, time: time) }
                receipts = []
            }
            let evidence = JourneyEvent.Exchanged(peer: peer, outbound: true, command: exchange.command, reply: exchange.reply)
            steps.append(.init(operation: .exchanged(evidence), time: time, seconds: exchange.duration.seconds))
            time = time.addingTimeInterval(exchange.duration.seconds)
            if let tls = report.tls, index == startTLS { steps.append(.init(operation: .secured(.init(tls, peer: peer)), time: time)) }
        }
        steps += receipts.map { .init(operation: $0, time: time) }
        return steps
    }
}

extension SMTPTarget {
    /// The host that a route names.
    init(_ route: Configuration.Route) {
        let security: Security =
            switch route.security {
            case .opportunistic: .opportunistic
            case .verified: .verified
            case .plain: .plain
            }
        self.init(
            hostname: route.host, addresses: [route.address], port: route.port, security: security, isLMTP: route.transport == .lmtp)
    }
}

extension JourneyEvent.Resolved {
    /// A question to the DNS with its answer.
    init(_ lookup: DNSLookup) {
        switch lookup.result {
        case .success(let answer):
            self.init(
                name: lookup.name.ascii, type: "\(lookup.type)", outcome: answer.outcome.rawValue, records: answer.records.map { "\($0)" },
                security: answer.security.rawValue)
        case .failure(let error):
            self.init(
                name: lookup.name.ascii, type: "\(lookup.type)", outcome: error.code.rawValue, records: [],
                security: error.code == .bogus ? "bogus" : "unknown")
        }
    }
}
