import DNS
import MailAuthentication
import MailMessage

/// What receivers are to do with forgeries (RFC 9989), and the logo that depends on it.
extension PostureChecker {
    func dmarcAndLogo(_ subject: PostureSubject) async -> [PostureFinding] {
        let discovery = await DMARCPolicyDiscovery(resolver: resolver).discover(subject.domain)
        async let logo = bimi(subject, discovery)
        return await dmarc(subject, discovery) + logo
    }

    private func dmarc(_ subject: PostureSubject, _ discovery: DMARCDiscovery) async -> [PostureFinding] {
        let name = subject.domain.ascii
        let evidence = discovery.queries.map { PostureFinding.Evidence($0.lookup) }
        func finding(_ code: PostureCode, _ text: String) -> PostureFinding { PostureFinding(code, name, text, evidence) }
        var findings: [PostureFinding] = []
        for query in discovery.queries where query.domain == subject.domain {
            switch query.finding {
            case .severalRecords(let count): findings.append(finding(.dmarcSeveral, "has \(count) DMARC records"))
            case .unusableRecord(let error): findings.append(finding(.dmarcInvalid, "has a DMARC record that can't be applied: \(error)"))
            case .record, .noRecord, .failure, .existence: break
            }
        }
        switch discovery.outcome {
        case .temporaryFailure(let error):
            return findings + [finding(error.code == .bogus ? .dnssecBogus : .dmarcUnknown, "gives no answer for its DMARC record: \(error.reason)")]
        case .noPolicy:
            guard findings.isEmpty else { return findings }
            return [finding(subject.isWithoutMail ? .dmarcNotClosed : .dmarcMissing, "has no DMARC record")]
        case .inapplicable(let record, _):
            return findings + [
                finding(
                    .dmarcInvalid, record.notes.last.map { "has a DMARC record that can't be applied: \($0)" } ?? "has a DMARC record that can't be applied")
            ]
        case .policy(let record, let owner):
            if owner != subject.domain { findings.append(finding(.dmarcInherited, "has no DMARC record of its own; that of \(owner.ascii) applies")) }
            findings += policy(record, discovery.requested?.policy ?? record.policy, subject, evidence, isOwn: owner == subject.domain)
            findings += await destinations(record, owner, subject, evidence)
        }
        if !findings.contains(where: { $0.severity > .info }), let requested = discovery.requested?.policy {
            findings.insert(finding(.dmarcGood, "asks receivers to \(requested == .reject ? "reject" : "quarantine") forgeries"), at: 0)
        }
        return findings
    }

    private func policy(
        _ record: DMARCRecord, _ requested: DMARCPolicy, _ subject: PostureSubject, _ evidence: [PostureFinding.Evidence], isOwn: Bool
    ) -> [PostureFinding] {
        var findings: [PostureFinding] = []
        func add(_ code: PostureCode, _ text: String) { findings.append(PostureFinding(code, subject.domain.ascii, text, evidence)) }
        func strictness(_ policy: DMARCPolicy) -> Int { policy == .reject ? 2 : policy == .quarantine ? 1 : 0 }
        let tags = try? TagList(parsing: record.text)
        if subject.isWithoutMail {
            if requested != .reject || record.isTesting { add(.dmarcNotClosed, "takes no mail, and forgeries in its name aren't refused: “\(record.text)”") }
        } else if requested == .none {
            add(.dmarcNone, "asks receivers to do nothing about forgeries")
        } else {
            if record.isTesting { add(.dmarcTesting, "has a policy in test") }
            if let percentage = tags?["pct"].flatMap({ Int($0) }), percentage < 100 { add(.dmarcPartial, "applies its policy to \(percentage) % of the mail") }
        }
        let weaker = [("sp", record.subdomainPolicy), ("np", record.nonexistentSubdomainPolicy)].compactMap { tag, policy in
            policy.flatMap { strictness($0) < strictness(record.policy) ? "\(tag)=\($0.rawValue)" : nil }
        }
        if isOwn, !weaker.isEmpty { add(.dmarcSubdomains, "is strict itself, and has \(weaker.joined(separator: ", "))") }
        let retired = ["pct", "rf", "ri"].filter { tags?[$0] != nil }
        if !retired.isEmpty { add(.dmarcObsolete, "has \(retired.joined(separator: ", ")) in its record") }
        if !record.failureReportURIs.isEmpty { add(.dmarcFailureReports, "asks for failure reports") }
        let oddities = record.notes.filter { note in !["“pct=", "“rf”", "“ri”"].contains(where: { note.hasPrefix($0) }) && !note.contains("“rua”") }
        if !oddities.isEmpty { add(.dmarcOddities, oddities.joined(separator: "; ")) }
        return findings
    }

