extension JourneyEvent.Protected {
    /// What a report on TLS tells of a session with a host (RFC 8460 §4): there once for each session, and only where the domain asks for reports.
    public struct SessionReport: Sendable, Hashable, Codable {
        /// Something that was wrong.
        public struct Failure: Sendable, Hashable, Codable {
            /// The word of RFC 8460 §4.3.
            public var type: String
            /// More about it, in words.
            public var reason: String?
            public init(type: String, reason: String?) {
                self.type = type
                self.reason = reason
            }
        }

        /// The record at `_smtp._tls` as it is published.
        public var record: String
        /// The policy: `tlsa`, `sts` or `no-policy-found`, its domain, its lines and its hosts (RFC 8460 §4.4).
        public var policyType: String
        public var policyDomain: String
        public var policyLines: [String]
        public var policyHosts: [String]
        /// The host and its address, and how it calls itself.
        public var receivingHost: String
        public var receivingAddress: String?
        public var receivingHELO: String?
        /// Our own address.
        public var sendingAddress: String?
        /// None for a session that satisfied the policy.
        public var failures: [Failure]

        public init(
            record: String, policyType: String, policyDomain: String, policyLines: [String], policyHosts: [String], receivingHost: String,
            receivingAddress: String?, receivingHELO: String?, sendingAddress: String?, failures: [Failure]
        ) {
            self.record = record
            self.policyType = policyType
            self.policyDomain = policyDomain
            self.policyLines = policyLines
            self.policyHosts = policyHosts
            self.receivingHost = receivingHost
            self.receivingAddress = receivingAddress
            self.receivingHELO = receivingHELO
            self.sendingAddress = sendingAddress
            self.failures = failures
        }
    }
}
