public import DNS
public import FoundationEssentials
public import MailMessage

/// What a session with a host was like.
public struct TLSObservation: Sendable {
    /// Whether the host offered STARTTLS, or TLS was there from the beginning.
    public var isOffered: Bool
    /// Why there is no TLS though it was offered; `nil` where there is.
    public var handshakeFailure: String?
    /// Whether somebody put octets in plain text before TLS (RFC 3207 §6): then the session is nobody's.
    public var isInjected: Bool
    /// The protocol, such as `TLSv1.3`; `nil` without TLS.
    public var protocolVersion: String?
    /// The cipher suite, by its name.
    public var cipherSuite: String?
    /// The group of the key exchange, by its name.
    public var keyExchangeGroup: String?
    /// The DER octets of the certificates as the server sent them, its own first.
    public var chain: [[UInt8]]
    /// Whether the response to EHLO under TLS offers REQUIRETLS.
    public var offersRequireTLS: Bool

    /// Makes an observation.
    public init(
        isOffered: Bool, handshakeFailure: String? = nil, isInjected: Bool = false, protocolVersion: String? = nil, cipherSuite: String? = nil,
        keyExchangeGroup: String? = nil,
        chain: [[UInt8]] = [], offersRequireTLS: Bool = false
    ) {
        self.isOffered = isOffered
        self.handshakeFailure = handshakeFailure
        self.isInjected = isInjected
        self.protocolVersion = protocolVersion
        self.cipherSuite = cipherSuite
        self.keyExchangeGroup = keyExchangeGroup
        self.chain = chain
        self.offersRequireTLS = offersRequireTLS
    }

    /// Whether there is TLS.
    public var isEncrypted: Bool { protocolVersion != nil && handshakeFailure == nil }
}

/// The proof of how a message was, or wasn't, protected on its way to a host.
public struct TLSReceipt: Hashable, Sendable, Codable {
    /// One check.
    public struct Check: Hashable, Sendable, Codable {
        /// Who wanted it.
        public var source: TLSRequirement.Source
        /// `dane`, `authority` or `fingerprint`.
        public var method: String
        /// Whether what fails keeps the message back.
        public var isBinding: Bool
        /// Whether it holds.
        public var holds: Bool
        /// Why, in words.
        public var reason: String
        /// The depth of the certificate that decided.
        public var depth: Int?
        /// The name of the certificate's that was compared with success.
        public var matchedName: DomainName?
        /// What a report calls it; `nil` for a success.
        public var resultType: TLSResultType?
    }

    public var nextHop: DomainName
    public var host: DomainName
    /// Who wanted so much of TLS.
    public var source: TLSRequirement.Source
    /// How much there had to be.
    public var level: TLSRequirement.Level
    /// The policy that was applied, as reports name it.
    public var policy: TLSRPTPolicy
    /// What DNSSEC says of the way to the host.
    public var exchangerSecurity: DNSSECStatus?
    /// Whether there was TLS.
    public var isEncrypted: Bool
    /// Whether the host is known to be the one that the domain means: a check holds, and the way to the host's name is authentic.
    public var isAuthenticated: Bool
    public var protocolVersion: String?
    public var cipherSuite: String?
    public var keyExchangeGroup: String?
    public var chain: [CertificateSummary]
    public var checks: [Check]
    /// What reports call the session; `nil` for one that satisfied its policy.
    public var resultType: TLSResultType?
    /// More for reports.
    public var resultReason: String?
    /// How all this came about, in words.
    public var steps: [String]
    /// When.
    public var at: Date
}

/// Whether a message may go to a host after what was seen.
public struct TLSVerdict: Hashable, Sendable {
    /// What follows.
    public enum Outcome: Hashable, Sendable {
        /// It may; with the parameter REQUIRETLS, or without it.
        case proceed(withRequireTLS: Bool)
        /// Not to this host, and not now: another host or another time (RFC 7672 §2.2, RFC 8461 §5).
        case retry(enhancedStatus: EnhancedStatusCode, reason: String)
        /// Not to this host; where no other one remains, the message is returned at once (RFC 8689 §4.2.1).
        case refuse(enhancedStatus: EnhancedStatusCode, reason: String)
    }

    /// What follows.
    public var outcome: Outcome
    /// The proof.
    public var receipt: TLSReceipt
    /// Whether the host had TLS before and has none now.
    public var suspicion: DestinationHistory.Suspicion

    /// The name of the event in a journey where a downgrade is suspected.
    public static let downgradeEvent = "downgrade.suspected"

    /// What reports are to count of this session; empty for a success.
    public func failures(sendingAddress: IPAddress? = nil, receivingAddress: IPAddress? = nil, helo: String? = nil) -> [TLSRPTFailure] {
        guard let result = receipt.resultType else { return [] }
        return [
            TLSRPTFailure(
                result, sendingAddress: sendingAddress, receivingHost: receipt.host, receivingHELO: helo, receivingAddress: receivingAddress,
                reason: receipt.resultReason)
        ]
    }
}
