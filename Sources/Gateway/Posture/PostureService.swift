import DNS
import FoundationEssentials
import Logging
import PosternMetrics
import Posture
import ServiceLifecycle

/// Looks once a day at how the organisation's domains are set up, and at what the DNS says differently from the configuration. What is wrong is said
/// when it appears and when it has gone, not every day.
struct PostureService: Service {
    /// What is in force: a reload changes it.
    let configuration: @Sendable () -> Configuration
    let resolver: any DNS.Resolver
    /// How servers are looked at under a configuration.
    let probes: @Sendable (Configuration) throws -> PostureProbes
    let logger: Logger
    var interval = Duration.seconds(86_400)
    /// A host that just began has other things to do, and its own listeners may not answer yet.
    var firstWait = Duration.seconds(300)

    /// What was said and hasn't gone.
    struct Memory: Sendable {
        var findings: [String: PostureFinding] = [:]
        var differences: [DomainName: Set<DNSDrift.Difference>] = [:]
    }

    func run() async throws {
        await cancelWhenGracefulShutdown {
            var memory = Memory()
            var wait = firstWait
            while (try? await Task.sleep(for: wait)) != nil {
                wait = interval
                await look(&memory, at: Date.now)
            }
        }
    }

    /// Looks at all domains once.
    func look(_ memory: inout Memory, at now: Date) async {
        let configuration = configuration()
        guard configuration.dns?.checks ?? false else { return forget(&memory) }
        let probes: PostureProbes
        do { probes = try self.probes(configuration) } catch {
            return logger.error("the domains aren't checked", metadata: ["error": "\(error)"])
        }
        var counts: [PostureSeverity: Int] = [:]
        var missing = 0
        var surplus = 0
        var found: [String: PostureFinding] = [:]
        for domain in configuration.domains {
            var options = PostureChecker.Options()
            options.selectors = (try? DomainPosture.ownSelectors(of: domain, configuration)) ?? []
            let report = await PostureChecker(resolver: resolver, probes: probes, options: options).check(domain, at: now)
            for finding in report.findings {
                counts[finding.severity, default: 0] += 1
                if finding.severity >= .warning { found["\(finding.code.rawValue) \(finding.subject)"] = finding }
            }
            guard let plan = try? DNSRecordPlan(for: domain, configuration) else { continue }
            let drift = await DNSDrift.find(plan, resolver: resolver)
            missing += drift.differences.reduce(0) { $0 + $1.missing.count }
            surplus += drift.differences.reduce(0) { $0 + $1.surplus.count }
            tell(drift, of: domain, &memory)
        }
        tell(found, &memory)
        for severity in PostureSeverity.allCases { Metrics.postureFindings.set(.init(severity), counts[severity] ?? 0) }
        Metrics.dnsDrift.set(.missing, missing)
        Metrics.dnsDrift.set(.surplus, surplus)
    }

    /// Nobody is to look any more: what was found says nothing then.
    private func forget(_ memory: inout Memory) {
        memory = Memory()
        for severity in PostureSeverity.allCases { Metrics.postureFindings.set(.init(severity), 0) }
        Metrics.dnsDrift.set(.missing, 0)
        Metrics.dnsDrift.set(.surplus, 0)
    }

    private func tell(_ found: [String: PostureFinding], _ memory: inout Memory) {
        for (key, finding) in found.sorted(by: { $0.key < $1.key }) where memory.findings[key] == nil {
            logger.log(
                level: finding.severity == .error ? .error : .warning, "posture.finding",
                metadata: [
                    "posture.code": "\(finding.code.rawValue)", "posture.subject": "\(finding.subject)", "posture.text": "\(finding.text)",
                    "posture.advice": "\(finding.advice)",
                ])
        }
        for (key, finding) in memory.findings.sorted(by: { $0.key < $1.key }) where found[key] == nil {
            logger.notice("posture.resolved", metadata: ["posture.code": "\(finding.code.rawValue)", "posture.subject": "\(finding.subject)"])
        }
        memory.findings = found
    }

    /// Names that the DNS doesn't answer for are neither new nor gone.
    private func tell(_ drift: DNSDrift, of domain: DomainName, _ memory: inout Memory) {
        let known = drift.differences.filter { !$0.isUnknown }
        let unanswered = Set(drift.differences.filter(\.isUnknown).map { "\($0.name) \($0.type)" })
        let before = memory.differences[domain] ?? []
        for difference in known where !before.contains(difference) {
            logger.error(
                "dns.drift",
                metadata: [
                    "dns.name": "\(difference.name)", "dns.type": "\(difference.type)", "dns.missing": "\(difference.missing.joined(separator: ", "))",
                    "dns.surplus": "\(difference.surplus.joined(separator: ", "))",
                ])
        }
        let kept = before.filter { unanswered.contains("\($0.name) \($0.type)") }
        let now = Set(known).union(kept)
        let stillWrong = Set(now.map { "\($0.name) \($0.type)" })
        for difference in before.sorted(by: { $0.name < $1.name }) where !stillWrong.contains("\(difference.name) \(difference.type)") {
            logger.notice("dns.drift.ended", metadata: ["dns.name": "\(difference.name)", "dns.type": "\(difference.type)"])
        }
        memory.differences[domain] = now
    }
}

extension Metrics.PostureFinding {
    init(_ severity: PostureSeverity) {
        switch severity {
        case .good: self = .good
        case .info: self = .info
        case .unknown: self = .unknown
        case .warning: self = .warning
        case .error: self = .error
        }
    }
}
