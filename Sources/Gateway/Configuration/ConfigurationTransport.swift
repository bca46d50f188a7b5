public import DNS
public import TransportSecurity
import Yams

extension Configuration {
    /// How role relay protects mail on its way to other organisations.
    public struct TransportSettings: Sendable, Equatable {
        /// The least that is wanted of TLS where nothing else is said.
        public var minimum: LocalTLSPolicy = .opportunistic
        /// Another least for single domains.
        public var destinations: [DomainName: LocalTLSPolicy] = [:]
        /// Whether TLSA records are asked for and followed (RFC 7672).
        public var dane: Bool = true
        /// Whether policies of MTA-STS are fetched and followed (RFC 8461).
        public var mtaSTS: Bool = true
        /// Whether journeys note what reports on TLS tell (RFC 8460), where a domain asks for them.
        public var reports: Bool = true
        /// After so many sessions under TLS in a row a host that suddenly has none is suspected; 0: never.
        public var suspicionSessions: Int = 5
        /// For how long the mail for a suspected host waits.
        public var suspicionWaitSeconds: Int = 4 * 3600
        /// How many days what a host offered is remembered.
        public var memoryDays: Int = 30
        public init() {}

        /// When a host without TLS is suspicious.
        var suspicion: DestinationHistory.Limits {
            DestinationHistory.Limits(
                sessions: suspicionSessions == 0 ? .max : UInt64(suspicionSessions), memorySeconds: Double(memoryDays) * 86_400,
                deferralSeconds: Double(suspicionWaitSeconds))
        }

        /// The least for one domain.
        func minimum(for domain: DomainName) -> LocalTLSPolicy { destinations[domain] ?? minimum }
    }

    static let transportFields: [ConfigurationField<TransportSettings>] = {
        let initial = TransportSettings()
        return [
            .init(
                "minimum", \.minimum, .localTLSPolicy, in: initial, example: "encrypt",
                "the least that is wanted of TLS with other organisations' hosts: none, opportunistic, encrypt (never without), verified (a certificate for the domain's name), dane"
            ),
            .init(
                "destinations", type: "mapping of domains", defaultValue: "none", example: "{gmail.test: verified}", children: [],
                "another least for single domains, also “fingerprint” and the SHA-256 of a certificate or of its key"
            ) { target, node, reader in
                guard case .mapping(let mapping) = node else {
                    return reader.reportError(at: node, "must be a mapping of domains: write “gmail.test: verified”")
                }
                for (key, value) in mapping {
                    let text = key.scalar?.string ?? ""
                    guard let name = try? DomainName(text) else {
                        reader.reportError(at: key, "“\(text)” is no domain")
                        continue
                    }
                    let policy = ConfigurationValue<LocalTLSPolicy>.localTLSPolicy
                    if let policy = reader.within(text, at: key, { reader in policy.read(value, &reader) }) { target.destinations[name] = policy }
                }
            },
            .init("dane", \.dane, .flag, in: initial, example: "true", "whether TLSA records of other domains are followed (DANE, RFC 7672)"),
            .init("mtaSTS", \.mtaSTS, .flag, in: initial, example: "true", "whether policies of other domains are fetched and followed (MTA-STS, RFC 8461)"),
            .init(
                "reports", \.reports, .flag, in: initial, example: "true",
                "whether journeys note what the store's reports on TLS tell of each session (RFC 8460), where a domain asks for them"),
            .init(
                "suspicionSessions", \.suspicionSessions, .integer(0...1000), in: initial, example: "5",
                "after so many sessions under TLS in a row a host that has none is suspected of a downgrade; 0: never"),
            .init(
                "suspicionWaitSeconds", \.suspicionWaitSeconds, .duration(unit: 1000, 0...604_800), in: initial, example: "4h",
                "for how long the mail for a suspected host waits before it goes without TLS"),
            .init("memoryDays", \.memoryDays, .integer(1...3650), in: initial, example: "30", "how many days what a host offered is remembered"),
        ]
    }()
}

extension ConfigurationValue where Value == LocalTLSPolicy {
    /// The least that is wanted of TLS.
    static var localTLSPolicy: Self {
        .init(
            name: "one of none, opportunistic, encrypt, verified, dane, fingerprint …",
            read: { node, reader in
                let expected =
                    "none, opportunistic, encrypt, verified, dane, or fingerprint with the SHA-256 of a certificate or of its key in hexadecimal digits"
                guard let words = node.scalar?.string.split(whereSeparator: { $0 == " " || $0 == "," }), let first = words.first else {
                    reader.reportError(at: node, "must be \(expected)")
                    return nil
                }
                switch (String(first), words.count) {
                case ("none", 1): return LocalTLSPolicy.none
                case ("opportunistic", 1): return .opportunistic
                case ("encrypt", 1): return .encrypt
                case ("verified", 1): return .verified
                case ("dane", 1): return .dane
                case ("fingerprint", 2...):
                    let digests = words.dropFirst().map { $0.lowercased().filter { $0 != ":" } }
                    guard digests.allSatisfy({ $0.utf8.count == 64 && $0.allSatisfy(\.isHexDigit) }) else {
                        reader.reportError(at: node, "a fingerprint is a SHA-256: 64 hexadecimal digits, with or without colons")
                        return nil
                    }
                    return .fingerprint(Set(digests))
                default:
                    reader.reportError(at: node, "“\(words.joined(separator: " "))” must be \(expected)")
                    return nil
                }
            },
            show: { policy in
                switch policy {
                case .none: "none"
                case .opportunistic: "opportunistic"
                case .encrypt: "encrypt"
                case .verified: "verified"
                case .dane: "dane"
                case .fingerprint(let digests): "fingerprint \(digests.sorted().joined(separator: " "))"
                }
            })
    }
}
