import DNS

/// One evaluation on its way: what it has asked so far, and how much it still may.
struct SPFRun {
    /// What a record came to.
    struct Verdict {
        var result: SPFResult
        var mechanism: String?
        var problem: String?
        /// Where the explanation of the record that decided is.
        var explanation: (text: SPFMacroString, domain: String)?
    }

    /// Why an evaluation ends before its terms do.
    enum Stop: Error {
        case temporary(String)
        case permanent(String)
    }

    let checker: SPFChecker
    let address: IPAddress
    let helo: String
    let localPart: String
    let senderDomain: String
    let time: Int64
    private(set) var terms: [SPFEvaluation.Term] = []
    private(set) var omittedTerms = 0
    private(set) var lookups = 0
    private(set) var voidLookups = 0
    /// The questions of the term that is being evaluated.
    private var asked: [DNSLookup] = []
    /// Whether the term that is being evaluated was counted among those without an answer.
    private var isCountedAsVoid = false
    /// How long all questions took.
    private var waited = Duration.zero
    /// The validated names of the client, once they are known.
    private var validatedNames: [DomainName]?
    /// Whether the DNS has no name for the client.
    private var isNameless = false

    init(checker: SPFChecker, address: IPAddress, helo: String, localPart: String, senderDomain: String, time: Int64) {
        self.checker = checker
        self.address = address
        self.helo = helo
        self.localPart = localPart
        self.senderDomain = senderDomain
        self.time = time
    }

    /// Characters of a sentence: domains may say what is much longer.
    static let sentenceLimit = 600

    // MARK: check_host()

    /// Evaluates a domain's record (RFC 7208 §4).
    mutating func checkHost(_ domain: String, depth: Int) async -> Verdict {
        // RFC 7208 §4.3: names of one label, and what is no name (as an address of HELO), have no record.
        guard !domain.hasPrefix("["), let name = try? DomainName.question(domain), name.ascii.utf8.contains(UInt8(ascii: ".")), IPAddress(name.ascii) == nil
        else {
            return Verdict(result: .none, problem: "“\(domain.prefix(255))” is no domain with more than one label (RFC 7208 §4.3)")
        }
        do {
            guard let record = try await record(of: name, depth: depth) else {
                return Verdict(result: .none, problem: "\(name) has no SPF record")
            }
            return try await evaluate(record, of: domain.utf8.last == UInt8(ascii: ".") ? String(domain.dropLast()) : domain, depth: depth)
        } catch {
            switch error {
            case .temporary(let reason): return Verdict(result: .temperror, problem: reason)
            case .permanent(let reason): return Verdict(result: .permerror, problem: reason)
            }
        }
    }

    /// Looks the record up and chooses it (RFC 7208 §4.4, §4.5).
    private mutating func record(of name: DomainName, depth: Int) async throws(Stop) -> SPFRecord? {
        let lookup = try await question(name, .txt)
        var term = SPFEvaluation.Term(
            domain: name.ascii, text: "", depth: depth, target: name.ascii, lookups: [lookup], matched: nil, note: "no SPF record")
        defer { note(term) }
        let answer: DNSAnswer
        switch lookup.result {
        case .success(let success): answer = success
        case .failure(let error):
            term.note = "\(error)"
            throw .temporary("the record of \(name) can't be looked up: \(error.reason)")
        }
        let texts = answer.records.compactMap { record -> [UInt8]? in
            guard case .txt(let octets) = record, SPFRecord.isSPF(octets) else { return nil }
            return octets
        }
        guard let octets = texts.first else { return nil }
        term.text = String(decoding: octets.prefix(SPFRecord.sizeLimit), as: UTF8.self)
        guard texts.count == 1 else {
            term.note = "one of \(texts.count) SPF records"
            throw .permanent("\(name) has \(texts.count) SPF records (RFC 7208 §4.5)")
        }
        do {
            term.note = "the record"
            return try SPFRecord(parsing: octets)
        } catch {
            term.note = "\(error)"
            throw .permanent("the record of \(name) is faulty: \(error)")
        }
    }

