public import DNS
import FoundationEssentials
public import Logging
import NIOPosix
public import Posture
import TransportSecurity

/// What a check of a domain takes from a configuration.
public enum DomainPosture {
    /// The selectors whose keys the configuration signs a domain's mail with, or is about to.
    /// - Throws: ``PKIError`` where the folder of keys can't be read.
    public static func ownSelectors(of domain: DomainName, _ configuration: Configuration) throws -> [DomainName] {
        try DKIMKeyFolder(path: configuration.dkimFolder).entries().filter { $0.domain == domain && $0.stage != .retired }.map(\.selector)
    }

    /// Looks by SMTP and HTTPS, with the authorities and limits of the configuration.
    /// - Throws: what makes TLS unusable.
    public static func probes(_ configuration: Configuration, resolver: any DNS.Resolver, logger: Logger) throws -> PostureProbes {
        let name = (try? DomainName(configuration.hostname)) ?? Self.unknownHost
        return PostureProbes(
            smtp: try MailServerProbe(helloName: name, port: configuration.outboundPort),
            policy: try WebPolicyFetcher(configuration.web, resolver: resolver, group: MultiThreadedEventLoopGroup.singleton),
            indicator: try IndicatorFetcher(resolver: resolver, web: configuration.web),
            settings: try SettingsProbe(configuration.web, resolver: resolver, group: MultiThreadedEventLoopGroup.singleton),
            versions: try VersionProbe(configuration, helloName: name), roots: .trusted(by: configuration, logger: logger))
    }

    /// Without a configuration nobody knows our name (RFC 5321 §4.1.4 lets a client say what it likes).
    private static let unknownHost = (try? DomainName("localhost")) ?? .root
}
