import FoundationEssentials
import TransportSecurity

/// MTA-STS: a record, and a policy; what is read of a policy can be written and read as the same.
enum MTASTSTarget {
    static func run(_ data: [UInt8]) {
        let octets = Input(data).octets
        if let record = try? MTASTSRecord(parsing: octets) {
            require((1...32).contains(record.id.utf8.count), "an edition of \(record.id.utf8.count) octets")
            require((try? MTASTSRecord(parsing: Array("v=STSv1; id=\(record.id)".utf8))) == record, "“\(record.id)” is read otherwise")
        }
        guard let policy = try? MTASTSPolicy(parsing: octets) else { return }
        require((0...MTASTSPolicy.maximumAgeLimit).contains(policy.maximumAgeSeconds), "max_age \(policy.maximumAgeSeconds)")
        require(policy.mode == .none || !policy.patterns.isEmpty, "a policy without hosts")
        for pattern in policy.patterns {
            require(!policy.allows(pattern.name) || policy.patterns.contains { $0.matches(pattern.name) }, "a host that no pattern means")
            if pattern.isWildcard { require(!pattern.matches(pattern.name), "“\(pattern)” means what is below it only") }
        }
        let written = policy.lines.joined(separator: "\r\n")
        guard written.utf8.count <= MTASTSPolicy.sizeLimit else { return }
        require((try? MTASTSPolicy(parsing: Array(written.utf8))) == policy, "the lines are read as another policy")
        var state = MTASTSPolicyState()
        state.fetched(.success(policy), record: "a", at: fuzzedTime)
        let later = fuzzedTime.addingTimeInterval(Double(policy.maximumAgeSeconds))
        require((state.plan(.notFound, at: later).policy == nil) == (policy.mode == .none), "a policy ends too early")
        require(state.plan(.notFound, at: later.addingTimeInterval(1)).policy == nil, "a policy has no end")
    }
}
