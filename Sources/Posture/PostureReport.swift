public import DNS
public import FoundationEssentials

/// What was found about a domain.
public struct PostureReport: Sendable, Codable {
    /// What comes of all findings together.
    public enum Result: String, Sendable, Hashable, Codable {
        case good, warning, error
    }

    /// The domain.
    public var domain: DomainName
    /// When it was looked at.
    public var at: Date
    /// The findings in the order of ``PostureTopic``.
    public var findings: [PostureFinding]

    /// Makes a report; findings are put into order, each once.
    public init(domain: DomainName, at: Date, findings: [PostureFinding]) {
        self.domain = domain
        self.at = at
        // What is said of two addresses of a host is said once, with the evidence of both.
        var unique: [PostureFinding] = []
        var places: [[String]: Int] = [:]
        for finding in findings {
            let key = [finding.code.rawValue, finding.subject, finding.text]
            guard let place = places[key] else {
                places[key] = unique.count
                unique.append(finding)
                continue
            }
            let new = finding.evidence.filter { !unique[place].evidence.contains($0) }
            unique[place].evidence += new.prefix(max(0, PostureFinding.evidenceLimit - unique[place].evidence.count))
        }
        self.findings = PostureTopic.allCases.flatMap { topic in unique.filter { $0.code.topic == topic } }
    }

    /// The worst that was found, where it is a warning or an error.
    public var result: Result {
        switch findings.map(\.severity).max() ?? .good {
        case .error: .error
        case .warning: .warning
        case .good, .info, .unknown: .good
        }
    }

    /// How many findings there are of a severity.
    public func count(of severity: PostureSeverity) -> Int { findings.count { $0.severity == severity } }
}