    private mutating func evaluate(_ record: SPFRecord, of domain: String, depth: Int) async throws(Stop) -> Verdict {
        for directive in record.directives {
            if try await matches(directive, of: domain, depth: depth) {
                return Verdict(
                    result: directive.qualifier.result, mechanism: directive.text, explanation: record.explanation.map { ($0, domain) })
            }
        }
        guard let redirect = record.redirect else { return Verdict(result: .neutral) }
        // RFC 7208 §6.1
        try countLookup("redirect=\(redirect.text)")
        let target = await expanded(redirect, domain)
        note(
            .init(
                domain: domain.lowercased(), text: "redirect=\(redirect.text)", depth: depth, target: target, lookups: takeAsked(), matched: nil,
                note: "goes on there"))
        let verdict = await checkHost(target, depth: depth + 1)
        guard verdict.result != .none else {
            throw .permanent("redirect=\(redirect.text) leads to \(target), which has no SPF record (RFC 7208 §6.1)")
        }
        return verdict
    }

    /// Adds a term to the evidence, as long as there is room.
    private mutating func note(_ term: SPFEvaluation.Term, at place: Int? = nil) {
        var term = term
        // A character has an octet at least.
        if term.note.utf8.count > Self.sentenceLimit { term.note = String(term.note.prefix(Self.sentenceLimit)) }
        guard terms.count < checker.limits.evidence else {
            omittedTerms += 1
            return
        }
        terms.insert(term, at: min(place ?? terms.count, terms.count))
    }

    // MARK: Mechanisms

    private mutating func matches(_ directive: SPFRecord.Directive, of domain: String, depth: Int) async throws(Stop) -> Bool {
        var term = SPFEvaluation.Term(domain: domain.lowercased(), text: directive.text, depth: depth, target: nil, lookups: [], matched: nil, note: "")
        isCountedAsVoid = false
        if case .include(let target) = directive.mechanism { return try await include(target, &term, of: domain) }
        let result: Result<Bool, Stop>
        do {
            result = .success(try await matches(directive.mechanism, &term, of: domain))
        } catch {
            result = .failure(error)
        }
        term.lookups = takeAsked()
        switch result {
        case .success(let isMatch):
            term.matched = isMatch
            if isMatch {
                term.note = "matches: \(directive.qualifier.result.rawValue)"
            } else if term.note.isEmpty {
                term.note = "doesn't match"
            }
        case .failure(.temporary(let reason)), .failure(.permanent(let reason)): term.note = reason
        }
        note(term)
        return try result.get()
    }

    private mutating func matches(_ mechanism: SPFRecord.Mechanism, _ term: inout SPFEvaluation.Term, of domain: String) async throws(Stop) -> Bool {
        switch mechanism {
        case .all: return true
        case .ip4(let network): return network.contains(address)
        case .ip6(let network):
            // Only IPv6 clients (RFC 7208 §5): a network of IPv4-mapped addresses means nobody, as such clients are IPv4 ones.
            return !address.isIPv4 && network.contains(address)
        case .include: return false
        case .a(let target, let v4Prefix, let v6Prefix):
            try countLookup(term.text)
            guard let name = await name(target, domain, &term) else { return false }
            return try await addresses(of: name).contains { isSame($0, v4Prefix, v6Prefix) }
        case .mx(let target, let v4Prefix, let v6Prefix):
            try countLookup(term.text)
            guard let name = await name(target, domain, &term) else { return false }
            let answer = try await ask(name, .mx)
            var hosts: [DomainName] = []
            for case .mx(_, let host) in answer.records where host != .root { hosts.append(host) }
            guard hosts.count <= checker.limits.names else {
                throw .permanent("\(name) has \(hosts.count) MX records, more than \(checker.limits.names) (RFC 7208 §4.6.4)")
            }
            for host in hosts {
                for found in try await addresses(of: host) where isSame(found, v4Prefix, v6Prefix) { return true }
            }
            return false
        case .ptr(let target):
            try countLookup(term.text)
            guard let name = await name(target, domain, &term) else { return false }
            return try await clientNames(isVoidCounted: true).contains { $0.isEqualOrSubdomain(of: name) }
        case .exists(let target):
            try countLookup(term.text)
            guard let name = await name(target, domain, &term) else { return false }
            return try await ask(name, .a).outcome == .records
        }
    }

