/// A mailbox address, `local-part@domain`: the `addr-spec` of RFC 5322 §3.4.1 and the `Mailbox` of RFC 5321 §4.1.2.
///
/// The local part is kept unquoted (`"john doe"@example.test` has the local part `john doe`), so that two spellings of
/// one address are equal; `description` quotes it again where the grammar asks for it. The domain is kept in lower
/// case, as it was given otherwise: an A-label, a U-label (RFC 6531 §3.3) or an address literal with its brackets.
public struct EmailAddress: Hashable, Sendable {
    /// The local part without quoting. Case is significant (RFC 5321 §2.4).
    public let localPart: String
    /// The domain in lower case, or an address literal such as `[192.0.2.1]` or `[IPv6:2001:db8::1]`.
    public let domain: String

    /// Makes an address of parts that are known to be valid. Use ``init(parsing:)`` for text from outside.
    public init(localPart: String, domain: String) {
        self.localPart = localPart
        self.domain = domain.lowercased()
    }

    /// Makes an address whose domain has its final spelling already.
    init(localPart: String, canonicalDomain: String) {
        self.localPart = localPart
        self.domain = canonicalDomain
    }
}
