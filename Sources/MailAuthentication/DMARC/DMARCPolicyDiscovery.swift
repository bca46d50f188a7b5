public import DNS

/// Finds the policy record that applies to mail of a domain (RFC 9989 §4.10.1).
public struct DMARCPolicyDiscovery: Sendable {
    let resolver: any Resolver

    /// Makes a discovery that asks this resolver.
    public init(resolver: any Resolver) { self.resolver = resolver }

    /// Finds the record for an Author Domain: its own, or else that of its organizational domain, or else that of its public suffix domain.
    public func discover(_ author: DomainName) async -> DMARCDiscovery {
        var queries = DMARCQueries(resolver: resolver)
        return await Self.discover(author, &queries)
    }

    /// Finds the organizational domain of a domain (RFC 9989 §4.10.2).
    public func walk(from domain: DomainName) async -> DMARCTreeWalk {
        var queries = DMARCQueries(resolver: resolver)
        return await queries.walk(from: domain)
    }

    static func discover(_ author: DomainName, _ queries: inout DMARCQueries) async -> DMARCDiscovery {
        var discovery = DMARCDiscovery(author: author)
        switch await queries.record(of: author) {
        case .record(let record): discovery.apply(record, of: author)
        case .failure(let error): discovery.outcome = .temporaryFailure(error)
        case .noRecord, .severalRecords, .unusableRecord, .existence:
            // The walk asks for the author's own record again, which is remembered.
            let walk = await queries.walk(from: author)
            discovery.walk = walk
            if let failure = walk.failure {
                discovery.outcome = .temporaryFailure(failure)
            } else if let organizational = walk.stops.first(where: { $0.domain == walk.organizationalDomain }) {
                discovery.apply(organizational.record, of: organizational.domain)
            } else if let publicSuffix = walk.publicSuffix {
                discovery.apply(publicSuffix.record, of: publicSuffix.domain)
            }
        }
        if case .policy(let record, let domain) = discovery.outcome, domain != author, record.nonexistentSubdomainPolicy != nil {
            switch await queries.existence(of: author) {
            case .existence(let exists): discovery.authorExists = exists
            case .failure(let error): discovery.existenceFailure = error
            case .record, .noRecord, .severalRecords, .unusableRecord: break
            }
        }
        discovery.queries = queries.all
        return discovery
    }
}

/// The policy record that applies to a domain, and how it was found.
public struct DMARCDiscovery: Sendable {
    /// What was found.
    public enum Outcome: Sendable, Hashable {
        /// This record, published at this domain.
        case policy(DMARCRecord, at: DomainName)
        /// There is no record: DMARC isn't applied (RFC 9989 §4.10.1).
        case noPolicy
        /// There is a record at this domain that can't be applied: without a usable policy and without a usable `rua` (RFC 9989 §4.10.1).
        case inapplicable(DMARCRecord, at: DomainName)
        /// The DNS doesn't answer now.
        case temporaryFailure(DNSError)
    }

    /// The domain whose record was looked for.
    public let author: DomainName
    /// What was found.
    public internal(set) var outcome: Outcome = .noPolicy
    /// The walk up the tree; `nil` where the author's domain has a record of its own.
    public internal(set) var walk: DMARCTreeWalk?
    /// Whether the author's domain exists; `nil` where nobody had to know: only for `np`.
    public internal(set) var authorExists: Bool?
    /// Why that couldn't be found out.
    public internal(set) var existenceFailure: DNSError?
    /// Each question, in order.
    public internal(set) var queries: [DMARCQuery] = []

    init(author: DomainName) { self.author = author }

    mutating func apply(_ record: DMARCRecord, of domain: DomainName) {
        outcome = record.isApplicable ? .policy(record, at: domain) : .inapplicable(record, at: domain)
    }

    /// What the record asks for mail of the author's domain, and by which tag (RFC 9989 §4.10.1); `nil` where no record applies.
    public var requested: (policy: DMARCPolicy, tag: DMARCPolicyTag)? {
        guard case .policy(let record, let domain) = outcome else { return nil }
        return domain == author ? (record.policy, .p) : record.policyForSubdomain(exists: authorExists ?? true)
    }
}