    /// RFC 7208 §5.2
    private mutating func include(_ target: SPFMacroString, _ term: inout SPFEvaluation.Term, of domain: String) async throws(Stop) -> Bool {
        let place = terms.count
        var term = term
        defer { note(term, at: place) }
        do {
            try countLookup(term.text)
        } catch {
            term.note = "too many lookups"
            throw error
        }
        guard !asksForUnwritableLocalPart(target) else {
            term.matched = false
            term.note = Self.unwritableLocalPart
            return false
        }
        let name = await expanded(target, domain)
        term.target = name
        term.lookups = takeAsked()
        let verdict = await checkHost(name, depth: term.depth + 1)
        term.note = "\(name): \(verdict.result.rawValue)"
        switch verdict.result {
        case .pass:
            term.matched = true
            return true
        case .fail, .softfail, .neutral:
            term.matched = false
            return false
        case .temperror: throw .temporary(verdict.problem ?? "\(name) can't be evaluated now")
        case .permerror: throw .permanent(verdict.problem ?? "\(name) can't be evaluated")
        case .none: throw .permanent("include:\(name) has no SPF record (RFC 7208 §5.2)")
        }
    }

    private func isSame(_ found: IPAddress, _ v4Prefix: Int, _ v6Prefix: Int) -> Bool {
        switch found {
        case .v4: IPNetwork(address: found, prefixLength: v4Prefix).contains(address)
        case .v6: IPNetwork(address: found, prefixLength: v6Prefix).contains(address)
        }
    }

    // MARK: Questions

    private mutating func countLookup(_ term: String) throws(Stop) {
        lookups += 1
        guard lookups <= checker.limits.lookups else {
            throw .permanent("more than \(checker.limits.lookups) terms ask the DNS, “\(term)” would be the next (RFC 7208 §4.6.4)")
        }
    }

    private mutating func takeAsked() -> [DNSLookup] {
        defer { asked = [] }
        return asked
    }

    /// Asks, as long as there is time and anybody wants to know.
    private mutating func question(_ name: DomainName, _ type: DNSRecordType) async throws(Stop) -> DNSLookup {
        guard !Task.isCancelled else { throw .temporary("the evaluation was cancelled") }
        guard waited < checker.limits.time else { throw .temporary("the DNS took longer than \(checker.limits.time) (RFC 7208 §4.6.4)") }
        let lookup = await DNSLookup(name, type, using: checker.resolver)
        waited += lookup.duration
        return lookup
    }

    private mutating func ask(_ name: DomainName, _ type: DNSRecordType, isVoidCounted: Bool = true) async throws(Stop) -> DNSAnswer {
        let lookup = try await question(name, type)
        asked.append(lookup)
        switch lookup.result {
        case .failure(let error): throw .temporary("\(name) \(type) can't be looked up: \(error.reason)")
        case .success(let answer):
            if isVoidCounted, answer.outcome != .records { try countVoid(name, type) }
            return answer
        }
    }

    /// Deliberate: terms are counted, as RFC 7208 §4.6.4 says, not questions. Hosts of an `mx` term that have no address of the client's family
    /// would make most domains fail otherwise.
    private mutating func countVoid(_ name: DomainName, _ type: DNSRecordType) throws(Stop) {
        guard !isCountedAsVoid else { return }
        isCountedAsVoid = true
        voidLookups += 1
        guard voidLookups <= checker.limits.voidLookups else {
            throw .permanent("more than \(checker.limits.voidLookups) terms have questions without an answer, the last is \(name) \(type) (RFC 7208 §4.6.4)")
        }
    }

    private mutating func addresses(of name: DomainName, isVoidCounted: Bool = true) async throws(Stop) -> [IPAddress] {
        let answer = try await ask(name, address.isIPv4 ? .a : .aaaa, isVoidCounted: isVoidCounted)
        return answer.records.compactMap { record in
            guard case .address(let address) = record else { return nil }
            return address
        }
    }

