import DNS
import MailAuthentication

/// Who may send (RFC 7208).
extension PostureChecker {
    func spf(_ subject: PostureSubject) async -> [PostureFinding] {
        let name = subject.domain.ascii
        async let old = ask(subject.domain, DNSRecordType(rawValue: 99))
        let lookup = await ask(subject.domain, .txt)
        let evidence = PostureFinding.Evidence.of(lookup)
        var findings: [PostureFinding] = []
        let oldLookup = await old
        if oldLookup.answer?.outcome == .records {
            findings.append(PostureFinding(.spfOldType, name, "has a record of the type SPF", [.init(oldLookup)]))
        }
        if let failure = lookup.failure {
            return [
                PostureFinding(failure.code == .bogus ? .dnssecBogus : .spfUnknown, name, "gives no answer for its SPF record: \(failure.reason)", evidence)
            ]
        }
        let records = lookup.texts.filter(SPFRecord.isSPF)
        guard let first = records.first else {
            let code: PostureCode = subject.isWithoutMail ? .spfNotClosed : .spfMissing
            return findings + [PostureFinding(code, name, "has no SPF record", evidence)]
        }
        guard records.count == 1 else { return findings + [PostureFinding(.spfSeveral, name, "has \(records.count) SPF records", evidence)] }
        let record: SPFRecord
        do {
            record = try SPFRecord(parsing: first)
        } catch {
            return findings + [PostureFinding(.spfInvalid, name, "has an SPF record that can't be read: \(error)", evidence)]
        }
        var survey = PostureSPFSurvey(resolver: resolver)
        await survey.walk(record, of: subject.domain, path: [subject.domain])
        let all = evidence + survey.lookups.map(PostureFinding.Evidence.init)
        findings += survey.findings(name, all)
        findings += closing(record, survey, subject, evidence)
        if survey.failure != nil { findings.append(PostureFinding(.spfUnknown, name, "gives no answer for a part of its SPF record", all)) }
        if !findings.contains(where: { $0.severity > .info }) {
            let count = survey.count == 1 ? "1 look-up" : "\(survey.count) look-ups"
            findings.insert(PostureFinding(.spfGood, name, "allows what it names and nobody else, with \(count)", evidence), at: 0)
        }
        return findings
    }

    /// How the record ends.
    private func closing(
        _ record: SPFRecord, _ survey: PostureSPFSurvey, _ subject: PostureSubject, _ evidence: [PostureFinding.Evidence]
    ) -> [PostureFinding] {
        let name = subject.domain.ascii
        if subject.isWithoutMail {
            let isClosed = survey.end == .fail && record.directives.count == 1
            return isClosed ? [] : [PostureFinding(.spfNotClosed, name, "takes no mail, and its SPF record lets somebody send: “\(record.text)”", evidence)]
        }
        switch survey.end {
        case .pass: return [PostureFinding(.spfPassAll, name, "lets everybody send: “\(record.text)”", evidence)]
        case .neutral, nil: return [PostureFinding(.spfNeutral, name, "says nothing about other senders: “\(record.text)”", evidence)]
        case .softfail, .fail: break
        }
        guard survey.isOpenByInclusion else { return [] }
        return [PostureFinding(.spfPassAll, name, "includes a record that lets everybody send", evidence)]
    }
}

/// What an SPF record and those that it includes cost and say, whoever sends.
struct PostureSPFSurvey {
    let resolver: any Resolver
    /// The terms that cost a look-up (RFC 7208 §4.6.4).
    var count = 0
    /// Names without anything.
    var voids: [String] = []
    /// Records that are included and aren't there, or are broken.
    var missing: [String] = []
    var ptr: [String] = []
    var broad: [String] = []
    /// Terms behind `all`.
    var ignored: [String] = []
    var usesNames = false
    var isOpenByInclusion = false
    var failure: DNSError?
    var lookups: [DNSLookup] = []
    /// What the last `all` of the record says; `nil` where there is none.
    var end: SPFRecord.Qualifier?

    /// A survey ends there: the record is broken long before.
    private static let limit = 30

    init(resolver: any Resolver) { self.resolver = resolver }