    /// Whether reports are asked for, and may go where they are to go (RFC 9990 §4).
    private func destinations(
        _ record: DMARCRecord, _ owner: DomainName, _ subject: PostureSubject, _ evidence: [PostureFinding.Evidence]
    ) async -> [PostureFinding] {
        let name = subject.domain.ascii
        guard let list = (try? TagList(parsing: record.text))?["rua"] else {
            return [PostureFinding(.dmarcNoReports, name, "asks for no reports", evidence)]
        }
        let resolver = resolver
        let found = await DMARCReportDestination.evaluate(list, policyDomain: owner, resolver: resolver) { first, second in
            let discovery = DMARCPolicyDiscovery(resolver: resolver)
            guard let left = await discovery.walk(from: first).organizationalDomain else { return false }
            return await discovery.walk(from: second).organizationalDomain == left
        }
        return found.compactMap { destination in
            let proof = evidence + PostureFinding.Evidence.of(destination.lookup)
            switch destination.verdict {
            case .sameOrganization, .authorized, .repeated, .overLimit: return nil
            case .notAuthorized, .redirectedElsewhere:
                let domain = destination.address?.domain ?? ""
                return PostureFinding(
                    .dmarcReportsRefused, name, "has reports sent to \(destination.uri), and \(domain) hasn't agreed", proof,
                    advice: "Have “v=DMARC1” published at \(owner.ascii)._report._dmarc.\(domain), or send reports to an address of your own.")
            case .temporaryError: return PostureFinding(.dmarcUnknown, name, "gets no answer whether \(destination.uri) agrees to reports", proof)
            case .malformed, .unsupportedScheme:
                return PostureFinding(.dmarcReportsUnusable, name, "has reports sent to “\(destination.uri)”, which can't be used", proof)
            }
        }
    }

    // MARK: The logo

    private func bimi(_ subject: PostureSubject, _ discovery: DMARCDiscovery) async -> [PostureFinding] {
        guard !subject.isWithoutMail else { return [] }
        let name = subject.domain.ascii
        let organization = await DMARCPolicyDiscovery(resolver: resolver).walk(from: subject.domain).organizationalDomain ?? subject.domain
        let found = await BIMIDiscovery(resolver: resolver).find(authorDomain: subject.domain, organizationalDomain: organization)
        var evidence = found.steps.compactMap { $0.lookup.map(PostureFinding.Evidence.init) }
        func finding(_ code: PostureCode, _ text: String) -> PostureFinding { PostureFinding(code, name, text, evidence) }
        let record: BIMIRecord
        switch found.outcome {
        case .none: return [finding(.bimiNone, "has no logo")]
        case .several(let count): return [finding(.bimiSeveral, "has \(count) logo records")]
        case .invalid(let error): return [finding(.bimiInvalid, "has a logo record that can't be used: \(error)")]
        case .temporary(let error): return [finding(error.code == .bogus ? .dnssecBogus : .bimiUnknown, "gives no answer for its logo record: \(error.reason)")]
        case .record(let read): record = read
        }
        guard !record.isDeclination else { return [finding(.bimiDeclined, "says that it has no logo")] }
        var findings: [PostureFinding] = []
        if let refusal = await precondition(discovery, organization).refusal { findings.append(finding(.bimiPolicy, "gets no logo shown: \(refusal)")) }
        if record.evidenceLocation == nil { findings.append(finding(.bimiNoEvidence, "has a logo without a mark certificate")) }
        guard let location = record.location else { return findings }
        guard let fetcher = probes.indicator else { return findings + [finding(.bimiUnchecked, "has a logo at \(location); it wasn't fetched")] }
        do {
            let octets = try await fetcher.fetch(location, limit: BIMIIndicator.Limits().octets)
            let report = BIMIIndicator.judge(octets: octets)
            evidence.append(.init(.https, "\(location)", "\(octets.count) octets, “\(report.title ?? "")”"))
            if let problem = report.problems.first { findings.append(finding(.bimiIndicator, "has a logo that can't be used: \(problem)")) }
        } catch {
            findings.append(finding(.bimiIndicator, "has a logo that can't be fetched: \(error.reason)"))
        }
        if !findings.contains(where: { $0.severity > .info }) { findings.insert(finding(.bimiGood, "has a logo at \(location)"), at: 0) }
        return findings
    }

    /// As if a message of the domain's own had passed.
    private func precondition(_ discovery: DMARCDiscovery, _ organization: DomainName) async -> BIMIPrecondition {
        func policy(_ discovery: DMARCDiscovery) -> BIMIPrecondition.Policy? {
            guard case .policy(let record, _) = discovery.outcome else { return nil }
            func request(_ policy: DMARCPolicy) -> BIMIPrecondition.Request { .init(rawValue: policy.rawValue) ?? .none }
            return BIMIPrecondition.Policy(
                domain: request(discovery.requested?.policy ?? record.policy), subdomains: record.subdomainPolicy.map(request),
                percentage: (try? TagList(parsing: record.text))?["pct"].flatMap { Int($0) }, isTesting: record.isTesting)
        }
        let above = organization == discovery.author ? nil : policy(await DMARCPolicyDiscovery(resolver: resolver).discover(organization))
        return BIMIPrecondition(
            fromFieldCount: 1, fromAddressCount: 1, isAuthenticated: true, isAligned: true, authorPolicy: policy(discovery), organizationalPolicy: above)
    }
}
