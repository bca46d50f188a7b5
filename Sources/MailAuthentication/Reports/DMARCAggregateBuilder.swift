import DNS

/// What was seen of one message, or of some that have everything in common: the row that a store keeps until a report is made of it.
public struct DMARCReportObservation: Hashable, Sendable, Codable {
    /// The policy that was found, with the domain at which it was found.
    public var policy: DMARCAggregateReport.Policy
    /// The rest, with the number of messages.
    public var record: DMARCAggregateReport.Record

    /// Makes an observation. Domains are taken in lower case, and addresses in their canonical form, so that equal ones are counted together.
    public init(policy: DMARCAggregateReport.Policy, record: DMARCAggregateReport.Record) {
        self.policy = policy
        self.policy.domain = policy.domain.lowercased()
        self.record = record
        if let address = IPAddress(record.sourceIP) { self.record.sourceIP = address.unmapped.description }
        self.record.headerFrom = record.headerFrom.lowercased()
        self.record.envelopeFrom = record.envelopeFrom?.lowercased()
        self.record.envelopeTo = record.envelopeTo?.lowercased()
    }
}

/// Counts observations together, and makes a report of those of one policy (RFC 9990 §3.1: one domain and one configuration in each).
public struct DMARCAggregateBuilder: Sendable {
    private struct Key: Hashable {
        var policy: DMARCAggregateReport.Policy
        var record: DMARCAggregateReport.Record
    }

    private var counts: [Key: Int] = [:]
    /// The most different rows that are kept: senders choose what makes them different.
    public let rowLimit: Int
    /// Messages whose rows were over the limit, and are in no report.
    public private(set) var droppedMessageCount = 0

    /// Begins without observations.
    public init(rowLimit: Int = 100_000) { self.rowLimit = rowLimit }

    /// How many different rows there are.
    public var rowCount: Int { counts.count }

    /// Adds an observation; whether it was counted.
    @discardableResult
    public mutating func add(_ observation: DMARCReportObservation) -> Bool {
        var key = Key(policy: observation.policy, record: observation.record)
        let count = max(0, key.record.count)
        key.record.count = 0
        guard count > 0 else { return true }
        if let before = counts[key] {
            counts[key] = DMARCAggregateReport.sum(before, count)
        } else if counts.count < rowLimit {
            counts[key] = count
        } else {
            droppedMessageCount = DMARCAggregateReport.sum(droppedMessageCount, count)
            return false
        }
        return true
    }

    /// What was counted, as rows that can be added again.
    public var observations: [DMARCReportObservation] {
        policies.flatMap { policy in records(of: policy).map { DMARCReportObservation(policy: policy, record: $0) } }
    }

    /// The policies that were seen, by domain: each of them is a report.
    public var policies: [DMARCAggregateReport.Policy] {
        Set(counts.keys.map(\.policy)).map { (policy: $0, key: "\($0.domain) \($0.sortKey)") }.sorted { $0.key < $1.key }.map(\.policy)
    }

    /// The report on one policy; `nil` where nothing was seen of it. The same observations give the same report, in whatever order they came.
    public func report(on policy: DMARCAggregateReport.Policy, metadata: DMARCAggregateReport.Metadata) -> DMARCAggregateReport? {
        let records = records(of: policy)
        return records.isEmpty ? nil : DMARCAggregateReport(metadata: metadata, policy: policy, records: records)
    }

    private func records(of policy: DMARCAggregateReport.Policy) -> [DMARCAggregateReport.Record] {
        let found = counts.compactMap { key, count -> (record: DMARCAggregateReport.Record, key: String)? in
            guard key.policy == policy else { return nil }
            var record = key.record
            record.count = count
            return (record, key.record.sortKey)
        }
        return found.sorted { $0.key < $1.key }.map(\.record)
    }
}

extension DMARCAggregateReport.Policy {
    fileprivate var sortKey: String {
        [
            domainPolicy.rawValue, subdomainPolicy?.rawValue, nonexistentDomainPolicy?.rawValue, dkimAlignment?.rawValue, spfAlignment?.rawValue,
            discovery?.rawValue, failureOptions, isTesting.map { "\($0)" }, percentage.map { "\($0)" }, versionPublished,
        ].map { $0 ?? "" }.joined(separator: "\u{0}")
    }
}

extension DMARCAggregateReport.Record {
    /// All values, those that people look for first at the beginning.
    fileprivate var sortKey: String {
        var parts = [headerFrom, sourceIP, disposition.rawValue, dkim.rawValue, spf.rawValue, envelopeFrom ?? "", envelopeTo ?? ""]
        for reason in reasons { parts += [reason.type.rawValue, reason.comment ?? ""] }
        for result in dkimResults { parts += [result.domain, result.selector ?? "", result.result.rawValue, result.humanResult ?? ""] }
        for result in spfResults { parts += [result.domain, result.scope?.rawValue ?? "", result.result.rawValue, result.humanResult ?? ""] }
        return parts.joined(separator: "\u{0}")
    }
}
