import DNS
import MailTransport
import NIOPosix
import Posture

/// Tries outdated versions of TLS, one connection for each, and says nothing in a session that begins.
struct VersionProbe: PostureVersionProbe {
    private let inquiry: TLSVersionInquiry
    private let ports: [PostureVersionService: Int]
    /// For tests, whose servers can't have the usual ports.
    private let places: [IPAddress: Int]
    /// Where a web server may be: a record of a stranger's leads nobody into our own networks.
    private let isAllowed: @Sendable (IPAddress) -> Bool

    /// - Throws: what makes TLS unusable.
    init(_ configuration: Configuration, helloName: DomainName, timeLimit: Duration = .seconds(15), places: [IPAddress: Int] = [:]) throws {
        inquiry = try TLSVersionInquiry(helloName: helloName.ascii, timeLimit: timeLimit, group: MultiThreadedEventLoopGroup.singleton)
        ports = [.smtp: configuration.outboundPort, .https: configuration.web.port]
        self.places = places
        isAllowed = { [web = configuration.web] address in !address.isSpecial || web.specialNetworks.contains { $0.contains(address.unmapped) } }
    }

    func tryOutdated(_ service: PostureVersionService, host: DomainName, address: IPAddress) async -> [PostureVersionAttempt] {
        guard service == .smtp || isAllowed(address) else { return [] }
        var attempts: [PostureVersionAttempt] = []
        for version in TLSVersionInquiry.Version.allCases {
            let outcome: PostureVersionAttempt.Outcome =
                switch await inquiry.ask(
                    version, address, port: places[address] ?? ports[service] ?? 443, serverName: host.ascii, afterSTARTTLS: service == .smtp)
                {
                case .accepted(let suite): .accepted(suite)
                case .refused(let reason): .refused(reason)
                case .unclear(let reason): .unclear(reason)
                }
            attempts.append(PostureVersionAttempt(version: version.rawValue, outcome: outcome))
        }
        return attempts
    }
}
