import DNS
import MailTransport

/// What the listener `policy` tells everybody: the policies of the organisation's domains (RFC 8461 §3.3); and what it takes: reports on TLS, where that is
/// switched on (RFC 8460 §5.4). There is nothing else.
struct PolicyService: HTTPSService {
    static let policyPath = "/.well-known/mta-sts.txt"
    /// Octets of the largest report that is taken by HTTPS. A day of a large sender has some hundred kilobytes, compressed or not.
    static let reportLimit = 4 << 20
    private static let reportTypes: Set<String> = ["application/tlsrpt+gzip", "application/tlsrpt+json"]

    /// By policy host: `mta-sts.kartapuce.test`.
    private let policies: [String: String]
    private let hostname: String
    private let domains: [DomainName]
    private let reportPath: String?
    /// `nil` where no reports are taken.
    let reports: PostedReports?

    init(_ configuration: Configuration, reports: PostedReports?) {
        let hosting = MTASTSHosting(configuration)
        var policies: [String: String] = [:]
        for domain in configuration.domains { policies[MTASTSHosting.policyHost(of: domain)?.ascii ?? ""] = hosting.policy(for: domain) }
        self.policies = policies
        hostname = configuration.hostname
        domains = configuration.domains
        reportPath = reports == nil ? nil : configuration.reports?.httpsPath
        self.reports = reports
    }

    private static let notFound = HTTPSServerResponse(404, "not found\n")

    func begin(_ request: HTTPSServerRequest) -> HTTPSServerDecision {
        if request.target == Self.policyPath, let policy = policies[request.host] {
            guard ["GET", "HEAD"].contains(request.method) else { return .answer(.init(405, "not allowed\n", allow: "GET, HEAD")) }
            return .answer(.init(200, policy))
        }
        guard let reportPath, request.target == reportPath, isOurs(request.host) else { return .answer(Self.notFound) }
        guard request.method == "POST" else { return .answer(.init(405, "not allowed\n", allow: "POST")) }
        guard let type = request.contentType, Self.reportTypes.contains(type), request.contentEncoding == nil else {
            return .answer(.init(415, "a report is application/tlsrpt+gzip or application/tlsrpt+json\n"))
        }
        return .read(limit: Self.reportLimit)
    }

    private func isOurs(_ host: String) -> Bool {
        if host == hostname { return true }
        guard let name = try? DomainName(host) else { return false }
        return domains.contains { name.isEqualOrSubdomain(of: $0) }
    }

    func answer(_ request: HTTPSServerRequest) async -> HTTPSServerResponse {
        guard let reports else { return Self.notFound }
        return await reports.take(request)
    }
}
