import DNS
import FoundationEssentials
import MailAuthentication

// What `postern auth --json` writes. The names are a stable interface.

struct LookupReport: Encodable {
    var name: String
    var type: String
    var outcome: String
    var records: [String]
    var security: String?

    init(_ lookup: DNSLookup) {
        name = lookup.name.ascii
        type = "\(lookup.type)"
        switch lookup.result {
        case .success(let answer):
            outcome = answer.outcome.rawValue
            records = answer.records.map { "\($0)" }
            security = answer.security.rawValue
        case .failure(let error):
            outcome = error.code.rawValue
            records = []
        }
    }
}

struct SPFReport: Encodable {
    struct Term: Encodable {
        var domain: String
        var term: String
        var depth: Int
        var target: String?
        var matched: Bool?
        var note: String
        var lookups: [LookupReport]
    }
    var result: String
    var identity: String
    var domain: String
    var explanation: String?
    var mechanism: String?
    var reason: String?
    var lookups: Int
    var voidLookups: Int
    var terms: [Term]
    var receivedSPF: String

    init(_ evaluation: SPFEvaluation, _ client: SenderClient, receiver: String) {
        result = evaluation.result.rawValue
        identity = evaluation.identity.rawValue
        domain = evaluation.domain
        explanation = evaluation.explanation
        mechanism = evaluation.mechanism
        reason = evaluation.problem
        lookups = evaluation.lookups
        voidLookups = evaluation.voidLookups
        terms = evaluation.terms.map {
            Term(
                domain: $0.domain, term: $0.text, depth: $0.depth, target: $0.target, matched: $0.matched, note: $0.note,
                lookups: $0.lookups.map(LookupReport.init))
        }
        receivedSPF = evaluation.receivedSPF(receiver: receiver, address: client.address, helo: client.helo, mailFrom: client.mailFrom)
    }

    var story: String {
        var lines = ["SPF \(result) for \(identity) \(domain)" + (mechanism.map { ": “\($0)” matches" } ?? "") + (reason.map { ": \($0)" } ?? "")]
        for term in terms {
            let indent = String(repeating: "  ", count: term.depth + 1)
            lines.append("\(indent)\(term.term.isEmpty ? "record of \(term.domain)" : term.term): \(term.note)")
            for lookup in term.lookups { lines.append("\(indent)  \(lookup.text)") }
        }
        if let explanation { lines.append("  the domain says: \(explanation)") }
        return lines.joined(separator: "\n")
    }
}

extension LookupReport {
    var text: String { "\(name) \(type) → \(records.isEmpty ? outcome : records.joined(separator: ", "))" }
}

struct DKIMReport: Encodable {
    var result: String
    var domain: String?
    var selector: String?
    var reason: String
    var identity: String?
    var algorithm: String?
    var canonicalization: String?
    var keyBits: Int?
    var testing: Bool?
    var signedFields: [String]?
    var bodyMatches: Bool?
    var headerMatches: Bool?
    var unsignedOctets: UInt64?
    var risks: [String]?
    var key: LookupReport?

    init(_ evaluation: DKIMEvaluation) {
        result = evaluation.result.rawValue
        domain = evaluation.domain?.ascii
        selector = evaluation.selector?.ascii
        reason = evaluation.reason
        identity = evaluation.identity
        algorithm = evaluation.signature?.algorithm.rawValue
        canonicalization = evaluation.signature.map { "\($0.headerCanonicalization.rawValue)/\($0.bodyCanonicalization.rawValue)" }
        keyBits = evaluation.keyBits
        testing = evaluation.keyRecord?.isTesting
        signedFields = evaluation.signature?.signedFields
        bodyMatches = evaluation.bodyMatches
        headerMatches = evaluation.headerMatches
        unsignedOctets = evaluation.unsignedOctets
        risks = evaluation.risks.map { "\($0)" }
        key = evaluation.keyLookup.map(LookupReport.init)
    }

    private init(none: Void) {
        result = "none"
        reason = "the message is not signed"
    }

    /// A message without a signature has one result, “none” (RFC 8601 §2.7.1).
    static func all(_ evaluations: [DKIMEvaluation]) -> [DKIMReport] { evaluations.isEmpty ? [DKIMReport(none: ())] : evaluations.map(DKIMReport.init) }

    var story: String {
        var lines = ["DKIM \(result)" + (domain.map { " of \($0), selector \(selector ?? "")" } ?? "") + ": \(reason)"]
        if let algorithm { lines.append("  \(algorithm), \(canonicalization ?? ""), signed: \((signedFields ?? []).joined(separator: ", "))") }
        if let key { lines.append("  \(key.text)") }
        for risk in risks ?? [] { lines.append("  risk: \(risk)") }
        return lines.joined(separator: "\n")
    }
}

