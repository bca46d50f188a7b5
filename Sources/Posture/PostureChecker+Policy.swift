import DNS
import TransportSecurity

/// MTA-STS and the reports on encryption.
extension PostureChecker {
    /// What is known of the policy of MTA-STS.
    struct PolicyState: Sendable {
        var policy: MTASTSPolicy?
        /// There is a record, and nobody fetched the policy.
        var isUnchecked = false
        var findings: [PostureFinding] = []
        /// The outdated versions of TLS that were tried at the policy's host.
        var attempts: [(host: DomainName, address: IPAddress, attempts: [PostureVersionAttempt])] = []
    }

    func mtasts(_ subject: PostureSubject) async -> PolicyState {
        let name = subject.domain.ascii
        let (discovery, lookup) = await MTASTSDiscovery.ask(subject.domain, using: resolver)
        let evidence = PostureFinding.Evidence.of(lookup)
        func only(_ code: PostureCode, _ text: String) -> PolicyState { PolicyState(findings: [PostureFinding(code, name, text, evidence)]) }
        switch discovery {
        case .notFound: return only(.mtastsMissing, "has no MTA-STS record")
        case .several(let count): return only(.mtastsSeveral, "has \(count) MTA-STS records, which counts as none")
        case .invalid(let reason): return only(.mtastsInvalid, "has an MTA-STS record that counts as none: \(reason)")
        case .failed(let error):
            return only(error.code == .bogus ? .dnssecBogus : .mtastsUnknown, "gives no answer for its MTA-STS record: \(error.reason)")
        case .record: break
        }
        guard let fetcher = probes.policy else {
            var state = only(.mtastsUnchecked, "has an MTA-STS record; the policy wasn't fetched")
            state.isUnchecked = true
            return state
        }
        let uri = "https://mta-sts.\(name)/.well-known/mta-sts.txt"
        do {
            let policy = try await MTASTSPolicy.fetch(subject.domain, using: fetcher)
            let fetched = evidence + [.init(.https, uri, policy.lines.joined(separator: " | "))]
            var state = PolicyState(policy: policy, findings: judge(policy, subject, fetched))
            state.attempts = await versions(ofPolicyHostOf: subject.domain)
            return state
        } catch {
            return PolicyState(
                findings: [PostureFinding(.mtastsFetch, name, "serves no policy that counts: \(error.reason)", evidence + [.init(.https, uri, error.reason)])])
        }
    }

    /// Tries outdated versions of TLS at the first address of a policy's host.
    private func versions(ofPolicyHostOf domain: DomainName) async -> [(host: DomainName, address: IPAddress, attempts: [PostureVersionAttempt])] {
        guard let probe = probes.versions, let host = try? domain.prefixed(with: "mta-sts") else { return [] }
        for type in [DNSRecordType.aaaa, .a] {
            for case .address(let address) in await ask(host, type).answer?.records ?? [] {
                let attempts = await probe.tryOutdated(.https, host: host, address: address)
                // Where nobody comes to by IPv6, the other family says more.
                if attempts.contains(where: \.isClear) { return [(host, address, attempts)] }
                break
            }
        }
        return []
    }

    private func judge(_ policy: MTASTSPolicy, _ subject: PostureSubject, _ evidence: [PostureFinding.Evidence]) -> [PostureFinding] {
        let name = subject.domain.ascii
        var findings: [PostureFinding] = []
        switch policy.mode {
        case .none: return [PostureFinding(.mtastsModeNone, name, "has a policy “none”: it takes MTA-STS back", evidence)]
        case .testing: findings.append(PostureFinding(.mtastsTesting, name, "has a policy in test: senders deliver also where it fails", evidence))
        case .enforce: break
        }
        if policy.maximumAgeSeconds < 7 * 86_400 {
            findings.append(PostureFinding(.mtastsShortAge, name, "has a policy that is kept for \(policy.maximumAgeSeconds) seconds", evidence))
        }
        for host in subject.exchange.hosts where !policy.allows(host.name) {
            findings.append(PostureFinding(.mtastsMismatch, host.name.ascii, "isn't allowed by the policy: senders that know MTA-STS pass it over", evidence))
        }
        for pattern in policy.patterns where !subject.exchange.hosts.contains(where: { pattern.matches($0.name) }) {
            findings.append(PostureFinding(.mtastsExtra, "\(pattern)", "stands in the policy and in no MX record", evidence))
        }
        if !policy.notes.isEmpty { findings.append(PostureFinding(.mtastsNotes, name, policy.notes.joined(separator: "; "), evidence)) }
        if !findings.contains(where: { $0.severity > .info }) {
            findings.insert(PostureFinding(.mtastsGood, name, "has a policy that is enforced and allows its mail servers", evidence), at: 0)
        }
        return findings
    }

    func reports(_ subject: PostureSubject) async -> [PostureFinding] {
        guard !subject.exchange.hosts.isEmpty, let lookup = await ask("_smtp._tls", below: subject.domain, .txt) else { return [] }
        let name = subject.domain.ascii
        let evidence = PostureFinding.Evidence.of(lookup)
        if let failure = lookup.failure {
            return [
                PostureFinding(
                    failure.code == .bogus ? .dnssecBogus : .tlsrptUnknown, name, "gives no answer for its TLSRPT record: \(failure.reason)", evidence)
            ]
        }
        do {
            guard let record = try TLSRPTRecord.choose(lookup.texts) else {
                let several = lookup.texts.count { $0.starts(with: "v=TLSRPTv1".utf8) }
                if several > 1 { return [PostureFinding(.tlsrptSeveral, name, "has \(several) TLSRPT records, which counts as none", evidence)] }
                return [PostureFinding(.tlsrptMissing, name, "asks nobody for reports on encryption", evidence)]
            }
            let addresses = record.destinations.compactMap { if case .mail(let address) = $0 { address } else { nil } }
            guard !addresses.isEmpty else { return [PostureFinding(.tlsrptNoMail, name, "wants reports, and not by mail", evidence)] }
            return [PostureFinding(.tlsrptGood, name, "has reports sent to \(addresses.joined(separator: ", "))", evidence)]
        } catch {
            return [PostureFinding(.tlsrptInvalid, name, "has a TLSRPT record that can't be used: \(error.reason)", evidence)]
        }
    }

    func dnssec(_ subject: PostureSubject) async -> [PostureFinding] {
        guard let answer = subject.exchange.lookup.answer else { return [] }
        let evidence = PostureFinding.Evidence.of(subject.exchange.lookup)
        guard answer.security == .secure else { return [PostureFinding(.dnssecInsecure, subject.domain.ascii, "isn't signed", evidence)] }
        var findings = [PostureFinding(.dnssecGood, subject.domain.ascii, "is signed, and the signatures are right", evidence)]
        for host in subject.exchange.hosts where !host.addresses.isEmpty && !host.isSecure {
            findings.append(PostureFinding(.dnssecHost, host.name.ascii, "isn't in a signed zone", host.lookups.map(PostureFinding.Evidence.init)))
        }
        return findings
    }
}
