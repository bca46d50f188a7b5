import DNS
import MailTransport
import NIOCore

/// What the listener `policy` tells everybody: the policies of the organisation's domains (RFC 8461 §3.3), and where mail programs read and send; and what
/// it takes: reports on TLS, where that is switched on (RFC 8460 §5.4). There is nothing else.
struct PolicyService: HTTPSService {
    static let policyPath = "/.well-known/mta-sts.txt"
    /// Octets of the largest report that is taken by HTTPS. A day of a large sender has some hundred kilobytes, compressed or not.
    static let reportLimit = 4 << 20
    private static let xmlTypes: Set<String> = ["text/xml", "application/xml"]
    private static let reportTypes: Set<String> = ["application/tlsrpt+gzip", "application/tlsrpt+json"]

    /// By policy host: `mta-sts.kartapuce.test`.
    private let policies: [String: String]
    /// What mail programs are told; `nil`: nothing.
    private let clients: ClientSettingsHosting?
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
        clients = ClientSettingsHosting(configuration)
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
        if let clients, let place = clients.place(host: request.host, target: request.target) { return begin(request, clients, place) }
        guard let reportPath, request.target == reportPath, isOurs(request.host) else { return .answer(Self.notFound) }
        guard request.method == "POST" else { return .answer(.init(405, "not allowed\n", allow: "POST")) }
        guard let type = request.contentType, Self.reportTypes.contains(type), request.contentEncoding == nil else {
            return .answer(.init(415, "a report is application/tlsrpt+gzip or application/tlsrpt+json\n"))
        }
        if let reports, let seconds = reports.rate.excess(of: request.client, limit: reports.perMinute, at: reports.now()) {
            return .answer(.init(429, "too many reports in a minute\n", retryAfter: seconds))
        }
        return .read(limit: Self.reportLimit)
    }

    private func begin(_ request: HTTPSServerRequest, _ clients: ClientSettingsHosting, _ place: ClientSettingsHosting.Place) -> HTTPSServerDecision {
        switch place {
        case .autoconfig(let domain):
            guard ["GET", "HEAD"].contains(request.method) else { return .answer(.init(405, "not allowed\n", allow: "GET, HEAD")) }
            return .answer(.init(200, clients.autoconfig(for: domain), contentType: "text/xml"))
        case .autodiscover:
            guard request.method == "POST" else { return .answer(.init(405, "not allowed\n", allow: "POST")) }
            guard let type = request.contentType, Self.xmlTypes.contains(type), request.contentEncoding == nil else {
                return .answer(.init(415, "a request is text/xml\n"))
            }
            return .read(limit: AutodiscoverRequest.sizeLimit)
        }
    }

    /// Says the same of whoever there is and isn't: nobody learns who has a mailbox.
    private func autodiscover(_ request: HTTPSServerRequest, _ clients: ClientSettingsHosting) -> HTTPSServerResponse {
        do {
            let wanted = try AutodiscoverRequest(parsing: Array(request.body.readableBytesView))
            guard clients.isOurs(wanted.address) else { return HTTPSServerResponse(404, "this is in none of our domains\n") }
            return HTTPSServerResponse(200, clients.autodiscover(for: wanted.address), contentType: "text/xml")
        } catch {
            return HTTPSServerResponse(400, "\(error.reason)\n")
        }
    }

    private func isOurs(_ host: String) -> Bool {
        if host == hostname { return true }
        guard let name = try? DomainName(host) else { return false }
        return domains.contains { name.isEqualOrSubdomain(of: $0) }
    }

    func answer(_ request: HTTPSServerRequest) async -> HTTPSServerResponse {
        if let clients, clients.place(host: request.host, target: request.target) == .autodiscover { return autodiscover(request, clients) }
        guard let reports else { return Self.notFound }
        return await reports.take(request)
    }
}
