import DNS

/// Versions of TLS that nobody should take any more (RFC 8996, RFC 9325 §3.1.1).
extension PostureChecker {
    func outdated(
        _ host: DomainName, _ tried: [(address: IPAddress, attempts: [PostureVersionAttempt])], _ service: PostureVersionService
    ) -> [PostureFinding] {
        var evidence: [PostureFinding.Evidence] = []
        var accepted: [String] = []
        var refused: Set<String> = []
        var isUnclear = false
        for (address, attempts) in tried {
            for attempt in attempts {
                let answer: String
                switch attempt.outcome {
                case .accepted(let suite):
                    answer = "accepted\(suite.isEmpty ? "" : ", \(suite)")"
                    if !accepted.contains(attempt.version) { accepted.append(attempt.version) }
                case .refused(let reason):
                    answer = "refused: \(reason)"
                    refused.insert(attempt.version)
                case .unclear(let reason):
                    answer = "unclear: \(reason)"
                    isUnclear = true
                }
                evidence.append(.init(service == .smtp ? .smtp : .https, "\(attempt.version) at \(address)", answer))
            }
        }
        if !accepted.isEmpty { return [PostureFinding(.tlsOldAccepted, host.ascii, "accepts \(accepted.joined(separator: " and "))", evidence)] }
        // What didn't become clear proves nothing, and is no fault.
        guard !isUnclear, !refused.isEmpty else { return [] }
        return [PostureFinding(.tlsOldRefused, host.ascii, "refuses \(refused.sorted().joined(separator: " and "))", evidence)]
    }
}

extension PostureVersionAttempt {
    /// Whether the server was reached and decided.
    var isClear: Bool { if case .unclear = outcome { false } else { true } }
}
