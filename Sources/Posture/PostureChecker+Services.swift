import ACME
import DNS

/// Who may issue certificates, and how mail programs find their servers.
extension PostureChecker {
    // MARK: CAA (RFC 8659)

    func authorities(_ subject: PostureSubject) async -> [PostureFinding] {
        let hosts = subject.exchange.hosts.map(\.name).filter { $0.isSubdomain(of: subject.domain) }
        var findings: [PostureFinding] = []
        var owners: Set<DomainName> = []
        var isMissing = false
        for name in [subject.domain] + hosts {
            // RFC 8659 §3: the closest name above that has records decides.
            var current: DomainName? = name
            var found: DNSLookup?
            var asked: [DNSLookup] = []
            while let candidate = current, candidate != .root {
                let lookup = await ask(candidate, .caa)
                asked.append(lookup)
                if lookup.failure != nil || lookup.answer?.outcome == .records {
                    found = lookup
                    break
                }
                current = candidate.parent
            }
            guard let found else {
                if !isMissing {
                    findings.append(PostureFinding(.caaMissing, name.ascii, "lets every authority issue certificates", asked.map(PostureFinding.Evidence.init)))
                }
                isMissing = true
                continue
            }
            if let failure = found.failure {
                let code: PostureCode = failure.code == .bogus ? .dnssecBogus : .caaUnknown
                findings.append(
                    PostureFinding(code, found.name.ascii, "gives no answer for its CAA records: \(failure.reason)", PostureFinding.Evidence.of(found)))
            } else if owners.insert(found.name).inserted {
                findings += judge(found)
            }
        }
        return findings
    }

    private func judge(_ lookup: DNSLookup) -> [PostureFinding] {
        let name = lookup.name.ascii
        var findings: [PostureFinding] = []
        func add(_ code: PostureCode, _ text: String) { findings.append(PostureFinding(code, name, text, PostureFinding.Evidence.of(lookup))) }
        var issuers: [String] = []
        var isBound = true
        for case .other(let octets) in lookup.answer?.records ?? [] {
            guard let record = CAARecord(octets: octets) else {
                add(.caaInvalid, "has a CAA record that can't be read")
                continue
            }
            let known = ["issue", "issuewild", "iodef", "issuemail", "issuevmc", "contactemail", "contactphone"].contains(record.tag)
            if record.isCritical, !known { add(.caaUnknownTag, "has a critical CAA property “\(record.tag)”") }
            guard record.tag == "issue" else { continue }
            guard let issuer = CAAIssuer(record.value) else {
                add(.caaInvalid, "has a CAA record that names nobody: “\(String(decoding: record.value.prefix(80), as: UTF8.self))”")
                continue
            }
            guard !issuer.domain.isEmpty else { continue }
            issuers.append(issuer.domain)
            if !issuer.parameters.contains(where: { $0.name == "accounturi" }) { isBound = false }
        }
        if findings.isEmpty {
            add(.caaGood, issuers.isEmpty ? "lets nobody issue certificates" : "lets \(Set(issuers).sorted().joined(separator: ", ")) issue certificates")
            if !isBound { add(.caaNoAccount, "doesn't say which account may ask for certificates") }
        }
        return findings
    }

    // MARK: Mail programs (RFC 6186, RFC 8314)

    private enum Service: Sendable {
        case absent
        case refused
        case offered([(port: UInt16, target: DomainName)])
    }

    func mailPrograms(_ subject: PostureSubject) async -> [PostureFinding] {
        guard subject.exchange.kind == .receiving else { return [] }
        let name = subject.domain.ascii
        let labels = ["_submissions._tcp", "_imaps._tcp", "_submission._tcp", "_imap._tcp", "_pop3._tcp"]
        var lookups: [String: DNSLookup] = [:]
        for label in labels { lookups[label] = await ask(label, below: subject.domain, .srv) }
        let evidence = labels.compactMap { lookups[$0].map(PostureFinding.Evidence.init) }
        if let failure = lookups.values.compactMap(\.failure).first {
            let code: PostureCode = failure.code == .bogus ? .dnssecBogus : .clientsUnknown
            return [PostureFinding(code, name, "gives no answer for its SRV records: \(failure.reason)", evidence)]
        }
        func service(_ label: String) -> Service {
            let targets = (lookups[label]?.answer?.records ?? []).compactMap { record in
                if case .srv(_, _, let port, let target) = record { (port: port, target: target) } else { nil }
            }
            guard !targets.isEmpty else { return .absent }
            let named = targets.filter { $0.target != .root }
            return named.isEmpty ? .refused : .offered(named)
        }
        var findings: [PostureFinding] = []
        var encrypted: [String] = []
        var published: Set<ClientServer> = []
        var isRefused = false
        for label in labels {
            switch service(label) {
            case .absent: break
            case .refused: isRefused = true
            case .offered(let targets):
                let word = label.split(separator: ".").first.map(String.init) ?? label
                if label == "_submissions._tcp" || label == "_imaps._tcp" { encrypted.append(word) }
                if label == "_submissions._tcp" { published.formUnion(targets.map { .init(.submission, "\($0.target)", Int($0.port), .tls) }) }
                if label == "_imaps._tcp" { published.formUnion(targets.map { .init(.imap, "\($0.target)", Int($0.port), .tls) }) }
                for (port, target) in targets.prefix(10) { findings += await judge(target, port, "\(label).\(name)") }
                let partner = label == "_submission._tcp" ? "_submissions" : "_imaps"
                if ["_submission._tcp", "_imap._tcp", "_pop3._tcp"].contains(label), !encrypted.contains(partner) {
                    findings.append(PostureFinding(.clientsPlain, name, "leads mail programs to \(word) and not to \(partner)", evidence))
                }
            }
        }
        if findings.isEmpty {
            if encrypted.count == 2 {
                findings.append(PostureFinding(.clientsGood, name, "tells mail programs where to send and read", evidence))
            } else {
                let code: PostureCode = isRefused && encrypted.isEmpty ? .clientsRefused : .clientsMissing
                let text =
                    encrypted.isEmpty
                    ? (isRefused ? "says that it has no service for mail programs" : "doesn't tell mail programs where its servers are")
                    : "tells mail programs of \(encrypted.joined(separator: ", ")) only"
                findings.append(PostureFinding(code, name, text, evidence))
            }
        }
        return findings + (await settings(subject, published: published))
    }

    private func judge(_ target: DomainName, _ port: UInt16, _ service: String) async -> [PostureFinding] {
        let v6 = await ask(target, .aaaa)
        let v4 = await ask(target, .a)
        let evidence = [v6, v4].map(PostureFinding.Evidence.init)
        if let canonical = v4.answer?.canonicalName ?? v6.answer?.canonicalName {
            return [PostureFinding(.clientsTarget, service, "leads to \(target.ascii), an alias of \(canonical.ascii)", evidence)]
        }
        let hasAddress = [v6, v4].contains { $0.answer?.outcome == .records }
        let isKnown = v6.failure == nil && v4.failure == nil
        return hasAddress || !isKnown ? [] : [PostureFinding(.clientsTarget, service, "leads to \(target.ascii), which has no address", evidence)]
    }
}
