public import DNS
import DNSUpdate
import FoundationEssentials
import NIOPosix

/// What the DNS says differently from a plan.
public struct DNSDrift: Sendable {
    /// One difference: all records of a type at a name.
    public struct Difference: Sendable, Codable, Hashable {
        /// The name.
        public var name: DomainName
        /// The type.
        public var type: String
        /// What is missing in the DNS.
        public var missing: [String]
        /// What the DNS has beside.
        public var surplus: [String]
        /// Why there is no answer.
        public var failure: String?
        /// Whether the DNS doesn't say.
        public var isUnknown: Bool { failure != nil }
    }

    /// The differences, in the order of the plan. The lifetime alone never differs: a cache counts it down.
    public private(set) var differences: [Difference] = []
    private var changes: [UpdateChange] = []

    /// Compares.
    public static func find(_ plan: DNSRecordPlan, resolver: any DNS.Resolver) async -> DNSDrift {
        var drift = DNSDrift()
        for set in plan.sets { drift.compare(set, await DNSLookup(set.name, set.type, using: resolver), plan.timeToLive) }
        return drift
    }

    /// Whether the DNS says what the plan says; what it doesn't answer is no difference.
    public var isEmpty: Bool { differences.allSatisfy(\.isUnknown) }
    /// How many records are missing or too many.
    public var recordCount: Int { differences.reduce(0) { $0 + $1.missing.count + $1.surplus.count } }

    private mutating func compare(_ set: DNSRecordPlan.RecordSet, _ lookup: DNSLookup, _ timeToLive: UInt32) {
        var difference = Difference(name: set.name, type: "\(set.type)", missing: [], surplus: [])
        switch lookup.result {
        case .failure(let error):
            difference.failure = error.reason
            differences.append(difference)
        case .success(let answer):
            let wanted = set.records.map(\.answerData)
            let ours = answer.records.filter { Self.isOurs($0, set) }
            let missing = set.records.filter { !ours.contains($0.answerData) }
            let surplus = ours.filter { !wanted.contains($0) }.map { UpdateRecordData($0, set.type) }
            guard !missing.isEmpty || !surplus.isEmpty else { return }
            difference.missing = missing.map(\.zoneText)
            difference.surplus = surplus.map { $0.readableText }
            differences.append(difference)
            // One by one: other records at the name and of the type that aren't ours stay.
            changes += surplus.map { .delete(set.name, $0) } + missing.map { .add(set.name, timeToLive: timeToLive, $0) }
        }
    }

    private static func isOurs(_ data: DNSRecordData, _ set: DNSRecordPlan.RecordSet) -> Bool {
        guard let prefix = set.ownPrefix else { return true }
        guard case .txt(let octets) = data else { return false }
        return octets.starts(with: prefix.utf8)
    }

    /// The differences for people, as a comparison of files has them.
    public var text: String {
        differences.flatMap { difference -> [String] in
            if let failure = difference.failure { return ["? \(difference.name.ascii). \(difference.type): no answer: \(failure)"] }
            return difference.surplus.map { "- \(difference.name.ascii). \(difference.type) \($0)" }
                + difference.missing.map { "+ \(difference.name.ascii). \(difference.type) \($0)" }
        }.joined(separator: "\n")
    }

    /// Sends the differences to the name server that takes updates: all of them, or none.
    /// - Throws: ``HostError`` that says what is missing or what the server said.
    public func publish(_ plan: DNSRecordPlan, _ configuration: Configuration) async throws {
        // Without it the plan is what one host alone knows, and other hosts' records would be taken away.
        guard configuration.dns != nil else {
            throw HostError("nothing is published without the section dns, which says what the whole organisation offers; dns.updateServer says where")
        }
        guard let updater = try ZoneUpdater(configuration, domain: plan.domain, group: MultiThreadedEventLoopGroup.singleton) else {
            throw HostError("no name server takes updates: set dns.updateServer and dns.updateKeyFile")
        }
        let foreign = Set(differences.map(\.name)).filter { !$0.isEqualOrSubdomain(of: updater.zone) }.sorted()
        if let name = foreign.first { throw HostError("\(name) isn't in the zone \(updater.zone), so that no update reaches it; set dns.updateZone") }
        guard !changes.isEmpty else { return }
        try await updater.update(changes, at: Date.now)
    }
}

extension UpdateRecordData {
    /// As ``zoneText``, with what can be read of a CAA record.
    fileprivate var readableText: String {
        guard case .raw(.caa, let octets) = self, octets.count > 2, octets.count >= 2 + Int(octets[1]) else { return zoneText }
        let tag = String(decoding: octets[2..<(2 + Int(octets[1]))], as: UTF8.self)
        return UpdateRecordData.caa(isCritical: octets[0] & 0x80 != 0, tag: tag, value: Array(octets.dropFirst(2 + Int(octets[1])))).zoneText
    }
}
