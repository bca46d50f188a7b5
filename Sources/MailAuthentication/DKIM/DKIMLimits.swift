public import FoundationEssentials

/// What verifying the signatures of a message may cost, and what is accepted.
public struct DKIMLimits: Sendable, Hashable {
    /// How many signatures are looked at, the topmost first; the others are reported as `policy` (RFC 6376 §6.1).
    public var signatureCount: Int = 10
    /// The smallest RSA key (RFC 8301 §3.2: 1024 at least).
    public var minimumRSABits: Int = 1024
    /// The largest RSA key (RFC 8301 §3.2: 4096 at least).
    public var maximumRSABits: Int = 4096
    /// How many key records of one name are tried.
    public var keyRecordCount: Int = 4
    /// By how many seconds the clocks of others may differ, for `t=` and `x=`.
    public var clockSkewSeconds: TimeInterval = 300
    /// Whether a signature that leaves octets of the body unsigned (`l=`) may pass. RFC 6376 §8.2 tells what it is used for by
    /// attackers; such a signature passes with a risk unless this is `false`, which makes it `policy`.
    public var allowsUnsignedBody: Bool = true
    /// Whether a signature that lies in the future by more than the skew fails. RFC 6376 §3.5 says that it MAY.
    public var refusesFutureSignatures: Bool = true
    /// How many octets of a message are read at a time.
    public var readOctets: Int = 256 * 1024

    /// The defaults.
    public init() {}
}
