/// Why a text is not a mailbox of RFC 5321 §4.1.2, where, and by which rule.
///
/// The error never carries the text itself: addresses are personal data, and the text comes from a peer.
public struct AddressError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What is wrong.
    public enum Code: String, Hashable, Sendable {
        /// There is no local part before the `@`, or it has an empty atom (`a..b`).
        case emptyLocalPart
        /// An octet that a dot-string cannot hold.
        case invalidLocalPart
        /// A quoted string that does not end, or holds an octet that it cannot hold.
        case invalidQuotedString
        /// More than 64 octets before the `@`.
        case localPartTooLong
        /// The local part is not followed by `@`.
        case missingAtSign
        /// There is no domain, or it has an empty label.
        case emptyDomain
        /// An octet that a domain cannot hold, or a label that begins or ends with a hyphen.
        case invalidDomain
        /// A label of more than 63 octets.
        case labelTooLong
        /// More than 255 octets after the `@`.
        case domainTooLong
        /// A domain literal that is no IPv4 and no tagged IPv6 address.
        case invalidAddressLiteral
        /// More than 254 octets in all (a path has 256 with its brackets).
        case pathTooLong
        /// Octets over 127 that are not UTF-8.
        case invalidUTF8
        /// Something follows the mailbox.
        case trailingText
    }

    /// What is wrong.
    public let code: Code
    /// Where, in octets from the beginning of the text.
    public let offset: Int

    @inline(never)
    init(_ code: Code, at offset: Int) {
        self.code = code
        self.offset = offset
    }

    /// The rule that the text breaks, as RFC and section.
    public var rule: String {
        switch code {
        case .emptyLocalPart, .invalidLocalPart, .missingAtSign, .emptyDomain, .invalidDomain, .trailingText:
            "RFC 5321 §4.1.2"
        case .invalidQuotedString: "RFC 5321 §4.1.2 (Quoted-string)"
        case .localPartTooLong: "RFC 5321 §4.5.3.1.1"
        case .labelTooLong: "RFC 1035 §2.3.4"
        case .domainTooLong: "RFC 5321 §4.5.3.1.2"
        case .pathTooLong: "RFC 5321 §4.5.3.1.3"
        case .invalidAddressLiteral: "RFC 5321 §4.1.3"
        case .invalidUTF8: "RFC 6531 §3.3"
        }
    }

    public var description: String { "\(code.rawValue) at octet \(offset) (\(rule))" }
}
