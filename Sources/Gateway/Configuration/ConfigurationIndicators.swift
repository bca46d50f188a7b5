public import DNS
public import MailAuthentication
import Yams

extension Configuration {
    /// Whether role `mx` and the filter of an MTA look for the indicators of senders (BIMI), and whom they believe.
    public struct IndicatorSettings: Sendable, Equatable {
        public var enabled: Bool = false
        /// PEM file with the authorities that may certify marks; these are others than the web's.
        public var markAuthorities: String?
        /// What an indicator that nobody certifies is worth.
        public var evidence: BIMIEvaluator.Evidence = .required
        /// How long the reply to a message may wait for its indicator.
        public var waitMilliseconds: Int = 2000
        /// How long what was fetched is used.
        public var cacheSeconds: Int = 3600
        public init() {}
    }

    /// How web servers of other organisations are spoken with.
    public struct WebSettings: Sendable, Equatable {
        /// PEM file with the roots that are trusted instead of the system's.
        public var authorities: String?
        /// Private and other special networks that may be connected to although names of strangers lead there.
        public var specialNetworks: [IPNetwork] = []
        /// The port of other organisations' web servers; 443 but in tests.
        public var port: Int = 443
        /// How long one request may take.
        public var timeoutSeconds: Int = 10
        public init() {}
    }

    static let indicatorFields: [ConfigurationField<IndicatorSettings>] = {
        let initial = IndicatorSettings()
        return [
            .init(
                "enabled", \.enabled, .flag, in: initial, example: "true",
                "whether role mx and postern milter look for the sender's indicator after DMARC has passed; they fetch by HTTPS"),
            .init(
                "markAuthorities", \.markAuthorities, ConfigurationValue.path("file").optional, in: initial, example: "mark-authorities.pem",
                "the authorities that may certify marks (VMC, CMC), in PEM"),
            .init(
                "evidence", \.evidence, .word(), in: initial, example: "optional",
                "required: only indicators that such an authority certifies are shown; optional: all of them, and anybody may show anybody's logo"),
            .init(
                "waitMilliseconds", \.waitMilliseconds, .duration(unit: 1, 100...10_000), in: initial, example: "2s",
                "how long the reply to a message may wait; what comes later is there for the next message"),
            .init("cacheSeconds", \.cacheSeconds, .duration(unit: 1000, 60...604_800), in: initial, example: "1h", "how long what was fetched is used"),
        ]
    }()

    static let webFields: [ConfigurationField<WebSettings>] = {
        let initial = WebSettings()
        return [
            .init(
                "authorities", \.authorities, ConfigurationValue.path("file").optional, in: initial, example: "web-authorities.pem",
                "the roots that are trusted instead of the system's, in PEM"),
            .init(
                "specialNetworks", \.specialNetworks, ConfigurationValue.network.list(), in: initial, example: "[198.51.100.0/24]",
                "private and special networks that may be connected to where a stranger's name leads there; only for a laboratory"),
            .init("port", \.port, .port, in: initial, example: "443", "the port of web servers; another than 443 only in tests"),
            .init(
                "timeoutSeconds", \.timeoutSeconds, .duration(unit: 1000, 1...120), in: initial, example: "10s", "how long a request may take in all"),
        ]
    }()

    /// What the section `authentication.bimi` must mean together with the rest.
    func checkIndicators(_ reader: inout ConfigurationReader) {
        for network in web.specialNetworks where network.prefixLength == 0 {
            reader.report(.error, keys: ["web.specialNetworks"], "\(network) is everybody: name the networks of the laboratory")
        }
        let bimi = authentication.bimi
        guard bimi.enabled else { return }
        let keys = ["authentication.bimi.enabled", "authentication.bimi", "authentication"]
        if !roles.contains(.mx), milter == nil {
            reader.report(.warning, keys: keys, "indicators are looked for by role mx and postern milter; neither is configured here")
            return
        }
        if authentication.mode == .off {
            reader.report(.error, keys: keys, "no indicator is shown where DMARC isn't checked: set authentication.mode to enforce or observe")
        }
        if bimi.markAuthorities == nil, bimi.evidence == .required {
            reader.report(
                .error, keys: keys,
                "without authorities no certificate of a mark is ever valid: name their file in authentication.bimi.markAuthorities, or set evidence to optional"
            )
        }
        if bimi.evidence == .optional {
            reader.report(
                .warning, keys: ["authentication.bimi.evidence"] + keys,
                "indicators are shown that nobody certifies: whoever passes DMARC for a domain of his own may show anybody's logo")
        }
        guard roles.contains(.mx) else { return }
        reader.report(
            .warning, keys: keys,
            "the rules of postern zones let role mx open nothing into the internet but questions to its resolver: where they are in force every indicator "
                + "comes to fail; allow this host port 443 outward, or leave BIMI off (Documentation/authentication.md)")
    }
}
