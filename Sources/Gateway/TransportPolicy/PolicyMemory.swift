import DNS
import FoundationEssentials
import Logging
import MailStore
import TransportSecurity

/// The policies of MTA-STS that other domains publish: asked for with each message, fetched when their edition changes or they grow old, and kept
/// over restarts, so that nobody gets rid of a policy by keeping us from fetching it (RFC 8461 §3.3, §5.1).
actor PolicyMemory {
    /// What applies to a domain, and how one came to know.
    struct Finding: Sendable {
        var policy: MTASTSPolicy?
        var plan: MTASTSPolicyState.Plan
        var lookup: DNSLookup?
        /// What came of a fetch that was needed first.
        var fetchError: MTASTSFetchError?
        /// Whether there is more to tell than that the domain has no record.
        var isRemarkable: Bool
    }

    private static let kind = "mta-sts"
    /// More domains than this aren't kept in memory.
    private static let limit = 10_000

    private let resolver: any Resolver
    private let fetcher: any MTASTSFetcher
    private let spool: SpoolStore
    private let now: @Sendable () -> Date
    private let logger: Logger
    private var states: [DomainName: MTASTSPolicyState] = [:]
    private var fetches: [DomainName: Task<Void, Never>] = [:]

    init(resolver: any Resolver, fetcher: any MTASTSFetcher, spool: SpoolStore, now: @escaping @Sendable () -> Date, logger: Logger) {
        self.resolver = resolver
        self.fetcher = fetcher
        self.spool = spool
        self.now = now
        self.logger = logger
    }

    /// What applies to mail for a domain.
    func finding(for domain: DomainName) async -> Finding {
        let (discovery, lookup) = await MTASTSDiscovery.ask(domain, using: resolver)
        await load(domain)
        var plan = states[domain, default: MTASTSPolicyState()].plan(discovery, at: now())
        switch plan.fetch {
        case .none: break
        case .before(let id):
            await fetch(domain, id)
            plan = states[domain, default: MTASTSPolicyState()].plan(discovery, at: now())
        case .beside(let id): begin(domain, id)
        }
        let isRemarkable = discovery != .notFound || states[domain]?.entry != nil
        return Finding(policy: plan.policy, plan: plan, lookup: lookup, fetchError: states[domain]?.failure?.error, isRemarkable: isRemarkable)
    }

    /// Waits for the fetch of a policy; several that need it at once wait for the same.
    private func fetch(_ domain: DomainName, _ id: String) async { await begin(domain, id).value }

    @discardableResult private func begin(_ domain: DomainName, _ id: String) -> Task<Void, Never> {
        if let running = fetches[domain] { return running }
        let task = Task {
            let result: Result<MTASTSPolicy, MTASTSFetchError>
            do throws(MTASTSFetchError) {
                result = .success(try await MTASTSPolicy.fetch(domain, using: fetcher))
            } catch {
                result = .failure(error)
                logger.warning("the MTA-STS policy of a domain can't be fetched", metadata: ["domain": "\(domain)", "reason": "\(error)"])
            }
            await take(result, domain, id)
        }
        fetches[domain] = task
        return task
    }

    private func take(_ result: Result<MTASTSPolicy, MTASTSFetchError>, _ domain: DomainName, _ id: String) async {
        fetches[domain] = nil
        states[domain, default: MTASTSPolicyState()].fetched(result, record: id, at: now())
        guard let entry = states[domain]?.entry else { return }
        do {
            try await spool.setFact(Self.kind, domain.ascii, Array(JSONEncoder().encode(KeptPolicy(entry))))
        } catch {
            logger.error("an MTA-STS policy can't be kept; after a restart it is fetched again", metadata: ["domain": "\(domain)", "error": "\(error)"])
        }
    }

    private func load(_ domain: DomainName) async {
        guard states[domain] == nil else { return }
        let kept = try? await spool.fact(Self.kind, domain.ascii)
        let entry = kept.flatMap { try? JSONDecoder().decode(KeptPolicy.self, from: Data($0)) }?.entry
        // Others may have come here while the database was read.
        guard states[domain] == nil else { return }
        if states.count >= Self.limit, let victim = states.keys.first { states[victim] = nil }
        states[domain] = MTASTSPolicyState(entry: entry, failure: nil)
    }
}

/// A policy as it is kept: by its lines, which are read again.
private struct KeptPolicy: Codable {
    var recordID: String
    var fetchedAt: Date
    var isUnchanged: Bool
    var lines: [String]

    init(_ entry: MTASTSPolicyState.Entry) {
        recordID = entry.recordID
        fetchedAt = entry.fetchedAt
        isUnchanged = entry.isUnchanged
        lines = entry.policy.lines
    }

    var entry: MTASTSPolicyState.Entry? {
        guard let policy = try? MTASTSPolicy(parsing: Array(lines.joined(separator: "\r\n").utf8)) else { return nil }
        return MTASTSPolicyState.Entry(policy: policy, recordID: recordID, fetchedAt: fetchedAt, isUnchanged: isUnchanged)
    }
}
