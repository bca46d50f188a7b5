/// What a message may have at most.
public struct DNSUpdateLimits: Hashable, Sendable {
    /// Octets of a whole message: over TCP its length has 16 bits (RFC 1035 §4.2.2).
    public var messageSizeLimit = 65_535
    /// Octets of a message over UDP (RFC 1035 §4.2.1). A longer one goes over TCP (RFC 2136 §2.1).
    public var datagramSizeLimit = 512
    /// Prerequisites of one request.
    public var prerequisiteLimit = 256
    /// Changes of one request.
    public var changeLimit = 1024
    /// Records of an answer, in all its sections. An answer to an update has one (TSIG) or none; some servers send the question back.
    public var answerRecordLimit = 4096

    /// The limits as they stand above.
    public init() {}
}
