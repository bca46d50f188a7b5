/// A domain name in its ASCII form, in lower case, without the final dot (RFC 1035 §2.3.1, RFC 5890 §2.3.2.1).
public struct DomainName: Hashable, Sendable {
    /// The name as A-labels, for example `xn--caf-dma.test`; the root is the empty string.
    public let ascii: String

    /// Takes a name that is known to be valid and in lower case.
    init(unchecked ascii: String) { self.ascii = ascii }
}
