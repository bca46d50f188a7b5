/// How much a finding matters.
public enum PostureSeverity: String, Sendable, Hashable, Codable, CaseIterable, Comparable {
    /// It is as it should be.
    case good
    /// Worth knowing; nothing has to be done.
    case info
    /// It couldn't be looked at, or the answer says nothing.
    case unknown
    /// It works, and should be better.
    case warning
    /// Mail is lost, refused or unprotected because of it.
    case error

    public static func < (left: PostureSeverity, right: PostureSeverity) -> Bool { left.rank < right.rank }

    private var rank: Int { Self.allCases.firstIndex(of: self) ?? 0 }
}

/// What a finding is about, in the order of a report.
public enum PostureTopic: String, Sendable, Hashable, Codable, CaseIterable {
    case domain, mx, reverse, smtp, tls, certificate, relay
    case dnssec, dane, mtasts, tlsrpt, transport
    case spf, dkim, dmarc, bimi
    case caa, clients

    /// The topic's heading for people.
    public var title: String {
        switch self {
        case .domain: "Domain"
        case .mx: "Where mail goes (MX)"
        case .reverse: "Names of the addresses (PTR)"
        case .smtp: "Mail servers"
        case .tls: "Encryption (STARTTLS)"
        case .certificate: "Certificates"
        case .relay: "Open relay"
        case .dnssec: "Signed DNS (DNSSEC)"
        case .dane: "DANE"
        case .mtasts: "MTA-STS"
        case .tlsrpt: "Reports on encryption (TLSRPT)"
        case .transport: "Protection of the way"
        case .spf: "Who may send (SPF)"
        case .dkim: "Signatures (DKIM)"
        case .dmarc: "What receivers should do with forgeries (DMARC)"
        case .bimi: "Logo (BIMI)"
        case .caa: "Who may issue certificates (CAA)"
        case .clients: "Set-up of mail programs (SRV)"
        }
    }
}
