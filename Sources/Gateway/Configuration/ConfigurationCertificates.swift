public import ACME
public import DNS
import Yams

extension Configuration {
    /// How the certificate of the section `certificate` is had and renewed.
    public struct ACMESettings: Sendable, Equatable {
        /// The authority's directory (RFC 8555 §7.1.1).
        public var directory: String = ""
        /// Where the authority may write to.
        public var contacts: [String] = []
        public var agreesToTerms: Bool = false
        /// The names of the certificate.
        public var names: [CertificateName] = []
        public var challenge: ACMEChallengeKind = .http01
        /// Where http-01 and tls-alpn-01 are answered.
        public var address: IPAddress = .v4(0)
        /// `nil`: 80 or 443, by the challenge.
        public var port: Int?
        /// The account's key; `nil`: in the data folder.
        public var accountKey: String?
        public var externalIdentifier: String?
        public var externalSecretFile: String?
        /// The authority's own root where it isn't one of the system's; then only it is trusted.
        public var directoryAuthority: String?
        public var checksCAA: Bool = true
        /// The name server that takes updates, for dns-01 and TLSA.
        public var updateServer: IPAddress?
        public var updatePort: Int = 53
        /// The zone that is updated.
        public var updateZone: DomainName?
        public var updateKeyFile: String?
        /// How long the zone's other servers take.
        public var updateSettleSeconds: Int = 5
        /// The names of the TLSA records that name the certificate's key.
        public var tlsa: [DomainName] = []
        public var tlsaTimeToLiveSeconds: Int = 3600
        public init() {}

        /// Where challenges are answered.
        var challengePort: Int { port ?? (challenge == .http01 ? 80 : 443) }
    }

    private static let acmeFields: [ConfigurationField<ACMESettings>] = {
        let initial = ACMESettings()
        return [
            .init(
                "directory", \.directory, .httpsURL, in: initial, required: true, example: "https://acme.gmail.test/directory",
                "the certificate authority's directory"),
            .init(
                "contacts", \.contacts, ConfigurationValue.contact.list(), in: initial, example: "[\"mailto:postmaster@kartapuce.test\"]",
                "where the authority may write to"),
            .init("agreesToTerms", \.agreesToTerms, .flag, in: initial, example: "true", "whether you agree to the authority's terms of service"),
            .init(
                "names", \.names, ConfigurationValue.certificateName.list(minimum: 1), in: initial, required: true, example: "[mail.kartapuce.test]",
                "the names in the certificate; \"*.kartapuce.test\" takes dns-01"),
            .init(
                "challenge", \.challenge, .word(), in: initial, example: "dns-01",
                "how the right to the names is proven: by a web server, a TLS server or a TXT record"),
            .init("address", \.address, .address, in: initial, example: "127.0.0.1", "the local address where http-01 and tls-alpn-01 are answered"),
            .init(
                "port", \.port, ConfigurationValue.port.optional, in: initial, example: "80",
                "the port there; none: 80 for http-01, 443 for tls-alpn-01, and another one only where a firewall hands these on"),
            .init(
                "accountKey", \.accountKey, ConfigurationValue.path("file").optional, in: initial, example: "account-key.pem",
                "PEM file of the account's key, made where it isn't there; none: acme/account-key.pem in the data folder"),
            .init(
                "externalIdentifier", \.externalIdentifier, ConfigurationValue.word("identifier").optional, in: initial, example: "customer-7",
                "the customer's identifier, where the authority wants one (EAB)"),
            .init(
                "externalSecretFile", \.externalSecretFile, ConfigurationValue.path("file").optional, in: initial, example: "eab-secret.txt",
                "file of the customer's secret in base64url"),
            .init(
                "directoryAuthority", \.directoryAuthority, ConfigurationValue.path("file").optional, in: initial, example: "authority.pem",
                "PEM file of the only root that may vouch for the directory's own certificate; none: the system's roots"),
            .init(
                "checksCAA", \.checksCAA, .flag, in: initial, example: "false",
                "whether CAA records are looked up before an order; what they forbid isn't ordered"),
            .init(
                "updateServer", \.updateServer, ConfigurationValue.address.optional, in: initial, example: "127.0.0.1",
                "the name server that takes updates (RFC 2136), for dns-01 and tlsa"),
            .init("updatePort", \.updatePort, .port, in: initial, example: "53", "its port"),
            .init(
                "updateZone", \.updateZone, ConfigurationValue.domain.optional, in: initial, example: "kartapuce.test",
                "the zone that is updated; none: the first of domains"),
            .init(
                "updateKeyFile", \.updateKeyFile, ConfigurationValue.path("file").optional, in: initial, example: "update.key",
                "file of the key that signs updates (TSIG), as tsig-keygen or keymgr write it"),
            .init(
                "updateSettleSeconds", \.updateSettleSeconds, .duration(unit: 1000, 0...3600), in: initial, example: "30s",
                "how long the zone's other servers take to have an update"),
            .init(
                "tlsa", \.tlsa, ConfigurationValue.domain.list(), in: initial, example: "[_25._tcp.mail.kartapuce.test]",
                "the names of TLSA records (3 1 1) that are kept by updates; none: nobody's"),
            .init(
                "tlsaTimeToLiveSeconds", \.tlsaTimeToLiveSeconds, .duration(unit: 1000, 1...604_800), in: initial, example: "1h",
                "how long others may keep these records"),
        ]
    }()

