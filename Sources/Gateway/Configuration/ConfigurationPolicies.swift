import ACME
public import DNS
public import TransportSecurity
import Yams

extension Configuration {
    /// The policies that the listener `policy` hosts for the organisation's domains (RFC 8461).
    public struct MTASTSSettings: Sendable, Equatable {
        /// What others do where a host of ours doesn't satisfy the policy.
        public var mode: MTASTSPolicy.Mode = .testing
        /// How long a policy counts after it was fetched.
        public var maxAgeSeconds: Int = 7 * 86_400
        /// The hosts that take a domain's mail; `nil`: this organisation's edge.
        public var exchangers: [String]?
        /// What is other for single domains.
        public var domains: [DomainName: Domain] = [:]

        /// What is other for one domain; `nil`: as for all.
        public struct Domain: Sendable, Equatable {
            public var mode: MTASTSPolicy.Mode?
            public var maxAgeSeconds: Int?
            public var exchangers: [String]?
            public init() {}
        }
        public init() {}
    }

    private static let domainPolicyFields: [ConfigurationField<MTASTSSettings.Domain>] = {
        let initial = MTASTSSettings.Domain()
        return [
            .init("mode", \.mode, ConfigurationValue.word().optional, in: initial, example: "enforce", "another mode; none: that of mtaSTS.mode"),
            .init(
                "maxAgeSeconds", \.maxAgeSeconds, ConfigurationValue.policyAge.optional, in: initial, example: "7d",
                "another age; none: that of mtaSTS.maxAgeSeconds"),
            .init(
                "exchangers", \.exchangers, ConfigurationValue.exchanger.list().optional, in: initial, example: "[mx.kartapuce.test]",
                "other hosts; none: those of mtaSTS.exchangers"),
        ]
    }()

    private static let policyFields: [ConfigurationField<MTASTSSettings>] = {
        let initial = MTASTSSettings()
        return [
            .init(
                "mode", \.mode, .word(), in: initial, example: "enforce",
                "what others do where a host of ours has no TLS or a wrong certificate: testing (they report it), enforce (they don't send), none (the policy is taken back)"
            ),
            .init(
                "maxAgeSeconds", \.maxAgeSeconds, .policyAge, in: initial, example: "7d", "how long a policy counts after it was fetched (RFC 8461 §3.2)"),
            .init(
                "exchangers", \.exchangers, ConfigurationValue.exchanger.list().optional, in: initial, example: "[mx.kartapuce.test]",
                "the hosts in the domains' MX records, as RFC 8461 §4.1 has them (\"*.kartapuce.test\" too); none: hostname on role mx, elsewhere peers.mx.host"
            ),
            .init(
                "domains", type: "mapping of domains", defaultValue: "none", example: "{kartapuce.test: {mode: enforce}}",
                children: ConfigurationField.flatten(domainPolicyFields, below: "domains.<domain>"), "what is other for single domains"
            ) { target, node, reader in
                guard case .mapping(let mapping) = node else {
                    return reader.reportError(at: node, "must be a mapping of domains: write “kartapuce.test: {mode: enforce}”")
                }
                for (key, value) in mapping {
                    let text = key.scalar?.string ?? ""
                    guard let name = DomainName(configured: text) else {
                        reader.reportError(at: key, "“\(text)” is no domain")
                        continue
                    }
                    target.domains[name] = reader.within(text, at: key) { reader in
                        var settings = MTASTSSettings.Domain()
                        reader.readMapping(value, domainPolicyFields, into: &settings)
                        return settings
                    }
                }
            },
        ]
    }()

    static let policiesField = ConfigurationField<Configuration>(
        "mtaSTS", type: "mapping", defaultValue: "none", example: "{mode: enforce}", children: ConfigurationField.flatten(policyFields, below: "mtaSTS"),
        "the policies of MTA-STS that role mx hosts for domains, on the listener policy (RFC 8461); none: it hosts none"
    ) { target, node, reader in
        var settings = MTASTSSettings()
        reader.readMapping(node, policyFields, into: &settings)
        target.mtaSTS = settings
    }

    /// The hosts in the policy of a domain; none where they can't be known here.
    func policyExchangers(of domain: DomainName) -> [String] {
        let own = roles.contains(.mx) ? hostname : peers[.mx]?.host
        return mtaSTS?.domains[domain]?.exchangers ?? mtaSTS?.exchangers ?? own.map { [$0] } ?? []
    }

    func checkPolicies(_ reader: inout ConfigurationReader) {
        let listens = listeners.contains { $0.kind == .policy }
        if listens, mtaSTS == nil, clients == nil, reports?.httpsPath == nil {
            reader.report(
                .warning, keys: ["listeners"], "the listener policy has nothing to serve: add the section mtaSTS or clients, or reports.httpsPath, or remove it"
            )
        }
        if !listens, roles.contains(.mx), mtaSTS != nil {
            reader.report(.warning, keys: ["mtaSTS"], "nobody can fetch the policies from here: add a listener policy, or have another server host them")
        }
        if !listens, let path = reports?.httpsPath {
            reader.report(
                .warning, keys: ["reports.httpsPath", "reports"], "nobody can send reports to \(path): role mx takes them on a listener policy; add one")
        }
        guard let mtaSTS else { return }
        for name in mtaSTS.domains.keys.sorted() where !domains.contains(name) {
            reader.report(.error, keys: ["mtaSTS.domains.\(name.ascii)", "mtaSTS.domains", "mtaSTS"], "\(name) is none of our domains")
        }
        for domain in domains where policyExchangers(of: domain).isEmpty {
            reader.report(
                .error, keys: ["mtaSTS.exchangers", "mtaSTS"], "which hosts take the mail of \(domain) can't be known here: name them (RFC 8461 §3.2)")
        }
    }
}

extension ConfigurationValue where Value == Int {
    /// How long a policy counts.
    static var policyAge: Self { .duration(unit: 1000, 3600...MTASTSPolicy.maximumAgeLimit) }
}

extension ConfigurationValue where Value == String {
    /// A pattern of RFC 8461 §4.1: the names of certificates have the same form.
    static var exchanger: Self {
        let name = ConfigurationValue<CertificateName>.certificateName
        return .init(
            name: name.name, read: { node, reader in name.read(node, &reader).map(\.description) },
            show: { $0.hasPrefix("*") ? "\"\($0)\"" : $0 })
    }
}
