/// The ways to prove the right to a name that are known here.
public enum ACMEChallengeKind: String, Hashable, Sendable, Codable, CaseIterable {
    /// A file on the name's web server, port 80 (RFC 8555 §8.3).
    case http01 = "http-01"
    /// A certificate under a name of its own in ALPN, port 443 (RFC 8737).
    case tlsALPN01 = "tls-alpn-01"
    /// A TXT record; the only way for wildcards (RFC 8555 §8.4).
    case dns01 = "dns-01"
}