    /// The names of the client that lead back to it (RFC 7208 §5.5), in the order of the DNS. Failures are no names.
    ///
    /// What the client's names lead to isn't counted as void: that is the client's doing, not the domain's.
    private mutating func clientNames(isVoidCounted: Bool) async throws(Stop) -> [DomainName] {
        let reverse = ReverseName.name(of: address)
        if let validatedNames {
            // Each term that leads nowhere counts, whether the answer was known already or not.
            if isVoidCounted, isNameless { try countVoid(reverse, .ptr) }
            return validatedNames
        }
        var names: [DomainName] = []
        if let answer = try? await ask(reverse, .ptr, isVoidCounted: false) {
            isNameless = answer.outcome != .records
            if isVoidCounted, isNameless { try countVoid(reverse, .ptr) }
            var candidates: [DomainName] = []
            for case .name(let name) in answer.records where candidates.count < checker.limits.names { candidates.append(name) }
            for name in candidates {
                if let found = try? await addresses(of: name, isVoidCounted: false), found.contains(address) { names.append(name) }
            }
        }
        validatedNames = names
        return names
    }

    // MARK: Names

    /// The name that a term asks for; `nil` for what the DNS can't have, so that the term doesn't match.
    private mutating func name(_ target: SPFMacroString?, _ domain: String, _ term: inout SPFEvaluation.Term) async -> DomainName? {
        var text = domain
        if let target {
            guard !asksForUnwritableLocalPart(target) else {
                term.note = Self.unwritableLocalPart
                return nil
            }
            text = await expanded(target, domain)
        }
        term.target = text
        guard let name = try? DomainName.question(text) else {
            term.note = "doesn't match: “\(text.prefix(255))” is no name (RFC 7208 §4.8)"
            return nil
        }
        return name
    }

    private static let unwritableLocalPart = "doesn't match: a local part that isn't ASCII can't stand in a name (RFC 8616 §4)"

    /// RFC 8616 §4: with a local part that isn't ASCII, terms with `%{s}` or `%{l}` match nothing.
    private func asksForUnwritableLocalPart(_ target: SPFMacroString) -> Bool {
        !localPart.utf8.allSatisfy { $0 < 0x80 } && target.asks(for: ["s", "l"])
    }

    /// A domain-spec with its macros replaced, cut from the left to 253 octets (RFC 7208 §7.3).
    private mutating func expanded(_ target: SPFMacroString, _ domain: String) async -> String {
        target.expandedName(await values(domain, asksForName: target.asks(for: ["p"])))
    }

    private mutating func values(_ domain: String, asksForName: Bool) async -> SPFMacroValues {
        var values = SPFMacroValues(
            localPart: localPart, senderDomain: senderDomain, domain: domain, address: "\(address)", dottedAddress: ReverseName.dotted(address),
            isIPv6: !address.isIPv4, helo: helo, receiver: checker.receivingHost, time: time)
        if asksForName, let domain = try? DomainName.question(domain) {
            let names = (try? await clientNames(isVoidCounted: false)) ?? []
            // RFC 7208 §7.3: the domain itself, else one below it, else any.
            let best = names.first { $0 == domain } ?? names.first { $0.isSubdomain(of: domain) } ?? names.first
            values.validatedName = best?.ascii ?? "unknown"
        }
        return values
    }

    /// What the domain says about a failure (RFC 7208 §6.2). Whatever is wrong with it, there is none.
    mutating func explanation(of target: SPFMacroString, domain: String) async -> String? {
        let text = await expanded(target, domain)
        guard let name = try? DomainName.question(text), let lookup = try? await question(name, .txt) else { return nil }
        var term = SPFEvaluation.Term(
            domain: domain.lowercased(), text: "exp=\(target.text)", depth: 0, target: name.ascii, lookups: [lookup], matched: nil, note: "no explanation")
        defer { note(term) }
        guard case .success(let answer) = lookup.result, answer.records.count == 1, case .txt(let octets)? = answer.records.first,
            octets.count <= SPFRecord.sizeLimit, octets.allSatisfy({ (0x20...0x7E).contains($0) }),
            let string = try? SPFMacroString(parsing: String(decoding: octets, as: UTF8.self), isExplanation: true)
        else { return nil }
        let values = await values(domain, asksForName: string.asks(for: ["p"]))
        // What a client said in HELO stands in it as well, and a reply has one line.
        guard let explanation = string.expanded(values, limit: checker.limits.explanation), explanation.utf8.allSatisfy({ (0x20...0x7E).contains($0) }) else {
            return nil
        }
        term.note = "the explanation"
        return explanation
    }
}
