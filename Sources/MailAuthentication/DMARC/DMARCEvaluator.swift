public import DNS
public import NIOCore

/// Applies DMARC to a message (RFC 9989 §5.3).
public struct DMARCEvaluator: Sendable {
    /// The most signing domains whose alignment is looked at; each may cost up to eight questions.
    public static let identifierLimit = 20

    let resolver: any Resolver

    /// Makes an evaluator that asks this resolver.
    public init(resolver: any Resolver) { self.resolver = resolver }

    /// Says that DMARC can't be applied to a message without a single author (RFC 9989 §5.3.1).
    public func evaluate(_ error: DMARCAuthorError) -> DMARCEvaluation {
        var evaluation = DMARCEvaluation(.permerror, "\(error)")
        evaluation.authorError = error
        return evaluation
    }

    /// Finds a message's author, and evaluates the message.
    /// - Parameters:
    ///   - message: the message, or its header section.
    ///   - spf: what SPF said; several results where more than one identity was checked.
    ///   - dkim: what DKIM said of each signature.
    public func evaluate(message: ByteBuffer, spf: [DMARCSPFResult], dkim: [DMARCDKIMResult]) async -> DMARCEvaluation {
        let author: DMARCAuthor
        do throws(DMARCAuthorError) { author = try DMARCAuthor(message: message) } catch { return evaluate(error) }
        return await evaluate(author, spf: spf, dkim: dkim)
    }

    /// Evaluates a message.
    /// - Parameters:
    ///   - author: the author, from the From field.
    ///   - spf: what SPF said; several results where more than one identity was checked.
    ///   - dkim: what DKIM said of each signature.
    public func evaluate(_ author: DMARCAuthor, spf: [DMARCSPFResult], dkim: [DMARCDKIMResult]) async -> DMARCEvaluation {
        var queries = DMARCQueries(resolver: resolver)
        let discovery = await DMARCPolicyDiscovery.discover(author.domain, &queries)
        var evaluation = Self.begin(author, discovery)
        guard case .policy(let record, let recordDomain) = discovery.outcome else {
            evaluation.queries = queries.all
            return evaluation
        }
        evaluation.record = record
        evaluation.recordDomain = recordDomain
        evaluation.warnings += record.notes
        evaluation.requestedPolicy = discovery.requested?.policy
        evaluation.requestedPolicyTag = discovery.requested?.tag
        evaluation.authorExists = discovery.authorExists
        var alignment = DMARCAlignment(author: author.domain, walk: discovery.walk, queries: queries)
        for result in spf {
            evaluation.identifiers.append(await alignment.examine(result, record.spfAlignment))
        }
        for result in dkim {
            evaluation.identifiers.append(await alignment.examine(result, record.dkimAlignment))
        }
        evaluation.authorOrganizationalDomain = alignment.authorOrganizationalDomain
        evaluation.queries = alignment.queries.all
        Self.conclude(&evaluation, discovery, alignment.failure)
        return evaluation
    }

    private static func begin(_ author: DMARCAuthor, _ discovery: DMARCDiscovery) -> DMARCEvaluation {
        var evaluation: DMARCEvaluation
        switch discovery.outcome {
        case .policy: evaluation = DMARCEvaluation(.fail, "")
        case .temporaryFailure(let error): evaluation = DMARCEvaluation(.temperror, "the policy record can't be looked up: \(error)")
        case .inapplicable(let record, let domain):
            evaluation = DMARCEvaluation(.none, "the record of \(domain) has no usable policy and asks for no reports (RFC 9989 §4.10.1)")
            evaluation.warnings += record.notes
        case .noPolicy:
            evaluation = DMARCEvaluation(.none, "no policy record applies to \(author.domain) (RFC 9989 §4.10.1)")
        }
        evaluation.author = author
        evaluation.authorOrganizationalDomain = discovery.walk?.organizationalDomain
        evaluation.warnings += author.deviations.map { "From field: \($0.rawValue)" }
        for query in discovery.queries {
            switch query.finding {
            case .severalRecords(let count):
                evaluation.warnings.append("\(query.lookup.name) has \(count) policy records; all are discarded (RFC 9989 §4.10)")
            case .unusableRecord(let error):
                evaluation.warnings.append("\(query.lookup.name): \(error)")
                // RFC 9989 §9.2: an improperly formatted record, where there is no other one, is a permanent error.
                if case .noPolicy = discovery.outcome {
                    evaluation.result = .permerror
                    evaluation.reason = "the record of \(query.domain) can't be read: \(error)"
                }
            case .record, .noRecord, .failure, .existence: break
            }
        }
        return evaluation
    }

