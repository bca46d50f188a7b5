internal import DNS

/// What programs get to see: `bimi.result` and what stands beside it.
extension BIMIEvaluation: Encodable {
    private enum Key: String, CodingKey {
        case result, reason, domain, selector, record, authority, evidence, indicator, indicatorHash, locationMatchesEvidence, lookups, fetches
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(result, forKey: .result)
        try container.encodeIfPresent(reason, forKey: .reason)
        try container.encodeIfPresent(domain, forKey: .domain)
        try container.encodeIfPresent(selector?.name, forKey: .selector)
        try container.encodeIfPresent(discovery?.text, forKey: .record)
        try container.encode(authority, forKey: .authority)
        try container.encodeIfPresent(mark, forKey: .evidence)
        try container.encodeIfPresent(indicator, forKey: .indicator)
        try container.encodeIfPresent(indicatorHash, forKey: .indicatorHash)
        try container.encodeIfPresent(locationMatchesEvidence, forKey: .locationMatchesEvidence)
        try container.encode((discovery?.steps ?? []).map(BIMIJSONLookup.init), forKey: .lookups)
        try container.encode(fetches, forKey: .fetches)
    }
}

private struct BIMIJSONLookup: Encodable {
    var name: String
    var selector: String
    var isLocalPart: Bool
    var outcome: String
    var security: String?
    var records: [String]

    init(_ step: BIMIDiscovery.Step) {
        selector = step.selector.name
        isLocalPart = step.isLocalPart
        records = step.records.map { String(decoding: $0, as: UTF8.self) }
        name = step.lookup?.name.ascii ?? "\(step.selector.name)._bimi.\(step.domain.ascii)"
        switch step.lookup?.result {
        case .success(let answer):
            outcome = answer.outcome.rawValue
            security = answer.security.rawValue
        case .failure(let error): outcome = "\(error.code.rawValue): \(error.reason)"
        case nil: outcome = "notAsked"
        }
    }
}

extension BIMIFetch: Encodable {
    private enum Key: String, CodingKey { case location, octets, error, isFromCache }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(location.text, forKey: .location)
        try container.encodeIfPresent(octets, forKey: .octets)
        try container.encodeIfPresent(error?.description, forKey: .error)
        try container.encode(isFromCache, forKey: .isFromCache)
    }
}

extension BIMIIndicatorProblem: Encodable {
    private enum Key: String, CodingKey { case reason, message, line, column }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(code, forKey: .reason)
        try container.encode(description, forKey: .message)
        try container.encodeIfPresent(line, forKey: .line)
        try container.encodeIfPresent(column, forKey: .column)
    }

    /// The rule as a word for programs.
    public var code: String { String("\(reason)".prefix { $0 != "(" }) }
}

extension BIMIIndicatorReport: Encodable {
    private enum Key: String, CodingKey { case accepted, problems, octets, unpackedOctets, isCompressed, digest, title, size, elements }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(isAccepted, forKey: .accepted)
        try container.encode(problems, forKey: .problems)
        try container.encode(octets, forKey: .octets)
        try container.encode(svg.count, forKey: .unpackedOctets)
        try container.encode(isCompressed, forKey: .isCompressed)
        try container.encode(digest, forKey: .digest)
        try container.encodeIfPresent(title, forKey: .title)
        try container.encodeIfPresent(size, forKey: .size)
        try container.encode(elements, forKey: .elements)
    }
}

extension BIMIMarkReport: Encodable {
    private enum Key: String, CodingKey {
        case valid, problems, subject, root, kind, markType, domains, matchedDomain, digests, timestamps, hasRevocationPoint, isRevocationChecked
    }

    private struct Problem: Encodable {
        var reason: String
        var message: String
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.container(keyedBy: Key.self)
        try container.encode(isValid, forKey: .valid)
        try container.encode(problems.map { Problem(reason: $0.code, message: "\($0)") }, forKey: .problems)
        try container.encodeIfPresent(certificates.first?.subject, forKey: .subject)
        try container.encodeIfPresent(root, forKey: .root)
        try container.encode(kind, forKey: .kind)
        try container.encodeIfPresent(markType, forKey: .markType)
        try container.encode(domains, forKey: .domains)
        try container.encodeIfPresent(matchedDomain, forKey: .matchedDomain)
        try container.encode((logotype?.digests ?? []).map { "\($0.algorithm) \($0.form.rawValue)" }, forKey: .digests)
        try container.encode(timestampCount, forKey: .timestamps)
        try container.encode(hasRevocationPoint, forKey: .hasRevocationPoint)
        try container.encode(isRevocationChecked, forKey: .isRevocationChecked)
    }
}
