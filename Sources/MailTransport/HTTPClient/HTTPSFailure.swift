/// Why there is no answer of a web server.
public struct HTTPSFailure: Error, Hashable, Sendable, Codable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable, Codable {
        /// The request can't be sent as it is.
        case invalidRequest
        /// The DNS has no answer now.
        case nameLookupFailed
        /// The name has no address.
        case noAddress
        /// The name has only addresses that nobody may connect to, such as private ones.
        case forbiddenAddress
        /// Nobody answers, or not by TCP.
        case connectionFailed
        /// The two have no TLS in common, or the handshake was broken off.
        case tlsFailed
        /// No root that is trusted vouches for the certificate, or not at this time.
        case untrustedCertificate
        /// The certificate is another host's (RFC 9525 §6).
        case wrongName
        /// Only a wildcard fits, and none is allowed.
        case wildcardCertificate
        /// It took too long.
        case timeout
        /// Whoever asked doesn't want to know any more.
        case cancelled
        /// The status line and the fields are longer than the limit.
        case headerTooLarge
        /// The content is longer than the limit.
        case bodyTooLarge
        /// The answer isn't HTTP/1.1 (RFC 9112), or one that nobody asked for.
        case invalidResponse
        /// The connection was closed before the end of the answer.
        case connectionClosed
    }
    /// What failed.
    public var code: Code
    /// What an operator wants to know.
    public var reason: String

    /// Makes a failure.
    public init(_ code: Code, _ reason: String) {
        self.code = code
        self.reason = reason
    }

    /// Whether another try may succeed soon without anybody mending something.
    public var isTemporary: Bool {
        switch code {
        case .nameLookupFailed, .connectionFailed, .timeout, .cancelled, .connectionClosed: true
        case .invalidRequest, .noAddress, .forbiddenAddress, .tlsFailed, .untrustedCertificate, .wrongName, .wildcardCertificate, .headerTooLarge,
            .bodyTooLarge, .invalidResponse:
            false
        }
    }

    public var description: String { "\(code.rawValue): \(reason)" }
}
