public import DNS

/// A name that a certificate is ordered for: a domain name, or all names one label below one (RFC 8555 §7.1.3).
public struct CertificateName: Hashable, Sendable, CustomStringConvertible {
    /// The name without the asterisk.
    public let domain: DomainName
    /// Whether it stands for all names one label below.
    public let isWildcard: Bool

    /// Puts a name together.
    public init(domain: DomainName, isWildcard: Bool = false) {
        self.domain = domain
        self.isWildcard = isWildcard
    }

    /// Reads `mail.kartapuce.test` or `*.kartapuce.test`.
    public init(_ text: String) throws(ACMEError) {
        let isWildcard = text.hasPrefix("*.")
        do {
            self.init(domain: try DomainName(isWildcard ? String(text.dropFirst(2)) : text), isWildcard: isWildcard)
        } catch {
            throw ACMEError(.invalidInput, "no name for a certificate: \(error)")
        }
    }

    public var description: String { (isWildcard ? "*." : "") + domain.ascii }
}