    static let acmeField = ConfigurationField<Configuration>(
        "acme", type: "mapping", defaultValue: "none", example: "{directory: \"https://acme.gmail.test/directory\", names: [mail.kartapuce.test]}",
        children: ConfigurationField.flatten(acmeFields, below: "acme"),
        "how the section certificate's files are had from a certificate authority and renewed; none: somebody else does it"
    ) { target, node, reader in
        var settings = ACMESettings()
        reader.readMapping(node, acmeFields, into: &settings)
        target.acme = settings
    }

    func checkCertificates(_ reader: inout ConfigurationReader) {
        guard let acme else { return }
        if certificate == nil {
            reader.report(.error, keys: ["acme"], "needs the section certificate, whose files it writes")
        }
        if acme.names.contains(where: \.isWildcard), acme.challenge != .dns01 {
            reader.report(.error, keys: ["acme.challenge", "acme.names", "acme"], "a wildcard is proven by dns-01 only (RFC 8555 §8.4)")
        }
        if Set(acme.names).count != acme.names.count { reader.report(.error, keys: ["acme.names", "acme"], "has a name twice") }
        if acme.challenge == .dns01 || !acme.tlsa.isEmpty, acme.updateServer == nil || acme.updateKeyFile == nil {
            reader.report(
                .error, keys: ["acme.updateServer", "acme.challenge", "acme"], "dns-01 and tlsa need updateServer and updateKeyFile: records are changed there")
        }
        if (acme.externalIdentifier == nil) != (acme.externalSecretFile == nil) {
            reader.report(
                .error, keys: ["acme.externalIdentifier", "acme.externalSecretFile", "acme"], "externalIdentifier and externalSecretFile go together")
        }
        let zone = acme.updateZone ?? domains.first
        let changed = acme.tlsa + (acme.challenge == .dns01 ? acme.names.map(\.domain) : [])
        if let zone, let name = changed.first(where: { !$0.isEqualOrSubdomain(of: zone) }) {
            reader.report(.error, keys: ["acme.updateZone", "acme"], "\(name) isn't in the zone \(zone), so that no update reaches it; set updateZone")
        }
        if !acme.agreesToTerms {
            reader.report(.warning, keys: ["acme.agreesToTerms", "acme"], "most authorities give nothing to whoever doesn't agree to their terms")
        }
        if acme.challenge != .dns01, listeners.contains(where: { $0.port == acme.challengePort }) {
            reader.report(.error, keys: ["acme.port", "acme"], "port \(acme.challengePort) is a listener's; choose another one, or another challenge")
        }
    }
}