    /// - Parameters:
    ///   - path: the domains on the way to this one, itself included.
    ///   - isMain: whether it is the domain's own record, or one that stands for it.
    mutating func walk(_ record: SPFRecord, of domain: DomainName, path: [DomainName], isMain: Bool = true) async {
        var isOver = false
        for directive in record.directives {
            if isOver {
                if isMain { ignored.append(directive.text) }
                continue
            }
            switch directive.mechanism {
            case .all:
                isOver = true
                if isMain { end = directive.qualifier } else if directive.qualifier == .pass { isOpenByInclusion = true }
            case .include(let target): await follow(target.text, path, isRedirection: false, isMain: isMain)
            case .a(let target, let v4, let v6):
                usesNames = true
                if v4 < 16 || v6 < 32 { broad.append(directive.text) }
                await resolve(target?.text ?? domain.ascii, [.a, .aaaa])
            case .mx(let target, let v4, let v6):
                usesNames = true
                if v4 < 16 || v6 < 32 { broad.append(directive.text) }
                await resolve(target?.text ?? domain.ascii, [.mx])
            case .ptr:
                count += 1
                ptr.append(directive.text)
            case .ip4(let network): if network.prefixLength < 16 { broad.append(directive.text) }
            case .ip6(let network): if network.prefixLength < 32 { broad.append(directive.text) }
            case .exists(let target):
                usesNames = true
                await resolve(target.text, [.a])
            }
        }
        guard let redirect = record.redirect else { return }
        if isOver {
            if isMain { ignored.append("redirect=\(redirect.text)") }
        } else {
            await follow(redirect.text, path, isRedirection: true, isMain: isMain)
        }
    }

    private mutating func follow(_ text: String, _ path: [DomainName], isRedirection: Bool, isMain: Bool) async {
        count += 1
        if !isRedirection { usesNames = true }
        guard count <= Self.limit, !text.contains("%"), let target = try? DomainName.question(text), !path.contains(target) else { return }
        let lookup = await DNSLookup(target, .txt, using: resolver)
        lookups.append(lookup)
        if let error = lookup.failure {
            failure = error
            return
        }
        let records = lookup.texts.filter(SPFRecord.isSPF)
        guard records.count == 1, let first = records.first, let record = try? SPFRecord(parsing: first) else {
            missing.append(text)
            return
        }
        // A redirection takes the place of the record itself, also for what its end says; an inclusion only adds senders.
        await walk(record, of: target, path: path + [target], isMain: isMain && isRedirection)
    }

    private mutating func resolve(_ text: String, _ types: [DNSRecordType]) async {
        count += 1
        guard count <= Self.limit, !text.contains("%"), let target = try? DomainName.question(text) else { return }
        var isThere = false
        for type in types {
            let lookup = await DNSLookup(target, type, using: resolver)
            lookups.append(lookup)
            if let error = lookup.failure {
                failure = error
                isThere = true
            }
            if lookup.answer?.outcome == .records { isThere = true }
        }
        if !isThere { voids.append(text) }
    }

    func findings(_ name: String, _ evidence: [PostureFinding.Evidence]) -> [PostureFinding] {
        var findings: [PostureFinding] = []
        func add(_ code: PostureCode, _ text: String) { findings.append(PostureFinding(code, name, text, evidence)) }
        if count > 10 {
            add(.spfLookups, "needs \(count > Self.limit ? "more than \(Self.limit)" : "\(count)") look-ups for its SPF record, and 10 are allowed")
        } else if count > 8 {
            add(.spfNearLimit, "needs \(count) look-ups of 10 for its SPF record")
        }
        if voids.count > 2 {
            add(.spfVoids, "has \(voids.count) names without anything in its SPF record: \(voids.joined(separator: ", "))")
        } else if !voids.isEmpty {
            add(.spfVoid, "has names without anything in its SPF record: \(voids.joined(separator: ", "))")
        }
        if !missing.isEmpty { add(.spfIncludeMissing, "includes in its SPF record what isn't there or is broken: \(missing.joined(separator: ", "))") }
        if !ptr.isEmpty { add(.spfPtr, "uses “\(ptr.joined(separator: "”, “"))” in its SPF record") }
        if !broad.isEmpty { add(.spfBroad, "allows very large networks in its SPF record: \(broad.joined(separator: ", "))") }
        if !ignored.isEmpty { add(.spfIgnored, "has “\(ignored.joined(separator: " "))” behind “all” in its SPF record") }
        if usesNames { add(.spfNames, "names hosts or other records in its SPF record, not addresses only") }
        return findings
    }
}
