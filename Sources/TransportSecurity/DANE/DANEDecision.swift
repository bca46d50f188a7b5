public import DNS

/// A host that mail is about to be sent to, and how it was found.
public struct DANEDestination: Hashable, Sendable {
    /// How the host was found.
    public enum Origin: Hashable, Sendable {
        /// By the MX records of the next hop, which DNSSEC vouches for or not; with the name at the end of the next hop's CNAMEs.
        case exchanger(DNSSECStatus, canonicalNextHop: DomainName?)
        /// It is the next hop itself: there are no MX records, or the operator named the host.
        case nextHop
    }

    /// The domain that the mail is for, or the relay that the operator named.
    public var nextHop: DomainName
    /// The host.
    public var host: DomainName
    /// How it was found.
    public var origin: Origin
    /// The TCP port.
    public var port: UInt16

    /// Makes a destination.
    public init(nextHop: DomainName, host: DomainName, origin: Origin, port: UInt16 = 25) {
        self.nextHop = nextHop
        self.host = host
        self.origin = origin
        self.port = port
    }
}

/// What the DNS says about DANE for one host (RFC 7672 §2.2), with every question that was asked.
public struct DANEDecision: Sendable {
    /// What follows.
    public enum Outcome: Hashable, Sendable {
        /// The host must be authenticated by ``DANEDecision/records``.
        case authenticate
        /// TLS is required, without authentication: there are records, and none can be used.
        case encrypt
        /// DANE says nothing about this host.
        case notApplicable(Reason)
        /// The host counts as unreachable: what decides can't be found out now (RFC 7672 §2.1.2).
        case unavailable(String)
    }

    /// Why DANE says nothing.
    public enum Reason: String, Hashable, Sendable, Codable {
        /// DNSSEC doesn't vouch for the MX records (RFC 7672 §2.2.1).
        case insecureExchangers
        /// DNSSEC doesn't vouch for the host's addresses, nor for an alias of its name (RFC 7672 §2.2.2).
        case insecureAddresses
        /// There are no TLSA records, and DNSSEC vouches for that.
        case secureDenial
        /// There are no TLSA records, or DNSSEC doesn't vouch for those that there are.
        case insecureRecords
    }

    /// What follows.
    public var outcome: Outcome
    /// The name whose records they are; it is also the name to ask the server for in the handshake (RFC 7671 §10.2).
    public var baseDomain: DomainName?
    /// The secure records.
    public var records: [TLSARecord]
    /// The names one of which the certificate must have where a trust anchor matches, the base domain first (RFC 7672 §3.2.2).
    public var referenceIdentifiers: [DomainName]
    /// Whether the way from the next hop to the host is insecure: then nobody has authenticated the next hop (RFC 7672 §2.2.1).
    public var isRedirectionInsecure: Bool
    /// The questions and their answers, in order.
    public var lookups: [DNSLookup]

    /// Makes a decision.
    public init(
        outcome: Outcome, baseDomain: DomainName? = nil, records: [TLSARecord] = [], referenceIdentifiers: [DomainName] = [],
        isRedirectionInsecure: Bool = false, lookups: [DNSLookup] = []
    ) {
        self.outcome = outcome
        self.baseDomain = baseDomain
        self.records = records
        self.referenceIdentifiers = referenceIdentifiers
        self.isRedirectionInsecure = isRedirectionInsecure
        self.lookups = lookups
    }

    /// The verifier for the server's chain; `nil` where none is to be compared.
    public var verifier: DANEVerifier? {
        guard case .authenticate = outcome else { return nil }
        return DANEVerifier(records: records, references: referenceIdentifiers)
    }
}
