extension JourneyEvent {
    /// What DMARC came to for a message whose author's domain asks for reports: all that a report says of it (RFC 9990 §3.1.1, RFC 9991 §4). Domains
    /// and addresses of hosts only; nobody's mailbox.
    public struct Judged: Sendable, Hashable, Codable {
        /// What SPF said.
        public struct SPF: Sendable, Hashable, Codable {
            public var domain: String
            /// `mfrom`, or `helo` where the reverse-path is null.
            public var scope: String
            public var result: String
            public init(domain: String, scope: String, result: String) {
                self.domain = domain
                self.scope = scope
                self.result = result
            }
        }

        /// What DKIM said of one signature.
        public struct Signature: Sendable, Hashable, Codable {
            public var domain: String
            public var selector: String
            public var result: String
            public init(domain: String, selector: String, result: String) {
                self.domain = domain
                self.selector = selector
                self.result = result
            }
        }

        /// Why something else was done than the domain asks for.
        public struct Override: Sendable, Hashable, Codable {
            /// The word of RFC 9990 §3.1.6.
            public var type: String
            public var comment: String
            public init(type: String, comment: String) {
                self.type = type
                self.comment = comment
            }
        }

        /// What a report on this one message needs besides; there only where such reports are switched on and asked for.
        public struct Failure: Sendable, Hashable, Codable {
            /// The value of Authentication-Results.
            public var results: String
            /// The reverse-path; empty for the null one.
            public var reversePath: String
            /// The fields of the message's header that explain the failure.
            public var header: String
            /// The SPF records that were used, as RFC 6591 §4 writes them.
            public var spfRecords: [String]
            /// The signature of an aligned domain that failed, with its tag `i`.
            public var signature: Signature?
            public var identity: String?
            public init(results: String, reversePath: String, header: String, spfRecords: [String]) {
                self.results = results
                self.reversePath = reversePath
                self.header = header
                self.spfRecords = spfRecords
            }
        }

        /// The client's address.
        public var sourceIP: String
        /// The domain of the reverse-path; empty for the null one.
        public var envelopeFrom: String
        /// The domain of From.
        public var headerFrom: String
        /// DMARC's result.
        public var result: String
        /// Where the record was found, and the record as it is published.
        public var recordDomain: String
        public var record: String
        public var spf: SPF?
        public var signatures: [Signature]
        /// Whether SPF, and a signature, passed in alignment.
        public var isSPFAligned: Bool
        public var isDKIMAligned: Bool
        /// What was done: `pass`, `none`, `quarantine`, `reject`.
        public var disposition: String
        public var overrides: [Override]
        public var failure: Failure?

        public init(
            sourceIP: String, envelopeFrom: String, headerFrom: String, result: String, recordDomain: String, record: String, spf: SPF?,
            signatures: [Signature], isSPFAligned: Bool, isDKIMAligned: Bool, disposition: String, overrides: [Override], failure: Failure? = nil
        ) {
            self.sourceIP = sourceIP
            self.envelopeFrom = envelopeFrom
            self.headerFrom = headerFrom
            self.result = result
            self.recordDomain = recordDomain
            self.record = record
            self.spf = spf
            self.signatures = signatures
            self.isSPFAligned = isSPFAligned
            self.isDKIMAligned = isDKIMAligned
            self.disposition = disposition
            self.overrides = overrides
            self.failure = failure
        }
    }
}
