import DNS
import MailAuthentication

/// Keys for signatures (RFC 6376).
extension PostureChecker {
    func dkim(_ subject: PostureSubject) async -> [PostureFinding] {
        let name = subject.domain.ascii
        // A wildcard would answer to every selector that is tried.
        let wild = await ask("posture-check-no-such-selector._domainkey", below: subject.domain, .txt)
        if let wild, wild.answer?.outcome == .records, options.selectors.isEmpty {
            let isRevoked = wild.texts.first.flatMap { try? DKIMKeyRecord(parsing: $0) }?.isRevoked ?? false
            if isRevoked { return [PostureFinding(.dkimClosed, name, "has no key under any selector", PostureFinding.Evidence.of(wild))] }
            return judge(wild, "*._domainkey.\(name)", isNamed: false).findings
        }
        let tried =
            subject.isWithoutMail || wild?.answer?.outcome == .records
            ? []
            : options.triedSelectors.filter { text in
                !options.selectors.contains { $0.ascii == text }
            }
        var questions: [(name: DomainName, isNamed: Bool)] = []
        for selector in options.selectors {
            if let question = try? subject.domain.prefixed(with: "\(selector.ascii)._domainkey") { questions.append((question, true)) }
        }
        for selector in tried {
            if let question = try? subject.domain.prefixed(with: "\(selector)._domainkey") { questions.append((question, false)) }
        }
        let lookups = await withTaskGroup(of: (Int, DNSLookup).self) { group in
            for (number, question) in questions.enumerated() { group.addTask { (number, await ask(question.name, .txt)) } }
            var found: [Int: DNSLookup] = [:]
            for await (number, lookup) in group { found[number] = lookup }
            return questions.indices.compactMap { found[$0] }
        }
        var findings: [PostureFinding] = []
        var types: [DKIMKeyType] = []
        for (question, lookup) in zip(questions, lookups) {
            let judged = judge(lookup, question.name.ascii, isNamed: question.isNamed)
            findings += judged.findings
            if let type = judged.type { types.append(type) }
        }
        if types.contains(.ed25519), !types.contains(.rsa) {
            findings.append(PostureFinding(.dkimEd25519Only, name, "has Ed25519 keys, and no RSA key was found"))
        }
        if findings.isEmpty, !subject.isWithoutMail {
            findings.append(PostureFinding(.dkimNone, name, "has no key under the \(tried.count) selectors that were tried"))
        }
        return findings
    }

    /// - Returns: what is to be said, and the type of a key that can be used.
    private func judge(_ lookup: DNSLookup, _ name: String, isNamed: Bool) -> (findings: [PostureFinding], type: DKIMKeyType?) {
        let evidence = PostureFinding.Evidence.of(lookup)
        func only(_ code: PostureCode, _ text: String) -> (findings: [PostureFinding], type: DKIMKeyType?) {
            ([PostureFinding(code, name, text, evidence)], nil)
        }
        if let failure = lookup.failure {
            if failure.code == .bogus { return only(.dnssecBogus, "gives no answer for its key: \(failure.reason)") }
            return isNamed ? only(.dkimUnknown, "gives no answer for its key: \(failure.reason)") : ([], nil)
        }
        let texts = lookup.texts
        guard let text = texts.first else { return isNamed ? only(.dkimMissing, "has no key") : ([], nil) }
        guard texts.count == 1 else { return only(.dkimSeveral, "has \(texts.count) records") }
        let record: DKIMKeyRecord
        do {
            record = try DKIMKeyRecord(parsing: text)
        } catch {
            return only(.dkimInvalid, "has a key that can't be read: \(error)")
        }
        if record.isRevoked { return only(.dkimRevoked, "is revoked") }
        let key: DKIMPublicKey
        do {
            key = try DKIMPublicKey(record)
        } catch .tooSmall(let bits, _) {
            return only(.dkimSmall, "has an RSA key of \(bits) bits")
        } catch .tooLarge(let bits, _) {
            return only(.dkimLarge, "has an RSA key of \(bits) bits")
        } catch {
            return only(.dkimInvalid, "has a key that can't be used: \(error)")
        }
        var findings: [PostureFinding] = []
        func add(_ code: PostureCode, _ text: String) { findings.append(PostureFinding(code, name, text, evidence)) }
        if !record.allowsSHA256 { add(.dkimSha1, "allows \(record.hashes?.joined(separator: ", ") ?? "") only") }
        if record.isTesting { add(.dkimTesting, "is in test") }
        if !record.isForEmail { add(.dkimService, "is for \(record.services.joined(separator: ", ")), not for mail") }
        if key.type == .rsa, key.bits < 2048 { add(.dkimWeak, "has an RSA key of \(key.bits) bits") }
        if key.type == .rsa, key.bits > 4096 { add(.dkimLarge, "has an RSA key of \(key.bits) bits") }
        if findings.isEmpty { add(.dkimGood, key.type == .rsa ? "has an RSA key of \(key.bits) bits" : "has an Ed25519 key") }
        return (findings, key.type)
    }
}
