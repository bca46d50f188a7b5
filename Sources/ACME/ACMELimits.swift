/// What is taken from a certificate authority at most. It is trusted to certify names, and with nothing of this host.
public struct ACMELimits: Hashable, Sendable {
    /// Octets of an answer's body.
    public var bodySizeLimit = 256 * 1024
    /// Octets of a URL.
    public var urlSizeLimit = 2048
    /// Octets of a header field's value.
    public var headerValueLimit = 8192
    /// Names in one order.
    public var nameLimit = 100
    /// Certificates in a chain.
    public var chainLimit = 10
    /// How often a request is sent again because its nonce wasn't taken (RFC 8555 §6.5).
    public var badNonceLimit = 5
    /// How often a request is sent again because the server failed or was busy.
    public var serverFailureLimit = 4
    /// How often something is asked whether it is ready.
    public var pollLimit = 60
    /// Seconds between two questions, where the server doesn't say.
    public var pollSeconds = 3
    /// Seconds that the server can have us wait between two questions; for more, the whole thing is given up until later.
    public var retryAfterLimitSeconds = 120

    /// The limits as they stand above.
    public init() {}
}