struct ARCReport: Encodable {
    struct Instance: Encodable {
        var instance: Int
        var domain: String
        var selector: String
        var chainStatus: String
        var sealValid: Bool?
        var sealReason: String?
        var messageSignature: String?
        var messageSignatureReason: String?
        var authenticationResults: String
    }
    var result: String
    var reason: String
    var oldestPass: Int?
    var temporary: Bool
    var sealers: [String]
    var instances: [Instance]

    init(_ evaluation: ARCEvaluation) {
        result = evaluation.result.rawValue
        reason = evaluation.reason
        oldestPass = evaluation.oldestPass
        temporary = evaluation.isTemporary
        sealers = evaluation.sealers.map(\.ascii)
        instances = evaluation.instances.map {
            Instance(
                instance: $0.instance, domain: $0.sealHeader.domain.ascii, selector: $0.sealHeader.selector.ascii,
                chainStatus: $0.sealHeader.chainStatus.rawValue, sealValid: $0.seal?.isValid, sealReason: $0.seal?.failure.map { "\($0)" },
                messageSignature: $0.messageSignature?.result.rawValue, messageSignatureReason: $0.messageSignature?.reason,
                authenticationResults: $0.authenticationResults.results)
        }
    }

    var story: String {
        var lines = ["ARC \(result): \(reason)"]
        for instance in instances {
            let seal = instance.sealValid.map { $0 ? "seal is right" : "seal is wrong" } ?? "seal not looked at"
            lines.append("  \(instance.instance): \(instance.domain), cv=\(instance.chainStatus), \(seal)\(instance.sealReason.map { ": \($0)" } ?? "")")
        }
        return lines.joined(separator: "\n")
    }
}

struct DMARCReport: Encodable {
    struct Identifier: Encodable {
        var mechanism: String
        var domain: String
        var selector: String?
        var result: String
        var mode: String
        var organizationalDomain: String?
        var finding: String
        var aligned: Bool
    }
    var result: String
    var policy: String?
    var disposition: String
    var recordDomain: String?
    var headerFrom: String?
    /// Questions for policy records from the author's domain upwards (RFC 9989 §4.10); never more than 8.
    var queries: Int
    var reason: String
    var policyTag: String?
    var organizationalDomain: String?
    var testing: Bool
    var record: String?
    var identifiers: [Identifier]
    var overrides: [DMARCPolicyOverride]
    var warnings: [String]
    var lookups: [LookupReport]

    init(_ evaluation: DMARCEvaluation, _ forwarders: DMARCForwarderEvidence?) {
        var rules = DMARCDispositionPolicy()
        rules.mode = .enforce
        let decision = rules.decide(evaluation, arc: forwarders)
        result = evaluation.result.rawValue
        policy = evaluation.requestedPolicy?.rawValue
        disposition = decision.disposition.rawValue
        recordDomain = evaluation.recordDomain?.ascii
        headerFrom = evaluation.headerFrom
        queries = evaluation.queries.count { query in
            query.lookup.type == .txt && (evaluation.author.map { $0.domain.isEqualOrSubdomain(of: query.domain) } ?? false)
        }
        reason = evaluation.reason
        policyTag = evaluation.requestedPolicyTag?.rawValue
        organizationalDomain = evaluation.authorOrganizationalDomain?.ascii
        testing = evaluation.isTesting
        record = evaluation.record?.text
        identifiers = evaluation.identifiers.map {
            Identifier(
                mechanism: $0.mechanism.rawValue, domain: $0.domain, selector: $0.selector, result: $0.result, mode: $0.mode.rawValue,
                organizationalDomain: $0.organizationalDomain?.ascii, finding: $0.finding.rawValue, aligned: $0.isAligned)
        }
        overrides = decision.overrides
        warnings = evaluation.warnings
        lookups = evaluation.queries.map { LookupReport($0.lookup) }
    }

    var story: String {
        var lines = ["DMARC \(result)" + (headerFrom.map { " for \($0)" } ?? "") + ": \(reason)"]
        if let recordDomain { lines.append("  the record of \(recordDomain) asks for \(policy ?? "none") (\(policyTag ?? "p")); what follows: \(disposition)") }
        for identifier in identifiers { lines.append("  \(identifier.mechanism) \(identifier.result) \(identifier.domain): \(identifier.finding)") }
        for override in overrides { lines.append("  \(override.kind.rawValue): \(override.comment)") }
        for warning in warnings { lines.append("  note: \(warning)") }
        for lookup in lookups { lines.append("  \(lookup.text)") }
        return lines.joined(separator: "\n")
    }
}

struct ReverseNameReport: Encodable {
    var result: String
    var address: String
    var names: [String]
    var claimed: [String]
    var reason: String?

    init(_ evaluation: ReverseNameEvaluation) {
        result = evaluation.result.rawValue
        address = "\(evaluation.address)"
        names = evaluation.names.map(\.ascii)
        claimed = evaluation.claimed.map(\.ascii)
        reason = evaluation.problem
    }

    var story: String { "iprev \(result) for \(address): " + (names.isEmpty ? reason ?? "no name" : names.joined(separator: ", ")) }
}