    private static func conclude(_ evaluation: inout DMARCEvaluation, _ discovery: DMARCDiscovery, _ failure: DNSError?) {
        if let aligned = evaluation.identifiers.first(where: \.isAligned) {
            evaluation.result = .pass
            let how = aligned.finding == .identical ? "is the author's domain" : "has the author's organizational domain"
            evaluation.reason = "\(aligned.mechanism.rawValue.uppercased()) domain \(aligned.domain) \(how) (RFC 9989 §5.3.5)"
        } else if let failure {
            // RFC 9989 §5.3.6: it can't be said to pass or to fail.
            evaluation.result = .temperror
            evaluation.reason = "an organizational domain can't be looked up: \(failure)"
        } else if let failure = discovery.existenceFailure {
            evaluation.result = .temperror
            evaluation.reason = "whether the author's domain exists can't be looked up: \(failure)"
        } else {
            evaluation.result = .fail
            let isAuthenticated = evaluation.identifiers.contains { $0.finding != .notAuthenticated && $0.finding != .heloIdentity }
            evaluation.reason =
                isAuthenticated
                ? "no authenticated identifier is aligned with the author's domain (RFC 9989 §5.3.5)"
                : "the message has no authenticated identifier (RFC 9989 §5.3.5)"
        }
    }
}

/// Compares identifiers with the author's domain (RFC 9989 §4.10.2).
private struct DMARCAlignment {
    let author: DomainName
    private var walk: DMARCTreeWalk?
    var queries: DMARCQueries
    /// Why a comparison couldn't be made.
    private(set) var failure: DNSError?
    private var known: [DomainName: (organizational: DomainName?, finding: DMARCIdentifierEvidence.Finding)] = [:]

    init(author: DomainName, walk: DMARCTreeWalk?, queries: DMARCQueries) {
        self.author = author
        self.walk = walk
        self.queries = queries
    }

    var authorOrganizationalDomain: DomainName? { walk?.organizationalDomain }

    mutating func examine(_ spf: DMARCSPFResult, _ mode: DMARCAlignmentMode) async -> DMARCIdentifierEvidence {
        var evidence = DMARCIdentifierEvidence(
            mechanism: .spf, domain: spf.domain, selector: nil, result: spf.result, mode: mode, organizationalDomain: nil, finding: .heloIdentity)
        if spf.identity != .helo { await compare(&evidence) }
        return evidence
    }

    mutating func examine(_ dkim: DMARCDKIMResult, _ mode: DMARCAlignmentMode) async -> DMARCIdentifierEvidence {
        var evidence = DMARCIdentifierEvidence(
            mechanism: .dkim, domain: dkim.domain, selector: dkim.selector, result: dkim.result, mode: mode, organizationalDomain: nil,
            finding: .notAuthenticated)
        await compare(&evidence)
        return evidence
    }

    private mutating func compare(_ evidence: inout DMARCIdentifierEvidence) async {
        guard evidence.result.lowercased() == "pass" else {
            evidence.finding = .notAuthenticated
            return
        }
        guard let domain = try? DomainName(evidence.domain) else {
            evidence.finding = .noDomainName
            return
        }
        if domain == author {
            evidence.finding = .identical
        } else if evidence.mode == .strict {
            evidence.finding = .notIdentical
        } else {
            (evidence.organizationalDomain, evidence.finding) = await relaxed(domain)
        }
    }

    private mutating func relaxed(_ domain: DomainName) async -> (DomainName?, DMARCIdentifierEvidence.Finding) {
        if let found = known[domain] { return found }
        guard known.count < DMARCEvaluator.identifierLimit else { return (nil, .overLimit) }
        let found = await compareOrganizations(domain)
        known[domain] = found
        return found
    }

    private mutating func compareOrganizations(_ domain: DomainName) async -> (DomainName?, DMARCIdentifierEvidence.Finding) {
        // An organizational domain is the domain itself or lies above it: without a common top-level domain there can't be a common one, and
        // nobody can make us ask for it.
        guard domain.labels.last == author.labels.last else { return (nil, .otherOrganization) }
        let authorWalk: DMARCTreeWalk
        if let walk {
            authorWalk = walk
        } else {
            authorWalk = await queries.walk(from: author)
            walk = authorWalk
        }
        guard let organizational = authorWalk.organizationalDomain else {
            failure = failure ?? authorWalk.failure
            return (nil, .unknown)
        }
        guard domain.isEqualOrSubdomain(of: organizational) else { return (nil, .otherOrganization) }
        let own = await queries.walk(from: domain)
        guard let ownOrganizational = own.organizationalDomain else {
            failure = failure ?? own.failure
            return (nil, .unknown)
        }
        return (ownOrganizational, ownOrganizational == organizational ? .sameOrganization : .otherOrganization)
    }
}
