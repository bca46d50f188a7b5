/// Why an update couldn't be made, or why its answer isn't taken.
public struct DNSUpdateError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// Something is longer than the protocol or ``DNSUpdateLimits`` allow.
        case limitExceeded
        /// A record that the zone can't have: it lies outside, or its data doesn't fit its type.
        case invalidRecord
        /// A key for signatures that can't be read, or is too short.
        case invalidKey
        /// The octets aren't a DNS message (RFC 1035 §4).
        case malformed
        /// A message, but not the answer to this request.
        case otherMessage
        /// The answer to a signed request isn't signed (RFC 8945 §5.3).
        case unsigned
        /// The answer's signature has another key or algorithm than the request's.
        case otherKey
        /// The answer's signature doesn't hold.
        case invalidSignature
        /// The answer was signed too long before or after now (RFC 8945 §5.2.3).
        case invalidTime
    }

    /// Which kind.
    public let code: Code
    /// What and where, with the section of the standard.
    public let reason: String

    @inline(never) init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    public var description: String { reason }
}
