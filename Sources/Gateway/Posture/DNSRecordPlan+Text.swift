import DNS

extension DNSRecordPlan {
    /// The records as a master file (RFC 1035 §5.1), with the reason of each in a comment.
    public var zoneFile: String {
        var lines = ["; What the DNS must have for \(domain)", "$TTL \(timeToLive)"]
        for set in sets {
            lines += ["", "; \(set.reason)"] + set.lines.map { "\(set.name.ascii). IN \(set.type) \($0)" }
        }
        if !reverse.isEmpty {
            lines += ["", "; In the zones of whoever gave the addresses:"]
            lines += reverse.map { "; \($0.name.ascii). IN PTR \($0.host.ascii)." }
        }
        if !gaps.isEmpty { lines += ["", "; Not known here:"] + gaps.map { "; - \($0)" } }
        return lines.joined(separator: "\n") + "\n"
    }
}
