import Crypto
public import DNS
import MailMessage
import TransportSecurity

/// The policies that an organisation publishes for its own domains, and the records that announce them (RFC 8461 §3).
///
/// An edition's name is made of the policy's octets: it changes with the policy and only then, and is the same on every host that has the same
/// configuration. Nothing has to be remembered for it.
public struct MTASTSHosting: Sendable {
    private let settings: Configuration.MTASTSSettings?
    /// The hosts that take the mail of each of our domains.
    private let exchangers: [DomainName: [String]]

    /// The policies of a configuration.
    public init(_ configuration: Configuration) {
        settings = configuration.mtaSTS
        exchangers = Dictionary(configuration.domains.map { ($0, configuration.policyExchangers(of: $0)) }, uniquingKeysWith: { first, _ in first })
    }

    /// The host that a domain's policy is fetched from: `mta-sts.kartapuce.test` (RFC 8461 §3.3).
    public static func policyHost(of domain: DomainName) -> DomainName? { try? DomainName("mta-sts.\(domain.ascii)") }

    /// The text of a domain's policy; `nil` where none is hosted.
    public func policy(for domain: DomainName) -> String? {
        guard let settings, let exchangers = exchangers[domain] else { return nil }
        let own = settings.domains[domain]
        let mode = own?.mode ?? settings.mode
        var lines = ["version: STSv1", "mode: \(mode.rawValue)"]
        // RFC 8461 §8.3: a policy that takes another one back needs no hosts.
        if mode != .none { lines += exchangers.map { "mx: \($0)" } }
        lines.append("max_age: \(own?.maxAgeSeconds ?? settings.maxAgeSeconds)")
        return lines.map { $0 + "\r\n" }.joined()
    }

    /// The text of the TXT record at `_mta-sts` below a domain: `v=STSv1; id=…;` (RFC 8461 §3.1); `nil` where no policy is hosted.
    public func record(for domain: DomainName) -> String? { id(for: domain).map { "v=STSv1; id=\($0);" } }

    /// The name of a domain's edition: 32 letters and digits.
    public func id(for domain: DomainName) -> String? {
        policy(for: domain).map { HexDigits.text(Array(SHA256.hash(data: Array($0.utf8)).prefix(16))) }
    }
}
