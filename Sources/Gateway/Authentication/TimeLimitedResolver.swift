import DNS

/// Answers until a time is over: what the DNS doesn't say in time it doesn't say. The checks of a message share one, so that what was found out
/// before counts, and the rest ends as a temporary error. A question that is under way keeps the resolver's own limit.
struct TimeLimitedResolver: Resolver {
    let base: any Resolver
    let end: ContinuousClock.Instant
    let limit: Duration

    /// - Parameter limit: from now on.
    init(_ base: any Resolver, limit: Duration) {
        self.base = base
        self.limit = limit
        end = .now + limit
    }

    func lookup(_ name: DomainName, _ type: DNSRecordType) async throws(DNSError) -> DNSAnswer {
        guard ContinuousClock.now < end else {
            throw DNSError(.timeout, name: name.ascii, type: type, reason: "the checks of this message took longer than \(limit)")
        }
        return try await base.lookup(name, type)
    }
}
